//! Events and notifications for a callback since its last run.

use std::borrow::Borrow;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::event::Event;
use crate::quota::budget::{Account, Reservation};
use crate::render::meter::Metered;
use crate::stream::Trigger;
use sse_protocol::topic;
use sse_protocol::wire::Delivery;

/// Most events and notifications kept for one callback; beyond that it gets a notification of all topics.
const LIMIT: usize = 1000;

/// Most different notifications among them. This bounds the ordering thread's cost of one burst for all callbacks.
pub(crate) const TRIGGERS: usize = 64;

/// An event or a notification.
#[derive(Debug, Clone)]
pub(crate) enum Happened {
    Event(Arc<Metered<Event>>),
    Trigger(Arc<Metered<Trigger>>),
}

/// Events and notifications in their order. Bounded by their number, by their bytes on the wire, and by the memory budget.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) kept: VecDeque<Happened>,
    pub(crate) bytes: usize,
    /// Whether the oldest were dropped, or there were too many notifications.
    pub(crate) missing: bool,
    /// The topics of the notifications in `kept`.
    pub(crate) topics: HashSet<ByTopic>,
    /// The memory of the list itself.
    pub(crate) reservation: Option<Reservation>,
}

/// A notification, hashed by its topic.
#[derive(Debug)]
pub(crate) struct ByTopic(Arc<Metered<Trigger>>);

impl Borrow<str> for ByTopic {
    fn borrow(&self) -> &str {
        self.0.topic()
    }
}

impl Hash for ByTopic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.topic().hash(state);
    }
}

impl PartialEq for ByTopic {
    fn eq(&self, other: &Self) -> bool {
        self.0.topic() == other.0.topic()
    }
}

impl Eq for ByTopic {}

impl Pending {
    /// Adds an event and drops the oldest entries beyond the limits.
    pub(crate) fn add_event(&mut self, event: &Arc<Metered<Event>>, limit: usize, account: &Account) {
        self.bytes += event.message().len();
        self.kept.push_back(Happened::Event(Arc::clone(event)));
        while self.kept.len() > LIMIT || self.bytes > limit {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
            if let Happened::Trigger(trigger) = &oldest {
                self.topics.remove(trigger.topic());
            }
            self.missing = true;
        }
        self.count(account);
    }

    /// Adds a notification, once for each topic; none if the callback gets a notification of all topics anyway.
    pub(crate) fn add_trigger(&mut self, trigger: &Arc<Metered<Trigger>>, account: &Account) {
        if self.missing || self.topics.contains(trigger.topic()) {
            return;
        }
        if self.topics.len() >= TRIGGERS || self.kept.len() >= LIMIT || trigger.topic() == topic::ALL {
            self.miss(account);
            return;
        }
        self.topics.insert(ByTopic(Arc::clone(trigger)));
        self.kept.push_back(Happened::Trigger(Arc::clone(trigger)));
        self.count(account);
    }

    /// Replaces all notifications by one of all topics.
    pub(crate) fn miss(&mut self, account: &Account) {
        if !self.missing {
            self.missing = true;
            self.topics = HashSet::new();
            self.kept.retain(|happened| matches!(happened, Happened::Event(_)));
            self.kept.shrink_to_fit();
            self.count(account);
        }
    }

    /// Pending events from the old hub.
    pub(crate) fn restore(kept: VecDeque<Happened>, missing: bool, account: &Account) -> Self {
        let bytes = kept.iter().map(Happened::bytes).sum();
        let triggers = kept.iter().filter_map(|happened| match happened {
            Happened::Trigger(trigger) => Some(ByTopic(Arc::clone(trigger))),
            Happened::Event(_) => None,
        });
        let mut pending = Self { topics: triggers.collect(), kept, bytes, missing, reservation: None };
        pending.count(account);
        pending
    }

    /// Puts the events of a failed attempt back in front of the later ones.
    pub(crate) fn put_back(&mut self, taken: Self, limit: usize, account: &Account) {
        let later = std::mem::replace(self, taken);
        if later.missing {
            self.miss(account);
        }
        for happened in later.kept {
            match happened {
                Happened::Event(event) => self.add_event(&event, limit, account),
                Happened::Trigger(trigger) => self.add_trigger(&trigger, account),
            }
        }
    }

    /// Charges its memory to `account`. If the client's quota or the budget is exceeded, only a notification of all topics
    /// remains.
    pub(crate) fn count(&mut self, account: &Account) {
        // An estimate of the set's memory: an eighth of it is free, and each place has one extra byte.
        let topics = self.topics.capacity() * (size_of::<ByTopic>() + 1) * 8 / 7;
        let own = self.kept.capacity() * size_of::<Happened>() + topics;
        self.reservation.get_or_insert_with(|| account.take(0)).set_with_shared(own, self.bytes);
        if account.check().is_err() {
            *self = Self { missing: true, ..Self::default() };
        }
    }

    /// The messages for the callback.
    pub(crate) fn deliveries(&self) -> Vec<Delivery<'_>> {
        let missing = self.missing.then_some(Delivery::Trigger { topic: topic::ALL });
        missing.into_iter().chain(self.kept.iter().map(Happened::delivery)).collect()
    }
}

