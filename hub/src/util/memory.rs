//! Returns unused heap memory to the system.
//!
//! The allocator keeps freed memory for reuse. A busy hub needs that, but after a busy hour the memory would stay for ever.

use crate::sys;

/// Minimum decrease, in bytes, that is worth a trim.
const WORTH_IT: usize = 1 << 20;

/// How much memory the hub uses, and has used.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Maximum, in bytes, since the last trim.
    most: usize,
}

impl Memory {
    /// Records that `kept` bytes are in use.
    pub(crate) fn note(&mut self, kept: usize) {
        self.most = self.most.max(kept);
    }

    /// Trims the heap if `kept` bytes are less than half of the maximum.
    pub(crate) fn settle(&mut self, kept: usize) {
        if self.is_much_less(kept) {
            sys::trim_memory();
        }
    }

    fn is_much_less(&mut self, kept: usize) -> bool {
        let less = kept < self.most / 2 && self.most - kept >= WORTH_IT;
        if less {
            self.most = kept;
        }
        less
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_much_of_it_is_no_longer_needed() {
        let mut memory = Memory::default();
        assert!(!memory.is_much_less(0));
        memory.note(10 * WORTH_IT);
        memory.note(7 * WORTH_IT);
        assert!(!memory.is_much_less(5 * WORTH_IT));
        assert!(memory.is_much_less(5 * WORTH_IT - 1));
        assert!(!memory.is_much_less(5 * WORTH_IT - 1));
        assert!(memory.is_much_less(0));
        memory.note(WORTH_IT - 1);
        assert!(!memory.is_much_less(0), "too little");
    }
}
