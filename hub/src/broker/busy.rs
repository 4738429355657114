//! Which topics are busy.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stats::recent::Recent;

/// How long topics are counted, at the least.
const WINDOW: Duration = Duration::from_secs(5);

/// Most topics that are counted at a time; each takes its name, of 255 bytes at most, and some bytes more, twice.
const TOPICS: usize = 1024;

/// What came for one topic.
#[derive(Debug, Default, Clone, Copy)]
struct TopicCounts {
    events: u64,
    bytes: u64,
    notifications: u64,
}

impl AddAssign for TopicCounts {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.notifications += other.notifications;
    }
}

/// Counts of the topics that something came for lately. An upgrade begins them anew.
#[derive(Debug)]
pub(crate) struct BusyTopics(Recent<TopicCounts>);

impl BusyTopics {
    /// Nothing came yet.
    pub(crate) fn new() -> Self {
        Self(Recent::new(WINDOW, TOPICS, Instant::now()))
    }

    /// Counts an event of these topics.
    pub(crate) fn event<'a>(&mut self, topics: impl Iterator<Item = &'a str>, bytes: usize, now: Instant) {
        let counts = TopicCounts { events: 1, bytes: bytes as u64, notifications: 0 };
        topics.for_each(|topic| self.0.add(topic, now, counts));
    }

    /// Counts a notification.
    pub(crate) fn notification(&mut self, topic: &str, now: Instant) {
        self.0.add(topic, now, TopicCounts { notifications: 1, ..TopicCounts::default() });
    }

    /// The busiest, for `sse_stats()`.
    pub(crate) fn report(&self) -> Value {
        self.0.report(
            Instant::now(),
            "topics",
            |counts| counts.events + counts.notifications,
            |topic, TopicCounts { events, bytes, notifications }| {
                json!({ "topic": topic, "events": events, "bytes": bytes, "notifications": notifications })
            },
        )
    }
}
