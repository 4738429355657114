//! The wire between the extension and the hub: what goes over the hub's Unix socket.
//!
//! A message is its length (u32, little endian) and that many bytes of [postcard]. A descriptor that belongs to a message
//! (the connection of an [`Request::Attach`]) is sent along with the message's first byte.
//!
//! The first message of a connection is [`Request::Hello`]. Its layout, and those of [`Reply::Welcome`] and
//! [`Reply::Refused`], never change, so that two versions can always tell each other that they don't match; anything
//! else may change with [`PROTOCOL`].

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use thiserror::Error;

use crate::topic;

/// Version of everything but the greeting.
pub const PROTOCOL: u16 = 5;

/// Begins every greeting ("SSEH").
pub const MAGIC: u32 = 0x5353_4548;

/// The php-sse version, for people.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a message may be longer than the data and the topics in it: name, id and the fields' own bytes.
const OVERHEAD: usize = 4096;

/// Bytes of an [`OriginalRequest`], body included, that a stream may have.
pub const MAX_REQUEST: usize = 192 << 10;

/// Bytes of a user's key, or that of a share.
pub const MAX_KEY: usize = 255;

/// Longest message with so many bytes of data and so many topics.
#[must_use]
pub fn max_message(data: usize, topics: usize) -> usize {
    // A topic's length takes two bytes at most.
    OVERHEAD + data.max(MAX_REQUEST) + topics * (topic::MAX_LEN + 2)
}

/// Largest value of `sse.max_event_size`, in bytes.
pub const MAX_EVENT_SIZE: u64 = 64 << 20;

/// Largest value of `sse.max_topics`.
pub const MAX_TOPICS: u64 = 10_000;

/// Bytes of the length before each message.
pub const PREFIX: usize = 4;

/// From the extension to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Opens the connection. Answer: `Welcome` or `Refused`.
    Hello {
        /// [`MAGIC`].
        magic: u32,
        /// [`PROTOCOL`].
        protocol: u16,
        /// [`VERSION`].
        version: &'a str,
        /// Process whose end should end the hub (FPM master, `php -S`, Apache's parent), if there is one.
        owner: Option<u32>,
    },
    /// Hands over a connection, sent along as a descriptor. Until `Commit` the hub queues events for it but neither
    /// writes to it nor reads from it. Answer: `Attached` or `Error`.
    Attach(#[serde(borrow)] Attach<'a>),
    /// The worker has sent the response's headers and lets go: the stream may begin. No answer.
    Commit {
        /// As given by `Attached` on this connection.
        stream: u64,
        /// How bytes are wrapped on the connection.
        framing: Framing,
    },
    /// The worker keeps the connection after all; the hub drops its copy. No answer.
    Abort {
        /// As given by `Attached` on this connection.
        stream: u64,
    },
    /// A new event. Answer, if one is wanted: `Published` or `Error`.
    Publish {
        /// Checked topics, at least one.
        #[serde(borrow)]
        topics: Vec<&'a str>,
        /// The event's type.
        name: Option<&'a str>,
        /// The publisher's own id.
        id: Option<&'a str>,
        /// Reconnection time for the client, in milliseconds.
        retry: Option<u32>,
        /// UTF-8 text.
        #[serde(with = "serde_bytes")]
        data: &'a [u8],
        /// Whether the publisher waits for the answer.
        answer: bool,
    },
    /// These topics changed. No answer.
    Trigger {
        /// Checked topics; none: all of them.
        #[serde(borrow)]
        topics: Vec<&'a str>,
    },
    /// A request came with this token: is it the hub's? Answer: `Replayed`, or `Error` with `Unknown` or `Over`.
    Replayed {
        /// As the hub sent it.
        token: &'a str,
    },
    /// The replayed script is about to run its callback. Answer: `Events`, or `Error` with `Unknown`.
    Render {
        /// As the hub sent it.
        token: &'a str,
        /// Checked patterns, as of this call: watched before the callback reads anything.
        #[serde(borrow)]
        patterns: Vec<&'a str>,
    },
    /// What a script's call came to. Answer, if one is wanted: `Done`, or `Error` with `Over`.
    Rendered {
        /// Whose it is.
        whose: Whose<'a>,
        /// Whether the script has a callback.
        render: bool,
        /// Its `share`, as of this call.
        share: Option<&'a str>,
        /// Checked patterns, as of this call.
        #[serde(borrow)]
        patterns: Vec<&'a str>,
        /// The id of the last event in `frames` that has one.
        last_id: Option<&'a str>,
        /// What to send: complete events as they are in a stream; empty: nothing.
        #[serde(with = "serde_bytes")]
        frames: &'a [u8],
        /// Whether the script's process waits for the answer.
        answer: bool,
    },
    /// A replayed request ends without a `Rendered`. Answer: `Done`.
    NotRendered {
        /// As the hub sent it.
        token: &'a str,
        /// Why, as far as the script's process knows, for the log.
        reason: &'a str,
    },
    /// Asks for the id of the newest event. Answer: `Cursor`.
    Cursor,
    /// Asks for the counters. Answer: `Stats`.
    Stats,
    /// Asks for them as OpenMetrics text. Answer: `Metrics`.
    Metrics,
}

