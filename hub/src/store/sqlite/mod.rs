//! The thread that writes the history's [`File`].
//!
//! The ordering thread queues accepted events. This thread writes all queued ones in one commit, and reports them back for
//! delivery. Events that it can't write are not delivered; their publishers get the error.

pub(crate) mod file;
pub(crate) mod forgotten;
mod last_values;
mod rows;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use mio::Waker;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::{info, warn};

use crate::stats::Counter;
use crate::store::history::Watermarks;
use crate::store::report::{Restored, StoreEvent, Stored};
use crate::store::sqlite::file::{File, FileContents, FileError};
use crate::store::sqlite::forgotten::Forgotten;
use crate::util::backlog::Backlog;
use sse_protocol::id::Id;

/// Limits of one commit: events and bytes.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 8 << 20;

/// How much is removed at once, and how long less than that waits for more.
const FORGET: usize = 1000;
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

/// The ordering thread's handle of the store.
#[derive(Debug)]
pub(crate) struct Disk {
    jobs: Sender<FileJob>,
    backlog: Arc<Backlog>,
    accepted: Counter,
    shared: Arc<SqliteStats>,
    thread: JoinHandle<bool>,
}

/// Counters of the store, which an upgrade passes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SqliteCounts {
    written: u64,
    commits: u64,
    failures: u64,
    /// Whether the file's events were read.
    read: bool,
}

/// A job for the thread.
#[derive(Debug)]
enum FileJob {
    Keep(Stored),
    Forget(Box<Forgotten>),
}

/// What the thread shows to `sse_stats()`.
#[derive(Debug, Default)]
struct SqliteStats {
    written: Counter,
    commits: Counter,
    failures: Counter,
    /// Why the file is unusable now.
    problem: Mutex<Option<String>>,
}

/// The thread's state.
struct Writer {
    path: PathBuf,
    sync: bool,
    file: Option<File>,
    jobs: Receiver<FileJob>,
    backlog: Arc<Backlog>,
    shared: Arc<SqliteStats>,
    reports: Sender<StoreEvent>,
    ordering_thread: Arc<Waker>,
    /// What is not removed from the file yet.
    due: Forgotten,
    /// Time of the last attempt to remove it.
    forgot: Instant,
    /// The newest stamp written to the file or found in it.
    newest: Id,
    /// Whether the history has the events that the file had at startup.
    read: bool,
}

impl Disk {
    /// Opens the file and starts the thread. While the file is unusable, publishers get an error.
    pub(crate) fn start(
        path: &Path,
        sync: bool,
        now: Id,
        reports: Sender<StoreEvent>,
        ordering_thread: Arc<Waker>,
    ) -> io::Result<(Self, Option<Restored>)> {
        let (mut writer, jobs) = Writer::new(path, sync, now, reports, ordering_thread);
        let restored = writer.read().inspect_err(|error| writer.fail(error)).ok();
        Ok((Self::run(writer, jobs)?, restored))
    }

    /// Starts the thread after an upgrade, for a file whose events are known up to `newest`. The thread opens the file at first
    /// use. The counters continue from `before`.
    pub(crate) fn resume(
        path: &Path,
        sync: bool,
        newest: Id,
        before: SqliteCounts,
        reports: Sender<StoreEvent>,
        ordering_thread: Arc<Waker>,
    ) -> io::Result<Self> {
        let (mut writer, jobs) = Writer::new(path, sync, newest, reports, ordering_thread);
        writer.read = before.read;
        let add = |counter: &Counter, count: u64| counter.add(usize::try_from(count).unwrap_or_default());
        add(&writer.shared.written, before.written);
        add(&writer.shared.commits, before.commits);
        add(&writer.shared.failures, before.failures);
        let disk = Self::run(writer, jobs)?;
        add(&disk.accepted, before.written + before.failures);
        Ok(disk)
    }

