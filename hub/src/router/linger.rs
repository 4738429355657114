//! Staying awake for a moment where the next request is about to come.
//!
//! A process that publishes in a row sends the next event as soon as it has the answer to the one before. Sleeping in between
//! costs both sides far more than the work itself: the hub is to be woken, which on an idle processor takes longer than the whole
//! turn. So after a turn with a publication or a wake the router looks again and again for a moment before it sleeps, as long as
//! that turns out to be worth it.

use std::time::Duration;

/// How long it stays awake: longer than a PHP process needs to be woken by its answer and to publish again.
pub(crate) const MOMENT: Duration = Duration::from_micros(100);

/// The next request came soon if sleeping took no longer than this, being woken included.
const SOON: Duration = Duration::from_micros(200);

/// Turns without staying awake after it was in vain, as where the publisher needs the processor that would be kept busy.
const REST: u32 = 64;

/// Whether the next request is likely to come soon: judged by the last one.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    soon: bool,
    rest: u32,
}

impl Linger {
    /// Whether to stay awake before the next sleep.
    pub(crate) fn is_wanted(&mut self) -> bool {
        self.soon && {
            self.rest = self.rest.saturating_sub(1);
            self.rest == 0
        }
    }

    /// Nothing has come while it stayed awake.
    pub(crate) fn was_in_vain(&mut self) {
        self.rest = REST;
    }

    /// It has slept for so long.
    pub(crate) fn slept(&mut self, time: Duration) {
        self.soon = time < SOON;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_awake_while_that_is_worth_it() {
        let mut linger = Linger::default();
        assert!(!linger.is_wanted());
        linger.slept(SOON / 2);
        assert!(linger.is_wanted());
        assert!(linger.is_wanted());
        linger.was_in_vain();
        assert_eq!((0..REST).filter(|_| linger.is_wanted()).count(), 1);
        linger.slept(SOON);
        assert!(!linger.is_wanted());
    }
}
