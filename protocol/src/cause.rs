//! Causes of a failed hand-off: the client, the load, or the server's setup.
//!
//! A client's choice, or load, must never keep a stream in its worker: such a client is refused. The worker may serve the
//! stream only where the server itself can't do a hand-off.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::client::ClientError;
use crate::wire::ErrorCode;

/// Who or what makes a hand-off fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// This client, by what it sent or by how much it has already; a different request of its own could succeed.
    Client,
    /// Load: a later try may succeed.
    Load,
    /// The server's setup, which is the same for every client at any time.
    Server,
}

impl Cause {
    /// Classifies an error of the system: a lack of resources is load.
    #[must_use]
    pub fn of_errno(error: Errno) -> Self {
        match error {
            Errno::MFILE
            | Errno::NFILE
            | Errno::NOBUFS
            | Errno::NOMEM
            | Errno::AGAIN
            | Errno::ADDRNOTAVAIL
            | Errno::TOOMANYREFS
            | Errno::TIMEDOUT => Self::Load,
            _ => Self::Server,
        }
    }

    /// As [`of_errno`](Self::of_errno); an error without an errno counts as the server's.
    #[must_use]
    pub fn of_error(error: &std::io::Error) -> Self {
        Errno::from_io_error(error).map_or(Self::Server, Self::of_errno)
    }
}

impl ErrorCode {
    /// Why the hub doesn't hold a stream; `None` if the script caused it by what it asked for.
    #[must_use]
    pub fn cause(self) -> Option<Cause> {
        match self {
            // `Finished`: another client, which has not got all, gets a stream.
            Self::TooMany | Self::Finished => Some(Cause::Client),
            // `Over`: the job that held the stream has ended meanwhile.
            Self::Full | Self::Busy | Self::Over | Self::NotKept => Some(Cause::Load),
            Self::NoReplay | Self::NoRedirect => Some(Cause::Server),
            Self::Invalid | Self::Unknown | Self::Denied => None,
        }
    }
}

impl ClientError {
    /// Why the hub doesn't hold a stream; `None` if the script caused it, or if this process has no hub that it could ever
    /// use.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Hub { code, .. } => code.cause(),
            Self::Timeout(_) | Self::Late(_) | Self::Behind | Self::Closed | Self::Unanswered => Some(Cause::Load),
            Self::Io(error) => Some(Cause::of_error(error)).filter(|cause| *cause == Cause::Load),
            Self::NotRunning { .. } | Self::Untrusted { .. } | Self::Refused(_) | Self::Protocol(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_the_server_itself_cannot_do_is_the_servers() {
        let hub = |code| ClientError::Hub { code, message: String::new() };
        let second = Duration::from_secs(1);
        let not_running = || std::io::ErrorKind::NotFound.into();
        let table = [
            (hub(ErrorCode::TooMany), Some(Cause::Client)),
            (hub(ErrorCode::Finished), Some(Cause::Client)),
            (hub(ErrorCode::Full), Some(Cause::Load)),
            (hub(ErrorCode::Busy), Some(Cause::Load)),
            (hub(ErrorCode::Over), Some(Cause::Load)),
            (hub(ErrorCode::NotKept), Some(Cause::Load)),
            (hub(ErrorCode::NoReplay), Some(Cause::Server)),
            (hub(ErrorCode::NoRedirect), Some(Cause::Server)),
            (hub(ErrorCode::Invalid), None),
            (hub(ErrorCode::Unknown), None),
            (hub(ErrorCode::Denied), None),
            (ClientError::Timeout(second), Some(Cause::Load)),
            (ClientError::Late(second), Some(Cause::Load)),
            (ClientError::Behind, Some(Cause::Load)),
            (ClientError::Closed, Some(Cause::Load)),
            (ClientError::Unanswered, Some(Cause::Load)),
            (ClientError::Io(Errno::MFILE.into()), Some(Cause::Load)),
            (ClientError::Io(Errno::TOOMANYREFS.into()), Some(Cause::Load)),
            (ClientError::Io(Errno::INVAL.into()), None),
            (ClientError::NotRunning { path: String::new(), error: not_running() }, None),
            (ClientError::Untrusted { path: String::new(), uid: 1 }, None),
            (ClientError::Refused(String::new()), None),
            (ClientError::Protocol(String::new()), None),
        ];
        for (error, cause) in table {
            assert_eq!(error.cause(), cause, "{error:?}");
        }
        assert_eq!(Cause::of_errno(Errno::NFILE), Cause::Load);
        assert_eq!(Cause::of_errno(Errno::ACCESS), Cause::Server);
        assert_eq!(Cause::of_error(&std::io::ErrorKind::NotFound.into()), Cause::Server);
    }
}
