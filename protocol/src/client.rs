//! The extension's side of the wire: one connection to the hub, kept for a process's life.

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

/// Longest answer of a hub: what it has kept for a callback, under the largest settings there are.
fn max_reply() -> usize {
    wire::max_message(wire::MAX_EVENT_SIZE as usize, wire::MAX_TOPICS as usize)
}

/// What the system may keep of requests that the hub has not read yet, in bytes: it counts some 800 for a small one, and allows
/// twice this for its own needs. Some thousand wakes or events in a burst, then, do not find the socket full.
const SEND_BUFFER: usize = 1 << 20;

/// Room for an answer that is read: most are an id.
const CHUNK: usize = 4096;

/// Why a request was not answered.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no hub runs at {path}: {error}")]
    NotRunning {
        /// The socket tried.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody listens there who should not.
    #[error(
        "{path} belongs to user {uid}; only the user of this process, root, or the owner of the folder is trusted with streams"
    )]
    Untrusted {
        /// The socket tried.
        path: String,
        /// Who listens.
        uid: u32,
    },
    /// No answer in time.
    #[error("the hub did not answer within {0:?} (sse.timeout)")]
    Timeout(Duration),
    /// Its socket takes no more.
    #[error("the hub's socket is full, as it is stopped or can't keep up; nothing was sent")]
    Behind,
    /// No answer in time to a request that was sent: it may or may not have been done.
    #[error(
        "the hub did not answer within {0:?} (sse.timeout); it is not known whether it took the request, which may still be done"
    )]
    Late(Duration),
    /// The hub went away before it could have taken the request.
    #[error("the hub closed the connection")]
    Closed,
    /// The hub went away after the request was sent: it may or may not have been done.
    #[error("the hub closed the connection before it answered; it is not known whether it took the request")]
    Unanswered,
    /// The hub speaks another protocol, or does not trust this process.
    #[error("{0}")]
    Refused(String),
    /// The hub's own error.
    #[error("{message}")]
    Hub {
        /// What kind of error.
        code: ErrorCode,
        /// What was wrong.
        message: String,
    },
    /// Bytes that are no answer.
    #[error("the hub's answer makes no sense: {0}")]
    Protocol(String),
    /// Anything else the system said.
    #[error("talking to the hub failed: {0}")]
    Io(#[from] io::Error),
}

/// A connection to the hub. It belongs to one thread; requests are answered in order.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    inbox: Vec<u8>,
    /// Bytes at the start of `inbox` that are an answer already given out.
    consumed: usize,
    welcomed: bool,
    /// How long the system lets a read wait.
    waits: Duration,
}

