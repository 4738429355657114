//! Parts of requests, each kept once: thousands of streams share most of their parameters and headers.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use super::meter::Charge;

/// The parts in use.
#[derive(Debug)]
pub(crate) struct Pool {
    parts: Slab<Part>,
    places: HashMap<Arc<[u8]>, PartId>,
    /// What they take.
    bytes: usize,
    charge: Charge,
}

/// What a part takes beside its bytes: its two places and the counters of its memory.
const PART: usize = 2 * size_of::<Part>() + 16;

/// A part's place in its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartId(u32);

#[derive(Debug)]
struct Part {
    bytes: Arc<[u8]>,
    users: usize,
}

impl Pool {
    /// No parts yet. What they will take is counted there.
    pub(crate) fn new(charge: Charge) -> Self {
        Self { parts: Slab::new(), places: HashMap::new(), bytes: 0, charge }
    }

    /// Keeps a part, once more for one more user.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> PartId {
        if let Some(&id) = self.places.get(bytes) {
            self.parts[id.0 as usize].users += 1;
            return id;
        }
        let bytes: Arc<[u8]> = bytes.into();
        let id = PartId(self.parts.insert(Part { bytes: Arc::clone(&bytes), users: 1 }) as u32);
        self.bytes += PART + bytes.len();
        self.charge.set(self.bytes);
        self.places.insert(bytes, id);
        id
    }

    /// The opposite of [`take`](Self::take).
    pub(crate) fn give_back(&mut self, id: PartId) {
        let Some(part) = self.parts.get_mut(id.0 as usize) else { return };
        part.users -= 1;
        if part.users == 0 {
            let part = self.parts.remove(id.0 as usize);
            self.places.remove(&part.bytes);
            self.bytes -= PART + part.bytes.len();
            self.charge.set(self.bytes);
        }
    }

    /// The bytes of a part, shared.
    pub(crate) fn shared(&self, id: PartId) -> &Arc<[u8]> {
        &self.parts[id.0 as usize].bytes
    }

    /// The bytes of a part.
    pub(crate) fn bytes(&self, id: PartId) -> &[u8] {
        &self.parts[id.0 as usize].bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::meter::Meter;

    #[test]
    fn equal_parts_are_one_and_go_with_their_last_user() {
        let meter = Meter::new(0);
        let mut pool = Pool::new(meter.charge(0));
        let first = pool.take(b"a");
        assert_eq!(pool.take(b"a"), first);
        assert_ne!(pool.take(b"b"), first);
        assert_eq!(pool.bytes(first), b"a");
        pool.give_back(first);
        assert_eq!(pool.bytes(first), b"a");
        pool.give_back(first);
        assert_eq!((pool.parts.len(), pool.places.len(), meter.used()), (1, 1, PART + 1));
    }
}
