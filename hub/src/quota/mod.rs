//! Stream quotas: counts the streams of each client address and each user, and enforces their limits.

pub(crate) mod address;
pub(crate) mod budget;
pub(crate) mod templates;
pub(crate) mod topics;
mod ways;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sse_protocol::wire::{MAX_KEY, User};
use thiserror::Error;

/// Whose streams are counted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum QuotaKeyState<'a> {
    Address(IpAddr),
    User(&'a str),
}

/// Whose streams are counted: an address or a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum QuotaKey {
    Address(IpAddr),
    User(Box<str>),
}

/// The streams that are counted, by stream and by key. Streams without a key aren't kept.
#[derive(Debug)]
pub(crate) struct Quota {
    /// Maximum number of streams of one address; 0: no limit.
    per_address: usize,
    /// Streams by key; no entry is empty.
    counts: HashMap<QuotaKey, KeyStreams>,
    streams: HashMap<u64, Vec<QuotaKey>>,
}

/// The streams of one key.
#[derive(Debug)]
enum KeyStreams {
    /// Number of streams of an address.
    Count(usize),
    /// Ids of a user's streams, oldest first.
    Each(BTreeSet<u64>),
}

impl KeyStreams {
    fn none_of(key: &QuotaKey) -> Self {
        match key {
            QuotaKey::Address(_) => Self::Count(0),
            QuotaKey::User(_) => Self::Each(BTreeSet::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Each(streams) => streams.len(),
        }
    }

    fn add(&mut self, stream: u64) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Each(streams) => {
                streams.insert(stream);
            }
        }
    }

    fn remove(&mut self, stream: u64) {
        match self {
            Self::Count(count) => *count -= 1,
            Self::Each(streams) => {
                streams.remove(&stream);
            }
        }
    }

    /// Ids of the `count` oldest streams; none for an address.
    fn oldest(&self, count: usize) -> Vec<u64> {
        match self {
            Self::Count(_) => Vec::new(),
            Self::Each(streams) => streams.iter().take(count).copied().collect(),
        }
    }
}

/// Why a quota refuses a stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum OverQuota {
    /// The address has too many.
    #[error("{0}")]
    Address(String),
    /// The user has too many.
    #[error("{0}")]
    User(String),
}

/// What is wrong with a user's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum InvalidUser {
    /// It is empty.
    #[error("a user's key must not be empty")]
    Empty,
    /// It has too many bytes.
    #[error("a user's key is {0} bytes long; at most {MAX_KEY} are allowed")]
    TooLong(usize),
}

/// The keys that a new stream counts for.
#[derive(Debug, Default)]
pub(crate) struct QuotaKeys {
    keys: Vec<QuotaKey>,
    /// Streams to close, which the new one replaces.
    pub(crate) replaces: Vec<u64>,
}

impl QuotaKey {
    /// A user by his key. Those of scripts of another system user, who is a member of `sse.socket_group`, are others: he would
    /// end the streams of anybody's users by his own.
    fn user(key: &str, member: Option<u32>) -> Self {
        Self::User(member.map_or_else(|| key.into(), |uid| format!("\0{uid}\0{key}").into()))
    }

    /// As it is passed to another hub.
    pub(crate) fn state(&self) -> QuotaKeyState<'_> {
        match self {
            Self::Address(address) => QuotaKeyState::Address(*address),
            Self::User(key) => QuotaKeyState::User(key),
        }
    }

    fn restore(state: &QuotaKeyState<'_>) -> Self {
        match state {
            QuotaKeyState::Address(address) => Self::Address(*address),
            QuotaKeyState::User(key) => Self::User((*key).into()),
        }
    }
}

impl QuotaKeys {
    /// Restores the keys that the old hub passed on.
    pub(crate) fn restore(keys: &[QuotaKeyState<'_>]) -> Self {
        Self { keys: keys.iter().map(QuotaKey::restore).collect(), replaces: Vec::new() }
    }

    /// Whether a user's key is among them.
    pub(crate) fn has_user(&self) -> bool {
        self.keys.iter().any(|key| matches!(key, QuotaKey::User(_)))
    }
}

impl Quota {
    /// Creates a quota without streams.
    pub(crate) fn new(per_address: usize) -> Self {
        Self { per_address, counts: HashMap::new(), streams: HashMap::new() }
    }

