//! Finished topics: streams that wait for nothing any more end, and clients that have everything are told so.

use std::collections::HashSet;
use std::sync::Arc;

use crate::broker::Broker;
use crate::event::Event;
use crate::shard::command::{Command, FinishTime};
use crate::store::finished::{LastEvent, Topic};
use crate::store::history::Missed;
use sse_protocol::id::{Id, now_ms};
use sse_protocol::wire;

/// What is left for a client all of whose topics are finished.
#[derive(Debug)]
pub(crate) enum Conclusion {
    /// Nothing: it has all last events.
    Over,
    /// These last events, and what it has missed before them. Oldest first.
    Last(Vec<Arc<Event>>),
}

impl Broker {
    /// What is left for the client of a new stream; `None` if one of its topics is not finished, or the stream does not end
    /// with its topics.
    pub(crate) fn conclusion(&self, wanted: &wire::Attach<'_>) -> Option<Conclusion> {
        let wire::Attach { patterns, spec, last_event_id, .. } = wanted;
        if !spec.finishes || self.finished.is_empty() || patterns.len() > self.config.max_topics {
            return None;
        }
        let now = now_ms();
        let mut last = patterns.iter().map(|topic| self.finished.get(topic, now)).collect::<Option<Vec<_>>>()?;
        last.sort_unstable_by_key(|last| last.stamp);
        last.dedup_by_key(|last| last.stamp);
        let newest = *last.last()?;
        let position = match *last_event_id {
            // Also without a history.
            Some(id) if id == newest.event.id() => Some(newest.stamp),
            Some(id) => self.history.stamp(id),
            None => None,
        };
        if position >= Some(newest.stamp) {
            return Some(Conclusion::Over);
        }
        let missing = last.into_iter().filter(|last| position < Some(last.stamp));
        Some(Conclusion::Last(missing.map(|last| Arc::clone(&last.event)).collect()))
    }

    /// Adds the last events that the history does not keep any more to what a client has missed.
    pub(crate) fn complete(missed: Missed, last: Vec<Arc<Event>>) -> Missed {
        let found: HashSet<*const Event> = missed.events.iter().map(Arc::as_ptr).collect();
        // What the history has dropped is older than what it keeps.
        let dropped = last.into_iter().filter(|event| !found.contains(&Arc::as_ptr(event)));
        let events: Vec<_> = dropped.chain(missed.events).collect();
        Missed { cursor: missed.cursor.filter(|_| events.is_empty()), events, ..missed }
    }

    /// The finished ones of a stream's topics.
    pub(crate) fn finished_among(&self, patterns: &[&str]) -> Vec<Box<str>> {
        if self.finished.is_empty() {
            return Vec::new();
        }
        let now = now_ms();
        patterns.iter().filter(|topic| self.finished.get(topic, now).is_some()).map(|&topic| topic.into()).collect()
    }

    /// Tells the shard of a stream which of its new topics are finished. If all are, the stream ends.
    pub(crate) fn tell_finished_to(&mut self, stream: u64, patterns: &[Box<str>]) {
        let finished = self.finished_among(&patterns.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        let are_all = finished.len() == patterns.len();
        let last = finished.len().saturating_sub(1);
        for (nth, topic) in finished.into_iter().enumerate() {
            let when = if are_all && nth == last { FinishTime::Now } else { FinishTime::Before };
            self.shard(stream).send(Command::Finish { topic, when });
        }
    }

    /// Remembers that the topics of a delivered event are finished, if it is their last, or begin anew.
    pub(crate) fn learn_finish(&mut self, stamp: Id, event: &Arc<Event>) {
        if event.finishes() {
            for topic in event.topics() {
                self.finished.add(topic, LastEvent { stamp, event: Arc::clone(event) });
                self.tell_finish(topic, FinishTime::Now);
            }
        } else if !self.finished.is_empty() {
            for topic in event.topics() {
                self.finished.begin_anew(topic);
            }
        }
    }

    /// Remembers the finished topics among the events that a store has kept, which are not delivered. Deletes from
    /// the store what does not stay.
    pub(crate) fn restore_finished<'a>(
        &mut self,
        topics: Vec<Topic>,
        events: impl IntoIterator<Item = (Id, &'a Arc<Event>)>,
    ) {
        self.finished.restore(topics);
        for (stamp, event) in events {
            for topic in event.topics() {
                if event.finishes() {
                    self.finished.add(topic, LastEvent { stamp, event: Arc::clone(event) });
                } else if self.finished.get(topic, stamp.ms).is_some_and(|last| last.stamp < stamp) {
                    self.finished.begin_anew(topic);
                }
            }
        }
        self.forget();
    }

    /// Takes over a finished topic of the old hub.
    pub(crate) fn inherit_finished(&mut self, topic: &str, last: LastEvent) {
        self.finished.add(topic, last);
        self.finished_untold = true;
    }

    /// Tells the shards of all finished topics, after an upgrade.
    pub(crate) fn tell_finished(&mut self) {
        if std::mem::take(&mut self.finished_untold) {
            self.tell_all_finished(FinishTime::Before);
        }
    }

    /// Tells the shards of all finished topics. With [`FinishTime::Now`], streams end that began before a store could be read,
    /// and wait for nothing any more; their clients come back and get the last events.
    pub(crate) fn tell_all_finished(&mut self, when: FinishTime) {
        let names: Vec<Arc<str>> = self.finished.names().cloned().collect();
        names.iter().for_each(|topic| self.tell_finish(topic, when));
    }

    fn tell_finish(&mut self, topic: &str, when: FinishTime) {
        for shard in &mut self.shards {
            if shard.may_watch(topic) {
                shard.send(Command::Finish { topic: topic.into(), when });
            }
        }
    }
}
