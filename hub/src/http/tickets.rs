//! Tickets: each is the right to fetch one stream, once, within seconds. Whoever knows its name has it, so nobody can guess one.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::quota::budget::Reservation;
use crate::util::random;

/// Random bytes of a ticket's name.
const SECRET: usize = 24;

/// The right to fetch a stream.
#[derive(Debug)]
pub(crate) struct RedirectTicket {
    /// Id of the held stream.
    pub(crate) stream: u64,
    /// The response's headers, as lines that end in CRLF.
    pub(crate) headers: Box<[u8]>,
    /// When it is over.
    pub(crate) until: Instant,
    /// The bytes that it takes.
    pub(crate) kept: Reservation,
}

impl RedirectTicket {
    /// Bytes that a ticket with headers of this length takes.
    pub(crate) fn bytes(headers: usize) -> usize {
        size_of::<Self>() + 256 + headers
    }

    /// The client whose stream it is.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.kept.account().client()
    }
}

/// All unused tickets. The ordering thread issues them, and the thread that answers requests takes them.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    table: Mutex<TicketTable>,
    /// Requests that named no ticket, or one that is used or over.
    unknown: AtomicU64,
}

#[derive(Debug, Default)]
struct TicketTable {
    by_name: HashMap<Box<str>, (u64, RedirectTicket)>,
    /// Names by age: all tickets hold equally long.
    by_age: BTreeMap<u64, Box<str>>,
    next: u64,
}

impl Tickets {
    /// Keeps a ticket; returns its name.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(crate) fn issue(&self, ticket: RedirectTicket) -> io::Result<Box<str>> {
        let name: Box<str> = URL_SAFE_NO_PAD.encode(random::secret::<SECRET>()?).into();
        self.keep(name.clone(), ticket);
        Ok(name)
    }

    /// Keeps a ticket of this name.
    pub(crate) fn keep(&self, name: Box<str>, ticket: RedirectTicket) {
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.by_age.insert(number, name.clone());
        table.by_name.insert(name, (number, ticket));
    }

    /// Takes a ticket, which nobody gets again; `None` if there is none, or none any more.
    pub(crate) fn take(&self, name: &str, now: Instant) -> Option<RedirectTicket> {
        let mut table = self.table();
        let valid = table.by_name.get(name).is_some_and(|(_, ticket)| ticket.until > now);
        if !valid {
            self.unknown.fetch_add(1, Relaxed);
            return None;
        }
        let (number, ticket) = table.by_name.remove(name)?;
        table.by_age.remove(&number);
        Some(ticket)
    }

    /// Takes out the tickets that are over; returns their streams.
    pub(crate) fn expire(&self, now: Instant) -> Vec<u64> {
        let mut over = Vec::new();
        let mut table = self.table();
        while let Some(oldest) = table.by_age.first_entry() {
            let name = oldest.get().clone();
            if table.by_name.get(&name).is_some_and(|(_, ticket)| ticket.until > now) {
                break;
            }
            table.by_age.pop_first();
            over.extend(table.by_name.remove(&name).map(|(_, ticket)| ticket.stream));
        }
        over
    }

    /// When the oldest ticket is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let table = self.table();
        let (_, oldest) = table.by_age.first_key_value()?;
        table.by_name.get(oldest).map(|(_, ticket)| ticket.until)
    }

    /// Number of unused tickets.
    pub(crate) fn len(&self) -> usize {
        self.table().by_name.len()
    }

    /// Number of requests without a valid ticket.
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown.load(Relaxed)
    }

    /// Counts those of the hubs before.
    pub(crate) fn add_unknown(&self, before: u64) {
        self.unknown.fetch_add(before, Relaxed);
    }

    /// Looks at all tickets, oldest first: name, ticket and what is left of its time.
    pub(crate) fn each(&self, now: Instant, mut look: impl FnMut(&str, &RedirectTicket, Duration)) {
        let table = self.table();
        for name in table.by_age.values() {
            if let Some((_, ticket)) = table.by_name.get(name) {
                look(name, ticket, ticket.until.saturating_duration_since(now));
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, TicketTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::budget::Budget;

    fn ticket(stream: u64, until: Instant, budget: &Budget) -> RedirectTicket {
        RedirectTicket { stream, headers: Box::default(), until, kept: budget.of_all().take(100) }
    }

    #[test]
    fn a_ticket_holds_once_and_not_too_long() {
        let (tickets, budget, now) = (Tickets::default(), Budget::new("sse.redirect_bytes", 1000), Instant::now());
        let soon = now + Duration::from_secs(5);
        let names: Vec<_> =
            (1..=3).map(|stream| tickets.issue(ticket(stream, soon, &budget)).expect("random bytes")).collect();
        assert!(names.iter().all(|name| name.len() == 32) && names[0] != names[1]);
        assert_eq!((tickets.len(), budget.used(), tickets.deadline()), (3, 300, Some(soon)));
        assert_eq!(tickets.take(&names[1], now).map(|ticket| ticket.stream), Some(2));
        assert!(tickets.take(&names[1], now).is_none(), "used");
        assert!(tickets.take("forged", now).is_none());
        assert!(tickets.take(&names[0], soon).is_none(), "late");
        assert_eq!((tickets.unknown(), tickets.expire(now), budget.used()), (3, vec![], 200));
        assert_eq!((tickets.expire(soon), tickets.len(), budget.used()), (vec![1, 3], 0, 0));
        assert_eq!(tickets.deadline(), None);
    }
}
