//! Which of a shard's streams watch a topic.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use crate::shard::interner::PatternInterner;
use crate::shard::trie::Trie;
use sse_protocol::topic;

/// Streams by what they watch: plain topics by name, patterns with wildcards in a trie.
#[derive(Debug)]
pub(crate) struct Index {
    entries: Slab<Entry>,
    by_pattern: HashMap<Arc<str>, usize>,
    wild: Trie,
    names: Arc<PatternInterner>,
}

/// A pattern and who watches it.
#[derive(Debug)]
struct Entry {
    pattern: Arc<str>,
    watchers: Vec<Watcher>,
}

/// A stream in the list of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watcher {
    /// The stream's place in its shard.
    pub(crate) stream: u32,
    /// Which of the stream's places in the index this is.
    pub(crate) nth: u32,
}

/// A stream's place in the index, kept by the stream so that it can be taken out without a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    entry: u32,
    position: u32,
}

impl Place {
    /// Whether both are of one pattern.
    pub(crate) fn is_beside(self, other: Place) -> bool {
        self.entry == other.entry
    }

    /// The same pattern, another position in its list.
    pub(crate) fn moved_to(&mut self, other: Place) {
        self.position = other.position;
    }
}

impl Index {
    /// An index of nothing, which shares its patterns' text through `names`.
    pub(crate) fn new(names: Arc<PatternInterner>) -> Self {
        Self { entries: Slab::new(), by_pattern: HashMap::new(), wild: Trie::new(), names }
    }

    /// Adds a watcher to a checked pattern.
    pub(crate) fn insert(&mut self, pattern: &str, watcher: Watcher) -> Place {
        let entry = self.by_pattern.get(pattern).copied().unwrap_or_else(|| self.add(pattern));
        let watchers = &mut self.entries[entry].watchers;
        watchers.push(watcher);
        Place { entry: entry as u32, position: watchers.len() as u32 - 1 }
    }

    fn add(&mut self, pattern: &str) -> usize {
        let pattern = self.names.take(pattern);
        let entry = self.entries.insert(Entry { pattern: Arc::clone(&pattern), watchers: Vec::new() });
        if topic::is_wild(&pattern) {
            let Self { wild, entries, .. } = self;
            wild.insert(&pattern, entry as u32, |entry| &entries[entry as usize].pattern);
        }
        self.by_pattern.insert(pattern, entry);
        entry
    }

    /// Takes a watcher out. Where that moved another one to its position, that one is returned: its stream's place must
    /// be told (see [`Place::moved_to`]).
    pub(crate) fn remove(&mut self, place: Place) -> Option<Watcher> {
        let entry = self.entries.get_mut(place.entry as usize)?;
        entry.watchers.swap_remove(place.position as usize);
        if entry.watchers.is_empty() {
            let Entry { pattern, .. } = self.entries.remove(place.entry as usize);
            self.by_pattern.remove(&pattern);
            if topic::is_wild(&pattern) {
                self.wild.remove(&pattern);
            }
            self.names.give_back(&pattern);
            return None;
        }
        // A list that was long once shouldn't keep its memory.
        if entry.watchers.capacity() > 16 && entry.watchers.len() < entry.watchers.capacity() / 4 {
            entry.watchers.shrink_to(entry.watchers.len() * 2);
        }
        entry.watchers.get(place.position as usize).copied()
    }

    /// The pattern of a place.
    pub(crate) fn pattern(&self, place: Place) -> &str {
        &self.entries[place.entry as usize].pattern
    }

    /// Whether the stream with these places watches the topic.
    pub(crate) fn is_watched(&self, places: &[Place], topic: &str) -> bool {
        places.iter().any(|place| topic::matches(&self.entries[place.entry as usize].pattern, topic))
    }

    /// Calls `found` for every watcher of the topic; a stream that watches it by several patterns is found several times.
    pub(crate) fn each(&self, topic: &str, mut found: impl FnMut(u32)) {
        self.each_entry(topic, |entry| self.watchers(entry).for_each(&mut found));
    }

    /// Calls `found` for every pattern that the topic matches, and that is watched.
    pub(crate) fn each_entry(&self, topic: &str, mut found: impl FnMut(usize)) {
        // A plain topic is never equal to a pattern with a wildcard, so these are the plain ones.
        if let Some(&entry) = self.by_pattern.get(topic) {
            found(entry);
        }
        self.wild.each(topic, |entry| &self.entries[entry as usize].pattern, &mut |entry| found(entry as usize));
    }

    /// Who watches a pattern.
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
            let mut places: Vec<Vec<Place>> = Vec::new();
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
