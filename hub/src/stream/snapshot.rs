//! Upgrades: the state of a stream on its way from the old hub to the new one.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::stats::EndReason;
use crate::stream::queued::Queued;
use crate::stream::{Payload, Stream, Trigger};
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::outgoing::Numbers;
use serde::{Deserialize, Serialize};
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::Framing;

/// A stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StreamState<'a> {
    pub(crate) id: u64,
    /// Number for the client's address; 0: unknown.
    pub(crate) client: u64,
    #[serde(borrow)]
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) spec: StreamSpec,
    /// Seconds since it was attached.
    pub(crate) age: u32,
    /// Bytes written.
    pub(crate) sent: u64,
    /// Seconds since the last write.
    pub(crate) silent: u32,
    pub(crate) followed: bool,
    /// Seconds until the stream's lifetime ends.
    pub(crate) ends: Option<u32>,
    /// Why the stream ends once its queue is written.
    pub(crate) closing: Option<&'a str>,
    /// `None`: held, as the worker still sends the headers.
    pub(crate) framing: Option<Framing>,
    /// Framed bytes of the first payload that are written.
    pub(crate) offset: u64,
    pub(crate) queue: Vec<PayloadState<'a>>,
    /// Topics that changed while the client was behind.
    pub(crate) pending: Vec<&'a str>,
}

/// An entry of a stream's queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PayloadState<'a> {
    /// The number of an event.
    Event(u32),
    /// The number of a blob.
    Frames(u32),
    /// Those of an event of which only the newest matters: also the name of its topics.
    LatestFrames(u32, &'a str),
    /// The number of a blob.
    Gap(u32),
    Trigger(&'a str),
    Lines(&'a str),
    Wake,
    Heartbeat,
    End,
    /// Until when, in milliseconds since the start of the first hub.
    Pause(u64),
    /// A comment of so many bytes.
    Padding(u16),
}

impl Stream {
    /// Returns the state for the new hub; `now` is the shard's second, `ends` the seconds left of the lifetime.
    pub(crate) fn state<'a>(
        &'a self,
        patterns: Vec<&'a str>,
        now: u32,
        ends: Option<u32>,
        numbers: &mut Numbers,
    ) -> StreamState<'a> {
        let Self {
            id,
            seen: _,
            allowed: _,
            share: _,
            places: _,
            spec,
            since,
            active,
            waits_since: _,
            client,
            sent,
            watches_room: _,
            followed,
            answered: _,
            is_listed: _,
            closing,
            framing,
            socket: _,
            queued: _,
            preloaded: _,
            offset,
            queue,
            behind,
        } = self;
        StreamState {
            id: *id,
            client: *client,
            patterns,
            spec: *spec,
            age: now.saturating_sub(*since),
            sent: *sent,
            silent: now.saturating_sub(*active),
            followed: *followed,
            ends,
            closing: closing.map(EndReason::name),
            framing: *framing,
            offset: *offset as u64,
            queue: queue.iter().filter_map(|payload| payload.state(numbers)).collect(),
            pending: behind.iter().flat_map(|behind| &behind.triggers).map(|trigger| trigger.topic()).collect(),
        }
    }

    /// Creates the stream in the new hub, without a subscription.
    pub(crate) fn restore(state: &StreamState<'_>, socket: OwnedFd, now: u32, tables: &Tables) -> io::Result<Self> {
        let closing = state.closing.map(|name| EndReason::named(name).ok_or_else(|| wrong("a reason to end")));
        let queue = state.queue.iter().map(|payload| Payload::restore(payload, tables).map(Queued::new));
        let mut stream = Self::new(state.id, socket, state.spec);
        stream.followed = state.followed;
        stream.since = now.saturating_sub(state.age);
        stream.sent = state.sent;
        stream.active = now.saturating_sub(state.silent);
        // The stall timeout starts again.
        stream.waits_since = now;
        stream.client = state.client;
        stream.closing = closing.transpose()?;
        stream.framing = state.framing;
        stream.queue = queue.collect::<io::Result<_>>()?;
        if !state.pending.is_empty() {
            stream.behind.get_or_insert_default().triggers =
                state.pending.iter().map(|topic| Arc::new(Trigger::new(topic))).collect();
        }
        let pauses = state.queue.iter().filter_map(|payload| match payload {
            PayloadState::Pause(until) => Some(*until),
            _ => None,
        });
        if let Some(until) = pauses.max() {
            stream.behind.get_or_insert_default().paused_until = until;
        }
        stream.tidy_up();
        let framing = state.framing.unwrap_or(Framing::Raw);
        let framed: usize = stream.queue.iter().map(|payload| payload.framed_len(framing)).sum();
        let first = stream.queue.front().map_or(0, |first| first.framed_len(framing));
        stream.offset = usize::try_from(state.offset).map_err(io::Error::other)?;
        if stream.offset > first {
            return Err(wrong("the offset of a stream"));
        }
        stream.queued = framed - stream.offset;
        // All of the queue may be missed events, so none of it counts as slow.
        stream.preloaded = stream.queued;
        // Of an open one; what a held one was attached with makes no difference to its client either.
        stream.answered = stream.queued > 0;
        Ok(stream)
    }
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> Self {
        stream.socket
    }
}

impl Payload {
    /// `None`: it is nothing.
    fn state(&self, numbers: &mut Numbers) -> Option<PayloadState<'_>> {
        Some(match self {
            Self::Event(event) => PayloadState::Event(numbers.event(event)),
            Self::Frames(frames) => match (numbers.blob(frames.bytes()), frames.latest()) {
                (number, Some(topics)) => PayloadState::LatestFrames(number, topics),
                (number, None) => PayloadState::Frames(number),
            },
            Self::Gap(gap) => PayloadState::Gap(numbers.blob(gap)),
            Self::Trigger(trigger) => PayloadState::Trigger(trigger.topic()),
            Self::Lines(text) => PayloadState::Lines(text),
            Self::Wake => PayloadState::Wake,
            Self::Heartbeat => PayloadState::Heartbeat,
            Self::End => PayloadState::End,
            Self::Pause(until) => PayloadState::Pause(*until),
            Self::Padding(len) => PayloadState::Padding(*len),
            Self::Superseded => return None,
        })
    }

    fn restore(state: &PayloadState<'_>, tables: &Tables) -> io::Result<Self> {
        Ok(match state {
            PayloadState::Event(number) => Self::Event(tables.event(*number)?),
            PayloadState::Frames(number) => Self::Frames(tables.frames(*number)?),
            PayloadState::LatestFrames(number, topics) => {
                let frames = tables.frames(*number)?;
                frames.set_latest(Some(&Arc::from(*topics)));
                Self::Frames(frames)
            }
            PayloadState::Gap(number) => Self::Gap(tables.blob(*number)?),
            PayloadState::Trigger(topic) => Self::Trigger(Arc::new(Trigger::new(topic))),
            PayloadState::Lines(text) => Self::Lines((*text).into()),
            PayloadState::Wake => Self::Wake,
            PayloadState::Heartbeat => Self::Heartbeat,
            PayloadState::End => Self::End,
            PayloadState::Pause(until) => Self::Pause(*until),
            PayloadState::Padding(len) => Self::Padding(*len),
        })
    }
}
