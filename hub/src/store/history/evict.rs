//! Evicts events from the history: those that are too old, or too many for their topics or for the memory.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::time::Instant;

use crate::event::Event;
use crate::store::history::own::is_own;
use crate::store::history::topics::{self, HistoryTopics};
use crate::store::history::{History, cost};
use sse_protocol::id::Id;
use sse_protocol::mercure::is_of_subscription;

/// Log entries without an event that the history tolerates before it sweeps them out.
pub(crate) const HOLES: usize = 1024;

impl History {
    /// Evicts at most `most` aged events; true if there may be more.
    pub(crate) fn expire(&mut self, now: Instant, most: usize) -> bool {
        for _ in 0..most {
            let Some(oldest) = self.log.front() else { return false };
            if oldest.event.is_some() && now.saturating_duration_since(oldest.at) < self.limits.ttl {
                return false;
            }
            self.forget_oldest();
            self.expired += 1;
        }
        true
    }

    /// Returns the number of events evicted for their age since the last call.
    pub(crate) fn take_expired(&mut self) -> usize {
        mem::take(&mut self.expired)
    }

    /// Removes one topic from an event's users, and evicts the event after the last one.
    pub(crate) fn release(&mut self, stamp: Id) {
        let Ok(place) = self.log.binary_search_by_key(&stamp, |entry| entry.stamp) else { return };
        let entry = &mut self.log[place];
        entry.users -= 1;
        if entry.users == 0
            && let Some(event) = entry.event.take()
        {
            self.forget(&event, stamp);
            self.holes += 1;
            self.sweep();
        }
    }

    /// Updates counts, ids, topics and evictions for an evicted event.
    pub(crate) fn forget(&mut self, event: &Event, stamp: Id) {
        self.bytes -= cost(event, stamp);
        if is_own(event) {
            self.own.forget(event, stamp);
        } else {
            self.newest_forgotten = self.newest_forgotten.max(stamp);
        }
        if let Some(named) = self.ids.get_mut(event.id()) {
            named.kept -= 1;
            if named.kept == 0 {
                self.ids.remove(event.id());
                topics::shrink_table(&mut self.ids);
            }
        }
        for name in event.topics() {
            let Some(topic) = self.topics.get_mut(name) else {
                self.forget_topic(name, stamp);
                continue;
            };
            topic.forget(stamp);
            let forgotten = topic.forgotten;
            let empty = topic.is_empty();
            if empty {
                self.forget_topic(name, forgotten);
                self.bytes -= HistoryTopics::cost(name);
                self.topics.remove(name);
            }
            if let Some(evictions) = &mut self.evictions {
                evictions.topics.insert(name.clone(), (!empty).then_some(forgotten));
            }
        }
        if let Some(evictions) = &mut self.evictions {
            evictions.events.push(stamp);
            (evictions.forgotten, evictions.own_forgotten) = (self.forgotten, self.own.forgotten);
        }
    }

    /// Notes the newest evicted stamp of a topic that keeps no event any more.
    fn forget_topic(&mut self, name: &str, stamp: Id) {
        let forgotten = if is_of_subscription(name) { &mut self.own.forgotten } else { &mut self.forgotten };
        *forgotten = stamp.max(*forgotten);
    }

    /// Removes topics that keep no event.
    pub(crate) fn remove_empty_topics(&mut self) {
        for (name, forgotten) in self.topics.remove_empty() {
            self.bytes -= HistoryTopics::cost(&name);
            self.forget_topic(&name, forgotten);
        }
    }

    /// Removes log entries without an event: at the front always, elsewhere once they are many.
    pub(crate) fn sweep(&mut self) {
        while self.log.front().is_some_and(|entry| entry.event.is_none()) {
            self.log.pop_front();
            self.holes -= 1;
        }
        if self.holes > HOLES && self.holes > self.log.len() / 2 {
            self.log.retain(|entry| entry.event.is_some());
            self.holes = 0;
        }
        topics::shrink(&mut self.log);
    }

    /// Evicts the oldest event; false if the log is empty.
    pub(crate) fn forget_oldest(&mut self) -> bool {
        let Some(entry) = self.log.pop_front() else { return false };
        let Some(event) = entry.event else {
            self.holes -= 1;
            return true;
        };
        self.forget(&event, entry.stamp);
        if self.log.is_empty() {
            // Give back the memory of the busiest hour.
            self.log = VecDeque::new();
            self.ids = HashMap::new();
            // During `restore` this includes topics whose events are not read yet.
            self.remove_empty_topics();
        } else {
            topics::shrink(&mut self.log);
        }
        true
    }
}
