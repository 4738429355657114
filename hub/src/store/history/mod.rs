//! The history: recent events, kept in memory for clients that reconnect.
//!
//! Each event has a stamp, an id of the hub's clock, whatever id its publisher gave it. Stamps order all events. Each topic
//! keeps its newest events; the history evicts the oldest ones beyond its limits of age and bytes. Each topic remembers its
//! newest evicted stamp, so that a client gets a gap exactly if it missed an evicted event.
//!
//! A history on disk is the same one: its [file](crate::store::sqlite::file) mirrors what is kept and evicted here. The hub
//! reads it at startup.

#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod resume;
pub(crate) mod snapshot;
pub(crate) mod topics;
#[cfg(any(test, fuzzing))]
pub mod trial;

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::config::Config;
use crate::event::Event;
use crate::store::history::topics::Topics;
use crate::stream::pinned::Remembered;
use crate::util::heap::allocated;
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;
use sse_protocol::topic;

/// Bytes of an event beside its own memory: its entry in the log and, per topic, its stamps in the topic's lists. Up to half of
/// each list's capacity may be unused.
const ENTRY: usize = 2 * size_of::<Entry>();
const PLACE: usize = 3 * size_of::<Id>();

/// Bytes of a publisher's id beside its text: its slot in the table, of which up to half may be unused.
const NAMED: usize = 2 * (size_of::<(Box<str>, Named)>() + 1);

/// Aged events evicted per added event: more than one, so that a backlog of them shrinks.
const A_TIME: usize = 2;

/// Log entries without an event that the history tolerates before it sweeps them out.
const HOLES: usize = 1024;

/// The limits of a history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Events per topic; 0 switches the history off.
    pub(crate) events: usize,
    /// Age at which an event is evicted.
    pub(crate) ttl: Duration,
    /// Bytes of all events together.
    pub(crate) bytes: usize,
    /// Bytes of the events sent after a gap; `events` limits their number.
    pub(crate) after_gap: usize,
}

impl Limits {
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
    limits: Limits,
    /// Sorted by stamp.
    log: VecDeque<Entry>,
    holes: usize,
    topics: Topics,
    /// Kept events by the ids that their publishers gave them.
    ids: HashMap<Box<str>, Named>,
    bytes: usize,
    /// Newest evicted stamp of all topics that keep no event now.
    forgotten: Id,
    /// Newest evicted stamp of all topics.
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
}

/// What a file stores of a history beside its events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watermarks {
    /// Stamp at which the history began; earlier events are unknown.
    pub(crate) began: Id,
    /// See [`Evictions::forgotten`].
    pub(crate) forgotten: Id,
    /// See [`Evictions::topics`].
    pub(crate) topics: HashMap<Box<str>, Id>,
    /// The newest stamp given out.
    pub(crate) newest: Id,
}

