//! New events as publishers submit them, and the bytes of an event stream.
//!
//! The format is that of the HTML standard, "Server-sent events", 9.2.5 "Parsing an event stream".

use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{self, Id};
use crate::mercure::{self, MercureError};
use crate::stream::StreamSpec;
use crate::topic::{self, TopicError};

/// Longest id or event type, in bytes.
pub const MAX_LINE_LEN: usize = 255;

/// Longest key of a publication, in bytes.
pub const MAX_KEY_LEN: usize = 255;

/// Most topics of an event with a key or to retain: a script in Redis takes a limited number of arguments.
pub const MAX_KEYED_TOPICS: usize = 1000;
/// Largest reconnection time, in milliseconds: a day.
pub const MAX_RETRY: u32 = 86_400_000;

/// Longest time over which the clients of an event are spread, in milliseconds.
pub const MAX_SPREAD: u32 = 60_000;

/// An event as a publisher submits it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent<'a> {
    /// At least one topic, without wildcards.
    #[serde(borrow)]
    pub topics: Vec<&'a str>,
    /// The event's type; browsers dispatch `None` as `message`.
    pub event_type: Option<&'a str>,
    /// The publisher's own id; with `None` the hub assigns one.
    pub id: Option<&'a str>,
    /// Reconnection time for the client, in milliseconds.
    pub retry: Option<u32>,
    /// The public id of a stream that does not get the event.
    pub except: Option<&'a str>,
    /// UTF-8 text; may be empty.
    #[serde(with = "serde_bytes")]
    pub data: &'a [u8],
    /// Names the publication: a second one with this key within `sse.key_ttl` gets the first one's id and is dropped.
    pub key: Option<&'a str>,
    /// Whether this is the last event of its topics: streams all of whose topics are finished end after it.
    pub finishes: bool,
    /// Whether it becomes the last value of its topics; one without data removes theirs.
    pub retain: bool,
    /// Whether only the newest such event of the same topics matters to a client: one that still waits for it is dropped.
    pub latest: bool,
    /// Each client is told at a random moment within so many milliseconds; 0: at once.
    pub spread: u32,
    /// W3C's Trace Context of who published it, for PHP processes that read it and for the log; clients are not told.
    pub traceparent: Option<&'a str>,
}

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    /// No topic given.
    #[error("no topic given; name at least one topic to publish to")]
    NoTopic,
    /// More topics than `sse.max_topics`.
    #[error("{count} topics given; sse.max_topics allows {limit} for one event")]
    TooManyTopics {
        /// Topics given.
        count: usize,
        /// Topics allowed.
        limit: usize,
    },
    /// An invalid topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// An id or type with a character that would end its line in the stream.
    #[error("{what} '{value}' contains a line break or NUL, which would end its line in the stream")]
    LineBreak {
        /// "event id" or "event type".
        what: &'static str,
        /// The value, escaped.
        value: String,
    },
    /// An id that readers can't tell from one that the hub assigned.
    #[error(
        "event id '{0}' has the shape of the hub's own ids; choose another, such as one with a letter, or leave it out"
    )]
    LikeOurs(String),
    /// An empty id or type.
    #[error("{0} must not be empty; leave it out instead")]
    Empty(&'static str),
    /// An id or type longer than [`MAX_LINE_LEN`].
    #[error("{0} is {1} bytes long; at most {MAX_LINE_LEN} are allowed")]
    TooLong(&'static str, usize),
    /// An empty key, or one longer than [`MAX_KEY_LEN`].
    #[error("the key must have 1 to {MAX_KEY_LEN} bytes, {0} given; leave it out to publish each time")]
    Key(usize),
    /// A key, or an event to retain, with more than [`MAX_KEYED_TOPICS`].
    #[error("{0} topics given; an event with a key, or to retain, may have {MAX_KEYED_TOPICS}")]
    KeyedTopics(usize),
    /// A spread longer than [`MAX_SPREAD`].
    #[error("spread is {0} ms; it must be from 0 to {MAX_SPREAD} milliseconds")]
    Spread(u32),
    /// A trace that is not one of W3C's Trace Context.
    #[error(
        "traceparent '{0}' is none of W3C's Trace Context, such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01; \
         leave it out to publish without a trace"
    )]
    Traceparent(String),
    /// Data that is not UTF-8.
    #[error(
        "data is not valid UTF-8 (first bad byte at offset {0}); event streams are text, encode binary data, for example with base64_encode()"
    )]
    NotUtf8(usize),
    /// More data than `sse.max_event_size`.
    #[error(
        "data is {size} bytes long; sse.max_event_size allows {limit}; raise it, or publish where the client can fetch the rest"
    )]
    TooLarge {
        /// Bytes of data given.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

impl NewEvent<'_> {
    /// Checks all rules for a published event. `max_size` is in bytes of data.
    ///
    /// # Errors
    /// An [`EventError`] that names the value and the rule.
    pub fn check(&self, max_size: usize, max_topics: usize) -> Result<(), EventError> {
        if self.topics.is_empty() {
            return Err(EventError::NoTopic);
        }
        if self.topics.len() > max_topics {
            return Err(EventError::TooManyTopics { count: self.topics.len(), limit: max_topics });
        }
        topic::check_bytes(self.topics.iter().copied(), max_topics)?;
        if self.is_mercure() {
            mercure::check_topics(&self.topics).map_err(TopicError::from)?;
            if self.retain || self.finishes {
                return Err(TopicError::from(MercureError::Kept).into());
            }
        } else {
            for topic in &self.topics {
                topic::check_topic(topic)?;
            }
        }
        self.check_content()?;
        if let Some(key) = self.key.filter(|key| key.is_empty() || key.len() > MAX_KEY_LEN) {
            return Err(EventError::Key(key.len()));
        }
        if (self.key.is_some() || self.retain) && self.topics.len() > MAX_KEYED_TOPICS {
            return Err(EventError::KeyedTopics(self.topics.len()));
        }
        check_line("except", self.except)?;
        if self.spread > MAX_SPREAD {
            return Err(EventError::Spread(self.spread));
        }
        if let Some(traceparent) = self.traceparent.filter(|traceparent| !is_traceparent(traceparent)) {
            return Err(EventError::Traceparent(topic::shortened(traceparent)));
        }
        if let Some(id) = self.id.filter(|id| id::is_like_ours(id)) {
            return Err(EventError::LikeOurs(id.into()));
        }
        if self.data.len() > max_size {
            return Err(EventError::TooLarge { size: self.data.len(), limit: max_size });
        }
        Ok(())
    }

    /// Whether the event is an update of Mercure's.
    fn is_mercure(&self) -> bool {
        self.topics.iter().any(|topic| mercure::is_mercure(topic))
    }

    /// Checks the parts that are written to a stream (id, type, data), but not their size.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_content(&self) -> Result<(), EventError> {
        check_line("event id", self.id)?;
        check_line("event type", self.event_type)?;
        std::str::from_utf8(self.data).map_err(|e| EventError::NotUtf8(e.valid_up_to()))?;
        Ok(())
    }

    /// Appends the event to `frame` in the stream's format, with this id. Returns the range of the data if it is one line.
    pub fn write(&self, id: Option<&str>, frame: &mut Vec<u8>) -> Option<Range<usize>> {
        if let Some(id) = id {
            field(frame, "id", id.as_bytes());
        }
        if let Some(event_type) = self.event_type {
            field(frame, "event", event_type.as_bytes());
        }
        if let Some(retry) = self.retry {
            field(frame, "retry", retry.to_string().as_bytes());
        }
        let line = if has_newline(self.data) {
            for line in lines(self.data) {
                field(frame, "data", line);
            }
            None
        } else {
            let start = frame.len() + "data: ".len();
            field(frame, "data", self.data);
            Some(start..start + self.data.len())
        };
        frame.push(b'\n');
        line
    }
}

