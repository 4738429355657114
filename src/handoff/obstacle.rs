//! Reasons why a stream is not handed off, and who caused them.

use rustix::io::Errno;
use sse_protocol::cause::Cause;

use crate::api::exceptions::Problem;

/// Why a stream is not handed off.
#[derive(Debug)]
pub struct Obstacle {
    /// The kind of reason.
    pub kind: ObstacleKind,
    /// The reason as a sentence for the log.
    pub why: String,
    /// Details that depend on the client.
    pub detail: Option<String>,
}

/// Kinds of reasons. Only for a reason of the server does the worker serve the stream: reasons that clients or load can
/// cause would occupy all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObstacleKind {
    /// Client: its request is too large to be kept, or has files.
    TooLarge,
    /// Client: its request line has invalid bytes.
    Unclear,
    /// Client: its HTTP version does not allow a hand-off.
    Version,
    /// Client: its address or its user is at a limit.
    TooMany,
    /// Client: it has everything already of a stream that is over for good.
    Finished,
    /// Client: it has left.
    Left,
    /// Load: there is no room, or no hub that answers, at the moment.
    Load,
    /// Server: a problem that the operator can fix.
    Server,
    /// Server: nothing is wrong; it can't hand off, or is configured not to.
    Expected,
}

impl ObstacleKind {
    /// Who caused the obstacle.
    pub fn cause(self) -> Cause {
        match self {
            Self::TooLarge | Self::Unclear | Self::Version | Self::TooMany | Self::Finished | Self::Left => {
                Cause::Client
            }
            Self::Load => Cause::Load,
            Self::Server | Self::Expected => Cause::Server,
        }
    }
}

impl Obstacle {
    /// Creates an obstacle.
    pub fn new(kind: ObstacleKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), detail: None }
    }

    /// Adds details that depend on the client.
    pub fn of(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Creates an obstacle of kind [`ObstacleKind::Server`].
    pub fn server(why: impl Into<String>) -> Self {
        Self::new(ObstacleKind::Server, why)
    }

    /// Creates an obstacle from a system error: load if a shared resource ran out, otherwise the server.
    pub fn of_system(what: &str, error: &std::io::Error) -> Self {
        let kind = if Cause::of_error(error) == Cause::Load { ObstacleKind::Load } else { ObstacleKind::Server };
        Self::new(kind, format!("{what}: {error}"))
    }

    /// Like [`of_system`](Self::of_system), for an error number.
    pub fn of_errno(what: &str, error: Errno) -> Self {
        Self::of_system(what, &error.into())
    }
}

/// Why the stream is not handed off.
pub enum Stays {
    /// An obstacle; the worker still has the stream.
    Because(Obstacle),
    /// The call has failed.
    Failed(Problem),
}

impl<T: Into<Problem>> From<T> for Stays {
    fn from(problem: T) -> Self {
        Self::Failed(problem.into())
    }
}

impl From<Obstacle> for Stays {
    fn from(obstacle: Obstacle) -> Self {
        Self::Because(obstacle)
    }
}
