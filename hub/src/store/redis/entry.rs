//! Events as entries of a Redis stream: fields that any program can write and read.
//!
//! ```text
//! XADD sse * topic chat.general data hello                        redis-cli
//! XADD sse * topic a topic b data … event note id 7 retry 500 retain 1 latest 1 hub 9c…-17
//! XADD sse * topic job.7 data done finish 1                       the topic's last event
//! ```

use std::fmt;

use redis::Value;
use thiserror::Error;

use crate::event::Event;
use sse_protocol::event::{EventError, NewEvent, is_traceparent};
use sse_protocol::id::Id;
use sse_protocol::wire::{MAX_EVENT_SIZE, MAX_TOPICS};

/// Identifies a publication: the hub process and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) hub: u64,
    pub(crate) number: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.hub, self.number)
    }
}

impl Origin {
    fn parse(text: &[u8]) -> Option<Self> {
        let (hub, number) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { hub: u64::from_str_radix(hub, 16).ok()?, number: number.parse().ok()? })
    }
}

/// Limits for the entries of other programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryLimits {
    pub(crate) event_size: usize,
    pub(crate) topics: usize,
}

/// A parsed entry.
#[derive(Debug)]
pub(crate) struct BusEntry {
    pub(crate) id: Id,
    /// Approximate bytes of all fields.
    pub(crate) size: usize,
    /// The hub's publication; `None` if another program wrote the entry.
    pub(crate) origin: Option<Origin>,
    /// Whether the event becomes the last value of its topics.
    pub(crate) retain: bool,
    /// The event, or why the entry is not a valid one.
    pub(crate) event: Result<Event, InvalidEntry>,
}

/// Why an entry is not an event.
#[derive(Debug, Error)]
pub(crate) enum InvalidEntry {
    #[error("{0} is not UTF-8")]
    NotUtf8(String),
    #[error("retry is not a number of milliseconds")]
    Retry,
    #[error("spread is not a number of milliseconds")]
    Spread,
    #[error("it has no field 'data'")]
    NoData,
    #[error(transparent)]
    Event(#[from] EventError),
}

/// The fields of an event, as names and values.
pub(crate) fn fields(new: &NewEvent<'_>, origin: Origin) -> Vec<(&'static str, Vec<u8>)> {
    let mut fields: Vec<(&str, Vec<u8>)> = new.topics.iter().map(|topic| ("topic", topic.as_bytes().into())).collect();
    fields.push(("data", new.data.into()));
    fields.extend(new.event_type.map(|event_type| ("event", event_type.as_bytes().into())));
    fields.extend(new.id.map(|id| ("id", id.as_bytes().into())));
    fields.extend(new.retry.map(|retry| ("retry", retry.to_string().into_bytes())));
    fields.extend(new.finishes.then(|| ("finish", b"1".into())));
    if new.retain {
        fields.push(("retain", b"1".into()));
    }
    fields.extend(new.latest.then(|| ("latest", b"1".into())));
    fields.extend((new.spread > 0).then(|| ("spread", new.spread.to_string().into_bytes())));
    fields.extend(new.except.map(|except| ("except", except.as_bytes().into())));
    fields.extend(new.traceparent.map(|traceparent| ("traceparent", traceparent.as_bytes().into())));
    fields.push(("hub", origin.to_string().into_bytes()));
    fields
}

/// Parses an answer of XRANGE, or of XREAD for one stream. `None` if it is malformed.
pub(crate) fn entries(value: &Value, limits: EntryLimits) -> Option<Vec<BusEntry>> {
    let entries = match value {
        Value::Array(entries) => entries,
        Value::Nil => return Some(Vec::new()),
        _ => return None,
    };
    entries.iter().map(|entry| read(entry, limits)).collect()
}

/// Extracts the entries from an answer of XREAD for one stream.
pub(crate) fn of_stream(value: &Value) -> Option<&Value> {
    let Value::Array(streams) = value else { return (*value == Value::Nil).then_some(&Value::Nil) };
    match &streams[..] {
        [Value::Array(stream)] => stream.get(1),
        _ => None,
    }
}

/// The id of an entry.
pub(crate) fn id(value: &Value) -> Option<Id> {
    let Value::Array(parts) = value else { return None };
    parts.first().and_then(text).and_then(Id::parse)
}

/// The text of a Redis value.
pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn read<'a>(entry: &'a Value, limits: EntryLimits) -> Option<BusEntry> {
    let id = id(entry)?;
    let Value::Array(parts) = entry else { return None };
    // An entry deleted during the read has no fields.
    let fields: &[Value] = if let Some(Value::Array(fields)) = parts.get(1) { fields } else { &[] };
    let bytes = |value: &'a Value| if let Value::BulkString(bytes) = value { Some(&bytes[..]) } else { None };
    let fields: Vec<&[u8]> = fields.iter().map(bytes).collect::<Option<_>>()?;
    let size = fields.iter().map(|field| field.len() + 16).sum();
    let mut origin = None;
    let event = event(id, &fields, &mut origin, limits);
    let retain = fields.chunks(2).any(|pair| pair == [&b"retain"[..], b"1"]);
    Some(BusEntry { id, size, origin, retain, event })
}

