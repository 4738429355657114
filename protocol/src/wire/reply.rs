//! Messages from the hub to the extension, and those of a [`Framing::Message`](super::Framing::Message) stream.

use serde::{Deserialize, Serialize};

use super::Reason;

/// A message from the hub to the extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// The hub speaks the same protocol.
    Welcome {
        /// [`PROTOCOL`](super::PROTOCOL).
        protocol: u16,
        /// The hub's [`VERSION`](super::VERSION).
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
        /// The stream's public id, if its script asked for it with `stream_id`; otherwise empty.
        public: &'a str,
        /// Whether the stream goes on after the reader's last event, and nothing is missing in between.
        resumed: bool,
    },
    /// The web server may fetch the stream.
    Redirect {
        /// The name of the ticket, for the end of the path.
        ticket: &'a str,
    },
    /// The hub accepted the event.
    Published {
        /// The event's id: the publisher's own or the hub's.
        id: &'a str,
    },
    /// The hub accepted the event, and has delivered it.
    Receipt {
        /// As of `Published`.
        id: &'a str,
        /// How many of this hub's streams the event went to; `None`: it was delivered, but they could not be counted in time.
        watchers: Option<u64>,
        /// Whether its key was known, so that it was dropped, and the id is the first one's.
        duplicate: bool,
    },
    /// The token belongs to a render job of the hub.
    Replayed {
        /// The stream that the script runs for.
        stream: u64,
        /// Its public id.
        public: &'a str,
        /// Why the hub replays the script.
        reason: Reason,
        /// The client's `REMOTE_ADDR` and `REMOTE_PORT` in the original request.
        remote: (&'a str, &'a str),
        /// The stream's current Last-Event-ID.
        last_event_id: Option<&'a str>,
        /// What the stream watches now, if other requests may have changed it; otherwise empty.
        #[serde(borrow)]
        topics: Vec<&'a str>,
    },
    /// Events and notifications since the callback's last run.
    Events {
        /// In their order; a notification of `**` stands for those that exceeded the limits.
        #[serde(borrow)]
        events: Vec<Delivery<'a>>,
    },
    /// The hub did the request.
    Done,
    /// The hub ends these streams.
    Disconnected {
        /// How many of its own; `None`: not known, as only the streams' threads know what they watch.
        streams: Option<u64>,
    },
    /// The id of the newest event.
    Cursor {
        /// An id that a stream can resume from.
        id: &'a str,
    },
    /// Who is present on a topic.
    Members {
        /// The members of a JSON object, without its braces: id, then an object of `info`, `since` in seconds and `streams`.
        json: &'a str,
        /// Number of members.
        count: u32,
        /// The last one's id, if more follow.
        last: Option<&'a str>,
    },
    /// How many are present on a topic.
    MemberCount {
        /// Number of members.
        count: u64,
    },
    /// Some of Mercure's active subscriptions.
    Subscriptions {
        /// Their documents, separated by commas.
        json: &'a str,
        /// Number of subscriptions.
        count: u32,
        /// The last one, if more follow.
        last: Option<&'a str>,
        /// The id of the newest event, or `earliest`.
        newest: &'a str,
    },
    /// How many open streams watch a topic.
    Watchers {
        /// Number of streams.
        streams: u64,
    },
    /// Some of the streams that are open.
    Streams {
        /// The members of a JSON object, without its braces: public id, then an object.
        json: &'a str,
        /// Number of streams.
        count: u32,
        /// The last one's public id, if more follow.
        last: Option<&'a str>,
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
            Self::Redirect { .. } => "Redirect",
            Self::Published { .. } => "Published",
            Self::Receipt { .. } => "Receipt",
            Self::Replayed { .. } => "Replayed",
            Self::Events { .. } => "Events",
            Self::Done => "Done",
            Self::Disconnected { .. } => "Disconnected",
            Self::Cursor { .. } => "Cursor",
            Self::Members { .. } => "Members",
            Self::MemberCount { .. } => "MemberCount",
            Self::Subscriptions { .. } => "Subscriptions",
            Self::Watchers { .. } => "Watchers",
            Self::Streams { .. } => "Streams",
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
    /// The hub could hold the stream but has no listener where the web server could fetch it.
    NoRedirect,
    /// The stream is over for good: all its topics are finished, and the client has their last events.
    Finished,
}

/// A message of a [`Framing::Message`](super::Framing::Message) stream.
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
        event_type: Option<&'a str>,
        /// The data as published.
        #[serde(with = "serde_bytes")]
        data: &'a [u8],
        /// W3C's Trace Context of who published it.
        traceparent: Option<&'a str>,
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
    /// The time after which the client should reconnect when the stream has ended.
    Retry {
        /// Milliseconds.
        retry: u32,
    },
}
