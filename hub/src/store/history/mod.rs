//! The history: recent events, kept in memory for clients that reconnect.
//!
//! Each event has a stamp, an id of the hub's clock, whatever id its publisher gave it. Stamps order all events. Each topic
//! keeps its newest events; the history evicts the oldest ones beyond its limits of age and bytes. Each topic remembers its
//! newest evicted stamp, so that a client gets a gap exactly if it missed an evicted event.
//!
//! A history on disk is the same one: its file (`store/sqlite/file.rs`) mirrors what is kept and evicted here. The hub
//! reads it at startup.

pub(crate) mod evict;
#[cfg(test)]
pub(crate) mod memory;
mod own;
pub(crate) mod resume;
mod selectors;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod topics;
#[cfg(any(test, fuzzing))]
pub mod trial;

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::Config;
use crate::event::Event;
use crate::event::pinned::RememberedEvent;
use crate::store::history::own::{OwnEvents, is_own};
use crate::store::history::topics::HistoryTopics;
use crate::sys::heap::allocated;
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;
use sse_protocol::mercure::is_of_subscription;
use sse_protocol::topic;

/// Bytes of an event beside its own memory: its entry in the log and, per topic, its stamps in the topic's lists. Up to half of
/// each list's capacity may be unused.
const ENTRY: usize = 2 * size_of::<LogSlot>();
const PLACE: usize = 3 * size_of::<Id>();

/// Bytes of a publisher's id beside its text: its slot in the table, of which up to half may be unused.
const NAMED: usize = 2 * (size_of::<(Box<str>, Named)>() + 1);

/// Aged events evicted per added event: more than one, so that a backlog of them shrinks.
const A_TIME: usize = 2;

/// The limits of a history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistoryLimits {
    /// Events per topic; 0 switches the history off.
    pub(crate) events: usize,
    /// Age at which an event is evicted.
    pub(crate) ttl: Duration,
    /// Bytes of all events together.
    pub(crate) bytes: usize,
    /// Bytes of the events sent after a gap; `events` limits their number.
    pub(crate) after_gap: usize,
}

impl HistoryLimits {
    /// The limits from the settings.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            events: config.history_events,
            ttl: config.history_ttl,
            bytes: config.history_bytes,
            after_gap: config.stream_buffer / 2,
        }
    }
}

/// The kept events, and what is known of evicted ones.
#[derive(Debug)]
pub(crate) struct History {
    limits: HistoryLimits,
    /// Sorted by stamp.
    log: VecDeque<LogSlot>,
    holes: usize,
    topics: HistoryTopics,
    /// Kept events by the ids that their publishers gave them.
    ids: HashMap<Box<str>, Named>,
    bytes: usize,
    own: OwnEvents,
    /// Newest evicted stamp of all topics that keep no event now, except those of the hub's own events.
    forgotten: Id,
    /// Newest evicted stamp of all topics, except those of the hub's own events.
    newest_forgotten: Id,
    /// Number of times that `replace` swapped the contents.
    epoch: u64,
    /// Events evicted for their age since the last `take_expired`.
    expired: usize,
    /// Stamp at which the history began; earlier events are unknown.
    began: Id,
    /// Whether no event ever came before `began`.
    whole: bool,
    newest: Id,
    gaps: u64,
    resumed: u64,
    /// Evictions since the last `take_evictions`; `None` if no file needs them.
    evictions: Option<Evictions>,
}

/// What a history has evicted, to be deleted from its file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Evictions {
    /// Stamps of the evicted events.
    pub(crate) events: Vec<Id>,
    /// Newest evicted stamp of each topic concerned; `None` if the topic keeps no event now.
    pub(crate) topics: HashMap<Box<str>, Option<Id>>,
    /// Newest evicted stamp of all topics that keep no event.
    pub(crate) forgotten: Id,
    /// Newest evicted stamp of the hub's own events.
    pub(crate) own_forgotten: Id,
}

/// What a file stores of a history beside its events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watermarks {
    /// Stamp at which the history began; earlier events are unknown.
    pub(crate) began: Id,
    /// See [`Evictions::forgotten`].
    pub(crate) forgotten: Id,
    /// See [`Evictions::own_forgotten`].
    pub(crate) own_forgotten: Id,
    /// See [`Evictions::topics`].
    pub(crate) topics: HashMap<Box<str>, Id>,
    /// The newest stamp given out.
    pub(crate) newest: Id,
}

/// A slot of the log.
#[derive(Debug)]
struct LogSlot {
    stamp: Id,
    at: Instant,
    /// `None` once no topic keeps the event.
    event: Option<RememberedEvent>,
    /// Number of topics that keep the event.
    users: usize,
}

