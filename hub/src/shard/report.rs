//! Reports from a shard to the ordering thread, whether it is a thread or a process.

use serde::{Deserialize, Serialize};

use crate::shard::command::ShardQuestion;
use sse_protocol::wire::Framing;

/// What a shard knows of a stream.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedStream {
    /// Id of the stream.
    pub(crate) id: u64,
    /// Some of the patterns that it watches, sorted, and how many these are.
    pub(crate) patterns: (Vec<Box<str>>, u32),
    /// Seconds since it was attached.
    pub(crate) age: u32,
    /// Bytes written.
    pub(crate) sent: u64,
    /// Bytes in its queue.
    pub(crate) queued: u64,
    /// `None`: held.
    pub(crate) framing: Option<Framing>,
}

/// What a shard tells the ordering thread.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ShardReport {
    /// The stream with this id has ended.
    Ended(u64),
    /// So many clients' streams watch the topics of a [`Count`](crate::shard::command::Command::Count).
    Counted {
        /// The question that this answers.
        question: ShardQuestion,
        /// Number of streams.
        streams: u64,
    },
    /// The streams of a [`List`](crate::shard::command::Command::List), in the order of their ids.
    Listed {
        /// The question that this answers.
        question: ShardQuestion,
        /// The streams.
        streams: Vec<ListedStream>,
        /// Whether more follow.
        more: bool,
    },
}
