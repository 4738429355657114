//! Counters of renders.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::upgrade::state::RenderStatsState;

/// Largest duration in the histogram, in microseconds; longer ones count as this.
const LONGEST: u64 = 600_000_000;

/// Upper bounds of the buckets, in microseconds, and their labels, in seconds.
const BOUNDS: [(u64, &str); 11] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
    (u64::MAX, "inf"),
];

/// Counters and durations of renders.
#[derive(Debug)]
pub(crate) struct RenderStats {
    /// Outputs received.
    pub(crate) done: u64,
    /// Events and notifications merged into a render that was due already.
    pub(crate) coalesced: u64,
    /// Outputs not sent because they equal the last one.
    pub(crate) unchanged: u64,
    /// Failed attempts.
    pub(crate) failed: u64,
    /// Failed attempts that took too long.
    pub(crate) timed_out: u64,
    /// Streams ended because their script no longer allowed them.
    pub(crate) denied: u64,
    /// Streams refused because their request exceeded a memory quota.
    pub(crate) refused: u64,
    took: Option<Histogram<u64>>,
    /// The durations by [`BOUNDS`], and their sum.
    buckets: [u64; BOUNDS.len()],
    sum: Duration,
}

impl RenderStats {
    /// Counters at zero.
    pub(crate) fn new() -> Self {
        // The bounds are valid, so this can't fail; if it did, only the percentiles would be missing.
        let took = Histogram::new_with_bounds(1, LONGEST, 2).ok();
        Self {
            done: 0,
            coalesced: 0,
            unchanged: 0,
            failed: 0,
            timed_out: 0,
            denied: 0,
            refused: 0,
            took,
            buckets: [0; BOUNDS.len()],
            sum: Duration::ZERO,
        }
    }

    /// The counters for an upgrade.
    pub(crate) fn state(&self) -> RenderStatsState {
        let Self { done, coalesced, unchanged, failed, timed_out, denied, refused, took, buckets, sum } = self;
        let took = took.iter().flat_map(|took| took.iter_recorded());
        RenderStatsState {
            done: *done,
            coalesced: *coalesced,
            unchanged: *unchanged,
            failed: *failed,
            timed_out: *timed_out,
            denied: *denied,
            refused: *refused,
            took: took.map(|value| (value.value_iterated_to(), value.count_since_last_iteration())).collect(),
            buckets: BOUNDS.iter().zip(buckets).map(|((bound, _), count)| (*bound, *count)).collect(),
            sum: *sum,
        }
    }

    /// Continues the counters of the old hub.
    pub(crate) fn restore(state: &RenderStatsState) -> Self {
        let RenderStatsState { took: recorded, buckets: known, .. } = state;
        let RenderStatsState {
            done,
            coalesced,
            unchanged,
            failed,
            timed_out,
            denied,
            refused,
            took: _,
            buckets: _,
            sum,
        } = state;
        let Self { mut took, mut buckets, .. } = Self::new();
        if let Some(histogram) = &mut took {
            recorded.iter().for_each(|&(value, count)| histogram.saturating_record_n(value, count));
        }
        for (bound, count) in known {
            buckets[BOUNDS.partition_point(|(own, _)| own < bound)] += count;
        }
        Self {
            done: *done,
            coalesced: *coalesced,
            unchanged: *unchanged,
            failed: *failed,
            timed_out: *timed_out,
            denied: *denied,
            refused: *refused,
            took,
            buckets,
            sum: *sum,
        }
    }

    /// Counts an output that arrived this long after its request was sent.
    pub(crate) fn rendered(&mut self, took: Duration) {
        self.done += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        if let Some(histogram) = &mut self.took {
            histogram.saturating_record(micros);
        }
        self.buckets[BOUNDS.partition_point(|(bound, _)| *bound < micros)] += 1;
        self.sum += took;
    }

    /// The counters for `sse_stats()`.
    pub(crate) fn report(&self, streams: usize, queued: usize, (running, late): (usize, usize), bytes: usize) -> Value {
        let percentile = |of: f64| {
            let histogram = self.took.as_ref().filter(|histogram| !histogram.is_empty())?;
            #[allow(clippy::cast_precision_loss)]
            Some(histogram.value_at_quantile(of) as f64 / 1000.0)
        };
        let buckets: Map<String, Value> =
            BOUNDS.iter().zip(self.buckets).map(|((_, name), count)| ((*name).into(), count.into())).collect();
        json!({
            "streams": streams,
            "queued": queued,
            "running": running,
            "late": late,
            "done": self.done,
            "coalesced": self.coalesced,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "timed_out": self.timed_out,
            "denied": self.denied,
            "refused": self.refused,
            "bytes": bytes,
            "p50_ms": percentile(0.5),
            "p99_ms": percentile(0.99),
            "seconds": { "sum": self.sum.as_secs_f64(), "buckets": buckets },
        })
    }
}
