//! The interner of missed events: a shard process keeps each event once, and streams that missed it refer to its number.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::event::Event;

/// Minimum number of known events before a search for dropped ones.
const MANY: usize = 1024;

/// Events that one shard process keeps. The references are weak: what the history drops, the shard process drops, too.
#[derive(Debug, Default)]
pub(crate) struct InternedEvents {
    /// Number by address. No other event gets the address while a weak reference to it exists.
    known: HashMap<usize, (u64, Weak<Event>)>,
    next: u64,
    /// Number of events that starts the next search for dropped ones.
    enough: usize,
}

impl InternedEvents {
    /// Returns the number of an event, and whether it is new to the shard process.
    pub(crate) fn number(&mut self, event: &Arc<Event>) -> (u64, bool) {
        let next = self.next;
        let (number, _) = self.known.entry(Arc::as_ptr(event).addr()).or_insert_with(|| (next, Arc::downgrade(event)));
        let fresh = *number == next;
        self.next += u64::from(fresh);
        (*number, fresh)
    }

    /// Returns whether it is time to call [`forget`](Self::forget).
    pub(crate) fn are_many(&self) -> bool {
        self.known.len() >= self.enough.max(MANY)
    }

    /// Removes the events that no longer exist; returns their numbers.
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
    fn an_event_is_sent_once_and_forgotten_when_it_is_no_more() {
        let event = || Arc::new(Event::new(&NewEvent { topics: vec!["a"], ..Default::default() }, "1-0"));
        let (mut interned, one, two) = (InternedEvents::default(), event(), event());
        assert_eq!(
            [interned.number(&one), interned.number(&two), interned.number(&one)],
            [(0, true), (1, true), (0, false)]
        );
        assert!(!interned.are_many());
        assert_eq!(interned.forget(), [0; 0]);
        drop(one);
        // The new event may get the address of the dropped one.
        assert_eq!(interned.number(&event()), (2, true));
        let mut gone = interned.forget();
        gone.sort_unstable();
        assert_eq!(gone, [0, 2]);
        assert_eq!(interned.number(&two), (1, false));
    }
}
