//! The ordering thread's handle of a shard, in this process or another one.

use std::io;
use std::time::Instant;

use crate::error::HubError;
use crate::shard::command::Command;
use crate::shard::process::remote::Remote;
use crate::shard::thread::ShardThread;
use crate::stats::ShardStats;
use crate::stream::Stream;
use crate::upgrade::outgoing::Outgoing;
use sse_protocol::wire::Framing;

/// A shard as the ordering thread sees it.
#[derive(Debug)]
pub(crate) enum ShardHandle {
    /// A shard in a thread of this process.
    Here(ShardThread),
    /// A shard in its own process.
    Elsewhere(Box<Remote>),
}

impl ShardHandle {
    /// Starts the shard.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        match self {
            Self::Here(shard) => shard.start()?,
            Self::Elsewhere(shard) => shard.start(),
        }
        Ok(())
    }

    /// Pauses the shard after it has done all earlier commands, and waits for that.
    pub(crate) fn pause(&mut self) -> Result<(), HubError> {
        match self {
            Self::Here(shard) => shard.pause(),
            Self::Elsewhere(shard) => shard.pause().map_err(HubError::system("pausing a shard")),
        }
    }

    /// Waits until the shard has received all streams of the old hub.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Elsewhere(shard) => shard.pause(),
        }
    }

    /// Sends the streams of a paused shard to the new hub of an upgrade. The shard keeps its copies, unchanged.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        match self {
            Self::Here(shard) => shard.pass_on(outgoing),
            Self::Elsewhere(shard) => shard.pass_on(outgoing),
        }
    }

    /// Adds a stream of the old hub to a paused shard.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        self.stats().told.add(usize::from(stream.is_held() && stream.spec.opens));
        match self {
            Self::Here(shard) => shard.adopt(stream, patterns, ends),
            Self::Elsewhere(shard) => shard.adopt(stream, patterns, ends),
        }
    }

    /// Sends a command. The shard sees it after the next [`wake`](Self::wake) at the latest.
    pub(crate) fn send(&mut self, command: Command) {
        match self {
            Self::Here(shard) => shard.send(command),
            Self::Elsewhere(shard) => shard.send(command),
        }
    }

    /// Sends a command that leaves nothing to do until another one follows.
    pub(crate) fn send_ahead(&mut self, command: Command) {
        match self {
            Self::Here(shard) => shard.send_ahead(command),
            Self::Elsewhere(shard) => shard.send(command),
        }
    }

    /// Opens a held stream, maybe a moment later if it has nothing to write.
    pub(crate) fn commit(&mut self, stream: u64, framing: Framing) {
        match self {
            Self::Here(shard) => shard.commit(stream, framing),
            Self::Elsewhere(shard) => shard.send(Command::Commit { stream, framing }),
        }
    }

    /// Returns whether a stream of the shard may watch this topic.
    pub(crate) fn may_watch(&self, topic: &str) -> bool {
        match self {
            Self::Here(shard) => shard.may_watch(topic),
            // The filter is in the shard's process.
            Self::Elsewhere(_) => true,
        }
    }

    /// Wakes the shard if there are unseen commands.
    pub(crate) fn wake(&mut self) {
        match self {
            Self::Here(shard) => shard.wake(),
            Self::Elsewhere(shard) => shard.wake(),
        }
    }

    /// Returns whether the backlog is too large; if so, the shard will wake the ordering thread.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Here(shard) => shard.is_behind(),
            Self::Elsewhere(shard) => shard.is_behind(),
        }
    }

    /// Returns whether the shard has ended and can't be replaced.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Here(shard) => shard.is_gone(),
            Self::Elsewhere(shard) => shard.is_gone(),
        }
    }

    /// Time at which the ordering thread must call the shard again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Here(shard) => shard.deadline(),
            Self::Elsewhere(shard) => shard.deadline(),
        }
    }

    /// Counters of the shard.
    pub(crate) fn stats(&self) -> &'static ShardStats {
        match self {
            Self::Here(shard) => shard.stats(),
            Self::Elsewhere(shard) => shard.stats(),
        }
    }

    /// Waits for the end of the shard.
    pub(crate) fn join(self) -> Result<(), HubError> {
        match self {
            Self::Here(shard) => shard.join(),
            Self::Elsewhere(shard) => shard.join(),
        }
    }

    /// Returns the shard's process, if it has its own.
    pub(crate) fn process(&self) -> Option<&Remote> {
        match self {
            Self::Here(_) => None,
            Self::Elsewhere(shard) => Some(shard),
        }
    }

    /// Returns the shard's process mutably, if it has its own.
    pub(crate) fn process_mut(&mut self) -> Option<&mut Remote> {
        match self {
            Self::Here(_) => None,
            Self::Elsewhere(shard) => Some(shard),
        }
    }
}
