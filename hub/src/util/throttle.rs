//! The log throttle: limits log lines that could come many times a second.

use std::time::{Duration, Instant};

/// Minimum time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// Throttle for one kind of log line.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    last: Option<Instant>,
    kept_back: u64,
}

impl LogThrottle {
    /// Number of lines suppressed since the last one, if a line is due; `None` if this one is suppressed.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            self.kept_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_once_in_a_while_and_says_how_many_did_not() {
        let mut lines = LogThrottle::default();
        let start = Instant::now();
        assert_eq!(lines.due(start), Some(0));
        assert_eq!(lines.due(start), None);
        assert_eq!(lines.due(start + INTERVAL / 2), None);
        assert_eq!(lines.due(start + INTERVAL), Some(2));
    }
}
