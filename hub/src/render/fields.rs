//! Parts of requests, each kept once: thousands of streams share most of their parameters and headers.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use crate::quota::budget::{Account, Reservation};

/// The parts in use.
#[derive(Debug, Default)]
pub(crate) struct FieldInterner {
    parts: Slab<Part>,
    places: HashMap<Arc<[u8]>, PartId>,
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
    /// Of the client whose request had it first: nobody else can have brought in a part that is large and only his.
    _reservation: Reservation,
}

impl FieldInterner {
    /// Keeps a part, once more for one more user.
    pub(crate) fn take(&mut self, bytes: &[u8], account: &Account) -> PartId {
        if let Some(&id) = self.places.get(bytes) {
            self.parts[id.0 as usize].users += 1;
            return id;
        }
        let bytes: Arc<[u8]> = bytes.into();
        let part = Part { bytes: Arc::clone(&bytes), users: 1, _reservation: account.take(PART + bytes.len()) };
        let id = PartId(self.parts.insert(part) as u32);
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
    use crate::quota::budget::Budget;

    #[test]
    fn equal_parts_are_one_and_go_with_their_last_user() {
        let budget = Budget::new("", 0);
        let account = budget.of_all();
        let mut pool = FieldInterner::default();
        let first = pool.take(b"a", &account);
        assert_eq!(pool.take(b"a", &account), first);
        assert_ne!(pool.take(b"b", &account), first);
        assert_eq!(pool.bytes(first), b"a");
        pool.give_back(first);
        assert_eq!(pool.bytes(first), b"a");
        pool.give_back(first);
        assert_eq!((pool.parts.len(), pool.places.len(), budget.used()), (1, 1, PART + 1));
    }
}
