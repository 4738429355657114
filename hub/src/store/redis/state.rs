//! The state and counters of the bus, for `sse_stats()` and the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::config::bus_address::BusAddress;
use sse_protocol::id::{Id, now_ms};

/// A counter that several threads share.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Values of the counters, which an upgrade passes on.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BusCounts {
    read: u64,
    refused: u64,
    published: u64,
    failed: u64,
    gaps: u64,
    wakes_sent: u64,
    wakes_received: u64,
    outages: u64,
}

/// What the bus's threads report about themselves.
#[derive(Debug)]
pub(crate) struct BusStats {
    /// Which connections to Redis are up.
    links: Mutex<Links>,
    /// Entries read from the stream.
    pub(crate) read: Count,
    /// Entries that were no valid events.
    pub(crate) refused: Count,
    /// Own events that Redis has accepted.
    pub(crate) published: Count,
    /// Own events that Redis has not accepted, or perhaps not.
    pub(crate) failed: Count,
    /// Gaps detected in the stream.
    pub(crate) gaps: Count,
    pub(crate) wakes_sent: Count,
    pub(crate) wakes_received: Count,
}

/// The connections to Redis, by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisLink {
    /// Reads the stream.
    Tail,
    /// Writes events and notifications.
    Publisher,
    /// Receives notifications.
    Wakes,
}

const LINKS: usize = 3;

#[derive(Debug)]
struct Links {
    up: [bool; LINKS],
    /// Why a link is down; `None` if it is up or not tried yet.
    problems: [Option<String>; LINKS],
    /// Time of the last change, in milliseconds since 1970.
    since: u64,
    was_up: bool,
    outages: u64,
}

impl Default for Links {
    fn default() -> Self {
        Self { up: [false; LINKS], problems: Default::default(), since: now_ms(), was_up: false, outages: 0 }
    }
}

impl BusStats {
    /// Starts with the counters of the old hub.
    pub(crate) fn new(counts: BusCounts) -> Self {
        let BusCounts { read, refused, published, failed, gaps, wakes_sent, wakes_received, outages } = counts;
        let count = |count: u64| Count(AtomicU64::new(count));
        Self {
            links: Mutex::new(Links { outages, ..Links::default() }),
            read: count(read),
            refused: count(refused),
            published: count(published),
            failed: count(failed),
            gaps: count(gaps),
            wakes_sent: count(wakes_sent),
            wakes_received: count(wakes_received),
        }
    }

    /// The current values of the counters.
    pub(crate) fn counts(&self) -> BusCounts {
        BusCounts {
            read: self.read.get(),
            refused: self.refused.get(),
            published: self.published.get(),
            failed: self.failed.get(),
            gaps: self.gaps.get(),
            wakes_sent: self.wakes_sent.get(),
            wakes_received: self.wakes_received.get(),
            outages: self.links().outages,
        }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a link is up.
    pub(crate) fn up(&self, link: RedisLink, address: &BusAddress) {
        let mut links = self.links();
        links.up[link as usize] = true;
        links.problems[link as usize] = None;
        if links.up == [true; LINKS] && !links.was_up {
            links.was_up = true;
            links.since = now_ms();
            info!(bus = %address, stream = address.stream, outages = links.outages, "the bus is there");
        }
    }

    /// Records that a link is down, and why.
    pub(crate) fn down(&self, link: RedisLink, address: &BusAddress, why: &str) {
        let mut links = self.links();
        links.up[link as usize] = false;
        let first = links.problems.iter().all(Option::is_none);
        links.problems[link as usize] = Some(why.into());
        if links.was_up || first {
            links.outages += 1;
            links.was_up = false;
            links.since = now_ms();
            warn!(bus = %address, reason = why, "the bus is interrupted; streams stay open, and publishing waits or fails (sse.bus_outage)");
        }
    }

    /// The bus's part of `sse_stats()`.
    pub(crate) fn report(&self, address: &BusAddress, waiting: (usize, usize), last: Id) -> Value {
        let links = self.links();
        let problem = links.problems.iter().flatten().next();
        let state = match problem {
            Some(_) => "away",
            None if links.up == [true; LINKS] => "connected",
            None => "connecting",
        };
        json!({
            "address": address.to_string(),
            "stream": address.stream,
            "state": state,
            "since": links.since / 1000,
            "problem": problem,
            "outages": links.outages,
            "read": self.read.get(),
            "refused": self.refused.get(),
            "published": self.published.get(),
            "failed": self.failed.get(),
            "waiting": waiting.0,
            "waiting_bytes": waiting.1,
            "gaps": self.gaps.get(),
            "wakes_sent": self.wakes_sent.get(),
            "wakes_received": self.wakes_received.get(),
            "last_id": last.to_string(),
        })
    }
}