impl Request<'_> {
    /// Whether it may be asked of another hub when the one that was asked has ended without an answer: nothing of it is left.
    #[must_use]
    pub fn may_be_repeated(&self) -> bool {
        matches!(self, Self::Attach(_) | Self::Cursor | Self::Stats | Self::Metrics)
    }
}

/// What a stream is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attach<'a> {
    /// Checked patterns.
    #[serde(borrow)]
    pub patterns: Vec<&'a str>,
    /// Seconds of silence after which a comment is sent; 0: never.
    pub heartbeat: u32,
    /// Reconnection time told to the client first, in milliseconds; 0: not told.
    pub retry: u32,
    /// Seconds after which the hub ends it, less a random part; 0: never.
    pub max_lifetime: u32,
    /// The last event that the reader has; what came after it is sent first.
    pub last_event_id: Option<&'a str>,
    /// The client's `REMOTE_ADDR`; `None`: this process reads it itself.
    pub address: Option<&'a str>,
    /// Whose it is, where the script has said so.
    pub user: Option<User<'a>>,
    /// How the client is told the topics of its events; `None`: not at all.
    pub topics_as: Option<TopicsAs>,
    /// Whether a client that gets no event at first is told the id of the newest one, so that it can go on from there.
    pub cursor: bool,
    /// Whether the worker sends the stream's first lines itself, with the headers: `Attached` tells it which.
    pub opens: bool,
    /// How to run the script again for this stream; `None`: never.
    pub replay: Option<Replay<'a>>,
}

/// Somebody whose streams are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User<'a> {
    /// Tells one from another, in all scripts that use this hub; at most [`MAX_KEY`] bytes.
    pub key: &'a str,
    /// Streams that this user may have, the new one included; 0: any number.
    pub limit: u32,
    /// Whether the oldest of them ends when there would be one too many; otherwise the new one is refused.
    pub replace: bool,
}

/// Who gets what was rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whose<'a> {
    /// A stream attached on this connection and not yet committed: this is the first run, in the original request.
    Stream(u64),
    /// The replay with this token.
    Token(&'a str),
}

/// How to run a stream's script again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay<'a> {
    /// Whether the script has a callback, and is run when a topic wakes.
    pub render: bool,
    /// Whether what is the same as what was sent last is not sent again.
    pub only_changes: bool,
    /// Milliseconds after which the callback runs without a wake; 0: never.
    pub poll: u32,
    /// Seconds after which the script is asked again whether the client may have the stream; 0: only when it renders.
    pub reauthorize: u32,
    /// Streams of the same script with the same key are rendered once for all.
    pub share: Option<&'a str>,
    /// The request to send again.
    #[serde(borrow)]
    pub request: OriginalRequest<'a>,
}

/// The request that a stream came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRequest<'a> {
    /// The script's path, for the log and to tell scripts apart.
    pub script: &'a str,
    /// How the server is asked.
    #[serde(borrow)]
    pub protocol: Protocol<'a>,
    /// FastCGI parameters or HTTP headers, in their order.
    pub fields: Vec<(&'a Bytes, &'a Bytes)>,
    /// The body.
    pub body: &'a Bytes,
    /// The client's `REMOTE_ADDR` and `REMOTE_PORT`.
    pub remote: (&'a str, &'a str),
    /// The Last-Event-ID it came with.
    pub last_event_id: Option<&'a str>,
    /// The id of its session: its script waits for that session's lock.
    pub session: Option<&'a str>,
}

/// What the worker's own listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol<'a> {
    /// FPM.
    FastCgi,
    /// `php -S` and Apache.
    Http {
        /// `GET`, …
        method: &'a str,
        /// Path and query as they were requested.
        target: &'a str,
    },
}

/// Why a script is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A topic woke.
    Wake,
    /// `poll` is over.
    Poll,
    /// `reauthorize` is over.
    Reauthorize,
    /// The run before this one failed.
    Retry,
}

impl Reason {
    /// As `sse_render()` tells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wake => "wake",
            Self::Poll => "poll",
            Self::Reauthorize => "reauthorize",
            Self::Retry => "retry",
        }
    }
}

