//! Accounting of pinned bytes: memory that only the queues of streams keep. `sse.queue_bytes` limits it.
//!
//! A shared payload counts once, from when the history drops it (or from its creation, if it was never in the history) until
//! the last queue drops it. Each place in a queue counts as well. The count is per process, as memory is.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::event::Event;
use crate::stream::Payload;

/// Pinned bytes. It may wrap below zero for a moment: one thread subtracts what another one is about to add.
static PINNED: AtomicUsize = AtomicUsize::new(0);

/// Bytes of a place in a queue. A queue's capacity is up to twice its length.
const PLACE: usize = 2 * size_of::<Payload>();

/// Pinned bytes of this process.
pub(crate) fn bytes() -> usize {
    usize::try_from(PINNED.load(Ordering::Relaxed).cast_signed()).unwrap_or(0)
}

/// Keepers of a shared payload: the history and a number of queues.
#[derive(Debug, Default)]
pub(crate) struct Keepers(AtomicU32);

/// Bit of the history; the other bits count the queues.
const HISTORY: u32 = 1 << 31;

impl Keepers {
    /// Adds a queue; returns true if it is the only keeper.
    fn join(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// Removes a queue; returns true if it was the only keeper.
    fn leave(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Adds the history; returns true if only queues kept the payload before.
    fn remember(&self) -> bool {
        let before = self.0.fetch_or(HISTORY, Ordering::AcqRel);
        before != 0 && before & HISTORY == 0
    }

    /// Removes the history; returns true if only queues keep the payload now.
    fn forget(&self) -> bool {
        let before = self.0.fetch_and(!HISTORY, Ordering::AcqRel);
        before > HISTORY
    }

    fn are_queues(&self) -> bool {
        (1..HISTORY).contains(&self.0.load(Ordering::Acquire))
    }
}

/// An event in the history, until dropped.
#[derive(Debug)]
pub(crate) struct Remembered(Arc<Event>);

impl Remembered {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        if event.keepers().remember() {
            PINNED.fetch_sub(event.memory(), Ordering::Relaxed);
        }
        Self(event)
    }
}

impl Deref for Remembered {
    type Target = Arc<Event>;

    fn deref(&self) -> &Arc<Event> {
        &self.0
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        if self.0.keepers().forget() {
            PINNED.fetch_add(self.0.memory(), Ordering::Relaxed);
        }
    }
}

/// A payload in a queue.
#[derive(Debug)]
pub(crate) struct Queued(Payload);

impl Queued {
    pub(crate) fn new(payload: Payload) -> Self {
        let queued = Self(payload);
        let joined = queued.shared().filter(|(keepers, _)| keepers.join());
        PINNED.fetch_add(queued.own() + joined.map_or(0, |(_, bytes)| bytes), Ordering::Relaxed);
        queued
    }

    /// The keepers and bytes of a shared payload; `None` if no one else can keep it.
    fn shared(&self) -> Option<(&Keepers, usize)> {
        match &self.0 {
            Payload::Event(event) => Some((event.keepers(), event.memory())),
            Payload::Frames(frames) => Some((frames.keepers(), frames.memory())),
            _ => None,
        }
    }

    /// Bytes that belong to this place alone.
    fn own(&self) -> usize {
        PLACE
            + match &self.0 {
                Payload::Gap(_) | Payload::Lines(_) | Payload::Trigger(_) => self.0.len(),
                _ => 0,
            }
    }

    /// Bytes that this place keeps, including those shared only with other queues.
    pub(crate) fn pinned(&self) -> usize {
        let shared = self.shared().filter(|(keepers, _)| keepers.are_queues());
        self.own() + shared.map_or(0, |(_, bytes)| bytes)
    }
}

impl Deref for Queued {
    type Target = Payload;

    fn deref(&self) -> &Payload {
        &self.0
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let left = self.shared().filter(|(keepers, _)| keepers.leave());
        PINNED.fetch_sub(self.own() + left.map_or(0, |(_, bytes)| bytes), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Keepers may come and go in any order.
        #[test]
        fn what_is_shared_counts_while_only_queues_keep_it(steps in proptest::collection::vec(0..3_u8, 0..40)) {
            let keepers = Keepers::default();
            let (mut history, mut queues, mut counted) = (false, 0, false);
            for step in steps {
                match step {
                    0 => {
                        counted |= keepers.join();
                        queues += 1;
                    }
                    1 if queues > 0 => {
                        counted &= !keepers.leave();
                        queues -= 1;
                    }
                    2 if history => {
                        counted |= keepers.forget();
                        history = false;
                    }
                    2 => {
                        counted &= !keepers.remember();
                        history = true;
                    }
                    _ => {}
                }
                prop_assert_eq!(counted, queues > 0 && !history);
                prop_assert_eq!(keepers.are_queues(), counted);
            }
        }
    }
}
