//! Limits how long calls wait for the hub: `sse.timeout` for each call, and no more than that over all calls of a request
//! while the hub does not answer.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::zend;

/// A request may wait again this long after its first wait in vain.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// The time waited in vain.
#[derive(Debug, Clone, Copy)]
struct Waited {
    time: Duration,
    since: Instant,
}

thread_local! {
    static WAITED: Cell<Option<Waited>> = const { Cell::new(None) };
}

/// The part of `sse.timeout` that is left, for all waits of one call.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    from: Instant,
    until: Instant,
    whole: bool,
}

impl Patience {
    /// Starts the time of a call.
    pub fn new(timeout: Duration) -> Self {
        let waited = waited().map_or(Duration::ZERO, |waited| waited.time);
        let from = Instant::now();
        Self { from, until: from + timeout.saturating_sub(waited), whole: waited.is_zero() }
    }

    /// The time left, at least a millisecond, so that an immediate answer still arrives.
    pub fn left(self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        // In whole milliseconds, rounded up, because messages show it.
        Duration::from_millis(u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1))
    }

    /// Whether the time is over.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether the call began with the whole `sse.timeout`.
    pub fn is_whole(self) -> bool {
        self.whole
    }

    /// Records a wait in vain. On the command line a request has no end, so each call may wait.
    pub fn spend(self) {
        if matches!(zend::sapi_name().to_bytes(), b"cli" | b"phpdbg") {
            return;
        }
        let before = waited();
        let time = before.map_or(Duration::ZERO, |waited| waited.time) + self.from.elapsed();
        WAITED.set(Some(Waited { time, since: before.map_or(self.from, |waited| waited.since) }));
    }
}

/// Restores the whole `sse.timeout`: a new request begins, or the hub has answered.
pub fn reset() {
    WAITED.set(None);
}

fn waited() -> Option<Waited> {
    WAITED.get().filter(|waited| waited.since.elapsed() < FORGIVEN_AFTER)
}