/// Whether a text is a `traceparent` as version 00 of W3C's Trace Context has it, 55 bytes long: "The value of trace-id … all bytes
/// as zero is considered an invalid value", and so for the parent's id. Later versions begin with the same parts; ff is none.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let has_some = |part: &str| part.bytes().any(|byte| byte != b'0');
    match parts[..] {
        [version, trace, parent, flags] => {
            [version, trace, parent, flags].map(str::len) == [2, 32, 16, 2]
                && parts.iter().all(is_hex)
                && version != "ff"
                && has_some(trace)
                && has_some(parent)
        }
        _ => false,
    }
}

/// The last event for a client whose user opened another stream in its place: it sets the reconnection time, in
/// milliseconds, and a page may listen for it.
#[must_use]
pub fn replaced(retry: u32) -> String {
    format!("retry: {retry}\nevent: replaced\ndata: {{\"retry\":{retry}}}\n\n")
}

/// A comment that keeps the connection alive.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// Seconds between heartbeats that a client expects of a stream that does not tell them: the default of `sse.heartbeat`.
const USUAL_HEARTBEAT: u32 = 15;

/// A reconnection time alone, in milliseconds, or for 0 a comment.
#[must_use]
pub fn retry(milliseconds: u32) -> String {
    if milliseconds > 0 { format!("retry: {milliseconds}\n\n") } else { ":\n\n".into() }
}

