//! The index of a shard's subscriptions: finds the streams that watch a topic.

pub(crate) mod interner;
pub(crate) mod selectors;
pub(crate) mod told;
pub(crate) mod trie;

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use crate::index::interner::PatternInterner;
use crate::index::selectors::Selectors;
use crate::index::trie::Trie;
use sse_protocol::mercure::{self, SelectorUse};
use sse_protocol::topic;

/// Streams by the patterns they watch: plain topics in a hash map, patterns with wildcards in a trie, selectors of Mercure that
/// may match several topics by how these begin.
#[derive(Debug)]
pub(crate) struct Index {
    entries: Slab<PatternEntry>,
    by_pattern: HashMap<Arc<str>, usize>,
    wild: Trie,
    selectors: Selectors,
    names: Arc<PatternInterner>,
    /// Number of patterns that are finished topics.
    finished: usize,
}

/// A pattern and the streams that watch it.
#[derive(Debug)]
struct PatternEntry {
    pattern: Arc<str>,
    watchers: Vec<Watcher>,
    /// The pattern is a topic that is finished.
    finished: bool,
}

/// A stream in the list of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watcher {
    /// Slab key of the stream in its shard.
    pub(crate) stream: u32,
    /// Index of this pattern's [`IndexPlace`] in the stream's `places`.
    pub(crate) nth: u32,
}

/// Position of a stream in the index. The stream keeps it, so that removal needs no search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexPlace {
    entry: u32,
    position: u32,
}

impl IndexPlace {
    /// Returns whether both places belong to one pattern.
    pub(crate) fn is_beside(self, other: IndexPlace) -> bool {
        self.entry == other.entry
    }

    /// Sets the position within the same pattern's list.
    pub(crate) fn moved_to(&mut self, other: IndexPlace) {
        self.position = other.position;
    }
}

impl Index {
    /// Creates an empty index that takes the text of its patterns from `names`.
    pub(crate) fn new(names: Arc<PatternInterner>) -> Self {
        Self {
            entries: Slab::new(),
            by_pattern: HashMap::new(),
            wild: Trie::new(),
            selectors: Selectors::default(),
            names,
            finished: 0,
        }
    }

    /// Adds a watcher to a valid pattern.
    pub(crate) fn insert(&mut self, pattern: &str, watcher: Watcher) -> IndexPlace {
        let entry = self.by_pattern.get(pattern).copied().unwrap_or_else(|| self.add(pattern));
        let watchers = &mut self.entries[entry].watchers;
        watchers.push(watcher);
        IndexPlace { entry: entry as u32, position: watchers.len() as u32 - 1 }
    }

    fn add(&mut self, pattern: &str) -> usize {
        let pattern = self.names.take(pattern);
        let entry =
            self.entries.insert(PatternEntry { pattern: Arc::clone(&pattern), watchers: Vec::new(), finished: false });
        if topic::is_wild(&pattern) {
            let Self { wild, entries, .. } = self;
            wild.insert(&pattern, entry as u32, |entry| &entries[entry as usize].pattern);
        } else if mercure::is_open(&pattern) {
            self.selectors.insert(&pattern, entry as u32);
        }
        self.by_pattern.insert(pattern, entry);
        entry
    }

    /// Removes a watcher. Returns the watcher that moved to its position, if any: the caller must update that stream's place
    /// with [`IndexPlace::moved_to`].
    pub(crate) fn remove(&mut self, place: IndexPlace) -> Option<Watcher> {
        let entry = self.entries.get_mut(place.entry as usize)?;
        entry.watchers.swap_remove(place.position as usize);
        if entry.watchers.is_empty() {
            let PatternEntry { pattern, finished, .. } = self.entries.remove(place.entry as usize);
            self.finished -= usize::from(finished);
            self.by_pattern.remove(&pattern);
            if topic::is_wild(&pattern) {
                self.wild.remove(&pattern);
            } else if mercure::is_open(&pattern) {
                self.selectors.remove(&pattern, place.entry);
            }
            self.names.give_back(&pattern);
            return None;
        }
        // Shrink a list that has become short, or it keeps its largest size.
        if entry.watchers.capacity() > 16 && entry.watchers.len() < entry.watchers.capacity() / 4 {
            entry.watchers.shrink_to(entry.watchers.len() * 2);
        }
        entry.watchers.get(place.position as usize).copied()
    }

    /// Returns the pattern of a place.
    pub(crate) fn pattern(&self, place: IndexPlace) -> &str {
        &self.entries[place.entry as usize].pattern
    }

    /// Records whether a topic is finished; returns its watchers, if there are any.
    pub(crate) fn finish(&mut self, topic: &str, finished: bool) -> Option<impl Iterator<Item = u32>> {
        let entry = self.by_pattern.get(topic).and_then(|&entry| self.entries.get_mut(entry))?;
        self.finished -= usize::from(entry.finished);
        self.finished += usize::from(finished);
        entry.finished = finished;
        Some(entry.watchers.iter().map(|watcher| watcher.stream))
    }

