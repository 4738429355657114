//! How long things took: a histogram of nanoseconds that can be sent to another process and added up there.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest that is told apart; what takes longer counts as this.
const LONGEST: u64 = 3_600_000_000_000;

/// Times in nanoseconds, to three digits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Counts", into = "Counts")]
pub struct Spans(Histogram<u64>);

/// What is sent: times, and how often each was.
#[derive(Serialize, Deserialize)]
struct Counts(Vec<(u64, u64)>);

impl Default for Spans {
    fn default() -> Self {
        // The bounds are valid.
        #[allow(clippy::unwrap_used)]
        Self(Histogram::new_with_bounds(1, LONGEST, 3).unwrap())
    }
}

impl Spans {
    /// Adds one.
    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// Adds all of the other's.
    pub fn add(&mut self, other: &Self) {
        for value in other.0.iter_recorded() {
            self.0.saturating_record_n(value.value_iterated_to(), value.count_at_value());
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time in milliseconds that this part of them (0.99) took at most; NaN if there is none.
    pub fn milliseconds(&self, part: f64) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        self.0.value_at_quantile(part) as f64 / 1e6
    }
}

impl From<Spans> for Counts {
    fn from(spans: Spans) -> Self {
        Self(spans.0.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value())).collect())
    }
}

impl From<Counts> for Spans {
    fn from(Counts(counts): Counts) -> Self {
        let mut spans = Self::default();
        for (value, count) in counts {
            spans.0.saturating_record_n(value, count);
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_processes_saw_adds_up() {
        let mut all = Spans::default();
        for part in [1_000_000..=50_000_000u64, 51_000_000..=100_000_000] {
            let mut spans = Spans::default();
            part.step_by(1_000_000).for_each(|time| spans.record(time));
            let json = serde_json::to_string(&spans).unwrap();
            all.add(&serde_json::from_str(&json).unwrap());
        }
        assert_eq!(all.count(), 100);
        assert!((all.milliseconds(0.5) - 50.0).abs() < 0.1, "{}", all.milliseconds(0.5));
        assert!((all.milliseconds(0.99) - 99.0).abs() < 0.2, "{}", all.milliseconds(0.99));
    }

    #[test]
    fn none_has_no_time() {
        assert!(Spans::default().milliseconds(0.5).is_nan());
    }
}
