//! The extension's side of the wire: one connection to the hub, kept for the life of the process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::sockopt::Timeout;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use thiserror::Error;

use crate::wire::{self, ErrorCode, MAGIC, PREFIX, PROTOCOL, Reply, Request, VERSION};

/// Longest reply of a hub, in bytes: the events kept for one callback under the largest settings.
fn max_reply() -> usize {
    wire::max_message(wire::MAX_EVENT_SIZE as usize, wire::MAX_TOPICS as usize)
}

/// Send buffer of the socket, in bytes, for requests that the hub has not read yet. Linux charges about 800 bytes for a
/// small request and doubles this value, so a burst of some thousand notifications or events fits.
const SEND_BUFFER: usize = 1 << 20;

/// Bytes reserved for each read: most replies are only an id.
const CHUNK: usize = 4096;

/// Why a request has no reply.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No process listens on the socket.
    #[error("no hub runs at {path}: {error}")]
    NotRunning {
        /// Path of the socket.
        path: String,
        /// Error of the system.
        error: io::Error,
    },
    /// The listening process belongs to a user that is not trusted.
    #[error(
        "{path} belongs to user {uid}; only the user of this process, root, or the owner of the folder is trusted with streams"
    )]
    Untrusted {
        /// Path of the socket.
        path: String,
        /// User id of the listener.
        uid: u32,
    },
    /// The timeout passed before the hub could get the whole request.
    #[error("the hub did not answer within {0:?} (sse.timeout)")]
    Timeout(Duration),
    /// The socket buffer is full; nothing was sent.
    #[error("the hub's socket is full, as it is stopped or can't keep up; nothing was sent")]
    Behind,
    /// The timeout passed after the request was sent: the hub may or may not have done it.
    #[error(
        "the hub did not answer within {0:?} (sse.timeout); it is not known whether it took the request, which may still be done"
    )]
    Late(Duration),
    /// The hub closed the connection before it could read the request.
    #[error("the hub closed the connection")]
    Closed,
    /// The hub closed the connection after the request was sent: it may or may not have done it.
    #[error("the hub closed the connection before it answered; it is not known whether it took the request")]
    Unanswered,
    /// The hub speaks another protocol version, or does not trust this process.
    #[error("{0}")]
    Refused(String),
    /// The hub replied with an error.
    #[error("{message}")]
    Hub {
        /// Kind of the error.
        code: ErrorCode,
        /// What was wrong.
        message: String,
    },
    /// The bytes received are no reply.
    #[error("the hub's answer makes no sense: {0}")]
    Protocol(String),
    /// Any other error of the system.
    #[error("talking to the hub failed: {0}")]
    Io(#[from] io::Error),
}

/// A connection to the hub. It belongs to one thread; the hub answers its requests in order.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    inbox: Vec<u8>,
    /// Bytes at the start of `inbox` that belong to a reply already returned.
    consumed: usize,
    welcomed: bool,
    /// Receive timeout that is set on the socket.
    waits: Duration,
}

