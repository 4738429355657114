//! The acceptor: owns the hub's listening socket and its socket file.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags};
use tracing::warn;

use crate::socket::StartLock;
use crate::socket::file::SocketFile;
use sse_protocol::wire::{self, ErrorCode, Reply};

/// Accepts the connections of PHP processes.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Option<UnixListener>,
    file: SocketFile,
    /// A spare descriptor, closed to accept and refuse a connection when the process has no other.
    reserve: Option<File>,
    /// Connections may be waiting.
    pub(crate) ready: bool,
    /// When to accept again after even the reserve was gone.
    pub(crate) retry: Option<Instant>,
}

/// Result of one attempt to accept.
#[derive(Debug)]
pub(crate) enum Candidate {
    /// No connection waits, or the acceptor pauses.
    Nobody,
    /// An accepted connection.
    Connection(OwnedFd),
    /// No descriptor is free. The connection, if the reserve allowed to accept it, is only there to be refused.
    NoDescriptor(Option<OwnedFd>),
}

impl Acceptor {
    /// Makes the acceptor of the socket file at this path.
    pub(crate) fn new(listener: UnixListener, path: &Path) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let file = SocketFile::at(path);
        let mut acceptor = Self { listener: Some(listener), file, reserve: None, ready: true, retry: None };
        acceptor.refill();
        Ok(acceptor)
    }

    /// The listening socket; `None` after [`shut`](Self::shut) or [`leave`](Self::leave).
    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Registers the listening socket for reading.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        registry.register(&mut SourceFd(&listener.as_raw_fd()), token, Interest::READABLE)
    }

    /// Whether connections may be waiting, and can be accepted.
    pub(crate) fn has_waiting(&self) -> bool {
        self.ready && self.retry.is_none() && self.listener.is_some()
    }

    /// Accepts the next connection.
    pub(crate) fn open(&mut self) -> Candidate {
        if self.retry.is_some_and(|at| at <= Instant::now()) {
            self.retry = None;
            self.ready = true;
            self.refill();
        }
        if !self.ready || self.retry.is_some() {
            return Candidate::Nobody;
        }
        match self.accept() {
            Ok(Some(socket)) => Candidate::Connection(socket),
            Ok(None) => Candidate::Nobody,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                if self.reserve.take().is_none() {
                    return Candidate::NoDescriptor(None);
                }
                let accepted = self.accept();
                // The caller closes the accepted connection at once; until then no descriptor is free for the reserve.
                match accepted {
                    Ok(None) => {
                        self.refill();
                        Candidate::Nobody
                    }
                    accepted => Candidate::NoDescriptor(accepted.ok().flatten()),
                }
            }
            Err(error) => {
                warn!(%error, "accepting a connection failed");
                self.ready = false;
                Candidate::Nobody
            }
        }
    }

    fn accept(&mut self) -> Result<Option<OwnedFd>, Errno> {
        let Some(listener) = &self.listener else { return Ok(None) };
        loop {
            match rustix::net::accept_with(listener.as_fd(), SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    return Ok(Some(socket));
                }
                Err(Errno::AGAIN) => {
                    self.ready = false;
                    return Ok(None);
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens the reserve again, if a descriptor is free.
    pub(crate) fn refill(&mut self) {
        if self.reserve.is_none() {
            self.reserve = File::open("/dev/null").ok();
        }
    }

    /// Whether the path still names this hub's socket file.
    pub(crate) fn is_still_there(&self) -> bool {
        self.file.is_still_there()
    }

    /// Closes the listening socket and removes the socket file if it is this hub's. The lock keeps another hub from replacing
    /// the file between check and removal.
    pub(crate) fn shut(&mut self, _lock: &StartLock) {
        if self.listener.take().is_some()
            && let Err(error) = self.file.remove()
        {
            warn!(%error, "the socket file can't be removed");
        }
    }

    /// Closes the listening socket; the holder of the lock replaces the socket file, because nobody answers there.
    pub(crate) fn leave(&mut self) {
        self.listener = None;
    }
}

/// Answers that the hub is full. Unlike [`turn_away`], this error says that a later attempt may succeed.
pub(crate) fn no_room(socket: &OwnedFd, message: &str) {
    say(socket, &Reply::Error { code: ErrorCode::Full, message });
}

/// Answers that the hub does not serve this process, and why.
pub(crate) fn turn_away(socket: &OwnedFd, reason: &str) {
    say(socket, &Reply::Refused { reason });
}

fn say(socket: &OwnedFd, reply: &Reply<'_>) {
    let _ = rustix::net::send(socket, &wire::encode(reply), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}
