//! Finished topics: the last event of each, kept apart from the history for clients that come back or come late.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::config::Config;
use crate::event::Event;
use crate::sys::heap::allocated;
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::part::PartKind;
use sse_protocol::id::Id;

/// Bytes of a finished topic beside its name and its event: its slot in the table (of which up to half may be unused), and
/// its place in the order by age.
const ENTRY: usize = 2 * (size_of::<(Arc<str>, LastEvent)>() + 1) + 2 * size_of::<(Id, Arc<str>)>();

/// The last event of a topic.
#[derive(Debug, Clone)]
pub(crate) struct LastEvent {
    /// The event's stamp, by whose time it is forgotten.
    pub(crate) stamp: Id,
    pub(crate) event: Arc<Event>,
}

/// A finished topic and its last event.
pub(crate) type Topic = (Box<str>, LastEvent);

/// A topic that is not finished any more, and the stamp of the event that was its last.
pub(crate) type Dropped = (Box<str>, Id);

/// All finished topics.
#[derive(Debug)]
pub(crate) struct Finished {
    ttl: Duration,
    limit: usize,
    topics: HashMap<Arc<str>, LastEvent>,
    by_age: BTreeSet<(Id, Arc<str>)>,
    bytes: usize,
    /// Topics forgotten before their time, because of the limit.
    evicted: u64,
    /// Topics dropped since the last `take_dropped`; `None` if no file needs them.
    dropped: Option<Vec<Dropped>>,
}

impl Finished {
    /// Remembers nothing yet, within the settings' limits. `on_disk`: a file mirrors it.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            ttl: config.finished_ttl,
            limit: config.finished_bytes,
            topics: HashMap::new(),
            by_age: BTreeSet::new(),
            bytes: 0,
            evicted: 0,
            dropped: config.history_file.as_ref().map(|_| Vec::new()),
        }
    }

    /// Whether no topic is finished.
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Bytes of all that is remembered.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last event of a topic; `None` if it is not finished, as far as is remembered.
    pub(crate) fn get(&self, topic: &str, now_ms: u64) -> Option<&LastEvent> {
        self.topics.get(topic).filter(|last| !self.is_old(last.stamp, now_ms))
    }

    /// The finished topics.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.topics.keys()
    }

    /// Remembers the last event of a topic.
    pub(crate) fn add(&mut self, topic: &str, last: LastEvent) {
        self.remove(topic);
        let name: Arc<str> = topic.into();
        self.bytes += cost(topic, &last.event);
        self.by_age.insert((last.stamp, Arc::clone(&name)));
        self.topics.insert(name, last);
        while self.bytes > self.limit && self.forget_oldest() {
            self.evicted += 1;
        }
    }

    /// Remembers all that a store has kept.
    pub(crate) fn restore(&mut self, topics: impl IntoIterator<Item = Topic>) {
        topics.into_iter().for_each(|(topic, last)| self.add(&topic, last));
    }

    /// Drops a topic that begins anew; false if it was not finished.
    pub(crate) fn begin_anew(&mut self, topic: &str) -> bool {
        self.remove(topic)
    }

    /// Drops topics whose time is over, at most `count`; true if there are more.
    pub(crate) fn expire(&mut self, now_ms: u64, count: usize) -> bool {
        for _ in 0..count {
            match self.by_age.first() {
                Some((stamp, _)) if self.is_old(*stamp, now_ms) => {}
                _ => return false,
            }
            self.forget_oldest();
        }
        self.by_age.first().is_some_and(|(stamp, _)| self.is_old(*stamp, now_ms))
    }

    /// Returns the topics dropped since the last call, to be deleted from the file.
    pub(crate) fn take_dropped(&mut self) -> Vec<Dropped> {
        self.dropped.as_mut().map(mem::take).unwrap_or_default()
    }

    /// Sends all finished topics to the new hub of an upgrade.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let topics: Vec<_> =
            self.by_age.iter().filter_map(|(_, name)| Some((&**name, self.topics.get(name)?))).collect();
        for group in topics.chunks(10 * ITEMS) {
            let part: Vec<_> =
                group.iter().map(|(name, last)| (*name, last.stamp, outgoing.event(&last.event))).collect();
            outgoing.part(PartKind::Finished, &part, &[])?;
        }
        Ok(())
    }

    /// The part of `sse_stats()`.
    pub(crate) fn report(&self) -> serde_json::Value {
        json!({ "topics": self.topics.len(), "bytes": self.bytes, "evicted": self.evicted })
    }

    fn is_old(&self, stamp: Id, now_ms: u64) -> bool {
        u128::from(now_ms.saturating_sub(stamp.ms)) >= self.ttl.as_millis()
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest = self.by_age.first().map(|(_, name)| Arc::clone(name));
        oldest.is_some_and(|name| self.remove(&name))
    }

    fn remove(&mut self, topic: &str) -> bool {
        let Some((name, last)) = self.topics.remove_entry(topic) else { return false };
        self.bytes -= cost(&name, &last.event);
        if let Some(dropped) = &mut self.dropped {
            dropped.push(((&*name).into(), last.stamp));
        }
        self.by_age.remove(&(last.stamp, name));
        if self.topics.is_empty() {
            // Give back the memory of the busiest hour.
            self.topics = HashMap::new();
        }
        true
    }
}

/// Bytes of a topic and its last event, whether or not the history keeps that too.
fn cost(topic: &str, event: &Event) -> usize {
    ENTRY + allocated(2 * size_of::<usize>() + topic.len()) + event.memory()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sse_protocol::event::NewEvent;

    fn finished(limit: usize) -> Finished {
        let config = Config {
            finished_ttl: Duration::from_secs(60),
            finished_bytes: limit,
            history_file: Some("/a".into()),
            ..testing::config("/s".into())
        };
        Finished::new(&config)
    }

    fn last(ms: u64) -> LastEvent {
        let new = NewEvent { topics: vec!["t"], finishes: true, ..NewEvent::default() };
        LastEvent { stamp: Id { ms, seq: 0 }, event: Arc::new(Event::new(&new, "1-0")) }
    }

    #[test]
    fn a_topic_is_remembered_for_its_time_and_its_newest_end_counts() {
        let mut finished = finished(1 << 20);
        finished.add("a", last(1));
        finished.add("b", last(2));
        finished.add("a", last(30_000));
        assert_eq!(finished.take_dropped(), [("a".into(), Id { ms: 1, seq: 0 })]);
        assert_eq!(finished.get("a", 60_000).map(|last| last.stamp.ms), Some(30_000));
        assert!(finished.get("b", 60_002).is_none());
        assert!(!finished.expire(60_002, 10));
        assert_eq!(finished.take_dropped(), [("b".into(), Id { ms: 2, seq: 0 })]);
        assert!(finished.begin_anew("a") && !finished.begin_anew("a"));
        assert_eq!((finished.bytes(), finished.is_empty()), (0, true));
    }

    /// Attack: somebody finishes ever new topics, and the hub grows without end.
    #[test]
    fn no_more_is_remembered_than_the_limit_allows() {
        let limit = 10 * cost("t000", &last(1).event);
        let mut finished = finished(limit);
        for number in 0..100 {
            finished.add(&format!("t{number:03}"), last(number));
            assert!(finished.bytes() <= limit);
        }
        assert_eq!(finished.report()["evicted"], 90);
        assert!(finished.get("t089", 100).is_none() && finished.get("t090", 100).is_some());
    }
}