fn event(id: Id, fields: &[&[u8]], origin: &mut Option<Origin>, limits: EntryLimits) -> Result<Event, InvalidEntry> {
    let mut new = NewEvent::default();
    let mut data = None;
    for pair in fields.chunks(2) {
        let [name, value] = pair else { break };
        let word =
            || std::str::from_utf8(value).map_err(|_| InvalidEntry::NotUtf8(String::from_utf8_lossy(name).into()));
        match *name {
            b"topic" => new.topics.push(word()?),
            b"data" => data = Some(*value),
            b"event" => new.event_type = Some(word()?),
            b"id" => new.id = Some(word()?),
            b"retry" => new.retry = Some(word()?.parse().map_err(|_| InvalidEntry::Retry)?),
            b"finish" => new.finishes = *value == b"1",
            b"latest" => new.latest = *value == b"1",
            b"spread" => new.spread = word()?.parse().map_err(|_| InvalidEntry::Spread)?,
            b"except" => new.except = Some(word()?),
            // Of another program it may be anything.
            b"traceparent" => new.traceparent = word().ok().filter(|text| is_traceparent(text)),
            b"hub" => *origin = Origin::parse(value),
            // Other programs may add fields of their own.
            _ => {}
        }
    }
    new.data = data.ok_or(InvalidEntry::NoData)?;
    // All hubs deliver what one hub has accepted, whatever their own limits are.
    let EntryLimits { event_size, topics } = match origin {
        Some(_) => EntryLimits { event_size: MAX_EVENT_SIZE as usize, topics: MAX_TOPICS as usize },
        None => limits,
    };
    new.check(event_size, topics)?;
    Ok(match new.id {
        Some(own) => Event::new(&new, own),
        None => Event::new(&new, &id.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: EntryLimits = EntryLimits { event_size: 10, topics: 2 };

    fn bulk(text: &[u8]) -> Value {
        Value::BulkString(text.into())
    }

    fn entry(fields: &[(&str, &[u8])]) -> Value {
        let fields = fields.iter().flat_map(|(name, value)| [bulk(name.as_bytes()), bulk(value)]).collect();
        Value::Array(vec![bulk(b"5-1"), Value::Array(fields)])
    }

    fn read_one(fields: &[(&str, &[u8])]) -> BusEntry {
        let mut entries = entries(&Value::Array(vec![entry(fields)]), LIMITS).expect("entries");
        entries.pop().expect("one")
    }

    #[test]
    fn what_is_no_trace_is_left_out_and_the_event_stays() {
        let fields: [(&str, &[u8]); 3] = [("topic", b"a"), ("data", b"x"), ("traceparent", b"00-\xff")];
        assert_eq!(read_one(&fields).event.expect("an event").traceparent(), None);
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let new = NewEvent {
            topics: vec!["a", "b"],
            event_type: Some("note"),
            id: Some("own"),
            retry: Some(7),
            except: Some("stream"),
            data: b"one\ntwo, and more than the limit of others",
            key: None,
            finishes: true,
            retain: true,
            latest: true,
            spread: 60_000,
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        };
        let origin = Origin { hub: 0xabc, number: 17 };
        let fields = fields(&new, origin);
        let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (*name, &value[..])).collect();
        let read = read_one(&fields);
        assert_eq!((read.id, read.origin, read.retain), (Id { ms: 5, seq: 1 }, Some(origin), true));
        let (event, expected) = (read.event.expect("an event"), Event::new(&new, "own"));
        assert_eq!((event.frame(), event.topics()), (expected.frame(), expected.topics()));
        assert!(event.finishes() && event.spread() == 60_000);
        assert_eq!(event.traceparent(), new.traceparent);
        assert_eq!((event.except(), event.latest().map(|latest| &**latest)), (Some("stream"), Some("a\nb")));
    }

    #[test]
    fn another_programs_entry_needs_a_topic_and_data_and_gets_redis_s_id() {
        let event = read_one(&[("topic", b"a"), ("data", b"x"), ("trace", b"\xff")]).event.expect("an event");
        assert_eq!(event.frame(), b"id: 5-1\ndata: x\n\n");
        for (fields, said) in [
            (&[("data", &b"x"[..])][..], "no topic given"),
            (&[("topic", b"a")], "it has no field 'data'"),
            (&[("topic", b"a.*"), ("data", b"x")], "wildcards"),
            (&[("topic", b"\xff"), ("data", b"x")], "topic is not UTF-8"),
            (&[("topic", b"a"), ("data", b"x\xff")], "not valid UTF-8"),
            (&[("topic", b"a"), ("data", b"x"), ("id", b"1\n2")], "line break"),
            (&[("topic", b"a"), ("data", b"x"), ("retry", b"soon")], "retry is not a number"),
            (&[("topic", b"a"), ("data", b"x"), ("spread", b"soon")], "spread is not a number"),
            (&[("topic", b"a"), ("data", b"x"), ("spread", b"60001")], "spread is 60001 ms"),
            (&[("topic", b"a"), ("data", b"much too long")], "sse.max_event_size"),
            (&[], "it has no field 'data'"),
        ] {
            let problem = read_one(fields).event.expect_err("no event").to_string();
            assert!(problem.contains(said), "{problem}");
        }
    }

    proptest! {
        /// Attack: a server answers with arbitrary bytes, which must not crash the hub.
        #[test]
        fn no_answer_can_crash_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200), start in 0..4_usize) {
            let start: &[u8] = [&b""[..], b"*1\r\n*2\r\n$3\r\n5-1\r\n", b"*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n", b"*1\r\n*2\r\n"][start];
            if let Ok(value) = redis::parse_redis_value(&[start, &bytes].concat()) {
                let _ = (entries(&value, LIMITS), of_stream(&value), id(&value), text(&value));
            }
        }

        #[test]
        fn no_fields_can_crash_the_reader(
            fields in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9),
            names in proptest::collection::vec(0..8_usize, 9),
        ) {
            let known = ["topic", "data", "event", "id", "retry", "hub", "latest", ""];
            let fields: Vec<_> = fields.iter().zip(names).map(|(value, name)| (known[name], &value[..])).collect();
            let _ = read_one(&fields);
        }
    }

    #[test]
    fn what_is_no_entry_is_noticed() {
        assert!(entries(&Value::Int(1), LIMITS).is_none());
        assert!(entries(&Value::Array(vec![Value::Int(1)]), LIMITS).is_none());
        assert!(entries(&Value::Nil, LIMITS).is_some_and(|entries| entries.is_empty()));
        let deleted = Value::Array(vec![Value::Array(vec![bulk(b"5-1"), Value::Nil])]);
        assert!(entries(&deleted, LIMITS).is_some_and(|entries| entries[0].event.is_err()));
    }
}
