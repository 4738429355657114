//! Rate limit for notifications by UDP without a key: anybody on the machine can send them, and each may cost a request for
//! every stream that is subscribed.
//!
//! Excess notifications are delayed and merged, never lost: without room to remember topics, the hub notifies all topics.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Minimum time between two notifications of all topics.
const BETWEEN_ALL: Duration = Duration::from_secs(1);

/// Minimum time between two notifications of one topic.
const BETWEEN_SAME: Duration = Duration::from_millis(100);

/// Time within which at most `rate` notifications pass.
const WINDOW: Duration = Duration::from_secs(1);

/// Maximum number of topics held back. `rate` is a limit as well: a topic behind that many others is notified sooner with all.
const MAX_HELD: usize = 1024;

/// The rate limiter: passes notifications now, or holds them back.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Maximum number of notifications within a [`WINDOW`].
    rate: usize,
    /// The notifications within the last [`WINDOW`], at most `rate`: time and topic; `None` means all topics.
    told: VecDeque<(Instant, Option<Arc<str>>)>,
    /// Time of the last notification of each topic in `told`.
    last: HashMap<Arc<str>, Instant>,
    last_all: Option<Instant>,
    /// Topics held back, each once.
    held: VecDeque<Arc<str>>,
    known: HashSet<Arc<str>>,
    all_held: bool,
}

impl Pace {
    /// Creates a limiter of `rate` notifications a second, at least one.
    pub(crate) fn new(rate: usize) -> Self {
        Self {
            rate: rate.max(1),
            told: VecDeque::new(),
            last: HashMap::new(),
            last_all: None,
            held: VecDeque::new(),
            known: HashSet::new(),
            all_held: false,
        }
    }

    /// Takes a notification of these topics, or of all, and calls `tell` for what may pass now. True if that is all of it.
    pub(crate) fn offer(&mut self, topics: &[&str], now: Instant, mut tell: impl FnMut(&[&str])) -> bool {
        self.forget(now);
        if topics.is_empty() {
            let passes = self.has_room() && self.all_from().is_none_or(|at| at <= now);
            if passes {
                self.tell_all(now, tell);
            } else {
                self.hold_all();
            }
            return passes;
        }
        let mut all = true;
        for &topic in topics {
            if self.has_room() && !self.known.contains(topic) && !self.is_recent(topic, now) {
                self.tell(topic.into(), now, &mut tell);
            } else {
                self.hold(topic);
                all = false;
            }
        }
        all
    }

    /// Calls `tell` for notifications held back that may pass by now.
    pub(crate) fn release(&mut self, now: Instant, mut tell: impl FnMut(&[&str])) {
        self.forget(now);
        if self.all_held && self.has_room() && self.all_from().is_none_or(|at| at <= now) {
            self.tell_all(now, tell);
            return;
        }
        for _ in 0..self.held.len() {
            let Some(topic) = self.held.pop_front() else { break };
            if self.has_room() && !self.is_recent(&topic, now) {
                self.known.remove(&topic);
                self.tell(topic, now, &mut tell);
            } else {
                self.held.push_back(topic);
            }
        }
    }

