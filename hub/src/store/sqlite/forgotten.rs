//! What the hub has forgotten and the file still has.

use crate::store::finished::Dropped;
use crate::store::history::Evictions;
use crate::store::report::KnownKey;
use sse_protocol::id::Id;

/// What is to be removed from the file.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    pub(crate) evictions: Evictions,
    /// Keys of publications.
    pub(crate) keys: Vec<KnownKey>,
    /// Topics that are not finished any more.
    pub(crate) begun: Vec<Dropped>,
    /// Topics whose last value is that of this stamp.
    pub(crate) retained: Vec<(Box<str>, Id)>,
}

impl Forgotten {
    /// Adds what was forgotten later.
    pub(crate) fn add(&mut self, later: Self) {
        let Self { evictions, keys, begun, retained } = later;
        self.evictions.add(evictions);
        self.keys.extend(keys);
        self.begun.extend(begun);
        self.retained.extend(retained);
    }

    /// Number of events, keys, finished topics and last values.
    pub(crate) fn len(&self) -> usize {
        self.evictions.events.len() + self.keys.len() + self.begun.len() + self.retained.len()
    }
}
