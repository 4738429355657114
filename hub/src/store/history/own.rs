//! The hub's own events: those that tell of Mercure's subscriptions. Any client makes them by opening and closing streams, so they
//! have a share of the history's bytes, and push out one another and never a site's events.
//!
//! They are known by their topics, whichever hub has published them. What is evicted of them is a gap only for clients that may
//! get them.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::store::history::topics::HistoryTopics;
use crate::store::history::{History, cost};
use sse_protocol::id::Id;
use sse_protocol::mercure::is_of_subscription;

/// The part of the history's bytes that they may take: an eighth.
const SHARE: usize = 8;

/// The hub's own events in a history.
#[derive(Debug, Default)]
pub(super) struct OwnEvents {
    /// Stamps of those that are kept.
    stamps: BTreeSet<Id>,
    /// Bytes of these, with those of their topics for each.
    bytes: usize,
    /// The newest evicted stamp.
    pub(super) forgotten: Id,
}

/// Whether an event is the hub's own.
pub(super) fn is_own(event: &Event) -> bool {
    event.topics().iter().all(|name| is_of_subscription(name))
}

/// Bytes that an event takes of the share.
fn share(event: &Event, stamp: Id) -> usize {
    cost(event, stamp) + event.topics().iter().map(|name| HistoryTopics::cost(name)).sum::<usize>()
}

impl OwnEvents {
    /// An empty list; what came before a stamp is unknown.
    pub(super) fn new(forgotten: Id) -> Self {
        Self { forgotten, ..Self::default() }
    }

    /// Notes that an event is kept.
    pub(super) fn keep(&mut self, event: &Event, stamp: Id) {
        if self.stamps.insert(stamp) {
            self.bytes += share(event, stamp);
        }
    }

    /// Notes that an event is evicted.
    pub(super) fn forget(&mut self, event: &Event, stamp: Id) {
        if self.stamps.remove(&stamp) {
            self.bytes -= share(event, stamp);
        }
        self.forgotten = self.forgotten.max(stamp);
    }
}

impl History {
    /// Evicts the oldest of the hub's own events while they take more than their share.
    pub(super) fn keep_own_within_share(&mut self) {
        while self.own.bytes > self.limits.bytes / SHARE
            && let Some(stamp) = self.own.stamps.first().copied()
        {
            let place = self.log.binary_search_by_key(&stamp, |entry| entry.stamp).ok();
            let Some(event) = place.and_then(|place| self.log[place].event.take()) else {
                self.own.stamps.remove(&stamp);
                continue;
            };
            self.forget(&event, stamp);
            self.holes += 1;
            self.sweep();
        }
    }

    /// The newest evicted stamp of the topics that keep no event now, as far as a client may get them.
    pub(super) fn forgotten_of(&self, gets_own: bool) -> Id {
        if gets_own { self.forgotten.max(self.own.forgotten) } else { self.forgotten }
    }

    /// The newest evicted stamp of all topics, as far as a client may get them.
    pub(super) fn newest_forgotten_of(&self, gets_own: bool) -> Id {
        if gets_own { self.newest_forgotten.max(self.own.forgotten) } else { self.newest_forgotten }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use sse_protocol::event::NewEvent;
    use sse_protocol::mercure;

    use super::*;
    use crate::store::history::{HistoryLimits, Watermarks};

    const START: Id = Id { ms: 1000, seq: 0 };
    const BYTES: usize = 1 << 17;
    const LIMITS: HistoryLimits =
        HistoryLimits { events: 100, ttl: Duration::from_secs(3600), bytes: BYTES, after_gap: 1 << 20 };

    fn event(topics: &[&str], id: &str) -> Arc<Event> {
        Arc::new(Event::new(&NewEvent { topics: topics.to_vec(), data: b"x", ..NewEvent::default() }, id))
    }

    fn add(history: &mut History, topics: &[&str]) -> String {
        let stamp = history.newest().after();
        history.add(&event(topics, &stamp.to_string()), stamp, Instant::now());
        stamp.to_string()
    }

    fn subscribed(nth: usize, subscriber: usize) -> String {
        let pattern = mercure::subscription(&format!("/{nth}"));
        mercure::topic(&mercure::subscription_topic(&pattern, &subscriber.to_string(), true), true)
    }

    fn missed(history: &mut History, patterns: &[&str], since: &str) -> (bool, usize) {
        let missed = history.missed(patterns, since, Instant::now());
        (missed.gap.is_some(), missed.events.len())
    }

    /// Attack: clients who open and close streams until the history has nothing but what tells of that.
    #[test]
    fn a_sites_events_stay_however_many_of_the_hubs_own_come() {
        let mut history = History::new(LIMITS, START);
        let first = add(&mut history, &["news"]);
        for nth in 0..20_000 {
            add(&mut history, &[&subscribed(nth % 300, nth % 7)]);
            assert!(history.own.bytes <= BYTES / SHARE && history.bytes() <= BYTES / SHARE + 2000);
        }
        let last = add(&mut history, &["news"]);
        assert_eq!(missed(&mut history, &["news"], &START.to_string()), (false, 2));
        // Nor is a reader of other topics, of which nothing is kept, told of a gap.
        assert_eq!(missed(&mut history, &["quiet", "other.**", &mercure::subscription("/a/{id}")], &first), (false, 0));
        // One that may get them is, and gets those that are kept.
        let all = "/.well-known/mercure/subscriptions/{kind}/{topic}/{subscriber}";
        let (gap, count) = missed(&mut history, &[&mercure::right(all), &mercure::subscription(all)], &first);
        assert!(gap && (5..200).contains(&count), "{count} of them");
        assert_eq!(missed(&mut history, &["news"], &last), (false, 0));
        // Nothing is left of them once they are too old.
        history.expire(Instant::now() + Duration::from_secs(7200), usize::MAX);
        assert_eq!((history.bytes(), history.own.bytes, history.own.stamps.len()), (0, 0, 0));
    }

    #[test]
    fn an_event_of_a_sites_with_such_a_topic_is_a_sites() {
        let mut history = History::new(LIMITS, START);
        let topic = subscribed(1, 1);
        add(&mut history, &[&topic, "news"]);
        (0..5000).for_each(|_| drop(add(&mut history, &[&topic])));
        assert!(history.topics.get("news").is_some_and(|topic| !topic.is_empty()));
        history.expire(Instant::now() + Duration::from_secs(7200), usize::MAX);
        assert_eq!((history.bytes(), history.topics.len(), history.own.bytes), (0, 0, 0));
    }

    #[test]
    fn what_was_evicted_is_known_after_a_restart() {
        let mut history =
            History::restore(LIMITS, Watermarks { began: START, ..Watermarks::default() }, [], Instant::now(), 0);
        (0..1000).for_each(|nth| drop(add(&mut history, &[&subscribed(nth, 1)])));
        let evictions = history.take_evictions().expect("some");
        assert!(evictions.own_forgotten > START && evictions.forgotten < START);
        let marks = Watermarks {
            began: START,
            own_forgotten: evictions.own_forgotten,
            newest: history.newest(),
            ..Watermarks::default()
        };
        let mut next = History::restore(LIMITS, marks, [], Instant::now(), 0);
        let all = "/.well-known/mercure/subscriptions/{kind}/{topic}/{subscriber}";
        let patterns = [mercure::right(all), mercure::subscription(all)];
        assert_eq!(missed(&mut next, &[&patterns[0], &patterns[1]], &START.to_string()), (true, 0));
        assert_eq!(missed(&mut next, &["news"], &START.to_string()), (false, 0));
    }
}
