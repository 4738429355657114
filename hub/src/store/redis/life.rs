//! Decides whether entries were lost between two looks at the stream.
//!
//! Redis loses entries by trimming, eviction, failover to a lagging replica, or restart. The next entries follow those read
//! without a gap if the server is the same, and if the stream's first entry is not newer than the last one read, or the number
//! of entries ever added is the number read plus the number present.

use redis::Value;
use serde::{Deserialize, Serialize};

use crate::store::redis::connection::BusError;
use crate::store::redis::entry::{id, text};
use sse_protocol::id::Id;

/// Identifies a server process and its role, and so one life of its data; `None` if the server doesn't tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life(Option<(String, ServerRole)>);

/// A server's replication role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum ServerRole {
    Master,
    /// A replica of the master with this replication id.
    Replica(String),
}

/// The stream's metadata at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RedisStreamInfo {
    /// Whether the stream exists.
    pub(crate) exists: bool,
    /// Number of entries present.
    pub(crate) length: u64,
    /// Id of the oldest entry.
    pub(crate) first: Option<Id>,
    /// The newest id ever given out.
    pub(crate) last: Id,
    /// Number of entries ever added; unknown before Redis 7.
    pub(crate) added: Option<u64>,
}

/// Whether the stream continues what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// Nothing is missing.
    Whole,
    /// Entries are missing, or may be; reading continues after this id.
    Gap(Id),
}

impl Life {
    /// Parses the answers to `INFO server` and `INFO replication`.
    pub(crate) fn read(server: Option<&Value>, replication: Option<&Value>) -> Self {
        let run = server.and_then(|info| line(info, "run_id:"));
        Self(run.map(Into::into).zip(replication.and_then(ServerRole::read)))
    }

    /// Whether both are known and equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.is_some() && self == other
    }

    /// Whether the server still has its role, by an answer to `INFO replication`.
    pub(crate) fn has_role(&self, replication: Option<&Value>) -> bool {
        self.0.as_ref().is_none_or(|(_, role)| replication.and_then(ServerRole::read).as_ref() == Some(role))
    }
}

impl ServerRole {
    fn read(replication: &Value) -> Option<Self> {
        match line(replication, "role:")? {
            // A master's replication id also changes when it loses its last replica, without loss of data.
            "master" => Some(Self::Master),
            _ => Some(Self::Replica(line(replication, "master_replid:")?.into())),
        }
    }
}

fn line<'a>(info: &'a Value, name: &str) -> Option<&'a str> {
    text(info)?.lines().find_map(|line| line.strip_prefix(name))
}

impl RedisStreamInfo {
    /// Parses an answer to `XINFO STREAM`.
    pub(crate) fn read(answer: Result<Value, BusError>) -> Result<Self, BusError> {
        let answer = match answer {
            Err(BusError::Said(error)) if error.contains("no such key") => return Ok(Self::default()),
            other => other?,
        };
        let Value::Array(fields) = answer else { return Err(BusError::senseless("XINFO STREAM")) };
        let mut look = Self { exists: true, ..Self::default() };
        for pair in fields.chunks(2) {
            let [name, value] = pair else { break };
            let number = if let Value::Int(number) = value { u64::try_from(*number).ok() } else { None };
            match text(name) {
                Some("length") => look.length = number.unwrap_or_default(),
                Some("last-generated-id") => look.last = text(value).and_then(Id::parse).unwrap_or_default(),
                Some("entries-added") => look.added = number,
                Some("first-entry") => look.first = id(value),
                _ => {}
            }
        }
        Ok(look)
    }

    /// Judges whether the stream continues what was read up to `position`, the `ordinal`th entry ever added.
    pub(crate) fn judge(&self, same_life: bool, position: Id, ordinal: Option<u64>) -> Continuity {
        if !self.exists {
            return match (same_life, ordinal) {
                (true, Some(0)) => Continuity::Whole,
                // A new stream of the same server has larger ids, except within the same millisecond. The old one may also come
                // back.
                (true, _) => Continuity::Gap(position),
                (false, _) => Continuity::Gap(Id::default()),
            };
        }
        let gap = Continuity::Gap(self.last.min(position));
        if !same_life || self.last < position {
            return gap;
        }
        let as_many = |later| match (self.added, ordinal) {
            (Some(added), Some(ordinal)) => Some(ordinal + later == added),
            _ => None,
        };
        let whole = if self.last == position {
            as_many(0) != Some(false)
        } else if self.first.is_some_and(|first| first <= position) {
            true
        } else {
            // All present entries are newer than `position`.
            as_many(self.length) == Some(true)
        };
        if whole { Continuity::Whole } else { gap }
    }

