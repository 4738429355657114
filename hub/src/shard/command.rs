//! Commands from the ordering thread to a shard, whether it is a thread or a process.
//!
//! A thread gets them by a channel. A process gets the same commands as bytes: `shard/process/parts.rs` gives it what can't be
//! bytes, or is shared by many commands, in another way ([`Command::convert`]). So a new command is a variant here, its line
//! in `convert`, and the code of the shard that obeys it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::event::frames::Frames;
use crate::stats::EndReason;
use crate::store::history::Missed;
use crate::stream::Trigger;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::Framing;

/// A new stream. `M` and `S`: see [`Command`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewStream<M = Arc<Event>, S = OwnedFd> {
    /// Id of the stream.
    pub(crate) id: u64,
    /// Number that stands for the client's address; 0: unknown.
    pub(crate) client: u64,
    /// Connection to the client.
    pub(crate) socket: S,
    /// Valid patterns that the stream watches, without duplicates.
    pub(crate) patterns: Vec<Box<str>>,
    /// Options of the stream.
    pub(crate) spec: StreamSpec,
    /// An event to send before anything else.
    pub(crate) first: Option<Box<str>>,
    /// Events that the client missed.
    pub(crate) missed: Missed<M>,
    /// Id of the newest event, for a stream that sends the topics of its events.
    pub(crate) newest: Option<Box<str>>,
    /// The ordering thread sends more commands for this stream after the commit.
    pub(crate) followed: bool,
}

impl NewStream {
    /// Returns whether the commit has nothing to write, unless something arrives before it.
    pub(crate) fn is_quiet(&self) -> bool {
        let Missed { gap, events, cursor } = &self.missed;
        let nothing_missed = gap.is_none() && events.is_empty() && cursor.is_none();
        self.spec.opens && nothing_missed && self.first.is_none() && self.newest.is_none()
    }
}

/// Which streams to close, and when to stop. See `broker/relief.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relieve {
    /// Number of this round.
    pub(crate) round: u64,
    /// Streams to close.
    pub(crate) which: Which,
    /// Bytes that only this process's queues may keep: at or below this, the shard closes no more streams.
    pub(crate) target: u64,
}

/// Which streams a shard closes to free memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Which {
    /// First, streams of each client whose queues in this shard keep more than this many bytes, until they keep no more than
    /// that.
    pub(crate) share: u64,
    /// Then streams whose client has read nothing for this many seconds; `None`: no others.
    pub(crate) stalled: Option<u32>,
}

/// When a topic was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FinishTime {
    /// By the event before: streams that wait for nothing any more end.
    Now,
    /// Earlier: such streams have ended, or wait for other topics.
    Before,
}

/// Which streams a shard disconnects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DisconnectedStreams {
    /// Followed ones with these ids.
    These(Vec<u64>),
    /// The one with this id, also if it is not followed.
    One(u64),
    /// All that watch this topic, except those of PHP processes.
    Watching(Box<str>),
}

/// Which streams a shard describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ListedStreams {
    /// All.
    All,
    /// Those that watch the topic, if there is one, and followed ones with these ids.
    Some(Option<Box<str>>, Vec<u64>),
    /// The one with this id, also if it is not followed.
    One(u64),
}

/// A question to one shard, for the report that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardQuestion {
    /// Number of the inquiry.
    pub(crate) inquiry: u64,
    /// Number of the shard.
    pub(crate) shard: u32,
}

/// A command to a shard. Each shard gets its commands in the order in which the ordering thread sends them.
///
/// The parameters are what has another form on the way to a process: published events (`E`), events that a client missed (`M`),
/// encoded events for some streams (`F`) and sockets (`S`).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command<E = Arc<Event>, M = Arc<Event>, F = Arc<Frames>, S = OwnedFd> {
    /// Add a held stream: one whose worker still writes to the connection.
    Attach(NewStream<M, S>),
    /// Open a held stream.
    Commit {
        /// Id of the stream.
        stream: u64,
        /// How bytes are framed on the connection.
        framing: Framing,
    },
    /// Open a held stream on another connection than it was attached with.
    Redeem {
        /// Id of the stream.
        stream: u64,
        /// How bytes are framed on the connection.
        framing: Framing,
        /// The connection.
        socket: S,
    },
    /// Drop a held stream.
    Abort {
        /// Id of the stream.
        stream: u64,
    },
    /// Send an event to one stream, held or followed, after all that is queued for it.
    Tell {
        /// Id of the stream.
        stream: u64,
        /// The event.
        event: E,
    },
    /// Send complete events to one stream, held or followed.
    Frames {
        /// Id of the stream.
        stream: u64,
        /// Encoded events.
        frames: F,
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
        why: EndReason,
    },
    /// Close streams once their queues are written.
    Disconnect {
        /// Which ones.
        streams: DisconnectedStreams,
        /// Reconnection time for the clients, in milliseconds; `None`: unchanged.
        retry: Option<u32>,
        /// Only those that began at least so many seconds ago.
        age: u32,
    },
    /// Count the clients' streams that an event goes to.
    Count {
        /// What the report says that it answers.
        question: ShardQuestion,
        /// The event's topics.
        topics: Box<[Box<str>]>,
        /// Id of a stream that does not get it; 0: there is none.
        except: u64,
    },
    /// Describe streams, those with the smallest ids.
    List {
        /// What the report says that it answers.
        question: ShardQuestion,
        /// Which ones.
        streams: ListedStreams,
        /// Ids up to this one are left out.
        after: u64,
        /// Most streams in the report.
        limit: u32,
    },
    /// Deliver an event to all but one stream.
    EventExcept {
        /// The event.
        event: E,
        /// Id of that stream.
        stream: u64,
    },
    /// Deliver an event.
    Event(E),
    /// A topic is finished, until the next event of it.
    Finish {
        /// The topic.
        topic: Box<str>,
        /// When it was finished.
        when: FinishTime,
    },
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
            Self::Event(event) | Self::EventExcept { event, .. } | Self::Tell { event, .. } => {
                own + event.frame().len()
            }
            Self::Disconnect { streams: DisconnectedStreams::These(ids), .. } => own + 8 * ids.len(),
            Self::Attach(attach) => own + names(&attach.patterns) + 8 * attach.missed.events.len(),
            Self::Watch { patterns, .. } => own + names(patterns),
            Self::Disconnect { streams: DisconnectedStreams::Watching(topic), .. } => own + topic.len(),
            Self::Frames { frames, .. } => own + frames.bytes().len(),
            Self::List { streams: ListedStreams::Some(topic, ids), .. } => {
                own + topic.as_ref().map_or(0, |topic| topic.len()) + 8 * ids.len()
            }
            Self::Count { topics, .. } => own + names(topics),
            Self::Finish { topic, .. } => own + topic.len(),
            Self::Trigger(trigger) => own + 2 * trigger.topic().len(),
            _ => own,
        }
    }
}

