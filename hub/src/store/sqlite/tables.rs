//! The tables of the history's file, and their version.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::store::sqlite::rows::{LATEST, number};
use sse_protocol::id::Id;

/// "sseh": the application id in the file's header.
const APPLICATION: i32 = 0x7373_6568;

/// Version of the tables.
const SCHEMA: i32 = 1;

/// Number of tables with the later ones.
const TABLE_COUNT: i64 = 7;

/// The columns of an event: those of `rows.rs`.
const EVENT: &str = "
    ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    topics TEXT NOT NULL,
    name TEXT,
    retry INTEGER,
    data TEXT NOT NULL";

/// `event` and `topic` mirror [`crate::store::history::History`]; `mark` has the rows `began`, `forgotten` and `own_forgotten`.
fn first_tables() -> String {
    format!(
        "
        CREATE TABLE event ({EVENT}, {LATEST} INTEGER, PRIMARY KEY (ms, seq)) WITHOUT ROWID;
        CREATE TABLE topic (
            name TEXT PRIMARY KEY,
            forgotten_ms INTEGER NOT NULL,
            forgotten_seq INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE mark (
            name TEXT PRIMARY KEY,
            ms INTEGER NOT NULL,
            seq INTEGER NOT NULL
        ) WITHOUT ROWID;
        "
    )
}

/// Tables that were added later: a file of before gets them, and a hub of before leaves them alone. `key` has the publications
/// with a key: its stamp, and the id of the event; `finished` the last event of each finished topic; `retained` the last value of
/// each topic, by its stamp in `retained_event`.
fn later_tables() -> String {
    format!(
        "
        CREATE TABLE IF NOT EXISTS key (
            name TEXT PRIMARY KEY,
            ms INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            id TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS finished (topic TEXT PRIMARY KEY, {EVENT}) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS retained (
            topic TEXT PRIMARY KEY,
            ms INTEGER NOT NULL,
            seq INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS retained_by_age ON retained (ms, seq);
        CREATE TABLE IF NOT EXISTS retained_event ({EVENT}, PRIMARY KEY (ms, seq)) WITHOUT ROWID;
        "
    )
}

/// Sets up the connection, and the tables of a new file. Returns what is wrong with existing tables.
pub(super) fn prepare(connection: &mut Connection, sync: bool, now: Id) -> rusqlite::Result<Option<String>> {
    let value = |pragma| connection.pragma_query_value::<i32, _>(None, pragma, |row| row.get(0));
    let (application, schema) = (value("application_id")?, value("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))?;
    match (application, schema, tables) {
        (APPLICATION, SCHEMA, _) | (0, 0, 0) => {}
        (APPLICATION, other, _) => {
            return Ok(Some(format!(
                "was written by another version of php-sse (its tables are version {other}, this one's {SCHEMA}); move it \
                 away, or go back to that version"
            )));
        }
        _ => return Ok(Some("is a database of another program; choose another path".into())),
    }
    if tables == 0 {
        // This must come before the first table. In a file with tables it has no effect, yet waits for another program's lock.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", if sync { "FULL" } else { "NORMAL" })?;
    connection.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))?;
    if tables >= TABLE_COUNT && has_latest(connection)? {
        return Ok(None);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(&later_tables())?;
    if tables > 0 {
        if !has_latest(&transaction)? {
            transaction.execute_batch(&format!("ALTER TABLE event ADD COLUMN {LATEST} INTEGER"))?;
        }
        transaction.commit()?;
        return Ok(None);
    }
    transaction.execute_batch(&first_tables())?;
    set_mark(&transaction, "began", now)?;
    set_mark(&transaction, "forgotten", Id::default())?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    Ok(None)
}

/// Whether the table `event` has the column that was added later; a hub of before leaves it empty.
fn has_latest(connection: &Connection) -> rusqlite::Result<bool> {
    let count = "SELECT count(*) FROM pragma_table_info('event') WHERE name = ?";
    connection.query_row(count, [LATEST], |row| row.get(0))
}

/// Keeps a stamp under a name in the table `mark`.
pub(super) fn set_mark(transaction: &Transaction<'_>, name: &str, stamp: Id) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached("REPLACE INTO mark VALUES (?, ?, ?)")?;
    statement.execute(params![name, number(stamp.ms), number(stamp.seq)]).map(|_| ())
}
