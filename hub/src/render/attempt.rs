//! Attempts: replayed requests and the reading of their responses.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::render::PUNCTUAL;
use crate::render::client::ClientHash;
use crate::render::http::{fastcgi::FastCgiResponse, http1::Http1Response};
use crate::render::pending::Pending;

/// Reads before the ordering thread's other work gets its turn.
const READS_A_TURN: usize = 8;

/// A connection to an upstream for one replay.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) socket: OwnedFd,
    pub(crate) out: Vec<u8>,
    pub(crate) sent: usize,
    pub(crate) response: UpstreamResponse,
    /// Any byte of the response has arrived.
    pub(crate) heard: bool,
    /// How the response ended, while earlier messages of the script's process may still be unread.
    pub(crate) end: Option<End>,
    /// The replay that the attempt is for.
    pub(crate) run: ReplayRun,
}

/// A replay, from the sending of the request to the end of the response.
#[derive(Debug)]
pub(crate) struct ReplayRun {
    /// Proves to the script's process that the hub asked for this replay.
    pub(crate) token: Box<str>,
    /// The connection that presented the token first. Any other connection with this token has overheard it.
    pub(crate) claimed: Option<u64>,
    /// The job's key and serial; `None` once the stream has ended and the job goes on without this replay.
    pub(crate) job: Option<(u32, u64)>,
    /// The output is still wanted: its time is not over, and its stream has not ended.
    pub(crate) wanted: bool,
    /// The stream whose request is replayed.
    pub(crate) stream: u64,
    /// The client of that stream.
    pub(crate) client: ClientHash,
    /// Where that one is, as far as that is known.
    pub(crate) address: Option<IpAddr>,
    /// The script's path.
    pub(crate) script: Arc<str>,
    /// The upstream's place.
    pub(crate) upstream: u32,
    /// When the request was sent.
    pub(crate) started: Instant,
    /// When the replay counts as failed; after that, when the hub stops waiting for its end.
    pub(crate) deadline: Instant,
    /// PHP has started to run the script.
    pub(crate) reached: bool,
    /// The script has reached `sse_stream()`, or has ended.
    pub(crate) arrived: bool,
    /// The script did not reach `sse_stream()` in time, and the attempt gave up its slot.
    pub(crate) late: bool,
    /// The hub has its output.
    pub(crate) rendered: bool,
    /// The pending events that its callback got, until the hub has its output.
    pub(crate) taken: Option<Pending>,
    /// The reason for its failure that the process reported; empty if the script ended by itself without `sse_stream()`.
    pub(crate) reason: Option<String>,
}

/// A response of either protocol.
#[derive(Debug)]
pub(crate) enum UpstreamResponse {
    FastCgi(FastCgiResponse),
    Http(Http1Response),
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this HTTP status.
    Answered(u16),
    /// The connection was closed in the middle of the response.
    Broken,
    /// The connection was closed without a byte.
    Silent,
    /// No connection, or nothing could be sent.
    Unreachable(Errno),
}

impl Attempt {
    /// An attempt that has sent nothing yet.
    pub(crate) fn new(socket: OwnedFd, request: Vec<u8>, fastcgi: bool, run: ReplayRun) -> Self {
        let response = if fastcgi {
            UpstreamResponse::FastCgi(Default::default())
        } else {
            UpstreamResponse::Http(Default::default())
        };
        Self { socket, out: request, sent: 0, response, heard: false, end: None, run }
    }

    /// Registers the socket, for writability only while bytes are left: an upstream that reads would cause needless events.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> std::io::Result<()> {
        let interest = if self.out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, interest)
    }

    /// Sends as much as the socket takes; `Some` if the upstream is unreachable.
    pub(crate) fn send(&mut self) -> Option<End> {
        if self.out.is_empty() {
            return None;
        }
        while self.sent < self.out.len() {
            match rustix::net::send(&self.socket, &self.out[self.sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                // An upstream that closes early may have answered already.
                Err(Errno::PIPE | Errno::CONNRESET) if self.sent > 0 => self.sent = self.out.len(),
                Err(error) => return Some(End::Unreachable(error)),
            }
        }
        self.out = Vec::new();
        self.sent = 0;
        if matches!(self.response, UpstreamResponse::FastCgi(_)) {
            // FPM reads its input to the end before it accepts the next request; this saves it the wait for the close.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
        }
        None
    }

    /// Writes and reads; `Some` when the response has ended. `true` beside `None` means that there may be more to read.
    pub(crate) fn proceed(&mut self, scratch: &mut [u8]) -> (Option<End>, bool) {
        if let Some(end) = self.send() {
            return (Some(end), false);
        }
        for _ in 0..READS_A_TURN {
            match rustix::net::recv(&self.socket, &mut *scratch, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return (Some(self.closed()), false),
                Ok((count, _)) => {
                    self.heard = true;
                    self.response.feed(&scratch[..count]);
                    if self.response.is_ended() {
                        return (Some(self.closed()), false);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return (None, false),
                Err(error) if !self.heard && self.sent == 0 && !self.out.is_empty() => {
                    return (Some(End::Unreachable(error)), false);
                }
                Err(_) => return (Some(self.closed()), false),
            }
        }
        (None, true)
    }

    fn closed(&self) -> End {
        match (self.response.outcome(), self.heard) {
            (Some(status), _) => End::Answered(status),
            (None, true) => End::Broken,
            (None, false) => End::Silent,
        }
    }
}

impl ReplayRun {
    /// Whether the token belongs to this connection: the first one that presents it claims it.
    pub(crate) fn is_claimed_by(&mut self, connection: u64) -> bool {
        *self.claimed.get_or_insert(connection) == connection
    }

    /// When the attempt becomes late; `None` if it already is or has arrived.
    pub(crate) fn late_at(&self) -> Option<Instant> {
        (!self.arrived && !self.late).then(|| self.started + PUNCTUAL)
    }

    /// Whether the script ended by itself, without a failure and without `sse_stream()`: it gives no stream any more.
    pub(crate) fn has_decided(&self) -> bool {
        self.reason.as_deref() == Some("")
    }

    /// Whether the process is still expected to report an output or a failure, in a message that may be unread.
    pub(crate) fn awaits_word(&self) -> bool {
        self.job.is_some() && self.wanted && !self.rendered && self.reason.is_none()
    }
}

impl UpstreamResponse {
    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::FastCgi(response) => response.feed(bytes),
            Self::Http(response) => response.feed(bytes),
        }
    }

    /// Whether the response itself marks its end.
    fn is_ended(&self) -> bool {
        matches!(self, Self::FastCgi(response) if response.is_ended())
    }

    /// The status of a response whose connection was closed; `None` if the response is incomplete.
    fn outcome(&self) -> Option<u16> {
        match self {
            // A script that ends without output has status 200 too.
            Self::FastCgi(response) if response.is_ended() => Some(response.status().unwrap_or(200)),
            Self::FastCgi(_) => None,
            Self::Http(response) => response.status(),
        }
    }
}
