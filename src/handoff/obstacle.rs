//! What keeps a stream from being handed over, and who has brought it about.

use rustix::io::Errno;
use sse_protocol::cause::Cause;

/// Why a stream is not handed over.
#[derive(Debug)]
pub struct Obstacle {
    /// What kind of reason.
    pub kind: Kind,
    /// As a sentence for the log.
    pub why: String,
    /// What of it differs from client to client.
    pub detail: Option<String>,
}

/// Kinds of reasons. Only a server's is one to serve the stream in the worker for: what a client chooses or load brings about
/// would take all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of the client: its request is too large to be kept, or has files.
    TooLarge,
    /// Of the client: its request line has what no request line may have.
    Unclear,
    /// Of the client: it speaks a version of HTTP whose connection can't be handed over.
    Version,
    /// Of the client: its address or its user has as much as it may have.
    TooMany,
    /// Of the client: it has left.
    Left,
    /// Of load: there is no room for it, or no hub that answers, for the moment.
    Load,
    /// Of the server, which could do better.
    Server,
    /// Of the server, where nothing is wrong: it can't, or is told not to.
    Expected,
}

impl Kind {
    /// Who has brought it about.
    pub fn cause(self) -> Cause {
        match self {
            Self::TooLarge | Self::Unclear | Self::Version | Self::TooMany | Self::Left => Cause::Client,
            Self::Load => Cause::Load,
            Self::Server | Self::Expected => Cause::Server,
        }
    }
}

impl Obstacle {
    /// For this reason.
    pub fn new(kind: Kind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), detail: None }
    }

    /// With what differs from client to client.
    pub fn of(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The server's, which could do better.
    pub fn server(why: impl Into<String>) -> Self {
        Self::new(Kind::Server, why)
    }

    /// The system refused something: for want of something that others use, or at any time.
    pub fn of_system(what: &str, error: &std::io::Error) -> Self {
        let kind = if Cause::of_error(error) == Cause::Load { Kind::Load } else { Kind::Server };
        Self::new(kind, format!("{what}: {error}"))
    }

    /// The same, by an error's number.
    pub fn of_errno(what: &str, error: Errno) -> Self {
        Self::of_system(what, &error.into())
    }
}
