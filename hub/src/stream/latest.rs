//! Events of which only the newest matters (`latest` of `sse_publish()`): while one waits in a queue, a newer one of the same
//! topics replaces it, at its own place.
//!
//! An event whose moment comes before that of a later one in the queue ([`crate::stream::pause`]) is not dropped, as a ticker
//! would be put off behind each new pause, and might never be told. It stays for its moment, and only what follows it is
//! replaced: of the same topics two wait at most.
//!
//! The place of a dropped event stays in the queue, empty, until the queue is tidied up: so replacing an event costs the same
//! whatever waits.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use crate::stream::queued::Queued;
use crate::stream::{Behind, Payload, Stream};
use sse_protocol::wire::Framing;

/// Empty places that are not worth tidying up, beyond as many as there are others.
const FEW: usize = 16;

/// Where in a queue one such event waits. Places are counted from the queue's first one when [`LatestPlaces`] was created.
#[derive(Debug, Clone, Copy)]
struct WaitingPlace {
    place: u64,
    /// The place after the last pause before it; 0: there was none.
    after_pause: u64,
}

/// Where in a queue such events wait.
#[derive(Debug, Default)]
pub(super) struct LatestPlaces {
    /// The newest ones, by the names of their topics.
    by_topics: HashMap<Arc<str>, WaitingPlace>,
    /// Older ones that stay for their moments.
    older: HashMap<Arc<str>, WaitingPlace>,
    /// The place after the queue's last pause; 0: there was none.
    after_pause: u64,
    /// Places that have left the queue since then.
    left: u64,
    /// Empty places in the queue.
    empty: usize,
}

impl LatestPlaces {
    /// Notes that a payload has left the front of the queue.
    fn leave(&mut self, payload: &Payload) {
        if let Some(topics) = payload.latest() {
            for places in [&mut self.by_topics, &mut self.older] {
                if places.get(topics).is_some_and(|waiting| waiting.place == self.left) {
                    places.remove(topics);
                    if places.capacity() > 64 && places.len() < places.capacity() / 4 {
                        places.shrink_to(places.len() * 2);
                    }
                }
            }
        }
        self.empty -= usize::from(matches!(payload, Payload::Superseded));
        self.left += 1;
    }

    /// Notes that a payload waits at a place, counted from the queue's first one now.
    fn note(&mut self, payload: &Payload, index: u64) {
        let place = self.left + index;
        if let Payload::Pause(_) = payload {
            self.after_pause = place + 1;
        } else if let Some(topics) = payload.latest() {
            let waiting = WaitingPlace { place, after_pause: self.after_pause };
            if let Some(older) = self.by_topics.insert(Arc::clone(topics), waiting) {
                self.older.entry(Arc::clone(topics)).or_insert(older);
            }
        }
    }

    /// Whether the newest event of these topics stays for its moment, as a newer one would be told later.
    fn stays(&self, topics: &str) -> bool {
        let is_before_a_pause = |waiting: &WaitingPlace| waiting.place < self.after_pause;
        self.by_topics.get(topics).is_some_and(is_before_a_pause) && !self.older.contains_key(topics)
    }
}

impl Stream {
    /// Drops the event that a payload replaces, if one waits of which nothing is written. Returns how many were dropped.
    pub(super) fn supersede(&mut self, payload: &Payload) -> usize {
        let Some(topics) = payload.latest() else { return 0 };
        let waits_for_its_moment = self.replaces_behind_pause(payload);
        let Some(Behind { latest: places, .. }) = self.behind.as_deref_mut() else { return 0 };
        if waits_for_its_moment && places.stays(topics) {
            return 0;
        }
        let Some(WaitingPlace { place, .. }) = places.by_topics.remove(topics) else { return 0 };
        let index = (place - places.left) as usize;
        if index == 0 && self.offset > 0 {
            return 0;
        }
        places.empty += 1;
        let is_untidy = places.empty > FEW + self.queue.len() / 2;
        let Some(dropped) = self.queue.get_mut(index) else { return 0 };
        let dropped = mem::replace(dropped, Queued::new(Payload::Superseded));
        self.queued -= dropped.framed_len(self.framing.unwrap_or(Framing::Raw));
        self.preloaded = self.preloaded.min(self.queued);
        if is_untidy {
            self.tidy_up();
        } else {
            self.leave_empty_places();
        }
        1
    }

    /// Removes what is nothing from the front of the queue: it begins with something to write, or with one pause before that.
    pub(super) fn leave_empty_places(&mut self) {
        loop {
            let mut places = self.queue.iter().map(|queued| &**queued);
            match (places.next(), places.next()) {
                (Some(Payload::Superseded), _) | (Some(Payload::Pause(_)), Some(Payload::Pause(_))) => {}
                (Some(Payload::Pause(_)), Some(Payload::Superseded)) => self.queue.swap(0, 1),
                _ => return,
            }
            self.leave_queue();
        }
    }

    /// Whether the event that a payload replaces waits behind a pause.
    pub(super) fn replaces_behind_pause(&self, payload: &Payload) -> bool {
        let Some(topics) = payload.latest() else { return false };
        let Some(places) = self.behind.as_deref().map(|behind| &behind.latest) else { return false };
        // A pause at the front may have moved: see `leave_empty_places`.
        let behind_any = |waiting: &WaitingPlace| waiting.after_pause > places.left || self.paused().is_some();
        places.by_topics.get(topics).is_some_and(behind_any)
    }

    /// Notes that the next place of the queue will have this payload.
    pub(super) fn note_latest(&mut self, payload: &Payload) {
        if payload.latest().is_some() || matches!(payload, Payload::Pause(_)) {
            self.behind.get_or_insert_default().latest.note(payload, self.queue.len() as u64);
        }
    }

    /// Removes the first payload of the queue.
    pub(super) fn leave_queue(&mut self) {
        if let Some(first) = self.queue.pop_front()
            && let Some(behind) = &mut self.behind
        {
            behind.latest.leave(&first);
        }
    }

    /// Removes the empty places, and notes where the others are now.
    pub(super) fn tidy_up(&mut self) {
        self.queue.retain(|queued| !matches!(**queued, Payload::Superseded));
        if let Some(behind) = &mut self.behind {
            behind.latest = LatestPlaces::default();
        }
        for (queued, index) in self.queue.iter().zip(0..) {
            if queued.latest().is_some() || matches!(**queued, Payload::Pause(_)) {
                self.behind.get_or_insert_default().latest.note(queued, index);
            }
        }
        self.leave_empty_places();
    }
}
