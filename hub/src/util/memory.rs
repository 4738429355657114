//! Returns unused heap memory to the system.
//!
//! The allocator keeps freed memory for reuse. A busy hub needs that, but after a busy hour the memory would stay for ever.

use std::mem;

use crate::sys;

/// Minimum decrease, in bytes, that is worth a trim. What is left at a trim keeps some four times its size, as each entry keeps a
/// page; once that has gone as well, another trim must be worth it.
const WORTH_IT: usize = 128 << 10;

/// How much memory the hub uses, and has used.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Maximum, in bytes, since the last trim.
    most: usize,
    /// The last check has trimmed. What was freed since, as by tables that shrink later, is worth another trim.
    trimmed: bool,
}

impl Memory {
    /// Records that `kept` bytes are in use.
    pub(crate) fn note(&mut self, kept: usize) {
        self.most = self.most.max(kept);
    }

    /// Trims the heap if `kept` bytes are less than half of the maximum, and once more at the next check.
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
        mem::replace(&mut self.trimmed, less) || less
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_twice_after_much_of_it_is_no_longer_needed() {
        let mut memory = Memory::default();
        assert!(!memory.is_much_less(0));
        memory.note(10 * WORTH_IT);
        memory.note(7 * WORTH_IT);
        assert!(!memory.is_much_less(5 * WORTH_IT));
        assert!(memory.is_much_less(5 * WORTH_IT - 1));
        assert!(memory.is_much_less(5 * WORTH_IT - 1), "what was freed since");
        assert!(!memory.is_much_less(5 * WORTH_IT - 1));
        assert!(memory.is_much_less(0));
        assert!(memory.is_much_less(0));
        memory.note(WORTH_IT - 1);
        assert!(!memory.is_much_less(0), "too little");
    }
}
