//! What has happened on a stream's topics since its callback ran last.

use std::collections::VecDeque;
use std::sync::Arc;

use super::meter::{Charge, Meter, Metered};
use crate::event::Event;
use crate::stream::Trigger;
use crate::topic;
use crate::wire::Delivery;

/// Events and triggers kept for one callback; beyond that it is told that anything may have changed.
const LIMIT: usize = 1000;

/// One of them.
#[derive(Debug, Clone)]
pub(super) enum Happened {
    Event(Arc<Metered<Event>>),
    Trigger(Arc<Metered<Trigger>>),
}

/// Events and triggers in their order, bounded by their number and by the bytes they take on the wire, and by what is kept
/// for all callbacks together.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(super) kept: VecDeque<Happened>,
    pub(super) bytes: usize,
    /// The oldest were dropped.
    pub(super) missing: bool,
    /// Of the list itself.
    pub(super) charge: Option<Charge>,
}

impl Pending {
    /// Keeps an event, and lets the oldest go where there is no room.
    pub(crate) fn add_event(&mut self, event: &Arc<Metered<Event>>, limit: usize, meter: &Meter) {
        self.bytes += event.message().len();
        self.kept.push_back(Happened::Event(Arc::clone(event)));
        while self.kept.len() > LIMIT || self.bytes > limit {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.missing = true;
        }
        self.count(meter);
    }

    /// Keeps a trigger, a topic's once.
    pub(crate) fn add_trigger(&mut self, trigger: &Arc<Metered<Trigger>>, meter: &Meter) {
        let known = |kept: &Happened| matches!(kept, Happened::Trigger(other) if other.topic() == trigger.topic());
        if self.kept.iter().any(known) {
            return;
        }
        if self.kept.len() >= LIMIT {
            self.missing = true;
            return;
        }
        self.kept.push_back(Happened::Trigger(Arc::clone(trigger)));
        self.count(meter);
    }

    /// Puts what was taken before back in front: the callback that had it has failed.
    pub(crate) fn put_back(&mut self, taken: Self, limit: usize, meter: &Meter) {
        let later = std::mem::replace(self, taken);
        self.missing |= later.missing;
        for happened in later.kept {
            match happened {
                Happened::Event(event) => self.add_event(&event, limit, meter),
                Happened::Trigger(trigger) => self.add_trigger(&trigger, meter),
            }
        }
    }

    /// Counts what it takes. Where too much is kept for all together, nothing is kept here but that anything may have changed.
    pub(super) fn count(&mut self, meter: &Meter) {
        let own = self.kept.capacity() * size_of::<Happened>();
        self.charge.get_or_insert_with(|| meter.charge(0)).set(own);
        if meter.is_over() {
            *self = Self { missing: true, ..Self::default() };
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

    const ENOUGH: usize = 1 << 20;

    fn meter() -> Meter {
        Meter::new(ENOUGH)
    }

    fn event(data: &str, meter: &Meter) -> Arc<Metered<Event>> {
        let new = NewEvent { topics: vec!["a"], data: data.as_bytes(), ..Default::default() };
        let event = Arc::new(Event::new(&new, data));
        meter.keep(&event, event.message().len())
    }

    fn trigger(topic: &str, meter: &Meter) -> Arc<Metered<Trigger>> {
        let trigger = Arc::new(Trigger::new(topic));
        meter.keep(&trigger, trigger.len())
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
        let (mut pending, meter) = (Pending::default(), meter());
        pending.add_trigger(&trigger("a", &meter), &meter);
        pending.add_event(&event("1", &meter), 1000, &meter);
        pending.add_trigger(&trigger("a", &meter), &meter);
        pending.add_event(&event("1", &meter), 1000, &meter);
        assert_eq!(told(&pending), ["changed: a", "1", "1"]);
    }

    #[test]
    fn what_is_too_much_is_told_as_anything_may_have_changed() {
        let (mut pending, meter) = (Pending::default(), meter());
        let room_for_two = 2 * event("1", &meter).message().len();
        for data in ["1", "2", "3"] {
            pending.add_event(&event(data, &meter), room_for_two, &meter);
        }
        assert_eq!(told(&pending), ["changed: **", "2", "3"]);
        let mut pending = Pending::default();
        for number in 0..=LIMIT {
            pending.add_trigger(&trigger(&format!("t{number}"), &meter), &meter);
        }
        assert_eq!(told(&pending)[..2], ["changed: **", "changed: t0"]);
        assert_eq!(told(&pending).len(), LIMIT + 1);
    }

    #[test]
    fn what_a_failed_callback_had_comes_before_what_came_meanwhile() {
        let (mut pending, meter) = (Pending::default(), meter());
        pending.add_event(&event("1", &meter), 1000, &meter);
        let taken = std::mem::take(&mut pending);
        pending.add_event(&event("2", &meter), 1000, &meter);
        pending.put_back(taken, 1000, &meter);
        assert_eq!(told(&pending), ["1", "2"]);
    }

    #[test]
    fn where_all_callbacks_together_have_too_much_a_list_becomes_anything_may_have_changed() {
        let meter = Meter::new(5000);
        let (mut one, mut other) = (Pending::default(), Pending::default());
        let large = event(&"x".repeat(1500), &meter);
        for pending in [&mut one, &mut other] {
            pending.add_event(&large, ENOUGH, &meter);
            assert_eq!(told(pending).len(), 1, "what is shared counts once");
        }
        drop(large);
        let used = meter.used();
        let another = event(&"y".repeat(1500), &meter);
        one.add_event(&another, ENOUGH, &meter);
        drop(another);
        assert_eq!((told(&one), told(&other).len()), (vec!["changed: **".to_owned()], 1));
        assert!(meter.used() < used, "{} of {used}", meter.used());
        one.add_event(&event("z", &meter), ENOUGH, &meter);
        assert_eq!(told(&one), ["changed: **", "z"], "there is room again");
        drop((one, other));
        assert_eq!(meter.used(), 0);
    }
}
