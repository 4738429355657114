//! A coarse timer wheel: a ring of lists, one for each second. Entries can't be cancelled.
//!
//! An entry is a stream that may need a heartbeat. The caller checks whether the stream still exists and is due, and inserts it
//! again if not. So sending data to a stream costs nothing here.

/// Seconds in the ring; entries due later are taken earlier, and inserted again.
const SLOTS: usize = 64;

/// Entries by the second at which to check them.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    slots: [Vec<T>; SLOTS],
    /// Number of entries.
    len: usize,
    /// The next second to take.
    next: u32,
}

impl<T> Wheel<T> {
    /// Creates an empty wheel, before second 0.
    pub(crate) fn new() -> Self {
        Self { slots: std::array::from_fn(|_| Vec::new()), len: 0, next: 0 }
    }

    /// Inserts an entry for second `due`, or for an earlier one if `due` is beyond the ring.
    pub(crate) fn insert(&mut self, due: u32, entry: T) {
        let ahead = due.saturating_sub(self.next).min(SLOTS as u32 - 1);
        self.slots[(self.next.wrapping_add(ahead)) as usize % SLOTS].push(entry);
        self.len += 1;
    }

    /// Moves all entries up to and including second `now` to `found`.
    pub(crate) fn advance(&mut self, now: u32, found: &mut Vec<T>) {
        let before = found.len();
        while self.next <= now {
            if found.len() - before == self.len {
                self.next = now + 1;
                break;
            }
            // The list is taken whole, so that a second with many entries doesn't keep their memory.
            found.extend(std::mem::take(&mut self.slots[self.next as usize % SLOTS]));
            self.next += 1;
        }
        self.len -= found.len() - before;
    }

    /// All entries, in any order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    /// The first second with an entry; `None` if the wheel is empty.
    pub(crate) fn next_due(&self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        (0..SLOTS as u32).map(|ahead| self.next + ahead).find(|second| !self.slots[*second as usize % SLOTS].is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(wheel: &mut Wheel<u32>, now: u32) -> Vec<u32> {
        let mut found = Vec::new();
        wheel.advance(now, &mut found);
        found
    }

    #[test]
    fn entries_come_at_their_second_and_once() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.next_due(), None);
        wheel.insert(3, 30);
        wheel.insert(1, 10);
        assert_eq!(wheel.next_due(), Some(1));
        assert!(taken(&mut wheel, 0).is_empty());
        assert_eq!(taken(&mut wheel, 2), [10]);
        assert_eq!(wheel.next_due(), Some(3));
        assert_eq!(taken(&mut wheel, 3), [30]);
        assert!(taken(&mut wheel, 500).is_empty());
        assert_eq!(wheel.next_due(), None);
    }

    #[test]
    fn an_entry_of_the_past_comes_at_the_next_second() {
        let mut wheel = Wheel::new();
        taken(&mut wheel, 100);
        wheel.insert(7, 7);
        assert_eq!(wheel.next_due(), Some(101));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_late(dues in proptest::collection::vec(0..400_u32, 0..50), steps in proptest::collection::vec(1..90_u32, 1..20)) {
            let mut wheel = Wheel::new();
            for &due in &dues {
                wheel.insert(due, due);
            }
            let mut waiting = dues;
            let mut now = 0;
            for step in steps {
                now += step;
                for due in taken(&mut wheel, now) {
                    if due <= now {
                        let at = waiting.iter().position(|other| *other == due);
                        waiting.swap_remove(at.expect("no entry comes twice"));
                    } else {
                        wheel.insert(due, due);
                    }
                }
                prop_assert!(waiting.iter().all(|due| *due > now), "{waiting:?} at {now}");
                let due = wheel.next_due();
                prop_assert_eq!(due.is_some(), !waiting.is_empty());
                prop_assert!(due.is_none_or(|due| waiting.iter().all(|other| due <= *other)));
            }
        }
    }
}
