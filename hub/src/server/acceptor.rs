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
pub(crate) struct Door {
    listener: Option<UnixListener>,
    path: PathBuf,
    /// Device and number of the socket file.
    file: Option<(u64, u64)>,
    /// Kept so that a peer can be told that there are no more descriptors.
    reserve: Option<File>,
    /// Somebody may be waiting.
    pub(crate) ready: bool,
    /// When to try again after there was no descriptor at all.
    pub(crate) retry: Option<Instant>,
}

/// Who is at the door.
#[derive(Debug)]
pub(crate) enum Knock {
    /// Nobody, or nobody who can be let in now.
    Nobody,
    /// A peer.
    Peer(OwnedFd),
    /// There is no descriptor for whoever it is. The peer, if there was one just to tell it so.
    NoDescriptor(Option<OwnedFd>),
}

impl Door {
    /// The door at this path.
    pub(crate) fn new(listener: UnixListener, path: &Path) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let path = path.to_path_buf();
        let mut door = Self { listener: Some(listener), path, file: None, reserve: None, ready: true, retry: None };
        door.file = door.found();
        door.refill();
        Ok(door)
    }

    /// The listening socket, as long as there is one.
    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Watches the listening socket.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        registry.register(&mut SourceFd(&listener.as_raw_fd()), token, Interest::READABLE)
    }

    /// Lets the next one in.
    pub(crate) fn open(&mut self) -> Knock {
        if self.retry.is_some_and(|at| at <= Instant::now()) {
            self.retry = None;
            self.ready = true;
            self.refill();
        }
        if !self.ready || self.retry.is_some() {
            return Knock::Nobody;
        }
        match self.accept() {
            Ok(Some(socket)) => Knock::Peer(socket),
            Ok(None) => Knock::Nobody,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                if self.reserve.take().is_none() {
                    return Knock::NoDescriptor(None);
                }
                let accepted = self.accept();
                // The caller closes the peer's at once; till then there is none to refill with.
                match accepted {
                    Ok(None) => {
                        self.refill();
                        Knock::Nobody
                    }
                    accepted => Knock::NoDescriptor(accepted.ok().flatten()),
                }
            }
            Err(error) => {
                warn!(%error, "accepting a connection failed");
                self.ready = false;
                Knock::Nobody
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
        if self.listener.take().is_some()
            && self.is_still_there()
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(%error, "the socket file can't be removed");
        }
    }

    /// Listens no more. Whoever has the lock replaces the socket file, as nobody answers there.
    pub(crate) fn leave(&mut self) {
        self.listener = None;
    }

    fn found(&self) -> Option<(u64, u64)> {
        fs::symlink_metadata(&self.path).ok().map(|file| (file.dev(), file.ino()))
    }
}

/// Tells a peer that there is no room for it. Not in the words of a hub that won't talk to it: later it may work.
pub(crate) fn no_room(socket: &OwnedFd, message: &str) {
    say(socket, &Reply::Error { code: ErrorCode::Full, message });
}

/// Tells a peer why it isn't let in.
pub(crate) fn turn_away(socket: &OwnedFd, reason: &str) {
    say(socket, &Reply::Refused { reason });
}

fn say(socket: &OwnedFd, reply: &Reply<'_>) {
    let _ = rustix::net::send(socket, &wire::encode(reply), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}