    /// When a notification held back may pass; `None` if there is none.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.has_held() {
            return None;
        }
        let room = self.told.front().filter(|_| !self.has_room()).map(|(at, _)| *at + WINDOW);
        let own = if self.all_held {
            self.all_from()
        } else {
            self.held.iter().map(|topic| self.last.get(topic).map(|at| *at + BETWEEN_SAME)).min().flatten()
        };
        // No limit applies: it may pass at once.
        Some(room.max(own).unwrap_or_else(Instant::now))
    }

    /// Whether any notification is held back.
    pub(crate) fn has_held(&self) -> bool {
        self.all_held || !self.held.is_empty()
    }

    fn has_room(&self) -> bool {
        self.told.len() < self.rate
    }

    fn all_from(&self) -> Option<Instant> {
        self.last_all.map(|at| at + BETWEEN_ALL)
    }

    fn tell(&mut self, topic: Arc<str>, now: Instant, tell: &mut impl FnMut(&[&str])) {
        tell(&[&topic]);
        self.last.insert(Arc::clone(&topic), now);
        self.told.push_back((now, Some(topic)));
    }

    fn tell_all(&mut self, now: Instant, mut tell: impl FnMut(&[&str])) {
        tell(&[]);
        (self.last_all, self.all_held) = (Some(now), false);
        // A notification of all topics includes those held back.
        self.held.clear();
        self.known.clear();
        self.told.push_back((now, None));
    }

    fn hold(&mut self, topic: &str) {
        // A pending notification includes this topic.
        if self.all_held || self.known.contains(topic) {
            return;
        }
        if self.held.len() >= self.rate.min(MAX_HELD) {
            self.hold_all();
            return;
        }
        let topic: Arc<str> = topic.into();
        self.known.insert(Arc::clone(&topic));
        self.held.push_back(topic);
    }

    fn hold_all(&mut self) {
        self.all_held = true;
        self.held.clear();
        self.known.clear();
    }

    /// Forgets notifications older than the window.
    fn forget(&mut self, now: Instant) {
        while self.told.front().is_some_and(|(at, _)| *at + WINDOW <= now) {
            let Some((at, topic)) = self.told.pop_front() else { break };
            if let Some(topic) = topic.filter(|topic| self.last.get(topic) == Some(&at)) {
                self.last.remove(&topic);
            }
        }
    }

    fn is_recent(&self, topic: &str, now: Instant) -> bool {
        self.last.get(topic).is_some_and(|at| *at + BETWEEN_SAME > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    struct PaceTold(Vec<String>);

    impl PaceTold {
        fn taken(&mut self) -> Vec<String> {
            std::mem::take(&mut self.0)
        }
    }

    fn offer(pace: &mut Pace, topics: &[&str], now: Instant, told: &mut PaceTold) -> bool {
        pace.offer(topics, now, |topics| told.0.push(topics.join(" ")))
    }

    fn release(pace: &mut Pace, now: Instant) -> Vec<String> {
        let mut told = Vec::new();
        pace.release(now, |topics| told.push(topics.join(" ")));
        told
    }

    #[test]
    fn a_topic_is_told_ten_times_a_second_and_the_last_one_is_not_lost() {
        let (mut pace, start, mut told) = (Pace::new(50), Instant::now(), PaceTold(Vec::new()));
        assert!(offer(&mut pace, &["a"], start, &mut told));
        assert!(!offer(&mut pace, &["a", "b"], after(start, 1), &mut told));
        assert!(!offer(&mut pace, &["a"], after(start, 2), &mut told));
        assert_eq!(told.taken(), ["a", "b"]);
        assert_eq!(release(&mut pace, after(start, 99)), [""; 0]);
        assert_eq!(pace.deadline(), Some(after(start, 100)));
        assert_eq!(release(&mut pace, after(start, 100)), ["a"]);
        assert_eq!((pace.deadline(), pace.has_held()), (None, false));
    }

    #[test]
    fn everything_is_told_once_a_second_and_stands_for_what_was_held_back() {
        let (mut pace, start, mut told) = (Pace::new(50), Instant::now(), PaceTold(Vec::new()));
        assert!(offer(&mut pace, &["a"], start, &mut told));
        assert!(!offer(&mut pace, &["a"], start, &mut told));
        assert!(offer(&mut pace, &[], start, &mut told));
        assert!(!pace.has_held());
        assert!(!offer(&mut pace, &[], after(start, 500), &mut told));
        // The limit on all topics doesn't delay a single topic.
        assert!(offer(&mut pace, &["b"], after(start, 500), &mut told));
        assert_eq!(told.taken(), ["a", "", "b"]);
        assert_eq!(pace.deadline(), Some(after(start, 1000)));
        assert_eq!(release(&mut pace, after(start, 1000)), [""]);
    }

    #[test]
    fn too_many_topics_become_everything() {
        let (mut pace, start, mut told) = (Pace::new(3), Instant::now(), PaceTold(Vec::new()));
        for topic in ["a", "b", "c", "d", "e", "f"] {
            offer(&mut pace, &[topic], start, &mut told);
        }
        assert_eq!(told.taken(), ["a", "b", "c"]);
        assert_eq!((pace.held.len(), pace.all_held), (3, false));
        offer(&mut pace, &["g"], start, &mut told);
        assert_eq!((pace.held.len(), pace.all_held), (0, true));
        assert_eq!(pace.deadline(), Some(after(start, 1000)), "there is room then");
        assert_eq!(release(&mut pace, after(start, 1000)), [""]);
    }

    proptest! {
        /// Attack: any datagrams at any time, to exceed the rate or to make the hub lose a notification.
        #[test]
        fn never_more_than_the_setting_and_nothing_is_lost(
            rate in 1_usize..20,
            steps in proptest::collection::vec((0_u64..200, proptest::collection::vec(0_u8..30, 0..5)), 1..200),
        ) {
            let (mut pace, start) = (Pace::new(rate), Instant::now());
            let mut now = start;
            let told = std::cell::RefCell::new(Vec::<(Instant, String)>::new());
            let mut wanted = Vec::<(Instant, String)>::new();
            let tell = |now: Instant| move |topics: &[&str]| (now, topics.join(" "));
            for (wait, topics) in steps {
                now += Duration::from_millis(wait);
                pace.release(now, |topics| told.borrow_mut().push(tell(now)(topics)));
                let topics: Vec<String> = topics.iter().map(u8::to_string).collect();
                let names: Vec<&str> = topics.iter().map(String::as_str).collect();
                pace.offer(&names, now, |topics| told.borrow_mut().push(tell(now)(topics)));
                if topics.is_empty() { wanted.push((now, String::new())); }
                wanted.extend(topics.into_iter().map(|topic| (now, topic)));
                prop_assert!(pace.held.len() <= rate && pace.told.len() <= rate && pace.last.len() <= rate);
            }
            // Releases at each deadline, as the hub does.
            while let Some(at) = pace.deadline() {
                prop_assert!(at > now, "the hub must not turn without pause");
                now = at;
                pace.release(now, |topics| told.borrow_mut().push(tell(now)(topics)));
                prop_assert!(now < start + Duration::from_secs(100));
            }
            let told = told.into_inner();
            for (at, topic) in &told {
                let within = |other: &&(Instant, String), time| other.0 <= *at && other.0 + time > *at;
                prop_assert!(told.iter().filter(|other| within(other, WINDOW)).count() <= rate);
                let between = if topic.is_empty() { BETWEEN_ALL } else { BETWEEN_SAME };
                prop_assert_eq!(told.iter().filter(|other| within(other, between) && other.1 == *topic).count(), 1);
            }
            for (at, topic) in &wanted {
                prop_assert!(told.iter().any(|(then, what)| then >= at && (what == topic || what.is_empty())), "{} is lost", topic);
            }
        }
    }
}
