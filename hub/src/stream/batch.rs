//! A batch of events that arrive faster than the shard writes them: each stream gets its share of the batch in one write.
//!
//! A share allocates and copies nothing: it is a chain of links in one list that all streams of the batch use.

use crate::stream::{PIECES, Payload};

/// Maximum bytes of events in a batch. A socket rarely takes more at once, and the first readers' events would wait longer.
const BYTES: usize = 64 << 10;

/// Maximum number of links in a batch, 8 bytes each.
const LINKS: usize = 256 << 10;

/// Number of links whose memory a batch keeps for the next one.
const KEPT_LINKS: usize = 16 << 10;

/// Events of one batch, and which streams get which of them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    payloads: Vec<Payload>,
    links: Vec<BatchLink>,
    /// Slab keys of the streams with a share, in the order of their first payload.
    readers: Vec<u32>,
    bytes: usize,
}

/// One payload of a stream's share, and the link to the next one.
#[derive(Debug, Clone, Copy)]
struct BatchLink {
    payload: u32,
    next: Option<At>,
}

/// Index in the list of links, counted from 1.
type At = std::num::NonZeroU32;

/// A stream's share of a batch: its first and its last link.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share(Option<(At, At)>);

impl Share {
    /// Moves the share out of its stream; `None` if the share is empty.
    pub(crate) fn take(&mut self) -> Option<Self> {
        self.0.take().map(|links| Self(Some(links)))
    }
}

impl Batch {
    /// Returns whether no stream has a share.
    pub(crate) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Returns whether the batch has reached a limit and must be written.
    pub(crate) fn is_full(&self) -> bool {
        self.payloads.len() >= PIECES || self.bytes >= BYTES || self.links.len() >= LINKS
    }

    /// Adds a payload, in no share yet, and returns its index.
    pub(crate) fn add(&mut self, payload: Payload) -> u32 {
        self.bytes += payload.len();
        self.payloads.push(payload);
        self.payloads.len() as u32 - 1
    }

    /// Returns the payload at an index from [`add`](Self::add).
    pub(crate) fn payload(&self, nth: u32) -> &Payload {
        &self.payloads[nth as usize]
    }

    /// Appends a payload to `share`, the share of the stream at `key`.
    pub(crate) fn give(&mut self, payload: u32, key: u32, share: &mut Share) {
        self.links.push(BatchLink { payload, next: None });
        let Some(link) = At::new(self.links.len() as u32) else { return };
        let first = match share.0 {
            Some((first, last)) => {
                self.links[last.get() as usize - 1].next = Some(link);
                first
            }
            None => {
                self.readers.push(key);
                link
            }
        };
        share.0 = Some((first, link));
    }

    /// Iterates over the payloads of a share.
    pub(crate) fn share(&self, share: Share) -> impl Iterator<Item = &Payload> + Clone {
        let mut next = share.0.map(|(first, _)| first);
        std::iter::from_fn(move || {
            let link = self.links[next?.get() as usize - 1];
            next = link.next;
            Some(self.payload(link.payload))
        })
    }

    /// Slab keys of the streams that have or had a share.
    pub(crate) fn readers(&self) -> &[u32] {
        &self.readers
    }

    /// Empties the batch for the next events.
    pub(crate) fn clear(&mut self) {
        self.payloads.clear();
        self.readers.clear();
        self.links.clear();
        self.bytes = 0;
        if self.links.capacity() > KEPT_LINKS {
            self.links = Vec::new();
            self.readers = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_has_its_own_payloads_in_their_order() {
        let mut batch = Batch::default();
        let mut shares = [Share::default(); 3];
        for nth in 0..6 {
            let payload = batch.add(Payload::Lines(nth.to_string().into()));
            for key in (0..2).filter(|key| nth % (key + 1) == 0) {
                batch.give(payload, key, &mut shares[key as usize]);
            }
        }
        let mut taken = |key: usize| -> String {
            let text = |payload: &Payload| match payload {
                Payload::Lines(text) => text.to_string(),
                other => panic!("{other:?}"),
            };
            shares[key].take().map(|share| batch.share(share).map(text).collect()).unwrap_or_default()
        };
        assert_eq!([taken(0), taken(1), taken(2), taken(0)], ["012345", "024", "", ""]);
        assert_eq!(batch.readers(), [0, 1]);
        batch.clear();
        assert!(batch.is_empty() && !batch.is_full());
    }
}