/// The first bytes of a stream: the reconnection time, or a comment. Either shows the client at once that it is connected.
/// Rarer heartbeats than usual are told with it, so that no client takes the silence for a dead connection. Streams that tell
/// their topics tell the heartbeat by themselves.
#[must_use]
pub fn opening(spec: &StreamSpec) -> String {
    let mut first = retry(spec.retry);
    if spec.heartbeat > USUAL_HEARTBEAT && spec.topics_as.is_none() {
        first.pop();
        first += &format!("heartbeat: {}\n\n", u64::from(spec.heartbeat) * 1000);
    }
    first
}

/// The opening for a reader that resumes from an id: `lines` follow without a blank line in between.
#[must_use]
pub fn opening_at(spec: &StreamSpec, lines: &str) -> String {
    let mut first = opening(spec);
    first.pop();
    first + lines
}

/// An `id` line alone, which sets the client's last event ID and dispatches nothing: the client then knows its position in
/// the stream before its first event.
#[must_use]
pub fn cursor(id: Id) -> String {
    format!("id: {id}\n\n")
}

/// The event that tells a client the public id of its stream. It has no `id` line, so the client's last event ID stays.
#[must_use]
pub fn stream_told(public: &str) -> String {
    format!("event: stream\ndata: {{\"stream\":\"{public}\"}}\n\n")
}