/// How bytes are wrapped on a stream's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// As they are: `php -S`, HTTP/1.0, and a worker that copies.
    Raw,
    /// HTTP/1.1 chunks: Apache's mod_php.
    Chunked,
    /// FastCGI STDOUT records: FPM.
    FastCgi {
        /// The request's id on the connection.
        request: u16,
    },
    /// [`Delivery`] messages instead of an event stream: a PHP process that reads events.
    Message,
    /// One byte, whatever happened and however often: a PHP process that only wants to be woken. What comes while the
    /// last byte can't be sent yet is told by one more.
    Wake,
}

/// How a stream tells its client the topics of its events, of which an event stream itself knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicsAs {
    /// By a line `topic: NAME` for each. "Otherwise: The field is ignored", so that every client can read the stream.
    Field,
    /// By a JSON object in place of the data, for clients that see nothing else (the browser's own EventSource).
    Envelope,
}

/// From the hub to the extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// The hub speaks the same protocol.
    Welcome {
        /// [`PROTOCOL`].
        protocol: u16,
        /// The hub's [`VERSION`].
        version: &'a str,
        /// The hub's process id.
        pid: u32,
    },
    /// The hub will not talk to this peer; it closes the connection.
    Refused {
        /// Why, as a sentence for people.
        reason: &'a str,
    },
    /// The hub holds the stream.
    Attached {
        /// Names the stream on this connection, and in the log.
        stream: u64,
        /// The hub has what others of the same `share` were sent last, and sends it to this stream as well.
        rendered: bool,
        /// What the worker is to send first, where it has asked for that; otherwise empty, and the hub sends it.
        opening: &'a str,
    },
    /// The hub holds the event.
    Published {
        /// The event's id: the publisher's own, or the hub's.
        id: &'a str,
    },
    /// The token is the hub's.
    Replayed {
        /// The stream that the script is run for.
        stream: u64,
        /// Why.
        reason: Reason,
        /// The client's `REMOTE_ADDR` and `REMOTE_PORT` in the original request.
        remote: (&'a str, &'a str),
        /// The Last-Event-ID as of now.
        last_event_id: Option<&'a str>,
    },
    /// What has happened since the callback's last run.
    Events {
        /// Events and triggers; a trigger of `**` stands for those that were too many to be kept.
        #[serde(borrow)]
        events: Vec<Delivery<'a>>,
    },
    /// The hub has taken it.
    Done,
    /// The id of the newest event.
    Cursor {
        /// An id that streams can start from.
        id: &'a str,
    },
    /// The counters.
    Stats {
        /// A JSON object.
        json: &'a str,
    },
    /// The counters, for Prometheus.
    Metrics {
        /// OpenMetrics 1.0.0.
        text: &'a str,
    },
    /// The request was not done.
    Error {
        /// What kind of error.
        code: ErrorCode,
        /// What was wrong, with the value and what to do.
        message: &'a str,
    },
}

impl Reply<'_> {
    /// Which answer it is, without what is in it: that may be an event's data, which no error and no log has.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "Welcome",
            Self::Refused { .. } => "Refused",
            Self::Attached { .. } => "Attached",
            Self::Published { .. } => "Published",
            Self::Replayed { .. } => "Replayed",
            Self::Events { .. } => "Events",
            Self::Done => "Done",
            Self::Cursor { .. } => "Cursor",
            Self::Stats { .. } => "Stats",
            Self::Metrics { .. } => "Metrics",
            Self::Error { .. } => "Error",
        }
    }
}

/// Kinds of [`Reply::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorCode {
    /// The request breaks a rule; sending it again won't help.
    Invalid,
    /// `sse.max_streams` or the descriptor limit is reached; later it may work.
    Full,
    /// The stream could be held, but its script could not be run again, as its server does not let the hub.
    NoReplay,
    /// The stream could be held, but its script could not be run again as things are; later it may work.
    Busy,
    /// No such token, or no such stream.
    Unknown,
    /// The event could not be kept, and is not delivered; later it may work.
    NotKept,
    /// The token is the hub's, but nobody waits for its run any more: its stream has ended, or its time is over.
    Over,
    /// The client's address, or its user, has as many streams as it may have, or makes the hub keep as much as it may.
    TooMany,
    /// The hub is another user's, who lets this one publish and watch, but not do this.
    Denied,
}

