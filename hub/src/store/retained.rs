//! The last values: the newest retained event of each topic, apart from the history.
//!
//! They are kept without an id in their frames. A client gets them beside what it has missed, and its last event id must not go
//! back to the id of an old one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::json;

use crate::event::Event;
use crate::event::pinned::RememberedEvent;
use crate::index::trie::Trie;
use crate::store::slice::Slice;
use crate::sys::heap::allocated;
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::part::PartKind;
use sse_protocol::id::Id;
use sse_protocol::topic;

/// Approximate bytes of a topic beyond its name, and of an event beyond itself: their places in the maps.
const TOPIC: usize = 96;
const EVENT: usize = 64;

/// Topics of one event that are compared with all patterns in one step of a search.
const COMPARED: usize = 16;

/// A retained event as a store has kept it.
#[derive(Debug, Clone)]
pub(crate) struct LastValue {
    /// Stamp of the event.
    pub(crate) stamp: Id,
    pub(crate) event: Arc<Event>,
    /// Those of its topics whose newest retained event it is.
    pub(crate) topics: Vec<Box<str>>,
}

/// All last values.
#[derive(Debug)]
pub(crate) struct Retained {
    /// Maximum of `bytes`.
    limit: usize,
    bytes: usize,
    /// The stamp of each topic's event.
    topics: BTreeMap<Box<str>, Id>,
    /// The events by age, and how many topics refer to each.
    events: BTreeMap<Id, (RememberedEvent, usize)>,
    /// Events dropped because of `sse.retain_bytes`.
    pub(crate) dropped: u64,
    /// Topics dropped so since the last `take_gone`; `None` if no store mirrors them.
    gone: Option<Vec<(Box<str>, Id)>>,
}

/// A search for the last values of one client's topics, in slices.
#[derive(Debug)]
pub(crate) struct RetainedSearch {
    /// Sorted and distinct.
    patterns: Box<[Box<str>]>,
    /// Those of the patterns with a wildcard that are done.
    wild: Trie,
    /// Number of patterns that are done, and the last topic compared with the next one.
    done: usize,
    topic: Option<Box<str>>,
    /// Stamps found. One may have been replaced since.
    found: BTreeSet<Id>,
    /// All events that are newer than this must be compared, as they were retained during the search.
    since: Option<Id>,
}

impl RetainedSearch {
    /// A search for these patterns.
    pub(crate) fn new(patterns: &[&str]) -> Self {
        let patterns: BTreeSet<Box<str>> = patterns.iter().map(|&pattern| pattern.into()).collect();
        Self {
            patterns: patterns.into_iter().collect(),
            wild: Trie::new(),
            done: 0,
            topic: None,
            found: BTreeSet::new(),
            since: None,
        }
    }

    /// Whether one of the patterns matches, once all are done.
    fn watches(&self, name: &str) -> bool {
        let mut matches = self.patterns.binary_search_by(|pattern| (**pattern).cmp(name)).is_ok();
        self.wild.each(name, |nth| &self.patterns[nth as usize], &mut |_| matches = true);
        matches
    }
}

impl Retained {
    /// An empty table. `mirrored`: a store keeps the values, too.
    pub(crate) fn new(limit: usize, mirrored: bool) -> Self {
        Self {
            limit,
            bytes: 0,
            topics: BTreeMap::new(),
            events: BTreeMap::new(),
            dropped: 0,
            gone: mirrored.then(Vec::new),
        }
    }

    /// Makes an event the last value of its topics. One without data only removes theirs.
    pub(crate) fn keep(&mut self, stamp: Id, event: &Event) {
        if event.data().is_empty() {
            event.topics().iter().for_each(|topic| self.clear(topic));
            return;
        }
        let topics = event.topics().to_vec();
        self.add(LastValue { stamp, event: Arc::new(event.without_id()), topics });
    }

    /// Adds a value that a store has kept, unless its topics have newer ones. Another program may have written it, and named
    /// topics that are none of the event's.
    pub(crate) fn restore(&mut self, value: LastValue) {
        let LastValue { stamp, event, mut topics } = value;
        let own: HashSet<&str> = event.topics().iter().map(AsRef::as_ref).collect();
        topics.retain(|topic| own.contains(&**topic));
        self.add(LastValue { stamp, event, topics });
    }

