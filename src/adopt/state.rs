//! What is known of a request whose script may be adopted.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::time::Instant;

use crate::php::buffer::PlainBuffer;
use crate::php::engine::Value;

/// The adoption of a request's script.
#[derive(Default)]
pub struct Adoption {
    pub(super) phase: Cell<AdoptionPhase>,
    /// The process that owns the stream.
    pub(super) process: Cell<u32>,
    /// The script's subscription, if `sse.adopt_topics` names it.
    pub(super) wakes: Cell<Option<WakeSubscription>>,
    pub(super) buffers: Buffers,
    pub(super) slept: Slept,
    pub(super) written: WrittenResponse,
    pub(super) session: ScriptSession,
}

/// The progress of a request's adoption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum AdoptionPhase {
    /// Not adopted: `sse.adopt` is off, or there is no request.
    #[default]
    Off,
    /// The response may become an event stream.
    Watching,
    /// An event stream that has sent nothing yet: notifications shorten its sleeps.
    Listening,
    /// An event stream whose headers are sent: its sleeps send comments, and the first of them lets the session go.
    Streaming,
    /// `sse_stream()` serves the request.
    Renounced,
    /// The client has left, but the script continues (`ignore_user_abort`).
    Left,
}

/// A subscription that reports only that something happened. Without a hub there is none, and scripts sleep their full
/// time until a hub is back.
#[derive(Debug)]
pub(super) struct WakeSubscription {
    pub(super) topics: Vec<String>,
    pub(super) socket: Option<OwnedFd>,
    /// When to try again to reach a hub.
    pub(super) again: Instant,
}

/// PHP's own output buffers.
#[derive(Default)]
pub(super) struct Buffers {
    /// How many PHP itself had started when the request began. Those above are the script's.
    pub(super) own: Cell<i32>,
    /// The buffer of `output_buffering`, if there is one.
    pub(super) plain: Cell<Option<PlainBuffer>>,
}

/// The script's sleeps.
#[derive(Default)]
pub(super) struct Slept {
    /// When a notification last ended one.
    pub(super) woken: Cell<Option<Instant>>,
    /// How often the script had written when a notification last ended its sleep. `None` if its last sleep was whole.
    pub(super) writes: Cell<Option<u64>>,
}

/// What was written of the response.
#[derive(Default)]
pub(super) struct WrittenResponse {
    /// Whether the last byte did not end a line.
    pub(super) in_line: Cell<bool>,
    /// The time of the last write to a stream that has begun.
    pub(super) at: Cell<Option<Instant>>,
    /// How often it was written to.
    pub(super) count: Cell<u64>,
}

/// The session, which a sleeping script lets go.
#[derive(Default)]
pub(super) struct ScriptSession {
    /// Whether it was let go.
    pub(super) is_free: Cell<bool>,
    /// Its entries at that time.
    pub(super) kept: Cell<Option<Value>>,
    /// Whether the shutdown function has had itself called again, as the last one.
    pub(super) is_last: Cell<bool>,
}

impl Adoption {
    /// Forgets the request before.
    pub fn reset(&self) {
        let Self { phase, process, wakes, buffers, slept, written, session } = self;
        phase.take();
        process.take();
        wakes.take();
        buffers.own.take();
        buffers.plain.take();
        slept.woken.take();
        slept.writes.take();
        written.in_line.take();
        written.at.take();
        written.count.take();
        session.is_free.take();
        session.kept.take();
        session.is_last.take();
    }
}
