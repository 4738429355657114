//! The history's SQLite file: its lock, reads and writes.
//!
//! The file is in WAL mode, so that any SQLite tool can read it while a hub writes. One hub at a time owns it, by a lock on a
//! file beside it.

use std::collections::HashMap;
use std::fs::{File as LockFile, OpenOptions};
use std::io;
use std::iter;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, Row, ToSql, Transaction, TransactionBehavior, params, params_from_iter,
};
use rustix::fs::FlockOperation;
use thiserror::Error;

use crate::event::Event;
use crate::store::finished::{Dropped, LastEvent, Topic};
use crate::store::history::Watermarks;
use crate::store::report::{KnownKey, Stored};
use crate::store::retained::LastValue;
use crate::store::sqlite::forgotten::Forgotten;
use crate::store::sqlite::last_values;
use crate::store::sqlite::rows::{COLUMNS, EventRow, LATEST, event, number, stamp};
use crate::store::sqlite::tables::{prepare, set_mark};
use sse_protocol::id::Id;

/// How long a statement waits for another program's lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Free pages in the file before some go back to the file system.
const FREE_PAGES: i64 = 256;

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

/// What the file has kept.
#[derive(Debug, Default)]
pub(crate) struct FileContents {
    /// Sorted by stamp.
    pub(crate) events: Vec<(Id, Arc<Event>)>,
    pub(crate) finished: Vec<Topic>,
    /// Topics in the table of finished ones that have begun anew.
    pub(crate) begun: Vec<Dropped>,
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

    /// Reads all events and finished topics.
    pub(crate) fn kept(&self) -> Result<FileContents, FileError> {
        self.read().map_err(|error| self.failed(error))
    }

    fn read(&self) -> rusqlite::Result<FileContents> {
        let mut statement = self.connection.prepare(&format!("SELECT {COLUMNS}, topic FROM finished"))?;
        let finished = statement.query_map([], |row| {
            let (stamp, event) = event(row, true, false)?;
            Ok((row.get(7)?, LastEvent { stamp, event }))
        })?;
        let mut finished = finished.collect::<rusqlite::Result<HashMap<Box<str>, LastEvent>>>()?;
        let last: HashMap<Id, Arc<Event>> =
            finished.values().map(|last| (last.stamp, Arc::clone(&last.event))).collect();
        let mut statement =
            self.connection.prepare(&format!("SELECT {COLUMNS}, {LATEST} FROM event ORDER BY ms, seq"))?;
        let mut events = Vec::new();
        let mut begun = Vec::new();
        for row in statement.query_map([], |row| event(row, false, row.get::<_, Option<bool>>(7)?.unwrap_or(false)))? {
            let (stamp, event) = row?;
            // An earlier hub may have been killed before it deleted them.
            for topic in event.topics() {
                if let Some(last) = finished.get(topic).filter(|last| last.stamp < stamp) {
                    begun.push((topic.clone(), last.stamp));
                    finished.remove(topic);
                }
            }
            events.push((stamp, last.get(&stamp).map_or(event, Arc::clone)));
        }
        Ok(FileContents { events, finished: finished.into_iter().collect(), begun })
    }

    /// Reads all keys of publications, by age.
    pub(crate) fn keys(&self) -> Result<Vec<KnownKey>, FileError> {
        let read = || {
            let mut statement = self.connection.prepare("SELECT name, id, ms, seq FROM key ORDER BY ms, seq")?;
            let text = |row: &Row<'_>, column| row.get::<_, String>(column).map(Into::into);
            let keys = statement
                .query_map([], |row| Ok(KnownKey { key: text(row, 0)?, id: text(row, 1)?, stamp: stamp(row, 2)? }))?;
            keys.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| self.failed(error))
    }

    /// Reads all last values, by age.
    pub(crate) fn retained(&self) -> Result<Vec<LastValue>, FileError> {
        last_values::read(&self.connection).map_err(|error| self.failed(error))
    }

