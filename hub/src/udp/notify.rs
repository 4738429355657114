//! Notifications by datagram from processes of the hub's own user, over a Unix socket beside the hub's. The words are those of
//! UDP; key and rate limit don't apply, since the kernel reports the sender's user. From a shell:
//!
//! ```sh
//! php -r 'fwrite(stream_socket_client("udg:///run/php-sse/hub.sock.notify"), "WAKEUP chat.general");'
//! printf 'WAKEUP chat.general' | socat -u - UNIX-SENDTO:/run/php-sse/hub.sock.notify
//! ```
//!
//! No datagram is dropped: senders block while the hub is behind.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::connection::rights::Role;
use crate::socket::file::SocketFile;
use crate::sys::datagram;
use crate::udp::{DatagramVerdict, Gate, MAX_LEN};

/// Maximum number of datagrams read in one turn.
const DATAGRAMS_A_TURN: usize = 256;

/// Counters of the notification socket.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotifyStats {
    /// Datagrams of any kind.
    pub(crate) received: u64,
    /// Notifications accepted.
    pub(crate) wakes: u64,
    /// Datagrams that are no notification.
    pub(crate) garbage: u64,
    /// Datagrams from other users.
    pub(crate) refused: u64,
}

/// The notification socket.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: OwnedFd,
    file: SocketFile,
    /// Whether the socket may have more datagrams to read.
    pub(crate) ready: bool,
    pub(crate) stats: NotifyStats,
}

/// Path of the notification socket for a hub at the socket `hub`.
#[must_use]
pub fn path(hub: &Path) -> PathBuf {
    hub.with_added_extension("notify")
}

impl Notify {
    /// Binds the socket beside the hub's. This process owns the hub's socket, so an existing file is left from a hub that
    /// ended.
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
        Ok(Self::at(&path, socket, NotifyStats::default()))
    }

    /// Continues with the socket of the old hub, and with the datagrams queued in it.
    pub(crate) fn inherit(hub: &Path, socket: OwnedFd, stats: NotifyStats) -> Self {
        Self { ready: true, ..Self::at(&path(hub), socket, stats) }
    }

    fn at(path: &Path, socket: OwnedFd, stats: NotifyStats) -> Self {
        Self { socket, file: SocketFile::at(path), ready: false, stats }
    }

    /// Registers the socket for reading.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, Interest::READABLE)
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Path of the socket's file.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Reads a bounded number of datagrams, and calls `wake` with the topics of each accepted one; none means all.
    pub(crate) fn receive(&mut self, mut wake: impl FnMut(&[&str])) {
        if !self.ready {
            return;
        }
        let own = rustix::process::geteuid().as_raw();
        let mut gate = Gate::default();
        // One byte more than the maximum, to detect datagrams that are too long.
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
                DatagramVerdict::Wake(topics) => {
                    wake(&topics);
                    &mut self.stats.wakes
                }
                _ => &mut self.stats.garbage,
            };
            *count += 1;
        }
    }

    /// Removes the socket's file, unless another hub's has replaced it.
    pub(crate) fn remove(&mut self) {
        let _ = self.file.remove();
    }
}