impl Happened {
    pub(crate) fn bytes(&self) -> usize {
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
    use crate::quota::budget::Budget;
    use sse_protocol::event::NewEvent;

    const ENOUGH: usize = 1 << 20;

    fn account() -> Account {
        Budget::new("", ENOUGH).of_all()
    }

    fn event(data: &str, account: &Account) -> Arc<Metered<Event>> {
        let new = NewEvent { topics: vec!["a"], data: data.as_bytes(), ..Default::default() };
        let event = Arc::new(Event::new(&new, data));
        Metered::new(&event, event.message().len(), account)
    }

    fn trigger(topic: &str, account: &Account) -> Arc<Metered<Trigger>> {
        let trigger = Arc::new(Trigger::new(topic));
        Metered::new(&trigger, trigger.len(), account)
    }

    fn told(pending: &Pending) -> Vec<String> {
        let tell = |delivery| match delivery {
            Delivery::Event { id, .. } => id.to_owned(),
            Delivery::Trigger { topic } => format!("changed: {topic}"),
            Delivery::Heartbeat | Delivery::Replaced { .. } | Delivery::Retry { .. } => {
                unreachable!("nobody adds these")
            }
        };
        pending.deliveries().into_iter().map(tell).collect()
    }

    #[test]
    fn a_topic_that_changed_twice_is_told_once_and_events_all() {
        let (mut pending, account) = (Pending::default(), account());
        pending.add_trigger(&trigger("a", &account), &account);
        pending.add_event(&event("1", &account), 1000, &account);
        pending.add_trigger(&trigger("a", &account), &account);
        pending.add_event(&event("1", &account), 1000, &account);
        assert_eq!(told(&pending), ["changed: a", "1", "1"]);
    }

    #[test]
    fn what_is_too_much_is_told_as_anything_may_have_changed() {
        let (mut pending, account) = (Pending::default(), account());
        let room_for_two = 2 * event("1", &account).message().len();
        for data in ["1", "2", "3"] {
            pending.add_event(&event(data, &account), room_for_two, &account);
        }
        assert_eq!(told(&pending), ["changed: **", "2", "3"]);
    }

    #[test]
    fn too_many_topics_are_told_as_anything_may_have_changed_and_are_kept_no_longer() {
        let budget = Budget::new("", ENOUGH);
        let account = budget.of_all();
        let mut pending = Pending::default();
        pending.add_event(&event("1", &account), ENOUGH, &account);
        for number in 0..TRIGGERS {
            pending.add_trigger(&trigger(&format!("t{number}"), &account), &account);
        }
        assert_eq!(told(&pending).len(), TRIGGERS + 1);
        let used = budget.used();
        pending.add_trigger(&trigger("another", &account), &account);
        pending.add_trigger(&trigger("one more", &account), &account);
        assert_eq!(told(&pending), ["changed: **", "1"]);
        assert!(budget.used() < used, "{} of {used}", budget.used());
        let mut pending = Pending::default();
        pending.add_trigger(&trigger("a", &account), &account);
        pending.add_trigger(&trigger(topic::ALL, &account), &account);
        assert_eq!(told(&pending), ["changed: **"]);
    }

    #[test]
    fn a_topic_that_was_dropped_for_want_of_room_can_change_again_once_that_was_told() {
        let (mut pending, account) = (Pending::default(), account());
        pending.add_trigger(&trigger("a", &account), &account);
        (0..LIMIT).for_each(|number| pending.add_event(&event(&number.to_string(), &account), ENOUGH, &account));
        assert_eq!(told(&pending)[..2], ["changed: **", "0"]);
        pending = Pending::default();
        pending.add_trigger(&trigger("a", &account), &account);
        assert_eq!(told(&pending), ["changed: a"]);
    }

    #[test]
    fn what_a_failed_callback_had_comes_before_what_came_meanwhile() {
        let (mut pending, account) = (Pending::default(), account());
        pending.add_event(&event("1", &account), 1000, &account);
        let taken = std::mem::take(&mut pending);
        pending.add_event(&event("2", &account), 1000, &account);
        pending.put_back(taken, 1000, &account);
        assert_eq!(told(&pending), ["1", "2"]);
    }

    #[test]
    fn where_all_callbacks_together_have_too_much_a_list_becomes_anything_may_have_changed() {
        let budget = Budget::new("", 5000);
        let account = budget.of_all();
        let (mut one, mut other) = (Pending::default(), Pending::default());
        let large = event(&"x".repeat(1500), &account);
        for pending in [&mut one, &mut other] {
            pending.add_event(&large, ENOUGH, &account);
            assert_eq!(told(pending).len(), 1, "what is shared counts once");
        }
        drop(large);
        let used = budget.used();
        let another = event(&"y".repeat(1500), &account);
        one.add_event(&another, ENOUGH, &account);
        drop(another);
        assert_eq!((told(&one), told(&other).len()), (vec!["changed: **".to_owned()], 1));
        assert!(budget.used() < used, "{} of {used}", budget.used());
        one.add_event(&event("z", &account), ENOUGH, &account);
        assert_eq!(told(&one), ["changed: **", "z"], "there is room again");
        drop((one, other));
        assert_eq!(budget.used(), 0);
    }

    /// Attack: a client keeps its callbacks from running, so that those of other clients lose their pending events.
    #[test]
    fn what_one_client_has_too_much_of_leaves_what_others_have() {
        let budget = Budget::new("", 80_000);
        let [greedy, other] = ["192.0.2.1", "192.0.2.2"].map(|address| budget.account(Some(address)));
        let (mut of_greedy, mut of_other) = (Pending::default(), Pending::default());
        for number in 0..8 {
            let event = event(&format!("{number}{}", "x".repeat(1500)), &budget.of_all());
            of_greedy.add_event(&event, ENOUGH, &greedy);
            if number == 0 {
                of_other.add_event(&event, ENOUGH, &other);
            }
        }
        assert_eq!(told(&of_greedy)[0], "changed: **");
        assert_eq!(told(&of_other).len(), 1);
        assert!(budget.of_all().check().is_ok());
    }
}
