//! Messages from the extension to the hub.

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::event::NewEvent;
use crate::stream::StreamSpec;

/// A message from the extension to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Opens the connection. Reply: `Welcome` or `Refused`.
    Hello {
        /// [`MAGIC`](super::MAGIC).
        magic: u32,
        /// [`PROTOCOL`](super::PROTOCOL).
        protocol: u16,
        /// [`VERSION`](super::VERSION).
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
    /// Completes a redirect: the web server fetches the stream from the hub, which has its connection from then on. Reply:
    /// `Redirect` or `Error`.
    Redirect {
        /// As `Attached` gave it on this connection.
        stream: u64,
        /// The client's `REMOTE_ADDR`.
        address: Option<&'a str>,
        /// The headers of the response, as lines without line ends.
        #[serde(borrow)]
        headers: Vec<&'a Bytes>,
    },
    /// Cancels a hand-off: the worker keeps the connection, and the hub drops its copy. No reply.
    Abort {
        /// As `Attached` gave it on this connection.
        stream: u64,
    },
    /// Publishes an event. Reply, if `answer` is set: `Published` or `Error`.
    Publish {
        /// The event. Nobody has checked it for the hub yet.
        #[serde(borrow)]
        event: NewEvent<'a>,
        /// Whether the publisher waits for the reply.
        answer: bool,
    },
    /// Publishes an event, and asks how many streams it went to. Reply: `Receipt` or `Error`.
    PublishReported {
        /// As of `Publish`.
        #[serde(borrow)]
        event: NewEvent<'a>,
    },
    /// Asks for the last value of a topic. Reply: `Events` with one event or none.
    Retained {
        /// The topic.
        topic: &'a str,
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
        /// Whether the streams end for good after this output.
        ends: bool,
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
        /// The reason, as far as the script's process knows it, for the log. Empty: the script did not fail, and decided so.
        reason: &'a str,
    },
    /// Asks whether a stream would be over for good, because all its topics are finished and the client has their last events.
    /// Reply: `Done`, or `Error` with `Finished`.
    Finished {
        /// Checked patterns.
        #[serde(borrow)]
        patterns: Vec<&'a str>,
        /// The last event that the client has.
        last_event_id: Option<&'a str>,
    },
    /// Asks who is present on a topic, in the order of their ids. Reply: `Members`.
    Presence {
        /// A checked topic.
        topic: &'a str,
        /// Ids up to this one are left out.
        after: Option<&'a str>,
        /// Most members in the reply, which may have fewer.
        limit: u32,
    },
    /// Asks how many are present on a topic. Reply: `MemberCount`.
    PresenceCount {
        /// A checked topic.
        topic: &'a str,
    },
    /// Asks for Mercure's active subscriptions. Reply: `Subscriptions`.
    Subscriptions {
        /// Those by this checked pattern; `None`: all.
        pattern: Option<&'a str>,
        /// That of this subscriber only.
        subscriber: Option<&'a str>,
        /// Those up to this one are left out.
        after: Option<&'a str>,
        /// Most subscriptions in the reply, which may have fewer.
        limit: u32,
    },
    /// Asks how many clients' open streams would get an event of this topic. Reply: `Watchers` or `Error`.
    Watchers {
        /// A checked topic.
        topic: &'a str,
        /// Whether only this hub's streams count, and not those of the other hubs on its bus.
        local: bool,
    },
    /// Asks which streams are open, oldest first. Reply: `Streams` or `Error`.
    Streams {
        /// Which ones; `None`: all.
        #[serde(borrow)]
        whose: Option<Whom<'a>>,
        /// The public id of a stream: those up to this one are left out.
        after: Option<&'a str>,
        /// Most streams in the reply, which may have fewer.
        limit: u32,
    },
    /// Ends streams in good order. Reply: `Disconnected` or `Error`.
    Disconnect {
        /// Which ones.
        #[serde(borrow)]
        whom: Whom<'a>,
        /// Reconnection time for their clients, in milliseconds; `None`: unchanged.
        retry: Option<u32>,
    },
    /// Changes what an open stream watches. Reply: `Cursor`, after whose id the change holds, or `Error`; with `Unknown` if
    /// there is no such stream of this user.
    Retopic {
        /// The stream's public id, from a client.
        stream: &'a str,
        /// Patterns to watch as well.
        #[serde(borrow)]
        add: Vec<&'a str>,
        /// Patterns to watch no longer.
        #[serde(borrow)]
        remove: Vec<&'a str>,
        /// The user whose stream it must be; `None`: nobody's.
        user: Option<&'a str>,
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
        matches!(
            self,
            Self::Attach(_)
                | Self::Finished { .. }
                | Self::Retained { .. }
                | Self::Presence { .. }
                | Self::PresenceCount { .. }
                | Self::Subscriptions { .. }
                | Self::Watchers { .. }
                | Self::Streams { .. }
                | Self::Cursor
                | Self::Stats
                | Self::Metrics
        )
    }
}

/// Settings of a new stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attach<'a> {
    /// Checked patterns.
    #[serde(borrow)]
    pub patterns: Vec<&'a str>,
    /// The options of the stream.
    pub spec: StreamSpec,
    /// The last event that the reader has; the hub sends the later ones first.
    pub last_event_id: Option<&'a str>,
    /// The client's `REMOTE_ADDR`; `None` if the reader is this process itself.
    pub address: Option<&'a str>,
    /// The stream's user, if the script named one.
    pub user: Option<User<'a>>,
    /// Whether the reader gets the last values of its topics first.
    pub retained: bool,
    /// How to replay the stream's script; `None`: never.
    pub replay: Option<Replay<'a>>,
    /// Whose presence the stream shows, and whether its client is told of others'.
    pub presence: Presence<'a>,
}

/// What a stream has to do with presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presence<'a> {
    /// Who is present on the stream's plain topics; `None`: nobody.
    #[serde(borrow)]
    pub member: Option<Member<'a>>,
    /// Whether the client gets the list of who is there, and who joins and leaves.
    pub events: bool,
}

/// A member of a stream's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member<'a> {
    /// Identifies the user; at most [`MAX_ID`](crate::presence::MAX_ID) bytes.
    pub id: &'a str,
    /// What others are told of them: JSON, at most [`MAX_INFO`](crate::presence::MAX_INFO) bytes.
    pub info: &'a str,
}

/// A user whose streams are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User<'a> {
    /// Identifies the user among all scripts of this hub; at most [`MAX_KEY`](super::MAX_KEY) bytes.
    pub key: &'a str,
    /// Most streams of this user, the new one included; 0: no limit.
    pub limit: u32,
    /// Whether the user's oldest stream ends when the limit is exceeded; if not, the new one is refused.
    pub replace: bool,
}

/// Which streams: those that end, or are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whom<'a> {
    /// All streams of the user with this key.
    User(&'a str),
    /// The stream with this public id.
    Stream(&'a str),
    /// All streams that watch this topic.
    Topic(&'a str),
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
    /// [`Delivery`](super::Delivery) messages instead of an event stream: for a PHP process that reads events.
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
