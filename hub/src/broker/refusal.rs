//! Why the hub refuses a stream, or the output of a script: for each cause the code and the sentence of its reply.

use thiserror::Error;

use crate::http::head::MAX_HEADERS;
use crate::quota::budget::Exhausted;
use crate::quota::{InvalidUser, OverQuota};
use crate::render::upstream::NoReplay;
use sse_protocol::cause::Cause;
use sse_protocol::event::MAX_RETRY;
use sse_protocol::presence::PresenceError;
use sse_protocol::topic::TopicError;
use sse_protocol::wire::ErrorCode;

/// Error for an unknown token, or a stream that the connection does not hold.
pub(super) const OVER: &str = "no such render, or none any more: its stream has ended or its time is over";

/// Why a request about a stream is refused.
#[derive(Debug, Error)]
pub(crate) enum StreamRefusal {
    /// The request watches nothing.
    #[error("no topic given; name at least one topic or pattern to watch")]
    NoTopic,
    /// The request watches too much.
    #[error("{count} topics given; sse.max_topics allows {limit} for one stream")]
    Topics { count: usize, limit: usize },
    /// A pattern is invalid.
    #[error(transparent)]
    Pattern(#[from] TopicError),
    /// The reconnection time is too long.
    #[error("retry must be at most {MAX_RETRY} milliseconds, {0} given")]
    Retry(u32),
    /// A change of topics would leave none.
    #[error("the stream would watch no topic any more; end it by sse_disconnect() instead")]
    NoneLeft,
    /// The topics of a stream with a callback are its script's.
    #[error(
        "a stream with a callback gets its topics from its script at each run; have the script pass others, and notify one \
         of the topics that it watches"
    )]
    Rendered,
    /// Selectors of Mercure are for streams that get events.
    #[error("topics that begin with '$mercure.' are for streams without a callback, and its script can't watch them")]
    Selector,
    /// There is no such stream, or it is another user's.
    #[error("no such stream here, or none any more")]
    NoStream,
    /// The bus can't take the request now.
    #[error("the other machines can't be told now: {0}")]
    Bus(String),
    /// The bus can't take the question now.
    #[error("the other machines can't be asked now: {0}; $local = true asks this one only")]
    NotAsked(String),
    /// The list is to go on after what is no stream's id.
    #[error("after must be an id that this hub has given a stream; begin the list anew")]
    NoId,
    /// Too many lists are asked for.
    #[error("too many lists of streams are asked for at the same time; ask again")]
    Lists,
    /// Not all that were asked have answered in time.
    #[error("{0}")]
    NotAnswered(String),
    /// The user's key is invalid.
    #[error(transparent)]
    User(#[from] InvalidUser),
    /// The stream can't have this member.
    #[error(transparent)]
    Presence(#[from] PresenceError),
    /// The request lacks its descriptor.
    #[error("no connection came with the request")]
    NoConnection,
    /// Its descriptor is something else.
    #[error("what came with the request is not a stream socket")]
    NoSocket,
    /// There is no room for another stream, or no descriptor.
    #[error("{0}")]
    Full(String),
    /// Address or user have too many streams.
    #[error(transparent)]
    Quota(#[from] OverQuota),
    /// Address or all clients together watch too many bytes of topics.
    #[error(transparent)]
    TopicBytes(#[from] Exhausted),
    /// The stream's script can't be replayed.
    #[error(transparent)]
    NoReplay(#[from] NoReplay),
    /// The web server can't fetch the stream.
    #[error("{0}")]
    NoRedirect(String),
    /// The response's headers are no headers, or too many.
    #[error(
        "the response's headers can't be passed on: a name or a value is not valid in HTTP, or they take more than {MAX_HEADERS} bytes"
    )]
    Headers,
    /// The stream is over for good.
    #[error("all topics of the stream are finished, and its client has their last events")]
    Finished,
    /// The output comes too late.
    #[error("{OVER}")]
    Over,
}

impl StreamRefusal {
    /// The code of the reply.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::NoTopic
            | Self::Topics { .. }
            | Self::Pattern(_)
            | Self::Retry(_)
            | Self::NoneLeft
            | Self::Rendered
            | Self::Selector
            | Self::NoId
            | Self::User(_)
            | Self::Presence(_)
            | Self::NoConnection
            | Self::NoSocket
            | Self::Headers => ErrorCode::Invalid,
            Self::NoRedirect(_) => ErrorCode::NoRedirect,
            Self::Full(_) | Self::TopicBytes(Exhausted::Whole { .. }) => ErrorCode::Full,
            Self::Quota(_) | Self::TopicBytes(Exhausted::Client { .. }) => ErrorCode::TooMany,
            Self::NoReplay(NoReplay { cause: Cause::Client, .. }) => ErrorCode::TooMany,
            Self::NoReplay(NoReplay { cause: Cause::Load, .. }) => ErrorCode::Busy,
            Self::NoReplay(NoReplay { cause: Cause::Server, .. }) => ErrorCode::NoReplay,
            Self::Finished => ErrorCode::Finished,
            Self::NoStream => ErrorCode::Unknown,
            Self::Bus(_) | Self::NotAsked(_) | Self::Lists | Self::NotAnswered(_) => ErrorCode::Busy,
            Self::Over => ErrorCode::Over,
        }
    }
}
