//! Whether the events of a stream come in order, each once.

use std::ops::Range;

/// The numbers that came, and what was wrong with them.
#[derive(Debug, Default)]
pub struct Order {
    /// The number that is due; none before the first event.
    next: Option<u64>,
    /// Numbers that were passed over and have not come.
    holes: Vec<Range<u64>>,
    /// How many those are.
    pub lost: u64,
    /// Events that had come before.
    pub doubled: u64,
    /// Events that came after later ones.
    pub disordered: u64,
}

impl Order {
    /// Takes the number of the next event.
    pub fn came(&mut self, number: u64) {
        let next = self.next.unwrap_or(number);
        if number >= next {
            if number > next {
                self.holes.push(next..number);
                self.lost += number - next;
            }
            self.next = Some(number + 1);
        } else if self.fill(number) {
            self.lost -= 1;
            self.disordered += 1;
        } else {
            self.doubled += 1;
        }
    }

    /// Forgets what was wrong until now; the next number stays due.
    pub fn forget(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// Takes the number out of the holes, if it is in one.
    fn fill(&mut self, number: u64) -> bool {
        let Some(index) = self.holes.iter().position(|hole| hole.contains(&number)) else { return false };
        let hole = self.holes.swap_remove(index);
        let rests = [hole.start..number, number + 1..hole.end];
        self.holes.extend(rests.into_iter().filter(|rest| !rest.is_empty()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(numbers: &[u64]) -> (u64, u64, u64) {
        let mut order = Order::default();
        for number in numbers {
            order.came(*number);
        }
        (order.lost, order.doubled, order.disordered)
    }

    #[test]
    fn events_in_order_are_right_wherever_they_begin() {
        assert_eq!(wrong(&[0, 1, 2, 3]), (0, 0, 0));
        assert_eq!(wrong(&[70, 71, 72]), (0, 0, 0));
    }

    #[test]
    fn a_loss_is_found() {
        assert_eq!(wrong(&[0, 1, 4, 5, 7]), (3, 0, 0));
    }

    #[test]
    fn a_doubled_event_is_found() {
        assert_eq!(wrong(&[0, 1, 1, 2, 0]), (0, 2, 0));
        assert_eq!(wrong(&[5, 4]), (0, 1, 0));
    }

    #[test]
    fn disorder_is_found_and_is_no_loss() {
        assert_eq!(wrong(&[0, 2, 1, 3]), (0, 0, 1));
        assert_eq!(wrong(&[0, 9, 5, 4, 6, 5]), (5, 1, 3));
    }

    #[test]
    fn what_was_wrong_can_be_forgotten_but_not_what_is_due() {
        let mut order = Order::default();
        for number in [0, 5, 5] {
            order.came(number);
        }
        order.forget();
        assert_eq!((order.lost, order.doubled, order.disordered), (0, 0, 0));
        order.came(8);
        assert_eq!(order.lost, 2);
    }
}
