//! Accounting of pinned bytes: memory that only the queues of streams keep. `sse.queue_bytes` limits it.
//!
//! A shared payload counts once, from when the history drops it (or from its creation, if it was never in the history) until
//! the last queue drops it. Each place in a queue counts as well. The count is per process, as memory is.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::event::Event;

/// Pinned bytes. It may wrap below zero for a moment: one thread subtracts what another one is about to add.
pub(crate) static PINNED: AtomicUsize = AtomicUsize::new(0);

/// Pinned bytes of this process.
pub(crate) fn bytes() -> usize {
    usize::try_from(PINNED.load(Ordering::Relaxed).cast_signed()).unwrap_or(0)
}

/// The references to a shared payload: of the history and of a number of queues.
#[derive(Debug, Default)]
pub(crate) struct References(AtomicU32);

/// Bit of the history; the other bits count the queues.
const HISTORY: u32 = 1 << 31;

impl References {
    /// Adds a queue; returns true if it is the only reference.
    pub(crate) fn add_queue(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// Removes a queue; returns true if it was the only reference.
    pub(crate) fn remove_queue(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Adds the history; returns true if there were only queues before.
    fn add_history(&self) -> bool {
        let before = self.0.fetch_or(HISTORY, Ordering::AcqRel);
        before != 0 && before & HISTORY == 0
    }

    /// Removes the history; returns true if only queues keep the payload now.
    fn remove_history(&self) -> bool {
        let before = self.0.fetch_and(!HISTORY, Ordering::AcqRel);
        before > HISTORY
    }

    /// Whether only queues keep the payload.
    pub(crate) fn only_queues(&self) -> bool {
        (1..HISTORY).contains(&self.0.load(Ordering::Acquire))
    }
}

/// An event in the history, until dropped.
#[derive(Debug)]
pub(crate) struct RememberedEvent(Arc<Event>);

impl RememberedEvent {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        if event.references().add_history() {
            PINNED.fetch_sub(event.memory(), Ordering::Relaxed);
        }
        Self(event)
    }
}

impl Deref for RememberedEvent {
    type Target = Arc<Event>;

    fn deref(&self) -> &Arc<Event> {
        &self.0
    }
}

impl Drop for RememberedEvent {
    fn drop(&mut self) {
        if self.0.references().remove_history() {
            PINNED.fetch_add(self.0.memory(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// References may come and go in any order.
        #[test]
        fn what_is_shared_counts_while_only_queues_keep_it(steps in proptest::collection::vec(0..3_u8, 0..40)) {
            let references = References::default();
            let (mut history, mut queues, mut counted) = (false, 0, false);
            for step in steps {
                match step {
                    0 => {
                        counted |= references.add_queue();
                        queues += 1;
                    }
                    1 if queues > 0 => {
                        counted &= !references.remove_queue();
                        queues -= 1;
                    }
                    2 if history => {
                        counted |= references.remove_history();
                        history = false;
                    }
                    2 => {
                        counted &= !references.add_history();
                        history = true;
                    }
                    _ => {}
                }
                prop_assert_eq!(counted, queues > 0 && !history);
                prop_assert_eq!(references.only_queues(), counted);
            }
        }
    }
}
