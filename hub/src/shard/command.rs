//! Commands from the ordering thread to a shard, and the backlog that limits how many wait.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::stats::Ended;
use crate::store::history::Missed;
use crate::stream::{Frames, Trigger};
use sse_protocol::wire::{Framing, TopicsAs};

/// Bytes of commands in one shard's backlog above which the ordering thread takes no more requests.
pub(crate) const HIGH: usize = 32 << 20;

/// Bytes of backlog at or below which it takes requests again.
const LOW: usize = 8 << 20;

/// A new stream.
#[derive(Debug)]
pub(crate) struct Attach {
    /// Id of the stream.
    pub(crate) id: u64,
    /// Number that stands for the client's address; 0: unknown.
    pub(crate) client: u64,
    /// Connection to the client.
    pub(crate) socket: OwnedFd,
    /// Valid patterns that the stream watches, without duplicates.
    pub(crate) patterns: Vec<Box<str>>,
    /// Heartbeat interval in seconds; 0: no heartbeats.
    pub(crate) heartbeat: u32,
    /// Reconnection time sent to the client, in milliseconds; 0: none is sent.
    pub(crate) retry: u32,
    /// Lifetime of the stream in seconds; `None`: unlimited.
    pub(crate) lifetime: Option<NonZeroU32>,
    /// Events that the client missed.
    pub(crate) missed: Missed,
    /// The worker sends the opening lines of the response.
    pub(crate) opened: bool,
    /// The ordering thread sends more commands for this stream after the commit.
    pub(crate) followed: bool,
}

impl Attach {
    /// Returns whether the commit has nothing to write, unless something arrives before it.
    pub(crate) fn is_quiet(&self) -> bool {
        self.opened && self.missed.gap.is_none() && self.missed.events.is_empty() && self.missed.cursor.is_none()
    }
}

/// Which streams to close, and when to stop. See [`crate::broker::relief`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relieve {
    /// Number of this round.
    pub(crate) round: u64,
    /// Streams to close, the longest-waiting first.
    pub(crate) which: Which,
    /// Bytes that only this process's queues may keep: at or below this, the shard closes no more streams.
    pub(crate) target: u64,
}

/// Which streams a shard closes to free memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Which {
    /// Streams of each client whose queues in this shard keep more than this many bytes, until they keep no more than that.
    OfClientsOver(u64),
    /// Streams whose client has read nothing for this many seconds.
    Stalled(u32),
}

/// A command to a shard. Each shard gets its commands in the order in which the ordering thread sends them.
#[derive(Debug)]
pub(crate) enum Command {
    /// Add a held stream: one whose worker still writes to the connection.
    Attach(Attach),
    /// Open a held stream.
    Commit {
        /// Id of the stream.
        stream: u64,
        /// How bytes are framed on the connection.
        framing: Framing,
    },
    /// Drop a held stream.
    Abort {
        /// Id of the stream.
        stream: u64,
    },
    /// Make a held stream send the topics of its events.
    TellTopics {
        /// Id of the stream.
        stream: u64,
        /// Format of the topics.
        topics_as: TopicsAs,
        /// Id of the newest event.
        cursor: Box<str>,
    },
    /// Send complete events to one stream, held or followed.
    Frames {
        /// Id of the stream.
        stream: u64,
        /// Encoded events.
        frames: Arc<Frames>,
    },
    /// Replace the subscription of a followed stream.
    Watch {
        /// Id of the stream.
        stream: u64,
        /// Valid patterns without duplicates.
        patterns: Vec<Box<str>>,
    },
    /// Close a followed stream once its queue is written.
    End {
        /// Id of the stream.
        stream: u64,
        /// Reason, for the log and the counters.
        why: Ended,
    },
    /// Deliver an event.
    Event(Arc<Event>),
    /// Deliver a notification.
    Trigger(Arc<Trigger>),
    /// Return from the shard's thread and ignore the sockets until started again.
    Pause,
    /// Send this event, which reports missing events, to all streams.
    Gap(Arc<[u8]>),
    /// Close streams of slow clients because their queues keep too much memory.
    Relieve(Relieve),
    /// Close all streams, then end the shard.
    Stop {
        /// Milliseconds over which the clients' reconnections are spread.
        spread: u32,
    },
}

impl Command {
    /// Approximate bytes of memory that the command keeps until it is done.
    pub(crate) fn weight(&self) -> usize {
        let own = size_of::<Self>();
        match self {
            Self::Event(event) => own + event.frame().len(),
            Self::Attach(attach) => {
                own + attach.patterns.iter().map(|pattern| pattern.len() + 32).sum::<usize>()
                    + 8 * attach.missed.events.len()
            }
            Self::Frames { frames, .. } => own + frames.bytes().len(),
            Self::Trigger(trigger) => own + 2 * trigger.topic().len(),
            _ => own,
        }
    }
}

/// The backlog of one shard in bytes. It keeps publishers that outrun all sockets from filling the memory.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    weight: AtomicUsize,
    /// The ordering thread waits for the shard to wake it.
    waited_for: AtomicBool,
}

impl Backlog {
    /// Counts a command that the ordering thread has sent.
    pub(crate) fn add(&self, weight: usize) {
        self.weight.fetch_add(weight, Ordering::SeqCst);
    }

    /// Counts a command that the shard has done; returns true if the shard must wake the ordering thread.
    pub(crate) fn done(&self, weight: usize) -> bool {
        let before = self.weight.fetch_sub(weight, Ordering::SeqCst);
        before - weight <= LOW
            && self.waited_for.load(Ordering::SeqCst)
            && self.waited_for.swap(false, Ordering::SeqCst)
    }

    /// Returns whether the ordering thread must wait; if so, the shard will wake it.
    pub(crate) fn is_high(&self) -> bool {
        if self.weight.load(Ordering::SeqCst) <= HIGH {
            return false;
        }
        self.waited_for.store(true, Ordering::SeqCst);
        // The shard may have emptied the backlog before it could see the flag.
        self.weight.load(Ordering::SeqCst) > LOW || !self.waited_for.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_once_when_most_is_done() {
        let backlog = Backlog::default();
        backlog.add(HIGH);
        assert!(!backlog.is_high());
        backlog.add(1);
        assert!(backlog.is_high());
        assert!(!backlog.done(1));
        assert!(backlog.done(HIGH - LOW));
        assert!(!backlog.done(LOW));
        assert!(!backlog.is_high());
    }
}
