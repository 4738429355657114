//! What is counted about renders.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longest time that is told apart, in microseconds.
const LONGEST: u64 = 600_000_000;

/// Counters, and how long renders took.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Outputs taken.
    pub(crate) done: u64,
    /// Wakes that another render answered as well.
    pub(crate) coalesced: u64,
    /// Outputs that were not sent because they were the same as before.
    pub(crate) unchanged: u64,
    /// Runs that failed.
    pub(crate) failed: u64,
    /// Of those, runs that took too long.
    pub(crate) timed_out: u64,
    /// Streams ended because their script no longer allowed them.
    pub(crate) denied: u64,
    took: Option<Histogram<u64>>,
}

impl Figures {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        // The bounds are valid ones, so this doesn't fail; without it there would only be no percentiles.
        let took = Histogram::new_with_bounds(1, LONGEST, 2).ok();
        Self { done: 0, coalesced: 0, unchanged: 0, failed: 0, timed_out: 0, denied: 0, took }
    }

    /// An output was taken, this long after its request was sent.
    pub(crate) fn rendered(&mut self, took: Duration) {
        self.done += 1;
        if let Some(histogram) = &mut self.took {
            histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST));
        }
    }

    /// For `sse_stats()`.
    pub(crate) fn report(&self, streams: usize, queued: usize, running: usize) -> Value {
        let percentile = |of: f64| {
            let histogram = self.took.as_ref().filter(|histogram| !histogram.is_empty())?;
            #[allow(clippy::cast_precision_loss)]
            Some(histogram.value_at_quantile(of) as f64 / 1000.0)
        };
        json!({
            "streams": streams,
            "queued": queued,
            "running": running,
            "done": self.done,
            "coalesced": self.coalesced,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "timed_out": self.timed_out,
            "denied": self.denied,
            "p50_ms": percentile(0.5),
            "p99_ms": percentile(0.99),
        })
    }
}
