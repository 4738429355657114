//! Random numbers that spread simultaneous work over time. Not for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number.
#[must_use]
pub fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random number from 0 to `most`, inclusive.
#[must_use]
pub fn up_to(most: u32) -> u32 {
    // The remainder is at most `most`, a `u32`.
    (number() % (u64::from(most) + 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_spread_over_the_whole_range_and_not_beyond() {
        let found: BTreeSet<u32> = (0..1000).map(|_| up_to(3)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(up_to(0), 0);
        let upper_half = (0..1000).filter(|_| up_to(u32::MAX) > u32::MAX / 2).count();
        assert!((300..700).contains(&upper_half), "{upper_half}");
    }
}
