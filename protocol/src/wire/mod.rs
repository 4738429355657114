//! The wire between the extension and the hub: the messages on the hub's Unix socket.
//!
//! A message is its length (u32, little endian) and that many bytes of [postcard]. A descriptor that belongs to a message
//! (the connection of a [`Request::Attach`]) is sent along with the message's first byte.
//!
//! The first message of a connection is [`Request::Hello`]. Its layout, and those of [`Reply::Welcome`] and
//! [`Reply::Refused`], never change, so two versions can always report that they don't match. Anything else may change with
//! [`PROTOCOL`].

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use thiserror::Error;

use crate::topic;

/// Version of all messages but the greeting.
pub const PROTOCOL: u16 = 5;

/// First field of every greeting ("SSEH").
pub const MAGIC: u32 = 0x5353_4548;

/// The php-sse version, for people to read.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Bytes of a message beyond its data and topics: name, id and the encoding of the fields.
const OVERHEAD: usize = 4096;

/// Most bytes of a stream's [`OriginalRequest`], body included.
pub const MAX_REQUEST: usize = 192 << 10;

/// Longest key of a user or a share, in bytes.
pub const MAX_KEY: usize = 255;

/// Longest message with `data` bytes of data and `topics` topics, in bytes.
#[must_use]
pub fn max_message(data: usize, topics: usize) -> usize {
    // The length of a topic takes two bytes at most.
    OVERHEAD + data.max(MAX_REQUEST) + topics * (topic::MAX_LEN + 2)
}

/// Largest value of `sse.max_event_size`, in bytes.
pub const MAX_EVENT_SIZE: u64 = 64 << 20;

/// Largest value of `sse.max_topics`.
pub const MAX_TOPICS: u64 = 10_000;

/// Length of the prefix before each message, in bytes.
pub const PREFIX: usize = 4;

/// A message from the extension to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Opens the connection. Reply: `Welcome` or `Refused`.
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
    /// Starts the hand-off of a connection, sent along as a descriptor. Until `Commit` the hub queues events for the stream
    /// but neither writes to the connection nor reads from it. Reply: `Attached` or `Error`.
    Attach(#[serde(borrow)] Attach<'a>),
    /// Completes a hand-off: the worker has sent the response's headers, and the stream may begin. No reply.
    Commit {
        /// As `Attached` gave it on this connection.
        stream: u64,
        /// How bytes are wrapped on the client's connection.
        framing: Framing,
    },
    /// Cancels a hand-off: the worker keeps the connection, and the hub drops its copy. No reply.
    Abort {
        /// As `Attached` gave it on this connection.
        stream: u64,
    },
    /// Publishes an event. Reply, if `answer` is set: `Published` or `Error`.
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
        /// Whether the publisher waits for the reply.
        answer: bool,
    },
    /// Notification: these topics changed. No reply.
    Trigger {
        /// Checked topics; none means all topics.
        #[serde(borrow)]
        topics: Vec<&'a str>,
    },
    /// Asks whether a request's token is the hub's. Reply: `Replayed`, or `Error` with `Unknown` or `Over`.
    Replayed {
        /// The token that the hub sent.
        token: &'a str,
    },
    /// Announces that the replayed script is about to run its callback. Reply: `Events`, or `Error` with `Unknown`.
    Render {
        /// The token that the hub sent.
        token: &'a str,
        /// Checked patterns of this call; the hub watches them before the callback reads anything.
        #[serde(borrow)]
        patterns: Vec<&'a str>,
    },
    /// Output of a script's call. Reply, if `answer` is set: `Done`, or `Error` with `Over`.
    Rendered {
        /// The stream or replay that the output is for.
        whose: Whose<'a>,
        /// Whether the script has a callback.
        render: bool,
        /// The `share` of this call.
        share: Option<&'a str>,
        /// Checked patterns of this call.
        #[serde(borrow)]
        patterns: Vec<&'a str>,
        /// The id of the last event in `frames` that has one.
        last_id: Option<&'a str>,
        /// Complete events in the stream's format; may be empty.
        #[serde(with = "serde_bytes")]
        frames: &'a [u8],
        /// Whether the script's process waits for the reply.
        answer: bool,
    },
    /// Reports that a replayed request ends without a `Rendered`. Reply: `Done`.
    NotRendered {
        /// The token that the hub sent.
        token: &'a str,
        /// The reason, as far as the script's process knows it, for the log.
        reason: &'a str,
    },
    /// Asks for the id of the newest event. Reply: `Cursor`.
    Cursor,
    /// Asks for the counters as JSON. Reply: `Stats`.
    Stats,
    /// Asks for the counters as OpenMetrics text. Reply: `Metrics`.
    Metrics,
}

