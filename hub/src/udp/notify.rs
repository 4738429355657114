//! Wakes by datagram from processes of the hub's own user: a Unix socket beside the hub's, with the same words as by UDP and
//! without its bounds. Who sends is checked by the system's word. From a shell:
//!
//! ```sh
//! php -r 'fwrite(stream_socket_client("udg:///run/php-sse/hub.sock.notify"), "WAKEUP chat.general");'
//! printf 'WAKEUP chat.general' | socat -u - UNIX-SENDTO:/run/php-sse/hub.sock.notify
//! ```
//!
//! Nothing is dropped there: while the hub is behind, senders wait.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::server::rights::Role;
use crate::sys::datagram;
use crate::udp::{Gate, MAX_LEN, Verdict};

/// Datagrams read before others get their turn.
const DATAGRAMS_A_TURN: usize = 256;

/// What was received.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotifyStats {
    /// Datagrams of any kind.
    pub(crate) received: u64,
    /// Wakes that were taken.
    pub(crate) wakes: u64,
    /// Datagrams that are no wakes.
    pub(crate) garbage: u64,
    /// Of other users.
    pub(crate) refused: u64,
}

/// The socket.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: OwnedFd,
    path: PathBuf,
    /// The file, to know it again.
    file: Option<(u64, u64)>,
    /// There may be more datagrams to read.
    pub(crate) ready: bool,
    pub(crate) stats: NotifyStats,
}

/// Where it is, for a hub at this socket.
#[must_use]
pub fn path(hub: &Path) -> PathBuf {
    hub.with_added_extension("notify")
}

impl Notify {
    /// Listens beside the hub's socket, whose hub this process is: what stands there is of one that has ended.
    pub(crate) fn bind(hub: &Path) -> io::Result<Self> {
        let path = path(hub);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        datagram::tell_senders(socket.as_fd())?;
        // The file gets the mode of the socket.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
        Ok(Self::at(path, socket, NotifyStats::default()))
    }

    /// Goes on with the socket of another hub, and with the datagrams that wait in it.
    pub(crate) fn inherit(hub: &Path, socket: OwnedFd, stats: NotifyStats) -> Self {
        Self { ready: true, ..Self::at(path(hub), socket, stats) }
    }

    fn at(path: PathBuf, socket: OwnedFd, stats: NotifyStats) -> Self {
        let file = found(&path);
        Self { socket, path, file, ready: false, stats }
    }

    /// Watches its socket.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, Interest::READABLE)
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a bounded number of datagrams, and calls `wake` with the topics of each that counts; none means all.
    pub(crate) fn receive(&mut self, mut wake: impl FnMut(&[&str])) {
        if !self.ready {
            return;
        }
        let own = rustix::process::geteuid().as_raw();
        let mut gate = Gate::default();
        // A byte more than allowed, to tell what is too long.
        let mut buffer = [0; MAX_LEN + 1];
        for _ in 0..DATAGRAMS_A_TURN {
            let (len, sender) = match datagram::receive(self.socket.as_fd(), &mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        warn!(%error, "a datagram can't be received");
                    }
                    self.ready = false;
                    return;
                }
            };
            self.stats.received += 1;
            let count = match gate.judge(&buffer[..len], 0) {
                _ if sender.is_none_or(|sender| Role::of(sender, own) != Role::Owner) => &mut self.stats.refused,
                Verdict::Wake(topics) => {
                    wake(&topics);
                    &mut self.stats.wakes
                }
                _ => &mut self.stats.garbage,
            };
            *count += 1;
        }
    }

    /// Removes its file, unless another hub's has taken its place.
    pub(crate) fn remove(&mut self) {
        if self.file.is_some() && self.file == found(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn found(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
