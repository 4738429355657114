//! The outbox: the queue of events and notifications from the ordering thread to Redis.
//!
//! This hub's tail delivers each event, and its publisher gets the answer then. The outbox never resends an event that Redis
//! may have. If the connection breaks after the send, the tail decides: once it has read all, the event was there or is lost.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::store::redis::control_queue::{self, ControlKind, ControlQueue, QueuedControl};
use crate::store::redis::entry::{Origin, fields};
use crate::store::redis::last_values;
use crate::store::redis::work::{FailedPublishers, Publication, QueuedNotifications, Work};
use crate::store::report::Ticket;
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;
use sse_protocol::topic;

/// Limits of one batch: events and bytes.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

/// An event sent and not delivered yet.
#[derive(Debug)]
struct SentEvent {
    ticket: Option<Ticket>,
    /// The event is lost if the tail reads up to this id without finding it. `None`: no such id is known yet.
    settled_at: Option<Id>,
    /// What is known of it, and at which [`mark`](Outbox::mark).
    fate: SentFate,
}

/// What is known of an event that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SentFate {
    /// Redis has not answered yet.
    Open,
    /// Redis has accepted the event.
    Taken(u64),
    /// The connection broke before the answer.
    Orphaned(u64),
}

/// Why an event can't wait in the outbox.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NotQueued {
    #[error("the hub ends")]
    Stopped,
    #[error("Redis can't be reached: {0}")]
    Away(String),
    #[error("Redis can't be reached: {why}; sse.bus_queue allows {limit} bytes to wait, and they do")]
    AwayAndFull { why: String, limit: usize },
    #[error("Redis is slower than what is published; sse.bus_queue allows {0} bytes to wait, and they do")]
    Full(usize),
    #[error("Redis is slower than what is asked of the other machines; {0} messages to them may wait, and they do")]
    TooManyMessages(usize),
    #[error("Redis can't be reached: {why}; {most} messages to the other machines may wait, and they do")]
    AwayAndTooManyMessages { why: String, most: usize },
}

/// The state shared by the ordering thread, the publisher thread and the tail.
#[derive(Debug)]
pub(crate) struct Outbox {
    hub: u64,
    /// Limit of the waiting events, in bytes.
    limit: usize,
    /// How long events wait while Redis is unreachable.
    outage_timeout: Duration,
    inner: Mutex<OutboxState>,
    /// Signals new work, or the hub's end.
    work: Condvar,
    /// Signals that the fate of a sent event is decided.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct OutboxState {
    waiting: VecDeque<Publication>,
    bytes: usize,
    sent: HashMap<u64, SentEvent>,
    wakes: QueuedNotifications,
    controls: ControlQueue,
    /// Topics whose last value was dropped.
    gone: Vec<(Box<str>, Id)>,
    numbers: u64,
    /// Number of times that the fate of a sent event became known.
    watermarks: u64,
    /// Questions for the newest id: the last one asked, and the last one taken by the publisher thread.
    asked: u64,
    taken: u64,
    /// Why Redis is unreachable; `None` if it is reachable or not tried yet.
    away: Option<String>,
    stopped: bool,
    /// The tail's position.
    position: Id,
}

