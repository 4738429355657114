//! The history's SQLite file: its tables, reads and writes.
//!
//! The file is in WAL mode, so that any SQLite tool can read it while a hub writes. One hub at a time owns it, by a lock on a
//! file beside it.

use std::collections::HashMap;
use std::fs::{File as LockFile, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, TransactionBehavior, params};
use rustix::fs::FlockOperation;
use thiserror::Error;

use crate::event::Event;
use crate::store::history::{Evictions, Watermarks};
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;

/// "sseh": the application id in the file's header.
const APPLICATION: i32 = 0x7373_6568;

/// Version of the tables.
const SCHEMA: i32 = 1;

/// How long a statement waits for another program's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Free pages in the file before some go back to the file system.
const FREE_PAGES: i64 = 256;

/// `event` and `topic` mirror [`crate::store::history::History`]; `mark` has the rows `began` and `forgotten`.
const TABLES: &str = "
    CREATE TABLE event (
        ms INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        id TEXT NOT NULL,
        topics TEXT NOT NULL,
        name TEXT,
        retry INTEGER,
        data TEXT NOT NULL,
        PRIMARY KEY (ms, seq)
    ) WITHOUT ROWID;
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
";

/// Why the file is unusable, or unusable for now.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    /// The folder or the permissions are wrong.
    #[error("sse.history: opening {path} failed: {error}; the folder must exist, and the hub's user may write to it")]
    Open { path: String, error: io::Error },
    /// Another hub owns the file.
    #[error("sse.history: {0} is in use by another hub; give each sse.namespace a file of its own")]
    InUse(String),
    /// The tables are another program's, or of an unknown version.
    #[error("sse.history: {path} {problem}")]
    Foreign { path: String, problem: String },
    /// The event is older than the newest one in the file.
    #[error("sse.history: {0} has events that are newer than this machine's clock; publish again")]
    Behind(String),
    /// An error of SQLite.
    #[error("sse.history: {path}: {error}{}", advice(error))]
    Sqlite { path: String, error: rusqlite::Error },
}

/// The remedy for an SQLite error, as a suffix of its text.
fn advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; make room on the disk",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "; the file, its folder and the files beside it must be writable by the hub's user"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "; another program keeps it locked",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "; move it away, or repair it with sqlite3's .recover: a new one is made then"
        }
        _ => "",
    }
}

impl FileError {
    /// Whether the open file is useless from now on.
    pub(crate) fn is_final(&self) -> bool {
        let Self::Sqlite { error, .. } = self else { return false };
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }
}

/// An open file and its lock.
#[derive(Debug)]
pub(crate) struct File {
    path: String,
    connection: Connection,
    /// Device and inode of the opened file.
    identity: (u64, u64),
    /// Held as long as the file is open.
    _lock: LockFile,
}

