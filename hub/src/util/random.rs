//! Random numbers that spread simultaneous work over time, and secrets.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};

use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

/// Random bytes of the kernel, which nobody can guess. Containers may refuse the call that gives them; the kernel's device gives
/// the same.
///
/// # Errors
/// If the call is refused and the device can't be read.
pub(crate) fn secret<const LEN: usize>() -> io::Result<[u8; LEN]> {
    let mut bytes = [0; LEN];
    let mut filled = 0;
    while filled < LEN {
        match rustix::rand::getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) => {
                File::open("/dev/urandom")?.read_exact(&mut bytes)?;
                break;
            }
        }
    }
    Ok(bytes)
}

/// A random number, which is no secret.
#[must_use]
pub fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random number from 0 to `most`, inclusive, which is no secret.
#[must_use]
pub fn up_to(most: u32) -> u32 {
    // The remainder is at most `most`, a `u32`.
    (number() % (u64::from(most) + 1)) as u32
}

/// A new `urn:uuid:…`, which is no secret. Of the fourth version: "set all the other bits to randomly … chosen values" (RFC 9562).
pub(crate) fn urn() -> String {
    let (high, low) = (number() & !0xF000 | 0x4000, number() & (u64::MAX >> 2) | 1 << 63);
    let part = |number: u64, from: u32, digits: u32| number >> from & (u64::MAX >> (64 - 4 * digits));
    format!(
        "urn:uuid:{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(high, 32, 8),
        part(high, 16, 4),
        part(high, 0, 4),
        part(low, 48, 4),
        part(low, 0, 12)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_urn_has_version_and_variant() {
        let urns: BTreeSet<String> = (0..100).map(|_| urn()).collect();
        assert_eq!(urns.len(), 100);
        for urn in urns {
            assert_eq!((urn.len(), &urn[..9], &urn[23..24]), (45, "urn:uuid:", "4"), "{urn}");
            assert!(["8", "9", "a", "b"].contains(&&urn[28..29]), "{urn}");
        }
    }

    #[test]
    fn numbers_are_spread_over_the_whole_range_and_not_beyond() {
        let found: BTreeSet<u32> = (0..1000).map(|_| up_to(3)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(up_to(0), 0);
        let upper_half = (0..1000).filter(|_| up_to(u32::MAX) > u32::MAX / 2).count();
        assert!((300..700).contains(&upper_half), "{upper_half}");
    }
}
