//! Limits how long calls wait for the hub: `sse.timeout` for each call, and no more than that over all calls of a request
//! while the hub does not answer.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::php::zend;

/// A request may wait again this long after its first wait in vain.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// The time waited in vain.
#[derive(Debug, Clone, Copy)]
struct Waited {
    time: Duration,
    since: Instant,
}

/// What a request has waited in vain so far.
#[derive(Debug, Default)]
pub struct VainWaits(Cell<Option<Waited>>);

impl VainWaits {
    /// Restores the whole `sse.timeout`: a new request begins, or the hub has answered.
    pub fn reset(&self) {
        self.0.set(None);
    }

    fn recent(&self) -> Option<Waited> {
        self.0.get().filter(|waited| waited.since.elapsed() < FORGIVEN_AFTER)
    }
}

/// The part of `sse.timeout` that is left, for all waits of one call.
#[derive(Debug, Clone, Copy)]
pub struct DeadlineBudget {
    from: Instant,
    until: Instant,
    whole: bool,
}

impl DeadlineBudget {
    /// Starts the time of a call.
    pub fn new(timeout: Duration, waiting: &VainWaits) -> Self {
        let waited = waiting.recent().map_or(Duration::ZERO, |waited| waited.time);
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
    pub fn spend(self, waiting: &VainWaits) {
        if matches!(zend::sapi_name().to_bytes(), b"cli" | b"phpdbg") {
            return;
        }
        let before = waiting.recent();
        let time = before.map_or(Duration::ZERO, |waited| waited.time) + self.from.elapsed();
        waiting.0.set(Some(Waited { time, since: before.map_or(self.from, |waited| waited.since) }));
    }
}
