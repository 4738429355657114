//! Statistics of the ordering thread's turns: time and steps. No client's or publisher's choice may make a turn long.
//!
//! Turns are measured in CPU time, so that a busy machine doesn't make them look longer.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::sys::clock;

/// Bounds that turns are counted between, in microseconds, and how they are written: in seconds.
const BOUNDS: [(u64, &str); 10] = [
    (50, "0.00005"),
    (200, "0.0002"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_000, "0.002"),
    (5_000, "0.005"),
    (20_000, "0.02"),
    (100_000, "0.1"),
    (1_000_000, "1"),
    (u64::MAX, "inf"),
];

/// Counters of turns.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// CPU time of the thread when the current turn began.
    begun: Duration,
    buckets: [u64; BOUNDS.len()],
    sum: Duration,
    longest: Duration,
    /// Steps of the current turn: events and topics of the history that were examined or evicted, callbacks that were notified,
    /// and changes of members that were told.
    now: usize,
    steps: u64,
    most: usize,
}

impl Turns {
    /// Adds steps to the current turn.
    pub(crate) fn step(&mut self, steps: usize) {
        self.now += steps;
    }

    /// Begins a turn of the calling thread.
    pub(crate) fn begin(&mut self) {
        self.begun = clock::of_thread();
    }

    /// Ends the turn and counts it.
    pub(crate) fn end(&mut self) {
        self.count(clock::of_thread().saturating_sub(self.begun));
    }

    fn count(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS.partition_point(|(bound, _)| *bound < micros)] += 1;
        self.sum += took;
        self.longest = self.longest.max(took);
        let steps = std::mem::take(&mut self.now);
        self.steps += steps as u64;
        self.most = self.most.max(steps);
    }

    /// The counters for `sse_stats()`.
    pub(crate) fn report(&self) -> Value {
        let buckets: Map<String, Value> =
            BOUNDS.iter().zip(self.buckets).map(|((_, name), count)| ((*name).into(), count.into())).collect();
        json!({
            "steps": self.steps,
            "most_steps": self.most,
            "longest_us": u64::try_from(self.longest.as_micros()).unwrap_or(u64::MAX),
            "seconds": { "sum": self.sum.as_secs_f64(), "buckets": buckets },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_counted_by_what_it_took_and_did() {
        let mut turns = Turns::default();
        turns.step(3);
        turns.step(4);
        turns.count(Duration::from_micros(50));
        turns.step(5);
        turns.count(Duration::from_micros(1_001));
        let report = turns.report();
        assert_eq!((&report["steps"], &report["most_steps"]), (&json!(12), &json!(7)));
        assert_eq!(report["longest_us"], json!(1_001));
        assert_eq!(report["seconds"]["buckets"]["0.00005"], json!(1));
        assert_eq!(report["seconds"]["buckets"]["0.002"], json!(1));
    }
}
