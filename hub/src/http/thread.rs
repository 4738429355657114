//! The thread that answers the web server's requests. It owns their connections until each is answered.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use slab::Slab;
use tracing::{info, warn};

use crate::http::head::{self, MAX_REQUEST, Wanted};
use crate::http::tickets::Tickets;
use crate::util::throttle::LogThrottle;
use sse_protocol::wire::Framing;

const LISTENER: Token = Token(usize::MAX - 1);
pub(super) const WAKER: Token = Token(usize::MAX);

/// Pause of accepting when no descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection keeps its place in any case. A web server sends its request at once, so one that has waited for longer
/// makes room for another.
const GRACE: Duration = Duration::from_millis(100);

/// A connection whose request has not come in full.
#[derive(Debug)]
pub(crate) struct PartialRequest {
    pub(crate) socket: OwnedFd,
    /// What has come of it.
    pub(crate) bytes: Vec<u8>,
}

/// A ticket was used.
#[derive(Debug)]
pub(crate) struct Redeemed {
    /// Id of the held stream.
    pub(crate) stream: u64,
    /// How bytes are framed on the connection.
    pub(crate) framing: Framing,
    /// The connection, which has the response's head; `None`: it broke.
    pub(crate) socket: Option<OwnedFd>,
}

/// Limits of the requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLimits {
    /// Most connections without a complete request.
    pub(crate) connections: usize,
    /// How long a request may take to come.
    pub(crate) timeout: Duration,
}

impl RequestLimits {
    /// What is left of a connection's time when it has waited for [`GRACE`].
    fn spare(self) -> Duration {
        self.timeout.saturating_sub(GRACE)
    }
}

/// What the thread shares with the ordering thread.
#[derive(Debug, Clone)]
pub(crate) struct HttpShared {
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) redeemed: Sender<Redeemed>,
    pub(crate) ordering_thread: Arc<Waker>,
    pub(crate) limits: RequestLimits,
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct HttpThread {
    poll: Poll,
    listener: OwnedFd,
    waiting: Slab<(PartialRequest, Instant)>,
    shared: HttpShared,
    stop: Arc<AtomicBool>,
    /// Connections may wait to be accepted.
    ready: bool,
    /// When to accept again after no descriptor was free.
    retry: Option<Instant>,
    full: LogThrottle,
}

