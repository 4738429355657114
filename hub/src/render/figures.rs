//! What is counted about renders.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::upgrade::state::RenderStatsState;

/// Longest time that is told apart, in microseconds.
const LONGEST: u64 = 600_000_000;

/// Bounds that renders are counted between, in microseconds, and how they are written: in seconds.
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

/// Counters, and how long renders took.
#[derive(Debug)]
pub(crate) struct RenderStats {
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
    /// Streams left to their workers because too much is kept already.
    pub(crate) refused: u64,
    took: Option<Histogram<u64>>,
    /// The same by [`BOUNDS`], and all of it together.
    buckets: [u64; BOUNDS.len()],
    sum: Duration,
}

impl RenderStats {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        // The bounds are valid ones, so this doesn't fail; without it there would only be no percentiles.
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

    /// As they are passed from hub to hub.
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

    /// Goes on from those of another hub.
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

    /// An output was taken, this long after its request was sent.
    pub(crate) fn rendered(&mut self, took: Duration) {
        self.done += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        if let Some(histogram) = &mut self.took {
            histogram.saturating_record(micros);
        }
        self.buckets[BOUNDS.partition_point(|(bound, _)| *bound < micros)] += 1;
        self.sum += took;
    }

    /// For `sse_stats()`.
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