    fn run(writer: Writer, jobs: Sender<FileJob>) -> io::Result<Self> {
        let (backlog, shared) = (Arc::clone(&writer.backlog), Arc::clone(&writer.shared));
        let thread = thread::Builder::new().name("sse-history".into()).spawn(move || writer.run())?;
        Ok(Self { jobs, backlog, accepted: Counter::default(), shared, thread })
    }

    /// Queues an event to be written and then delivered; false if the thread has ended.
    pub(crate) fn keep(&self, kept: Stored) -> bool {
        self.backlog.add(weight(&kept));
        self.accepted.add(1);
        self.jobs.send(FileJob::Keep(kept)).is_ok()
    }

    /// Queues what is to be removed from the file, if there is anything.
    pub(crate) fn forget(&self, forgotten: Forgotten) {
        if forgotten.len() > 0 {
            let _ = self.jobs.send(FileJob::Forget(Box::new(forgotten)));
        }
    }

    /// Whether the backlog is so large that publishers must wait.
    pub(crate) fn is_behind(&self) -> bool {
        self.backlog.is_high()
    }

    /// Writes what is queued, and closes the file. All reports are in the channel when this returns.
    pub(crate) fn close(self) -> SqliteCounts {
        drop(self.jobs);
        let read = self.thread.join().unwrap_or_else(|_| {
            warn!("the history's thread panicked; this is a bug of php-sse");
            false
        });
        let SqliteStats { written, commits, failures, .. } = &*self.shared;
        SqliteCounts { written: written.get(), commits: commits.get(), failures: failures.get(), read }
    }

    /// The store's part of `sse_stats()`.
    pub(crate) fn report(&self) -> serde_json::Value {
        let SqliteStats { written, commits, failures, problem } = &*self.shared;
        json!({
            "waiting": self.accepted.get().saturating_sub(written.get() + failures.get()),
            "written": written.get(),
            "commits": commits.get(),
            "failures": failures.get(),
            "problem": problem.lock().unwrap_or_else(PoisonError::into_inner).as_deref(),
        })
    }
}

impl Writer {
    /// Creates a writer without an open file, and the sender of its jobs.
    fn new(
        path: &Path,
        sync: bool,
        newest: Id,
        reports: Sender<StoreEvent>,
        ordering_thread: Arc<Waker>,
    ) -> (Self, Sender<FileJob>) {
        let (jobs, queue) = crossbeam_channel::unbounded();
        let writer = Self {
            path: path.into(),
            sync,
            file: None,
            jobs: queue,
            backlog: Arc::default(),
            shared: Arc::default(),
            reports,
            ordering_thread,
            due: Forgotten::default(),
            forgot: Instant::now(),
            newest,
            read: false,
        };
        (writer, jobs)
    }

    /// Runs until the ordering thread drops the sender. Returns whether the file's events were read.
    fn run(mut self) -> bool {
        loop {
            let first = match self.jobs.recv_timeout(FORGET_INTERVAL) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut events = Vec::new();
            let mut bytes = 0;
            for job in first.into_iter().chain(self.jobs.clone().try_iter()) {
                match job {
                    FileJob::Keep(kept) => {
                        bytes += weight(&kept);
                        events.push(kept);
                    }
                    FileJob::Forget(forgotten) => self.due.add(*forgotten),
                }
                if events.len() >= BATCH || bytes >= BATCH_BYTES {
                    break;
                }
            }
            if events.is_empty() && !self.read {
                match self.ready() {
                    Ok(()) => self.succeed(),
                    Err(error) => self.fail(&error),
                }
            }
            self.keep(events);
            if self.backlog.done(bytes) {
                let _ = self.ordering_thread.wake();
            }
            if self.due.len() >= FORGET || self.forgot.elapsed() >= FORGET_INTERVAL {
                self.forget();
            }
        }
        self.forget();
        if let Some(file) = self.file.take()
            && let Err(error) = file.close()
        {
            warn!(%error, "closing the history's file failed");
        }
        self.read
    }

