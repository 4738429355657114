//! A payload in a queue, and the bytes that it keeps: see [`crate::event::pinned`].

use std::ops::Deref;
use std::sync::atomic::Ordering;

use crate::event::pinned::{PINNED, References};
use crate::stream::Payload;

/// Bytes of a place in a queue. A queue's capacity is up to twice its length.
const PLACE: usize = 2 * size_of::<Payload>();

/// Bytes of a place in the table of [`crate::stream::latest`], which may be half empty.
const LATEST: usize = 80;

/// A payload in a queue.
#[derive(Debug)]
pub(crate) struct Queued(Payload);

impl Queued {
    pub(crate) fn new(payload: Payload) -> Self {
        let queued = Self(payload);
        let joined = queued.shared().filter(|(references, _)| references.add_queue());
        PINNED.fetch_add(queued.own() + joined.map_or(0, |(_, bytes)| bytes), Ordering::Relaxed);
        queued
    }

    /// The references and bytes of a shared payload; `None` if no one else can keep it.
    fn shared(&self) -> Option<(&References, usize)> {
        match &self.0 {
            Payload::Event(event) => Some((event.references(), event.memory())),
            Payload::Frames(frames) => Some((frames.references(), frames.memory())),
            _ => None,
        }
    }

    /// Bytes that belong to this place alone.
    fn own(&self) -> usize {
        PLACE
            + match &self.0 {
                Payload::Event(_) | Payload::Frames(_) if self.0.latest().is_some() => LATEST,
                Payload::Gap(_) | Payload::Lines(_) | Payload::Trigger(_) => self.0.len(),
                _ => 0,
            }
    }

    /// Bytes that this place keeps, including those shared only with other queues.
    pub(crate) fn pinned(&self) -> usize {
        let shared = self.shared().filter(|(references, _)| references.only_queues());
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
        let left = self.shared().filter(|(references, _)| references.remove_queue());
        PINNED.fetch_sub(self.own() + left.map_or(0, |(_, bytes)| bytes), Ordering::Relaxed);
    }
}
