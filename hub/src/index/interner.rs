//! The interner of patterns: shards that watch the same pattern share its text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::stats::Counter;

/// Patterns in use. A shard takes a pattern for its first stream that watches it and returns it after its last one, so that
/// delivery of an event never takes the lock.
#[derive(Debug, Default)]
pub(crate) struct PatternInterner {
    /// Number of shards that use each pattern.
    used: Mutex<HashMap<Arc<str>, usize>>,
    /// Shared counter from which other processes read the number of patterns.
    counter: Option<&'static Counter>,
}

impl PatternInterner {
    /// Creates an empty interner that keeps its size in `counter`.
    pub(crate) fn counted_by(counter: &'static Counter) -> Self {
        Self { used: Mutex::default(), counter: Some(counter) }
    }

    /// Returns the shared text of a pattern and counts one more shard for it.
    pub(crate) fn take(&self, pattern: &str) -> Arc<str> {
        let mut used = self.lock();
        if let Some((shared, _)) = used.get_key_value(pattern) {
            let shared = Arc::clone(shared);
            used.entry(Arc::clone(&shared)).and_modify(|shards| *shards += 1);
            return shared;
        }
        let shared: Arc<str> = pattern.into();
        used.insert(Arc::clone(&shared), 1);
        self.count(used.len());
        shared
    }

    /// Reverts one [`take`](Self::take).
    pub(crate) fn give_back(&self, pattern: &str) {
        let mut used = self.lock();
        if let Some(shards) = used.get_mut(pattern) {
            *shards -= 1;
            if *shards == 0 {
                used.remove(pattern);
                self.count(used.len());
            }
        }
    }

    /// Number of different patterns in use.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn count(&self, len: usize) {
        if let Some(counter) = self.counter {
            counter.set(len);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        // Each change is a single call of the map, so a poisoned lock still guards consistent data.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_until_nobody_uses_it() {
        let names = PatternInterner::default();
        let first = names.take("a.*");
        assert!(Arc::ptr_eq(&first, &names.take("a.*")));
        names.give_back("a.*");
        assert_eq!(names.len(), 1);
        names.give_back("a.*");
        assert_eq!(names.len(), 0);
    }
}
