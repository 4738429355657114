//! A connection to Redis whose commands have time limits, and which ends with the hub.
//!
//! This crate makes its own socket, so that a thread that waits for an answer also learns that the hub ends. The redis crate
//! encodes commands, and parses answers and the URL.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Parser, Pipeline, Value, cmd, pipe};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};
use thiserror::Error;

use crate::config::bus_address::servers::{Endpoint, Login};
use crate::store::redis::tls::{self, TlsError};

/// How long Redis may take to answer before the connection counts as broken.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

/// How long connecting and logging in may take.
pub(crate) const CONNECTING: Duration = Duration::from_secs(2);

/// Why a command has no answer.
#[derive(Debug, Error)]
pub(crate) enum BusError {
    /// There is no connection.
    #[error("connecting failed: {0}")]
    Connect(#[source] io::Error),
    /// There is no TLS session.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection broke while a command was sent.
    #[error("sending to Redis failed: {0}")]
    Send(#[source] io::Error),
    /// No answer came in time.
    #[error("Redis does not answer any more")]
    Silent,
    /// The other end has closed the connection.
    #[error("Redis has closed the connection")]
    Closed,
    /// The connection can't be used any more for another reason.
    #[error("{0}")]
    Broken(String),
    /// Redis answered with an error.
    #[error("Redis says: {0}")]
    Said(String),
    /// No server can be used as the master that Sentinels watch.
    #[error("no master '{master}' is there: {why}")]
    NoMaster { master: String, why: String },
    /// Another server has the stream now.
    #[error("the stream is at {0} now")]
    Moved(String),
    /// The hub ends.
    #[error("the hub ends")]
    Stopped,
}

impl BusError {
    /// The error for an answer of the wrong form.
    pub(crate) fn senseless(what: &str) -> Self {
        Self::Broken(format!("the answer to {what} makes no sense"))
    }
}

/// A flag that interrupts all waiting threads.
#[derive(Debug)]
pub(crate) struct Stop(OwnedFd);

impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Interrupts all present and future waits.
    pub(crate) fn stop(&self) {
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for `time`; true if the hub ends.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
            match rustix::event::poll(&mut [PollFd::new(&self.0, PollFlags::IN)], left.as_ref()) {
                Ok(0) => return false,
                Err(Errno::INTR) => {}
                _ => return true,
            }
        }
    }
}

/// A logged-in connection.
pub(crate) struct RedisConnection {
    socket: Transport,
    parser: Parser,
    endpoint: Endpoint,
    /// For removing the password from errors.
    login: Login,
}

enum Transport {
    Plain(DeadlineSocket),
    Tls(Box<StreamOwned<ClientConnection, DeadlineSocket>>),
}

/// A socket whose reads and writes wait until a deadline.
struct DeadlineSocket {
    socket: RedisSocket,
    stop: Arc<Stop>,
    until: Instant,
    /// Whether any progress extends the deadline, as a large answer over a slow line may take longer.
    is_extended: bool,
}

