//! How long calls wait for the hub: `sse.timeout` each, and a hub that doesn't answer costs a request no more than that
//! over all its calls.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::zend;

/// A request that goes on for so long after it has waited in vain may wait again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// What was waited in vain.
#[derive(Debug, Clone, Copy)]
struct Waited {
    time: Duration,
    since: Instant,
}

thread_local! {
    static WAITED: Cell<Option<Waited>> = const { Cell::new(None) };
}

/// What is left of `sse.timeout`, over all that a call may have to wait for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    from: Instant,
    until: Instant,
    whole: bool,
}

impl Patience {
    /// That of a call that begins now.
    pub fn new(timeout: Duration) -> Self {
        let waited = waited().map_or(Duration::ZERO, |waited| waited.time);
        let from = Instant::now();
        Self { from, until: from + timeout.saturating_sub(waited), whole: waited.is_zero() }
    }

    /// At least a moment, so that nothing is given up that would be there at once.
    pub fn left(self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        // In whole milliseconds, rounded up, as it is shown in messages.
        Duration::from_millis(u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1))
    }

    /// Whether all of it has passed.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether it began as all of `sse.timeout`.
    pub fn is_whole(self) -> bool {
        self.whole
    }

    /// It was in vain. On the command line, where a request has no end, each call may wait.
    pub fn spend(self) {
        if matches!(zend::sapi_name().to_bytes(), b"cli" | b"phpdbg") {
            return;
        }
        let before = waited();
        let time = before.map_or(Duration::ZERO, |waited| waited.time) + self.from.elapsed();
        WAITED.set(Some(Waited { time, since: before.map_or(self.from, |waited| waited.since) }));
    }
}

/// A new request begins, or the hub has answered: all of `sse.timeout` is left.
pub fn reset() {
    WAITED.set(None);
}

fn waited() -> Option<Waited> {
    WAITED.get().filter(|waited| waited.since.elapsed() < FORGIVEN_AFTER)
}