impl File {
    /// Opens or creates the file, and reads its watermarks; a new one begins at the stamp `now`. With `sync`, a commit is on
    /// the disk when it returns; without, it is in the operating system's cache.
    pub(crate) fn open(path: &Path, sync: bool, now: Id) -> Result<(Self, Watermarks), FileError> {
        let name = path.display().to_string();
        let failed = |error| FileError::Open { path: name.clone(), error };
        let private =
            |path: &Path| OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
        let lock = private(&path.with_added_extension("lock")).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(FileError::InUse(name)),
            Err(error) => return Err(failed(error.into())),
        }
        // SQLite would create the file with default permissions.
        drop(private(path).map_err(failed)?);
        let (connection, watermarks) = connect(path, &name, sync, now)?;
        let identity = identity(path).map_err(failed)?;
        Ok((Self { path: name, connection, identity, _lock: lock }, watermarks))
    }

    /// Whether the path still leads to this file: events written to a file that was moved away are lost.
    pub(crate) fn is_still_there(&self) -> bool {
        identity(Path::new(&self.path)).is_ok_and(|identity| identity == self.identity)
    }

    /// Reads all events, sorted by stamp.
    pub(crate) fn events(&self) -> Result<Vec<(Id, Arc<Event>)>, FileError> {
        let read = || {
            let mut statement =
                self.connection.prepare("SELECT ms, seq, id, topics, name, retry, data FROM event ORDER BY ms, seq")?;
            let events = statement.query_map([], event)?;
            events.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| self.failed(error))
    }

    /// Writes events in one transaction: all of them or, on an error, none.
    pub(crate) fn write<'a>(&mut self, events: impl Iterator<Item = (Id, &'a Event)>) -> Result<(), FileError> {
        let written = self.transaction(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO event (ms, seq, id, topics, name, retry, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            for (stamp, event) in events {
                let topics = serde_json::json!(event.topics()).to_string();
                // Publishing checked that it is UTF-8.
                let data = std::str::from_utf8(event.data()).unwrap_or_default();
                let (ms, seq) = (number(stamp.ms), number(stamp.seq));
                statement.execute(params![ms, seq, event.id(), topics, event.name(), event.retry(), data])?;
            }
            Ok(())
        });
        written.map_err(|error| self.failed(error))
    }

    /// Applies evictions, and returns free pages to the file system.
    pub(crate) fn forget(&mut self, evictions: &Evictions) -> Result<(), FileError> {
        let forgotten = self.transaction(|transaction| {
            let mut delete = transaction.prepare_cached("DELETE FROM event WHERE ms = ? AND seq = ?")?;
            for stamp in &evictions.events {
                delete.execute([number(stamp.ms), number(stamp.seq)])?;
            }
            let mut set = transaction.prepare_cached("REPLACE INTO topic VALUES (?, ?, ?)")?;
            let mut unset = transaction.prepare_cached("DELETE FROM topic WHERE name = ?")?;
            for (name, mark) in &evictions.topics {
                match mark {
                    Some(stamp) => set.execute(params![name, number(stamp.ms), number(stamp.seq)])?,
                    None => unset.execute([name])?,
                };
            }
            set_mark(transaction, "forgotten", evictions.forgotten)
        });
        forgotten.and_then(|()| self.shrink()).map_err(|error| self.failed(error))
    }

    fn shrink(&self) -> rusqlite::Result<()> {
        let value = |pragma| self.connection.pragma_query_value::<i64, _>(None, pragma, |row| row.get(0));
        let free = value("freelist_count")?;
        if free > FREE_PAGES && free > value("page_count")? / 2 {
            self.connection.execute_batch(&format!("PRAGMA incremental_vacuum({FREE_PAGES})"))?;
        }
        Ok(())
    }

    /// Closes the file; SQLite merges the WAL into it.
    pub(crate) fn close(self) -> Result<(), FileError> {
        let Self { path, connection, .. } = self;
        connection.close().map_err(|(_, error)| FileError::Sqlite { path, error })
    }

    fn transaction(&mut self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        transaction.commit()
    }

    fn failed(&self, error: rusqlite::Error) -> FileError {
        FileError::Sqlite { path: self.path.clone(), error }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn connect(path: &Path, name: &str, sync: bool, now: Id) -> Result<(Connection, Watermarks), FileError> {
    let failed = |error| FileError::Sqlite { path: name.into(), error };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(LOCK_PATIENCE).map_err(failed)?;
    if let Some(problem) = prepare(&mut connection, sync, now).map_err(failed)? {
        return Err(FileError::Foreign { path: name.into(), problem });
    }
    let watermarks = watermarks(&connection).map_err(failed)?;
    Ok((connection, watermarks))
}

/// Sets up the connection, and the tables of a new file. Returns what is wrong with existing tables.
fn prepare(connection: &mut Connection, sync: bool, now: Id) -> rusqlite::Result<Option<String>> {
    let value = |pragma| connection.pragma_query_value::<i32, _>(None, pragma, |row| row.get(0));
    let (application, schema) = (value("application_id")?, value("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
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
    if tables > 0 {
        return Ok(None);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    set_mark(&transaction, "began", now)?;
    set_mark(&transaction, "forgotten", Id::default())?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    Ok(None)
}

fn set_mark(transaction: &Transaction<'_>, name: &str, stamp: Id) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached("REPLACE INTO mark VALUES (?, ?, ?)")?;
    statement.execute(params![name, number(stamp.ms), number(stamp.seq)]).map(|_| ())
}

fn watermarks(connection: &Connection) -> rusqlite::Result<Watermarks> {
    let mut watermarks = Watermarks::default();
    let mut statement = connection.prepare("SELECT name, ms, seq FROM mark")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match row.get::<_, String>(0)?.as_str() {
            "began" => watermarks.began = stamp(row, 1)?,
            "forgotten" => watermarks.forgotten = stamp(row, 1)?,
            _ => {}
        }
    }
    let mut statement = connection.prepare("SELECT name, forgotten_ms, forgotten_seq FROM topic")?;
    let topics = statement.query_map([], |row| Ok((row.get(0)?, stamp(row, 1)?)))?;
    watermarks.topics = topics.collect::<rusqlite::Result<HashMap<_, _>>>()?;
    let mut statement = connection.prepare("SELECT ms, seq FROM event ORDER BY ms DESC, seq DESC LIMIT 1")?;
    let newest = statement.query_map([], |row| stamp(row, 0))?.next().transpose()?;
    let forgotten = watermarks.topics.values().copied().max().unwrap_or_default().max(watermarks.forgotten);
    watermarks.newest = newest.unwrap_or_default().max(watermarks.began).max(forgotten);
    Ok(watermarks)
}

fn event(row: &Row<'_>) -> rusqlite::Result<(Id, Arc<Event>)> {
    let (id, topics): (String, String) = (row.get(2)?, row.get(3)?);
    let (name, retry, data): (Option<String>, Option<u32>, String) = (row.get(4)?, row.get(5)?, row.get(6)?);
    let bad = |error| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error));
    let topics: Vec<String> = serde_json::from_str(&topics).map_err(bad)?;
    let topics = topics.iter().map(AsRef::as_ref).collect();
    let new = NewEvent { topics, name: name.as_deref(), id: None, retry, data: data.as_bytes() };
    Ok((stamp(row, 0)?, Arc::new(Event::new(&new, &id))))
}

fn stamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Id> {
    let unsigned = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Id { ms: unsigned(column)?, seq: unsigned(column + 1)? })
}

/// Casts to SQLite's signed integers; a time in milliseconds reaches the sign bit after 292 million years.
fn number(value: u64) -> i64 {
    value.cast_signed()
}