impl HttpThread {
    pub(super) fn new(
        poll: Poll,
        listener: OwnedFd,
        requests: Vec<PartialRequest>,
        shared: HttpShared,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), LISTENER, Interest::READABLE)?;
        let full = LogThrottle::default();
        let mut thread = Self { poll, listener, waiting: Slab::new(), shared, stop, ready: true, retry: None, full };
        requests.into_iter().for_each(|request| thread.wait(request));
        Ok(thread)
    }

    /// Answers requests until it is stopped; returns the listener and the requests that have not come in full.
    pub(super) fn run(mut self) -> (OwnedFd, Vec<PartialRequest>) {
        let mut events = Events::with_capacity(256);
        while !self.stop.load(Ordering::SeqCst) {
            self.accept();
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    warn!(%error, "requests by HTTP can't be waited for");
                    std::thread::sleep(PAUSE);
                }
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.ready = true,
                    WAKER => {}
                    Token(key) => {
                        if let Some((request, until)) = self.waiting.try_remove(key) {
                            let _ = self.poll.registry().deregister(&mut SourceFd(&request.socket.as_raw_fd()));
                            self.serve(request, until);
                        }
                    }
                }
            }
            let now = Instant::now();
            self.waiting.retain(|_, (_, until)| *until > now);
        }
        (self.listener, self.waiting.drain().map(|(request, _)| request).collect())
    }

    fn timeout(&self) -> Option<Duration> {
        let limits = self.shared.limits;
        let oldest = self.oldest().map(|(_, until)| until);
        let next = match self.ready && self.retry.is_none() {
            true if self.waiting.len() < limits.connections => return Some(Duration::ZERO),
            true => oldest.and_then(|until| until.checked_sub(limits.spare())),
            false => oldest.into_iter().chain(self.retry).min(),
        };
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// The connection that has waited longest, and until when it may.
    fn oldest(&self) -> Option<(usize, Instant)> {
        self.waiting.iter().map(|(key, (_, until))| (key, *until)).min_by_key(|(_, until)| *until)
    }

    fn accept(&mut self) {
        self.retry = self.retry.filter(|at| *at > Instant::now());
        // A bounded number, so that requests which have come are read in between.
        for _ in 0..self.shared.limits.connections {
            if !self.ready || self.retry.is_some() {
                return;
            }
            let limits = self.shared.limits;
            let leaves = if self.waiting.len() < limits.connections { None } else { self.oldest() };
            if leaves.is_some_and(|(_, until)| until > Instant::now() + limits.spare()) {
                return;
            }
            match rustix::net::accept_with(self.listener.as_fd(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => {
                    if let Some((key, _)) = leaves {
                        self.waiting.remove(key);
                    }
                    self.wait(PartialRequest { socket, bytes: Vec::new() });
                }
                Err(Errno::AGAIN) => self.ready = false,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => {
                    if let Some(before) = self.full.due(Instant::now()) {
                        warn!(%error, before, "a connection by HTTP can't be accepted");
                    }
                    self.retry = Some(Instant::now() + PAUSE);
                }
            }
        }
    }

    /// Reads a request, and waits for the rest of it.
    fn wait(&mut self, request: PartialRequest) {
        let until = Instant::now() + self.shared.limits.timeout;
        self.serve(request, until);
    }

    fn serve(&mut self, mut request: PartialRequest, until: Instant) {
        loop {
            match head::read(&request.bytes) {
                Ok(Some(wanted)) => {
                    self.answer(wanted, request.socket);
                    return;
                }
                Err(_) => {
                    say(&request.socket, &head::text("400 Bad Request", ""));
                    return;
                }
                Ok(None) => {}
            }
            let mut part = [0; 4096];
            let room = part.len().min(MAX_REQUEST + 1 - request.bytes.len().min(MAX_REQUEST));
            match rustix::net::recv(&request.socket, &mut part[..room], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return,
                Ok((read, _)) => request.bytes.extend_from_slice(&part[..read]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return,
            }
        }
        let entry = self.waiting.vacant_entry();
        let descriptor = request.socket.as_raw_fd();
        if self.poll.registry().register(&mut SourceFd(&descriptor), Token(entry.key()), Interest::READABLE).is_ok() {
            entry.insert((request, until));
        }
    }

    fn answer(&self, wanted: Wanted<'_>, socket: OwnedFd) {
        match wanted {
            Wanted::Stream(name, framing) => {
                let Some(ticket) = self.shared.tickets.take(name, Instant::now()) else {
                    // Not 404, which a web server answers itself where a client asks for this location.
                    say(&socket, &head::text("410 Gone", ""));
                    return;
                };
                let begun = say(&socket, &head::stream(&ticket.headers, framing));
                if !begun {
                    info!(stream = ticket.stream, "the web server left, or takes no headers");
                }
                let redeemed = Redeemed { stream: ticket.stream, framing, socket: begun.then_some(socket) };
                // The receiver is missing only if the hub ends.
                let _ = self.shared.redeemed.send(redeemed);
                let _ = self.shared.ordering_thread.wake();
            }
            Wanted::Health => {
                say(&socket, &head::text("200 OK", "ok\n"));
            }
            Wanted::Nothing => {
                say(&socket, &head::text("404 Not Found", ""));
            }
        }
    }
}

/// Writes all at once, which a new connection has room for; false if it has not, or is broken.
fn say(socket: &OwnedFd, bytes: &[u8]) -> bool {
    loop {
        match rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent == Ok(bytes.len()),
        }
    }
}