impl Request<'_> {
    /// Whether the request may be repeated on another hub after the first one ended without a reply.
    #[must_use]
    pub fn may_be_repeated(&self) -> bool {
        matches!(self, Self::Attach(_) | Self::Cursor | Self::Stats | Self::Metrics)
    }
}

/// Settings of a new stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attach<'a> {
    /// Checked patterns.
    #[serde(borrow)]
    pub patterns: Vec<&'a str>,
    /// Seconds of silence after which the hub sends a comment; 0: never.
    pub heartbeat: u32,
    /// Reconnection time that the stream starts with, in milliseconds; 0: none.
    pub retry: u32,
    /// Seconds after which the hub ends the stream, less a random part; 0: never.
    pub max_lifetime: u32,
    /// The last event that the reader has; the hub sends the later ones first.
    pub last_event_id: Option<&'a str>,
    /// The client's `REMOTE_ADDR`; `None` if the reader is this process itself.
    pub address: Option<&'a str>,
    /// The stream's user, if the script named one.
    pub user: Option<User<'a>>,
    /// How the client learns the topics of its events; `None`: not at all.
    pub topics_as: Option<TopicsAs>,
    /// Whether a client that starts without an event gets the id of the newest one, so that it can resume from there.
    pub cursor: bool,
    /// Whether the worker sends the stream's first lines itself, with the headers: `Attached` contains them.
    pub opens: bool,
    /// How to replay the stream's script; `None`: never.
    pub replay: Option<Replay<'a>>,
}

/// A user whose streams are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User<'a> {
    /// Identifies the user among all scripts of this hub; at most [`MAX_KEY`] bytes.
    pub key: &'a str,
    /// Most streams of this user, the new one included; 0: no limit.
    pub limit: u32,
    /// Whether the user's oldest stream ends when the limit is exceeded; if not, the new one is refused.
    pub replace: bool,
}

/// The receiver of rendered output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whose<'a> {
    /// A stream attached on this connection and not yet committed: the output is from the original request.
    Stream(u64),
    /// The stream of the replay with this token.
    Token(&'a str),
}

/// How to replay a stream's script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay<'a> {
    /// Whether the script has a callback, so that a notification or an event leads to a replay.
    pub render: bool,
    /// Whether output equal to the last one sent is dropped.
    pub only_changes: bool,
    /// Milliseconds after which the callback runs without a notification; 0: never.
    pub poll: u32,
    /// Seconds after which a replay asks the script whether the client may keep the stream; 0: only when it renders.
    pub reauthorize: u32,
    /// Key of shared output: streams of the same script with the same key are rendered once for all of them.
    pub share: Option<&'a str>,
    /// The request to replay.
    #[serde(borrow)]
    pub request: OriginalRequest<'a>,
}

/// The request that opened a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRequest<'a> {
    /// The script's path, which identifies it in the hub and in the log.
    pub script: &'a str,
    /// The protocol of the upstream.
    #[serde(borrow)]
    pub protocol: Protocol<'a>,
    /// FastCGI parameters or HTTP headers, in their original order.
    pub fields: Vec<(&'a Bytes, &'a Bytes)>,
    /// The request body.
    pub body: &'a Bytes,
    /// The client's `REMOTE_ADDR` and `REMOTE_PORT`.
    pub remote: (&'a str, &'a str),
    /// The request's Last-Event-ID.
    pub last_event_id: Option<&'a str>,
    /// The id of the request's session, whose lock the script waits for.
    pub session: Option<&'a str>,
}

/// The protocol of the worker's own listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol<'a> {
    /// FPM.
    FastCgi,
    /// `php -S` and Apache.
    Http {
        /// `GET`, …
        method: &'a str,
        /// Path and query of the original request.
        target: &'a str,
    },
}

/// Why a script is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A notification or an event on a watched topic.
    Wake,
    /// The `poll` interval is over.
    Poll,
    /// The `reauthorize` interval is over.
    Reauthorize,
    /// The attempt before this one failed.
    Retry,
}

impl Reason {
    /// The name that `sse_render()` returns.
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
    /// Unchanged: `php -S`, HTTP/1.0, and a worker that copies.
    Raw,
    /// HTTP/1.1 chunks: Apache's mod_php.
    Chunked,
    /// FastCGI STDOUT records: FPM.
    FastCgi {
        /// The id of the request on the connection.
        request: u16,
    },
    /// [`Delivery`] messages instead of an event stream: for a PHP process that reads events.
    Message,
    /// One byte for any number of events and notifications: for a PHP process that only waits for a change. Whatever comes
    /// while that byte can't be sent leads to one more byte.
    Wake,
}