impl Client {
    /// Connects and sends the greeting without waiting for the reply: the first [`call`](Self::call) reads that.
    /// `timeout` limits the wait for a hub whose accept queue is full; zero means no wait.
    ///
    /// # Errors
    /// `NotRunning` if no process listens, `Untrusted` if the wrong user does, `Timeout` or `Behind` if the hub is too busy
    /// to accept. A busy hub must not count as a missing one, or the caller would start another.
    pub fn connect(path: &Path, owner: Option<u32>, timeout: Duration) -> Result<Self, ClientError> {
        let not_running =
            |error: Errno| ClientError::NotRunning { path: path.display().to_string(), error: error.into() };
        // Only connect and receive may block; every other call passes `DONTWAIT`.
        let blocking = if timeout.is_zero() { SocketFlags::NONBLOCK } else { SocketFlags::empty() };
        let flags = SocketFlags::CLOEXEC | blocking;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(io::Error::from)?;
        if !timeout.is_zero() {
            rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(timeout)).map_err(io::Error::from)?;
        }
        let address = SocketAddrUnix::new(path).map_err(not_running)?;
        loop {
            match rustix::net::connect(&socket, &address) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if timeout.is_zero() => return Err(ClientError::Behind),
                Err(Errno::AGAIN) => return Err(ClientError::Timeout(timeout)),
                Err(error) => return Err(not_running(error)),
            }
        }
        trust(&socket, path)?;
        rustix::io::ioctl_fionbio(&socket, false).map_err(io::Error::from)?;
        // The kernel caps the size at its own limit; a smaller buffer still works.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
        let client = Self { socket, inbox: Vec::new(), consumed: 0, welcomed: false, waits: Duration::ZERO };
        match client.post(&Request::Hello { magic: MAGIC, protocol: PROTOCOL, version: VERSION, owner }) {
            // The hub may have refused and closed already; the first call reads the reason.
            Ok(()) | Err(ClientError::Closed) => Ok(client),
            Err(error) => Err(error),
        }
    }

    /// Whether the hub still holds its end. Asks the kernel only.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let mut byte = [0; 1];
        let peeked = rustix::net::recv(&self.socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Ok((1.., _)) | Err(Errno::AGAIN))
    }

    /// Sends a request that has no reply. Never waits.
    ///
    /// # Errors
    /// `Closed` if the hub is gone, `Behind` if its socket is full.
    pub fn post(&self, request: &Request<'_>) -> Result<(), ClientError> {
        match self.post_whole(request, Duration::ZERO) {
            Err(ClientError::Timeout(_)) => Err(ClientError::Closed),
            posted => posted,
        }
    }

    /// Sends a request that has no reply. Waits up to `timeout` while the socket is full or has taken only a part of the
    /// request.
    ///
    /// # Errors
    /// `Closed` if the hub is gone; `Behind` if the socket stays full and nothing was sent; `Timeout` if only a part was
    /// sent, after which the connection can't be used again.
    pub fn post_whole(&self, request: &Request<'_>, timeout: Duration) -> Result<(), ClientError> {
        let bytes = wire::encode(request);
        let deadline = Deadline::new(timeout);
        let first = loop {
            match rustix::net::send(&self.socket, &bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Err(Errno::AGAIN) => match deadline.wait(&self.socket, PollFlags::OUT) {
                    Err(ClientError::Timeout(_)) => return Err(ClientError::Behind),
                    waited => waited?,
                },
                Err(Errno::INTR) => {}
                first => break first,
            }
        };
        match first {
            Ok(sent) => {
                let rest = self.send(&bytes[sent..], None, deadline);
                if rest.is_err() {
                    // A partial message would garble all later ones, so the socket is shut down.
                    let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
                }
                rest
            }
            Err(error) => Err(lost(error)),
        }
    }

    /// Sends encoded requests back to back, then reads their replies in order and passes each to `read`. The caller must
    /// send so few that all replies fit into the socket buffer.
    ///
    /// # Errors
    /// As [`call`](Self::call): `Closed` or `Timeout` only if no request was sent, so that none was done. Requests with a
    /// reply are done; after `Unanswered` and `Late` the outcome of the others is unknown.
    pub fn call_all<R: AsRef<[u8]>>(
        &mut self,
        requests: &[R],
        timeout: Duration,
        mut read: impl FnMut(Reply<'_>),
    ) -> Result<(), ClientError> {
        let deadline = Deadline::new(timeout);
        let mut sent = Ok(());
        let mut count = 0;
        for request in requests {
            sent = self.send(request.as_ref(), None, deadline);
            if sent.is_err() {
                break;
            }
            count += 1;
        }
        if count > 0 || matches!(sent, Err(ClientError::Closed)) {
            if !self.welcomed {
                self.greeted(deadline)?;
            }
            for _ in 0..count {
                match self.receive(deadline)? {
                    Reply::Refused { reason } => return Err(ClientError::Refused(reason.into())),
                    reply => read(reply),
                }
            }
        }
        match sent {
            Err(ClientError::Closed) if count > 0 => Err(ClientError::Unanswered),
            Err(ClientError::Timeout(whole)) if count > 0 => Err(ClientError::Late(whole)),
            sent => sent,
        }
    }

    /// Sends a request, with a descriptor if it needs one, and waits for the reply.
    ///
    /// # Errors
    /// `Closed` or `Timeout` if the hub can't have done the request, `Unanswered` or `Late` if that is unknown, `Hub` for
    /// an error reply. The connection must not be used after `Timeout`, `Unanswered`, `Late` or `Protocol`.
    pub fn call(
        &mut self,
        request: &Request<'_>,
        descriptor: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Reply<'_>, ClientError> {
        let deadline = Deadline::new(timeout);
        match self.send(&wire::encode(request), descriptor, deadline) {
            Err(ClientError::Closed) => return Err(self.why_closed(deadline)),
            sent => sent?,
        }
        if !self.welcomed {
            self.greeted(deadline)?;
        }
        match self.receive(deadline)? {
            Reply::Error { code, message } => Err(ClientError::Hub { code, message: message.into() }),
            Reply::Refused { reason } => Err(ClientError::Refused(reason.into())),
            reply => Ok(reply),
        }
    }

    /// Why the hub closed the connection before it had all of a request: one that refuses the process, or a request that is too
    /// long, sends its reason first. Such a request must not be sent again.
    fn why_closed(&mut self, deadline: Deadline) -> ClientError {
        if !self.welcomed
            && let Err(error) = self.greeted(deadline)
        {
            return error;
        }
        match self.receive(deadline) {
            Ok(Reply::Error { code, message }) => ClientError::Hub { code, message: message.into() },
            Ok(Reply::Refused { reason }) => ClientError::Refused(reason.into()),
            _ => ClientError::Closed,
        }
    }

    fn greeted(&mut self, deadline: Deadline) -> Result<(), ClientError> {
        match self.receive(deadline) {
            Ok(Reply::Welcome { .. }) => {
                self.welcomed = true;
                Ok(())
            }
            Ok(Reply::Refused { reason }) => Err(ClientError::Refused(reason.into())),
            // The hub had no free descriptor to accept this connection with.
            Ok(Reply::Error { code, message }) => Err(ClientError::Hub { code, message: message.into() }),
            Ok(other) => Err(other.unexpected("a greeting")),
            // A hub that ends during the greeting has done nothing.
            Err(ClientError::Unanswered) => Err(ClientError::Closed),
            Err(error) => Err(error),
        }
    }

    fn send(&self, mut bytes: &[u8], mut fd: Option<BorrowedFd<'_>>, deadline: Deadline) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            if fd.is_none() {
                match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                    Ok(sent) => bytes = &bytes[sent..],
                    Err(Errno::AGAIN) => deadline.wait(&self.socket, PollFlags::OUT)?,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(lost(error)),
                }
                continue;
            }
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let fds = fd.map(|fd| [fd]);
            if let Some(fds) = &fds {
                ancillary.push(SendAncillaryMessage::ScmRights(fds));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::sendmsg(&self.socket, &[io::IoSlice::new(bytes)], &mut ancillary, flags) {
                Ok(sent) => {
                    bytes = &bytes[sent..];
                    fd = None;
                }
                Err(Errno::AGAIN) => deadline.wait(&self.socket, PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }

    /// Sets the socket's receive timeout to the time left, so that a read blocks in the kernel; false if it could not.
    fn wait_in_reads(&mut self, deadline: Deadline) -> bool {
        // Rounding up to whole milliseconds makes equal timeouts need only one system call.
        let Some(left) = deadline.left().and_then(|left| u64::try_from(left.as_nanos().div_ceil(1_000_000)).ok())
        else {
            return false;
        };
        let left = Duration::from_millis(left);
        if self.waits != left {
            if rustix::net::sockopt::set_socket_timeout(&self.socket, Timeout::Recv, Some(left)).is_err() {
                return false;
            }
            self.waits = left;
        }
        true
    }

    fn receive(&mut self, deadline: Deadline) -> Result<Reply<'_>, ClientError> {
        self.inbox.drain(..self.consumed);
        self.consumed = 0;
        let protocol = |error: wire::WireError| ClientError::Protocol(error.to_string());
        // The first read blocks in the kernel, which saves two system calls. After it, the loop polls until the deadline.
        let mut flags = if self.wait_in_reads(deadline) { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        loop {
            if let Some(size) = wire::announced(&self.inbox, max_reply()).map_err(protocol)?
                && self.inbox.len() >= PREFIX + size
            {
                self.consumed = PREFIX + size;
                return wire::decode(&self.inbox[PREFIX..PREFIX + size]).map_err(protocol);
            }
            self.inbox.reserve(CHUNK);
            let read = rustix::net::recv(&self.socket, rustix::buffer::spare_capacity(&mut self.inbox), flags);
            flags = RecvFlags::DONTWAIT;
            match read {
                Ok((0, _)) | Err(Errno::CONNRESET) => return Err(ClientError::Unanswered),
                Ok(_) => {}
                Err(Errno::AGAIN) => deadline.wait(&self.socket, PollFlags::IN).map_err(|error| match error {
                    ClientError::Timeout(whole) => ClientError::Late(whole),
                    other => other,
                })?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(ClientError::Io(error.into())),
            }
        }
    }
}

/// Maps an error of `send`: the hub did not get the whole message, so it did nothing.
fn lost(error: Errno) -> ClientError {
    match error {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => ClientError::Closed,
        error => ClientError::Io(error.into()),
    }
}

/// Checks who listens: it must be this user, root, or the owner of the socket's folder, which the administrator chose.
pub fn trust(socket: &OwnedFd, path: &Path) -> Result<(), ClientError> {
    let uid = rustix::net::sockopt::socket_peercred(socket).map_err(io::Error::from)?.uid.as_raw();
    let own = rustix::process::geteuid().as_raw();
    if uid == own || uid == 0 {
        return Ok(());
    }
    let folder = path.parent().and_then(|folder| rustix::fs::stat(folder).ok());
    if folder.is_some_and(|stat| stat.st_uid == uid) {
        return Ok(());
    }
    Err(ClientError::Untrusted { path: path.display().to_string(), uid })
}

/// End of a timeout.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    whole: Duration,
}

impl Deadline {
    fn new(timeout: Duration) -> Self {
        Self { at: Instant::now() + timeout, whole: timeout }
    }

    /// Time left; `None` once the deadline has passed.
    fn left(self) -> Option<Duration> {
        self.at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    fn wait(self, fd: &impl AsFd, what: PollFlags) -> Result<(), ClientError> {
        loop {
            let Some(left) = self.left() else { return Err(ClientError::Timeout(self.whole)) };
            let timeout = Timespec::try_from(left).map_err(|_| ClientError::Timeout(self.whole))?;
            match rustix::event::poll(&mut [PollFd::new(fd, what)], Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(ClientError::Io(error.into())),
            }
        }
    }
}
impl Reply<'_> {
    /// An error that says that this reply does not fit the request `asked`.
    #[must_use]
    pub fn unexpected(&self, asked: &str) -> ClientError {
        ClientError::Protocol(format!("'{}' to {asked}", self.name()))
    }
}
