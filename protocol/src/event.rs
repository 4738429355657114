//! New events as publishers submit them, and the bytes of an event stream.
//!
//! The format is that of the HTML standard, "Server-sent events", 9.2.5 "Parsing an event stream".

use std::ops::Range;

use thiserror::Error;

use crate::id::{self, Id};
use crate::topic::{self, TopicError};

/// Longest id or event name, in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// An event as a publisher submits it.
#[derive(Debug, Clone, Default)]
pub struct NewEvent<'a> {
    /// At least one topic, without wildcards.
    pub topics: Vec<&'a str>,
    /// The event's type; browsers dispatch `None` as `message`.
    pub name: Option<&'a str>,
    /// The publisher's own id; with `None` the hub assigns one.
    pub id: Option<&'a str>,
    /// Reconnection time for the client, in milliseconds.
    pub retry: Option<u32>,
    /// UTF-8 text; may be empty.
    pub data: &'a [u8],
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
    /// An id or name with a character that would end its line in the stream.
    #[error("{what} '{value}' contains a line break or NUL, which would end its line in the stream")]
    LineBreak {
        /// "event id" or "event name".
        what: &'static str,
        /// The value, escaped.
        value: String,
    },
    /// An id that readers can't tell from one that the hub assigned.
    #[error(
        "event id '{0}' has the shape of the hub's own ids; choose another, such as one with a letter, or leave it out"
    )]
    LikeOurs(String),
    /// An empty id or name.
    #[error("{0} must not be empty; leave it out instead")]
    Empty(&'static str),
    /// An id or name longer than [`MAX_NAME_LEN`].
    #[error("{0} is {1} bytes long; at most {MAX_NAME_LEN} are allowed")]
    TooLong(&'static str, usize),
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
        for topic in &self.topics {
            topic::check_topic(topic)?;
        }
        self.check_content()?;
        if let Some(id) = self.id.filter(|id| id::is_like_ours(id)) {
            return Err(EventError::LikeOurs(id.into()));
        }
        if self.data.len() > max_size {
            return Err(EventError::TooLarge { size: self.data.len(), limit: max_size });
        }
        Ok(())
    }

    /// Checks the parts that are written to a stream (id, name, data), but not their size.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_content(&self) -> Result<(), EventError> {
        check_line("event id", self.id)?;
        check_line("event name", self.name)?;
        std::str::from_utf8(self.data).map_err(|e| EventError::NotUtf8(e.valid_up_to()))?;
        Ok(())
    }

    /// Appends the event to `frame` in the stream's format, with this id. Returns the range of the data if it is one line.
    pub fn write(&self, id: Option<&str>, frame: &mut Vec<u8>) -> Option<Range<usize>> {
        if let Some(id) = id {
            field(frame, "id", id.as_bytes());
        }
        if let Some(name) = self.name {
            field(frame, "event", name.as_bytes());
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

/// The last event for a client whose user opened another stream in its place: it sets the reconnection time, in
/// milliseconds, and a page may listen for it.
#[must_use]
pub fn replaced(retry: u32) -> String {
    format!("retry: {retry}\nevent: replaced\ndata: {{\"retry\":{retry}}}\n\n")
}

/// A comment that keeps the connection alive.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// The first bytes of a stream: the reconnection time in milliseconds, or for 0 a comment. Either shows the client at once
/// that it is connected.
#[must_use]
pub fn opening(retry: u32) -> String {
    if retry > 0 { format!("retry: {retry}\n\n") } else { ":\n\n".into() }
}

/// The opening for a reader that resumes from an id: `lines` follow without a blank line in between.
#[must_use]
pub fn opening_at(retry: u32, lines: &str) -> String {
    let mut first = opening(retry);
    first.pop();
    first + lines
}

/// An `id` line alone, which sets the client's last event ID and dispatches nothing: the client then knows its position in
/// the stream before its first event.
#[must_use]
pub fn cursor(id: Id) -> String {
    format!("id: {id}\n\n")
}

/// Checks that a value fits in one line: "the field value" ends at the next CR or LF, and an id with NUL is ignored.
fn check_line(what: &'static str, value: Option<&str>) -> Result<(), EventError> {
    let Some(value) = value else { return Ok(()) };
    if value.is_empty() {
        return Err(EventError::Empty(what));
    }
    if value.len() > MAX_NAME_LEN {
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
        let new = NewEvent { topics: vec!["t"], name: Some("ping"), retry: Some(500), ..Default::default() };
        assert_eq!(frame(&new), "id: 7-0\nevent: ping\nretry: 500\ndata: \n\n");
    }

    #[test]
    fn what_would_break_the_lines_is_refused() {
        let base = NewEvent { topics: vec!["t"], ..Default::default() };
        for value in ["a\nb", "a\rb", "a\0b"] {
            let id = NewEvent { id: Some(value), ..base.clone() };
            assert!(matches!(id.check(10, 2), Err(EventError::LineBreak { what: "event id", .. })));
            let name = NewEvent { name: Some(value), ..base.clone() };
            assert!(matches!(name.check(10, 2), Err(EventError::LineBreak { what: "event name", .. })));
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
        let limit = "x".repeat(MAX_NAME_LEN);
        assert_eq!(NewEvent { id: Some(&limit), name: Some(&limit), ..base }.check(10, 2), Ok(()));
    }
}
