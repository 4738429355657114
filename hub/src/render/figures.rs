//! Counters of renders.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::stats::recent::Recent;

/// Counters of renders.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct RenderCounts {
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
}

/// Counters and durations of renders, for an upgrade.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RenderStatsState {
    pub(crate) counts: RenderCounts,
    /// Durations: microseconds and count.
    pub(crate) took: Vec<(u64, u64)>,
    /// Counts by upper bounds, in microseconds.
    pub(crate) buckets: Vec<(u64, u64)>,
    /// Sum of all durations.
    pub(crate) sum: Duration,
}

/// Largest duration in the histogram, in microseconds; longer ones count as this.
const LONGEST: u64 = 600_000_000;

/// How long renders are counted by script, at the least.
const WINDOW: Duration = Duration::from_secs(60);

/// Most scripts that are counted at a time.
const SCRIPTS: usize = 256;

/// Renders of one script.
#[derive(Debug, Default, Clone, Copy)]
struct ScriptCounts {
    done: u64,
    failed: u64,
    total: Duration,
    longest: Duration,
}

impl AddAssign for ScriptCounts {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }
}

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
    pub(crate) counts: RenderCounts,
    took: Option<Histogram<u64>>,
    /// The durations by [`BOUNDS`], and their sum.
    buckets: [u64; BOUNDS.len()],
    sum: Duration,
    /// Lately, by script. An upgrade begins it anew.
    scripts: Recent<ScriptCounts>,
}

impl RenderStats {
    /// Counters at zero.
    pub(crate) fn new() -> Self {
        // The bounds are valid, so this can't fail; if it did, only the percentiles would be missing.
        let took = Histogram::new_with_bounds(1, LONGEST, 2).ok();
        let scripts = Recent::new(WINDOW, SCRIPTS, Instant::now());
        Self { counts: RenderCounts::default(), took, buckets: [0; BOUNDS.len()], sum: Duration::ZERO, scripts }
    }

    /// The counters for an upgrade.
    pub(crate) fn state(&self) -> RenderStatsState {
        let Self { counts, took, buckets, sum, .. } = self;
        let took = took.iter().flat_map(|took| took.iter_recorded());
        RenderStatsState {
            counts: *counts,
            took: took.map(|value| (value.value_iterated_to(), value.count_since_last_iteration())).collect(),
            buckets: BOUNDS.iter().zip(buckets).map(|((bound, _), count)| (*bound, *count)).collect(),
            sum: *sum,
        }
    }

    /// Continues the counters of the old hub.
    pub(crate) fn restore(state: &RenderStatsState) -> Self {
        let RenderStatsState { counts, took: recorded, buckets: known, sum } = state;
        let Self { mut took, mut buckets, scripts, .. } = Self::new();
        if let Some(histogram) = &mut took {
            recorded.iter().for_each(|&(value, count)| histogram.saturating_record_n(value, count));
        }
        for (bound, count) in known {
            buckets[BOUNDS.partition_point(|(own, _)| own < bound)] += count;
        }
        Self { counts: *counts, took, buckets, sum: *sum, scripts }
    }

    /// Counts a script's output that arrived this long after its request was sent.
    pub(crate) fn rendered(&mut self, script: &str, took: Duration, now: Instant) {
        self.counts.done += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        if let Some(histogram) = &mut self.took {
            histogram.saturating_record(micros);
        }
        self.buckets[BOUNDS.partition_point(|(bound, _)| *bound < micros)] += 1;
        self.sum += took;
        self.scripts.add(script, now, ScriptCounts { done: 1, total: took, longest: took, ..ScriptCounts::default() });
    }

    /// Counts a failed attempt of a script, which took this long.
    pub(crate) fn failed(&mut self, script: &str, took: Duration, now: Instant) {
        self.counts.failed += 1;
        self.scripts.add(
            script,
            now,
            ScriptCounts { failed: 1, total: took, longest: took, ..ScriptCounts::default() },
        );
    }

    /// The scripts that took the most time lately.
    fn slowest(&self) -> Value {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        self.scripts.report(
            Instant::now(),
            "scripts",
            |counts| u64::try_from(counts.total.as_micros()).unwrap_or(u64::MAX),
            |script, ScriptCounts { done, failed, total, longest }| {
                json!({
                    "script": script, "done": done, "failed": failed,
                    "total_ms": ms(*total), "longest_ms": ms(*longest),
                })
            },
        )
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
        let RenderCounts { done, coalesced, unchanged, failed, timed_out, denied, refused } = self.counts;
        json!({
            "streams": streams,
            "queued": queued,
            "running": running,
            "late": late,
            "done": done,
            "coalesced": coalesced,
            "unchanged": unchanged,
            "failed": failed,
            "timed_out": timed_out,
            "denied": denied,
            "refused": refused,
            "bytes": bytes,
            "p50_ms": percentile(0.5),
            "p99_ms": percentile(0.99),
            "slowest": self.slowest(),
            "seconds": { "sum": self.sum.as_secs_f64(), "buckets": buckets },
        })
    }
}
