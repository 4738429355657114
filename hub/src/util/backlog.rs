//! The backlog of a thread: how much work waits for it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes of commands in one shard's backlog above which the ordering thread takes no more requests.
pub(crate) const HIGH: usize = 32 << 20;

/// Bytes of backlog at or below which it takes requests again.
const LOW: usize = 8 << 20;

/// The backlog of one shard in bytes. It keeps publishers that outrun all sockets from filling the memory.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    weight: AtomicUsize,
    /// The ordering thread waits for the shard to wake it.
    waited_for: AtomicBool,
}

impl Backlog {
    /// Counts a command that the ordering thread has sent.
    pub(crate) fn add(&self, weight: usize) {
        self.weight.fetch_add(weight, Ordering::SeqCst);
    }

    /// Counts a command that the shard has done; returns true if the shard must wake the ordering thread.
    pub(crate) fn done(&self, weight: usize) -> bool {
        let before = self.weight.fetch_sub(weight, Ordering::SeqCst);
        before - weight <= LOW
            && self.waited_for.load(Ordering::SeqCst)
            && self.waited_for.swap(false, Ordering::SeqCst)
    }

    /// Returns whether the ordering thread must wait; if so, the shard will wake it.
    pub(crate) fn is_high(&self) -> bool {
        if self.weight.load(Ordering::SeqCst) <= HIGH {
            return false;
        }
        self.waited_for.store(true, Ordering::SeqCst);
        // The shard may have emptied the backlog before it could see the flag.
        self.weight.load(Ordering::SeqCst) > LOW || !self.waited_for.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_once_when_most_is_done() {
        let backlog = Backlog::default();
        backlog.add(HIGH);
        assert!(!backlog.is_high());
        backlog.add(1);
        assert!(backlog.is_high());
        assert!(!backlog.done(1));
        assert!(backlog.done(HIGH - LOW));
        assert!(!backlog.done(LOW));
        assert!(!backlog.is_high());
    }
}
