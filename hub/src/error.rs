//! Errors that end a hub, or keep one from starting.

use std::io;

use thiserror::Error;

use crate::config::ConfigError;
use crate::socket::SocketError;

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
    /// Number of the system's error, if it was one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Log { error, .. } | Self::System { error, .. } | Self::Socket(SocketError::Io { error, .. }) => {
                error.raw_os_error()
            }
            _ => None,
        }
    }

    /// Builds the closure that `map_err` needs for [`HubError::System`].
    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}
