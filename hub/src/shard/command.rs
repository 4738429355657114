//! What the router tells a shard, and how much of that a shard still has to do.

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

/// Bytes of commands that may wait in one shard before the router takes no more requests.
pub(crate) const HIGH: usize = 32 << 20;

/// Bytes that may still wait when it takes them again.
const LOW: usize = 8 << 20;

/// A new stream.
#[derive(Debug)]
pub(crate) struct Attach {
    /// Its name.
    pub(crate) id: u64,
    /// A number for its client's address; 0: not known.
    pub(crate) client: u64,
    /// The client's connection.
    pub(crate) socket: OwnedFd,
    /// What it watches: checked, and no pattern twice.
    pub(crate) patterns: Vec<Box<str>>,
    /// Seconds; 0: none.
    pub(crate) heartbeat: u32,
    /// Milliseconds; 0: not told.
    pub(crate) retry: u32,
    /// Seconds after which it ends; `None`: never.
    pub(crate) lifetime: Option<NonZeroU32>,
    /// What its reader has missed.
    pub(crate) missed: Missed,
    /// The worker sends the first lines.
    pub(crate) opened: bool,
    /// The router has more to say about it while it is open.
    pub(crate) followed: bool,
}

impl Attach {
    /// Whether there will be nothing to write when it begins, unless something comes until then.
    pub(crate) fn is_quiet(&self) -> bool {
        self.opened && self.missed.gap.is_none() && self.missed.events.is_empty() && self.missed.cursor.is_none()
    }
}

/// Which streams to end, and until when. See [`crate::broker::relief`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relieve {
    /// Counts these commands.
    pub(crate) round: u64,
    /// Which: the longest waiting of them first.
    pub(crate) which: Which,
    /// Bytes that queues of this process alone may keep: none is ended once there are no more.
    pub(crate) target: u64,
}

/// Which streams are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Which {
    /// Those of a client for all of whose streams here more than so many bytes are kept, down to that.
    OfClientsOver(u64),
    /// Those that have taken nothing for so many seconds.
    Stalled(u32),
}

/// Something for a shard to do. Shards get the commands in the router's order.
#[derive(Debug)]
pub(crate) enum Command {
    /// Hold a stream.
    Attach(Attach),
    /// Begin a held stream.
    Commit {
        /// Which.
        stream: u64,
        /// How bytes are wrapped.
        framing: Framing,
    },
    /// Drop a held stream.
    Abort {
        /// Which.
        stream: u64,
    },
    /// Let a held stream tell the topics of its events.
    TellTopics {
        /// Which.
        stream: u64,
        /// How.
        topics_as: TopicsAs,
        /// The id of the newest event.
        cursor: Box<str>,
    },
    /// Send complete events to one stream, held or followed.
    Frames {
        /// Which.
        stream: u64,
        /// The events as they are in a stream.
        frames: Arc<Frames>,
    },
    /// Set what a followed stream watches.
    Watch {
        /// Which.
        stream: u64,
        /// Checked, and no pattern twice.
        patterns: Vec<Box<str>>,
    },
    /// End a followed stream after what is queued for it.
    End {
        /// Which.
        stream: u64,
        /// Why.
        why: Ended,
    },
    /// Deliver an event.
    Event(Arc<Event>),
    /// Tell that a topic changed.
    Trigger(Arc<Trigger>),
    /// Stand still, whatever happens to the sockets, until told to go on.
    Pause,
    /// Tell all streams that events are missing, by this event.
    Gap(Arc<[u8]>),
    /// End streams of clients that don't read, as more is kept for them than may be.
    Relieve(Relieve),
    /// End all streams, and yourself.
    Stop {
        /// Milliseconds over which their clients' return is spread.
        spread: u32,
    },
}

impl Command {
    /// About how much memory it keeps in use until it is done.
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

/// How much one shard has to do, so that publishers faster than all sockets don't fill the memory.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    weight: AtomicUsize,
    /// The router wants to be woken.
    waited_for: AtomicBool,
}

impl Backlog {
    /// The router has sent a command.
    pub(crate) fn add(&self, weight: usize) {
        self.weight.fetch_add(weight, Ordering::SeqCst);
    }

    /// The shard has done a command; true if the router is to be woken.
    pub(crate) fn done(&self, weight: usize) -> bool {
        let before = self.weight.fetch_sub(weight, Ordering::SeqCst);
        before - weight <= LOW
            && self.waited_for.load(Ordering::SeqCst)
            && self.waited_for.swap(false, Ordering::SeqCst)
    }

    /// Whether the router should wait; if so, it will be woken.
    pub(crate) fn is_high(&self) -> bool {
        if self.weight.load(Ordering::SeqCst) <= HIGH {
            return false;
        }
        self.waited_for.store(true, Ordering::SeqCst);
        // The shard may have done it all before it could see that somebody waits.
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