    /// How many entries were ever added up to `position`, if known.
    pub(crate) fn ordinal(&self, position: Id) -> Option<u64> {
        if !self.exists {
            return Some(0);
        }
        if self.last == position {
            return self.added;
        }
        let all_later = self.first.is_none_or(|first| first > position);
        self.added.filter(|_| all_later).and_then(|added| added.checked_sub(self.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Id {
        Id { ms, seq: 0 }
    }

    /// A stream that has had `added` entries with the ids 1-0, 2-0, …, of which `length` are left.
    fn look(added: u64, length: u64) -> RedisStreamInfo {
        let first = (length > 0).then(|| at(added - length + 1));
        RedisStreamInfo { exists: true, length, first, last: at(added), added: Some(added) }
    }

    const GONE: RedisStreamInfo =
        RedisStreamInfo { exists: false, length: 0, first: None, last: Id { ms: 0, seq: 0 }, added: None };

    #[test]
    fn nothing_is_missing_while_the_first_entry_is_not_newer_than_what_was_read() {
        for position in 5..=10 {
            assert_eq!(look(10, 6).judge(true, at(position), Some(position)), Continuity::Whole);
            assert_eq!(look(10, 6).judge(true, at(position), None), Continuity::Whole);
        }
        assert_eq!(look(10, 6).judge(true, at(4), Some(4)), Continuity::Whole, "all that was trimmed had been read");
        assert_eq!(look(10, 6).judge(true, at(4), None), Continuity::Gap(at(4)), "that can't be told");
        assert_eq!(look(10, 6).judge(true, at(3), Some(3)), Continuity::Gap(at(3)));
        assert_eq!(look(10, 0).judge(true, at(10), Some(10)), Continuity::Whole, "trimmed to nothing");
        assert_eq!(look(10, 0).judge(true, at(9), Some(9)), Continuity::Gap(at(9)));
        assert_eq!(look(3, 3).judge(true, at(0), Some(0)), Continuity::Whole, "the first ones ever");
        assert_eq!(GONE.judge(true, at(0), Some(0)), Continuity::Whole, "none ever");
    }

    #[test]
    fn a_stream_that_has_gone_or_is_another_is_a_gap() {
        assert_eq!(GONE.judge(true, at(5), Some(5)), Continuity::Gap(at(5)));
        assert_eq!(GONE.judge(true, at(5), GONE.ordinal(at(5))), Continuity::Whole, "told already");
        assert_eq!(GONE.judge(false, at(5), Some(5)), Continuity::Gap(at(0)));
        assert_eq!(
            look(1, 1).judge(true, at(0), GONE.ordinal(at(0))),
            Continuity::Whole,
            "the first one of a new stream"
        );
        assert_eq!(look(4, 4).judge(true, at(5), Some(5)), Continuity::Gap(at(4)), "a replica that is behind");
        let anew = RedisStreamInfo { exists: true, length: 1, first: Some(at(9)), last: at(9), added: Some(1) };
        assert_eq!(anew.judge(true, at(5), Some(5)), Continuity::Gap(at(5)));
        let same_id = RedisStreamInfo { last: at(5), first: Some(at(5)), ..anew };
        assert_eq!(same_id.judge(true, at(5), Some(5)), Continuity::Gap(at(5)));
        assert_eq!(look(10, 6).judge(false, at(8), Some(8)), Continuity::Gap(at(8)), "another server");
    }

    #[test]
    fn ordinals_are_known_at_the_end_and_before_the_beginning() {
        assert_eq!(look(10, 6).ordinal(at(10)), Some(10));
        assert_eq!(look(10, 6).ordinal(at(4)), Some(4));
        assert_eq!(look(10, 6).ordinal(at(6)), None);
        assert_eq!(GONE.ordinal(at(0)), Some(0));
        assert_eq!(RedisStreamInfo { added: None, ..look(10, 6) }.ordinal(at(10)), None);
    }

    #[test]
    fn lives_are_the_same_only_if_both_are_known() {
        let info = |text: &str| Value::BulkString(text.into());
        let (server, other) = (info("# Server\r\nrun_id:abc\r\n"), info("# Server\r\nrun_id:def\r\n"));
        let master = info("role:master\r\nmaster_replid:1\r\n");
        let replica = |of: &str| info(&format!("role:slave\r\nmaster_replid:{of}\r\n"));
        let life = Life::read(Some(&server), Some(&master));
        assert!(life.is(&Life::read(Some(&server), Some(&info("role:master\r\nmaster_replid:2\r\n")))));
        assert!(!life.is(&Life::read(Some(&other), Some(&master))));
        assert!(!life.is(&Life::read(Some(&server), Some(&replica("1")))));
        let following = Life::read(Some(&server), Some(&replica("1")));
        assert!(following.is(&following.clone()));
        assert!(!following.is(&Life::read(Some(&server), Some(&replica("2")))));
        let unknown = Life::read(None, None);
        assert!(!unknown.is(&unknown.clone()));
    }
}