enum RedisSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl RedisConnection {
    /// Connects and logs in, all by `until`.
    pub(crate) fn open(
        endpoint: &Endpoint,
        login: &Login,
        database: i64,
        stop: &Arc<Stop>,
        until: Instant,
    ) -> Result<Self, BusError> {
        let broken = |error: io::Error| match stop.is_stopped() {
            true => BusError::Stopped,
            false => BusError::Connect(error),
        };
        let socket = match endpoint {
            Endpoint::Tcp { host, port } => {
                Transport::Plain(DeadlineSocket::new(tcp(host, *port, stop, until).map_err(broken)?, stop, until))
            }
            Endpoint::Unix(path) => Transport::Plain(DeadlineSocket::new(unix(path).map_err(broken)?, stop, until)),
            Endpoint::Tls { host, port, trust } => {
                let session = tls::session(host, trust)?;
                let socket = DeadlineSocket::new(tcp(host, *port, stop, until).map_err(broken)?, stop, until);
                Transport::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        let (endpoint, login) = (endpoint.clone(), login.clone());
        let mut connection = Self { socket, parser: Parser::new(), endpoint, login };
        connection.log_in(database, until)?;
        connection.extend(true);
        Ok(connection)
    }

    /// The server.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn log_in(&mut self, database: i64, until: Instant) -> Result<(), BusError> {
        let Login { user, password } = &self.login;
        let mut commands = pipe();
        if let Some(password) = password {
            let mut auth = cmd("AUTH");
            if let Some(user) = user {
                auth.arg(user);
            }
            commands.add_command(auth.arg(password).clone());
        }
        if database != 0 {
            commands.cmd("SELECT").arg(database);
        }
        // Redis may accept a connection without a login, and then refuse every command.
        commands.cmd("PING");
        self.send(&commands.get_packed_pipeline(), until)?;
        for _ in 0..commands.len() {
            self.answer(until)?;
        }
        Ok(())
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call(&mut self, command: &Cmd) -> Result<Value, BusError> {
        let until = Instant::now() + TIMEOUT;
        self.send(&command.get_packed_command(), until)?;
        self.answer(until)
    }

    /// Sends a command and waits for its answer, which is short: if not all of it has come by `until`, it is an error.
    pub(crate) fn call_by(&mut self, command: &Cmd, until: Instant) -> Result<Value, BusError> {
        self.extend(false);
        self.send(&command.get_packed_command(), until)?;
        let answer = self.answer(until);
        self.extend(true);
        answer
    }

    /// Sends commands without waiting for answers.
    pub(crate) fn send_all(&mut self, commands: &Pipeline) -> Result<(), BusError> {
        self.send(&commands.get_packed_pipeline(), Instant::now() + TIMEOUT)
    }

    /// Waits for the next answer; none by `until` is an error.
    pub(crate) fn answer(&mut self, until: Instant) -> Result<Value, BusError> {
        let value = match &mut self.socket {
            Transport::Plain(socket) => {
                socket.until = until;
                self.parser.parse_value(socket)
            }
            Transport::Tls(stream) => {
                stream.sock.until = until;
                self.parser.parse_value(stream)
            }
        };
        match value {
            Ok(Value::ServerError(error)) => {
                let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
                Err(BusError::Said(self.login.scrub(text.trim_end())))
            }
            Ok(value) => Ok(value),
            Err(_) if self.deadline_socket().stop.is_stopped() => Err(BusError::Stopped),
            Err(error) if error.is_timeout() => Err(BusError::Silent),
            Err(error) if error.is_connection_dropped() => Err(BusError::Closed),
            Err(error) => Err(BusError::Broken(self.login.scrub(&error.to_string()))),
        }
    }

    /// Waits for the next message; `None` if none comes by `until`.
    pub(crate) fn message(&mut self, until: Instant) -> Result<Option<Value>, BusError> {
        match self.answer(until) {
            Ok(message) => Ok(Some(message)),
            Err(BusError::Silent) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the other end has closed the connection; asks only the kernel.
    pub(crate) fn is_closed(&self) -> bool {
        let DeadlineSocket { socket, .. } = self.deadline_socket();
        let flags = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let now = Timespec::default();
        let mut watched = [PollFd::from_borrowed_fd(socket.as_fd(), flags)];
        matches!(rustix::event::poll(&mut watched, Some(&now)), Ok(1..))
    }

    /// Whether any progress extends a deadline from now on.
    fn extend(&mut self, is_extended: bool) {
        match &mut self.socket {
            Transport::Plain(socket) => socket.is_extended = is_extended,
            Transport::Tls(stream) => stream.sock.is_extended = is_extended,
        }
    }

    fn deadline_socket(&self) -> &DeadlineSocket {
        match &self.socket {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => &stream.sock,
        }
    }

    fn send(&mut self, bytes: &[u8], until: Instant) -> Result<(), BusError> {
        let sent = match &mut self.socket {
            Transport::Plain(socket) => {
                socket.until = until;
                socket.write_all(bytes)
            }
            Transport::Tls(stream) => {
                stream.sock.until = until;
                stream.write_all(bytes).and_then(|()| stream.flush())
            }
        };
        sent.map_err(|error| match self.deadline_socket().stop.is_stopped() {
            true => BusError::Stopped,
            false => BusError::Send(error),
        })
    }
}

impl DeadlineSocket {
    fn new(socket: RedisSocket, stop: &Arc<Stop>, until: Instant) -> Self {
        Self { socket, stop: Arc::clone(stop), until, is_extended: false }
    }

    /// Retries `act` until it works, the time is over, or the hub ends.
    fn retry<T>(&mut self, flags: PollFlags, mut act: impl FnMut(&mut RedisSocket) -> io::Result<T>) -> io::Result<T> {
        loop {
            // Bytes that come now and then are always there before it is waited.
            if !self.is_extended && Instant::now() >= self.until {
                return Err(late());
            }
            match act(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(self.socket.as_fd(), flags, &self.stop, self.until)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(done) => {
                    if self.is_extended {
                        self.until = self.until.max(Instant::now() + TIMEOUT);
                    }
                    return Ok(done);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for DeadlineSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(PollFlags::IN, |socket| match socket {
            RedisSocket::Tcp(socket) => socket.read(buffer),
            RedisSocket::Unix(socket) => socket.read(buffer),
        })
    }
}

impl Write for DeadlineSocket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.retry(PollFlags::OUT, |socket| match socket {
            RedisSocket::Tcp(socket) => socket.write(buffer),
            RedisSocket::Unix(socket) => socket.write(buffer),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for RedisSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Waits until a socket is ready. `TimedOut` when the time is over, another error when the hub ends.
fn wait(socket: std::os::fd::BorrowedFd<'_>, flags: PollFlags, stop: &Stop, until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut watched = [PollFd::from_borrowed_fd(socket, flags), PollFd::new(&stop.0, PollFlags::IN)];
        match rustix::event::poll(&mut watched, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return Err(late()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            // Not `Interrupted`, on which callers retry.
            Ok(_) if !watched[1].revents().is_empty() => return Err(ErrorKind::ConnectionAborted.into()),
            Ok(_) => return Ok(()),
        }
    }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "it took too long")
}

fn tcp(host: &str, port: u16, stop: &Stop, until: Instant) -> io::Result<RedisSocket> {
    let mut last = io::Error::new(ErrorKind::NotFound, format!("{host} has no address"));
    for address in (host, port).to_socket_addrs()? {
        // The system may lack the address's family, such as IPv6.
        let socket = match Socket::new(Domain::for_address(address), Type::STREAM, None) {
            Ok(socket) => socket,
            Err(error) => {
                last = error;
                continue;
            }
        };
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // The kernel must also drop a connection closed with its last bytes under way: answer timeouts don't cover it.
        let keepalive = TcpKeepalive::new().with_time(TIMEOUT).with_interval(Duration::from_secs(1)).with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(TIMEOUT * 2))?;
        match connected(&socket, &address.into(), stop, until) {
            Ok(()) => return Ok(RedisSocket::Tcp(socket.into())),
            Err(error) if stop.is_stopped() => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connected(socket: &Socket, address: &SockAddr, stop: &Stop, until: Instant) -> io::Result<()> {
    match socket.connect(address) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            wait(socket.as_fd(), PollFlags::OUT, stop, until)?;
            socket.take_error()?.map_or(Ok(()), Err)
        }
        other => other,
    }
}

fn unix(path: &Path) -> io::Result<RedisSocket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A blocking connect would wait for ever while the server's backlog is full.
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(RedisSocket::Unix(UnixStream::from(OwnedFd::from(socket))))
}