/// Kept events with the same publisher-given id: one, unless the publisher reused the id.
#[derive(Debug)]
struct Named {
    /// Stamp of the newest one.
    stamp: Id,
    kept: usize,
    /// The id is ambiguous: its client may have any of the events.
    repeated: bool,
}

/// What a client has missed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Missed<E = Arc<Event>> {
    /// Frame of the `gap` event, if the client missed more than `events`.
    pub(crate) gap: Option<Arc<[u8]>>,
    /// Sorted by stamp.
    pub(crate) events: Vec<E>,
    /// The newest stamp, as a resume position for a stream that gets no event now.
    pub(crate) cursor: Option<Id>,
}

impl<E> Default for Missed<E> {
    fn default() -> Self {
        Self { gap: None, events: Vec::new(), cursor: None }
    }
}

impl Evictions {
    /// Appends evictions that came later.
    pub(crate) fn add(&mut self, later: Self) {
        self.events.extend(later.events);
        self.topics.extend(later.topics);
        self.forgotten = self.forgotten.max(later.forgotten);
        self.own_forgotten = self.own_forgotten.max(later.own_forgotten);
    }
}

impl History {
    /// The limits of this history.
    pub(crate) fn limits(&self) -> HistoryLimits {
        self.limits
    }

    /// Creates an empty history that begins at the stamp `now`.
    pub(crate) fn new(limits: HistoryLimits, now: Id) -> Self {
        Self {
            limits,
            log: VecDeque::new(),
            holes: 0,
            topics: HistoryTopics::default(),
            ids: HashMap::new(),
            bytes: 0,
            own: OwnEvents::new(now),
            forgotten: now,
            newest_forgotten: now,
            epoch: 0,
            expired: 0,
            began: now,
            whole: false,
            newest: now,
            gaps: 0,
            resumed: 0,
            evictions: None,
        }
    }

    /// Rebuilds the history of a file within the current limits. The first [`Evictions`] include what these limits exclude.
    pub(crate) fn restore(
        limits: HistoryLimits,
        watermarks: Watermarks,
        events: impl IntoIterator<Item = (Id, Arc<Event>)>,
        now: Instant,
        now_ms: u64,
    ) -> Self {
        let Watermarks { began, forgotten, own_forgotten, topics, newest } = watermarks;
        let mut history = Self::new(limits, began);
        (history.forgotten, history.own) = (forgotten, OwnEvents::new(own_forgotten));
        history.evictions = Some(Evictions::default());
        history.topics = HistoryTopics::new(topics);
        history.bytes = history.topics.iter().map(|(name, _)| HistoryTopics::cost(name)).sum();
        for (stamp, event) in events {
            let age = Duration::from_millis(now_ms.saturating_sub(stamp.ms));
            history.keep(&event, stamp, now.checked_sub(age).unwrap_or(now));
        }
        history.remove_empty_topics();
        history.newest = history.newest.max(newest);
        history.expire(now, usize::MAX);
        history
    }

    /// Builds a history from what a bus has kept.
    pub(crate) fn load<'a>(
        limits: HistoryLimits,
        began: Id,
        whole: bool,
        newest: Id,
        events: impl IntoIterator<Item = (Id, &'a Arc<Event>)>,
        now: Instant,
        now_ms: u64,
    ) -> Self {
        let mut history = Self::new(limits, began);
        history.whole = whole;
        for (stamp, event) in events {
            let age = Duration::from_millis(now_ms.saturating_sub(stamp.ms));
            history.keep(event, stamp, now.checked_sub(age).unwrap_or(now));
        }
        history.newest = history.newest.max(newest);
        history.expire(now, usize::MAX);
        history
    }

    /// Swaps the contents for those of another history.
    pub(crate) fn replace(&mut self, other: Self) {
        let Self { epoch, gaps, resumed, .. } = *self;
        *self = Self { epoch: epoch + 1, gaps, resumed, ..other };
    }

    /// Records that events after the newest one may be lost: a client that resumes from an earlier position gets a gap.
    pub(crate) fn interrupt(&mut self) {
        self.newest = self.newest.after();
        (self.forgotten, self.own.forgotten) = (self.newest, self.newest);
        self.newest_forgotten = self.newest;
        for topic in self.topics.values_mut() {
            topic.forgotten = self.newest;
        }
    }

    /// Whether an event with this id may still arrive, as far as the id shows.
    pub(crate) fn may_come(&self, id: &str) -> bool {
        match Id::parse(id) {
            Some(stamp) => stamp > self.newest && !self.ids.contains_key(id),
            None => !self.ids.contains_key(id),
        }
    }

    /// Restores a file that was unreadable at startup. Nothing was added since.
    pub(crate) fn restore_late(
        &mut self,
        mut watermarks: Watermarks,
        events: Vec<(Id, Arc<Event>)>,
        now: Instant,
        now_ms: u64,
    ) {
        // Ids that clients got meanwhile stay known.
        watermarks.newest = watermarks.newest.max(self.newest);
        self.replace(Self::restore(self.limits, watermarks, events, now, now_ms));
    }

