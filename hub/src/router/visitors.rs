//! How many streams each client address and each user has, for the limits of both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use crate::address;
use crate::handover::state::VisitorState;
use crate::wire::{MAX_KEY, User};

/// Somebody whose streams are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Visitor {
    Address(IpAddr),
    User(Box<str>),
}

/// The streams that are counted, and whose they are. Nothing is kept of streams that nobody wants to be counted.
#[derive(Debug)]
pub(crate) struct Visitors {
    /// Streams of one address at most; 0: any number.
    per_address: usize,
    /// Streams by visitor; nobody has none.
    counts: HashMap<Visitor, usize>,
    streams: HashMap<u64, Vec<Visitor>>,
}

/// Why a stream is one too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// Of this address.
    Address(String),
    /// Of its user.
    User(String),
}

/// Those that a new stream is counted for.
#[derive(Debug, Default)]
pub(crate) struct Party(Vec<Visitor>);

impl Visitor {
    /// As it is passed to another hub.
    pub(crate) fn state(&self) -> VisitorState<'_> {
        match self {
            Self::Address(address) => VisitorState::Address(*address),
            Self::User(key) => VisitorState::User(key),
        }
    }

    fn restore(state: &VisitorState<'_>) -> Self {
        match state {
            VisitorState::Address(address) => Self::Address(*address),
            VisitorState::User(key) => Self::User((*key).into()),
        }
    }
}

impl Party {
    /// As they were passed on by another hub.
    pub(crate) fn restore(party: &[VisitorState<'_>]) -> Self {
        Self(party.iter().map(Visitor::restore).collect())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Visitors {
    /// None yet.
    pub(crate) fn new(per_address: usize) -> Self {
        Self { per_address, counts: HashMap::new(), streams: HashMap::new() }
    }

    /// Whom a new stream would be counted for.
    ///
    /// # Errors
    /// Who has as many as allowed already.
    pub(crate) fn admit(&self, address: Option<&str>, user: Option<User<'_>>) -> Result<Party, TooMany> {
        let mut party = Vec::new();
        if let Some(address) = address.filter(|_| self.per_address > 0).and_then(address::client) {
            let limit = self.per_address;
            let visitor = Visitor::Address(address);
            if self.count(&visitor) >= limit {
                let what = address::shown(address);
                return Err(TooMany::Address(format!(
                    "{what} has as many streams open as sse.max_streams_per_ip allows ({limit})"
                )));
            }
            party.push(visitor);
        }
        if let Some(User { key, limit }) = user {
            let visitor = Visitor::User(key.into());
            // Whom the key stands for is nobody's business in a log.
            if limit > 0 && self.count(&visitor) >= limit as usize {
                return Err(TooMany::User(format!(
                    "a user has as many streams open as max_per_user or sse.max_streams_per_user allows ({limit})"
                )));
            }
            party.push(visitor);
        }
        Ok(Party(party))
    }

    /// A stream has come.
    pub(crate) fn enter(&mut self, stream: u64, party: Party) {
        if party.is_empty() {
            return;
        }
        for visitor in &party.0 {
            *self.counts.entry(visitor.clone()).or_default() += 1;
        }
        self.streams.insert(stream, party.0);
    }

    /// A stream has ended, or is sure to.
    pub(crate) fn leave(&mut self, stream: u64) {
        for visitor in self.streams.remove(&stream).unwrap_or_default() {
            if let Entry::Occupied(mut entry) = self.counts.entry(visitor) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
        if self.streams.is_empty() {
            // Memory of the busiest hour shouldn't stay for ever.
            (self.streams, self.counts) = (HashMap::new(), HashMap::new());
        }
    }

    /// The streams that are counted, and for whom.
    pub(crate) fn state(&self) -> impl Iterator<Item = (u64, &[Visitor])> {
        self.streams.iter().map(|(stream, party)| (*stream, &party[..]))
    }

    /// How many addresses and users have streams that are counted.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    fn count(&self, visitor: &Visitor) -> usize {
        self.counts.get(visitor).copied().unwrap_or(0)
    }
}

/// Checks a user's key.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_user(user: Option<User<'_>>) -> Result<(), String> {
    match user {
        Some(User { key: "", .. }) => Err("a user's key must not be empty".into()),
        Some(User { key, .. }) if key.len() > MAX_KEY => {
            Err(format!("a user's key is {} bytes long; at most {MAX_KEY} are allowed", key.len()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(key: &str, limit: u32) -> Option<User<'_>> {
        Some(User { key, limit })
    }

    #[test]
    fn an_address_has_so_many_streams_and_room_again_when_one_ends() {
        let mut visitors = Visitors::new(2);
        for stream in [1, 2] {
            let party = visitors.admit(Some("192.0.2.7"), None).expect("room");
            visitors.enter(stream, party);
        }
        let refused = visitors.admit(Some("192.0.2.7"), None).expect_err("full");
        assert_eq!(
            refused,
            TooMany::Address("192.0.2.7 has as many streams open as sse.max_streams_per_ip allows (2)".into())
        );
        assert!(visitors.admit(Some("192.0.2.8"), None).is_ok());
        visitors.leave(1);
        // Told twice of one end, it counts once.
        visitors.leave(1);
        let party = visitors.admit(Some("192.0.2.7"), None).expect("room again");
        visitors.enter(3, party);
        assert!(visitors.admit(Some("192.0.2.7"), None).is_err());
        visitors.leave(2);
        visitors.leave(3);
        assert_eq!((visitors.len(), visitors.streams.len()), (0, 0));
    }

    #[test]
    fn the_addresses_of_one_network_have_their_streams_together() {
        let mut visitors = Visitors::new(1);
        let party = visitors.admit(Some("2001:db8:1:2::1"), None).expect("room");
        visitors.enter(1, party);
        let refused = visitors.admit(Some("2001:db8:1:2::2"), None).expect_err("full");
        assert!(matches!(refused, TooMany::Address(text) if text.contains("2001:db8:1:2::/64")));
    }

    #[test]
    fn a_users_streams_are_counted_wherever_they_come_from_and_for_whatever_limit() {
        let mut visitors = Visitors::new(0);
        let party = visitors.admit(Some("192.0.2.7"), user("alice", 0)).expect("no limit");
        visitors.enter(1, party);
        assert_eq!(visitors.len(), 1, "the address has no limit and is not counted");
        assert!(matches!(visitors.admit(Some("192.0.2.8"), user("alice", 1)), Err(TooMany::User(_))));
        assert!(visitors.admit(None, user("alice", 2)).is_ok());
        assert!(visitors.admit(None, user("bob", 1)).is_ok());
        assert!(visitors.admit(None, None).is_ok_and(|party| party.is_empty()));
        visitors.leave(1);
        assert!(visitors.admit(None, user("alice", 1)).is_ok());
    }

    #[test]
    fn a_user_has_a_key_of_some_bytes() {
        assert_eq!(check_user(user("a", 1)), Ok(()));
        assert_eq!(check_user(None), Ok(()));
        assert!(check_user(user("", 1)).is_err());
        assert!(check_user(user(&"k".repeat(MAX_KEY + 1), 1)).is_err());
    }
}
