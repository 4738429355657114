//! Searches for the events that a client has missed, in slices: one turn of the ordering thread does as much as its [`Slice`]
//! allows.
//!
//! The cost follows the result. Plain topics are looked up; wildcard patterns are compared only with the topic names that share
//! their literal prefix. The search merges the events of the found topics from the newest back to the client's position, and
//! last adds what was published meanwhile.
//!
//! A client that can't get all it has missed gets a `gap` event and only the newest events: it has to reload its state anyway.

use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::event::Event;
use crate::index::trie::Trie;
use crate::store::history::selectors::{SearchSelectors, has};
use crate::store::history::topics::HistoryTopic;
use crate::store::history::{History, Missed, gap};
use crate::store::slice::Slice;
use sse_protocol::id::Id;
use sse_protocol::mercure::{self, Selector, SelectorUse};
use sse_protocol::topic;

/// Topic names copied from the history at once.
const NAMES: usize = 256;

/// A search for what one client has missed.
#[derive(Debug)]
pub(crate) struct Search {
    since: Box<str>,
    /// Checked patterns, sorted and distinct.
    patterns: Box<[Box<str>]>,
    /// The history's epoch at the start; the search restarts if it changes.
    epoch: u64,
    stage: Stage,
    /// The client's position: it has everything up to here.
    from: Id,
    /// The newest stamp at the start.
    until: Id,
    /// The client missed events that the search can't find.
    gap: bool,
    /// A pattern may match topics that keep no event any more.
    unknown: bool,
    wild: Trie,
    selectors: SearchSelectors,
    /// Literal prefixes of the wildcard patterns; none is a prefix of another.
    prefixes: Vec<Box<str>>,
    /// The same of Mercure's selectors that may match several topics: of public updates' names, and of private ones'.
    open_prefixes: [Vec<Box<str>>; 2],
    /// The client asks for all that is kept.
    earliest: bool,
    /// Newest unmerged stamp of each found topic, and the topic's index in that event's topics.
    heap: BinaryHeap<(Id, usize)>,
    merged: Option<Id>,
    /// Newest first.
    events: Vec<Arc<Event>>,
    bytes: usize,
}

/// The progress of a search.
#[derive(Debug, Clone)]
enum Stage {
    /// Patterns are being looked up; this many are done.
    Patterns(usize),
    /// Topic names are being compared: prefixes done, and the last name compared under the next prefix.
    Names(usize, Option<Arc<str>>),
    Merge,
    /// Events published since the start are being added: the last stamp seen, and those found.
    Rest(Id, Vec<Arc<Event>>),
    Done(Vec<Arc<Event>>),
}