    fn keep(&mut self, events: Vec<Stored>) {
        if events.is_empty() {
            return;
        }
        let count = events.len();
        let report = match self.write(&events) {
            Ok(()) => {
                self.shared.written.add(count);
                self.shared.commits.add(1);
                self.succeed();
                StoreEvent::Stored(events)
            }
            Err(error) => {
                self.shared.failures.add(count);
                self.fail(&error);
                let tickets = events.iter().filter_map(|kept| kept.ticket).collect();
                let keys = events.into_iter().filter_map(|kept| kept.key).collect();
                StoreEvent::Failed { tickets, keys, reason: error.to_string() }
            }
        };
        // The send fails only if the ordering thread has ended.
        let _ = self.reports.send(report);
        let _ = self.ordering_thread.wake();
    }

    fn write(&mut self, events: &[Stored]) -> Result<(), FileError> {
        self.ready()?;
        // The clock may be behind the stamps found in the file.
        let first = events.first().map_or(self.newest, |kept| kept.stamp);
        let last = events.last().map_or(self.newest, |kept| kept.stamp);
        let Some(file) = self.file.as_mut().filter(|_| first > self.newest) else {
            return Err(FileError::Behind(self.path.display().to_string()));
        };
        file.write(events)?;
        self.newest = last;
        Ok(())
    }

    /// Opens the file if it is not open, or not the one at its path any more.
    fn ready(&mut self) -> Result<(), FileError> {
        if self.file.as_ref().is_some_and(|file| !file.is_still_there()) {
            warn!(path = %self.path.display(), "the history's file was moved or removed; a new one is made");
            self.file = None;
        }
        if self.file.is_some() {
            return Ok(());
        }
        if !self.read {
            let restored = self.read()?;
            let _ = self.reports.send(StoreEvent::Restored(restored));
            let _ = self.ordering_thread.wake();
            return Ok(());
        }
        let newest = self.open()?.newest;
        if newest > self.newest {
            self.newest = newest;
            let _ = self.reports.send(StoreEvent::Found { newest });
        }
        Ok(())
    }

    /// Opens the file for the first time, and reads its events.
    fn read(&mut self) -> Result<Restored, FileError> {
        let watermarks = self.open()?;
        let restored = self.contents(watermarks).inspect_err(|_| self.file = None)?;
        self.newest = self.newest.max(restored.watermarks.newest);
        self.read = true;
        Ok(restored)
    }

    fn open(&mut self) -> Result<Watermarks, FileError> {
        let (file, watermarks) = File::open(&self.path, self.sync, self.newest)?;
        self.file = Some(file);
        Ok(watermarks)
    }

    fn contents(&mut self, watermarks: Watermarks) -> Result<Restored, FileError> {
        let (FileContents { events, finished, begun }, keys, retained) = match &self.file {
            Some(file) => (file.kept()?, file.keys()?, file.retained()?),
            None => Default::default(),
        };
        self.due.begun.extend(begun);
        Ok(Restored { watermarks, events, keys, finished, retained })
    }

    fn forget(&mut self) {
        self.forgot = Instant::now();
        let Some(file) = self.file.as_mut().filter(|_| self.due.len() > 0) else { return };
        match file.forget(&self.due) {
            Ok(()) => self.due = Forgotten::default(),
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &FileError) {
        if error.is_final() {
            self.file = None;
        }
        let text = error.to_string();
        let mut problem = self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if problem.as_ref() != Some(&text) {
            warn!("{text}; events can't be published until then");
            *problem = Some(text);
        }
    }

    fn succeed(&self) {
        let mut problem = self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if mem::take(&mut *problem).is_some() {
            info!("the history's file can be written again");
        }
    }
}

fn weight(kept: &Stored) -> usize {
    kept.event.frame().len() + kept.key.as_ref().map_or(0, |key| key.len()) + size_of::<FileJob>()
}
