//! Deferred requests: attaches that wait until the bus is read up to its current end.
//!
//! A client may reconnect with the id of an event that another hub has delivered and this one has not read yet. That is not a
//! gap: the attach waits until this hub has read everything that the bus had when the request arrived.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::connection::decoder::Incoming;
use crate::store::report::Ticket;
use sse_protocol::id::Id;
use sse_protocol::wire::{self, PREFIX, Request, WireError};

/// Maximum wait, which must be well below `sse.timeout`.
const TIMEOUT: Duration = Duration::from_millis(800);

/// A request kept to be done later.
#[derive(Debug)]
pub(crate) struct DeferredRequest {
    /// Ticket that its answer goes to.
    pub(crate) ticket: Ticket,
    message: Vec<u8>,
    descriptor: Option<OwnedFd>,
    truncated: bool,
}

/// A deferred request, and what it waits for.
#[derive(Debug)]
struct WaitingRequest {
    deferred: DeferredRequest,
    /// Number of the query for the newest id on the bus.
    question: u64,
    /// The answer to that query.
    goal: Option<Id>,
    until: Instant,
}

/// All requests that wait for the bus.
#[derive(Debug, Default)]
pub(crate) struct DeferredRequests {
    waiting: Vec<WaitingRequest>,
}

impl DeferredRequest {
    /// Keeps a request and its descriptor.
    pub(crate) fn new(ticket: Ticket, incoming: Incoming<'_>) -> Self {
        let Incoming { request, descriptor, truncated } = incoming;
        Self { ticket, message: wire::encode(&request), descriptor, truncated }
    }

    /// The request, without its descriptor.
    pub(crate) fn request(&self) -> Result<Request<'_>, WireError> {
        wire::decode(&self.message[PREFIX..])
    }

    /// The request with its descriptor, which it takes out.
    pub(crate) fn incoming(&mut self) -> Result<Incoming<'_>, WireError> {
        let descriptor = self.descriptor.take();
        Ok(Incoming { request: self.request()?, descriptor, truncated: self.truncated })
    }
}

impl DeferredRequests {
    /// Defers a request until query `question` is answered and the bus read up to that answer.
    pub(crate) fn add(&mut self, deferred: DeferredRequest, question: u64) {
        self.waiting.push(WaitingRequest { deferred, question, goal: None, until: Instant::now() + TIMEOUT });
    }

    /// Drops the requests of a closed connection.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| !waiting.deferred.ticket.is_of(ticket));
    }

    /// Sets the answer to query `question`, and to earlier ones.
    pub(crate) fn learn(&mut self, question: u64, newest: Id) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.question <= question) {
            waiting.goal.get_or_insert(newest);
        }
    }

    /// Releases all requests, because the bus has lost or replaced its events: their ids may never come.
    pub(crate) fn give_up(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.goal = Some(Id::default()));
    }

    /// Takes out the requests whose id is reached by `position`, or whose time is up.
    pub(crate) fn due(&mut self, position: Id, now: Instant) -> Vec<DeferredRequest> {
        let due =
            |waiting: &mut WaitingRequest| waiting.goal.is_some_and(|goal| goal <= position) || waiting.until <= now;
        self.waiting.extract_if(.., due).map(|waiting| waiting.deferred).collect()
    }

    /// When the first request's time is up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deferred(connection: usize) -> DeferredRequest {
        let incoming = Incoming { request: Request::Cursor, descriptor: None, truncated: false };
        DeferredRequest::new(Ticket { connection, serial: 1, number: 1, reports: false }, incoming)
    }

    #[test]
    fn a_request_waits_for_what_was_there_when_it_came_and_not_for_ever() {
        let (mut requests, now) = (DeferredRequests::default(), Instant::now());
        for (connection, question) in [(1, 1), (2, 1), (3, 2)] {
            requests.add(deferred(connection), question);
        }
        let at = |ms| Id { ms, seq: 0 };
        let due = |requests: &mut DeferredRequests, ms, now| -> Vec<usize> {
            requests.due(at(ms), now).iter().map(|deferred| deferred.ticket.connection).collect()
        };
        assert!(due(&mut requests, 100, now).is_empty());
        requests.learn(1, at(5));
        requests.abandon(Ticket { connection: 2, serial: 1, number: 1, reports: false });
        assert!(due(&mut requests, 4, now).is_empty());
        assert_eq!(due(&mut requests, 5, now), [1]);
        assert_eq!(due(&mut requests, 5, now + TIMEOUT * 2), [3]);
        assert!(requests.deadline().is_none());
        assert_eq!(deferred(1).incoming().expect("as it was").request, Request::Cursor);
    }
}
