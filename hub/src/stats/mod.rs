//! Statistics: the hub's counters and their export.

pub(crate) mod openmetrics;
pub(crate) mod recent;

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of all shards together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardCounts<'a> {
    pub(crate) opened: u64,
    pub(crate) ended_held: u64,
    /// By reason.
    #[serde(borrow)]
    pub(crate) ended: Vec<(&'a str, u64)>,
    pub(crate) delivered: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) heartbeats: u64,
    pub(crate) superseded: u64,
    pub(crate) spread: u64,
    pub(crate) padding_bytes: u64,
}

/// A counter that one thread at a time changes, and any thread of any process that shares it reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to the counter. As only one thread writes, a load and a store are enough, and cheaper than an atomic addition.
    pub(crate) fn add(&self, count: usize) {
        self.0.store(self.get().wrapping_add(count as u64), Ordering::Relaxed);
    }

    /// Subtracts from a counter that says how many there are now.
    pub(crate) fn sub(&self, count: usize) {
        self.0.store(self.get().saturating_sub(count as u64), Ordering::Relaxed);
    }

    /// Sets the counter.
    pub(crate) fn set(&self, count: usize) {
        self.0.store(count as u64, Ordering::Relaxed);
    }

    /// The value; exact once the writing thread is idle.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EndReason {
    /// The client disconnected.
    Client,
    /// The client did not read what was queued for it.
    Slow,
    /// The connection failed in another way.
    Error,
    /// The hub shut down.
    Shutdown,
    /// The worker cancelled the stream, or ended, before the stream began.
    Aborted,
    /// The script no longer allows the stream.
    Denied,
    /// The script has not confirmed the stream for too long.
    Unconfirmed,
    /// The script gave the stream another `share`.
    Moved,
    /// The stream reached its maximum lifetime.
    Lifetime,
    /// The user opened another stream in its place.
    Replaced,
    /// All its topics are finished, or its script has ended it for good.
    Finished,
    /// A script has disconnected it.
    Disconnected,
}

impl EndReason {
    /// Name in the log and in `sse_stats()`.
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
            Self::Finished => "finished",
            Self::Disconnected => "disconnected",
        }
    }

    /// The reason with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.name() == name)
    }

    /// All reasons.
    pub(crate) const ALL: [Self; 12] = [
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
        Self::Finished,
        Self::Disconnected,
    ];
}

/// Counters of one shard, in memory shared by all processes of the hub. Only the shard's thread writes them, and the ordering
/// thread once that has ended. Two shards share no cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ShardStats {
    /// Streams that began.
    pub(crate) opened: Counter,
    /// Streams that ended before they began.
    pub(crate) ended_held: Counter,
    /// Streams whose workers got the first lines to send: a client that reads these has a stream, so it counts as begun. Only
    /// the ordering thread writes this.
    pub(crate) told: Counter,
    /// Streams in `told` that ended before they began.
    pub(crate) told_held: Counter,
    /// Streams that began without being counted in `told`.
    pub(crate) untold: Counter,
    ended: [Counter; EndReason::ALL.len()],
    /// Events written completely.
    pub(crate) delivered: Counter,
    /// Bytes written, of all kinds and with framing.
    pub(crate) delivered_bytes: Counter,
    /// Heartbeats sent.
    pub(crate) heartbeats: Counter,
    /// Events not sent, as newer ones have replaced them where they waited.
    pub(crate) superseded: Counter,
    /// Events that had to wait for a moment of their stream's own.
    pub(crate) spread: Counter,
    /// Bytes of comments that fill up what was written, without framing.
    pub(crate) padding_bytes: Counter,
    /// Bytes queued for slow clients now.
    pub(crate) queued_bytes: Counter,
    /// Bytes that only queues of the shard's process keep.
    pub(crate) pinned: Counter,
    /// Bytes that only queues of other processes keep, if the shard has a process of its own. Only the ordering thread writes
    /// this.
    pub(crate) pinned_elsewhere: Counter,
    /// Round of the last `Relieve` that was done.
    pub(crate) relieved: Counter,
    /// Round of the last one that did not end enough streams.
    pub(crate) unrelieved: Counter,
    /// Different patterns with subscriptions, if the shard has a process of its own.
    pub(crate) topics: Counter,
}

impl ShardStats {
    /// Counts the end of a stream.
    pub(crate) fn end(&self, why: EndReason) {
        self.ended[why as usize].add(1);
    }

    /// Counts the end of several streams.
    pub(crate) fn end_many(&self, why: EndReason, count: usize) {
        self.ended[why as usize].add(count);
    }

    /// Adds what the shards of the old hub counted.
    pub(crate) fn restore(&self, counts: &ShardCounts<'_>) {
        let add = |counter: &Counter, count: u64| counter.add(usize::try_from(count).unwrap_or_default());
        add(&self.opened, counts.opened);
        add(&self.untold, counts.opened);
        add(&self.ended_held, counts.ended_held);
        add(&self.delivered, counts.delivered);
        add(&self.delivered_bytes, counts.delivered_bytes);
        add(&self.heartbeats, counts.heartbeats);
        add(&self.superseded, counts.superseded);
        add(&self.spread, counts.spread);
        add(&self.padding_bytes, counts.padding_bytes);
        for &(name, count) in &counts.ended {
            // A reason that this version doesn't know counts as an error.
            add(&self.ended[EndReason::named(name).unwrap_or(EndReason::Error) as usize], count);
        }
    }

    /// Streams that count as begun.
    pub(crate) fn begun(&self) -> u64 {
        (self.told.get() + self.untold.get()).saturating_sub(self.told_held.get())
    }

    /// Counts the streams that ended with their process before they began.
    pub(crate) fn lose_told(&self) {
        let begun = self.opened.get().saturating_sub(self.untold.get());
        let held = self.told.get().saturating_sub(self.told_held.get() + begun);
        self.told_held.add(usize::try_from(held).unwrap_or(usize::MAX));
    }

    /// Streams that ended for this reason.
    pub(crate) fn ended(&self, why: EndReason) -> u64 {
        self.ended[why as usize].get()
    }

    /// Streams that ended for any reason.
    pub(crate) fn ended_all(&self) -> u64 {
        self.ended.iter().map(Counter::get).sum()
    }
}
