//! Upgrades: the state of a stream on its way from the old hub to the new one.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::stats::Ended;
use crate::stream::pinned::Queued;
use crate::stream::{Payload, Stream, Trigger};
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::outgoing::Numbers;
use crate::upgrade::state::{PayloadState, StreamState};
use sse_protocol::wire::Framing;

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
            share: _,
            places: _,
            heartbeat,
            active,
            waits_since: _,
            client,
            watches_room: _,
            followed,
            opened,
            closing,
            topics_as,
            retry,
            framing,
            socket: _,
            queued: _,
            preloaded: _,
            offset,
            queue,
            pending,
        } = self;
        StreamState {
            id: *id,
            client: *client,
            patterns,
            heartbeat: *heartbeat,
            silent: now.saturating_sub(*active),
            followed: *followed,
            opened: *opened,
            ends,
            closing: closing.map(Ended::name),
            topics_as: *topics_as,
            retry: *retry,
            framing: *framing,
            offset: *offset as u64,
            queue: queue.iter().map(|payload| payload.state(numbers)).collect(),
            pending: pending.iter().map(|trigger| trigger.topic()).collect(),
        }
    }

    /// Creates the stream in the new hub, without a subscription.
    pub(crate) fn restore(state: &StreamState<'_>, socket: OwnedFd, now: u32, tables: &Tables) -> io::Result<Self> {
        let closing = state.closing.map(|name| Ended::named(name).ok_or_else(|| wrong("a reason to end")));
        let queue = state.queue.iter().map(|payload| Payload::restore(payload, tables).map(Queued::new));
        let mut stream = Self::new(state.id, socket, state.heartbeat, state.retry);
        (stream.followed, stream.opened) = (state.followed, state.opened);
        stream.active = now.saturating_sub(state.silent);
        // The stall timeout starts again.
        stream.waits_since = now;
        stream.client = state.client;
        stream.closing = closing.transpose()?;
        stream.topics_as = state.topics_as;
        stream.framing = state.framing;
        stream.queue = queue.collect::<io::Result<_>>()?;
        stream.pending = state.pending.iter().map(|topic| Arc::new(Trigger::new(topic))).collect();
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
        Ok(stream)
    }
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> Self {
        stream.socket
    }
}

impl Payload {
    fn state(&self, numbers: &mut Numbers) -> PayloadState<'_> {
        match self {
            Self::Event(event) => PayloadState::Event(numbers.event(event)),
            Self::Frames(frames) => PayloadState::Frames(numbers.blob(frames.bytes())),
            Self::Gap(gap) => PayloadState::Gap(numbers.blob(gap)),
            Self::Trigger(trigger) => PayloadState::Trigger(trigger.topic()),
            Self::Lines(text) => PayloadState::Lines(text),
            Self::Wake => PayloadState::Wake,
            Self::Heartbeat => PayloadState::Heartbeat,
            Self::End => PayloadState::End,
        }
    }

    fn restore(state: &PayloadState<'_>, tables: &Tables) -> io::Result<Self> {
        Ok(match state {
            PayloadState::Event(number) => Self::Event(tables.event(*number)?),
            PayloadState::Frames(number) => Self::Frames(tables.frames(*number)?),
            PayloadState::Gap(number) => Self::Gap(tables.blob(*number)?),
            PayloadState::Trigger(topic) => Self::Trigger(Arc::new(Trigger::new(topic))),
            PayloadState::Lines(text) => Self::Lines((*text).into()),
            PayloadState::Wake => Self::Wake,
            PayloadState::Heartbeat => Self::Heartbeat,
            PayloadState::End => Self::End,
        })
    }
}