impl Search {
    /// Creates a search for patterns (checked, sorted and distinct), from the client's last event id on.
    pub(crate) fn new(patterns: &[&str], since: &str) -> Self {
        Self {
            since: since.into(),
            patterns: patterns.iter().map(|&pattern| pattern.into()).collect(),
            // No history has this epoch: the search starts at its first step.
            epoch: u64::MAX,
            stage: Stage::Patterns(0),
            from: Id::default(),
            until: Id::default(),
            gap: false,
            unknown: false,
            wild: Trie::new(),
            selectors: SearchSelectors::default(),
            prefixes: Vec::new(),
            open_prefixes: [Vec::new(), Vec::new()],
            earliest: false,
            heap: BinaryHeap::new(),
            merged: None,
            events: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds a topic to the merge, and records a gap if the client missed evicted events of it.
    fn note(&mut self, history: &History, name: &str) {
        let Some(topic) = history.topics.get(name) else { return };
        self.gap |= topic.forgotten > self.from && !self.earliest;
        self.heap.extend(self.older(history, topic, name, self.until));
    }

    /// The topic's newest event that is not newer than `until` and that the client has not got.
    fn older(&self, history: &History, topic: &HistoryTopic, name: &str, until: Id) -> Option<(Id, usize)> {
        let stamp = topic.newest(until).filter(|stamp| *stamp > self.from)?;
        let nth = history.event(stamp)?.topics().iter().position(|topic| **topic == *name)?;
        Some((stamp, nth))
    }

    /// Whether one more event fits the limits after a gap.
    fn has_room(&self, history: &History, event: &Event) -> bool {
        let limits = history.limits;
        self.events.is_empty()
            || self.events.len() < limits.events && self.bytes + event.frame().len() <= limits.after_gap
    }

    /// Whether the client watches an event and may get it; `None`: the steps are spent before that is known.
    fn is_wanted(&mut self, event: &Event, stamp: Id, slice: &mut Slice) -> Option<bool> {
        let Self { patterns, wild, selectors, .. } = self;
        // Mercure's topics are compared with selectors.
        let mut names = event.topics().iter().filter(|name| !mercure::is_mercure(name));
        let is_watched = || names.any(|name| has(patterns, name) || is_matched(wild, patterns, name));
        selectors.is_wanted(event, stamp, is_watched, patterns, slice)
    }

    /// Looks up a pattern of Mercure's, or keeps its selector for the topics to be compared with.
    fn look_up_selector(&mut self, history: &History, pattern: &str) {
        let Some(selector) = Selector::new(pattern) else { return };
        match selector.used() {
            // All of these are sorted before the others.
            SelectorUse::Allowed => self.selectors.allow(pattern, selector),
            SelectorUse::Subscribed if mercure::is_open(pattern) => {
                self.unknown = true;
                for (prefixes, prefix) in self.open_prefixes.iter_mut().zip(selector.topic_prefixes()) {
                    add_prefix(prefixes, &prefix);
                }
                self.selectors.subscribe(selector);
            }
            SelectorUse::Subscribed => {
                for name in mercure::topics_of(pattern).iter().take(if self.selectors.allows_any() { 2 } else { 1 }) {
                    self.unknown |= history.topics.get(name).is_none();
                    self.note(history, name);
                }
            }
        }
    }
}

impl History {
    /// Continues a search; true when it is complete. The caller then [concludes](Self::conclude) it before it adds any event.
    pub(crate) fn search(&self, search: &mut Search, slice: &mut Slice) -> bool {
        if search.epoch != self.epoch {
            self.begin(search);
        }
        loop {
            let done = match &search.stage {
                Stage::Patterns(_) => self.look_up(search, slice),
                Stage::Names(..) => self.compare_names(search, slice),
                Stage::Merge => self.merge(search, slice),
                Stage::Rest(..) => self.catch_up(search, slice),
                Stage::Done(_) => return true,
            };
            if !done {
                return false;
            }
        }
    }

    fn begin(&self, search: &mut Search) {
        let patterns = std::mem::take(&mut search.patterns);
        *search = Search { patterns, ..Search::new(&[], &search.since) };
        let stamp = self.stamp(&search.since);
        search.epoch = self.epoch;
        (search.from, search.until) = (stamp.unwrap_or_default(), self.newest);
        search.earliest =
            &*search.since == mercure::EARLIEST && search.patterns.iter().any(|pattern| mercure::is_mercure(pattern));
        search.gap = stamp.is_none() && !search.earliest;
    }

    fn look_up(&self, search: &mut Search, slice: &mut Slice) -> bool {
        let Stage::Patterns(mut next) = search.stage else { return true };
        while let Some(pattern) = search.patterns.get(next).cloned() {
            if !slice.spend() {
                search.stage = Stage::Patterns(next);
                return false;
            }
            if mercure::is_mercure(&pattern) {
                search.look_up_selector(self, &pattern);
            } else if topic::is_wild(&pattern) {
                search.wild.insert(&pattern, next as u32, |nth| &search.patterns[nth as usize]);
                search.unknown = true;
                add_prefix(&mut search.prefixes, pattern.split_once('*').map_or("", |(prefix, _)| prefix));
            } else {
                search.unknown |= self.topics.get(&pattern).is_none();
                search.note(self, &pattern);
            }
            next += 1;
        }
        let [public, private] = std::mem::take(&mut search.open_prefixes);
        search.prefixes.extend(public);
        if search.selectors.allows_any() {
            search.prefixes.extend(private);
        }
        search.stage = Stage::Names(0, None);
        true
    }

    fn compare_names(&self, search: &mut Search, slice: &mut Slice) -> bool {
        let Stage::Names(mut nth, mut last) = search.stage.clone() else { return true };
        while let Some(prefix) = search.prefixes.get(nth).cloned() {
            let some = self.topics.names(&prefix, last.as_deref()).take(NAMES).cloned().collect::<Vec<_>>();
            let complete = some.len() < NAMES;
            for name in some {
                if !slice.spend() {
                    search.stage = Stage::Names(nth, last);
                    return false;
                }
                // The client's patterns that match only this topic were looked up before.
                let exact = mercure::exactly(&name);
                let matches = if has(&search.patterns, exact.as_deref().unwrap_or(&name)) {
                    false
                } else if exact.is_none() {
                    is_matched(&search.wild, &search.patterns, &name)
                } else if let Some(matches) = search.selectors.matches_name(&name, slice) {
                    matches
                } else {
                    search.stage = Stage::Names(nth, last);
                    return false;
                };
                if matches {
                    search.note(self, &name);
                }
                last = Some(name);
            }
            if complete {
                (nth, last) = (nth + 1, None);
            }
        }
        let forgotten = self.forgotten_of(search.selectors.allows_any());
        search.gap |= search.unknown && forgotten > search.from && !search.earliest;
        search.stage = Stage::Merge;
        true
    }

    /// Merges the events of the found topics, newest first.
    fn merge(&self, search: &mut Search, slice: &mut Slice) -> bool {
        while let Some(&(stamp, nth)) = search.heap.peek() {
            if !slice.spend() {
                return false;
            }
            let Some(event) = self.event(stamp) else {
                // The event was evicted meanwhile, and older ones with it.
                search.gap = true;
                search.heap.pop();
                continue;
            };
            let is_new = search.merged != Some(stamp);
            let may_get =
                if is_new { search.selectors.may_get(event, stamp, &search.patterns, slice) } else { Some(false) };
            let Some(is_due) = may_get else { return false };
            if is_due {
                if search.gap && !search.has_room(self, event) {
                    break;
                }
                search.bytes += event.frame().len();
                search.events.push(Arc::clone(event));
                search.merged = Some(stamp);
            }
            search.heap.pop();
            let name = &event.topics()[nth];
            let Some(topic) = self.topics.get(name) else { continue };
            match search.older(self, topic, name, stamp.before()) {
                Some(older) => search.heap.push(older),
                None => search.gap |= topic.forgotten > search.from && !search.earliest,
            }
        }
        search.stage = Stage::Rest(search.until, Vec::new());
        true
    }

    /// Adds events published since the search began, oldest first.
    fn catch_up(&self, search: &mut Search, slice: &mut Slice) -> bool {
        let Stage::Rest(mut at, mut rest) = std::mem::replace(&mut search.stage, Stage::Merge) else { return true };
        let first = self.log.partition_point(|entry| entry.stamp <= at);
        for entry in self.log.range(first..) {
            if !slice.spend() {
                search.stage = Stage::Rest(at, rest);
                return false;
            }
            if let Some(event) = &entry.event {
                match search.is_wanted(event, entry.stamp, slice) {
                    Some(true) => rest.push(Arc::clone(event)),
                    Some(false) => {}
                    None => {
                        search.stage = Stage::Rest(at, rest);
                        return false;
                    }
                }
            }
            at = entry.stamp;
        }
        search.stage = Stage::Done(rest);
        true
    }

    /// Turns a complete search into its result.
    pub(crate) fn conclude(&mut self, search: Search) -> Missed {
        let Search { since, from, until, gap: incomplete, unknown, mut events, stage, earliest, selectors, .. } =
            search;
        events.reverse();
        if let Stage::Done(rest) = stage {
            events.extend(rest);
        }
        // An event published during the search and evicted since may have matched.
        let own = selectors.allows_any();
        let forgotten = unknown && self.forgotten_of(own) > from || self.newest_forgotten_of(own) > until;
        let incomplete = incomplete || forgotten && !earliest;
        if incomplete {
            let mut bytes = 0;
            let newest = events.iter().rev().enumerate().take_while(|(nth, event)| {
                bytes += event.frame().len();
                *nth == 0 || *nth < self.limits.events && bytes <= self.limits.after_gap
            });
            let newest = newest.count();
            events.drain(..events.len() - newest);
        }
        self.resumed += 1;
        self.gaps += u64::from(incomplete);
        let gap = incomplete.then(|| gap(Some(&since), events.first().map(|event| event.id())));
        let cursor = if events.is_empty() { self.cursor() } else { None };
        Missed { gap, events, cursor }
    }

    /// Searches in one go for what a client with these patterns has missed.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn missed(&mut self, patterns: &[&str], since: &str, now: std::time::Instant) -> Missed {
        self.expire(now, usize::MAX);
        let mut patterns = patterns.to_vec();
        patterns.sort_unstable();
        let mut search = Search::new(&patterns, since);
        while !self.search(&mut search, &mut Slice::steps(usize::MAX)) {}
        self.conclude(search)
    }

    /// The kept event with this stamp.
    fn event(&self, stamp: Id) -> Option<&Arc<Event>> {
        let place = self.log.binary_search_by_key(&stamp, |entry| entry.stamp).ok()?;
        self.log[place].event.as_deref()
    }
}

/// Whether a wildcard pattern matches a topic.
fn is_matched(wild: &Trie, patterns: &[Box<str>], name: &str) -> bool {
    let mut matched = false;
    wild.each(name, |nth| &patterns[nth as usize], &mut |_| matched = true);
    matched
}

/// Adds a prefix, unless another one is a prefix of it, and removes those of which it is one. All come in their order, or in that
/// of texts of which they are prefixes.
fn add_prefix(prefixes: &mut Vec<Box<str>>, prefix: &str) {
    while prefixes.pop_if(|last| last.starts_with(prefix)).is_some() {}
    if !prefixes.last().is_some_and(|last| prefix.starts_with(&**last)) {
        prefixes.push(prefix.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::history::HistoryLimits;
    use crate::store::history::selectors::COMPARED;
    use sse_protocol::event::NewEvent;
    use std::time::{Duration, Instant};

    const START: Id = Id { ms: 1000, seq: 0 };

    fn history(events: usize, after_gap: usize) -> History {
        History::new(HistoryLimits { events, ttl: Duration::from_secs(3600), bytes: 64 << 20, after_gap }, START)
    }

    fn add(history: &mut History, topic: &str) -> String {
        let stamp = history.newest().after();
        let new = NewEvent { topics: vec![topic], data: b"x", ..NewEvent::default() };
        history.add(&Arc::new(Event::new(&new, &stamp.to_string())), stamp, Instant::now());
        stamp.to_string()
    }

    /// Searches one step a turn, and calls `meanwhile` before each turn but the first. Also returns the number of turns.
    fn slowly(
        history: &mut History,
        patterns: &[&str],
        since: &str,
        mut meanwhile: impl FnMut(&mut History, usize),
    ) -> (bool, Vec<String>, usize) {
        let mut search = Search::new(patterns, since);
        let mut turns = 1;
        while !history.search(&mut search, &mut Slice::steps(1)) {
            meanwhile(history, turns);
            turns += 1;
        }
        let missed = history.conclude(search);
        (missed.gap.is_some(), missed.events.iter().map(|event| event.id().into()).collect(), turns)
    }

    #[test]
    fn the_steps_of_a_search_are_those_of_its_result_whatever_else_is_kept() {
        let mut history = history(100, 1 << 20);
        for nth in 0..1000 {
            add(&mut history, &format!("other{nth}.a"));
        }
        let kept: Vec<String> = ["a", "b.c", "b.c"].map(|topic| add(&mut history, topic)).into();
        let (gap, got, turns) = slowly(&mut history, &["a", "b.*", "c"], &START.to_string(), |_, _| {});
        assert_eq!((gap, got), (false, kept));
        // Three patterns, one name and three events.
        assert_eq!(turns, 7);
    }

    #[test]
    fn what_is_published_during_a_search_comes_as_well_and_what_is_forgotten_is_a_gap() {
        let start = START.to_string();
        let mut calm = history(100, 1 << 20);
        let mut all: Vec<String> = (0..5).map(|nth| add(&mut calm, &format!("a.{nth}"))).collect();
        let mut later = Vec::new();
        let (gap, got, _) = slowly(&mut calm, &["a.*"], &start, |history, turn| {
            if turn < 4 {
                later.push(add(history, &format!("a.new{turn}")));
            }
        });
        all.append(&mut later);
        assert_eq!((gap, got), (false, all));

        let mut busy = history(2, 1 << 20);
        (0..5).for_each(|nth| drop(add(&mut busy, &format!("a.{nth}"))));
        let (gap, got, _) = slowly(&mut busy, &["a.*"], &start, |history, turn| {
            // This name sorts before those compared by then.
            if (4..8).contains(&turn) {
                add(history, "a.!");
            }
        });
        assert!(gap, "{got:?}");
        assert_eq!(got.len(), 2, "no more than follows a gap");
    }

    #[test]
    fn after_a_gap_come_the_newest_events_as_many_or_as_large_as_there_is_room_for() {
        let frame = "id: 1000-10\ndata: x\n\n".len();
        for (events, after_gap, most) in [(3, 1 << 20, 3), (100, 2 * frame, 2), (100, 1, 1)] {
            let mut history = history(events, after_gap);
            let ids: Vec<String> = (0..30).map(|nth| add(&mut history, &format!("a.{}", nth % 15))).collect();
            let (gap, got, turns) = slowly(&mut history, &["a.*", "b"], "unknown", |_, _| {});
            assert_eq!((gap, got), (true, ids[30 - most..].to_vec()));
            // Two patterns, 15 names, and one event more than the client gets.
            assert_eq!(turns, 2 + 15 + most + 1);
        }
    }

    #[test]
    fn a_search_begins_anew_where_the_history_has_become_another_one() {
        let mut one = history(100, 1 << 20);
        let since = add(&mut one, "a");
        add(&mut one, "a");
        let mut other = Some(history(100, 1 << 20));
        let mut expected = Vec::new();
        let (gap, got, _) = slowly(&mut one, &["a"], &since, |history, turn| {
            if let Some(mut other) = other.take_if(|_| turn == 1) {
                expected = ["a", "a", "a"].map(|topic| add(&mut other, topic))[1..].to_vec();
                history.replace(other);
            }
        });
        assert_eq!((gap, got), (false, expected));
    }

    #[test]
    fn patterns_with_one_beginning_are_compared_with_its_names_once() {
        let mut history = history(100, 1 << 20);
        let ids: Vec<String> = (0..10).map(|nth| add(&mut history, &format!("a.!{nth}.x"))).collect();
        let (_, got, turns) = slowly(&mut history, &["a.!1.*", "a.*.x", "a.**"], &START.to_string(), |_, _| {});
        assert_eq!(got, ids);
        assert_eq!(turns, 3 + 10 + 10);
    }

    fn names(selectors: &[String], name: fn(&str) -> String) -> Vec<String> {
        let mut names: Vec<String> = selectors.iter().map(|selector| name(selector)).collect();
        names.sort_unstable();
        names
    }

    fn add_update(history: &mut History, topics: &[String], private: bool) -> String {
        let topics: Vec<String> = topics.iter().map(|text| mercure::topic(text, private)).collect();
        let stamp = history.newest().after();
        let topics = topics.iter().map(String::as_str).collect();
        let new = NewEvent { topics, data: b"x", ..NewEvent::default() };
        history.add(&Arc::new(Event::new(&new, &stamp.to_string())), stamp, Instant::now());
        stamp.to_string()
    }

    /// Attack: updates of many topics, or many names, and a client of many templates that match none of them, for whom one step
    /// compares all with all.
    #[test]
    fn a_comparison_with_a_template_is_a_step_whatever_is_searched() {
        const SELECTORS: usize = 20;
        const TOPICS: usize = 30;
        let in_vain: Vec<String> = (0..SELECTORS).map(|nth| format!("/a/{{id}}-{nth}")).collect();
        let topics: Vec<String> = (0..TOPICS).map(|nth| format!("/a/{nth:02}")).collect();
        let subscribed = names(&in_vain, mercure::subscription);
        let borrowed: Vec<&str> = subscribed.iter().map(String::as_str).collect();
        let mut update = history(100, 1 << 20);
        add_update(&mut update, &topics, false);
        // Each name, and, of the update that comes meanwhile, each topic.
        let (_, got, turns) = slowly(&mut update, &borrowed, &START.to_string(), |history, turn| {
            if turn == 1 {
                add_update(history, &topics, false);
            }
        });
        assert_eq!((got.len(), turns), (0, SELECTORS + 2 * TOPICS * SELECTORS));

        // A private update that is subscribed to by its last topic, and that no right is for.
        let mut patterns = names(&in_vain, mercure::right);
        patterns.push(mercure::subscription(&topics[TOPICS - 1]));
        let borrowed: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let mut private = history(100, 1 << 20);
        add_update(&mut private, &topics, true);
        let (_, got, turns) = slowly(&mut private, &borrowed, &START.to_string(), |history, turn| {
            if turn == 1 {
                add_update(history, &topics, true);
            }
        });
        assert_eq!((got.len(), turns), (0, SELECTORS + 1 + 2 * TOPICS * SELECTORS));
    }

    #[test]
    fn a_name_that_comes_in_place_of_one_that_was_being_compared_is_compared_with_all() {
        let mut history = history(2, 1 << 20);
        add_update(&mut history, &["/a/1".into()], false);
        let id = add_update(&mut history, &["/a/2".into()], false);
        let patterns = names(&["/a/{+first}2".into(), "/a/{second}3".into()], mercure::subscription);
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let (gap, got, _) = slowly(&mut history, &patterns, &START.to_string(), |history, turn| {
            // The first name was compared with the first selector.
            if turn == 3 {
                history.expire(Instant::now() + Duration::from_secs(7200), 1);
            }
        });
        assert_eq!((gap, got), (true, vec![id]));
    }

    #[test]
    fn selectors_are_compared_with_the_names_of_their_beginning_only_and_as_much_as_that_takes() {
        let mut history = history(100, 1 << 20);
        let topic = |text: &str| mercure::topic(text, false);
        let ids: Vec<String> = (0..10).map(|nth| add(&mut history, &topic(&format!("/a/{nth}")))).collect();
        (0..1000).for_each(|nth| drop(add(&mut history, &topic(&format!("/b/{nth}")))));
        let mut of = |selectors: &[&str]| {
            let mut patterns: Vec<String> = selectors.iter().map(|selector| mercure::subscription(selector)).collect();
            patterns.sort_unstable();
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let (_, got, turns) = slowly(&mut history, &patterns, &START.to_string(), |_, _| {});
            assert_eq!(got, ids);
            turns
        };
        assert_eq!(of(&["/a/{id}", "/a/{+other}", "/a/1"]), 3 + 10 + 10);
        // Attack: long topics, and a selector that is at many places at once, which no turn may take all the time of.
        let long = "-".repeat(500);
        let slow = format!("/b/{}{{a}}", "{a}-".repeat(7));
        (0..20).for_each(|nth| drop(add(&mut history, &topic(&format!("/b/{long}{nth}/")))));
        let mut search = Search::new(&[&mercure::subscription(&slow)], &START.to_string());
        let mut slice = Slice::steps(1_000_000);
        assert!(history.search(&mut search, &mut slice));
        assert!(slice.spent() >= 1020 + 20 * (500 / COMPARED), "{}", slice.spent());
    }
}
