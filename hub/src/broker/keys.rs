//! The keys of publications: a second publication with a key gets the id of the first one and is dropped.
//!
//! With a bus, Redis keeps the keys for all hubs, and this table stays empty.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::store::report::{KnownKey, Ticket};
use crate::sys::heap::allocated;
use serde::{Deserialize, Serialize};
use sse_protocol::id::Id;

/// Approximate bytes of a key beyond its text and its event's id: its places in the map and in the order.
const ENTRY: usize = 160;

/// Maximum number of publications that wait for the first one with their key.
const WAITERS: usize = 1000;

/// Keys that one publication removes at most because of their age.
const A_TIME: usize = 4;

/// What is known of a publication's key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyLookup {
    /// Nothing: the key is taken for this publication now, until [`Keys::learn`] or [`Keys::fail`].
    New,
    /// The id of the event that was published with it.
    Known(Box<str>),
    /// The event is being stored; the ticket waits for it.
    Waits,
    /// Too many publications wait for it already.
    Crowded,
}

/// A key's publication.
#[derive(Debug)]
enum KeyState {
    /// It is being stored; these publications wait for it.
    Pending(Vec<Ticket>),
    Known {
        stamp: Id,
        id: Box<str>,
    },
}

/// All keys.
#[derive(Debug)]
pub(crate) struct Keys {
    ttl: Duration,
    /// Maximum of `bytes`.
    limit: usize,
    bytes: usize,
    states: HashMap<Arc<str>, KeyState>,
    /// The known keys by age. One that was published again is in it twice.
    order: VecDeque<(Id, Arc<str>)>,
    /// Keys that were removed and are still in the file.
    gone: Vec<KnownKey>,
    /// Whether a file mirrors the keys.
    on_disk: bool,
    /// What the keys have led to.
    pub(crate) counts: KeyCounts,
}

/// Counters of the keys.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct KeyCounts {
    /// Publications that were dropped, because another one had their key.
    pub(crate) repeated: u64,
    /// Keys removed before their time because of `sse.key_bytes`.
    pub(crate) dropped: u64,
}

impl Keys {
    /// An empty table within these limits.
    pub(crate) fn new(ttl: Duration, limit: usize, on_disk: bool) -> Self {
        Self {
            ttl,
            limit,
            bytes: 0,
            states: HashMap::new(),
            order: VecDeque::new(),
            gone: Vec::new(),
            on_disk,
            counts: KeyCounts::default(),
        }
    }

    /// What a publication with this key is to do at `now_ms`; `ticket`, if it waits for its answer.
    pub(crate) fn look(&mut self, key: &str, ticket: Option<Ticket>, now_ms: u64) -> KeyLookup {
        self.expire(now_ms);
        let look = match self.states.get_mut(key) {
            // An older one may still be in the order behind one that was published again.
            Some(KeyState::Known { stamp, id }) if is_fresh(*stamp, self.ttl, now_ms) => KeyLookup::Known(id.clone()),
            Some(KeyState::Pending(waiters)) if waiters.len() >= WAITERS => return KeyLookup::Crowded,
            Some(KeyState::Pending(waiters)) => {
                waiters.extend(ticket);
                KeyLookup::Waits
            }
            _ => {
                self.remove(key);
                self.states.insert(key.into(), KeyState::Pending(Vec::new()));
                return KeyLookup::New;
            }
        };
        self.counts.repeated += 1;
        look
    }

    /// The event with this key was published; returns who waits for that.
    pub(crate) fn learn(&mut self, key: &str, stamp: Id, id: &str) -> Vec<Ticket> {
        let waiters = match self.remove(key) {
            Some(KeyState::Pending(waiters)) => waiters,
            _ => Vec::new(),
        };
        let name: Arc<str> = key.into();
        self.bytes += cost(key, id);
        self.order.push_back((stamp, Arc::clone(&name)));
        self.states.insert(name, KeyState::Known { stamp, id: id.into() });
        while self.bytes > self.limit && self.remove_oldest() {
            self.counts.dropped += 1;
        }
        waiters
    }

    /// The event with this key was not published, and the key is free again; returns who waits for it.
    pub(crate) fn fail(&mut self, key: &str) -> Vec<Ticket> {
        if !matches!(self.states.get(key), Some(KeyState::Pending(_))) {
            return Vec::new();
        }
        match self.remove(key) {
            Some(KeyState::Pending(waiters)) => waiters,
            _ => Vec::new(),
        }
    }

