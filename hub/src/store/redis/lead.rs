//! The tail's lead over the ordering thread: what it has read and the hub has not delivered yet. It bounds the memory that events
//! from Redis take on their way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes read but not delivered at which the tail pauses, and at which it continues.
const HIGH: usize = 32 << 20;
const LOW: usize = 8 << 20;

/// The state shared by the tail and the ordering thread.
#[derive(Debug, Default)]
pub(crate) struct Lead {
    inner: Mutex<LeadState>,
    /// Signals that the ordering thread has caught up, or the hub's end.
    shrunk: Condvar,
}

#[derive(Debug, Default)]
struct LeadState {
    bytes: usize,
    stopped: bool,
}

impl Lead {
    fn inner(&self) -> MutexGuard<'_, LeadState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records bytes that the tail has read, and waits while the ordering thread is far behind, unless the hub ends.
    pub(crate) fn read(&self, bytes: usize) {
        let mut inner = self.inner();
        inner.bytes += bytes;
        if inner.bytes > HIGH {
            let behind = |inner: &mut LeadState| inner.bytes > LOW && !inner.stopped;
            drop(self.shrunk.wait_while(inner, behind).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Records bytes that the ordering thread has delivered.
    pub(crate) fn digested(&self, bytes: usize) {
        let mut inner = self.inner();
        let before = inner.bytes;
        inner.bytes = before.saturating_sub(bytes);
        if before > LOW && inner.bytes <= LOW {
            self.shrunk.notify_one();
        }
    }

    /// Ends all present and future waits.
    pub(crate) fn stop(&self) {
        self.inner().stopped = true;
        self.shrunk.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn the_tail_waits_until_it_is_caught_up_with_or_the_hub_ends() {
        let lead = Lead::default();
        lead.read(HIGH);
        thread::scope(|scope| {
            let tail = scope.spawn(|| lead.read(1));
            lead.digested(HIGH - LOW - 1);
            thread::yield_now();
            lead.digested(2);
            tail.join().expect("it goes on");
        });
        thread::scope(|scope| {
            let tail = scope.spawn(|| lead.read(HIGH));
            lead.stop();
            tail.join().expect("it goes on");
        });
        lead.read(HIGH);
    }
}