impl Client {
    /// Connects and greets, without waiting for the answer to the greeting: the first [`call`](Self::call) reads it.
    /// `patience` is for a hub that has more connections waiting than the system keeps; zero: it is not waited for.
    ///
    /// # Errors
    /// `NotRunning` if nobody listens, `Untrusted` if the wrong user does, `Timeout` or `Behind` if the hub is too busy to
    /// accept: it must not be taken for none, or it would be replaced.
    pub fn connect(path: &Path, owner: Option<u32>, patience: Duration) -> Result<Self, ClientError> {
        let not_running =
            |error: Errno| ClientError::NotRunning { path: path.display().to_string(), error: error.into() };
        // Connecting may wait on its own, and so may reading; all others are told not to, each time.
        let blocking = if patience.is_zero() { SocketFlags::NONBLOCK } else { SocketFlags::empty() };
        let flags = SocketFlags::CLOEXEC | blocking;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(io::Error::from)?;
        if !patience.is_zero() {
            rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(patience))
                .map_err(io::Error::from)?;
        }
        let address = SocketAddrUnix::new(path).map_err(not_running)?;
        loop {
            match rustix::net::connect(&socket, &address) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if patience.is_zero() => return Err(ClientError::Behind),
                Err(Errno::AGAIN) => return Err(ClientError::Timeout(patience)),
                Err(error) => return Err(not_running(error)),
            }
        }
        trust(&socket, path)?;
        rustix::io::ioctl_fionbio(&socket, false).map_err(io::Error::from)?;
        // Where the system allows no more it gives what it allows.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
        let client = Self { socket, inbox: Vec::new(), consumed: 0, welcomed: false, waits: Duration::ZERO };
        match client.post(&Request::Hello { magic: MAGIC, protocol: PROTOCOL, version: VERSION, owner }) {
            // The hub may have refused already; the first call reads why.
            Ok(()) | Err(ClientError::Closed) => Ok(client),
            Err(error) => Err(error),
        }
    }

    /// Whether the hub still holds its end; asks the kernel only.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let mut byte = [0; 1];
        let peeked = rustix::net::recv(&self.socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Ok((1.., _)) | Err(Errno::AGAIN))
    }

    /// Sends a request that has no answer, without ever waiting.
    ///
    /// # Errors
    /// `Closed` if the hub is gone, `Behind` if its socket is full.
    pub fn post(&self, request: &Request<'_>) -> Result<(), ClientError> {
        match self.post_whole(request, Duration::ZERO) {
            Err(ClientError::Timeout(_)) => Err(ClientError::Closed),
            posted => posted,
        }
    }

    /// Sends a request that has no answer. Where the socket is full, or takes only a part of it at once, as it is a large one,
    /// it waits until the hub has read what was sent.
    ///
    /// # Errors
    /// `Closed` if the hub is gone, `Behind` if its socket stays full, and nothing was sent; `Timeout` if the hub didn't read all
    /// of it, after which the connection can't be used again.
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
                    // Half a message would garble all that follow: nothing may be sent after it.
                    let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
                }
                rest
            }
            Err(error) => Err(lost(error)),
        }
    }

    /// Sends requests, as bytes, one behind another, and then reads their answers in order; `read` gets each. They must be
    /// so few that the answers fit into the socket.
    ///
    /// # Errors
    /// As [`call`](Self::call): `Closed` or `Timeout` only if none of the requests was sent, so that none was done. What was
    /// answered is done; after `Unanswered` and `Late` it isn't known of the rest.
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

    /// Sends a request, with a descriptor if it needs one, and waits for its answer.
    ///
    /// # Errors
    /// `Closed` or `Timeout` if the request was surely not done, `Unanswered` or `Late` if that isn't known; `Hub` if the hub said
    /// no. After `Timeout`, `Unanswered`, `Late` and `Protocol` the connection must not be used again.
    pub fn call(
        &mut self,
        request: &Request<'_>,
        descriptor: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Reply<'_>, ClientError> {
        let deadline = Deadline::new(timeout);
        match self.send(&wire::encode(request), descriptor, deadline) {
            // A hub that refuses says why before it closes.
            Err(ClientError::Closed) if !self.welcomed => {
                self.greeted(deadline)?;
                return Err(ClientError::Closed);
            }
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

    fn greeted(&mut self, deadline: Deadline) -> Result<(), ClientError> {
        match self.receive(deadline) {
            Ok(Reply::Welcome { .. }) => {
                self.welcomed = true;
                Ok(())
            }
            Ok(Reply::Refused { reason }) => Err(ClientError::Refused(reason.into())),
            // There was no descriptor to accept this connection with.
            Ok(Reply::Error { code, message }) => Err(ClientError::Hub { code, message: message.into() }),
            Ok(other) => Err(other.unexpected("a greeting")),
            // A hub that ends while it is greeted has done nothing.
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

    /// Lets reads wait in the system, for as long as there is until the deadline; false if they don't.
    fn wait_in_reads(&mut self, deadline: Deadline) -> bool {
        // In whole milliseconds, and up, so that the same timeout is told to the system once.
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
        // The first read waits in the system, which saves two calls of it. Whatever comes of that, the clock is looked at then.
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

/// An error of `send`: the hub has not got the whole message, so it has done nothing.
fn lost(error: Errno) -> ClientError {
    match error {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => ClientError::Closed,
        error => ClientError::Io(error.into()),
    }
}

/// The other end must be this user, root, or whoever owns the folder that the administrator chose.
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

/// A point in time to wait until.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    whole: Duration,
}

impl Deadline {
    fn new(timeout: Duration) -> Self {
        Self { at: Instant::now() + timeout, whole: timeout }
    }

    /// The time until then; `None` if it is over.
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
    /// That this is no answer to what was asked.
    #[must_use]
    pub fn unexpected(&self, asked: &str) -> ClientError {
        ClientError::Protocol(format!("'{}' to {asked}", self.name()))
    }
}