/// A slot of the log.
#[derive(Debug)]
struct Entry {
    stamp: Id,
    at: Instant,
    /// `None` once no topic keeps the event.
    event: Option<Remembered>,
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
#[derive(Debug, Default)]
pub(crate) struct Missed {
    /// Frame of the `gap` event, if the client missed more than `events`.
    pub(crate) gap: Option<Arc<[u8]>>,
    /// Sorted by stamp.
    pub(crate) events: Vec<Arc<Event>>,
    /// The newest stamp, as a resume position for a stream that gets no event now.
    pub(crate) cursor: Option<Id>,
}

impl Evictions {
    /// Appends evictions that came later.
    pub(crate) fn add(&mut self, later: Self) {
        self.events.extend(later.events);
        self.topics.extend(later.topics);
        self.forgotten = self.forgotten.max(later.forgotten);
    }
}

impl History {
    /// The limits of this history.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Creates an empty history that begins at the stamp `now`.
    pub(crate) fn new(limits: Limits, now: Id) -> Self {
        Self {
            limits,
            log: VecDeque::new(),
            holes: 0,
            topics: Topics::default(),
            ids: HashMap::new(),
            bytes: 0,
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
        limits: Limits,
        watermarks: Watermarks,
        events: impl IntoIterator<Item = (Id, Arc<Event>)>,
        now: Instant,
        now_ms: u64,
    ) -> Self {
        let Watermarks { began, forgotten, topics, newest } = watermarks;
        let mut history = Self::new(limits, began);
        history.forgotten = forgotten;
        history.evictions = Some(Evictions::default());
        history.topics = Topics::new(topics);
        history.bytes = history.topics.iter().map(|(name, _)| Topics::cost(name)).sum();
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
        limits: Limits,
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
        self.forgotten = self.newest;
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
            self.forgotten = stamp;
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
            if self.topics.add(name, self.forgotten) {
                self.bytes += Topics::cost(name);
            }
            let Some(topic) = self.topics.get_mut(name) else { continue };
            // An event may name a topic twice.
            let (is_new, oldest) = topic.push(stamp, self.limits.events);
            users += usize::from(is_new);
            over.extend(oldest);
        }
        self.bytes += cost(event, stamp);
        self.log.push_back(Entry { stamp, at, event: Some(Remembered::new(Arc::clone(event))), users });
        over.into_iter().for_each(|stamp| self.release(stamp));
        while self.bytes > self.limits.bytes && self.forget_oldest() {}
    }

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
    fn release(&mut self, stamp: Id) {
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
    fn forget(&mut self, event: &Event, stamp: Id) {
        self.bytes -= cost(event, stamp);
        self.newest_forgotten = self.newest_forgotten.max(stamp);
        if let Some(named) = self.ids.get_mut(event.id()) {
            named.kept -= 1;
            if named.kept == 0 {
                self.ids.remove(event.id());
                topics::shrink_table(&mut self.ids);
            }
        }
        for name in event.topics() {
            let Some(topic) = self.topics.get_mut(name) else {
                self.forgotten = self.forgotten.max(stamp);
                continue;
            };
            topic.forget(stamp);
            let forgotten = topic.forgotten;
            let empty = topic.is_empty();
            if empty {
                self.forgotten = self.forgotten.max(forgotten);
                self.bytes -= Topics::cost(name);
                self.topics.remove(name);
            }
            if let Some(evictions) = &mut self.evictions {
                evictions.topics.insert(name.clone(), (!empty).then_some(forgotten));
            }
        }
        if let Some(evictions) = &mut self.evictions {
            evictions.events.push(stamp);
            evictions.forgotten = self.forgotten;
        }
    }

    /// Removes topics that keep no event.
    fn remove_empty_topics(&mut self) {
        let Self { topics, bytes, forgotten, .. } = self;
        *forgotten = topics.remove_empty(|name| *bytes -= Topics::cost(name)).max(*forgotten);
    }

    /// Removes log entries without an event: at the front always, elsewhere once they are many.
    fn sweep(&mut self) {
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
    fn forget_oldest(&mut self) -> bool {
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

    /// The [`Missed`] of a new stream: no events, only the cursor.
    pub(crate) fn none_missed(&self) -> Missed {
        Missed { cursor: self.cursor(), ..Missed::default() }
    }

    /// The newest stamp; `None` without a history, which has nothing to resume from.
    fn cursor(&self) -> Option<Id> {
        (self.limits.events > 0).then_some(self.newest)
    }

    /// Resolves an id to its event's stamp, or to a stamp between two events. `None` if the id is unknown or ambiguous.
    fn stamp(&self, id: &str) -> Option<Id> {
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

/// Bytes of an event, without its topics: [`Topics::cost`] counts those.
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
    let data = json!({ "requested": requested.map(topic::printable), "oldest": oldest }).to_string();
    let event = NewEvent { name: Some("gap"), data: data.as_bytes(), ..NewEvent::default() };
    let mut frame = Vec::new();
    event.write(None, &mut frame);
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Id = Id { ms: 1000, seq: 0 };
    const HOUR: Duration = Duration::from_secs(3600);

    fn history(events: usize) -> History {
        History::new(Limits { events, ttl: HOUR, bytes: 1 << 20, after_gap: 1 << 20 }, START)
    }

    fn add(history: &mut History, number: u64, topics: &[&str], id: Option<&str>, now: Instant) -> String {
        let stamp = Id { ms: 1000 + number, seq: 0 };
        let id = id.map_or_else(|| stamp.to_string(), Into::into);
        let new = NewEvent { topics: topics.to_vec(), data: b"x", ..Default::default() };
        history.add(&Arc::new(Event::new(&new, &id)), stamp, now);
        id
    }

    fn missed(history: &mut History, patterns: &[&str], since: &str, now: Instant) -> (bool, Vec<String>) {
        let missed = history.missed(patterns, since, now);
        (missed.gap.is_some(), missed.events.iter().map(|event| event.id().into()).collect())
    }

    /// The file's first event exceeds the limit: it is evicted before the other topic's events are read.
    #[test]
    fn what_topics_had_forgotten_is_known_whatever_is_too_large_when_a_file_is_read() {
        let at = |ms| Id { ms, seq: 0 };
        let event = |topic, id: Id, size: usize| {
            let data = "x".repeat(size);
            let new = NewEvent { topics: vec![topic], data: data.as_bytes(), ..Default::default() };
            (id, Arc::new(Event::new(&new, &id.to_string())))
        };
        let topics = HashMap::from([("b".into(), at(1050))]);
        let watermarks = Watermarks { began: START, forgotten: at(1010), topics, newest: at(1060) };
        let events = [event("a", at(1020), 5000), event("b", at(1060), 1)];
        let limits = Limits { events: 10, ttl: HOUR, bytes: 2000, after_gap: 1000 };
        let now = Instant::now();
        let mut history = History::restore(limits, watermarks, events, now, 1060);
        assert_eq!(missed(&mut history, &["b"], "1040-0", now), (true, vec!["1060-0".into()]));
        assert_eq!(missed(&mut history, &["b"], "1050-0", now), (false, vec!["1060-0".into()]));
    }

    #[test]
    fn a_reader_gets_what_came_after_its_id_on_its_topics() {
        let (mut history, now) = (history(10), Instant::now());
        let first = add(&mut history, 1, &["a"], None, now);
        add(&mut history, 2, &["b"], None, now);
        add(&mut history, 3, &["a", "b"], Some("own"), now);
        let last = add(&mut history, 4, &["a.c"], None, now);
        assert_eq!(missed(&mut history, &["a"], &first, now), (false, vec!["own".into()]));
        assert_eq!(missed(&mut history, &["a", "b"], &first, now), (false, vec!["1002-0".into(), "own".into()]));
        assert_eq!(missed(&mut history, &["**"], "own", now), (false, vec![last.clone()]));
        assert_eq!(missed(&mut history, &["a"], &START.to_string(), now).1.len(), 2);
        assert_eq!(missed(&mut history, &["a"], &last, now), (false, vec![]));
    }

    #[test]
    fn ids_that_are_not_known_are_a_gap_before_all_that_is_kept() {
        let (mut history, now) = (history(10), Instant::now());
        let only = add(&mut history, 1, &["a"], None, now);
        for unknown in ["999-0", "2000-0", "somebody's own", ""] {
            assert_eq!(missed(&mut history, &["a"], unknown, now), (true, vec![only.clone()]), "{unknown}");
        }
        let gap = history.missed(&["a"], "a\nb", now).gap.expect("a gap");
        assert_eq!(&*gap, b"event: gap\ndata: {\"oldest\":\"1001-0\",\"requested\":\"a\\\\nb\"}\n\n");
    }

    #[test]
    fn an_id_that_was_given_twice_is_a_gap_as_long_as_one_of_them_is_kept() {
        let (mut history, now) = (history(2), Instant::now());
        let quiet = add(&mut history, 1, &["quiet"], Some("again"), now);
        let between = add(&mut history, 2, &["busy"], None, now);
        add(&mut history, 3, &["busy"], Some("again"), now);
        assert!(missed(&mut history, &["busy"], &quiet, now).0);
        assert!(!missed(&mut history, &["busy"], &between, now).0);
        (4..6).for_each(|number| drop(add(&mut history, number, &["busy"], None, now)));
        add(&mut history, 6, &["busy"], Some("again"), now);
        assert!(missed(&mut history, &["busy"], &quiet, now).0);
    }

    #[test]
    fn a_gap_is_told_to_those_only_who_missed_something() {
        let (mut history, now) = (history(2), Instant::now());
        let before = add(&mut history, 1, &["quiet"], None, now);
        let ids: Vec<String> = (2..6).map(|number| add(&mut history, number, &["busy"], None, now)).collect();
        assert_eq!(missed(&mut history, &["quiet"], &before, now), (false, vec![]));
        assert_eq!(missed(&mut history, &["busy"], &ids[0], now), (true, ids[2..].to_vec()));
        assert_eq!(missed(&mut history, &["busy"], &ids[1], now), (false, ids[2..].to_vec()));
        assert_eq!(missed(&mut history, &["*"], &ids[0], now), (true, ids[2..].to_vec()));
        assert!(!missed(&mut history, &["quiet", "other.*"], &ids[0], now).0);
    }

    #[test]
    fn what_is_too_old_or_too_much_is_forgotten() {
        let (mut history, now) = (history(10), Instant::now());
        let first = add(&mut history, 1, &["a"], None, now);
        let second = add(&mut history, 2, &["a"], None, now + HOUR / 2);
        assert_eq!(missed(&mut history, &["a"], &first, now + HOUR), (false, vec![second.clone()]));
        assert_eq!(missed(&mut history, &["a"], &first, now + HOUR * 2), (true, vec![]));
        assert_eq!(missed(&mut history, &["a"], &second, now + HOUR * 2), (false, vec![]));
        assert_eq!((history.bytes, history.topics.len(), history.ids.len()), (0, 0, 0));

        let limits = Limits { events: 100, ttl: HOUR, bytes: 4000, after_gap: 4000 };
        let mut history = History::new(limits, START);
        let ids: Vec<String> = (1..10).map(|number| add(&mut history, number, &["a", "b"], None, now)).collect();
        let (gap, kept) = missed(&mut history, &["a"], &ids[0], now);
        assert!(gap && (1..9).contains(&kept.len()) && kept.last() == ids.last(), "{kept:?}");
    }

    #[test]
    fn one_old_event_does_not_keep_the_places_of_a_million_newer_ones() {
        let (mut history, now) = (history(5), Instant::now());
        let old = add(&mut history, 1, &["quiet"], None, now);
        for number in 2..100_000 {
            add(&mut history, number, &["busy"], None, now);
        }
        assert!(history.log.len() < 3 * HOLES, "{} entries", history.log.len());
        assert_eq!(missed(&mut history, &["quiet"], &START.to_string(), now), (false, vec![old]));
    }

    #[test]
    fn what_a_topic_has_forgotten_is_told_after_it_has_kept_nothing_for_a_while() {
        let (mut history, now) = (history(10), Instant::now());
        let seen = add(&mut history, 1, &["a"], None, now);
        add(&mut history, 2, &["a"], None, now);
        let later = now + HOUR * 2;
        history.expire(later, usize::MAX);
        let newest = add(&mut history, 3, &["a"], None, later);
        assert_eq!(missed(&mut history, &["a"], &seen, later), (true, vec![newest.clone()]));
        assert_eq!(missed(&mut history, &["a"], &newest, later), (false, vec![]));
    }

    #[test]
    fn without_a_history_every_reader_that_missed_something_is_told_of_a_gap() {
        let (mut history, now) = (history(0), Instant::now());
        let id = add(&mut history, 1, &["a"], None, now);
        assert_eq!(missed(&mut history, &["a"], &START.to_string(), now), (true, vec![]));
        assert_eq!(missed(&mut history, &["a"], &id, now), (false, vec![]));
    }

    #[test]
    fn an_interruption_is_a_gap_for_those_who_have_not_got_what_came_after() {
        let (mut history, now) = (history(10), Instant::now());
        let before = add(&mut history, 1, &["a"], None, now);
        let newest = add(&mut history, 2, &["a"], None, now);
        history.interrupt();
        let cursor = history.newest().to_string();
        assert!(!missed(&mut history, &["a"], &cursor, now).0, "a page that is loaded after it has all");
        let after = add(&mut history, 3, &["a"], None, now);
        for id in [&before, &newest] {
            let (gap, kept) = missed(&mut history, &["a"], id, now);
            assert!(gap && kept.contains(&after), "{id}");
        }
        assert!(missed(&mut history, &["quiet"], &newest, now).0);
        assert_eq!(missed(&mut history, &["a"], &cursor, now), (false, vec![after.clone()]));
        assert_eq!(missed(&mut history, &["a"], &after, now), (false, vec![]));
    }

    #[test]
    fn what_a_bus_has_kept_begins_where_it_was_read_from() {
        let now = Instant::now();
        let new = NewEvent { topics: vec!["a"], data: b"x", ..Default::default() };
        let stamp = |ms| Id { ms, seq: 0 };
        let events: Vec<_> = [1000, 1001].map(|ms| (stamp(ms), Arc::new(Event::new(&new, &format!("{ms}-0"))))).into();
        let limits = Limits { events: 10, ttl: HOUR, bytes: 1 << 20, after_gap: 1 << 20 };
        let load = |whole, began: Id, newest, count| {
            let events = events.iter().take(count).map(|(stamp, event)| (*stamp, event));
            History::load(limits, began, whole, newest, events, now, 1001)
        };
        let mut trimmed = load(false, stamp(1000).before(), stamp(1001), 2);
        assert_eq!(missed(&mut trimmed, &["a"], "1000-0", now), (false, vec!["1001-0".into()]));
        for unknown in ["0-0", "999-0", "1002-0"] {
            assert!(missed(&mut trimmed, &["a"], unknown, now).0, "{unknown}");
        }
        let mut whole = load(true, stamp(1000).before(), stamp(1001), 2);
        assert_eq!(missed(&mut whole, &["a"], "0-0", now), (false, vec!["1000-0".into(), "1001-0".into()]));
        assert!(missed(&mut whole, &["a"], "999-0", now).0, "it can only be of another stream");
        let mut empty = load(true, Id::default(), Id::default(), 0);
        assert_eq!(empty.newest().to_string(), "0-0");
        assert!(!missed(&mut empty, &["a"], "0-0", now).0 && missed(&mut empty, &["a"], "1-0", now).0);
        add(&mut empty, 1, &["a"], None, now);
        assert!(!missed(&mut empty, &["a"], "0-0", now).0 && missed(&mut empty, &["a"], "999-0", now).0);
        assert!(empty.may_come("2000-0") && empty.may_come("own") && !trimmed.may_come("999-0"));
    }

    proptest! {
        /// Compares with a model that keeps everything: no event is missing without a gap, none comes twice or unasked, and no
        /// gap comes where nothing is missing.
        #[test]
        fn what_is_not_sent_is_told(
            limit in 1..6_usize,
            events in proptest::collection::vec((proptest::sample::subsequence(vec!["a", "b", "c.d"], 1..3), any::<bool>()), 1..60),
            patterns in proptest::sample::subsequence(vec!["a", "b", "c.*", "**"], 1..3),
            since in 0..60_usize,
        ) {
            let (mut history, now) = (history(limit), Instant::now());
            let mut all = Vec::new();
            for (number, (topics, own)) in events.iter().enumerate() {
                let own = own.then(|| format!("own-{number}"));
                let id = add(&mut history, number as u64 + 1, topics, own.as_deref(), now);
                all.push((id, topics.clone()));
            }
            let since = since % all.len();
            let matches = |topics: &[&str]| topics.iter().any(|t| patterns.iter().any(|p| topic::matches(p, t)));
            let expected: Vec<String> = all[since + 1..].iter().filter(|(_, t)| matches(t)).map(|(id, _)| id.clone()).collect();
            let (gap, got) = missed(&mut history, &patterns, &all[since].0, now);
            if gap {
                // The history does not know the position of an evicted id, and sends all that it keeps.
                prop_assert!(got.len() <= all.len());
                if history.stamp(&all[since].0).is_some() {
                    let mut rest = expected.iter();
                    prop_assert!(got.len() < expected.len() && got.iter().all(|id| rest.any(|other| other == id)));
                }
            } else {
                prop_assert_eq!(got, expected);
            }
        }
    }
}