    /// Writes events, their keys and last values in one transaction: all of them or, on an error, none.
    pub(crate) fn write(&mut self, events: &[Stored]) -> Result<(), FileError> {
        let written = self.transaction(|transaction| {
            let insert = format!("INSERT INTO event ({COLUMNS}, {LATEST}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
            let mut insert = transaction.prepare_cached(&insert)?;
            let mut last = transaction.prepare_cached("REPLACE INTO finished VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
            let mut know = transaction.prepare_cached("REPLACE INTO key (name, ms, seq, id) VALUES (?, ?, ?, ?)")?;
            for Stored { stamp, event, key, retain, .. } in events {
                let row = EventRow::new(*stamp, event);
                let latest = event.latest().is_some();
                insert.execute(params_from_iter(row.values().into_iter().chain([&latest as &dyn ToSql])))?;
                if let Some(key) = key {
                    know.execute(params![key, row.ms, row.seq, row.id])?;
                }
                for topic in event.topics().iter().filter(|_| event.finishes()) {
                    let topic: &dyn ToSql = topic;
                    last.execute(params_from_iter(iter::once(topic).chain(row.values())))?;
                }
                if *retain {
                    last_values::keep(transaction, event, &row)?;
                }
            }
            Ok(())
        });
        written.map_err(|error| self.failed(error))
    }

    /// Removes what is forgotten, and returns free pages to the file system.
    pub(crate) fn forget(&mut self, forgotten: &Forgotten) -> Result<(), FileError> {
        let Forgotten { evictions, keys, begun, retained } = forgotten;
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
            // One that was published again has another stamp.
            let mut delete = transaction.prepare_cached("DELETE FROM key WHERE name = ? AND ms = ? AND seq = ?")?;
            for KnownKey { key, stamp, .. } in keys {
                delete.execute(params![key, number(stamp.ms), number(stamp.seq)])?;
            }
            // The topic may be finished again meanwhile.
            let mut delete =
                transaction.prepare_cached("DELETE FROM finished WHERE topic = ? AND ms = ? AND seq = ?")?;
            for (topic, stamp) in begun {
                delete.execute(params![topic, number(stamp.ms), number(stamp.seq)])?;
            }
            for (topic, stamp) in retained {
                last_values::release(transaction, topic, Some(*stamp))?;
            }
            if evictions.events.is_empty() {
                return Ok(());
            }
            set_mark(transaction, "forgotten", evictions.forgotten)?;
            set_mark(transaction, "own_forgotten", evictions.own_forgotten)
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
    connection.busy_timeout(LOCK_TIMEOUT).map_err(failed)?;
    if let Some(problem) = prepare(&mut connection, sync, now).map_err(failed)? {
        return Err(FileError::Foreign { path: name.into(), problem });
    }
    let watermarks = watermarks(&connection).map_err(failed)?;
    Ok((connection, watermarks))
}

fn watermarks(connection: &Connection) -> rusqlite::Result<Watermarks> {
    let mut watermarks = Watermarks::default();
    let mut own_forgotten = None;
    let mut statement = connection.prepare("SELECT name, ms, seq FROM mark")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match row.get::<_, String>(0)?.as_str() {
            "began" => watermarks.began = stamp(row, 1)?,
            "forgotten" => watermarks.forgotten = stamp(row, 1)?,
            "own_forgotten" => own_forgotten = Some(stamp(row, 1)?),
            _ => {}
        }
    }
    // Files of earlier versions have one mark for both.
    watermarks.own_forgotten = own_forgotten.unwrap_or(watermarks.forgotten);
    let mut statement = connection.prepare("SELECT name, forgotten_ms, forgotten_seq FROM topic")?;
    let topics = statement.query_map([], |row| Ok((row.get(0)?, stamp(row, 1)?)))?;
    watermarks.topics = topics.collect::<rusqlite::Result<HashMap<_, _>>>()?;
    let mut statement = connection.prepare("SELECT ms, seq FROM event ORDER BY ms DESC, seq DESC LIMIT 1")?;
    let newest = statement.query_map([], |row| stamp(row, 0))?.next().transpose()?;
    let forgotten = watermarks
        .topics
        .values()
        .copied()
        .max()
        .unwrap_or_default()
        .max(watermarks.forgotten)
        .max(watermarks.own_forgotten);
    watermarks.newest = newest.unwrap_or_default().max(watermarks.began).max(forgotten);
    Ok(watermarks)
}
