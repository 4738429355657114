//! A request that was sent again and is being answered.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::render::PUNCTUAL;
use crate::render::client::Client;
use crate::render::http::{fastcgi, http1};
use crate::render::pending::Pending;

/// Reads before the router's other work gets its turn.
const READS_A_TURN: usize = 8;

/// One connection to a server, for one run of a script.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) socket: OwnedFd,
    pub(crate) out: Vec<u8>,
    pub(crate) sent: usize,
    pub(crate) response: Response,
    /// Any byte of a response has come.
    pub(crate) heard: bool,
    /// How it has ended, while it is waited for what the script's process has said before.
    pub(crate) end: Option<End>,
    /// What it is for.
    pub(crate) run: Run,
}

/// A run of a script, from the sending of the request to the end of the response.
#[derive(Debug)]
pub(crate) struct Run {
    /// Proves to the script's process that the hub has asked for this run.
    pub(crate) token: Box<str>,
    /// The connection of that process, once it has come with the token. Whoever comes with it afterwards has overheard it.
    pub(crate) claimed: Option<u64>,
    /// For which job; `None` once that has gone on without it, as its stream has ended.
    pub(crate) job: Option<(u32, u64)>,
    /// What it comes to is still wanted: its time is not over, and its stream not ended.
    pub(crate) wanted: bool,
    /// For which stream's request.
    pub(crate) stream: u64,
    /// Whose stream that is.
    pub(crate) client: Client,
    /// The script's path.
    pub(crate) script: Arc<str>,
    /// To which server.
    pub(crate) upstream: u32,
    /// When it began.
    pub(crate) started: Instant,
    /// When it counts as failed, and after that, when it is no longer waited for.
    pub(crate) deadline: Instant,
    /// PHP has begun with it.
    pub(crate) reached: bool,
    /// Its script has got to `sse_stream()`, or has ended.
    pub(crate) arrived: bool,
    /// It did not arrive in time, and has given its place up.
    pub(crate) late: bool,
    /// Its output was taken.
    pub(crate) rendered: bool,
    /// What its callback was told, until its output was taken.
    pub(crate) taken: Option<Pending>,
    /// What its process says of its failure.
    pub(crate) reason: Option<String>,
}

/// A response of either protocol.
#[derive(Debug)]
pub(crate) enum Response {
    FastCgi(fastcgi::Response),
    Http(http1::Response),
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status.
    Answered(u16),
    /// The connection was closed in the middle of a response.
    Broken,
    /// The connection was closed without a byte.
    Silent,
    /// There was nobody.
    Unreachable(Errno),
}

impl Attempt {
    /// An attempt that has not sent anything yet.
    pub(crate) fn new(socket: OwnedFd, request: Vec<u8>, fastcgi: bool, run: Run) -> Self {
        let response = if fastcgi { Response::FastCgi(Default::default()) } else { Response::Http(Default::default()) };
        Self { socket, out: request, sent: 0, response, heard: false, end: None, run }
    }

    /// Watches its socket; for room only if there is something left to send: a server that reads a request makes some.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> std::io::Result<()> {
        let interest = if self.out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, interest)
    }

    /// Sends what can be sent; `Some` if there is nobody to send it to.
    pub(crate) fn send(&mut self) -> Option<End> {
        if self.out.is_empty() {
            return None;
        }
        while self.sent < self.out.len() {
            match rustix::net::send(&self.socket, &self.out[self.sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                // A server that closes early may have answered before.
                Err(Errno::PIPE | Errno::CONNRESET) if self.sent > 0 => self.sent = self.out.len(),
                Err(error) => return Some(End::Unreachable(error)),
            }
        }
        self.out = Vec::new();
        self.sent = 0;
        if matches!(self.response, Response::FastCgi(_)) {
            // FPM reads to the end of its input before it takes the next request; it need not wait for this to be closed.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
        }
        None
    }

    /// Writes and reads what can be; `Some` when it has ended. A `true` beside `None`: there may be more to read.
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

impl Run {
    /// Whether the token is this connection's. It is that of the first that comes with it.
    pub(crate) fn is_claimed_by(&mut self, connection: u64) -> bool {
        *self.claimed.get_or_insert(connection) == connection
    }

    /// When it is late, unless it is already or has arrived.
    pub(crate) fn late_at(&self) -> Option<Instant> {
        (!self.arrived && !self.late).then(|| self.started + PUNCTUAL)
    }

    /// Whether its process says what came of it, or why nothing, before the response ends: it may not have been heard yet.
    pub(crate) fn awaits_word(&self) -> bool {
        self.job.is_some() && self.wanted && !self.rendered && self.reason.is_none()
    }
}

impl Response {
    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::FastCgi(response) => response.feed(bytes),
            Self::Http(response) => response.feed(bytes),
        }
    }

    /// Whether it says itself that it is complete.
    fn is_ended(&self) -> bool {
        matches!(self, Self::FastCgi(response) if response.is_ended())
    }

    /// The status of a response after which the connection was closed, if it was a whole one.
    fn outcome(&self) -> Option<u16> {
        match self {
            // A script that ends without any output has status 200 as well.
            Self::FastCgi(response) if response.is_ended() => Some(response.status().unwrap_or(200)),
            Self::FastCgi(_) => None,
            Self::Http(response) => response.status(),
        }
    }
}