    /// The newest stamp; in an empty history, one older than any to come.
    pub(crate) fn newest(&self) -> Id {
        self.newest
    }

    /// Returns the evictions since the last call; `None` if there are none or no file needs them.
    pub(crate) fn take_evictions(&mut self) -> Option<Evictions> {
        let evictions = self.evictions.as_mut()?;
        (!evictions.events.is_empty()).then(|| mem::take(evictions))
    }

    /// Adds an event. Its stamp must be larger than all before.
    pub(crate) fn add(&mut self, event: &Arc<Event>, stamp: Id, now: Instant) {
        self.keep(event, stamp, now);
        self.expire(now, A_TIME);
    }

    /// Adds an event that was accepted at `at`.
    fn keep(&mut self, event: &Arc<Event>, stamp: Id, at: Instant) {
        self.newest = stamp;
        if self.whole && self.began == Id::default() {
            // The bus was empty until now: Redis never gave out an id before this one.
            self.began = stamp.before();
        }
        if self.limits.events == 0 {
            (self.forgotten, self.own.forgotten) = (stamp, stamp);
            return;
        }
        if is_named(event, stamp) {
            let first = || Named { stamp, kept: 0, repeated: false };
            let named = self.ids.entry(event.id().into()).or_insert_with(first);
            named.repeated |= named.kept > 0;
            named.stamp = stamp;
            named.kept += 1;
        }
        let mut users = 0;
        let mut over = Vec::new();
        for name in event.topics() {
            // A new topic may have had events that were evicted.
            if self.topics.add(name, self.forgotten_of(is_of_subscription(name))) {
                self.bytes += HistoryTopics::cost(name);
            }
            let Some(topic) = self.topics.get_mut(name) else { continue };
            // An event may name a topic twice.
            let (is_new, oldest) = topic.push(stamp, self.limits.events);
            users += usize::from(is_new);
            over.extend(oldest);
        }
        self.bytes += cost(event, stamp);
        self.log.push_back(LogSlot { stamp, at, event: Some(RememberedEvent::new(Arc::clone(event))), users });
        over.into_iter().for_each(|stamp| self.release(stamp));
        if is_own(event) {
            self.own.keep(event, stamp);
            self.keep_own_within_share();
        }
        while self.bytes > self.limits.bytes && self.forget_oldest() {}
    }

    /// The [`Missed`] of a new stream: no events, only the cursor.
    pub(crate) fn none_missed(&self) -> Missed {
        Missed { cursor: self.cursor(), ..Missed::default() }
    }

    /// The newest stamp; `None` without a history, which has nothing to resume from.
    fn cursor(&self) -> Option<Id> {
        (self.limits.events > 0).then_some(self.newest)
    }

    /// Resolves an id to its event's stamp, or to a stamp between two events. `None` if the id is unknown or ambiguous.
    pub(crate) fn stamp(&self, id: &str) -> Option<Id> {
        if let Some(named) = self.ids.get(id) {
            return (!named.repeated).then_some(named.stamp);
        }
        match Id::parse(id)? {
            // The cursor that an empty bus gave out.
            id if id == Id::default() && self.whole => Some(self.began),
            id => (self.began..=self.newest).contains(&id).then_some(id),
        }
    }

    /// Bytes of all kept events.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The history's part of `sse_stats()`.
    pub(crate) fn report(&self) -> serde_json::Value {
        json!({
            "events": self.log.len() - self.holes,
            "topics": self.topics.len(),
            "bytes": self.bytes,
            "resumed": self.resumed,
            "gaps": self.gaps,
        })
    }
}

/// Bytes of an event, without its topics: [`HistoryTopics::cost`] counts those.
fn cost(event: &Event, stamp: Id) -> usize {
    let named = if is_named(event, stamp) { NAMED + allocated(event.id().len()) } else { 0 };
    event.memory() + ENTRY + named + PLACE * event.topics().len()
}

/// Whether the event has an id of its publisher's.
fn is_named(event: &Event, stamp: Id) -> bool {
    event.id() != &*stamp.text()
}

/// Builds the `gap` event. It has no id, so that the client's last event id stays.
pub(crate) fn gap(requested: Option<&str>, oldest: Option<&str>) -> Arc<[u8]> {
    let data = json!({ "oldest": oldest, "requested": requested.map(topic::printable) }).to_string();
    let event = NewEvent { event_type: Some("gap"), data: data.as_bytes(), ..NewEvent::default() };
    let mut frame = Vec::new();
    event.write(None, &mut frame);
    frame.into()
}
