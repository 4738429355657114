//! A limit on the bytes that clients make the hub keep, shared fairly: one client gets at most an eighth.
//!
//! ```text
//! Budget ──account(address)──▶ Account ──reserve(bytes)──▶ Reservation: counts until it is dropped
//! ```
//!
//! A client is its address, or its /64. Streams without an address (`unix:`) count only against the whole limit: as one client,
//! all streams of such a server would share an eighth.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use thiserror::Error;

use crate::quota::address;

/// One client may take the whole limit divided by this.
pub(crate) const SHARES: usize = 8;

/// A limit, and the bytes in use.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Whole>);

/// The bytes that one client uses; every reservation keeps its account.
#[derive(Debug, Clone)]
pub(crate) struct Account(Arc<Taker>);

/// Bytes that count until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    taker: Arc<Taker>,
    own: usize,
    shared: usize,
}

/// Why a reservation is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Exhausted {
    /// All clients together reached the limit.
    #[error("{setting} ({limit}) is used up by all clients together; raise it")]
    Whole { setting: &'static str, limit: usize },
    /// This client reached its share.
    #[error(
        "{} takes the eighth of {setting} ({limit} of its {unit}) that one address may; raise it, or, if that is a proxy, let the \
         web server tell PHP the clients' own addresses",
        address::shown(*.client)
    )]
    Client { setting: &'static str, unit: &'static str, limit: usize, client: IpAddr },
}

#[derive(Debug)]
struct Whole {
    setting: &'static str,
    limit: usize,
    used: AtomicUsize,
    /// Clients that use bytes now.
    takers: Mutex<HashMap<IpAddr, Weak<Taker>>>,
}

/// A client; `None`: everything without one.
#[derive(Debug)]
struct Taker {
    whole: Arc<Whole>,
    client: Option<IpAddr>,
    used: AtomicUsize,
}

impl Budget {
    /// Creates a budget of `limit` bytes. `setting` names the setting, for errors.
    pub(crate) fn new(setting: &'static str, limit: usize) -> Self {
        Self(Arc::new(Whole { setting, limit, used: AtomicUsize::new(0), takers: Mutex::default() }))
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    /// The account of a client, by its `REMOTE_ADDR`.
    pub(crate) fn account(&self, address: Option<&str>) -> Account {
        self.of_client(address.and_then(address::client))
    }

    /// The account of a client from [`Account::client`].
    pub(crate) fn of_client(&self, client: Option<IpAddr>) -> Account {
        let Some(client) = client else { return self.of_all() };
        let mut takers = self.0.takers();
        if let Some(known) = takers.get(&client).and_then(Weak::upgrade) {
            return Account(known);
        }
        let taker = Arc::new(Taker { whole: Arc::clone(&self.0), client: Some(client), used: AtomicUsize::new(0) });
        takers.insert(client, Arc::downgrade(&taker));
        Account(taker)
    }

    /// An account that counts only against the whole limit.
    pub(crate) fn of_all(&self) -> Account {
        Account(Arc::new(Taker { whole: Arc::clone(&self.0), client: None, used: AtomicUsize::new(0) }))
    }
}

impl Account {
    /// The client; `None`: none in particular.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.0.client
    }

    /// Reserves bytes if the limits allow it.
    ///
    /// # Errors
    /// The limit that is reached; nothing is reserved then.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        let reservation = self.take(bytes);
        self.check().map(|()| reservation)
    }

    /// Reserves bytes that are in use already; [`check`](Self::check) then says whether they may stay.
    pub(crate) fn take(&self, bytes: usize) -> Reservation {
        let mut reservation = Reservation { taker: Arc::clone(&self.0), own: 0, shared: 0 };
        reservation.set(bytes);
        reservation
    }

    /// Checks the limits of the client and of the whole.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) fn check(&self) -> Result<(), Exhausted> {
        self.0.check()
    }
}

impl Taker {
    fn check(&self) -> Result<(), Exhausted> {
        let Self { whole, client, used } = self;
        let Whole { setting, limit, .. } = **whole;
        if let Some(client) = *client
            && used.load(Relaxed) > limit / SHARES
        {
            return Err(Exhausted::Client { setting, unit: "bytes", limit: limit / SHARES, client });
        }
        if whole.used.load(Relaxed) > limit { Err(Exhausted::Whole { setting, limit }) } else { Ok(()) }
    }
}

