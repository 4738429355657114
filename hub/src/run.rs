//! Entry points: start a hub, or upgrade a running one.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tracing::{error, info, warn};

use crate::config::{self, Config};
use crate::error::HubError;
use crate::server::Server;
use crate::server::upgrade::receive::{self, Succession};
use crate::socket::{self, StartLock};
use crate::sys::{self, BlockedSignals, clock, descriptors};
use crate::util::log;

/// Runs a hub on a listening socket until it ends: on SIGTERM or SIGINT, with its last owner, after `idle_exit`, or when its
/// socket file is gone.
///
/// The hub works in its own threads, which block all other signals; the calling thread only waits. `run` raises the process's
/// descriptor limit to its maximum, and installs a log unless the process has one.
///
/// # Errors
/// A [`HubError`] if the hub can't start, or if one of its threads panicked.
pub fn run(config: Config, listener: UnixListener) -> Result<(), HubError> {
    start(config, listener, |_| {})
}

/// As [`run`]; calls `begun` once the hub serves.
///
/// # Errors
/// As [`run`]. What ends the hub stands in the log as well.
pub fn start(
    config: Config,
    listener: UnixListener,
    begun: impl FnOnce(Succeeded) + Send + 'static,
) -> Result<(), HubError> {
    if let Some(address) = config.udp {
        config::udp(&address.to_string(), config.udp_key.as_ref().is_some_and(|key| !key.is_empty()))?;
    }
    log::install(&config).map_err(|error| log_error(&config, error))?;
    sys::limit_free_memory();
    let descriptors = raise_descriptor_limit();
    let signals = BlockedSignals::new();
    Server::new(config, listener, descriptors, None)
        .and_then(|server| work(server, signals, |streams| begun(Succeeded { streams, pause: None })))
        .inspect_err(|error| error!("{error}; the hub ends"))
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
    sys::limit_free_memory();
    let descriptors = raise_descriptor_limit();
    let signals = BlockedSignals::new();
    let fresh = config.clone();
    match receive::take_over(config, descriptors, prepare)? {
        Succession::Nobody => {
            let mut config = fresh;
            prepare(&mut config, None)?;
            let listener = socket::bind(&lock, &config.socket, config.socket_mode, config.socket_group)?;
            let server = Server::new(config, listener, descriptors, None)?;
            work(server, signals, move |_| {
                begun(Succeeded { streams: 0, pause: None });
                drop(lock);
            })
        }
        Succession::Ready(successor) => {
            let (stopped, version) = (successor.stopped, successor.version.clone());
            let server = successor.confirm()?;
            set_access(&fresh);
            work(server, signals, move |streams| {
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

fn work(server: Server, signals: BlockedSignals, begun: impl FnOnce(u64) + Send + 'static) -> Result<(), HubError> {
    let thread = thread::Builder::new().name("sse-ordering".into()).spawn(move || {
        sys::unblock_signals(&[SIGTERM, SIGINT, SIGHUP]);
        server.run(begun)
    });
    let thread = thread.map_err(HubError::system("starting the ordering thread"))?;
    drop(signals);
    thread.join().unwrap_or_else(|_| Err(HubError::Panicked("sse-ordering".into())))
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

/// The limit that POSIX promises nearly everywhere, for a system that tells none.
const USUAL_DESCRIPTORS: usize = 1024;

/// Raises the soft descriptor limit to the hard one; returns the limit.
fn raise_descriptor_limit() -> usize {
    let raised = descriptors::limit().and_then(|limit| {
        let highest = libc::rlimit64 { rlim_cur: limit.rlim_max, ..limit };
        descriptors::set_limit(highest).map(|()| highest).or_else(|error| {
            warn!(%error, "the limit of descriptors can't be raised");
            Ok(limit)
        })
    });
    match raised {
        Ok(limit) => usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX),
        Err(error) => {
            warn!(%error, taken = USUAL_DESCRIPTORS, "the system does not tell the limit of descriptors");
            USUAL_DESCRIPTORS
        }
    }
}