    fn add(&mut self, value: LastValue) {
        let LastValue { stamp, event, topics } = value;
        let cost = event.memory() + EVENT + topics.iter().map(|topic| topic_cost(topic)).sum::<usize>();
        if cost > self.limit {
            self.pass_over(stamp, topics);
            return;
        }
        let mut users = 0;
        for topic in topics {
            // An event may name a topic twice.
            match self.topics.get(&topic).copied() {
                Some(other) if other >= stamp => continue,
                Some(other) => self.release(other),
                None => self.bytes += topic_cost(&topic),
            }
            self.topics.insert(topic, stamp);
            users += 1;
        }
        if users > 0 {
            self.bytes += event.memory() + EVENT;
            self.events.insert(stamp, (RememberedEvent::new(event), users));
        }
        while self.bytes > self.limit && self.drop_oldest() {}
    }

    /// Replaces all values by those that a bus has.
    pub(crate) fn reset(&mut self, values: Vec<LastValue>) {
        self.topics.clear();
        self.events.clear();
        self.bytes = 0;
        values.into_iter().for_each(|value| self.restore(value));
    }

    /// Keeps no value of these topics, as their newest has no room. The other ones do not make way for it.
    fn pass_over(&mut self, stamp: Id, topics: Vec<Box<str>>) {
        self.dropped += 1;
        for topic in topics {
            if self.topics.get(&topic).is_some_and(|other| *other >= stamp) {
                continue;
            }
            self.clear(&topic);
            if let Some(gone) = &mut self.gone {
                gone.push((topic, stamp));
            }
        }
    }

    fn clear(&mut self, topic: &str) {
        if let Some((name, stamp)) = self.topics.remove_entry(topic) {
            self.bytes -= topic_cost(&name);
            self.release(stamp);
        }
    }

    /// One topic refers to this event no more.
    fn release(&mut self, stamp: Id) {
        let Some((_, users)) = self.events.get_mut(&stamp) else { return };
        *users -= 1;
        if *users == 0
            && let Some((event, _)) = self.events.remove(&stamp)
        {
            self.bytes -= event.memory() + EVENT;
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((&stamp, (event, _))) = self.events.first_key_value() else { return false };
        let event = Arc::clone(event);
        self.dropped += 1;
        for topic in event.topics() {
            if self.topics.get(topic) != Some(&stamp) {
                continue;
            }
            let topic = topic.clone();
            self.clear(&topic);
            if let Some(gone) = &mut self.gone {
                gone.push((topic, stamp));
            }
        }
        true
    }

    /// Takes out the topics that were dropped and that the store still has.
    pub(crate) fn take_gone(&mut self) -> Vec<(Box<str>, Id)> {
        self.gone.as_mut().map(mem::take).unwrap_or_default()
    }

    /// The last value of a topic.
    pub(crate) fn get(&self, topic: &str) -> Option<&Event> {
        self.events.get(self.topics.get(topic)?).map(|(event, _)| &***event)
    }

    /// Continues a search; true if it is complete.
    pub(crate) fn search(&self, search: &mut RetainedSearch, slice: &mut Slice) -> bool {
        let newest = || self.events.last_key_value().map_or(Id::default(), |(stamp, _)| *stamp);
        let mut since = *search.since.get_or_insert_with(newest);
        while let Some(pattern) = search.patterns.get(search.done) {
            if !slice.spend() {
                return false;
            }
            if !topic::is_wild(pattern) {
                search.found.extend(self.topics.get(pattern));
                search.done += 1;
                continue;
            }
            let prefix = &pattern[..pattern.find('*').unwrap_or(pattern.len())];
            let from = match &search.topic {
                Some(last) => Bound::Excluded(&**last),
                None => Bound::Included(prefix),
            };
            match self.topics.range::<str, _>((from, Bound::Unbounded)).next() {
                Some((name, stamp)) if name.starts_with(prefix) => {
                    if topic::matches(pattern, name) {
                        search.found.insert(*stamp);
                    }
                    search.topic = Some(name.clone());
                }
                _ => {
                    search.wild.insert(pattern, search.done as u32, |nth| &search.patterns[nth as usize]);
                    (search.done, search.topic) = (search.done + 1, None);
                }
            }
        }
        for (&stamp, (event, _)) in self.events.range((Bound::Excluded(since), Bound::Unbounded)) {
            if !slice.spend() {
                search.since = Some(since);
                return false;
            }
            if event.topics().iter().any(|name| search.watches(name)) {
                search.found.insert(stamp);
            }
            slice.charge(event.topics().len() / COMPARED);
            since = stamp;
        }
        search.since = Some(since);
        true
    }

    /// The events that a complete search has found, by age.
    pub(crate) fn found(&self, search: &RetainedSearch) -> Vec<Arc<Event>> {
        search.found.iter().filter_map(|stamp| self.events.get(stamp)).map(|(event, _)| Arc::clone(event)).collect()
    }

    /// Sends the values to the new hub.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let values: Vec<_> = self.events.iter().map(|(&stamp, (event, _))| (stamp, event)).collect();
        for group in values.chunks(ITEMS) {
            let part = group.iter().map(|(stamp, event)| {
                let topics = event.topics().iter().map(AsRef::as_ref);
                let topics: Vec<&str> = topics.filter(|topic| self.topics.get(*topic) == Some(stamp)).collect();
                (*stamp, outgoing.event(event), topics)
            });
            let part: Vec<_> = part.collect();
            outgoing.part(PartKind::Retained, &part, &[])?;
        }
        Ok(())
    }