impl Reservation {
    /// The account that the bytes count for.
    pub(crate) fn account(&self) -> Account {
        Account(Arc::clone(&self.taker))
    }

    /// The client's bytes, without those it shares.
    pub(crate) fn bytes(&self) -> usize {
        self.own
    }

    /// The client, if it is known.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.taker.client
    }

    /// Checks the limits of the client and of the whole.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) fn check(&self) -> Result<(), Exhausted> {
        self.taker.check()
    }

    /// Changes the reservation to `bytes`.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.set_with_shared(bytes, 0);
    }

    /// Changes the reservation to `own` bytes. The `shared` bytes count for each client that keeps them, and once in the whole,
    /// by another reservation.
    pub(crate) fn set_with_shared(&mut self, own: usize, shared: usize) {
        let Taker { whole, used, .. } = &*self.taker;
        // Added first, so that no other thread sees less than is in use.
        whole.used.fetch_add(own, Relaxed);
        whole.used.fetch_sub(self.own, Relaxed);
        used.fetch_add(own + shared, Relaxed);
        used.fetch_sub(self.own + self.shared, Relaxed);
        (self.own, self.shared) = (own, shared);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Whole {
    fn takers(&self) -> MutexGuard<'_, HashMap<IpAddr, Weak<Taker>>> {
        self.takers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut takers = self.whole.takers();
        // The client may have a newer account meanwhile.
        if takers.get(&client).is_some_and(|taker| taker.strong_count() == 0) {
            takers.remove(&client);
        }
        if takers.is_empty() {
            // Frees the memory of the busiest hour.
            *takers = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget::new("sse.some_bytes", 800)
    }

    #[test]
    fn one_client_gets_an_eighth_and_others_the_rest() {
        let budget = budget();
        let greedy = budget.account(Some("2001:db8::1"));
        let kept = greedy.reserve(100).expect("its share");
        let refused = budget.account(Some("2001:db8::2")).reserve(1).expect_err("the same client");
        assert_eq!(
            refused.to_string(),
            "2001:db8::/64 takes the eighth of sse.some_bytes (100 of its bytes) that one address may; raise it, or, if that is \
             a proxy, let the web server tell PHP the clients' own addresses"
        );
        assert_eq!(budget.used(), 100, "what was refused is not taken");
        let others: Vec<_> = (0..7)
            .map(|n| budget.account(Some(&format!("192.0.2.{n}"))).reserve(100).expect("a share of its own"))
            .collect();
        let refused = budget.account(Some("192.0.2.9")).reserve(1).expect_err("all is taken");
        assert_eq!(refused.to_string(), "sse.some_bytes (800) is used up by all clients together; raise it");
        drop(kept);
        assert!(greedy.reserve(100).is_ok() && budget.account(Some("192.0.2.9")).reserve(100).is_ok());
        drop(others);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_has_no_address_counts_in_the_whole_only() {
        let budget = budget();
        let kept = [Some("unix:"), None].map(|address| budget.account(address).reserve(400).expect("room"));
        assert!(matches!(budget.of_all().reserve(1), Err(Exhausted::Whole { limit: 800, .. })));
        drop(kept);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_clients_share_counts_once_and_for_each_of_them() {
        let budget = budget();
        let _event = budget.of_all().take(90);
        let clients = ["192.0.2.1", "192.0.2.2"].map(|address| budget.account(Some(address)));
        let mut kept = clients.each_ref().map(|client| client.take(0));
        kept.iter_mut().for_each(|kept| kept.set_with_shared(10, 90));
        assert_eq!(budget.used(), 110);
        assert!(clients.iter().all(|client| client.check().is_ok() && client.reserve(1).is_err()));
        kept[0].set(10);
        assert!(clients[0].reserve(90).is_ok() && clients[1].reserve(1).is_err());
    }

    #[test]
    fn a_client_that_takes_nothing_is_forgotten() {
        let budget = budget();
        let account = budget.account(Some("192.0.2.1"));
        let kept = account.reserve(1);
        drop(account);
        assert_eq!(budget.0.takers().len(), 1);
        drop(kept);
        assert_eq!(budget.0.takers().len(), 0);
        // A client that returns while its last reservation is dropped has a new account, which stays.
        let (old, new) = (budget.account(Some("192.0.2.1")), budget.account(Some("192.0.2.1")));
        drop(old);
        assert!(new.reserve(100).is_ok_and(|_kept| budget.account(Some("192.0.2.1")).reserve(1).is_err()));
    }
}
