//! Event ids of the form `milliseconds-sequence`, as Redis streams have them.

use std::fmt;
use std::ops::Deref;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// An id that the hub assigned: milliseconds since 1970 and a sequence number within the millisecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// Milliseconds since 1970-01-01 UTC.
    pub ms: u64,
    /// Number of the event within its millisecond, from 0.
    pub seq: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Longest text of an id, in bytes: the digits of two `u64` and a hyphen.
const MAX_TEXT: usize = 41;

/// An id as text, without a heap allocation.
#[derive(Debug, Clone, Copy)]
pub struct IdText {
    text: [u8; MAX_TEXT],
    length: usize,
}

impl Deref for IdText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).expect("digits and a hyphen are UTF-8")
    }
}

impl Id {
    /// The same text as `Display`, without the cost of a formatter: every event needs it once or twice.
    #[must_use]
    pub fn text(self) -> IdText {
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let mut text = [0; MAX_TEXT];
        let mut length = 0;
        for part in [ms.format(self.ms), "-", seq.format(self.seq)] {
            text[length..length + part.len()].copy_from_slice(part.as_bytes());
            length += part.len();
        }
        IdText { text, length }
    }

    /// The next larger id.
    #[must_use]
    pub fn after(self) -> Self {
        match self.seq.checked_add(1) {
            Some(seq) => Self { seq, ..self },
            None => Self { ms: self.ms.saturating_add(1), seq: 0 },
        }
    }

    /// The next smaller id; 0-0 has none and is returned itself.
    #[must_use]
    pub fn before(self) -> Self {
        match (self.ms, self.seq.checked_sub(1)) {
            (_, Some(seq)) => Self { seq, ..self },
            (0, None) => self,
            (ms, None) => Self { ms: ms - 1, seq: u64::MAX },
        }
    }

    /// Parses `milliseconds-sequence`; `None` for any other text, such as a publisher's own id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (ms, seq) = text.split_once('-')?;
        let digits = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        };
        Some(Self { ms: digits(ms)?, seq: digits(seq)? })
    }
}

/// Smallest `ms` at which an id counts as the hub's: September 2001.
const SINCE: u64 = 1_000_000_000_000;

/// Whether a publisher's own id looks like one that the hub assigns.
#[must_use]
pub fn is_like_ours(id: &str) -> bool {
    Id::parse(id).is_some_and(|id| id.ms >= SINCE)
}

/// Source of ids that only grow, even when the system clock is set back.
#[derive(Debug, Default)]
pub struct IdClock {
    last: Id,
}

impl IdClock {
    /// A clock that starts at the current time, so that a restarted hub assigns larger ids than the hub before it.
    #[must_use]
    pub fn new() -> Self {
        Self { last: Id { ms: now_ms(), seq: 0 } }
    }

    /// Makes all later ids larger than `id`.
    pub fn pass(&mut self, id: Id) {
        self.last = self.last.max(id);
    }

    /// The id assigned last; before the first one, an id smaller than all later ones.
    #[must_use]
    pub fn last(&self) -> Id {
        self.last
    }

    /// Assigns the next id.
    pub fn next_id(&mut self) -> Id {
        self.next_at(now_ms())
    }

    fn next_at(&mut self, now: u64) -> Id {
        self.last = if now > self.last.ms { Id { ms: now, seq: 0 } } else { self.last.after() };
        self.last
    }
}

/// Milliseconds since 1970-01-01 UTC by the system clock; 0 if the clock is set before that.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_within_a_millisecond_and_when_the_clock_goes_back() {
        let mut clock = IdClock::default();
        let ids: Vec<String> = [5, 5, 6, 3, 3, 7].iter().map(|&ms| clock.next_at(ms).to_string()).collect();
        assert_eq!(ids, ["5-0", "5-1", "6-0", "6-1", "6-2", "7-0"]);
    }

    #[test]
    fn ids_have_neighbours() {
        for (id, next) in [("5-0", "5-1"), ("5-18446744073709551615", "6-0"), ("0-0", "0-1")] {
            let (id, next) = (Id::parse(id).expect("an id"), Id::parse(next).expect("an id"));
            assert_eq!((id.after(), next.before()), (next, id));
        }
        assert_eq!(Id::default().before(), Id::default());
    }

    #[test]
    fn an_id_has_one_text() {
        for id in [Id::default(), Id { ms: 1_700_000_000_000, seq: 42 }, Id { ms: u64::MAX, seq: u64::MAX }] {
            assert_eq!(&*id.text(), id.to_string());
        }
    }

    #[test]
    fn only_our_own_shape_is_read() {
        assert_eq!(Id::parse("12-3"), Some(Id { ms: 12, seq: 3 }));
        for other in ["", "12", "12-", "-3", "a-3", "12-3-4", "+1-2", "99999999999999999999-0"] {
            assert_eq!(Id::parse(other), None, "{other}");
        }
    }
}
