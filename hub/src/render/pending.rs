//! What has happened on a stream's topics since its callback ran last.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;
use crate::stream::Trigger;
use crate::topic;
use crate::wire::Delivery;

/// Events and triggers kept for one callback; beyond that it is told that anything may have changed.
const LIMIT: usize = 1000;

/// One of them.
#[derive(Debug, Clone)]
pub(super) enum Happened {
    Event(Arc<Event>),
    Trigger(Arc<Trigger>),
}

/// Events and triggers in their order, bounded by their number and by the bytes they take on the wire.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(super) kept: VecDeque<Happened>,
    pub(super) bytes: usize,
    /// The oldest were dropped.
    pub(super) missing: bool,
}

impl Pending {
    /// Keeps an event, and lets the oldest go where there is no room.
    pub(crate) fn add_event(&mut self, event: &Arc<Event>, limit: usize) {
        self.bytes += event.message().len();
        self.kept.push_back(Happened::Event(Arc::clone(event)));
        while self.kept.len() > LIMIT || self.bytes > limit {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.missing = true;
        }
    }

    /// Keeps a trigger, a topic's once.
    pub(crate) fn add_trigger(&mut self, trigger: &Arc<Trigger>) {
        let known = |kept: &Happened| matches!(kept, Happened::Trigger(other) if other.topic() == trigger.topic());
        if self.kept.iter().any(known) {
            return;
        }
        if self.kept.len() >= LIMIT {
            self.missing = true;
            return;
        }
        self.kept.push_back(Happened::Trigger(Arc::clone(trigger)));
    }

    /// Puts what was taken before back in front: the callback that had it has failed.
    pub(crate) fn put_back(&mut self, taken: Self, limit: usize) {
        let later = std::mem::replace(self, taken);
        self.missing |= later.missing;
        for happened in later.kept {
            match happened {
                Happened::Event(event) => self.add_event(&event, limit),
                Happened::Trigger(trigger) => self.add_trigger(&trigger),
            }
        }
    }

    /// As it is told to the callback.
    pub(crate) fn deliveries(&self) -> Vec<Delivery<'_>> {
        let missing = self.missing.then_some(Delivery::Trigger { topic: topic::ALL });
        missing.into_iter().chain(self.kept.iter().map(Happened::delivery)).collect()
    }
}

impl Happened {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.message().len(),
            Self::Trigger(_) => 0,
        }
    }

    fn delivery(&self) -> Delivery<'_> {
        match self {
            Self::Event(event) => event.delivery(),
            Self::Trigger(trigger) => Delivery::Trigger { topic: trigger.topic() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;

    fn event(data: &str) -> Arc<Event> {
        let new = NewEvent { topics: vec!["a"], data: data.as_bytes(), ..Default::default() };
        Arc::new(Event::new(&new, data))
    }

    fn told(pending: &Pending) -> Vec<String> {
        let tell = |delivery| match delivery {
            Delivery::Event { id, .. } => id.to_owned(),
            Delivery::Trigger { topic } => format!("changed: {topic}"),
            Delivery::Heartbeat => unreachable!("nobody adds heartbeats"),
        };
        pending.deliveries().into_iter().map(tell).collect()
    }

    #[test]
    fn a_topic_that_changed_twice_is_told_once_and_events_all() {
        let mut pending = Pending::default();
        pending.add_trigger(&Arc::new(Trigger::new("a")));
        pending.add_event(&event("1"), 1000);
        pending.add_trigger(&Arc::new(Trigger::new("a")));
        pending.add_event(&event("1"), 1000);
        assert_eq!(told(&pending), ["changed: a", "1", "1"]);
    }

    #[test]
    fn what_is_too_much_is_told_as_anything_may_have_changed() {
        let mut pending = Pending::default();
        let room_for_two = 2 * event("1").message().len();
        for data in ["1", "2", "3"] {
            pending.add_event(&event(data), room_for_two);
        }
        assert_eq!(told(&pending), ["changed: **", "2", "3"]);
        let mut pending = Pending::default();
        for number in 0..=LIMIT {
            pending.add_trigger(&Arc::new(Trigger::new(&format!("t{number}"))));
        }
        assert_eq!(told(&pending)[..2], ["changed: **", "changed: t0"]);
        assert_eq!(told(&pending).len(), LIMIT + 1);
    }

    #[test]
    fn what_a_failed_callback_had_comes_before_what_came_meanwhile() {
        let mut pending = Pending::default();
        pending.add_event(&event("1"), 1000);
        let taken = std::mem::take(&mut pending);
        pending.add_event(&event("2"), 1000);
        pending.put_back(taken, 1000);
        assert_eq!(told(&pending), ["1", "2"]);
    }
}
