//! What the router says to a holder, and what a holder says to the router.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::shard::command::Relieve;
use crate::upgrade::state::{EventState, StreamState};
use sse_protocol::id::Id;
use sse_protocol::wire::{Framing, TopicsAs};

/// From the router, in its order: most are a [`Command`](crate::shard::command::Command). Those with a descriptor get the
/// next one that has come.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order<'a> {
    /// Hold a stream. With its connection.
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
    /// Complete events that follow for one stream or many.
    Blob(&'a Bytes),
    /// Send the last blob.
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
    /// An event that streams which are about to come have missed, to be kept under this number.
    Lend(u64, EventState<'a>),
    /// No stream that comes later gets these.
    Forget(Vec<u64>),
    /// Let the shard do what it was told, stand still, and say so.
    Pause,
    /// To a shard that stands still: pass all streams on, as from hub to hub.
    PassOn,
    /// To one that stands still: an event that streams of another hub refer to, numbered from 0.
    Referred(EventState<'a>),
    /// The same of bytes.
    ReferredBlob(&'a Bytes),
    /// To one that stands still: take a stream of another hub. With its connection.
    Adopt(StreamState<'a>),
    /// Stand still no longer.
    GoOn,
}

/// A new stream, as [`crate::shard::command::Attach`].
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
    /// Events that were lent.
    pub(crate) missed: Vec<u64>,
    pub(crate) cursor: Option<Id>,
    pub(crate) opened: bool,
    pub(crate) followed: bool,
}

/// From a holder: eight bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A stream has ended, of those that the router wants to hear of.
    Ended(u64),
    /// So many descriptors have come and are on their way no longer.
    Taken(u32),
    /// The shard stands still.
    Paused,
    /// Something has happened that the hub may wait for: its last stream may have ended.
    Nudge,
}

/// Bytes of a [`Word`].
pub(crate) const WORD: usize = 8;

/// Where a word's kind is. Streams are counted from 1, so they never get there.
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
