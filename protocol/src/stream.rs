//! The description of a stream: the options that hold for its whole life.

use serde::{Deserialize, Serialize};

use crate::wire::TopicsAs;

/// What a script asks of its stream. The request, the shard's command, the live stream and an upgrade carry it unchanged, so a
/// new option is one more field here, which the code that obeys it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamSpec {
    /// Seconds of silence after which the hub sends a comment; 0: never.
    pub heartbeat: u32,
    /// Reconnection time that the stream starts with, in milliseconds; 0: none.
    pub retry: u32,
    /// Seconds after which the hub ends the stream; 0: never. The hub shortens it by a random part.
    pub max_lifetime: u32,
    /// How the client learns the topics of its events; `None`: not at all.
    pub topics_as: Option<TopicsAs>,
    /// Whether a client that starts without an event gets the id of the newest one, so that it can resume from there.
    pub cursor: bool,
    /// Whether the client is told the stream's public id, before anything else.
    pub stream_id: bool,
    /// Whether the worker sends the stream's first lines itself, with the headers: `Attached` contains them.
    pub opens: bool,
    /// Whether the stream ends once all its topics are finished, and is refused to a client that has all their last events.
    pub finishes: bool,
    /// The client is told each event at a random moment within so many milliseconds; 0: at once.
    pub spread: u16,
    /// The response is a long-poll: it ends after the first events that it brings, and at once where it begins with some, or
    /// where its client has no place yet to go on from.
    pub long_poll: bool,
    /// Bytes that the web server collects before it passes them on: what is written is filled up to it by a comment; 0: it
    /// passes all on at once.
    pub pad: u16,
}
