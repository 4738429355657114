//! What may be watched in a shard, as the router can tell without asking: a shard where nobody watches an event's topics is
//! neither told of it nor woken.
//!
//! The router counts a pattern in before it sends it to the shard, and the shard counts it out when its stream no longer watches
//! it, so that the router never takes a topic for unwatched that is watched.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use sse_protocol::topic;

/// Patterns that share a slot only cost a wake now and then. These take 64 KiB.
const SLOTS: usize = 1 << 14;

/// How many patterns of streams there are, by their beginnings.
#[derive(Debug)]
pub(crate) struct InterestFilter {
    /// Patterns that any topic may match.
    any: AtomicU32,
    /// Plain topics, and patterns with a wildcard after their first segment, by hash.
    slots: Box<[AtomicU32]>,
}

impl Default for InterestFilter {
    fn default() -> Self {
        Self { any: AtomicU32::new(0), slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect() }
    }
}

impl InterestFilter {
    /// A stream of the shard is going to watch this checked pattern.
    pub(crate) fn add(&self, pattern: &str) {
        self.count(pattern).fetch_add(1, Ordering::Relaxed);
    }

    /// The opposite: once for each [`add`](Self::add), after it.
    pub(crate) fn remove(&self, pattern: &str) {
        self.count(pattern).fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a stream may watch this checked topic.
    pub(crate) fn may_watch(&self, topic: &str) -> bool {
        let some = |count: &AtomicU32| count.load(Ordering::Relaxed) > 0;
        some(&self.any) || some(self.slot(topic)) || topic.find('.').is_some_and(|dot| some(self.slot(&topic[..=dot])))
    }

    /// Where a pattern is counted. A plain topic never ends in a dot, as the beginning of a pattern does here.
    fn count(&self, pattern: &str) -> &AtomicU32 {
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
