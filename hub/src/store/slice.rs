//! The work that searches may do in one turn of the ordering thread.

use std::time::{Duration, Instant};

/// Steps between two checks of the clock.
const UNTIMED: usize = 32;

/// The work budget of one turn.
#[derive(Debug)]
pub(crate) struct Slice {
    steps: usize,
    time: Duration,
    /// The deadline; set at the first check of the clock.
    until: Option<Instant>,
    spent: usize,
}

impl Slice {
    /// Creates a budget of `steps` steps and about `time`.
    pub(crate) fn new(steps: usize, time: Duration) -> Self {
        Self { steps, time, until: None, spent: 0 }
    }

    /// Creates a budget of `steps` steps without a time limit.
    pub(crate) fn steps(steps: usize) -> Self {
        Self::new(steps, Duration::MAX)
    }

    /// Spends one step; false if the budget is spent.
    pub(crate) fn spend(&mut self) -> bool {
        if self.spent >= self.steps {
            return false;
        }
        if self.spent % UNTIMED == UNTIMED - 1 && self.is_late() {
            self.steps = self.spent;
            return false;
        }
        self.spent += 1;
        true
    }

    /// Spends steps for work that is done already.
    pub(crate) fn charge(&mut self, steps: usize) {
        let before = self.spent;
        self.spent = self.steps.min(self.spent + steps);
        if self.spent / UNTIMED > before / UNTIMED && self.is_late() {
            self.steps = self.spent;
        }
    }

    fn is_late(&mut self) -> bool {
        let now = Instant::now();
        match self.until {
            Some(until) => now >= until,
            None => {
                self.until = now.checked_add(self.time);
                false
            }
        }
    }

    /// Splits off a budget of at most `steps` steps.
    pub(crate) fn part(&self, steps: usize) -> Self {
        Self { steps: steps.min(self.steps - self.spent), spent: 0, ..*self }
    }

    /// Charges this budget with the steps and time that a part used.
    pub(crate) fn take(&mut self, part: &Self) {
        self.spent += part.spent;
        self.until = part.until;
        if self.is_late() {
            self.steps = self.spent;
        }
    }

    /// Whether one `part`th of the steps is spent: all for 1, half for 2.
    pub(crate) fn is_over(&self, part: usize) -> bool {
        self.spent >= self.steps / part
    }

    /// Steps spent.
    pub(crate) fn spent(&self) -> usize {
        self.spent
    }
}
