//! What other hubs have notified, until the ordering thread takes it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sse_protocol::topic;

/// Maximum number of different topics; more become a notification of all topics.
const MAX_TOPICS: usize = 1024;

/// Topics that the ordering thread has not taken yet. However far behind it is, they take a bounded number of bytes.
#[derive(Debug, Default)]
pub(super) struct HeardTopics(Mutex<BTreeSet<Box<str>>>);

impl HeardTopics {
    /// Adds notified topics. Returns whether there were none, so that the ordering thread has to be told.
    pub(super) fn add(&self, topics: impl IntoIterator<Item = Box<str>>) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let were_none = heard.is_empty();
        heard.extend(topics);
        if heard.len() > MAX_TOPICS || heard.contains(topic::ALL) {
            *heard = BTreeSet::from([topic::ALL.into()]);
        }
        were_none && !heard.is_empty()
    }

    /// Takes out all.
    pub(super) fn take(&self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(heard: &HeardTopics) -> Vec<String> {
        heard.take().into_iter().map(Into::into).collect()
    }

    #[test]
    fn the_ordering_thread_is_told_once_until_it_takes_them() {
        let heard = HeardTopics::default();
        assert!(!heard.add([]));
        assert!(heard.add(["a".into()]));
        assert!(!heard.add(["b".into(), "a".into()]));
        assert_eq!(taken(&heard), ["a", "b"]);
        assert!(heard.add([topic::ALL.into(), "a".into()]));
        assert_eq!(taken(&heard), [topic::ALL]);
    }

    /// Load: a hub that is behind while others notify one topic after the other.
    #[test]
    fn too_many_become_all() {
        let heard = HeardTopics::default();
        for nth in 0..100_000 {
            heard.add([format!("t{}", nth % MAX_TOPICS).into()]);
        }
        assert_eq!(taken(&heard).len(), MAX_TOPICS);
        for nth in 0..100_000 {
            heard.add([format!("t{nth}").into()]);
        }
        assert_eq!(taken(&heard), [topic::ALL]);
    }
}