    /// The keys that a new stream would count for.
    ///
    /// # Errors
    /// Who has as many as allowed already.
    pub(crate) fn admit(
        &self,
        address: Option<&str>,
        user: Option<User<'_>>,
        member: Option<u32>,
    ) -> Result<QuotaKeys, OverQuota> {
        let mut keys = Vec::new();
        let mut replaces = Vec::new();
        if let Some(address) = address.filter(|_| self.per_address > 0).and_then(address::client) {
            let limit = self.per_address;
            let key = QuotaKey::Address(address);
            if self.count(&key) >= limit {
                let what = address::shown(address);
                return Err(OverQuota::Address(format!(
                    "{what} has as many streams open as sse.max_streams_per_ip allows ({limit})"
                )));
            }
            keys.push(key);
        }
        if let Some(User { key, limit, replace }) = user {
            let key = QuotaKey::user(key, member);
            let limit = limit as usize;
            let count = self.count(&key);
            let is_full = limit > 0 && count >= limit;
            if let Some(streams) = self.counts.get(&key).filter(|_| is_full && replace) {
                replaces = streams.oldest(count - limit + 1);
            }
            if is_full && !replace {
                // The user's key is private and must not get into a log.
                return Err(OverQuota::User(format!(
                    "a user has as many streams open as max_per_user or sse.max_streams_per_user allows ({limit})"
                )));
            }
            keys.push(key);
        }
        Ok(QuotaKeys { keys, replaces })
    }

    /// Counts a new stream.
    pub(crate) fn enter(&mut self, stream: u64, QuotaKeys { keys, replaces: _ }: QuotaKeys) {
        if keys.is_empty() {
            return;
        }
        for key in &keys {
            self.counts.entry(key.clone()).or_insert_with(|| KeyStreams::none_of(key)).add(stream);
        }
        self.streams.insert(stream, keys);
    }

    /// Stops counting a stream that has ended, or is sure to.
    pub(crate) fn leave(&mut self, stream: u64) {
        for key in self.streams.remove(&stream).unwrap_or_default() {
            if let Entry::Occupied(mut entry) = self.counts.entry(key) {
                entry.get_mut().remove(stream);
                if entry.get().len() == 0 {
                    entry.remove();
                }
            }
        }
        if self.streams.is_empty() {
            // Frees the memory of the busiest hour.
            (self.streams, self.counts) = (HashMap::new(), HashMap::new());
        }
    }

    /// The streams that are counted, with their keys.
    pub(crate) fn state(&self) -> impl Iterator<Item = (u64, &[QuotaKey])> {
        self.streams.iter().map(|(stream, keys)| (*stream, &keys[..]))
    }

    /// Number of addresses and users with streams that are counted.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Ids of the streams of a user of the hub's own user's scripts.
    pub(crate) fn streams_of(&self, user: &str) -> Vec<u64> {
        match self.counts.get(&QuotaKey::user(user, None)) {
            Some(KeyStreams::Each(streams)) => streams.iter().copied().collect(),
            _ => Vec::new(),
        }
    }

    /// The key of a stream's user; that of a member's script as the script has named it.
    pub(crate) fn user_of(&self, stream: u64) -> Option<&str> {
        let key = self.streams.get(&stream)?.iter().find_map(|key| match key {
            QuotaKey::User(key) => Some(&**key),
            QuotaKey::Address(_) => None,
        })?;
        Some(key.strip_prefix('\0').and_then(|rest| rest.split_once('\0')).map_or(key, |(_, key)| key))
    }

    /// Whether a stream is this user's; `None`: nobody's.
    pub(crate) fn is_of(&self, stream: u64, user: Option<&str>) -> bool {
        let keys = self.streams.get(&stream).map_or(&[][..], |keys| keys);
        let of = keys.iter().find(|key| matches!(key, QuotaKey::User(_)));
        of == user.map(|user| QuotaKey::user(user, None)).as_ref()
    }

