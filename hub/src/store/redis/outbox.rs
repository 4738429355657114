//! What the router hands to Redis: events until their publishers are answered, and wakes.
//!
//! An event waits, is sent once and only once, and is answered when this hub's own tail has delivered it. What was sent
//! when the connection broke is settled by the tail: once that has read all there is, the event was in it or isn't known.

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::Ticket;
use crate::store::redis::entry::{Origin, fields};
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;
use sse_protocol::topic;

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
pub(crate) struct Publication {
    pub(crate) number: u64,
    pub(crate) fields: Vec<(&'static str, Vec<u8>)>,
    ticket: Option<Ticket>,
    bytes: usize,
    since: Instant,
}

/// An event that was sent, and not delivered yet.
#[derive(Debug)]
struct Sent {
    ticket: Option<Ticket>,
    /// When the tail has read up to here and it was not there, it is lost. `None`: that isn't known yet.
    settled_at: Option<Id>,
    /// What is known of it, and the [`mark`](Outbox::mark) at which that was learnt.
    fate: Fate,
}

/// What is known of an event that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing yet.
    Open,
    /// Redis has said that it has it.
    Taken(u64),
    /// The connection broke before Redis has said anything.
    Orphaned(u64),
}

/// Publishers who are told that their events were not published; `None`: one who doesn't wait.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Their events were not sent, and will not be.
    pub(crate) unsent: Vec<Option<Ticket>>,
    /// Of their events it isn't known.
    pub(crate) unknown: Vec<Option<Ticket>>,
}

/// Topics that changed; all, if there are too many.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wakes {
    pub(crate) all: bool,
    pub(crate) topics: HashSet<Box<str>>,
}

/// What the publisher is to do next.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) publications: Vec<Publication>,
    pub(crate) wakes: Wakes,
    /// The newest id is asked for, under this number.
    pub(crate) question: Option<u64>,
}

/// The router's, the publisher's and the tail's common broker.
#[derive(Debug)]
pub(crate) struct Outbox {
    hub: u64,
    /// Bytes that may wait.
    limit: usize,
    /// How long events wait when Redis is away.
    patience: Duration,
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
    /// Times that something was learnt of an event that was sent.
    watermarks: u64,
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
            *self = Self { all: true, topics: HashSet::new() };
        }
        if !self.all && !self.topics.contains(topic) {
            self.topics.insert(topic.into());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.topics.is_empty()
    }
}

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        self.publications.is_empty() && self.wakes.is_empty() && self.question.is_none()
    }
}

