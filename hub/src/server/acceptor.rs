//! The hub's listening socket, and the file it is reached by.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags};
use tracing::warn;

use crate::socket::StartLock;
use sse_protocol::wire::{self, ErrorCode, Reply};

/// Where PHP processes come in.
#[derive(Debug)]
pub(crate) struct Acceptor {
    upstream: Option<UnixListener>,
    path: PathBuf,
    /// Device and number of the socket file.
    file: Option<(u64, u64)>,
    /// Stored so that a connection can be told that there are no more descriptors.
    reserve: Option<File>,
    /// Somebody may be waiting.
    pub(crate) ready: bool,
    /// When to try again after there was no descriptor at all.
    pub(crate) retry: Option<Instant>,
}

/// Who is at the acceptor.
#[derive(Debug)]
pub(crate) enum Candidate {
    /// Nobody, or nobody who can be let in now.
    Nobody,
    /// A connection.
    Connection(OwnedFd),
    /// There is no descriptor for whoever it is. The connection, if there was one just to tell it so.
    NoDescriptor(Option<OwnedFd>),
}

impl Acceptor {
    /// The acceptor at this path.
    pub(crate) fn new(upstream: UnixListener, path: &Path) -> io::Result<Self> {
        upstream.set_nonblocking(true)?;
        let path = path.to_path_buf();
        let mut acceptor = Self { upstream: Some(upstream), path, file: None, reserve: None, ready: true, retry: None };
        acceptor.file = acceptor.found();
        acceptor.refill();
        Ok(acceptor)
    }

    /// The listening socket, as long as there is one.
    pub(crate) fn upstream(&self) -> Option<BorrowedFd<'_>> {
        self.upstream.as_ref().map(AsFd::as_fd)
    }

    /// Watches the listening socket.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> io::Result<()> {
        let Some(upstream) = &self.upstream else { return Ok(()) };
        registry.register(&mut SourceFd(&upstream.as_raw_fd()), token, Interest::READABLE)
    }

    /// Lets the next one in.
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
                // The caller closes the connection's at once; till then there is none to refill with.
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
        let Some(upstream) = &self.upstream else { return Ok(None) };
        loop {
            match rustix::net::accept_with(upstream.as_fd(), SocketFlags::CLOEXEC) {
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

    /// Opens the reserve again, if there is a descriptor for it.
    pub(crate) fn refill(&mut self) {
        if self.reserve.is_none() {
            self.reserve = File::open("/dev/null").ok();
        }
    }

    /// Whether the path still leads here.
    pub(crate) fn is_still_there(&self) -> bool {
        self.file.is_some() && self.found() == self.file
    }

    /// Listens no more, and takes the socket file away if it is this hub's. Under the lock, because another hub's file
    /// could take its place between looking and removing.
    pub(crate) fn shut(&mut self, _lock: &StartLock) {
        if self.upstream.take().is_some()
            && self.is_still_there()
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(%error, "the socket file can't be removed");
        }
    }

    /// Listens no more. Whoever has the lock replaces the socket file, as nobody answers there.
    pub(crate) fn leave(&mut self) {
        self.upstream = None;
    }

    fn found(&self) -> Option<(u64, u64)> {
        fs::symlink_metadata(&self.path).ok().map(|file| (file.dev(), file.ino()))
    }
}

/// Tells a connection that there is no room for it. Not in the words of a hub that won't talk to it: later it may work.
pub(crate) fn no_room(socket: &OwnedFd, message: &str) {
    say(socket, &Reply::Error { code: ErrorCode::Full, message });
}

/// Tells a connection why it isn't let in.
pub(crate) fn turn_away(socket: &OwnedFd, reason: &str) {
    say(socket, &Reply::Refused { reason });
}

fn say(socket: &OwnedFd, reply: &Reply<'_>) {
    let _ = rustix::net::send(socket, &wire::encode(reply), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}
