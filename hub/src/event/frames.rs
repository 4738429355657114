//! Encoded events that are shared by some streams only.

use std::sync::{Arc, OnceLock};

use crate::event::pinned::References;

/// Encoded events for some streams only, from a render job or with topics added.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Arc<[u8]>,
    /// As that of the event whose frames these are.
    latest: OnceLock<Arc<str>>,
    references: References,
}

impl Frames {
    pub(crate) fn references(&self) -> &References {
        &self.references
    }

    /// Approximate memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len() + self.latest().map_or(0, |latest| latest.len()) + size_of::<Self>() + 64
    }

    /// Has a newer event of the same topics replace this one where it waits. Only before any queue has it, as its memory grows.
    pub(crate) fn set_latest(&self, topics: Option<&Arc<str>>) {
        if let Some(topics) = topics {
            self.latest.get_or_init(|| Arc::clone(topics));
        }
    }

    /// Names the topics of the event, if a newer one of the same topics replaces it where it waits.
    pub(crate) fn latest(&self) -> Option<&Arc<str>> {
        self.latest.get()
    }

    /// The bytes, for users other than streams.
    pub(crate) fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

impl From<Arc<[u8]>> for Frames {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self { bytes, latest: OnceLock::new(), references: References::default() }
    }
}
