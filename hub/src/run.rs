//! Running a hub.

use std::io;
use std::os::unix::net::UnixListener;
use std::thread;

use rustix::process::{Resource, Rlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use thiserror::Error;
use tracing::warn;

use crate::config::{self, Config, ConfigError};
use crate::log;
use crate::router::Router;
use crate::sys::{self, BlockedSignals};

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
        let key = if config.udp_key.as_ref().is_some_and(|key| !key.is_empty()) { "set" } else { "" };
        config::udp(&address.to_string(), key)?;
    }
    log::install(&config).map_err(|error| log_error(&config, error))?;
    let descriptors = raise_descriptor_limit();
    let signals = BlockedSignals::new();
    let router = Router::new(config, listener, descriptors)?;
    let thread = thread::Builder::new().name("sse-router".into()).spawn(move || {
        sys::unblock_signals(&[SIGTERM, SIGINT]);
        router.run()
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