/// How a client learns the topics of its events: the event stream format has no field for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicsAs {
    /// A line `topic: NAME` for each topic. "Otherwise: The field is ignored", so every client can read the stream.
    Field,
    /// A JSON object in place of the data, for clients that see nothing else (the browser's own EventSource).
    Envelope,
}

/// A message from the hub to the extension.
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
    /// The hub refuses this process and closes the connection.
    Refused {
        /// The reason, as a sentence for people.
        reason: &'a str,
    },
    /// The hub holds the stream.
    Attached {
        /// Identifies the stream on this connection and in the log.
        stream: u64,
        /// Whether the hub sends this stream the last output of its `share`.
        rendered: bool,
        /// The first lines that the worker must send, if it asked for them with `opens`; otherwise empty.
        opening: &'a str,
    },
    /// The hub accepted the event.
    Published {
        /// The event's id: the publisher's own or the hub's.
        id: &'a str,
    },
    /// The token belongs to a render job of the hub.
    Replayed {
        /// The stream that the script runs for.
        stream: u64,
        /// Why the hub replays the script.
        reason: Reason,
        /// The client's `REMOTE_ADDR` and `REMOTE_PORT` in the original request.
        remote: (&'a str, &'a str),
        /// The stream's current Last-Event-ID.
        last_event_id: Option<&'a str>,
    },
    /// Events and notifications since the callback's last run.
    Events {
        /// In their order; a notification of `**` stands for those that exceeded the limits.
        #[serde(borrow)]
        events: Vec<Delivery<'a>>,
    },
    /// The hub did the request.
    Done,
    /// The id of the newest event.
    Cursor {
        /// An id that a stream can resume from.
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
    /// The hub did not do the request.
    Error {
        /// Kind of the error.
        code: ErrorCode,
        /// What was wrong, with the value and a remedy.
        message: &'a str,
    },
}

impl Reply<'_> {
    /// The variant's name without its content: that may be event data, which must not get into errors or logs.
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
    /// The request breaks a rule; a repetition fails as well.
    Invalid,
    /// `sse.max_streams` or the descriptor limit is reached; a later try may succeed.
    Full,
    /// The hub could hold the stream but can't replay its script, because the server does not permit it.
    NoReplay,
    /// The hub could hold the stream but can't replay its script at the moment; a later try may succeed.
    Busy,
    /// No such token or stream.
    Unknown,
    /// The hub could not store the event and does not deliver it; a later try may succeed.
    NotKept,
    /// The token is the hub's, but its attempt is no longer wanted: the stream ended, or the time is over.
    Over,
    /// The client's address or user has reached its limit of streams, or its quota of memory.
    TooMany,
    /// The hub belongs to another user, who lets this one publish and watch, but not do this.
    Denied,
}

/// A message of a [`Framing::Message`] stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery<'a> {
    /// A published event.
    Event {
        /// The event's id.
        id: &'a str,
        /// All topics that the event was published to.
        #[serde(borrow)]
        topics: Vec<&'a str>,
        /// The event's type.
        name: Option<&'a str>,
        /// The data as published.
        #[serde(with = "serde_bytes")]
        data: &'a [u8],
    },
    /// Notification: a topic changed.
    Trigger {
        /// The topic, or `**` for all topics.
        topic: &'a str,
    },
    /// A message without content that keeps the connection alive.
    Heartbeat,
    /// The last message: the stream's user opened another stream in its place.
    Replaced {
        /// Time after which the client should reconnect, in milliseconds.
        retry: u32,
    },
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// Longer than the receiver accepts.
    #[error("a message of {size} bytes was announced; at most {limit} are accepted")]
    TooLarge {
        /// Bytes announced.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// The length is valid, the content is not.
    #[error("a message could not be decoded: {0}")]
    Malformed(#[from] postcard::Error),
}

/// Initial capacity of a message, in bytes: enough for most.
const USUAL: usize = 256;

/// Encodes a message, length first.
///
/// # Panics
/// Never, as [`append`].
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL);
    append(&mut bytes, message);
    bytes
}

/// Appends an encoded message to `bytes`, length first.
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

/// The length of the first message in `bytes`, without its prefix; `None` while the prefix is incomplete.
///
/// # Errors
/// `TooLarge` if the announced length is over `limit`, before any content is stored.
pub fn announced(bytes: &[u8], limit: usize) -> Result<Option<usize>, WireError> {
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let size = u32::from_le_bytes(*prefix) as usize;
    if size > limit { Err(WireError::TooLarge { size, limit }) } else { Ok(Some(size)) }
}

/// Decodes the content of one message (without its length).
///
/// # Errors
/// `Malformed` if the bytes are no such message.
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

    /// Later versions must be able to read this greeting.
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
