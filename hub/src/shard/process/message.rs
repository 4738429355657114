//! The messages on the pipe between the ordering thread and a shard process: an encoded length and postcard, as on the hub's
//! socket. All processes are forks of one binary, so that nothing here has a version.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::event::Event;
use crate::event::snapshot::EventState;
use crate::shard::command::Command;
use crate::shard::report::ShardReport;
use crate::stream::snapshot::StreamState;
use sse_protocol::wire::{self, PREFIX};

/// A command that is encoded: a missed event is the number of a [`CommandPart::Event`], frames are those of the last
/// [`CommandPart::Frames`], and the socket is the next descriptor.
pub(crate) type SentCommand = Command<Arc<Event>, u64, (), ()>;

/// The same command decoded, its event only as far as the shard needs it to know whether a stream watches it.
pub(crate) type ReceivedCommand<'a> = Command<EventState<'a>, u64, (), ()>;

/// To a shard process; `C` is [`SentCommand`] or [`ReceivedCommand`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ProcessMessage<'a, C> {
    /// For the shard.
    Command(C),
    /// What later commands refer to.
    #[serde(borrow)]
    Part(CommandPart<'a>),
    /// For the process that the shard is in.
    Control(ProcessControl<'a>),
}

/// Part of commands, sent once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CommandPart<'a> {
    /// Intern an event under this number, as new streams may have missed it.
    Event(u64, #[serde(borrow)] EventState<'a>),
    /// Drop these interned events: no later stream refers to them.
    Forget(Vec<u64>),
    /// The encoded events of the next [`Command::Frames`], one or more.
    Frames(&'a Bytes),
}

/// What only a shard in a process of its own needs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ProcessControl<'a> {
    /// Paused shard: send all streams in the format of an upgrade.
    PassOn,
    /// Paused shard: an event that streams of the old hub refer to, numbered from 0.
    Event(#[serde(borrow)] EventState<'a>),
    /// Paused shard: bytes that streams of the old hub refer to, numbered from 0.
    Blob(&'a Bytes),
    /// Paused shard: add a stream of the old hub. Comes with its connection.
    Adopt(StreamState<'a>),
    /// Start the paused shard.
    Start,
}

/// From a shard process.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ProcessReport {
    /// From the shard.
    Shard(ShardReport),
    /// The process has received this many descriptors.
    Received(u32),
    /// The shard has executed all earlier commands and is paused.
    Paused,
    /// The ordering thread should check what it waits for: the last stream may have closed.
    Notice,
}

/// Decodes the first message and returns its length, too; `None` if it is incomplete.
///
/// # Errors
/// The bytes are no such message.
pub(crate) fn first<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> io::Result<Option<(T, usize)>> {
    let Some(size) = wire::announced(bytes, u32::MAX as usize).map_err(io::Error::other)? else { return Ok(None) };
    let Some(content) = bytes.get(PREFIX..PREFIX + size) else { return Ok(None) };
    Ok(Some((wire::decode(content).map_err(io::Error::other)?, PREFIX + size)))
}
