//! How events and stamps are kept in rows.

use std::sync::Arc;

use rusqlite::{Row, ToSql};

use crate::event::Event;
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;

/// The columns of an event.
pub(super) const COLUMNS: &str = "ms, seq, id, topics, name, retry, data";

/// A column that only the table `event` has: 1 if only the newest such event of its topics matters.
pub(super) const LATEST: &str = "latest";

/// An event as it is written.
pub(super) struct EventRow<'a> {
    pub(super) ms: i64,
    pub(super) seq: i64,
    pub(super) id: &'a str,
    /// In JSON.
    topics: String,
    event_type: Option<&'a str>,
    retry: Option<u32>,
    pub(super) data: &'a str,
}

impl<'a> EventRow<'a> {
    /// The row of an event with this stamp.
    pub(super) fn new(stamp: Id, event: &'a Event) -> Self {
        Self {
            ms: number(stamp.ms),
            seq: number(stamp.seq),
            id: event.id(),
            topics: serde_json::json!(event.topics()).to_string(),
            event_type: event.event_type(),
            retry: event.retry(),
            // Publishing checked that it is UTF-8.
            data: std::str::from_utf8(event.data()).unwrap_or_default(),
        }
    }

    /// The values of [`COLUMNS`].
    pub(super) fn values(&self) -> [&dyn ToSql; 7] {
        let Self { ms, seq, id, topics, event_type, retry, data } = self;
        [ms, seq, id, topics, event_type, retry, data]
    }
}

/// Reads an event from its columns. `finishes`: it is the last of its topics; `latest`: only the newest such one matters.
pub(super) fn event(row: &Row<'_>, finishes: bool, latest: bool) -> rusqlite::Result<(Id, Arc<Event>)> {
    let (id, topics): (String, Vec<Box<str>>) = (row.get(2)?, texts(row, 3)?);
    let (event_type, retry, data): (Option<String>, Option<u32>, String) = (row.get(4)?, row.get(5)?, row.get(6)?);
    let topics = topics.iter().map(AsRef::as_ref).collect();
    let new = NewEvent {
        topics,
        event_type: event_type.as_deref(),
        retry,
        data: data.as_bytes(),
        finishes,
        latest,
        ..NewEvent::default()
    };
    Ok((stamp(row, 0)?, Arc::new(Event::new(&new, &id))))
}

/// A column with a JSON list of texts.
pub(super) fn texts(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Box<str>>> {
    let bad = |error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error));
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(bad)
}

/// Reads a stamp from two columns.
pub(super) fn stamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Id> {
    let unsigned = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Id { ms: unsigned(column)?, seq: unsigned(column + 1)? })
}

/// Casts to SQLite's signed integers; a time in milliseconds reaches the sign bit after 292 million years.
pub(super) fn number(value: u64) -> i64 {
    value.cast_signed()
}
