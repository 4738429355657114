//! The text of the patterns that streams of any shard watch, each kept once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::stats::Counter;

/// Patterns in use. A shard takes one when its first stream watches it and gives it back when its last one has gone, so
/// that the lock is never on the way of an event.
#[derive(Debug, Default)]
pub(crate) struct PatternInterner {
    /// Each with the number of shards that use it.
    used: Mutex<HashMap<Arc<str>, usize>>,
    /// Where other processes read how many there are.
    counter: Option<&'static Counter>,
}

impl PatternInterner {
    /// None in use; another process reads how many there are.
    pub(crate) fn counted_by(counter: &'static Counter) -> Self {
        Self { used: Mutex::default(), counter: Some(counter) }
    }

    /// The shared text of a pattern.
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

    /// The opposite of [`take`](Self::take).
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

    /// How many different patterns are watched.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn count(&self, len: usize) {
        if let Some(counter) = self.counter {
            counter.set(len);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        // Every change is one call of the map, so a panic elsewhere can't leave it half done.
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