impl Outbox {
    /// Nothing yet. `hub` tells this hub's events from others'.
    pub(crate) fn new(hub: u64, limit: usize, patience: Duration) -> Self {
        Self {
            hub,
            limit,
            patience,
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
    pub(crate) fn hub(&self) -> u64 {
        self.hub
    }

    /// Takes a checked event.
    pub(crate) fn publish(&self, new: &NewEvent<'_>, ticket: Option<Ticket>) -> Result<(), String> {
        let mut inner = self.inner();
        let away = inner.away.as_ref().map(|why| format!("Redis can't be reached: {why}"));
        if inner.stopped {
            return Err("the hub ends".into());
        }
        if let Some(away) = away.as_ref().filter(|_| self.patience.is_zero()) {
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
        inner.waiting.push_back(Publication { number, fields, ticket, bytes, since: Instant::now() });
        self.work.notify_one();
        Ok(())
    }

    /// A publisher has gone: what it wanted is not sent if it can be helped.
    pub(crate) fn abandon(&self, ticket: Ticket) {
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
    pub(crate) fn wake(&self, topic: &str) {
        self.inner().wakes.add(topic);
        self.work.notify_one();
    }

    /// Puts wakes back that may not have been heard.
    pub(crate) fn wake_again(&self, wakes: &Wakes) {
        let mut inner = self.inner();
        if wakes.all {
            inner.wakes.add(topic::ALL);
        }
        wakes.topics.iter().for_each(|topic| inner.wakes.add(topic));
    }

    /// Asks for the newest id; the answer has this number or a larger one. `None`: Redis is away.
    pub(crate) fn ask(&self) -> Option<u64> {
        let mut inner = self.inner();
        if inner.away.is_some() || inner.stopped {
            return None;
        }
        inner.asked += 1;
        self.work.notify_one();
        Some(inner.asked)
    }

    /// What is to be done; empty if nothing comes for so long. `None`: the hub ends.
    pub(crate) fn work(&self, patience: Duration) -> Option<Work> {
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
    pub(crate) fn taken(&self, number: u64, id: Option<Id>) {
        let mut inner = self.inner();
        inner.watermarks += 1;
        let fate = Fate::Taken(inner.watermarks);
        if let Some(sent) = inner.sent.get_mut(&number) {
            sent.fate = fate;
            sent.settled_at = id;
        }
    }

    /// Redis has refused an event; returns who is to be told.
    pub(crate) fn refused(&self, number: u64) -> Option<Ticket> {
        self.settle(number)
    }

    /// Events that Redis has certainly not taken wait again, before all others.
    pub(crate) fn put_back(&self, publications: Vec<Publication>) {
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

    /// The connection has broken, or can't be made; returns who is told now.
    pub(crate) fn away(&self, why: &str) -> Outcome {
        let mut inner = self.inner();
        inner.away = Some(why.into());
        inner.watermarks += 1;
        let fate = Fate::Orphaned(inner.watermarks);
        let open = inner.sent.values_mut().filter(|sent| sent.fate == Fate::Open);
        open.for_each(|sent| sent.fate = fate);
        if !self.patience.is_zero() {
            return Outcome { unsent: inner.take_tired(self.patience), unknown: Vec::new() };
        }
        let unsent = inner.take_waiting();
        let orphaned = |_: &u64, sent: &mut Sent| matches!(sent.fate, Fate::Orphaned(_));
        Outcome { unsent, unknown: inner.sent.extract_if(orphaned).map(|(_, sent)| sent.ticket).collect() }
    }

    /// The connection is there, and the newest id is this: when the tail has read it, what is not there is lost.
    pub(crate) fn back(&self, newest: Id) {
        let mut inner = self.inner();
        inner.away = None;
        let orphans = inner.sent.values_mut().filter(|sent| matches!(sent.fate, Fate::Orphaned(_)));
        orphans.for_each(|sent| sent.settled_at = sent.settled_at.or(Some(newest)));
    }

    /// The tail has read an event of this hub; returns who is to be told.
    pub(crate) fn delivered(&self, number: u64) -> Option<Ticket> {
        self.settle(number)
    }

    fn settle(&self, number: u64) -> Option<Ticket> {
        let sent = self.inner().sent.remove(&number);
        self.settled.notify_all();
        sent?.ticket
    }

    /// The tail has read up to here; returns those whose events were not there.
    pub(crate) fn reached(&self, position: Id) -> Vec<Option<Ticket>> {
        let mut inner = self.inner();
        inner.position = position;
        let lost = |_: &u64, sent: &mut Sent| sent.settled_at.is_some_and(|id| id <= position);
        let tickets = inner.sent.extract_if(lost).map(|(_, sent)| sent.ticket).collect();
        drop(inner);
        self.settled.notify_all();
        tickets
    }

    /// What is known now; to be asked for before the stream is looked at.
    pub(crate) fn mark(&self) -> u64 {
        self.inner().watermarks
    }

    /// The stream is another one, and its newest id was this after that mark: when the tail has read up to there, what was
    /// sent before and is not there is lost.
    pub(crate) fn settle_at(&self, newest: Id, mark: u64) {
        let before = |sent: &&mut Sent| matches!(sent.fate, Fate::Taken(at) | Fate::Orphaned(at) if at <= mark);
        self.inner().sent.values_mut().filter(before).for_each(|sent| sent.settled_at = Some(newest));
    }

    /// The tail has read so much; waits while the router is far behind. False if the hub ends.
    pub(crate) fn read(&self, bytes: usize) -> bool {
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
    pub(crate) fn digested(&self, bytes: usize) {
        let mut inner = self.inner();
        let before = inner.undelivered;
        inner.undelivered = before.saturating_sub(bytes);
        if before > LOW && inner.undelivered <= LOW {
            self.digested.notify_one();
        }
    }

    /// Events that wait to be sent and their bytes, and how far the tail is.
    pub(crate) fn figures(&self) -> ((usize, usize), Id) {
        let inner = self.inner();
        ((inner.waiting.len(), inner.bytes), inner.position)
    }

    /// Whether all is sent and delivered.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.inner();
        inner.waiting.is_empty() && inner.sent.is_empty() && inner.wakes.is_empty()
    }

    /// Waits until all is sent and delivered, but not long, and not for a Redis that is away. From then on nothing is
    /// sent.
    pub(crate) fn close(&self, patience: Duration) -> Outcome {
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
        let unsent = inner.take_waiting();
        Outcome { unsent, unknown: inner.sent.drain().map(|(_, sent)| sent.ticket).collect() }
    }
}

impl Inner {
    fn take_waiting(&mut self) -> Vec<Option<Ticket>> {
        self.bytes = 0;
        mem::take(&mut self.waiting).into_iter().map(|publication| publication.ticket).collect()
    }

    /// Those who have waited for so long.
    fn take_tired(&mut self, patience: Duration) -> Vec<Option<Ticket>> {
        let mut tired = Vec::new();
        // Who waits longest is the first.
        while self.waiting.front().is_some_and(|first| first.since.elapsed() >= patience)
            && let Some(publication) = self.waiting.pop_front()
        {
            self.bytes -= publication.bytes;
            tired.push(publication.ticket);
        }
        tired
    }

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
            let sent = Sent { ticket: publication.ticket, settled_at: None, fate: Fate::Open };
            self.sent.insert(publication.number, sent);
            work.publications.push(publication);
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NO_TIME: Duration = Duration::ZERO;

    fn at(ms: u64) -> Id {
        Id { ms, seq: 0 }
    }

    fn ticket(connection: usize) -> Option<Ticket> {
        Some(Ticket { connection, serial: 1, number: 1 })
    }

    fn publish(outbox: &Outbox, connection: usize) -> Result<(), String> {
        outbox.publish(&NewEvent { topics: vec!["t"], data: b"x", ..NewEvent::default() }, ticket(connection))
    }

    /// Publishes for these connections, and takes them out to be sent; gives their numbers.
    fn sent(outbox: &Outbox, connections: impl IntoIterator<Item = usize>) -> Vec<u64> {
        connections.into_iter().for_each(|connection| publish(outbox, connection).expect("there is room"));
        let work = outbox.work(NO_TIME).expect("the hub goes on");
        work.publications.iter().map(|publication| publication.number).collect()
    }

    #[test]
    fn who_has_waited_long_enough_is_told_and_the_event_is_not_sent() {
        let outbox = Outbox::new(1, 1 << 20, Duration::from_nanos(1));
        publish(&outbox, 1).expect("there is room");
        outbox.abandon(ticket(7).expect("another"));
        let began = Instant::now();
        while began.elapsed().is_zero() {}
        assert_eq!(outbox.away("gone"), Outcome { unsent: vec![ticket(1)], unknown: vec![] });
        assert_eq!(outbox.figures().0, (0, 0));
        assert!(outbox.work(NO_TIME).is_some_and(|work| work.is_empty()));
    }

    #[test]
    fn an_event_is_settled_by_the_tail_and_once() {
        let outbox = Outbox::new(1, 1 << 20, HOUR);
        let numbers = sent(&outbox, 1..=4);
        outbox.taken(numbers[0], Some(at(1)));
        assert_eq!(outbox.delivered(numbers[0]), ticket(1));
        assert_eq!(outbox.delivered(numbers[0]), None);
        outbox.taken(numbers[1], Some(at(2)));
        assert_eq!(outbox.refused(numbers[2]), ticket(3));
        assert!(outbox.reached(at(1)).is_empty());
        assert_eq!(outbox.reached(at(2)), [ticket(2)], "the tail was there, and the event was not");
        assert_eq!(outbox.away("gone"), Outcome::default());
        assert!(outbox.reached(at(9)).is_empty(), "whether it was taken isn't known yet");
        outbox.back(at(7));
        assert_eq!(outbox.reached(at(9)), [ticket(4)]);
    }

    #[test]
    fn what_was_certainly_not_sent_waits_in_its_place_unless_its_publisher_has_gone() {
        let outbox = Outbox::new(1, 1 << 20, HOUR);
        for connection in 1..=3 {
            publish(&outbox, connection).expect("there is room");
        }
        let work = outbox.work(NO_TIME).expect("the hub goes on");
        publish(&outbox, 4).expect("there is room");
        outbox.abandon(Ticket { number: 9, ..ticket(2).expect("one") });
        outbox.put_back(work.publications);
        let again = outbox.work(NO_TIME).expect("the hub goes on").publications;
        assert_eq!(again.iter().map(|publication| publication.ticket).collect::<Vec<_>>(), [1, 3, 4].map(ticket));
        assert_eq!(outbox.figures().0, (0, 0));
    }

    #[test]
    fn what_was_taken_after_a_look_is_not_lost_by_it() {
        let outbox = Outbox::new(1, 1 << 20, HOUR);
        let numbers = sent(&outbox, 1..=2);
        outbox.taken(numbers[0], Some(at(8)));
        let mark = outbox.mark();
        outbox.taken(numbers[1], Some(at(9)));
        outbox.settle_at(at(5), mark);
        assert_eq!(outbox.reached(at(5)), [ticket(1)]);
        assert_eq!(outbox.delivered(numbers[1]), ticket(2));
    }

    #[test]
    fn what_waits_is_bounded_and_those_who_are_not_to_wait_are_told() {
        let outbox = Outbox::new(1, 200, HOUR);
        assert!(outbox.work(NO_TIME).is_some_and(|work| work.is_empty()));
        publish(&outbox, 1).expect("there is room");
        assert!(publish(&outbox, 2).is_err_and(|why| why.contains("Redis is slower than what is published")));
        outbox.away("gone");
        assert!(publish(&outbox, 2).is_err_and(|why| why.contains("gone; sse.bus_queue allows 200 bytes")));
        assert_eq!(outbox.ask(), None);
        outbox.abandon(ticket(1).expect("one"));
        publish(&outbox, 2).expect("there is room again");
        assert_eq!(outbox.close(NO_TIME), Outcome { unsent: vec![ticket(2)], unknown: vec![] });
        assert!(outbox.work(NO_TIME).is_none() && publish(&outbox, 3).is_err());

        let impatient = Outbox::new(1, 1 << 20, Duration::ZERO);
        sent(&impatient, [1]);
        publish(&impatient, 2).expect("it was not tried yet");
        assert_eq!(impatient.away("gone"), Outcome { unsent: vec![ticket(2)], unknown: vec![ticket(1)] });
        assert_eq!(publish(&impatient, 2), Err("Redis can't be reached: gone".into()));
        impatient.back(at(1));
        publish(&impatient, 3).expect("Redis is back");
    }

    #[test]
    fn wakes_are_merged_and_never_lost() {
        let outbox = Outbox::new(1, 1 << 20, HOUR);
        ["a", "b", "a"].iter().for_each(|topic| outbox.wake(topic));
        let first = outbox.work(NO_TIME).expect("the hub goes on").wakes;
        assert_eq!(first.topics.len(), 2);
        outbox.wake("c");
        outbox.wake_again(&first);
        assert_eq!(outbox.work(NO_TIME).expect("the hub goes on").wakes.topics.len(), 3);
        (0..=WAKES).for_each(|number| outbox.wake(&number.to_string()));
        outbox.wake("d");
        assert_eq!(outbox.work(NO_TIME).expect("the hub goes on").wakes, Wakes { all: true, topics: HashSet::new() });
    }
}
