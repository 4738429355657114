//! Payloads: all that the hub writes to streams.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::event::frames::Frames;
use sse_protocol::event::HEARTBEAT;
use sse_protocol::framing::{self, Piece, USUAL_REQUEST};
use sse_protocol::padding;
use sse_protocol::wire::{self, Delivery, Framing};

/// [`Delivery::Trigger`] for all topics, encoded as a message.
const ALL_MESSAGE: &[u8] = &[4, 0, 0, 0, 1, 2, b'*', b'*'];

/// [`Delivery::Heartbeat`], encoded as a message.
const HEARTBEAT_MESSAGE: &[u8] = &[1, 0, 0, 0, 2];

/// [`HEARTBEAT`] as an HTTP chunk.
const HEARTBEAT_CHUNK: &[u8] = b"3\r\n:\n\n\r\n";

/// [`HEARTBEAT`] as a FastCGI record with the usual request id.
const HEARTBEAT_RECORD: &[u8] = b"\x01\x06\x00\x01\x00\x03\x00\x00:\n\n";

/// Content of a [`Framing::Wake`] stream, the same for events and notifications.
pub(crate) const WAKE: &[u8] = b"W";

/// A notification, with its encoded message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "Box<str>")]
pub(crate) struct Trigger {
    topic: Box<str>,
    #[serde(skip)]
    message: Box<[u8]>,
}

impl From<Box<str>> for Trigger {
    fn from(topic: Box<str>) -> Self {
        Self::new(&topic)
    }
}

impl Trigger {
    /// Creates a notification for a valid topic, or for [`ALL`](sse_protocol::topic::ALL).
    pub(crate) fn new(topic: &str) -> Self {
        let message = wire::encode(&Delivery::Trigger { topic });
        Self { topic: topic.into(), message: message.into_boxed_slice() }
    }

    /// Approximate memory in bytes.
    pub(crate) fn len(&self) -> usize {
        self.topic.len() + self.message.len()
    }

    /// The topic; [`ALL`](sse_protocol::topic::ALL) for all topics.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }
}

/// Something to write to a stream.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// A published event.
    Event(Arc<Event>),
    /// Encoded events.
    Frames(Arc<Frames>),
    /// An event that reports missing events. A `Message` stream gets a notification for all topics instead.
    Gap(Arc<[u8]>),
    /// A notification for a `Message` stream.
    Trigger(Arc<Trigger>),
    /// Fields without an event: the reconnection time in the opening or at the end, or the id for a client that gets no event.
    Lines(Box<str>),
    /// The byte of a `Wake` stream.
    Wake,
    /// A heartbeat.
    Heartbeat,
    /// A comment of so many bytes, for a web server that passes output on only once it has enough of it.
    Padding(u16),
    /// The end of the response.
    End,
    /// Nothing, in the place of an event that a newer one has replaced.
    Superseded,
    /// Nothing, but all that follows waits until then, in milliseconds since the hub's start.
    Pause(u64),
}

impl Payload {
    /// The bytes before framing.
    pub(crate) fn bytes(&self, framing: Framing) -> &[u8] {
        match (self, framing) {
            (Self::Event(event), Framing::Message) => event.message(),
            (Self::Event(event), _) => event.frame(),
            (Self::Gap(_), Framing::Message) => ALL_MESSAGE,
            (Self::Frames(frames), _) => frames.bytes(),
            (Self::Gap(frame), _) => frame,
            (Self::Trigger(trigger), _) => &trigger.message,
            (Self::Lines(text), _) => text.as_bytes(),
            (Self::Wake, _) => WAKE,
            (Self::Heartbeat, Framing::Message) => HEARTBEAT_MESSAGE,
            (Self::Heartbeat, _) => HEARTBEAT,
            (Self::Padding(len), _) => padding::comment((*len).into()),
            (Self::End | Self::Superseded | Self::Pause(_), _) => &[],
        }
    }

    /// Approximate number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes(Framing::Raw).len()
    }

    /// Returns whether the payload counts as an event when written.
    pub(crate) fn is_event(&self) -> bool {
        matches!(self, Self::Event(_) | Self::Frames(_))
    }

    /// Names the topics of an event that is replaced where it waits when a newer one of the same topics comes.
    pub(crate) fn latest(&self) -> Option<&Arc<str>> {
        match self {
            Self::Event(event) => event.latest(),
            Self::Frames(frames) => frames.latest(),
            _ => None,
        }
    }

    /// Whether there is anything to write.
    pub(crate) fn is_something(&self) -> bool {
        !matches!(self, Self::Superseded | Self::Pause(_))
    }

    /// Returns the framed bytes, if they exist in one piece.
    fn whole(&self, framing: Framing) -> Option<&[u8]> {
        match (self, framing) {
            (_, Framing::Raw | Framing::Message | Framing::Wake) => Some(self.bytes(framing)),
            (Self::Event(event), Framing::FastCgi { request: USUAL_REQUEST }) => event.record(),
            (Self::Heartbeat, Framing::FastCgi { request: USUAL_REQUEST }) => Some(HEARTBEAT_RECORD),
            (Self::Heartbeat, Framing::Chunked) => Some(HEARTBEAT_CHUNK),
            _ => None,
        }
    }

    /// Number of framed bytes.
    pub(crate) fn framed_len(&self, framing: Framing) -> usize {
        match self {
            Self::End => framing::end(framing).bytes().len(),
            other => framing::framed_len(framing, other.bytes(framing).len()),
        }
    }

    /// Returns the framed bytes from `offset` as far as they are contiguous; `None` at the end.
    pub(crate) fn piece(&self, framing: Framing, offset: usize) -> Option<Piece<'_>> {
        match self {
            Self::End => {
                let rest = framing::end(framing).skip(offset);
                (!rest.bytes().is_empty()).then_some(Piece::Wrap(rest))
            }
            other => match other.whole(framing) {
                Some(whole) => whole.get(offset..).filter(|rest| !rest.is_empty()).map(Piece::Content),
                None => framing::piece(framing, other.bytes(framing), offset),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sse_protocol::event::NewEvent;

    #[test]
    fn fixed_messages_are_what_the_wire_says() {
        assert_eq!(HEARTBEAT_MESSAGE, wire::encode(&Delivery::Heartbeat));
        assert_eq!(ALL_MESSAGE, wire::encode(&Delivery::Trigger { topic: sse_protocol::topic::ALL }));
    }

    #[test]
    fn what_is_kept_whole_is_what_the_framing_makes_of_it() {
        let event = |len| {
            let data = vec![b'x'; len];
            let new = NewEvent { topics: vec!["a"], data: &data, ..Default::default() };
            Payload::Event(Arc::new(Event::new(&new, "7-0")))
        };
        let around = event(0).bytes(Framing::Raw).len();
        let fits = framing::RECORD - around;
        let payloads = [event(0), event(100), event(fits), event(fits + 1), Payload::Heartbeat];
        for (payload, framing) in payloads.iter().flat_map(|payload| {
            let framings = [Framing::Raw, Framing::Chunked].into_iter();
            framings.chain([1, 2].map(|request| Framing::FastCgi { request })).map(move |framing| (payload, framing))
        }) {
            let (mut got, mut expected) = (Vec::new(), Vec::new());
            while let Some(piece) = payload.piece(framing, got.len()) {
                got.extend_from_slice(piece.bytes());
            }
            while let Some(piece) = framing::piece(framing, payload.bytes(framing), expected.len()) {
                expected.extend_from_slice(piece.bytes());
            }
            assert!(got == expected && got.len() == payload.framed_len(framing), "{framing:?}");
        }
    }
}
