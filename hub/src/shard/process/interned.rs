//! Events that a holder keeps for the router, so that many streams that have missed the same ones get them by number.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::event::Event;

/// Events known to a holder before those that are no more are looked for.
const MANY: usize = 1024;

/// What one holder has. The router keeps none of these events by that: what its history forgets is forgotten there, too.
#[derive(Debug, Default)]
pub(crate) struct InternedEvents {
    /// By address, which nothing else gets for as long as there is a weak reference to it.
    known: HashMap<usize, (u64, Weak<Event>)>,
    next: u64,
    /// How many there may be before the next search.
    enough: usize,
}

impl InternedEvents {
    /// The number of an event, and whether the holder doesn't have it yet.
    pub(crate) fn number(&mut self, event: &Arc<Event>) -> (u64, bool) {
        let next = self.next;
        let (number, _) = self.known.entry(Arc::as_ptr(event).addr()).or_insert_with(|| (next, Arc::downgrade(event)));
        let fresh = *number == next;
        self.next += u64::from(fresh);
        (*number, fresh)
    }

    /// Whether it is time to look for what is no more.
    pub(crate) fn are_many(&self) -> bool {
        self.known.len() >= self.enough.max(MANY)
    }

    /// The numbers of the events that are no more.
    pub(crate) fn forget(&mut self) -> Vec<u64> {
        let mut gone = Vec::new();
        self.known.retain(|_, (number, event)| {
            let lives = event.strong_count() > 0;
            if !lives {
                gone.push(*number);
            }
            lives
        });
        self.enough = 2 * self.known.len();
        if self.known.is_empty() {
            self.known = HashMap::new();
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sse_protocol::event::NewEvent;

    #[test]
    fn an_event_is_lent_once_and_forgotten_when_it_is_no_more() {
        let event = || Arc::new(Event::new(&NewEvent { topics: vec!["a"], ..Default::default() }, "1-0"));
        let (mut lent, one, two) = (InternedEvents::default(), event(), event());
        assert_eq!([lent.number(&one), lent.number(&two), lent.number(&one)], [(0, true), (1, true), (0, false)]);
        assert!(!lent.are_many());
        assert_eq!(lent.forget(), [0; 0]);
        drop(one);
        // Whatever address it gets.
        assert_eq!(lent.number(&event()), (2, true));
        let mut gone = lent.forget();
        gone.sort_unstable();
        assert_eq!(gone, [0, 2]);
        assert_eq!(lent.number(&two), (1, false));
    }
}