    /// Bytes of all values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The part of `sse_stats()`.
    pub(crate) fn report(&self) -> serde_json::Value {
        json!({
            "topics": self.topics.len(),
            "events": self.events.len(),
            "bytes": self.bytes,
            "dropped": self.dropped,
        })
    }
}

fn topic_cost(topic: &str) -> usize {
    TOPIC + allocated(topic.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::counting;
    use proptest::prelude::*;
    use sse_protocol::event::NewEvent;

    fn at(ms: u64) -> Id {
        Id { ms, seq: 0 }
    }

    fn event(ms: u64, topics: &[&str], data: &str) -> Event {
        let new = NewEvent { topics: topics.to_vec(), data: data.as_bytes(), ..NewEvent::default() };
        Event::new(&new, &at(ms).to_string())
    }

    fn ids(retained: &Retained, patterns: &[&str], steps: usize) -> Vec<String> {
        let mut search = RetainedSearch::new(patterns);
        while !retained.search(&mut search, &mut Slice::steps(steps)) {}
        retained.found(&search).iter().map(|event| event.id().to_owned()).collect()
    }

    #[test]
    fn the_newest_event_of_each_topic_is_kept_once_and_removed_by_one_without_data() {
        let mut retained = Retained::new(1 << 20, false);
        for (ms, topics) in [(1, vec!["a.x"]), (2, vec!["a.x", "a.y", "a.x"]), (3, vec!["b"]), (4, vec!["a.y"])] {
            retained.keep(at(ms), &event(ms, &topics, "v"));
        }
        assert_eq!(ids(&retained, &["**"], 1), ["2-0", "3-0", "4-0"]);
        assert_eq!(ids(&retained, &["a.*", "b"], 2), ["2-0", "3-0", "4-0"]);
        assert_eq!(ids(&retained, &["a.y"], 2), ["4-0"]);
        assert_eq!(retained.get("a.x").map(|event| event.frame().to_vec()), Some(b"data: v\n\n".to_vec()));
        retained.keep(at(5), &event(5, &["a.x", "none"], ""));
        assert_eq!(ids(&retained, &["**"], 1), ["3-0", "4-0"]);
        retained.keep(at(6), &event(6, &["a.y", "b"], ""));
        assert_eq!((retained.bytes(), retained.topics.len(), retained.events.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_retained_during_a_search_is_found_and_what_it_replaces_is_not() {
        let mut retained = Retained::new(1 << 20, false);
        for (nth, topic) in ["a", "b", "c"].into_iter().enumerate() {
            retained.keep(at(nth as u64), &event(nth as u64, &[topic], "v"));
        }
        let mut search = RetainedSearch::new(&["**"]);
        assert!(!retained.search(&mut search, &mut Slice::steps(2)));
        retained.keep(at(10), &event(10, &["a"], "v"));
        retained.keep(at(11), &event(11, &["0"], "v"));
        assert!(!retained.search(&mut search, &mut Slice::steps(3)));
        retained.keep(at(12), &event(12, &["c"], ""));
        while !retained.search(&mut search, &mut Slice::steps(1)) {}
        let found: Vec<_> = retained.found(&search).iter().map(|event| event.id().to_owned()).collect();
        assert_eq!(found, ["1-0", "10-0", "11-0"]);
    }

    /// Attack: retained topics without end.
    #[test]
    fn above_the_limit_the_oldest_go_and_what_is_counted_is_what_is_taken() {
        const LIMIT: usize = 1 << 20;
        let before = counting::in_use();
        let mut retained = Retained::new(LIMIT, true);
        for number in 0..5_000_u64 {
            let topic = format!("sensor.{number}");
            retained.keep(at(number), &event(number, &[&topic], &"x".repeat(number as usize % 500)));
            assert!(retained.bytes() <= LIMIT);
            retained.take_gone();
        }
        let taken = counting::in_use() - before;
        assert!(taken <= 2 * retained.bytes().cast_signed(), "{taken} taken, {} counted", retained.bytes());
        assert!(retained.bytes().cast_signed() <= 2 * taken, "{taken} taken, {} counted", retained.bytes());
        assert!(retained.dropped > 1000 && retained.get("sensor.4999").is_some());
    }

    /// Attack: one value that is larger than the limit, before which all others would go.
    #[test]
    fn one_that_has_no_room_is_not_kept_and_the_other_ones_stay() {
        let mut retained = Retained::new(10_000, true);
        retained.keep(at(1), &event(1, &["a"], "v"));
        retained.keep(at(2), &event(2, &["large"], "small"));
        retained.keep(at(3), &event(3, &["large", "new"], &"x".repeat(10_000)));
        assert_eq!(ids(&retained, &["**"], 10), ["1-0"]);
        assert_eq!(retained.take_gone(), ["large", "new"].map(|topic| (topic.into(), at(3))));
        assert_eq!(retained.dropped, 1);
    }

    /// Attack: another program writes into a store that a topic's last value is an event of other topics. Above the limit the
    /// hub would remove it for ever.
    #[test]
    fn a_value_of_topics_that_are_not_its_events_is_not_kept() {
        let mut retained = Retained::new(10_000, true);
        let topics = ["b", "none"].map(Into::into).to_vec();
        retained.restore(LastValue { stamp: at(1), event: Arc::new(event(1, &["a", "b"], "v")), topics });
        assert_eq!((retained.get("none").is_some(), retained.get("b").is_some()), (false, true));
        (2..200).for_each(|number| retained.keep(at(number), &event(number, &[&format!("t{number}")], "v")));
        assert!(retained.get("b").is_none() && retained.bytes() <= 10_000);
    }

    /// Attack: while a search goes on, events of many topics come, which are compared with many patterns.
    #[test]
    fn what_is_compared_during_a_search_counts_as_its_steps() {
        const EVENTS: usize = 100;
        let mut retained = Retained::new(64 << 20, false);
        let patterns: Vec<String> = (0..100).map(|nth| format!("a.b{nth}.*")).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let mut search = RetainedSearch::new(&patterns);
        retained.keep(at(1), &event(1, &["a.b0.x"], "v"));
        assert!(!retained.search(&mut search, &mut Slice::steps(1)));
        for number in (2..).take(EVENTS) {
            let topics: Vec<String> = (0..100).map(|nth| format!("{number}.t{nth}")).collect();
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            retained.keep(at(number), &event(number, &topics, "v"));
        }
        retained.keep(at(1000), &event(1000, &["z", "a.b7.x"], "v"));
        let mut steps = 0;
        loop {
            let mut slice = Slice::steps(50);
            let is_complete = retained.search(&mut search, &mut slice);
            steps += slice.spent();
            if is_complete {
                break;
            }
        }
        assert!(steps > patterns.len() + EVENTS * 5, "{steps} steps");
        assert_eq!(retained.found(&search).len(), 2);
    }

    proptest! {
        #[test]
        fn a_search_finds_what_matches_however_it_is_sliced(
            topics in proptest::collection::vec("(a|b)(\\.(a|b)){0,2}", 1..12),
            patterns in proptest::collection::vec("(a|b|\\*)(\\.(a|b|\\*)){0,1}(\\.\\*\\*)?", 1..4),
            steps in 1..5_usize,
        ) {
            let mut retained = Retained::new(1 << 20, false);
            for (nth, topic) in topics.iter().enumerate() {
                retained.keep(at(nth as u64), &event(nth as u64, &[topic], "v"));
            }
            let matches = |name: &str| patterns.iter().any(|pattern| topic::matches(pattern, name));
            let newest = |nth: usize| !topics[nth + 1..].contains(&topics[nth]);
            let expected: Vec<String> = (0..topics.len())
                .filter(|nth| newest(*nth) && matches(&topics[*nth]))
                .map(|nth| at(nth as u64).to_string())
                .collect();
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            prop_assert_eq!(ids(&retained, &patterns, steps), expected);
        }
    }
}
