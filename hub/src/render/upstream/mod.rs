//! Upstreams: the PHP servers that replays go to, and their health.

pub(crate) mod connect;

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

use thiserror::Error;

use crate::render::upstream::connect::ConnectError;
use sse_protocol::cause::Cause;

/// Pauses before an unreachable upstream is tried again, one after another; the last one repeats.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

/// Number of pauses after which the log reports an outage: about five seconds.
const LONG_OUTAGE: usize = 8;

/// Time for which an upstream that refused the hub's requests gets none.
const REFUSAL: Duration = Duration::from_secs(60);

/// Why a stream's script can't be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{why}")]
pub(crate) struct NoReplay {
    /// The cause of that.
    pub(crate) cause: Cause,
    /// The reason, as a sentence.
    pub(crate) why: String,
}

impl NoReplay {
    /// An error with this cause and reason.
    pub(crate) fn new(cause: Cause, why: impl Into<String>) -> Self {
        Self { cause, why: why.into() }
    }
}

/// Where an upstream listens: the local address of the connections that it accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum UpstreamAddress {
    Unix(PathBuf),
    Internet(SocketAddr),
}

impl UpstreamAddress {
    /// The address of the upstream that accepted this connection.
    pub(crate) fn of(connection: BorrowedFd<'_>) -> Result<Self, NoReplay> {
        let name = rustix::net::getsockname(connection)
            .map_err(|error| NoReplay::new(Cause::Server, format!("the server's address is not known: {error}")))?;
        if let Ok(address) = SocketAddr::try_from(name.clone()) {
            return Ok(Self::Internet(address));
        }
        let name = SocketAddrUnix::try_from(name).ok();
        match name.as_ref().and_then(SocketAddrUnix::path).map(|path| PathBuf::from(OsStr::from_bytes(path.to_bytes())))
        {
            Some(path) if path.is_absolute() => Ok(Self::Unix(path)),
            _ => Err(NoReplay::new(Cause::Server, "the server's socket has no absolute path")),
        }
    }

    /// Opens a connection after a check of the listener; over TCP, only starts one.
    pub(crate) fn connect(&self) -> Result<OwnedFd, ConnectError> {
        match self {
            Self::Unix(path) => connect::unix(path),
            Self::Internet(address) => connect::internet(*address),
        }
    }
}

impl std::fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Internet(address) => write!(f, "{address}"),
        }
    }
}

/// An upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: UpstreamAddress,
    /// Whether a replay has reached a script there.
    pub(crate) proved: bool,
    /// Whether the hub has found a listener at the address.
    pub(crate) probed: bool,
    /// Connections in a row that it closed without a byte.
    pub(crate) silences: u32,
    /// Jobs that wait for the end of the pause.
    pub(crate) waiting: Vec<(u32, u64)>,
    /// End of the pause.
    pub(crate) paused: Option<Instant>,
    pub(crate) pauses: usize,
    /// Why replays are refused, and until when that is assumed.
    pub(crate) refused: Option<(Instant, NoReplay)>,
    /// Number of jobs that are rendered there.
    pub(crate) jobs: usize,
}

impl Upstream {
    /// An upstream of unknown state.
    pub(crate) fn new(address: UpstreamAddress) -> Self {
        Self {
            address,
            proved: false,
            probed: false,
            silences: 0,
            waiting: Vec::new(),
            paused: None,
            pauses: 0,
            refused: None,
            jobs: 0,
        }
    }

