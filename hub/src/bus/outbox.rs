//! What the router hands to Redis: events until their publishers are answered, and wakes.
//!
//! An event waits, is sent once and only once, and is answered when this hub's own tail has delivered it. What was sent
//! when the connection broke is settled by the tail: once that has read all there is, the event was in it or isn't known.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::entry::{Origin, fields};
use crate::event::NewEvent;
use crate::id::Id;
use crate::keeper::Ticket;
use crate::topic;

/// Events sent at once at most, and bytes.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

/// Different topics of wakes that wait, before they become "all".
const WAKES: usize = 1024;

/// Bytes read from the stream that the router has not delivered yet, before the tail waits; and when it goes on.
const HIGH: usize = 32 << 20;
const LOW: usize = 8 << 20;

/// How long the tail waits at a time for a router that is behind.
const NAP: Duration = Duration::from_millis(100);

/// An event that is to be sent.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) number: u64,
    pub(super) fields: Vec<(&'static str, Vec<u8>)>,
    ticket: Option<Ticket>,
    bytes: usize,
}

/// An event that was sent, and not delivered yet.
#[derive(Debug)]
struct Sent {
    ticket: Option<Ticket>,
    /// When the tail has read up to here and it was not there, it is lost. `None`: that isn't known yet.
    settled_at: Option<Id>,
    /// Redis has said that it has it.
    taken: bool,
    /// The connection broke before Redis has said anything.
    orphaned: bool,
}

/// Topics that changed; all, if there are too many.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wakes {
    pub(super) all: bool,
    pub(super) topics: Vec<Box<str>>,
}

/// What the publisher is to do next.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) publications: Vec<Publication>,
    pub(super) wakes: Wakes,
    /// The newest id is asked for, under this number.
    pub(super) question: Option<u64>,
}

/// The router's, the publisher's and the tail's common desk.
#[derive(Debug)]
pub(super) struct Outbox {
    hub: u64,
    /// Bytes that may wait.
    limit: usize,
    /// Whether events wait when Redis is away.
    patient: bool,
    inner: Mutex<Inner>,
    /// There is work, or the hub ends.
    work: Condvar,
    /// The router has delivered much of what the tail has read.
    digested: Condvar,
    /// Something is settled.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Publication>,
    bytes: usize,
    sent: HashMap<u64, Sent>,
    wakes: Wakes,
    numbers: u64,
    /// Questions for the newest id: the last one asked, and the last one taken.
    asked: u64,
    taken: u64,
    /// Why Redis can't be reached; `None`: it can, or has not been tried yet.
    away: Option<String>,
    stopped: bool,
    /// How far the tail is.
    position: Id,
    /// Bytes that it has read and the router has not delivered.
    undelivered: usize,
}

impl Wakes {
    fn add(&mut self, topic: &str) {
        if topic == topic::ALL || self.topics.len() >= WAKES {
            *self = Self { all: true, topics: Vec::new() };
        }
        if !self.all && !self.topics.iter().any(|known| **known == *topic) {
            self.topics.push(topic.into());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.topics.is_empty()
    }
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        self.publications.is_empty() && self.wakes.is_empty() && self.question.is_none()
    }
}

