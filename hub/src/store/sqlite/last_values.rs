//! The last values in the file: `retained`, from a topic to the stamp of its event; `retained_event`, from a stamp to the event.

use std::sync::Arc;

use rusqlite::{Connection, Transaction, params};

use crate::event::Event;
use crate::store::retained::LastValue;
use crate::store::sqlite::rows::{COLUMNS, EventRow, event, number, stamp, texts};
use sse_protocol::id::Id;

/// Reads all last values, by age.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<LastValue>> {
    let mut statement = connection.prepare(&format!(
        "SELECT {COLUMNS}, (SELECT json_group_array(topic) FROM retained r WHERE r.ms = e.ms AND r.seq = e.seq) \
         FROM retained_event e ORDER BY ms, seq",
    ))?;
    let values = statement.query_map([], |row| {
        let (stamp, event) = event(row, false, false)?;
        Ok(LastValue { stamp, event: Arc::new(event.without_id()), topics: texts(row, 7)? })
    })?;
    values.collect()
}

/// Makes an event the last value of its topics, or, without data, removes theirs.
pub(super) fn keep(transaction: &Transaction<'_>, event: &Event, row: &EventRow<'_>) -> rusqlite::Result<()> {
    for topic in event.topics() {
        release(transaction, topic, None)?;
    }
    if row.data.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached("INSERT INTO retained_event VALUES (?, ?, ?, ?, ?, ?, ?)")?;
    insert.execute(row.values())?;
    let mut name = transaction.prepare_cached("REPLACE INTO retained VALUES (?, ?, ?)")?;
    for topic in event.topics() {
        name.execute(params![topic, row.ms, row.seq])?;
    }
    Ok(())
}

/// Removes the last value of a topic, of this stamp if one is given, and its event if no other topic has it.
pub(super) fn release(transaction: &Transaction<'_>, topic: &str, only: Option<Id>) -> rusqlite::Result<()> {
    let mut select = transaction.prepare_cached("SELECT ms, seq FROM retained WHERE topic = ?")?;
    let found = select.query_map([topic], |row| stamp(row, 0))?.next().transpose()?;
    let Some(found) = found.filter(|found| only.is_none_or(|only| only == *found)) else { return Ok(()) };
    transaction.prepare_cached("DELETE FROM retained WHERE topic = ?")?.execute([topic])?;
    let mut delete = transaction.prepare_cached(
        "DELETE FROM retained_event WHERE ms = ?1 AND seq = ?2 \
         AND NOT EXISTS (SELECT 1 FROM retained WHERE ms = ?1 AND seq = ?2)",
    )?;
    delete.execute([number(found.ms), number(found.seq)]).map(|_| ())
}
