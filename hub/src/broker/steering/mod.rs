//! Requests about open streams: `sse_retopic()` and `sse_disconnect()` change or end them, `sse_watchers()` and
//! `sse_streams()` ask for them.

mod disconnect;
mod named;
mod retopic;
mod streams;
mod watchers;

use std::collections::HashMap;

use crate::quota::topics;

/// What those streams watch that may be changed: the ones whose clients know their public ids, without a callback. It is a copy
/// of what the shards have, and charged to `sse.topic_bytes`.
#[derive(Debug, Default)]
pub(crate) struct Steerable {
    patterns: HashMap<u64, Vec<Box<str>>>,
}

impl Steerable {
    /// Keeps the patterns of a stream, sorted and without duplicates.
    pub(crate) fn keep(&mut self, stream: u64, mut patterns: Vec<Box<str>>) {
        patterns.sort_unstable();
        self.patterns.insert(stream, patterns);
    }

    /// Replaces the patterns of a stream, if it is one of these.
    pub(crate) fn change(&mut self, stream: u64, patterns: &[Box<str>]) {
        if self.patterns.contains_key(&stream) {
            self.keep(stream, patterns.to_vec());
        }
    }

    /// The patterns of a stream; `None`: not one of these.
    pub(crate) fn patterns(&self, stream: u64) -> Option<&[Box<str>]> {
        self.patterns.get(&stream).map(Vec::as_slice)
    }

    /// Bytes to charge for the patterns of a stream.
    pub(crate) fn bytes(&self, stream: u64) -> usize {
        self.patterns(stream).unwrap_or_default().iter().map(|pattern| topics::copied(pattern)).sum()
    }

    /// Drops the patterns of a stream that ends.
    pub(crate) fn forget(&mut self, stream: u64) {
        self.patterns.remove(&stream);
        if self.patterns.is_empty() {
            // Frees the memory of the busiest hour.
            self.patterns = HashMap::new();
        }
    }
}