    fn count(&self, key: &QuotaKey) -> usize {
        self.counts.get(key).map_or(0, KeyStreams::len)
    }
}

/// Checks the length of a user's key.
pub(crate) fn check_user(user: Option<User<'_>>) -> Result<(), InvalidUser> {
    match user {
        Some(User { key: "", .. }) => Err(InvalidUser::Empty),
        Some(User { key, .. }) if key.len() > MAX_KEY => Err(InvalidUser::TooLong(key.len())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(key: &str, limit: u32) -> Option<User<'_>> {
        Some(User { key, limit, replace: false })
    }

    #[test]
    fn an_address_has_so_many_streams_and_room_again_when_one_ends() {
        let mut quota = Quota::new(2);
        for stream in [1, 2] {
            let keys = quota.admit(Some("192.0.2.7"), None, None).expect("room");
            quota.enter(stream, keys);
        }
        let refused = quota.admit(Some("192.0.2.7"), None, None).expect_err("full");
        assert_eq!(
            refused,
            OverQuota::Address("192.0.2.7 has as many streams open as sse.max_streams_per_ip allows (2)".into())
        );
        assert!(quota.admit(Some("192.0.2.8"), None, None).is_ok());
        quota.leave(1);
        // A second report of the same end doesn't count.
        quota.leave(1);
        let keys = quota.admit(Some("192.0.2.7"), None, None).expect("room again");
        quota.enter(3, keys);
        assert!(quota.admit(Some("192.0.2.7"), None, None).is_err());
        quota.leave(2);
        quota.leave(3);
        assert_eq!((quota.len(), quota.streams.len()), (0, 0));
    }

    #[test]
    fn the_addresses_of_one_network_have_their_streams_together() {
        let mut quota = Quota::new(1);
        let keys = quota.admit(Some("2001:db8:1:2::1"), None, None).expect("room");
        quota.enter(1, keys);
        let refused = quota.admit(Some("2001:db8:1:2::2"), None, None).expect_err("full");
        assert!(matches!(refused, OverQuota::Address(text) if text.contains("2001:db8:1:2::/64")));
    }

    #[test]
    fn a_users_streams_are_counted_wherever_they_come_from_and_for_whatever_limit() {
        let mut quota = Quota::new(0);
        let keys = quota.admit(Some("192.0.2.7"), user("alice", 0), None).expect("no limit");
        quota.enter(1, keys);
        assert_eq!(quota.len(), 1, "the address has no limit and is not counted");
        assert!(matches!(quota.admit(Some("192.0.2.8"), user("alice", 1), None), Err(OverQuota::User(_))));
        assert!(quota.admit(None, user("alice", 2), None).is_ok());
        assert!(quota.admit(None, user("bob", 1), None).is_ok());
        assert!(quota.admit(None, None, None).is_ok_and(|keys| keys.keys.is_empty()));
        quota.leave(1);
        assert!(quota.admit(None, user("alice", 1), None).is_ok());
    }

    #[test]
    fn a_users_oldest_streams_are_replaced_where_that_is_wanted() {
        let mut quota = Quota::new(0);
        for stream in [3, 1, 2] {
            let keys = quota.admit(None, user("alice", 0), None).expect("no limit");
            quota.enter(stream, keys);
        }
        let replacing = |limit| Some(User { key: "alice", limit, replace: true });
        assert_eq!(quota.admit(None, replacing(4), None).map(|keys| keys.replaces), Ok(vec![]));
        assert_eq!(quota.admit(None, replacing(3), None).map(|keys| keys.replaces), Ok(vec![1]));
        // Another script allows less.
        let keys = quota.admit(None, replacing(2), None).expect("replaced");
        assert_eq!(keys.replaces, [1, 2]);
        keys.replaces.iter().for_each(|stream| quota.leave(*stream));
        quota.enter(4, QuotaKeys { replaces: Vec::new(), ..keys });
        assert!(quota.admit(None, user("alice", 2), None).is_err());
        assert!(quota.admit(None, user("alice", 3), None).is_ok());
    }

    #[test]
    fn a_user_has_a_key_of_some_bytes() {
        assert_eq!(check_user(user("a", 1)), Ok(()));
        assert_eq!(check_user(None), Ok(()));
        assert!(check_user(user("", 1)).is_err());
        assert!(check_user(user(&"k".repeat(MAX_KEY + 1), 1)).is_err());
    }
}
