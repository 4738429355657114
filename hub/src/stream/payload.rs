//! What is written to streams.

use std::sync::Arc;

use crate::event::{Event, HEARTBEAT};
use crate::framing::{self, Piece};
use crate::wire::{self, Delivery, Framing};

/// [`Delivery::Trigger`] of all topics as a message.
const ALL_MESSAGE: &[u8] = &[4, 0, 0, 0, 1, 2, b'*', b'*'];

/// [`Delivery::Heartbeat`] as a message.
const HEARTBEAT_MESSAGE: &[u8] = &[1, 0, 0, 0, 2];

/// What a [`Framing::Wake`] stream carries, for events and changed topics alike.
pub(super) const WAKE: &[u8] = b"W";

/// "This topic changed", ready to be sent.
#[derive(Debug)]
pub(crate) struct Trigger {
    topic: Box<str>,
    message: Box<[u8]>,
}

impl Trigger {
    /// Of a checked topic, or [`ALL`](crate::topic::ALL).
    pub(crate) fn new(topic: &str) -> Self {
        let message = wire::encode(&Delivery::Trigger { topic });
        Self { topic: topic.into(), message: message.into_boxed_slice() }
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.topic.len() + self.message.len()
    }

    /// The topic; [`ALL`](crate::topic::ALL) for all.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }
}

/// Something to write.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// A published event.
    Event(Arc<Event>),
    /// Complete events, for this stream only.
    Frames(Arc<[u8]>),
    /// That events are missing. To a reader of messages it is a trigger of everything.
    Gap(Arc<[u8]>),
    /// A changed topic, for a reader of messages.
    Trigger(Arc<Trigger>),
    /// Fields that are no event: the reconnection time first or last of all, the id of a reader that gets no event.
    Lines(Box<str>),
    /// "Something happened", for a reader that asks for no more.
    Wake,
    /// A sign of life.
    Heartbeat,
    /// The end of the response.
    End,
}

impl Payload {
    /// Its bytes before they are framed.
    pub(super) fn bytes(&self, framing: Framing) -> &[u8] {
        match (self, framing) {
            (Self::Event(event), Framing::Message) => event.message(),
            (Self::Event(event), _) => event.frame(),
            (Self::Gap(_), Framing::Message) => ALL_MESSAGE,
            (Self::Frames(frames) | Self::Gap(frames), _) => frames,
            (Self::Trigger(trigger), _) => &trigger.message,
            (Self::Lines(text), _) => text.as_bytes(),
            (Self::Wake, _) => WAKE,
            (Self::Heartbeat, Framing::Message) => HEARTBEAT_MESSAGE,
            (Self::Heartbeat, _) => HEARTBEAT,
            (Self::End, _) => &[],
        }
    }

    /// The number of its bytes on the connection.
    pub(super) fn framed_len(&self, framing: Framing) -> usize {
        match self {
            Self::End => framing::end(framing).bytes().len(),
            other => framing::framed_len(framing, other.bytes(framing).len()),
        }
    }

    /// Its bytes on the connection from `offset` on, as far as they are contiguous.
    pub(super) fn piece(&self, framing: Framing, offset: usize) -> Option<Piece<'_>> {
        match self {
            Self::End => {
                let rest = framing::end(framing).skip(offset);
                (!rest.bytes().is_empty()).then_some(Piece::Wrap(rest))
            }
            other => framing::piece(framing, other.bytes(framing), offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_messages_are_what_the_wire_says() {
        assert_eq!(HEARTBEAT_MESSAGE, wire::encode(&Delivery::Heartbeat));
        assert_eq!(ALL_MESSAGE, wire::encode(&Delivery::Trigger { topic: crate::topic::ALL }));
    }
}
