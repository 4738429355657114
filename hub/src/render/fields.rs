//! Interner of request fields: thousands of streams share most of their parameters and headers.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use crate::quota::budget::{Account, Reservation};

/// The fields in use, each stored once.
#[derive(Debug, Default)]
pub(crate) struct FieldInterner {
    parts: Slab<InternedField>,
    places: HashMap<Arc<[u8]>, PartId>,
}

/// Memory of a field beside its bytes: its two places and the counters of its `Arc`.
const PART: usize = 2 * size_of::<InternedField>() + 16;

/// A field's place in its interner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartId(u32);

#[derive(Debug)]
struct InternedField {
    bytes: Arc<[u8]>,
    users: usize,
    /// Charged to the client whose request had it first, so a client pays for each field that only it uses.
    _reservation: Reservation,
}

impl FieldInterner {
    /// Interns a field, or counts one more user of it.
    pub(crate) fn take(&mut self, bytes: &[u8], account: &Account) -> PartId {
        if let Some(&id) = self.places.get(bytes) {
            self.parts[id.0 as usize].users += 1;
            return id;
        }
        let bytes: Arc<[u8]> = bytes.into();
        let part =
            InternedField { bytes: Arc::clone(&bytes), users: 1, _reservation: account.take(PART + bytes.len()) };
        let id = PartId(self.parts.insert(part) as u32);
        self.places.insert(bytes, id);
        id
    }

    /// Drops one user of a field; the opposite of [`take`](Self::take).
    pub(crate) fn give_back(&mut self, id: PartId) {
        let Some(part) = self.parts.get_mut(id.0 as usize) else { return };
        part.users -= 1;
        if part.users == 0 {
            let part = self.parts.remove(id.0 as usize);
            self.places.remove(&part.bytes);
        }
    }

    /// The bytes of a field, shared.
    pub(crate) fn shared(&self, id: PartId) -> &Arc<[u8]> {
        &self.parts[id.0 as usize].bytes
    }

    /// The bytes of a field.
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
        let mut interner = FieldInterner::default();
        let first = interner.take(b"a", &account);
        assert_eq!(interner.take(b"a", &account), first);
        assert_ne!(interner.take(b"b", &account), first);
        assert_eq!(interner.bytes(first), b"a");
        interner.give_back(first);
        assert_eq!(interner.bytes(first), b"a");
        interner.give_back(first);
        assert_eq!((interner.parts.len(), interner.places.len(), budget.used()), (1, 1, PART + 1));
    }
}
