//! What the hub counts.

pub(crate) mod openmetrics;
pub(crate) mod report;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::upgrade::state::ShardCounts;

/// A number that one thread at a time changes and any thread of any process that has it may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts more. A load and a store are enough (and much cheaper than an atomic addition), as only one thread writes.
    pub(crate) fn add(&self, count: usize) {
        self.0.store(self.get().wrapping_add(count as u64), Ordering::Relaxed);
    }

    /// Counts less, for a number that tells how many there are now.
    pub(crate) fn sub(&self, count: usize) {
        self.0.store(self.get().saturating_sub(count as u64), Ordering::Relaxed);
    }

    /// The number is this now.
    pub(crate) fn set(&self, count: usize) {
        self.0.store(count as u64, Ordering::Relaxed);
    }

    /// The number now; exact once the writing thread is idle.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client has left.
    Client,
    /// The client did not read what was queued for it.
    Slow,
    /// The connection failed in another way.
    Error,
    /// The hub ends.
    Shutdown,
    /// The worker took it back, or went away, before it began.
    Aborted,
    /// Its script no longer allows it.
    Denied,
    /// Its script has not confirmed it for too long.
    Unconfirmed,
    /// Its script has given it another `share`.
    Moved,
    /// Its time is over.
    Lifetime,
    /// Its user has begun another one in its place.
    Replaced,
}

impl Ended {
    /// For the log and `sse_stats()`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Slow => "slow",
            Self::Error => "error",
            Self::Shutdown => "shutdown",
            Self::Aborted => "aborted",
            Self::Denied => "denied",
            Self::Unconfirmed => "unconfirmed",
            Self::Moved => "moved",
            Self::Lifetime => "lifetime",
            Self::Replaced => "replaced",
        }
    }

    /// The one with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.name() == name)
    }

    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Client,
        Self::Slow,
        Self::Error,
        Self::Shutdown,
        Self::Aborted,
        Self::Denied,
        Self::Unconfirmed,
        Self::Moved,
        Self::Lifetime,
        Self::Replaced,
    ];
}

/// What one shard counts, in memory of all processes of the hub. Only its thread writes, and the router once that has gone.
/// Two shards share no cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ShardStats {
    /// Streams that began.
    pub(crate) opened: Counter,
    /// Streams that ended before they began.
    pub(crate) ended_held: Counter,
    /// Streams whose workers were told the first lines to send: whoever gets these has a stream, so it counts as begun. Only the
    /// router writes this.
    pub(crate) told: Counter,
    /// Those of them that ended before they began.
    pub(crate) told_held: Counter,
    /// Streams that began without having been counted there.
    pub(crate) untold: Counter,
    ended: [Counter; Ended::ALL.len()],
    /// Events written completely.
    pub(crate) delivered: Counter,
    /// Bytes written, all kinds and wrapping included.
    pub(crate) delivered_bytes: Counter,
    /// Heartbeats sent.
    pub(crate) heartbeats: Counter,
    /// Bytes waiting for slow clients now.
    pub(crate) queued_bytes: Counter,
    /// Bytes that only queues of its process keep.
    pub(crate) pinned: Counter,
    /// The last [`Relieve`](crate::shard::command::Relieve) that was done.
    pub(crate) relieved: Counter,
    /// The last of them that did not end enough.
    pub(crate) unrelieved: Counter,
    /// Different patterns that are watched, where the shard is in a process of its own.
    pub(crate) topics: Counter,
}

impl ShardStats {
    /// Counts the end of a stream.
    pub(crate) fn end(&self, why: Ended) {
        self.ended[why as usize].add(1);
    }

    /// Counts the end of several.
    pub(crate) fn end_many(&self, why: Ended, count: usize) {
        self.ended[why as usize].add(count);
    }

    /// Goes on from what other shards have counted.
    pub(crate) fn restore(&self, counts: &ShardCounts<'_>) {
        let add = |counter: &Counter, count: u64| counter.add(usize::try_from(count).unwrap_or_default());
        add(&self.opened, counts.opened);
        add(&self.untold, counts.opened);
        add(&self.ended_held, counts.ended_held);
        add(&self.delivered, counts.delivered);
        add(&self.delivered_bytes, counts.delivered_bytes);
        add(&self.heartbeats, counts.heartbeats);
        for &(name, count) in &counts.ended {
            // One that this version does not know is still one.
            add(&self.ended[Ended::named(name).unwrap_or(Ended::Error) as usize], count);
        }
    }

    /// Streams that have begun for whoever asks.
    pub(crate) fn begun(&self) -> u64 {
        (self.told.get() + self.untold.get()).saturating_sub(self.told_held.get())
    }

    /// Its process has gone, and the streams with it that had not begun yet.
    pub(crate) fn lose_told(&self) {
        let begun = self.opened.get().saturating_sub(self.untold.get());
        let held = self.told.get().saturating_sub(self.told_held.get() + begun);
        self.told_held.add(usize::try_from(held).unwrap_or(usize::MAX));
    }

    /// Streams that ended for this reason.
    pub(crate) fn ended(&self, why: Ended) -> u64 {
        self.ended[why as usize].get()
    }

    /// Streams that ended.
    pub(crate) fn ended_all(&self) -> u64 {
        self.ended.iter().map(Counter::get).sum()
    }
}
