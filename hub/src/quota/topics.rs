//! Charges for subscriptions, against `sse.topic_bytes` and the share of each stream's client.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::quota::budget::{Account, Budget, Exhausted, Reservation};
use sse_protocol::mercure;
use sse_protocol::topic;

/// Name of the setting, for errors.
const SETTING: &str = "sse.topic_bytes";

/// Bytes of a subscription to a topic beside its name: entries in a shard's tables and in the stream's list.
const TOPIC: usize = 224;

/// Maximum bytes beside that for each segment of a pattern with a wildcard: its part of a trie node.
const SEGMENT: usize = 64;

/// Bytes of a template of Mercure's in the tables of [`TemplateSteps`](crate::quota::templates::TemplateSteps) beside its beginning.
const TEMPLATE: usize = 256;

/// Bytes of a pattern's copy beside its name: its place in a list, and the allocation.
const COPY: usize = 32;

/// The charges of all streams.
#[derive(Debug)]
pub(crate) struct TopicCharges {
    budget: Budget,
    /// Account of streams without an address.
    nobody: Account,
    charges: HashMap<u64, Reservation>,
}

/// Bytes charged for a pattern, whether or not other streams subscribe to it. The hub uses at most twice as much.
pub(crate) fn cost(pattern: &str) -> usize {
    let segments = if topic::is_wild(pattern) { pattern.split('.').count() } else { 0 };
    let template = if mercure::is_open(pattern) { TEMPLATE + pattern.len() } else { 0 };
    TOPIC + pattern.len() + SEGMENT * segments + mercure::compiled_size(pattern) + template
}

/// Bytes charged for a pattern in the copy of a subscription that can be changed.
pub(crate) fn copied(pattern: &str) -> usize {
    COPY + pattern.len()
}

impl TopicCharges {
    /// Creates a table without charges.
    pub(crate) fn new(limit: usize) -> Self {
        let budget = Budget::new(SETTING, limit);
        Self { nobody: budget.of_all(), budget, charges: HashMap::new() }
    }

    /// Bytes that are charged.
    pub(crate) fn used(&self) -> usize {
        self.budget.used()
    }

