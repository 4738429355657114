//! Giving memory back that the hub once needed.
//!
//! The allocator keeps what was freed between what is still in use. That is right for a hub that is busy, but after a busy
//! hour it would stay for ever.

use crate::sys;

/// Not worth the search for less, in bytes.
const WORTH_IT: usize = 1 << 20;

/// What the hub keeps for itself, as it comes and goes.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The most, in bytes, since some was given back last.
    most: usize,
}

impl Memory {
    /// So many bytes are kept now.
    pub(crate) fn note(&mut self, kept: usize) {
        self.most = self.most.max(kept);
    }

    /// Gives back what is free if so many bytes are less than half of what was kept once.
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
