//! A filter by which the ordering thread skips shards: a shard where no stream watches an event's topics gets no command and is
//! not woken.
//!
//! The ordering thread counts a pattern before it sends the pattern to the shard. The shard uncounts it after its stream stops
//! watching it. So the filter has false positives, but no false negatives.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use sse_protocol::mercure;
use sse_protocol::topic;

/// Number of counters, 64 KiB in total. Patterns that share one only cost an unnecessary wake now and then.
const SLOTS: usize = 1 << 14;

/// Counts of the streams' patterns, by the patterns' first segments.
#[derive(Debug)]
pub(crate) struct InterestFilter {
    /// Number of patterns that start with a wildcard: any topic may match.
    any: AtomicU32,
    /// Counters of all other patterns by hash: of the whole text if plain, else of the first segment with its dot.
    slots: Box<[AtomicU32]>,
}

impl Default for InterestFilter {
    fn default() -> Self {
        Self { any: AtomicU32::new(0), slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect() }
    }
}

impl InterestFilter {
    /// Counts a valid pattern that a stream of the shard is about to watch.
    pub(crate) fn add(&self, pattern: &str) {
        self.count(pattern).fetch_add(1, Ordering::Relaxed);
    }

    /// Reverts one earlier [`add`](Self::add).
    pub(crate) fn remove(&self, pattern: &str) {
        self.count(pattern).fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns whether a stream may watch this valid topic.
    pub(crate) fn may_watch(&self, topic: &str) -> bool {
        let some = |count: &AtomicU32| count.load(Ordering::Relaxed) > 0;
        if topic::is_reserved(topic)
            && let Some(exact) = mercure::exactly(topic)
        {
            return some(self.slot(&exact)) || some(self.slot(mercure::NAMESPACE));
        }
        some(&self.any) || some(self.slot(topic)) || topic.find('.').is_some_and(|dot| some(self.slot(&topic[..=dot])))
    }

    /// Returns the counter of a pattern. A plain topic never ends in a dot, so it can't be mistaken for a first segment.
    fn count(&self, pattern: &str) -> &AtomicU32 {
        if mercure::is_open(pattern) {
            return self.slot(mercure::NAMESPACE);
        }
        if !topic::is_wild(pattern) {
            return self.slot(pattern);
        }
        match pattern.find('.') {
            Some(dot) if !topic::is_wild(&pattern[..dot]) => self.slot(&pattern[..=dot]),
            _ => &self.any,
        }
    }

    fn slot(&self, text: &str) -> &AtomicU32 {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        &self.slots[hasher.finish() as usize % SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_nobody_watches_is_known_by_its_topic() {
        let watched = InterestFilter::default();
        assert!(!watched.may_watch("a"));
        for (pattern, one, other) in
            [("a", "a", "b"), ("a.b", "a.b", "a.c"), ("a.*", "a.b", "a"), ("a.**", "a.b.c", "b.c")]
        {
            watched.add(pattern);
            assert!(watched.may_watch(one), "{pattern}");
            assert!(!watched.may_watch(other), "{pattern}");
            watched.remove(pattern);
            assert!(!watched.may_watch(one), "{pattern}");
        }
        for pattern in ["*", "**", "*.a"] {
            watched.add(pattern);
            assert!(watched.may_watch("b"), "{pattern}");
            watched.remove(pattern);
        }
        assert!(!watched.may_watch("b"));
    }

    #[test]
    fn templates_are_not_compared_to_know_that_somebody_may_watch() {
        let watched = InterestFilter::default();
        let topics = [mercure::topic("/a", false), mercure::topic("/a", true)];
        for (pattern, may) in [
            (mercure::subscription("/a"), true),
            (mercure::subscription("/b"), false),
            (mercure::subscription("/b/{c}"), true),
            (mercure::subscription("*"), true),
            ("**".into(), false),
        ] {
            watched.add(&pattern);
            topics.iter().for_each(|topic| assert_eq!(watched.may_watch(topic), may, "{pattern}"));
            watched.remove(&pattern);
            topics.iter().for_each(|topic| assert!(!watched.may_watch(topic), "{pattern}"));
        }
    }

    proptest! {
        #[test]
        fn no_topic_that_is_watched_is_taken_for_unwatched(
            patterns in proptest::collection::vec("(a|b|\\*)(\\.(a|b|\\*)){0,2}(\\.\\*\\*)?", 1..5),
            topic in "(a|b)(\\.(a|b)){0,3}",
        ) {
            let watched = InterestFilter::default();
            patterns.iter().for_each(|pattern| watched.add(pattern));
            if patterns.iter().any(|pattern| topic::matches(pattern, &topic)) {
                prop_assert!(watched.may_watch(&topic));
            }
            patterns.iter().for_each(|pattern| watched.remove(pattern));
            prop_assert!(!watched.may_watch(&topic));
        }
    }
}
