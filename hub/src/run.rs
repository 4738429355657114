//! Entry points: start a hub, or upgrade a running one.

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
use crate::socket::{self, SocketError, StartLock};
use crate::sys::{self, BlockedSignals, clock};
use crate::upgrade::receive::{self, Succession};
use crate::util::log;

/// Why a hub could not run.
#[derive(Debug, Error)]
pub enum HubError {
    /// A setting has an invalid value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log file can't be opened.
    #[error("sse.log: opening {path} failed: {error}")]
    Log {
        /// Path of the log file.
        path: String,
        /// Error of the operating system.
        error: io::Error,
    },
    /// A system call that the hub depends on failed.
    #[error("{what} failed: {error}")]
    System {
        /// The operation that failed.
        what: &'static str,
        /// Error of the operating system.
        error: io::Error,
    },
    /// The upgrade failed; the old hub keeps running.
    #[error("taking over from the hub failed: {0}")]
    NotTakenOver(String),
    /// The socket can't be prepared or bound.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The upgraded hub, for which this process stayed in the foreground, was killed.
    #[error("the hub that had taken over was killed")]
    Lost,
    /// A thread of the hub panicked, which is a bug.
    #[error("{0} panicked; this is a bug of php-sse")]
    Panicked(String),
}

impl HubError {
    /// Builds the closure that `map_err` needs for [`HubError::System`].
    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}

/// Runs a hub on a listening socket until it ends: on SIGTERM or SIGINT, with its last owner, after `idle_exit`, or when its
/// socket file is gone.
///
/// The hub works in its own threads, which block all other signals; the calling thread only waits. `run` raises the process's
/// descriptor limit to its maximum, and installs a log unless the process has one.
///
/// # Errors
/// A [`HubError`] if the hub can't start, or if one of its threads panicked.
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

/// Upgrades the hub at the socket: the new hub receives everything that the old one has, and no stream closes. If no hub runs,
/// or the old one can't upgrade to this one, the hub starts empty. It ends as [`run`] does.
///
/// The caller holds the start lock; the hub releases it after it calls `begun`.
///
/// # Errors
/// A [`HubError`] if the new hub can't start; an old hub then keeps running.
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
                let pause = clock::monotonic().saturating_sub(stopped);
                info!(streams, ms = pause.as_millis() as u64, from = version, "has taken over from another hub");
                begun(Succeeded { streams, pause: Some(pause) });
                drop(lock);
            })
        }
    }
}

/// The result of a successful start or upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succeeded {
    /// Number of streams that the hub received.
    pub streams: u64,
    /// How long delivery paused; `None` if no hub ran before.
    pub pause: Option<Duration>,
}

/// Adapts the settings to the old hub. `errors` is the standard error of its foreground process, if it has one: the new hub
/// then logs there, and ends neither with its owners nor when idle.
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

/// Sets mode and group again, because the old hub created the socket file with its own settings.
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

/// Checks for errors that would end a hub right after its start, for a caller that forks the hub and can't see its errors.
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

/// Raises the soft descriptor limit to the hard one; returns the limit.
fn raise_descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        warn!(%error, "the limit of descriptors can't be raised");
    }
    // `None` means unlimited.
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
