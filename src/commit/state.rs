//! What a request holds back.

use std::collections::BTreeSet;

/// A held event, encoded.
pub(super) struct HeldEvent {
    pub(super) topics: Vec<String>,
    pub(super) message: Vec<u8>,
}

impl HeldEvent {
    /// Its approximate size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        self.message.len()
            + self.topics.iter().map(|topic| topic.len() + size_of::<String>()).sum::<usize>()
            + size_of::<Self>()
    }
}

impl AsRef<[u8]> for HeldEvent {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

/// The progress of the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum CommitPhase {
    /// It runs.
    #[default]
    Open,
    /// It has succeeded.
    Succeeded,
    /// It has failed.
    Failed,
}

/// What the request holds back.
#[derive(Default)]
pub struct Commit {
    pub(super) phase: CommitPhase,
    /// The owner. A forked child has a copy of events that its parent will send.
    pub(super) process: u32,
    pub(super) held: Vec<HeldEvent>,
    /// Topics to notify of, after the events.
    pub(super) notified: BTreeSet<String>,
    pub(super) bytes: usize,
}

impl Commit {
    /// Drops the events of another process, which will send them itself.
    pub(super) fn claim(&mut self) {
        let process = std::process::id();
        if self.process != process {
            self.process = process;
            self.take();
        }
    }

    pub(super) fn take(&mut self) -> (Vec<HeldEvent>, BTreeSet<String>) {
        self.bytes = 0;
        (std::mem::take(&mut self.held), std::mem::take(&mut self.notified))
    }
}
