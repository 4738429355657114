//! An accepted event: its wire bytes are built once, and all streams share them.

pub(crate) mod snapshot;

use std::ops::Range;
use std::sync::OnceLock;

use crate::stream::pinned::Keepers;
use crate::util::heap::allocated;
use sse_protocol::event::NewEvent;
use sse_protocol::framing;
use sse_protocol::wire::{self, Delivery};

/// An accepted event, shared by the store and all streams.
#[derive(Debug)]
pub struct Event {
    id: Box<str>,
    topics: Box<[Box<str>]>,
    name: Option<Box<str>>,
    retry: Option<u32>,
    /// Room for a FastCGI record header, then the event-stream bytes. Most streams are FastCGI with one record per event, so
    /// that one send() of one slice suffices.
    record: Box<[u8]>,
    data: Data,
    /// The event for [`Framing::Message`](sse_protocol::wire::Framing::Message) streams, encoded when the first one needs it.
    message: OnceLock<Box<[u8]>>,
    keepers: Keepers,
}

/// Where the published data is: a range of the frame if it is one line, else a copy.
#[derive(Debug)]
enum Data {
    InFrame(Range<usize>),
    Beside(Box<[u8]>),
}

impl Event {
    /// Builds an event from checked parts; `id` is the publisher's, or the hub's.
    #[must_use]
    pub fn new(new: &NewEvent<'_>, id: &str) -> Self {
        // The exact capacity for most events, so that `into_boxed_slice` doesn't reallocate.
        let name = new.name.map_or(0, |name| "event: \n".len() + name.len());
        let frame = "id: \n".len() + id.len() + name + "data: \n\n".len() + new.data.len();
        let mut record = Vec::with_capacity(framing::HEADER + frame);
        record.extend_from_slice(&[0; framing::HEADER]);
        let line = new.write(Some(id), &mut record);
        let in_frame = |line: Range<usize>| Data::InFrame(line.start - framing::HEADER..line.end - framing::HEADER);
        let data = line.map_or_else(|| Data::Beside(new.data.into()), in_frame);
        Self {
            id: id.into(),
            topics: new.topics.iter().map(|&t| t.into()).collect(),
            name: new.name.map(Into::into),
            retry: new.retry,
            record: with_header(record),
            data,
            message: OnceLock::new(),
            keepers: Keepers::default(),
        }
    }

    /// The id that clients send back as Last-Event-ID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The topics of the event, at least one.
    #[must_use]
    pub fn topics(&self) -> &[Box<str>] {
        &self.topics
    }

    /// The event's type, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The reconnection time sent with the event, in milliseconds.
    #[must_use]
    pub fn retry(&self) -> Option<u32> {
        self.retry
    }

    /// The data as published.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match &self.data {
            Data::InFrame(range) => &self.frame()[range.clone()],
            Data::Beside(data) => data,
        }
    }

    /// Who keeps the event: the history, and how many queues.
    pub(crate) fn keepers(&self) -> &Keepers {
        &self.keepers
    }

    /// The event-stream bytes, including the final blank line.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.record[framing::HEADER..]
    }

    /// The event as one FastCGI record of the [usual request](framing::USUAL_REQUEST); `None` if it is too long for one.
    #[must_use]
    pub(crate) fn record(&self) -> Option<&[u8]> {
        (self.frame().len() <= framing::RECORD).then_some(&self.record)
    }

    /// The event as a message for a PHP process, including the length prefix.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.message.get_or_init(|| wire::encode(&self.delivery()).into_boxed_slice())
    }

    /// Memory use in bytes, without the message, which is no larger than the rest.
    pub(crate) fn memory(&self) -> usize {
        let topics: usize = self.topics.iter().map(|topic| allocated(topic.len())).sum();
        let beside = match &self.data {
            Data::InFrame(_) => 0,
            Data::Beside(data) => data.len(),
        };
        let parts = [
            // `Arc` adds two counters.
            2 * size_of::<usize>() + size_of::<Self>(),
            self.id.len(),
            size_of_val(&*self.topics),
            self.name.as_ref().map_or(0, |name| name.len()),
            self.record.len(),
            beside,
        ];
        parts.map(allocated).iter().sum::<usize>() + topics
    }

    /// The event as a message for a PHP process, not encoded yet.
    #[must_use]
    pub fn delivery(&self) -> Delivery<'_> {
        let topics = self.topics.iter().map(AsRef::as_ref).collect();
        Delivery::Event { id: &self.id, topics, name: self.name(), data: self.data() }
    }
}

/// Fills in the reserved header, if the frame fits into one record.
fn with_header(mut record: Vec<u8>) -> Box<[u8]> {
    if let Some(header) = framing::usual_header(record.len() - framing::HEADER) {
        record[..framing::HEADER].copy_from_slice(&header);
    }
    record.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_data_is_what_was_published_whatever_its_lines_are() {
        for data in [b"hello".as_slice(), b"", b"a\nb\r\nc\rd\n\re\n"] {
            let new = NewEvent { topics: vec!["t"], data, ..Default::default() };
            let event = Event::new(&new, "7-0");
            let mut frame = Vec::new();
            new.write(Some("7-0"), &mut frame);
            assert_eq!((event.data(), event.frame()), (data, frame.as_slice()));
        }
    }
}
