//! Running a hub.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use thiserror::Error;
use tracing::{info, warn};

use crate::config::{self, Config, ConfigError};
use crate::server::Server;
use crate::server::upgrade::monotonic;
use crate::socket::{self, SocketError, StartLock};
use crate::sys::{self, BlockedSignals};
use crate::upgrade::receive::{self, Succession};
use crate::util::log;

/// Why a hub could not run.
#[derive(Debug, Error)]
pub enum HubError {
    /// A setting that can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log can't be written.
    #[error("sse.log: opening {path} failed: {error}")]
    Log {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The system refused something that a hub can't do without.
    #[error("{what} failed: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The hub that runs could not be taken over from; it goes on.
    #[error("taking over from the hub failed: {0}")]
    NotTakenOver(String),
    /// The socket can't be listened at.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The hub that this process stood for in the foreground has gone.
    #[error("the hub that had taken over was killed")]
    Lost,
    /// A thread of the hub ended in a panic, which is a bug of it.
    #[error("{0} panicked; this is a bug of php-sse")]
    Panicked(String),
}

impl HubError {
    /// For `map_err`.
    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}

/// Runs a hub on a listening socket, and returns when it has ended: by SIGTERM or SIGINT, with the last of its owners,
/// after `idle_exit`, or because its socket file has gone.
///
/// It works in threads of its own, in which all other signals are blocked; the calling thread only waits. The limit of
/// descriptors of the process is raised as far as it goes, and a log is installed unless the process has one.
///
/// # Errors
/// A [`HubError`] if it can't start, or if one of its threads panicked.
pub fn run(config: Config, listener: UnixListener) -> Result<(), HubError> {
    if let Some(address) = config.udp {
        config::udp(&address.to_string(), config.udp_key.as_ref().is_some_and(|key| !key.is_empty()))?;
    }
    log::install(&config).map_err(|error| log_error(&config, error))?;
    let descriptors = raise_descriptor_limit();
    let signals = BlockedSignals::new();
    let router = Server::new(config, listener, descriptors, None)?;
    work(router, signals, |_| {})
}

/// Runs a hub in the place of the one at its socket, from which it takes over all that that one has: no stream is closed. Where
/// none runs, or one that can't pass on what this one needs, it begins afresh. It ends as [`run`] does.
///
/// The caller holds the lock, and lets it go once `begun` is called.
///
/// # Errors
/// A [`HubError`] if it can't start; a hub that runs then goes on.
pub fn take_over(
    config: Config,
    lock: StartLock,
    begun: impl FnOnce(Succeeded) + Send + 'static,
) -> Result<(), HubError> {
    let descriptors = raise_descriptor_limit();
    let signals = BlockedSignals::new();
    let fresh = config.clone();
    match receive::take_over(config, descriptors, prepare)? {
        Succession::Nobody => {
            let mut config = fresh;
            prepare(&mut config, None)?;
            let listener = socket::bind(&lock, &config.socket, config.socket_mode, config.socket_group)?;
            let router = Server::new(config, listener, descriptors, None)?;
            work(router, signals, move |_| {
                begun(Succeeded { streams: 0, pause: None });
                drop(lock);
            })
        }
        Succession::Ready(successor) => {
            let (stopped, version) = (successor.stopped, successor.version.clone());
            let router = successor.confirm()?;
            set_access(&fresh);
            work(router, signals, move |streams| {
                let pause = monotonic().saturating_sub(stopped);
                info!(streams, ms = pause.as_millis() as u64, from = version, "has taken over from another hub");
                begun(Succeeded { streams, pause: Some(pause) });
                drop(lock);
            })
        }
    }
}

/// A hub that has taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succeeded {
    /// Streams that it has.
    pub streams: u64,
    /// How long nothing was delivered; `None`: there was no hub before.
    pub pause: Option<Duration>,
}

/// Fits the settings to what the hub before was: `errors` is the standard error of the process in the foreground that stands
/// for it.
fn prepare(config: &mut Config, errors: Option<OwnedFd>) -> Result<(), HubError> {
    match errors {
        Some(errors) => {
            config.follow_owners = false;
            config.idle_exit = None;
            rustix::stdio::dup2_stderr(errors)
                .map_err(|error| HubError::system("taking the log over")(error.into()))?;
        }
        None => {
            let beside = config.socket.with_added_extension("log");
            config.log.get_or_insert(beside);
        }
    }
    log::install(config).map_err(|error| log_error(config, error))
}

/// The socket file is the one that the hub before has made.
fn set_access(config: &Config) {
    if let Err(error) = socket::set_access(&config.socket, config.socket_mode, config.socket_group) {
        warn!("{error}; they stay what they were");
    }
}

fn work(router: Server, signals: BlockedSignals, begun: impl FnOnce(u64) + Send + 'static) -> Result<(), HubError> {
    let thread = thread::Builder::new().name("sse-router".into()).spawn(move || {
        sys::unblock_signals(&[SIGTERM, SIGINT, SIGHUP]);
        router.run(begun)
    });
    let thread = thread.map_err(HubError::system("starting the router"))?;
    drop(signals);
    thread.join().unwrap_or_else(|_| Err(HubError::Panicked("sse-router".into())))
}

/// Checks what would let a hub end as soon as it starts, for a caller that forks it and will not hear its complaint.
///
/// # Errors
/// [`HubError::Log`] if the log can't be written.
pub fn check(config: &Config) -> Result<(), HubError> {
    log::check(config).map_err(|error| log_error(config, error))
}

fn log_error(config: &Config, error: io::Error) -> HubError {
    let path = config.log.as_deref().unwrap_or("standard error".as_ref());
    HubError::Log { path: path.display().to_string(), error }
}

/// Raises the limit of descriptors as far as this process may; returns it.
fn raise_descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        warn!(%error, "the limit of descriptors can't be raised");
    }
    // No number means no limit.
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