    /// Records that these topics are not finished, or not any more.
    pub(crate) fn begin_anew(&mut self, topics: &[Box<str>]) {
        if self.finished > 0 {
            topics.iter().for_each(|topic| drop(self.finish(topic, false)));
        }
    }

    /// Returns whether all that the stream with these places watches is finished. Topics of the hub's own, which tell of
    /// others, don't count, unless they are Mercure's, which are never finished.
    pub(crate) fn are_finished(&self, places: &[IndexPlace]) -> bool {
        let mut entries = places.iter().map(|place| &self.entries[place.entry as usize]);
        entries
            .all(|entry| entry.finished || topic::is_reserved(&entry.pattern) && !mercure::is_mercure(&entry.pattern))
    }

    /// Calls `found` for each watcher of the topic, several times for a stream that watches it by several patterns.
    pub(crate) fn each(&self, topic: &str, mut found: impl FnMut(u32)) {
        self.each_entry(topic, |entry| self.watchers(entry).for_each(&mut found));
    }

    /// Calls `found` for each pattern in the index that matches the topic.
    pub(crate) fn each_entry(&self, topic: &str, mut found: impl FnMut(usize)) {
        if topic::is_reserved(topic)
            && let Some(exact) = mercure::exactly(topic)
        {
            self.each_selecting(topic, &exact, SelectorUse::Subscribed, found);
            return;
        }
        // A topic contains no wildcard, so it equals plain patterns only.
        if let Some(&entry) = self.by_pattern.get(topic) {
            found(entry);
        }
        self.wild.each(topic, |entry| &self.entries[entry as usize].pattern, &mut |entry| found(entry as usize));
    }

    /// Calls `found` for each stream that may get private updates with this topic of Mercure's, several times for a stream that
    /// may by several selectors.
    pub(crate) fn each_allowed(&self, topic: &str, mut found: impl FnMut(u32)) {
        if let Some(exact) = mercure::exactly_allowed(topic) {
            self.each_selecting(topic, &exact, SelectorUse::Allowed, |entry| self.watchers(entry).for_each(&mut found));
        }
    }

    /// Calls `found` for each selector that matches a topic of Mercure's: that which is `exact`, and others.
    fn each_selecting(&self, topic: &str, exact: &str, used: SelectorUse, mut found: impl FnMut(usize)) {
        if let Some(&entry) = self.by_pattern.get(exact) {
            found(entry);
        }
        if let Some(text) = mercure::text(topic) {
            self.selectors.each(&text, used, |entry| found(entry as usize));
        }
    }

    /// Iterates over the streams that watch a pattern.
    pub(crate) fn watchers(&self, entry: usize) -> impl Iterator<Item = u32> {
        self.entries[entry].watchers.iter().map(|watcher| watcher.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn found(index: &Index, topic: &str) -> BTreeSet<u32> {
        let mut streams = BTreeSet::new();
        index.each(topic, |stream| {
            streams.insert(stream);
        });
        streams
    }

    fn any_pattern() -> impl Strategy<Value = String> {
        (proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c"), Just("*")], 0..4), any::<bool>())
            .prop_filter_map("not empty", |(mut segments, deep)| {
                if deep {
                    segments.push("**");
                }
                (!segments.is_empty()).then(|| segments.join("."))
            })
    }

    fn any_topic() -> impl Strategy<Value = String> {
        proptest::collection::vec("[abc]", 1..5).prop_map(|segments| segments.join("."))
    }

    proptest! {
        #[test]
        fn the_index_finds_what_matches_and_nothing_else(
            streams in proptest::collection::vec(proptest::collection::btree_set(any_pattern(), 1..4), 1..12),
            leaving in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
            topics in proptest::collection::vec(any_topic(), 1..20),
        ) {
            let names = Arc::new(PatternInterner::default());
            let mut index = Index::new(Arc::clone(&names));
            let mut places: Vec<Vec<IndexPlace>> = Vec::new();
            for (stream, patterns) in streams.iter().enumerate() {
                let own = patterns.iter().enumerate();
                places.push(own.map(|(nth, p)| index.insert(p, Watcher { stream: stream as u32, nth: nth as u32 })).collect());
            }
            let mut present: BTreeSet<usize> = (0..streams.len()).collect();
            for stream in leaving.iter().map(|at| at.index(streams.len())) {
                if present.remove(&stream) {
                    for nth in 0..places[stream].len() {
                        let place = places[stream][nth];
                        if let Some(moved) = index.remove(place) {
                            places[moved.stream as usize][moved.nth as usize].moved_to(place);
                        }
                    }
                }
                for topic in &topics {
                    let expected = present.iter().filter(|s| streams[**s].iter().any(|p| topic::matches(p, topic)));
                    prop_assert_eq!(found(&index, topic), expected.map(|s| *s as u32).collect());
                }
            }
            let watched: BTreeSet<&String> = present.iter().flat_map(|stream| &streams[*stream]).collect();
            prop_assert_eq!(names.len(), watched.len());
        }
    }
}
