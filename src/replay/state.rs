//! What is known of a request that is a replay.

use sse_protocol::wire::Reason;

use crate::handoff::ProvedConnection;

/// The purpose of a replay.
#[derive(Debug, Clone)]
pub enum ReplayPurpose {
    /// The hub waits for it.
    Wanted(Rendering),
    /// Nobody waits for it any more: its stream has ended, or its time was over before it began.
    Over,
}

impl ReplayPurpose {
    /// The public id of the stream that it is for.
    pub fn public(self) -> Option<String> {
        match self {
            Self::Wanted(rendering) => Some(rendering.public),
            Self::Over => None,
        }
    }
}

/// The render job that the hub wants.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The id of its stream.
    pub stream: u64,
    /// The stream's public id.
    pub public: String,
    /// Why the hub wants it.
    pub reason: Reason,
    /// The current Last-Event-ID.
    pub last_event_id: Option<String>,
    /// What the stream watches now, if other requests may have changed it; otherwise empty.
    pub topics: Vec<String>,
}

/// The replay that the current request is.
#[derive(Debug)]
pub struct RunningReplay {
    /// The process that the hub sent the request to. A child forked by the script has a copy of this state but no job.
    process: u32,
    pub(super) token: String,
    /// The hub's answer about the token; `None` before it was asked.
    pub(super) replay: Option<ReplayPurpose>,
    /// Whether the hub has the result.
    pub(super) done: bool,
    /// Whether `sse_stream()` runs, which tells the hub the rest unless its callback fails.
    pub(super) runs: bool,
    /// Why the render failed, if known.
    pub(super) failure: Option<String>,
    /// The connection, if it can't be found later.
    pub(super) connection: Option<ProvedConnection>,
}

impl RunningReplay {
    pub(super) fn new(token: String, replay: Option<ReplayPurpose>, connection: Option<ProvedConnection>) -> Self {
        let done = matches!(replay, Some(ReplayPurpose::Over));
        Self { process: std::process::id(), token, replay, done, runs: false, failure: None, connection }
    }

    /// The hub's answer about the token, if this process has asked. Nobody waits for a forked child.
    pub(super) fn replay(&self) -> Option<ReplayPurpose> {
        if self.is_forked() { Some(ReplayPurpose::Over) } else { self.replay.clone() }
    }

    pub(super) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }
}