    /// Reserves the bytes of a subscription to these patterns, and those of the copy of it that can be changed, if any.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn reserve(
        &self,
        address: Option<&str>,
        patterns: &[&str],
        steerable: bool,
    ) -> Result<Reservation, Exhausted> {
        let copy = |pattern: &str| if steerable { copied(pattern) } else { 0 };
        let bytes = patterns.iter().map(|pattern| cost(pattern) + copy(pattern)).sum();
        self.account(address).reserve(bytes)
    }

    /// Reserves bytes for what a client has kept beside a subscription.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn reserve_bytes(&self, address: Option<&str>, bytes: usize) -> Result<Reservation, Exhausted> {
        self.account(address).reserve(bytes)
    }

    /// Takes bytes for what the client of a stream has kept beside its subscription, whatever the limit:
    /// [`Reservation::check`] says whether they may stay. `None`: there is nothing to charge, or no such stream.
    pub(crate) fn take_for(&self, stream: u64, bytes: usize) -> Option<Reservation> {
        let charge = self.charges.get(&stream).filter(|_| bytes > 0)?;
        Some(charge.account().take(bytes))
    }

    /// As [`reserve_bytes`](Self::reserve_bytes), for bytes of the old hub, whatever the limit.
    pub(crate) fn take_bytes(&self, client: Option<IpAddr>, bytes: u64) -> Reservation {
        let address = client.map(|client| client.to_string());
        self.account(address.as_deref()).take(usize::try_from(bytes).unwrap_or_default())
    }

    /// Charges a stream with a reservation until it ends.
    pub(crate) fn charge(&mut self, stream: u64, reservation: Reservation) {
        self.charges.insert(stream, reservation);
    }

    /// Changes the charge of a stream to `bytes`, after its subscription changed.
    ///
    /// # Errors
    /// The limit that is exceeded. The bytes are charged all the same, as they are in use already.
    pub(crate) fn change(&mut self, stream: u64, bytes: usize) -> Result<(), Exhausted> {
        let Some(reservation) = self.charges.get_mut(&stream) else { return Ok(()) };
        let before = reservation.bytes();
        reservation.set(bytes);
        if bytes > before { reservation.check() } else { Ok(()) }
    }

    /// Changes the charge of a stream to `bytes` before its subscription changes.
    ///
    /// # Errors
    /// The limit that would be exceeded; the charge then stays as it was.
    pub(crate) fn try_change(&mut self, stream: u64, bytes: usize) -> Result<(), Exhausted> {
        let before = self.bytes(stream);
        self.change(stream, bytes).inspect_err(|_| {
            if let Some(reservation) = self.charges.get_mut(&stream) {
                reservation.set(before);
            }
        })
    }

    /// What a stream is charged with.
    pub(crate) fn bytes(&self, stream: u64) -> usize {
        self.charges.get(&stream).map_or(0, Reservation::bytes)
    }

    /// Whether a stream is charged, as every stream is until it ends.
    pub(crate) fn is_charged(&self, stream: u64) -> bool {
        self.charges.contains_key(&stream)
    }

    /// The client of a stream; `None`: it has no address.
    pub(crate) fn client_of(&self, stream: u64) -> Option<IpAddr> {
        self.charges.get(&stream)?.client()
    }

    /// Ends the charge of a stream.
    pub(crate) fn release(&mut self, stream: u64) {
        self.charges.remove(&stream);
        if self.charges.is_empty() {
            // Frees the memory of the busiest hour.
            self.charges = HashMap::new();
        }
    }

    /// The streams that are charged.
    pub(crate) fn streams(&self) -> impl Iterator<Item = u64> {
        self.charges.keys().copied()
    }

    /// State to pass to the new hub: stream, client, bytes.
    pub(crate) fn state(&self) -> impl Iterator<Item = (u64, Option<IpAddr>, u64)> {
        self.charges.iter().map(|(stream, charge)| (*stream, charge.client(), charge.bytes() as u64))
    }

    /// Restores a charge of the old hub, whatever the limit: the bytes are in use already.
    pub(crate) fn restore(&mut self, stream: u64, client: Option<IpAddr>, bytes: u64) {
        let reservation = self.take_bytes(client, bytes);
        self.charge(stream, reservation);
    }

    fn account(&self, address: Option<&str>) -> Account {
        match address {
            Some(_) => self.budget.account(address),
            None => self.nobody.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_charged_for_what_it_watches_until_it_ends() {
        let one = cost("a");
        let mut topics = TopicCharges::new(8 * 2 * one);
        let address = Some("192.0.2.1");
        let reserved = topics.reserve(address, &["a"], false).expect("room");
        topics.charge(1, reserved);
        assert_eq!((topics.used(), topics.streams().collect()), (one, vec![1]));
        assert!(matches!(topics.reserve(address, &["a", "b"], false), Err(Exhausted::Client { .. })));
        assert!(topics.reserve(Some("192.0.2.2"), &["a", "b"], false).is_ok());
        assert_eq!(topics.change(1, 2 * one), Ok(()));
        assert!(topics.change(1, 3 * one).is_err());
        assert_eq!(topics.change(1, 2 * one + 1), Ok(()), "less than before is never too much");
        let (stream, client, bytes) = topics.state().next().expect("charged");
        let mut next = TopicCharges::new(8 * 2 * one);
        next.restore(stream, client, bytes);
        assert!(next.reserve(address, &["a"], false).is_err());
        next.release(1);
        assert_eq!(next.used(), 0);
        assert!(next.reserve(address, &["a"], false).is_ok());
    }

    #[test]
    fn streams_without_an_address_share_all_there_is() {
        let topics = TopicCharges::new(2 * cost("a"));
        let kept = [1, 2].map(|_| topics.reserve(None, &["a"], false).expect("room"));
        assert!(matches!(topics.reserve(None, &["a"], false), Err(Exhausted::Whole { .. })));
        drop(kept);
        assert_eq!(topics.used(), 0);
    }
}
