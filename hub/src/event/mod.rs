//! An accepted event: its wire bytes are built once, and all streams share them.

pub(crate) mod frames;
pub(crate) mod pinned;
pub(crate) mod snapshot;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::event::pinned::References;
use crate::sys::heap::allocated;
use sse_protocol::event::NewEvent;
use sse_protocol::framing;
use sse_protocol::wire::{self, Delivery};

/// An accepted event, shared by the store and all streams.
#[derive(Debug)]
pub struct Event {
    id: Box<str>,
    topics: Box<[Box<str>]>,
    event_type: Option<Box<str>>,
    retry: Option<u32>,
    finishes: bool,
    /// Names the topics, if a newer event of the same ones replaces this one where it waits.
    latest: Option<Arc<str>>,
    /// Milliseconds over which its clients are spread when it is published. History does not keep it.
    spread: u32,
    rare: Option<Box<RareParts>>,
    /// Room for a FastCGI record header, then the event-stream bytes. Most streams are FastCGI with one record per event, so
    /// that one send() of one slice suffices.
    record: Box<[u8]>,
    data: Data,
    /// The event for [`Framing::Message`](sse_protocol::wire::Framing::Message) streams, encoded when the first one needs it.
    message: OnceLock<Box<[u8]>>,
    references: References,
}

/// What few events have, so that others take no memory for it. The history's file does not keep it.
#[derive(Debug)]
struct RareParts {
    /// The public id of a stream that does not get the event when it is published.
    except: Option<Box<str>>,
    /// W3C's Trace Context of who published it.
    traceparent: Option<Box<str>>,
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
        Self::framed(new, id, true)
    }

    /// Builds an event of the hub's own, which has no id: a client's last event id stays as it is.
    #[must_use]
    pub(crate) fn unnumbered(new: &NewEvent<'_>) -> Self {
        Self::framed(new, "", false)
    }

    /// The same event without the id in its frame.
    #[must_use]
    pub(crate) fn without_id(&self) -> Self {
        let topics = self.topics.iter().map(AsRef::as_ref).collect();
        let (event_type, retry, data) = (self.event_type(), self.retry, self.data());
        Self::framed(&NewEvent { topics, event_type, retry, data, ..NewEvent::default() }, &self.id, false)
    }

    /// Whether the frame has the id.
    pub(crate) fn has_id(&self) -> bool {
        self.frame().starts_with(b"id: ")
    }

    fn framed(new: &NewEvent<'_>, id: &str, with_id: bool) -> Self {
        // The exact capacity for most events, so that `into_boxed_slice` doesn't reallocate.
        let event_type = new.event_type.map_or(0, |event_type| "event: \n".len() + event_type.len());
        let id_line = if with_id { "id: \n".len() + id.len() } else { 0 };
        let frame = id_line + event_type + "data: \n\n".len() + new.data.len();
        let mut record = Vec::with_capacity(framing::HEADER + frame);
        record.extend_from_slice(&[0; framing::HEADER]);
        let line = new.write(with_id.then_some(id), &mut record);
        let in_frame = |line: Range<usize>| Data::InFrame(line.start - framing::HEADER..line.end - framing::HEADER);
        let data = line.map_or_else(|| Data::Beside(new.data.into()), in_frame);
        Self {
            id: id.into(),
            topics: new.topics.iter().map(|&t| t.into()).collect(),
            event_type: new.event_type.map(Into::into),
            retry: new.retry,
            finishes: new.finishes,
            latest: new.latest.then(|| topics_name(new.topics.clone())),
            spread: new.spread,
            rare: RareParts::new(new.except, new.traceparent),
            record: with_header(record),
            data,
            message: OnceLock::new(),
            references: References::default(),
        }
    }

    /// The id that clients send back as Last-Event-ID; empty if it has none.
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
    pub fn event_type(&self) -> Option<&str> {
        self.event_type.as_deref()
    }

    /// The reconnection time sent with the event, in milliseconds.
    #[must_use]
    pub fn retry(&self) -> Option<u32> {
        self.retry
    }

    /// Whether this is the last event of its topics.
    #[must_use]
    pub fn finishes(&self) -> bool {
        self.finishes
    }

    /// W3C's Trace Context of who published it.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        self.rare.as_ref().and_then(|rare| rare.traceparent.as_deref())
    }

    /// The public id of a stream that does not get the event.
    pub(crate) fn except(&self) -> Option<&str> {
        self.rare.as_ref().and_then(|rare| rare.except.as_deref())
    }

    /// Names the event's topics, whatever their order, if a newer one of the same topics replaces this one where it waits.
    pub(crate) fn latest(&self) -> Option<&Arc<str>> {
        self.latest.as_ref()
    }

    /// Milliseconds over which its clients are spread when it is published.
    pub(crate) fn spread(&self) -> u32 {
        self.spread
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
    pub(crate) fn references(&self) -> &References {
        &self.references
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
            self.event_type.as_ref().map_or(0, |event_type| event_type.len()),
            self.rare.as_ref().map_or(0, |_| size_of::<RareParts>()),
            self.except().map_or(0, str::len),
            self.traceparent().map_or(0, str::len),
            self.latest.as_ref().map_or(0, |latest| 2 * size_of::<usize>() + latest.len()),
            self.record.len(),
            beside,
        ];
        parts.map(allocated).iter().sum::<usize>() + topics
    }

    /// The event as a message for a PHP process, not encoded yet.
    #[must_use]
    pub fn delivery(&self) -> Delivery<'_> {
        let topics = self.topics.iter().map(AsRef::as_ref).collect();
        let (event_type, data, traceparent) = (self.event_type(), self.data(), self.traceparent());
        Delivery::Event { id: &self.id, topics, event_type, data, traceparent }
    }
}

impl RareParts {
    fn new(except: Option<&str>, traceparent: Option<&str>) -> Option<Box<Self>> {
        let (except, traceparent) = (except.map(Into::into), traceparent.map(Into::into));
        (except.is_some() || traceparent.is_some()).then(|| Box::new(Self { except, traceparent }))
    }
}

/// A name for a set of topics. No topic has a line break.
fn topics_name(mut topics: Vec<&str>) -> Arc<str> {
    topics.sort_unstable();
    topics.dedup();
    topics.join("\n").into()
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
