//! The protocol between the ordering thread (orders) and a shard process (reports).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::shard::command::Relieve;
use crate::upgrade::state::{EventState, StreamState};
use sse_protocol::id::Id;
use sse_protocol::wire::{Framing, TopicsAs};

/// From the ordering thread, in its order: mostly a [`Command`](crate::shard::command::Command). Orders with a descriptor take
/// the next one received.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order<'a> {
    /// Add a held stream. Comes with its connection.
    Attach(#[serde(borrow)] Attach<'a>),
    Commit {
        stream: u64,
        framing: Framing,
    },
    Abort {
        stream: u64,
    },
    TellTopics {
        stream: u64,
        topics_as: TopicsAs,
        cursor: &'a str,
    },
    /// Events for one or more [`Frames`](Self::Frames) orders.
    Blob(&'a Bytes),
    /// Send the last blob to a stream.
    Frames {
        stream: u64,
    },
    Watch {
        stream: u64,
        patterns: Vec<&'a str>,
    },
    End {
        stream: u64,
        why: &'a str,
    },
    Event(EventState<'a>),
    Trigger(&'a str),
    Gap(&'a Bytes),
    Relieve(Relieve),
    Stop {
        spread: u32,
    },
    /// Keep an event under this number, as new streams may have missed it.
    Lend(u64, EventState<'a>),
    /// Drop these events: no later stream refers to them.
    Forget(Vec<u64>),
    /// Execute all earlier orders, pause the shard and report that.
    Pause,
    /// Paused shard: send all streams in the format of an upgrade.
    PassOn,
    /// Paused shard: an event that streams of the old hub refer to, numbered from 0.
    Referred(EventState<'a>),
    /// Paused shard: bytes that streams of the old hub refer to, numbered from 0.
    ReferredBlob(&'a Bytes),
    /// Paused shard: add a stream of the old hub. Comes with its connection.
    Adopt(StreamState<'a>),
    /// Start the paused shard.
    GoOn,
}

/// A new stream, see [`crate::shard::command::Attach`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attach<'a> {
    pub(crate) id: u64,
    pub(crate) client: u64,
    #[serde(borrow)]
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) heartbeat: u32,
    pub(crate) retry: u32,
    pub(crate) lifetime: Option<NonZeroU32>,
    pub(crate) gap: Option<&'a Bytes>,
    /// Numbers of [`Order::Lend`].
    pub(crate) missed: Vec<u64>,
    pub(crate) cursor: Option<Id>,
    pub(crate) opened: bool,
    pub(crate) followed: bool,
}

/// A report from a shard process: eight bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A stream has closed.
    Ended(u64),
    /// The shard process has received this many descriptors.
    Taken(u32),
    /// The shard is paused.
    Paused,
    /// The ordering thread should check what it waits for: the last stream may have closed.
    Nudge,
}

/// Bytes of an encoded [`Word`].
pub(crate) const WORD: usize = 8;

/// Lowest bit of the kind. Stream ids count from 1, so they never reach it.
const KIND: u32 = 60;

impl Word {
    pub(crate) fn to_bytes(self) -> [u8; WORD] {
        let (kind, number) = match self {
            Self::Ended(stream) => (0, stream),
            Self::Taken(count) => (1, count.into()),
            Self::Paused => (2, 0),
            Self::Nudge => (3, 0),
        };
        (kind << KIND | number).to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; WORD]) -> Self {
        let word = u64::from_le_bytes(bytes);
        let number = word & ((1 << KIND) - 1);
        match word >> KIND {
            0 => Self::Ended(number),
            1 => Self::Taken(u32::try_from(number).unwrap_or(u32::MAX)),
            2 => Self::Paused,
            _ => Self::Nudge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_it_was() {
        for word in [Word::Ended(1), Word::Ended((1 << KIND) - 1), Word::Taken(253), Word::Paused, Word::Nudge] {
            assert_eq!(Word::from_bytes(word.to_bytes()), word);
        }
    }
}
