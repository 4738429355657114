//! The delays between attempts to reach Redis.

use std::time::Duration;

use crate::util::random;

/// The first delay, before jitter.
const FIRST: Duration = Duration::from_millis(100);

/// The longest delay, before jitter; publishers wait for it.
const LONGEST: Duration = Duration::from_millis(500);

/// A delay that grows with each attempt.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    attempts: u32,
}

impl Pause {
    /// Returns the next delay, with a jitter of half to three halves: many hubs may have lost the same Redis.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = (FIRST * (1 << self.attempts.min(10))).min(LONGEST);
        self.attempts += 1;
        whole / 2 + whole * random::up_to(1023) / 1024
    }

    /// Starts over after a success.
    pub(crate) fn over(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_short() {
        let mut pause = Pause::default();
        assert!(pause.next() < FIRST * 3 / 2);
        for _ in 0..20 {
            pause.next();
        }
        let long = pause.next();
        assert!(long >= LONGEST / 2 && long < LONGEST * 3 / 2);
        pause.over();
        assert!(pause.next() < FIRST * 3 / 2);
    }
}