impl Outbox {
    /// Nothing yet. `hub` tells this hub's events from others'.
    pub(super) fn new(hub: u64, limit: usize, patient: bool) -> Self {
        Self {
            hub,
            limit,
            patient,
            inner: Mutex::default(),
            work: Condvar::new(),
            digested: Condvar::new(),
            settled: Condvar::new(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which hub this is.
    pub(super) fn hub(&self) -> u64 {
        self.hub
    }

    /// Takes a checked event.
    pub(super) fn publish(&self, new: &NewEvent<'_>, ticket: Option<Ticket>) -> Result<(), String> {
        let mut inner = self.inner();
        let away = inner.away.as_ref().map(|why| format!("Redis can't be reached: {why}"));
        if inner.stopped {
            return Err("the hub ends".into());
        }
        if let Some(away) = away.as_ref().filter(|_| !self.patient) {
            return Err(away.clone());
        }
        inner.numbers += 1;
        let number = inner.numbers;
        let fields = fields(new, Origin { hub: self.hub, number });
        let bytes = fields.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        if inner.bytes + bytes > self.limit {
            let why = away.unwrap_or_else(|| "Redis is slower than what is published".into());
            return Err(format!("{why}; sse.bus_queue allows {} bytes to wait, and they do", self.limit));
        }
        inner.bytes += bytes;
        inner.waiting.push_back(Publication { number, fields, ticket, bytes });
        self.work.notify_one();
        Ok(())
    }

    /// A publisher has gone: what it wanted is not sent if it can be helped.
    pub(super) fn abandon(&self, ticket: Ticket) {
        let mut inner = self.inner();
        let Inner { waiting, bytes, sent, .. } = &mut *inner;
        waiting.retain(|publication| {
            let stays = !publication.ticket.is_some_and(|other| other.is_of(ticket));
            *bytes -= if stays { 0 } else { publication.bytes };
            stays
        });
        for sent in sent.values_mut().filter(|sent| sent.ticket.is_some_and(|other| other.is_of(ticket))) {
            sent.ticket = None;
        }
    }

    /// A topic changed, or all did.
    pub(super) fn wake(&self, topic: &str) {
        self.inner().wakes.add(topic);
        self.work.notify_one();
    }

    /// Puts wakes back that may not have been heard.
    pub(super) fn wake_again(&self, wakes: &Wakes) {
        let mut inner = self.inner();
        if wakes.all {
            inner.wakes.add(topic::ALL);
        }
        wakes.topics.iter().for_each(|topic| inner.wakes.add(topic));
    }

    /// Asks for the newest id; the answer has this number or a larger one. `None`: Redis is away.
    pub(super) fn ask(&self) -> Option<u64> {
        let mut inner = self.inner();
        if inner.away.is_some() || inner.stopped {
            return None;
        }
        inner.asked += 1;
        self.work.notify_one();
        Some(inner.asked)
    }

    /// What is to be done; empty if nothing comes for so long. `None`: the hub ends.
    pub(super) fn work(&self, patience: Duration) -> Option<Work> {
        let deadline = Instant::now() + patience;
        let mut inner = self.inner();
        loop {
            if inner.stopped {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if inner.has_work() || left.is_zero() {
                return Some(inner.take());
            }
            inner = self.work.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Redis has taken an event.
    pub(super) fn taken(&self, number: u64, id: Option<Id>) {
        let mut inner = self.inner();
        if let Some(sent) = inner.sent.get_mut(&number) {
            sent.taken = true;
            sent.settled_at = id;
        }
    }

    /// Redis has refused an event; returns who is to be told.
    pub(super) fn refused(&self, number: u64) -> Option<Ticket> {
        self.settle(number)
    }

    /// Events that Redis has certainly not taken wait again, before all others.
    pub(super) fn put_back(&self, publications: Vec<Publication>) {
        let mut inner = self.inner();
        for publication in publications.into_iter().rev() {
            // Its publisher may have gone.
            if let Some(sent) = inner.sent.remove(&publication.number)
                && sent.ticket == publication.ticket
            {
                inner.bytes += publication.bytes;
                inner.waiting.push_front(publication);
            }
        }
    }

    /// The connection has broken, or can't be made; returns the publishers that are told now; `None`: one that doesn't wait.
    pub(super) fn away(&self, why: &str) -> Vec<Option<Ticket>> {
        let mut inner = self.inner();
        inner.away = Some(why.into());
        let untaken = inner.sent.values_mut().filter(|sent| !sent.taken);
        untaken.for_each(|sent| sent.orphaned = true);
        if self.patient {
            return Vec::new();
        }
        inner.bytes = 0;
        let waiting = mem::take(&mut inner.waiting);
        waiting.into_iter().map(|publication| publication.ticket).collect()
    }

    /// The connection is there, and the newest id is this: when the tail has read it, what is not there is lost.
    pub(super) fn back(&self, newest: Id) {
        let mut inner = self.inner();
        inner.away = None;
        for sent in inner.sent.values_mut().filter(|sent| sent.orphaned && sent.settled_at.is_none()) {
            sent.settled_at = Some(newest);
        }
    }

    /// The tail has read an event of this hub; returns who is to be told.
    pub(super) fn delivered(&self, number: u64) -> Option<Ticket> {
        self.settle(number)
    }

    fn settle(&self, number: u64) -> Option<Ticket> {
        let sent = self.inner().sent.remove(&number);
        self.settled.notify_all();
        sent?.ticket
    }

    /// The tail has read up to here; returns those whose events were not there.
    pub(super) fn reached(&self, position: Id) -> Vec<Option<Ticket>> {
        let mut inner = self.inner();
        inner.position = position;
        let lost = |_: &u64, sent: &mut Sent| sent.settled_at.is_some_and(|id| id <= position);
        let tickets = inner.sent.extract_if(lost).map(|(_, sent)| sent.ticket).collect();
        drop(inner);
        self.settled.notify_all();
        tickets
    }

    /// The stream is another one, with this as its newest id: when the tail has read it, what is not there is lost.
    pub(super) fn settle_at(&self, newest: Id) {
        for sent in self.inner().sent.values_mut().filter(|sent| sent.taken || sent.orphaned) {
            sent.settled_at = Some(newest);
        }
    }

    /// The tail has read so much; waits while the router is far behind. False if the hub ends.
    pub(super) fn read(&self, bytes: usize) -> bool {
        let mut inner = self.inner();
        inner.undelivered += bytes;
        let mut behind = inner.undelivered > HIGH;
        while behind && !inner.stopped {
            inner = self.digested.wait_timeout(inner, NAP).unwrap_or_else(PoisonError::into_inner).0;
            behind = inner.undelivered > LOW;
        }
        !inner.stopped
    }

    /// The router has delivered so much of it.
    pub(super) fn digested(&self, bytes: usize) {
        let mut inner = self.inner();
        let before = inner.undelivered;
        inner.undelivered = before.saturating_sub(bytes);
        if before > LOW && inner.undelivered <= LOW {
            self.digested.notify_one();
        }
    }

    /// Events that wait to be sent and their bytes, and how far the tail is.
    pub(super) fn figures(&self) -> ((usize, usize), Id) {
        let inner = self.inner();
        ((inner.waiting.len(), inner.bytes), inner.position)
    }

    /// Whether all is sent and delivered.
    pub(super) fn is_idle(&self) -> bool {
        let inner = self.inner();
        inner.waiting.is_empty() && inner.sent.is_empty() && inner.wakes.is_empty()
    }

    /// Waits until all is sent and delivered, but not long, and not for a Redis that is away. From then on nothing is
    /// sent. Returns those whose events were not sent, and those of whose that isn't known.
    pub(super) fn close(&self, patience: Duration) -> (Vec<Option<Ticket>>, Vec<Option<Ticket>>) {
        let deadline = Instant::now() + patience;
        let mut inner = self.inner();
        while inner.away.is_none() && !(inner.waiting.is_empty() && inner.sent.is_empty() && inner.wakes.is_empty()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.settled.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.stopped = true;
        self.work.notify_all();
        self.digested.notify_all();
        let unsent = mem::take(&mut inner.waiting).into_iter().map(|publication| publication.ticket).collect();
        let unknown = inner.sent.drain().map(|(_, sent)| sent.ticket).collect();
        (unsent, unknown)
    }
}

impl Inner {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.wakes.is_empty() || self.asked > self.taken
    }

    fn take(&mut self) -> Work {
        let mut work = Work { wakes: mem::take(&mut self.wakes), ..Work::default() };
        if self.asked > self.taken {
            self.taken = self.asked;
            work.question = Some(self.taken);
        }
        let mut bytes = 0;
        while work.publications.len() < BATCH && bytes < BATCH_BYTES {
            let Some(publication) = self.waiting.pop_front() else { break };
            bytes += publication.bytes;
            self.bytes -= publication.bytes;
            let sent = Sent { ticket: publication.ticket, settled_at: None, taken: false, orphaned: false };
            self.sent.insert(publication.number, sent);
            work.publications.push(publication);
        }
        work
    }
}
