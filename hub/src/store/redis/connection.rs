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
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};
use thiserror::Error;

use crate::store::redis::address::{Address, Endpoint, Trust};

/// How long Redis may take to answer before the connection counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// How long connecting and logging in may take.
const CONNECTING: Duration = Duration::from_secs(2);

/// Why a command has no answer.
#[derive(Debug, Error)]
pub(crate) enum BusError {
    /// There is no connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// Redis answered with an error.
    #[error("Redis says: {0}")]
    Said(String),
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
    /// For removing the password from errors.
    address: Arc<Address>,
}

enum Transport {
    Plain(Patient),
    Tls(Box<StreamOwned<ClientConnection, Patient>>),
}

/// A socket whose reads and writes wait until a deadline, which any progress extends.
struct Patient {
    socket: Stream,
    stop: Arc<Stop>,
    until: Instant,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl RedisConnection {
    /// Connects and logs in.
    pub(crate) fn open(address: &Arc<Address>, stop: &Arc<Stop>) -> Result<Self, BusError> {
        let until = Instant::now() + CONNECTING;
        let broken = |error: io::Error| match stop.is_stopped() {
            true => BusError::Stopped,
            false => BusError::Broken(format!("connecting failed: {error}")),
        };
        let socket = match &address.endpoint {
            Endpoint::Tcp { host, port } => {
                Transport::Plain(Patient::new(tcp(host, *port, stop, until).map_err(broken)?, stop, until))
            }
            Endpoint::Unix(path) => Transport::Plain(Patient::new(unix(path).map_err(broken)?, stop, until)),
            Endpoint::Tls { host, port, trust } => {
                let session = session(host, trust).map_err(BusError::Broken)?;
                let socket = Patient::new(tcp(host, *port, stop, until).map_err(broken)?, stop, until);
                Transport::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        let mut connection = Self { socket, parser: Parser::new(), address: Arc::clone(address) };
        connection.log_in(until)?;
        Ok(connection)
    }

    fn log_in(&mut self, until: Instant) -> Result<(), BusError> {
        let Address { user, password, database, .. } = &*Arc::clone(&self.address);
        let mut commands = pipe();
        if let Some(password) = password {
            let mut auth = cmd("AUTH");
            if let Some(user) = user {
                auth.arg(user);
            }
            commands.add_command(auth.arg(password).clone());
        }
        if *database != 0 {
            commands.cmd("SELECT").arg(*database);
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
        let until = Instant::now() + PATIENCE;
        self.send(&command.get_packed_command(), until)?;
        self.answer(until)
    }

    /// Sends commands without waiting for answers.
    pub(crate) fn send_all(&mut self, commands: &Pipeline) -> Result<(), BusError> {
        self.send(&commands.get_packed_pipeline(), Instant::now() + PATIENCE)
    }

    /// Waits for the next answer; none by `until` is an error.
    pub(crate) fn answer(&mut self, until: Instant) -> Result<Value, BusError> {
        match self.receive(until) {
            Ok(answer) => Ok(answer),
            Err(BusError::Broken(error)) if error.is_empty() => {
                Err(BusError::Broken("Redis does not answer any more".into()))
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for the next message; `None` if none comes by `until`.
    pub(crate) fn message(&mut self, until: Instant) -> Result<Option<Value>, BusError> {
        match self.receive(until) {
            Ok(message) => Ok(Some(message)),
            Err(BusError::Broken(error)) if error.is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the other end has closed the connection; asks only the kernel.
    pub(crate) fn is_closed(&self) -> bool {
        let Patient { socket, .. } = self.patient();
        let flags = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let now = Timespec::default();
        let mut watched = [PollFd::from_borrowed_fd(socket.as_fd(), flags)];
        matches!(rustix::event::poll(&mut watched, Some(&now)), Ok(1..))
    }

    fn patient(&self) -> &Patient {
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
        sent.map_err(|error| match self.patient().stop.is_stopped() {
            true => BusError::Stopped,
            false => BusError::Broken(format!("sending to Redis failed: {error}")),
        })
    }

    /// Reads a value; an empty `Broken` error stands for a timeout.
    fn receive(&mut self, until: Instant) -> Result<Value, BusError> {
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
                Err(BusError::Said(self.address.scrub(text.trim_end())))
            }
            Ok(value) => Ok(value),
            Err(_) if self.patient().stop.is_stopped() => Err(BusError::Stopped),
            Err(error) if error.is_timeout() => Err(BusError::Broken(String::new())),
            Err(error) if error.is_connection_dropped() => {
                Err(BusError::Broken("Redis has closed the connection".into()))
            }
            Err(error) => Err(BusError::Broken(self.address.scrub(&error.to_string()))),
        }
    }
}

impl Patient {
    fn new(socket: Stream, stop: &Arc<Stop>, until: Instant) -> Self {
        Self { socket, stop: Arc::clone(stop), until }
    }

    /// Retries `act` until it works, the time is over, or the hub ends.
    fn persist<T>(&mut self, flags: PollFlags, mut act: impl FnMut(&mut Stream) -> io::Result<T>) -> io::Result<T> {
        loop {
            match act(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(self.socket.as_fd(), flags, &self.stop, self.until)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(done) => {
                    // A large answer over a slow line may take longer.
                    self.until = self.until.max(Instant::now() + PATIENCE);
                    return Ok(done);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.persist(PollFlags::IN, |socket| match socket {
            Stream::Tcp(socket) => socket.read(buffer),
            Stream::Unix(socket) => socket.read(buffer),
        })
    }
}

impl Write for Patient {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.persist(PollFlags::OUT, |socket| match socket {
            Stream::Tcp(socket) => socket.write(buffer),
            Stream::Unix(socket) => socket.write(buffer),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
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
            Ok(0) => return Err(io::Error::new(ErrorKind::TimedOut, "it took too long")),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            // Not `Interrupted`, on which callers retry.
            Ok(_) if !watched[1].revents().is_empty() => return Err(ErrorKind::ConnectionAborted.into()),
            Ok(_) => return Ok(()),
        }
    }
}

fn tcp(host: &str, port: u16, stop: &Stop, until: Instant) -> io::Result<Stream> {
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
        let keepalive = TcpKeepalive::new().with_time(PATIENCE).with_interval(Duration::from_secs(1)).with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(PATIENCE * 2))?;
        match connected(&socket, &address.into(), stop, until) {
            Ok(()) => return Ok(Stream::Tcp(socket.into())),
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

fn unix(path: &Path) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A blocking connect would wait for ever while the server's backlog is full.
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(Stream::Unix(UnixStream::from(OwnedFd::from(socket))))
}

fn session(host: &str, trust: &Trust) -> Result<ClientConnection, String> {
    let mut roots = RootCertStore::empty();
    match &trust.authorities {
        Some(path) => {
            let unusable = |error: &dyn std::fmt::Display| format!("ca {}: {error}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            if roots.is_empty() {
                return Err(unusable(&"has no certificate"));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("this system has no certificates to trust; name one by ca=/path in sse.bus".into());
            }
        }
    }
    // The process may have no default provider, as its other libraries may bring other ones.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots);
    let config = match &trust.own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let unusable = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let chain = chain.map_err(|error| unusable(certificate, &error))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
            config.with_client_auth_cert(chain, secret).map_err(|error| unusable(certificate, &error))?
        }
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())
}