/// Checks that a value fits in one line: "the field value" ends at the next CR or LF, and an id with NUL is ignored.
fn check_line(what: &'static str, value: Option<&str>) -> Result<(), EventError> {
    let Some(value) = value else { return Ok(()) };
    if value.is_empty() {
        return Err(EventError::Empty(what));
    }
    if value.len() > MAX_LINE_LEN {
        return Err(EventError::TooLong(what, value.len()));
    }
    if value.contains(['\r', '\n', '\0']) {
        return Err(EventError::LineBreak { what, value: topic::printable(value) });
    }
    Ok(())
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn has_newline(data: &[u8]) -> bool {
    memchr::memchr2(b'\r', b'\n', data).is_some()
}

/// Splits data into lines: "Lines must be separated by either a CRLF pair, a single LF, or a single CR".
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let data = rest?;
        let Some(end) = data.iter().position(|&b| b == b'\r' || b == b'\n') else {
            rest = None;
            return Some(data);
        };
        let skip = if data[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = Some(&data[end + skip..]);
        Some(&data[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(new: &NewEvent<'_>) -> String {
        let mut frame = Vec::new();
        let line = new.write(Some("7-0"), &mut frame);
        assert_eq!(line.map(|line| &frame[line]), (!has_newline(new.data)).then_some(new.data));
        String::from_utf8(frame).expect("frames are UTF-8")
    }

    #[test]
    fn one_line_of_data_is_one_data_line() {
        let new = NewEvent { topics: vec!["t"], data: b"hello", ..Default::default() };
        assert_eq!(frame(&new), "id: 7-0\ndata: hello\n\n");
    }

    #[test]
    fn every_kind_of_line_end_splits_data() {
        let new = NewEvent { topics: vec!["t"], data: b"a\nb\r\nc\rd\n\re\n", ..Default::default() };
        assert_eq!(frame(&new), "id: 7-0\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\ndata: \n\n");
    }

    #[test]
    fn empty_data_still_is_an_event() {
        // "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string and
        // return". An empty `data` line first appends a line feed, so the browser dispatches the event.
        let new = NewEvent { topics: vec!["t"], event_type: Some("ping"), retry: Some(500), ..Default::default() };
        assert_eq!(frame(&new), "id: 7-0\nevent: ping\nretry: 500\ndata: \n\n");
    }

    #[test]
    fn a_trace_is_one_of_w3cs() {
        let well = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(well) && is_traceparent(&well.replacen("00", "cc", 1)));
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n",
        ] {
            let event = NewEvent { topics: vec!["t"], traceparent: Some(wrong), ..Default::default() };
            assert!(matches!(event.check(10, 2), Err(EventError::Traceparent(_))), "{wrong}");
        }
    }

    #[test]
    fn what_would_break_the_lines_is_refused() {
        let base = NewEvent { topics: vec!["t"], ..Default::default() };
        for value in ["a\nb", "a\rb", "a\0b"] {
            let id = NewEvent { id: Some(value), ..base.clone() };
            assert!(matches!(id.check(10, 2), Err(EventError::LineBreak { what: "event id", .. })));
            let event_type = NewEvent { event_type: Some(value), ..base.clone() };
            assert!(matches!(event_type.check(10, 2), Err(EventError::LineBreak { what: "event type", .. })));
        }
        let data = NewEvent { data: b"ab\xff", ..base.clone() };
        assert_eq!(data.check(10, 2), Err(EventError::NotUtf8(2)));
        let large = NewEvent { data: &[b'x'; 11], ..base.clone() };
        assert_eq!(large.check(10, 2), Err(EventError::TooLarge { size: 11, limit: 10 }));
        assert_eq!(NewEvent::default().check(10, 2), Err(EventError::NoTopic));
        let many = NewEvent { topics: vec!["t"; 3], ..base.clone() };
        assert_eq!(many.check(10, 2), Err(EventError::TooManyTopics { count: 3, limit: 2 }));
        for id in ["1763712000000-0", "99999999999999-7"] {
            assert_eq!(NewEvent { id: Some(id), ..base.clone() }.check(10, 2), Err(EventError::LikeOurs(id.into())));
        }
        for id in ["42-1", "1763712000000", "a1763712000000-0"] {
            assert_eq!(NewEvent { id: Some(id), ..base.clone() }.check(10, 2), Ok(()));
        }
        assert_eq!(NewEvent { id: Some(""), ..base.clone() }.check(10, 2), Err(EventError::Empty("event id")));
        for key in [String::new(), "x".repeat(MAX_KEY_LEN + 1)] {
            assert_eq!(NewEvent { key: Some(&key), ..base.clone() }.check(10, 2), Err(EventError::Key(key.len())));
        }
        let limit = "x".repeat(MAX_KEY_LEN);
        assert_eq!(NewEvent { key: Some(&limit), ..base.clone() }.check(10, 2), Ok(()));
        let topics = vec!["t"; MAX_KEYED_TOPICS + 1];
        let keyed = NewEvent { key: Some("k"), topics, ..base.clone() };
        assert_eq!(keyed.check(10, 9999), Err(EventError::KeyedTopics(MAX_KEYED_TOPICS + 1)));
        let limit = "x".repeat(MAX_LINE_LEN);
        assert_eq!(NewEvent { id: Some(&limit), event_type: Some(&limit), ..base }.check(10, 2), Ok(()));
    }
}