fn names(patterns: &[Box<str>]) -> usize {
    patterns.iter().map(|pattern| pattern.len() + 32).sum()
}

/// Gives the parts of a command another form, at one end of the pipe to a shard process.
pub(crate) trait Convert<E, M, F, S> {
    type Event;
    type Missed;
    type Frames;
    type Socket;
    type Error;

    /// A published event.
    fn event(&mut self, event: E) -> Result<Self::Event, Self::Error>;

    /// An event that a client missed.
    fn missed(&mut self, event: M) -> Result<Self::Missed, Self::Error>;

    /// Encoded events for some streams.
    fn frames(&mut self, frames: F) -> Result<Self::Frames, Self::Error>;

    /// The connection of a new stream.
    fn connection(&mut self, socket: S) -> Result<Self::Socket, Self::Error>;
}

/// The command that a conversion makes.
type Converted<C, E, M, F, S> = Command<
    <C as Convert<E, M, F, S>>::Event,
    <C as Convert<E, M, F, S>>::Missed,
    <C as Convert<E, M, F, S>>::Frames,
    <C as Convert<E, M, F, S>>::Socket,
>;

impl<E, M, F, S> Command<E, M, F, S> {
    /// The published event that the command delivers.
    pub(crate) fn event(&self) -> Option<&E> {
        match self {
            Self::Event(event) | Self::EventExcept { event, .. } => Some(event),
            _ => None,
        }
    }

    /// Gives the parts another form.
    ///
    /// # Errors
    /// Those of the conversion.
    pub(crate) fn convert<C: Convert<E, M, F, S>>(self, by: &mut C) -> Result<Converted<C, E, M, F, S>, C::Error> {
        Ok(match self {
            Self::Attach(attach) => {
                let NewStream { id, client, socket, patterns, spec, first, missed, newest, followed } = attach;
                let Missed { gap, events, cursor } = missed;
                let events = events.into_iter().map(|event| by.missed(event)).collect::<Result<_, _>>()?;
                let (socket, missed) = (by.connection(socket)?, Missed { gap, events, cursor });
                Command::Attach(NewStream { id, client, socket, patterns, spec, first, missed, newest, followed })
            }
            Self::Frames { stream, frames } => Command::Frames { stream, frames: by.frames(frames)? },
            Self::Event(event) => Command::Event(by.event(event)?),
            Self::Tell { stream, event } => Command::Tell { stream, event: by.event(event)? },
            Self::EventExcept { event, stream } => Command::EventExcept { event: by.event(event)?, stream },
            Self::Disconnect { streams, retry, age } => Command::Disconnect { streams, retry, age },
            Self::Commit { stream, framing } => Command::Commit { stream, framing },
            Self::Redeem { stream, framing, socket } => {
                Command::Redeem { stream, framing, socket: by.connection(socket)? }
            }
            Self::Abort { stream } => Command::Abort { stream },
            Self::Watch { stream, patterns } => Command::Watch { stream, patterns },
            Self::End { stream, why } => Command::End { stream, why },
            Self::Finish { topic, when } => Command::Finish { topic, when },
            Self::List { question, streams, after, limit } => Command::List { question, streams, after, limit },
            Self::Count { question, topics, except } => Command::Count { question, topics, except },
            Self::Trigger(trigger) => Command::Trigger(trigger),
            Self::Pause => Command::Pause,
            Self::Gap(frame) => Command::Gap(frame),
            Self::Relieve(relieve) => Command::Relieve(relieve),
            Self::Stop { spread } => Command::Stop { spread },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attack: a client changes its topics all the time, while the shard is behind.
    #[test]
    fn what_a_command_names_is_part_of_its_weight() {
        let name: Box<str> = "x".repeat(255).into();
        let patterns = vec![name.clone(); 100];
        assert!(Command::Watch { stream: 1, patterns }.weight() > 100 * name.len());
        let disconnect = |streams| Command::Disconnect { streams, retry: None, age: 0 }.weight();
        assert!(disconnect(DisconnectedStreams::Watching(name.clone())) > name.len());
        assert!(disconnect(DisconnectedStreams::These(vec![0; 10_000])) > 10_000 * size_of::<u64>());
    }
}
