//! Fingerprints of outputs and patterns. An upgrade passes them to the new hub, another program, so they must never change.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// A 128-bit hash of some content; equal hashes of different contents do not occur by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    /// The fingerprint of bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(bytes))
    }

    /// The fingerprint of a list of texts.
    pub(crate) fn of_list(texts: &[&str]) -> Self {
        let mut hasher = Xxh3::new();
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self(hasher.digest128())
    }
}

/// The patterns that a job watches, as far as the hub knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WatchedPatterns {
    /// Not set yet.
    #[default]
    Unsaid,
    /// The patterns with this fingerprint.
    These(Fingerprint),
    /// The earlier patterns and others, until the next `watch`.
    More,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_told_from_each_other() {
        let lists: [&[&str]; 6] = [&[], &[""], &["a"], &["a", ""], &["a", "b"], &["ab"]];
        for (nth, one) in lists.iter().enumerate() {
            for (other_nth, other) in lists.iter().enumerate() {
                let same = Fingerprint::of_list(one) == Fingerprint::of_list(other);
                assert_eq!(same, nth == other_nth, "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn the_numbers_are_those_that_other_hubs_have() {
        let number = |found: Fingerprint| format!("{:032x}", found.0);
        // XXH3's published value for no bytes.
        assert_eq!(number(Fingerprint::of(b"")), "99aa06d3014798d86001c324468d497f");
        assert_eq!(number(Fingerprint::of(b"data: a\n\n")), "a6f059dc504d1bbc024dc25e7a2335ea");
        assert_eq!(number(Fingerprint::of_list(&["a", "b.*"])), "60e940695b584bc8bdf583a53490803d");
    }
}