    /// Removes keys whose time is over, a few at a time.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        for _ in 0..A_TIME {
            if self.order.front().is_none_or(|(stamp, _)| is_fresh(*stamp, self.ttl, now_ms)) {
                return;
            }
            self.remove_oldest();
        }
    }

    /// Removes the oldest key; false if there is none. One that was published again stays.
    fn remove_oldest(&mut self) -> bool {
        let Some((stamp, key)) = self.order.pop_front() else { return false };
        if matches!(self.states.get(&*key), Some(KeyState::Known { stamp: known, .. }) if *known == stamp) {
            self.remove(&key);
        }
        true
    }

    fn remove(&mut self, key: &str) -> Option<KeyState> {
        let (key, state) = self.states.remove_entry(key)?;
        if let KeyState::Known { stamp, id } = &state {
            self.bytes -= cost(&key, id);
            if self.on_disk {
                self.gone.push(KnownKey { key: (&*key).into(), stamp: *stamp, id: Box::default() });
            }
        }
        Some(state)
    }

    /// Adds the keys that a file, or the hub before this one, has kept, by age.
    pub(crate) fn restore(&mut self, keys: Vec<KnownKey>) {
        for KnownKey { key, stamp, id } in keys {
            if !self.states.contains_key(&*key) {
                self.learn(&key, stamp, &id);
            }
        }
    }

    /// Takes out the keys that the file has and this table has not any more.
    pub(crate) fn take_gone(&mut self) -> Vec<KnownKey> {
        mem::take(&mut self.gone)
    }

    /// The known keys by age, for the new hub.
    pub(crate) fn state(&self) -> Vec<(&str, Id, &str)> {
        let known = self.order.iter().filter_map(|(stamp, key)| match self.states.get(&**key)? {
            KeyState::Known { stamp: known, id } if known == stamp => Some((&**key, *stamp, &**id)),
            _ => None,
        });
        known.collect()
    }

    /// The keys' part of `sse_stats()`.
    pub(crate) fn report(&self) -> serde_json::Value {
        let KeyCounts { repeated, dropped } = self.counts;
        serde_json::json!({ "kept": self.order.len(), "bytes": self.bytes, "repeated": repeated, "dropped": dropped })
    }
}

fn is_fresh(stamp: Id, ttl: Duration, now_ms: u64) -> bool {
    Duration::from_millis(now_ms.saturating_sub(stamp.ms)) < ttl
}

fn cost(key: &str, id: &str) -> usize {
    ENTRY + allocated(key.len()) + allocated(id.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::counting;

    const TTL: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Id {
        Id { ms, seq: 0 }
    }

    fn ticket(number: u64) -> Ticket {
        Ticket { connection: 1, serial: 1, number, reports: false }
    }

    #[test]
    fn a_key_is_taken_until_its_time_is_over_and_then_free_again() {
        let mut keys = Keys::new(TTL, 1 << 20, true);
        assert_eq!(keys.look("k", Some(ticket(1)), 1), KeyLookup::New);
        assert_eq!(keys.look("k", Some(ticket(2)), 2), KeyLookup::Waits);
        assert_eq!(keys.look("k", None, 3), KeyLookup::Waits);
        assert_eq!(keys.learn("k", at(4), "4-0"), [ticket(2)]);
        assert_eq!(keys.look("k", Some(ticket(3)), 103), KeyLookup::Known("4-0".into()));
        assert_eq!(keys.look("k", Some(ticket(4)), 104), KeyLookup::New);
        assert_eq!(keys.take_gone().len(), 1);
        assert_eq!(keys.learn("k", at(105), "105-0"), []);
        assert_eq!((keys.counts.repeated, keys.counts.dropped), (3, 0));
        keys.expire(204);
        assert_eq!(keys.state(), [("k", at(105), "105-0")]);
        keys.expire(205);
        assert_eq!((keys.state(), keys.bytes), (vec![], 0));
    }

    #[test]
    fn who_waits_for_a_publication_that_fails_is_told_and_the_key_is_free() {
        let mut keys = Keys::new(TTL, 1 << 20, false);
        assert_eq!(keys.look("k", None, 1), KeyLookup::New);
        assert_eq!(keys.look("k", Some(ticket(2)), 2), KeyLookup::Waits);
        assert_eq!(keys.fail("k"), [ticket(2)]);
        assert_eq!(keys.fail("k"), []);
        assert_eq!(keys.look("k", None, 3), KeyLookup::New);
        for number in 0..WAITERS as u64 {
            assert_eq!(keys.look("k", Some(ticket(number)), 3), KeyLookup::Waits);
        }
        assert_eq!(keys.look("k", Some(ticket(0)), 3), KeyLookup::Crowded);
    }

    /// Attack: keys without end.
    #[test]
    fn above_the_limit_the_oldest_keys_go_and_what_is_counted_is_what_is_taken() {
        const LIMIT: usize = 1 << 20;
        let before = counting::in_use();
        let mut keys = Keys::new(Duration::from_secs(3600), LIMIT, false);
        for number in 0..20_000_u64 {
            let key = format!("order-{number}-{}", "x".repeat(number as usize % 200));
            assert_eq!(keys.look(&key, None, number), KeyLookup::New);
            keys.learn(&key, at(number), &at(number).to_string());
            assert!(keys.bytes <= LIMIT);
        }
        let taken = counting::in_use() - before;
        assert!(taken <= 2 * keys.bytes.cast_signed(), "{taken} bytes taken and {} counted", keys.bytes);
        assert_eq!(keys.counts.dropped as usize, 20_000 - keys.states.len());
        assert_eq!(keys.look("order-19999-", None, 1), KeyLookup::New);
        assert!(matches!(keys.look(&format!("order-19999-{}", "x".repeat(199)), None, 1), KeyLookup::Known(_)));
    }
}