    /// Whether requests can be sent to it, as far as the hub can tell without sending one.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), NoReplay> {
        if let Some((until, why)) = &self.refused {
            if now < *until {
                return Err(why.clone());
            }
            self.refused = None;
        }
        match &self.address {
            UpstreamAddress::Unix(path) => may_connect(path)
                .map_err(|error| NoReplay::new(Cause::Server, format!("the hub may not connect to the server's socket {}: {error}; see listen.owner, listen.group and listen.mode of the pool", path.display()))),
            UpstreamAddress::Internet(_) => Ok(()),
        }
    }

    /// Checks that the hub, which may run in another container, finds a listener at the upstream's address.
    pub(crate) fn probe(&mut self) -> Result<(), NoReplay> {
        if !self.proved && !self.probed {
            match self.address.connect() {
                // A listener does not notice a connection that is closed at once.
                Ok(_) | Err(ConnectError::System(Errno::AGAIN)) => self.probed = true,
                Err(error) => {
                    let why = format!("the hub does not find the server at {}: {error}", self.address);
                    return Err(NoReplay::new(error.cause(), why));
                }
            }
        }
        Ok(())
    }

    /// Counts a connection closed without a byte. True from the second one on, if no replay ever reached a script there.
    pub(crate) fn is_unwilling(&mut self) -> bool {
        self.silences += 1;
        !self.proved && self.silences > 1
    }

    /// Refuses replays for [`REFUSAL`].
    pub(crate) fn refuse(&mut self, why: NoReplay, now: Instant) {
        self.refused = Some((now + REFUSAL, why));
    }

    /// Pauses after a failed connection, as the upstream may be restarting. True once, after [`LONG_OUTAGE`] pauses.
    pub(crate) fn pause(&mut self, now: Instant) -> bool {
        self.paused = Some(now + PAUSES[self.pauses.min(PAUSES.len() - 1)]);
        self.pauses += 1;
        self.pauses == LONG_OUTAGE
    }

    /// Records a response.
    pub(crate) fn answered(&mut self) {
        self.pauses = 0;
        self.silences = 0;
    }

    /// The end of the pause, if there is one.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.paused
    }

    /// Ends a pause that is over and returns the waiting jobs.
    pub(crate) fn resume(&mut self, now: Instant) -> Vec<(u32, u64)> {
        if self.paused.is_some_and(|until| now >= until) {
            self.paused = None;
            return std::mem::take(&mut self.waiting);
        }
        Vec::new()
    }
}

/// Checks for write permission, which a connection to a Unix socket needs.
fn may_connect(path: &Path) -> io::Result<()> {
    match rustix::fs::accessat(rustix::fs::CWD, path, Access::WRITE_OK, AtFlags::EACCESS) {
        Err(error @ Errno::ACCESS) => Err(error.into()),
        // A missing socket may come back: the server may be restarting. EPERM is no answer: containers refuse calls with it
        // that they don't know (faccessat2); the connection will tell.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn the_address_of_an_accepted_connection_is_that_of_its_listener() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fpm.sock");
        let upstream = UnixListener::bind(&path).expect("bound");
        let _client = UnixStream::connect(&path).expect("connected");
        let (accepted, _) = upstream.accept().expect("accepted");
        let address = UpstreamAddress::of(accepted.as_fd()).expect("it has a name");
        assert_eq!(address, UpstreamAddress::Unix(path));
        address.connect().expect("the listener is there");

        let upstream = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = upstream.local_addr().expect("bound");
        let _client = TcpStream::connect(address).expect("connected");
        let (accepted, _) = upstream.accept().expect("accepted");
        assert_eq!(UpstreamAddress::of(accepted.as_fd()), Ok(UpstreamAddress::Internet(address)));

        let (one, _other) = UnixStream::pair().expect("a pair");
        assert!(UpstreamAddress::of(one.as_fd()).is_err());
    }

    #[test]
    fn a_server_that_refuses_is_believed_for_a_while_and_one_that_is_away_is_waited_for() {
        let start = Instant::now();
        let mut upstream = Upstream::new(UpstreamAddress::Unix("/nonexistent/fpm.sock".into()));
        assert_eq!(upstream.check(start), Ok(()));
        let why = NoReplay::new(Cause::Load, "no");
        upstream.refuse(why.clone(), start);
        assert_eq!(upstream.check(start), Err(why));
        assert_eq!(upstream.check(start + REFUSAL), Ok(()));

        upstream.pause(start);
        upstream.waiting.push((1, 1));
        assert_eq!(upstream.resume(start), []);
        assert_eq!(upstream.resume(start + PAUSES[0]), [(1, 1)]);
        assert_eq!(upstream.paused_until(), None);
    }
}
