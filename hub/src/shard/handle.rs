//! The router's end of a shard, wherever that is.

use std::io;
use std::time::Instant;

use crate::run::HubError;
use crate::shard::command::Command;
use crate::shard::process::remote::Remote;
use crate::shard::thread::ShardThread;
use crate::stats::ShardStats;
use crate::stream::Stream;
use crate::upgrade::outgoing::Outgoing;
use sse_protocol::wire::Framing;

/// A shard.
#[derive(Debug)]
pub(crate) enum ShardHandle {
    /// In a thread of this process.
    Here(ShardThread),
    /// In a process of its own.
    Elsewhere(Box<Remote>),
}

impl ShardHandle {
    /// Lets it run.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        match self {
            Self::Here(shard) => shard.start()?,
            Self::Elsewhere(shard) => shard.start(),
        }
        Ok(())
    }

    /// Waits until it has done all that it was told, and lets it stand still.
    pub(crate) fn pause(&mut self) -> Result<(), HubError> {
        match self {
            Self::Here(shard) => shard.pause(),
            Self::Elsewhere(shard) => shard.pause().map_err(HubError::system("pausing a shard")),
        }
    }

    /// Waits until it has all the streams that it was to adopt.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Elsewhere(shard) => shard.pause(),
        }
    }

    /// Passes the streams of a shard that stands still on. They stay what they are here.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        match self {
            Self::Here(shard) => shard.pass_on(outgoing),
            Self::Elsewhere(shard) => shard.pass_on(outgoing),
        }
    }

    /// Gives a stream that another hub has passed on to a shard that stands still.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        self.stats().told.add(usize::from(stream.is_held() && stream.opened));
        match self {
            Self::Here(shard) => shard.adopt(stream, patterns, ends),
            Self::Elsewhere(shard) => shard.adopt(stream, patterns, ends),
        }
    }

    /// Sends a command; the shard looks at it after the next [`wake`](Self::wake), or before.
    pub(crate) fn send(&mut self, command: Command) {
        match self {
            Self::Here(shard) => shard.send(command),
            Self::Elsewhere(shard) => shard.send(command),
        }
    }

    /// The same for a command that there is nothing to do for before another one follows.
    pub(crate) fn send_ahead(&mut self, command: Command) {
        match self {
            Self::Here(shard) => shard.send_ahead(command),
            Self::Elsewhere(shard) => shard.send(command),
        }
    }

    /// Begins a held stream, maybe a moment later if there is nothing to write.
    pub(crate) fn commit(&mut self, stream: u64, framing: Framing) {
        match self {
            Self::Here(shard) => shard.commit(stream, framing),
            Self::Elsewhere(shard) => shard.send(Command::Commit { stream, framing }),
        }
    }

    /// Whether one of its streams may watch this topic.
    pub(crate) fn may_watch(&self, topic: &str) -> bool {
        match self {
            Self::Here(shard) => shard.may_watch(topic),
            // Only its process knows.
            Self::Elsewhere(_) => true,
        }
    }

    /// Wakes the shard if anything was sent.
    pub(crate) fn wake(&mut self) {
        match self {
            Self::Here(shard) => shard.wake(),
            Self::Elsewhere(shard) => shard.wake(),
        }
    }

    /// Whether it has more to do than it should; if so, it will wake the router.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Here(shard) => shard.is_behind(),
            Self::Elsewhere(shard) => shard.is_behind(),
        }
    }

    /// Whether it has ended, and can't be replaced.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Here(shard) => shard.is_gone(),
            Self::Elsewhere(shard) => shard.is_gone(),
        }
    }

    /// When the router must come back to it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Here(shard) => shard.deadline(),
            Self::Elsewhere(shard) => shard.deadline(),
        }
    }

    /// What it counts.
    pub(crate) fn stats(&self) -> &'static ShardStats {
        match self {
            Self::Here(shard) => shard.stats(),
            Self::Elsewhere(shard) => shard.stats(),
        }
    }

    /// Waits for its end.
    pub(crate) fn join(self) -> Result<(), HubError> {
        match self {
            Self::Here(shard) => shard.join(),
            Self::Elsewhere(shard) => shard.join(),
        }
    }

    /// The process that it is in, if it has one of its own.
    pub(crate) fn process(&self) -> Option<&Remote> {
        match self {
            Self::Here(_) => None,
            Self::Elsewhere(shard) => Some(shard),
        }
    }

    /// The same, to change it.
    pub(crate) fn process_mut(&mut self) -> Option<&mut Remote> {
        match self {
            Self::Here(_) => None,
            Self::Elsewhere(shard) => Some(shard),
        }
    }
}
