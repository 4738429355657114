//! What the ordering thread has for the other hubs, on its way to the thread that writes it.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::presence::sharing::OwnChange;

/// Most changes that wait here; more wait as what has changed, without values.
const WAITING: usize = 1024;

/// Limits of one batch: changes, and bytes of info.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 128 << 10;

/// How long the writer lets changes gather that come one by one: to wake it costs the ordering thread as much as a join.
const GATHERING: Duration = Duration::from_millis(2);

/// The state shared by the ordering thread and the writer.
#[derive(Debug, Default)]
pub(crate) struct MemberOutbox {
    inner: Mutex<MemberQueue>,
    work: Condvar,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct MemberQueue {
    /// The number of the writer's connection; `None`: it has none.
    connection: Option<u64>,
    changes: VecDeque<OwnChange>,
    /// The writer waits for the first change.
    waits: bool,
    /// The hub ends; whether in good order, for ever.
    ends: Option<bool>,
    /// The writer has ended.
    is_over: bool,
}

/// The writer's next work.
#[derive(Debug)]
pub(crate) enum MemberWork {
    /// Changes; none: the time is over.
    Changes(Vec<OwnChange>),
    /// The hub ends; whether in good order, for ever.
    End(bool),
}

impl MemberOutbox {
    fn inner(&self) -> MutexGuard<'_, MemberQueue> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins, with this number: it wants all members.
    pub(crate) fn begin(&self, connection: u64) {
        let mut inner = self.inner();
        (inner.connection, inner.changes) = (Some(connection), VecDeque::new());
    }

    /// The connection is gone.
    pub(crate) fn away(&self) {
        let mut inner = self.inner();
        (inner.connection, inner.changes) = (None, VecDeque::new());
    }

    /// How many more changes may wait for this connection; `None`: it is gone.
    pub(crate) fn room(&self, connection: u64) -> Option<usize> {
        let inner = self.inner();
        (inner.connection == Some(connection)).then(|| WAITING.saturating_sub(inner.changes.len()))
    }

    /// Queues changes for this connection, unless it is gone.
    pub(crate) fn push(&self, connection: u64, changes: Vec<OwnChange>) {
        let mut inner = self.inner();
        if inner.connection == Some(connection) {
            inner.changes.extend(changes);
            if mem::take(&mut inner.waits) {
                self.work.notify_one();
            }
        }
    }

    /// Waits up to `timeout` for work; also whether there is room again that there was not.
    pub(crate) fn work(&self, timeout: Duration) -> (MemberWork, bool) {
        let deadline = Instant::now() + timeout;
        let mut inner = self.inner();
        loop {
            if let Some(for_ever) = inner.ends {
                return (MemberWork::End(for_ever), false);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !inner.changes.is_empty() || left.is_zero() {
                break;
            }
            inner.waits = true;
            inner = self.work.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
            inner.waits = false;
        }
        let may_gather = |inner: &mut MemberQueue| inner.ends.is_none() && (1..BATCH).contains(&inner.changes.len());
        inner = self.work.wait_timeout_while(inner, GATHERING, may_gather).unwrap_or_else(PoisonError::into_inner).0;
        let was_full = inner.changes.len() >= WAITING;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(change) = inner.changes.pop_front()
        {
            let is_last = matches!(change, OwnChange::Anew | OwnChange::Whole);
            bytes += if let OwnChange::Member(member) = &change { member.person.info.len() } else { 0 };
            batch.push(change);
            if is_last {
                break;
            }
        }
        (MemberWork::Changes(batch), was_full)
    }

    /// Has the writer end, and waits for that up to `timeout`.
    pub(crate) fn close(&self, for_ever: bool, timeout: Duration) {
        let mut inner = self.inner();
        inner.ends = Some(for_ever);
        self.work.notify_all();
        let goes_on = |inner: &mut MemberQueue| inner.connection.is_some() && !inner.is_over;
        drop(self.ended.wait_timeout_while(inner, timeout, goes_on).unwrap_or_else(PoisonError::into_inner));
    }

    /// The writer has ended.
    pub(crate) fn over(&self) {
        self.inner().is_over = true;
        self.ended.notify_all();
    }
}