impl Outbox {
    /// Creates an empty outbox. `hub` marks this hub's events in the stream.
    pub(crate) fn new(hub: u64, limit: usize, outage_timeout: Duration) -> Self {
        Self { hub, limit, outage_timeout, inner: Mutex::default(), work: Condvar::new(), settled: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, OutboxState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number that identifies this hub.
    pub(crate) fn hub(&self) -> u64 {
        self.hub
    }

    /// Queues a checked event; an error says why it can't wait.
    pub(crate) fn publish(&self, new: &NewEvent<'_>, ticket: Option<Ticket>) -> Result<(), NotQueued> {
        let mut inner = self.inner();
        if inner.stopped {
            return Err(NotQueued::Stopped);
        }
        if let Some(why) = inner.away.as_ref().filter(|_| self.outage_timeout.is_zero()) {
            return Err(NotQueued::Away(why.clone()));
        }
        inner.numbers += 1;
        let number = inner.numbers;
        let fields = fields(new, Origin { hub: self.hub, number });
        let key: Option<Box<str>> = new.key.map(Into::into);
        let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        let retained = new.retain.then(|| last_values::encode(new));
        let bytes = bytes + key.as_ref().map_or(0, |key| key.len()) + retained.as_ref().map_or(0, Vec::len);
        if inner.bytes + bytes > self.limit {
            let limit = self.limit;
            return Err(match inner.away.clone() {
                Some(why) => NotQueued::AwayAndFull { why, limit },
                None => NotQueued::Full(limit),
            });
        }
        inner.bytes += bytes;
        inner.waiting.push_back(Publication { number, fields, ticket, key, retained, bytes, since: Instant::now() });
        self.work.notify_one();
        Ok(())
    }

    /// Withdraws the waiting events of a closed connection. Nobody waits any more for those already sent.
    pub(crate) fn abandon(&self, ticket: Ticket) {
        let mut inner = self.inner();
        let OutboxState { waiting, bytes, sent, .. } = &mut *inner;
        waiting.retain(|publication| {
            let stays = !publication.ticket.is_some_and(|other| other.is_of(ticket));
            *bytes -= if stays { 0 } else { publication.bytes };
            stays
        });
        for sent in sent.values_mut().filter(|sent| sent.ticket.is_some_and(|other| other.is_of(ticket))) {
            sent.ticket = None;
        }
    }

    /// Queues a notification of a topic, or of all topics.
    pub(crate) fn wake(&self, topic: &str) {
        self.inner().wakes.add(topic);
        self.work.notify_one();
    }

    /// Queues topics whose last value was dropped. Redis may keep one whose removal it does not get.
    pub(crate) fn forget(&self, topics: Vec<(Box<str>, Id)>) {
        self.inner().gone.extend(topics);
        self.work.notify_one();
    }

    /// Queues a message that tells the other hubs to end streams.
    pub(crate) fn control(&self, text: String) -> Result<(), NotQueued> {
        self.queue_control(QueuedControl::new(text, ControlKind::Order))
    }

    /// Queues the answer to another hub's question.
    pub(crate) fn answer(&self, text: String) -> Result<(), NotQueued> {
        self.queue_control(QueuedControl::new(text, ControlKind::Answer))
    }

    /// Queues a question to the other hubs, unless Redis is unreachable. [`StoreEvent::Asked`] tells how many get it.
    ///
    /// [`StoreEvent::Asked`]: crate::store::report::StoreEvent::Asked
    pub(crate) fn inquire(&self, question: u64, text: String) -> Result<(), NotQueued> {
        let away = self.inner().away.clone();
        away.map_or(Ok(()), |why| Err(NotQueued::Away(why)))?;
        self.queue_control(QueuedControl::new(text, ControlKind::Question(question)))
    }

    fn queue_control(&self, message: QueuedControl) -> Result<(), NotQueued> {
        let mut inner = self.inner();
        if inner.stopped {
            return Err(NotQueued::Stopped);
        }
        if !inner.controls.push(message) {
            let most = control_queue::WAITING;
            return Err(match inner.away.clone() {
                Some(why) => NotQueued::AwayAndTooManyMessages { why, most },
                None => NotQueued::TooManyMessages(most),
            });
        }
        self.work.notify_one();
        Ok(())
    }

    /// Queues notifications and messages to hubs again that may not have arrived.
    pub(crate) fn wake_again(&self, wakes: &QueuedNotifications, controls: &[QueuedControl]) {
        let mut inner = self.inner();
        if wakes.all {
            inner.wakes.add(topic::ALL);
        }
        wakes.topics.iter().for_each(|topic| inner.wakes.add(topic));
        inner.controls.put_back(controls);
    }

    /// Asks for the newest id; the answer has this number or a larger one. `None`: Redis is unreachable.
    pub(crate) fn ask(&self) -> Option<u64> {
        let mut inner = self.inner();
        if inner.away.is_some() || inner.stopped {
            return None;
        }
        inner.asked += 1;
        self.work.notify_one();
        Some(inner.asked)
    }

    /// Waits up to `timeout` for work; empty if none came. `None`: the hub ends.
    pub(crate) fn work(&self, timeout: Duration) -> Option<Work> {
        let deadline = Instant::now() + timeout;
        let mut inner = self.inner();
        inner.controls.sent();
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

    /// Records that Redis has accepted an event.
    pub(crate) fn taken(&self, number: u64, id: Option<Id>) {
        let mut inner = self.inner();
        inner.watermarks += 1;
        let fate = SentFate::Taken(inner.watermarks);
        if let Some(sent) = inner.sent.get_mut(&number) {
            sent.fate = fate;
            sent.settled_at = id;
        }
    }

    /// Records that Redis has not added an event: it has refused it, or had one with its key. Returns whom to tell.
    pub(crate) fn not_added(&self, number: u64) -> Option<Ticket> {
        self.settle(number)
    }

    /// Queues events again that Redis has certainly not accepted, in front of all others.
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

    /// Records that the connection broke or failed; returns whom to tell now.
    pub(crate) fn away(&self, why: &str) -> FailedPublishers {
        let mut inner = self.inner();
        inner.away = Some(why.into());
        inner.controls.away();
        inner.watermarks += 1;
        let fate = SentFate::Orphaned(inner.watermarks);
        let open = inner.sent.values_mut().filter(|sent| sent.fate == SentFate::Open);
        open.for_each(|sent| sent.fate = fate);
        if !self.outage_timeout.is_zero() {
            return FailedPublishers { unsent: inner.take_expired(self.outage_timeout), unknown: Vec::new() };
        }
        let unsent = inner.take_waiting();
        let orphaned = |_: &u64, sent: &mut SentEvent| matches!(sent.fate, SentFate::Orphaned(_));
        FailedPublishers { unsent, unknown: inner.sent.extract_if(orphaned).map(|(_, sent)| sent.ticket).collect() }
    }

    /// Records that the connection is up. Orphaned events are lost if the tail reads up to `newest` without finding them.
    pub(crate) fn back(&self, newest: Id) {
        let mut inner = self.inner();
        inner.away = None;
        let orphans = inner.sent.values_mut().filter(|sent| matches!(sent.fate, SentFate::Orphaned(_)));
        orphans.for_each(|sent| sent.settled_at = sent.settled_at.or(Some(newest)));
    }

    /// Records that the tail has read an event of this hub; returns whom to answer.
    pub(crate) fn delivered(&self, number: u64) -> Option<Ticket> {
        self.settle(number)
    }

    fn settle(&self, number: u64) -> Option<Ticket> {
        let sent = self.inner().sent.remove(&number);
        self.settled.notify_all();
        sent?.ticket
    }

    /// Records that the tail has read up to `position`; returns the publishers whose events are lost.
    pub(crate) fn reached(&self, position: Id) -> Vec<Option<Ticket>> {
        let mut inner = self.inner();
        inner.position = position;
        let lost = |_: &u64, sent: &mut SentEvent| sent.settled_at.is_some_and(|id| id <= position);
        let tickets = inner.sent.extract_if(lost).map(|(_, sent)| sent.ticket).collect();
        drop(inner);
        self.settled.notify_all();
        tickets
    }

    /// Number of fates known now; read it before a look at the stream.
    pub(crate) fn mark(&self) -> u64 {
        self.inner().watermarks
    }

    /// Handles a gap: events whose fate was known at `mark` are lost if the tail reads up to `newest` without finding them.
    pub(crate) fn settle_at(&self, newest: Id, mark: u64) {
        let before =
            |sent: &&mut SentEvent| matches!(sent.fate, SentFate::Taken(at) | SentFate::Orphaned(at) if at <= mark);
        self.inner().sent.values_mut().filter(before).for_each(|sent| sent.settled_at = Some(newest));
    }

    /// Number and bytes of the waiting events, and the tail's position.
    pub(crate) fn figures(&self) -> ((usize, usize), Id) {
        let inner = self.inner();
        ((inner.waiting.len(), inner.bytes), inner.position)
    }

    /// Whether everything is sent, and all events are delivered.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.inner();
        inner.is_idle()
    }

    /// Waits up to `timeout` until everything is sent and delivered, but not for an unreachable Redis. Nothing is sent
    /// afterwards.
    pub(crate) fn close(&self, timeout: Duration) -> FailedPublishers {
        let deadline = Instant::now() + timeout;
        let mut inner = self.inner();
        while inner.away.is_none() && !inner.is_idle() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.settled.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.stopped = true;
        self.work.notify_all();
        let unsent = inner.take_waiting();
        FailedPublishers { unsent, unknown: inner.sent.drain().map(|(_, sent)| sent.ticket).collect() }
    }
}

impl OutboxState {
    fn take_waiting(&mut self) -> Vec<Option<Ticket>> {
        self.bytes = 0;
        mem::take(&mut self.waiting).into_iter().map(|publication| publication.ticket).collect()
    }

    /// Removes the events that have waited for `timeout`.
    fn take_expired(&mut self, timeout: Duration) -> Vec<Option<Ticket>> {
        let mut expired = Vec::new();
        // The queue is sorted by age.
        while self.waiting.front().is_some_and(|first| first.since.elapsed() >= timeout)
            && let Some(publication) = self.waiting.pop_front()
        {
            self.bytes -= publication.bytes;
            expired.push(publication.ticket);
        }
        expired
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty() && self.wakes.is_empty() && self.controls.is_empty()
    }

    fn has_work(&self) -> bool {
        !self.waiting.is_empty()
            || !self.wakes.is_empty()
            || !self.controls.is_empty()
            || !self.gone.is_empty()
            || self.asked > self.taken
    }

    fn take(&mut self) -> Work {
        let mut work = Work {
            wakes: mem::take(&mut self.wakes),
            controls: self.controls.take(),
            gone: mem::take(&mut self.gone),
            ..Work::default()
        };
        if self.asked > self.taken {
            self.taken = self.asked;
            work.question = Some(self.taken);
        }
        let mut bytes = 0;
        while work.publications.len() < BATCH && bytes < BATCH_BYTES {
            let Some(publication) = self.waiting.pop_front() else { break };
            bytes += publication.bytes;
            self.bytes -= publication.bytes;
            let sent = SentEvent { ticket: publication.ticket, settled_at: None, fate: SentFate::Open };
            self.sent.insert(publication.number, sent);
            work.publications.push(publication);
        }
        work
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::store::redis::work::WAKES;

    const HOUR: Duration = Duration::from_secs(3600);
    const NO_TIME: Duration = Duration::ZERO;

    fn at(ms: u64) -> Id {
        Id { ms, seq: 0 }
    }

    fn ticket(connection: usize) -> Option<Ticket> {
        Some(Ticket { connection, serial: 1, number: 1, reports: false })
    }

    fn publish(outbox: &Outbox, connection: usize) -> Result<(), NotQueued> {
        outbox.publish(&NewEvent { topics: vec!["t"], data: b"x", ..NewEvent::default() }, ticket(connection))
    }

    /// Publishes for these connections, and takes the events out to be sent; returns their numbers.
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
        assert_eq!(outbox.away("gone"), FailedPublishers { unsent: vec![ticket(1)], unknown: vec![] });
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
        assert_eq!(outbox.not_added(numbers[2]), ticket(3));
        assert!(outbox.reached(at(1)).is_empty());
        assert_eq!(outbox.reached(at(2)), [ticket(2)], "the tail was there, and the event was not");
        assert_eq!(outbox.away("gone"), FailedPublishers::default());
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
        assert!(
            publish(&outbox, 2).is_err_and(|why| why.to_string().contains("Redis is slower than what is published"))
        );
        outbox.away("gone");
        assert!(publish(&outbox, 2).is_err_and(|why| why.to_string().contains("gone; sse.bus_queue allows 200 bytes")));
        assert_eq!(outbox.ask(), None);
        outbox.abandon(ticket(1).expect("one"));
        publish(&outbox, 2).expect("there is room again");
        assert_eq!(outbox.close(NO_TIME), FailedPublishers { unsent: vec![ticket(2)], unknown: vec![] });
        assert!(outbox.work(NO_TIME).is_none() && publish(&outbox, 3).is_err());

        let without_waiting = Outbox::new(1, 1 << 20, Duration::ZERO);
        sent(&without_waiting, [1]);
        publish(&without_waiting, 2).expect("it was not tried yet");
        assert_eq!(
            without_waiting.away("gone"),
            FailedPublishers { unsent: vec![ticket(2)], unknown: vec![ticket(1)] }
        );
        assert_eq!(publish(&without_waiting, 2), Err(NotQueued::Away("gone".into())));
        without_waiting.back(at(1));
        publish(&without_waiting, 3).expect("Redis is back");
    }

    #[test]
    fn what_ends_streams_waits_for_redis_and_a_question_does_not() {
        let outbox = Outbox::new(1, 1 << 20, HOUR);
        outbox.control("end".into()).and_then(|()| outbox.inquire(1, "?".into())).expect("there is room");
        assert!(!outbox.is_idle());
        let Work { wakes, controls, .. } = outbox.work(NO_TIME).expect("the hub goes on");
        assert_eq!(controls.len(), 2);
        outbox.answer("!".into()).expect("there is room");
        outbox.wake_again(&wakes, &controls);
        outbox.away("gone");
        assert_eq!(outbox.inquire(2, "?".into()), Err(NotQueued::Away("gone".into())));
        assert_eq!(outbox.work(NO_TIME).expect("the hub goes on").controls, controls[..1]);
        assert!(outbox.is_idle());
    }

    /// `sse.bus_queue` bounds the bytes of events, so raising it would not help.
    #[test]
    fn who_may_not_send_another_message_is_told_what_is_full() {
        let outbox = Outbox::new(1, 1 << 20, HOUR);
        let full = (0..).find_map(|_| outbox.control("end".into()).err()).expect("in the end");
        assert_eq!(full, NotQueued::TooManyMessages(1000));
        outbox.away("gone");
        let full = outbox.control("end".into()).expect_err("still full").to_string();
        assert!(full.contains("gone") && full.contains("1000 messages") && !full.contains("bus_queue"), "{full}");
    }

    #[test]
    fn wakes_are_merged_and_never_lost() {
        let outbox = Outbox::new(1, 1 << 20, HOUR);
        ["a", "b", "a"].iter().for_each(|topic| outbox.wake(topic));
        let first = outbox.work(NO_TIME).expect("the hub goes on").wakes;
        assert_eq!(first.topics.len(), 2);
        outbox.wake("c");
        outbox.wake_again(&first, &[]);
        assert_eq!(outbox.work(NO_TIME).expect("the hub goes on").wakes.topics.len(), 3);
        (0..=WAKES).for_each(|number| outbox.wake(&number.to_string()));
        outbox.wake("d");
        assert_eq!(
            outbox.work(NO_TIME).expect("the hub goes on").wakes,
            QueuedNotifications { all: true, ..QueuedNotifications::default() }
        );
    }
}