/// What a [`Framing::Message`] stream carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery<'a> {
    /// A published event.
    Event {
        /// Its id.
        id: &'a str,
        /// All topics it was published to.
        #[serde(borrow)]
        topics: Vec<&'a str>,
        /// Its type.
        name: Option<&'a str>,
        /// The data as published.
        #[serde(with = "serde_bytes")]
        data: &'a [u8],
    },
    /// A topic changed.
    Trigger {
        /// The topic, or `**` for all.
        topic: &'a str,
    },
    /// Nothing happened; keeps the connection alive.
    Heartbeat,
    /// The last: the stream's user has begun another one in its place.
    Replaced {
        /// When its client is to come back, in milliseconds.
        retry: u32,
    },
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// Longer than the reader accepts.
    #[error("a message of {size} bytes was announced; at most {limit} are accepted")]
    TooLarge {
        /// Bytes announced.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// The length was right, the content was not.
    #[error("a message could not be decoded: {0}")]
    Malformed(#[from] postcard::Error),
}

/// Bytes that most messages fit into.
const USUAL: usize = 256;

/// A message as bytes, length first.
///
/// # Panics
/// As [`append`]: never.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL);
    append(&mut bytes, message);
    bytes
}

/// Adds a message to others, length first.
///
/// # Panics
/// Never: the messages of this module always serialize, and none reaches 4 GiB.
pub fn append<T: Serialize>(bytes: &mut Vec<u8>, message: &T) {
    let start = bytes.len();
    let mut all = std::mem::take(bytes);
    all.extend([0; PREFIX]);
    all = postcard::to_extend(message, all).expect("these messages contain nothing postcard can't write");
    let length = u32::try_from(all.len() - start - PREFIX).expect("messages are bounded by sse.max_event_size");
    all[start..start + PREFIX].copy_from_slice(&length.to_le_bytes());
    *bytes = all;
}

/// The length of the first message in `bytes`, without its prefix; `None` while not even the prefix is there.
///
/// # Errors
/// `TooLarge` as soon as a length over `limit` is announced, before anything of it is kept.
pub fn announced(bytes: &[u8], limit: usize) -> Result<Option<usize>, WireError> {
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let size = u32::from_le_bytes(*prefix) as usize;
    if size > limit { Err(WireError::TooLarge { size, limit }) } else { Ok(Some(size)) }
}

/// Reads the content of one message (without its length).
///
/// # Errors
/// `Malformed` if the bytes are not such a message.
pub fn decode<'a, T: Deserialize<'a>>(content: &'a [u8]) -> Result<T, WireError> {
    Ok(postcard::from_bytes(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_its_length_and_its_content() {
        let bytes = encode(&Request::Commit { stream: 5, framing: Framing::FastCgi { request: 1 } });
        assert_eq!(bytes, [4, 0, 0, 0, 2, 5, 2, 1]);
        assert_eq!(announced(&bytes, 100), Ok(Some(4)));
        assert_eq!(
            decode::<Request<'_>>(&bytes[PREFIX..]),
            Ok(Request::Commit { stream: 5, framing: Framing::FastCgi { request: 1 } })
        );
    }

    /// The greeting must stay readable by all versions to come.
    #[test]
    fn the_greeting_never_changes() {
        let hello = encode(&Request::Hello { magic: MAGIC, protocol: 1, version: "0.1.0", owner: Some(300) });
        assert_eq!(&hello[PREFIX..], b"\x00\xc8\x8a\xcd\x9a\x05\x01\x050.1.0\x01\xac\x02");
        let welcome = encode(&Reply::Welcome { protocol: 1, version: "0.1.0", pid: 7 });
        assert_eq!(&welcome[PREFIX..], b"\x00\x01\x050.1.0\x07");
        let refused = encode(&Reply::Refused { reason: "no" });
        assert_eq!(&refused[PREFIX..], b"\x01\x02no");
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_before_it_is_read() {
        assert_eq!(announced(&[0xff; 4], 100), Err(WireError::TooLarge { size: 0xffff_ffff, limit: 100 }));
        assert_eq!(announced(&[1, 0, 0], 100), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_can_crash_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<Request<'_>>(&bytes);
            let _ = decode::<Reply<'_>>(&bytes);
            let _ = decode::<Delivery<'_>>(&bytes);
        }

        #[test]
        fn what_is_published_arrives_as_it_was(
            topics in proptest::collection::vec("[a-z.]{1,20}", 1..4),
            data in proptest::collection::vec(any::<u8>(), 0..300),
            name in proptest::option::of("[a-z]{1,9}"),
        ) {
            let request = Request::Publish {
                topics: topics.iter().map(String::as_str).collect(),
                name: name.as_deref(), id: None, retry: Some(1), data: &data, answer: true,
            };
            let bytes = encode(&request);
            prop_assert_eq!(decode::<Request<'_>>(&bytes[PREFIX..]), Ok(request));
        }
    }
}
