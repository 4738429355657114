//! Accepts events, has them stored, and delivers them.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::broker::Broker;
use crate::broker::deferred::DeferredRequest;
use crate::broker::keys::KeyLookup;
use crate::broker::receipt::{self, PublishAnswer};
use crate::connection::ProcessSession;
use crate::event::Event;
use crate::shard::command::{Command, FinishTime};
use crate::shard::handle::ShardHandle;
use crate::store::Store;
use crate::store::history::{self, History};
use crate::store::redis::control::BusControl;
use crate::store::report::{Loaded, Restored, StoreEvent, Stored, Ticket};
use crate::store::sqlite::forgotten::Forgotten;
use crate::stream::Trigger;
use crate::util::log;
use sse_protocol::event::NewEvent;
use sse_protocol::id::{Id, IdClock, now_ms};
use sse_protocol::topic;
use sse_protocol::wire::{ErrorCode, Reply, Request};

/// Maximum number of expired events evicted per turn.
const EXPIRED_A_TURN: usize = 256;

impl Broker {
    pub(crate) fn publish(&mut self, session: &mut ProcessSession, new: &NewEvent<'_>, answer: PublishAnswer) {
        if let Err(error) = new.check(self.config.max_event_size, self.config.max_topics) {
            let ticket = answer.wait(session);
            self.refuse_event(session, ticket, ErrorCode::Invalid, &error.to_string());
            return;
        }
        match (new.key, session.member()) {
            // A member's keys are others than the owner's, who could not publish what the member has guessed first.
            (Some(key), Some(uid)) => {
                let key = format!("member {uid}: {key}");
                self.accept(session, &NewEvent { key: Some(&key), ..new.clone() }, answer);
            }
            _ => self.accept(session, new, answer),
        }
    }

    /// Gives a valid event to the store.
    fn accept(&mut self, session: &mut ProcessSession, new: &NewEvent<'_>, answer: PublishAnswer) {
        if let Store::Bus(bus) = &self.store {
            let ticket = answer.wait(session);
            if let Err(reason) = bus.publish(new, ticket) {
                self.refuse_event(session, ticket, ErrorCode::NotKept, &format!("sse.bus: {reason}"));
            }
            return;
        }
        if let Some(key) = new.key
            && !self.takes_key(session, key, answer)
        {
            return;
        }
        let (stamp, event) = stamped(&mut self.clock, new);
        match &self.store {
            Store::Memory => {
                self.deliver(stamp, &event, new.retain);
                if let Some(key) = new.key {
                    self.keys.learn(key, stamp, event.id());
                }
                if answer == PublishAnswer::Id && session.waiting == 0 {
                    session.reply(&Reply::Published { id: event.id() });
                } else if let Some(ticket) = answer.wait(session) {
                    self.tell_delivered(ticket, &event, &mut |ticket, reply| session.answer(ticket, reply));
                }
            }
            Store::Disk(disk) => {
                let ticket = answer.wait(session);
                if !disk.keep(Stored { stamp, event, ticket, key: new.key.map(Into::into), retain: new.retain }) {
                    // Nobody can wait for it yet.
                    new.key.map(|key| self.keys.fail(key));
                    let reason = "the thread that writes the history has ended; see the hub's log";
                    self.refuse_event(session, ticket, ErrorCode::NotKept, reason);
                }
            }
            Store::Bus(_) => {}
        }
    }

    /// Publishes a valid event of the hub's own, which has no publisher: what the store refuses is told in the log.
    pub(crate) fn publish_own(&mut self, new: &NewEvent<'_>) {
        let refused = match &self.store {
            Store::Memory => {
                let (stamp, event) = stamped(&mut self.clock, new);
                self.deliver(stamp, &event, false);
                None
            }
            Store::Disk(disk) => {
                let (stamp, event) = stamped(&mut self.clock, new);
                let kept = disk.keep(Stored { stamp, event, ticket: None, key: None, retain: false });
                (!kept).then(|| "the thread that writes the history has ended".to_owned())
            }
            Store::Bus(bus) => bus.publish(new, None).err().map(|reason| format!("sse.bus: {reason}")),
        };
        if let Some(reason) = refused {
            self.counts.publish_refused += 1;
            self.log_refused(&reason);
        }
    }

    /// Whether a publication with this key is the first; if not, answers it, or lets it wait for the first one.
    fn takes_key(&mut self, session: &mut ProcessSession, key: &str, answer: PublishAnswer) -> bool {
        match self.keys.look(key, answer.next_ticket(session), now_ms()) {
            KeyLookup::New => return true,
            KeyLookup::Waits => {
                answer.wait(session);
            }
            KeyLookup::Known(id) => {
                if let Some(ticket) = answer.wait(session) {
                    session.answer(ticket, &receipt::repeated(ticket, &id));
                }
            }
            KeyLookup::Crowded => {
                let ticket = answer.wait(session);
                let reason = "too many calls wait for the first one with their key; publish again";
                self.refuse_event(session, ticket, ErrorCode::NotKept, reason);
            }
        }
        false
    }

    /// Refuses an event: answers the publisher or, if it doesn't wait, writes to the log.
    pub(crate) fn refuse_event(
        &mut self,
        session: &mut ProcessSession,
        ticket: Option<Ticket>,
        code: ErrorCode,
        reason: &str,
    ) {
        self.counts.publish_refused += 1;
        if let Some(ticket) = ticket {
            session.answer(ticket, &Reply::Error { code, message: reason });
        } else {
            self.log_refused(reason);
        }
    }

    /// Tells in the log of a refused event whose publisher is not told.
    fn log_refused(&mut self, reason: &str) {
        if let Some(kept_back) = self.unpublished.due(Instant::now()) {
            warn!(reason, before = kept_back, "an event was refused");
        }
    }

    /// Whether a request may be done before earlier ones are answered: only an event, because it is stored after theirs, and
    /// its answer, also a refusal, waits for theirs.
    pub(crate) fn may_follow(request: &Request<'_>) -> bool {
        matches!(request, Request::Publish { .. })
    }

    /// Delivers a stored event to history, shards and render jobs.
    pub(crate) fn deliver(&mut self, stamp: Id, event: &Arc<Event>, retain: bool) {
        let now = Instant::now();
        self.history.add(event, stamp, now);
        self.busy_topics.event(event.topics().iter().map(|topic| &**topic), event.data().len(), now);
        if retain {
            self.retained.keep(stamp, event);
        }
        self.counts.published += 1;
        self.counts.published_bytes += event.data().len() as u64;
        self.pass_notifications();
        let except = self.excepted(event);
        let is_watched = self.send_to_shards(event, except) && self.streams() > 0;
        self.learn_finish(stamp, event);
        let is_rendered = self.renders.event(event, except);
        let is_watched = is_watched || is_rendered;
        self.counts.published_unwatched += u64::from(!is_watched);
        let (id, traceparent) = (log::shown(event.id()), event.traceparent());
        debug!(id, topics = ?log::Topics(event.topics()), is_watched, traceparent, "published");
        self.forget();
    }

    /// Id of the stream that does not get an event; 0: there is none.
    pub(crate) fn excepted(&self, event: &Event) -> u64 {
        event.except().and_then(|public| self.stream_ids.stream(public)).unwrap_or(0)
    }

    /// Sends an event to each shard that may have a watcher, for all streams but `except`; 0: for all. Returns whether one may.
    pub(crate) fn send_to_shards(&mut self, event: &Arc<Event>, except: u64) -> bool {
        let mut may_be_watched = false;
        let count = self.shards.len() as u64;
        for (nth, shard) in self.shards.iter_mut().enumerate() {
            if !event.topics().iter().any(|topic| shard.may_watch(topic)) {
                continue;
            }
            may_be_watched = true;
            let event = Arc::clone(event);
            shard.send(match except {
                // The id of a stream determines its shard.
                stream if stream != 0 && stream % count == nth as u64 => Command::EventExcept { event, stream },
                _ => Command::Event(event),
            });
        }
        may_be_watched
    }

    /// Deletes from the store what the hub does not keep any more.
    pub(crate) fn forget(&mut self) {
        match &self.store {
            Store::Memory => {}
            Store::Disk(disk) => disk.forget(Forgotten {
                evictions: self.history.take_evictions().unwrap_or_default(),
                keys: self.keys.take_gone(),
                begun: self.finished.take_dropped(),
                retained: self.retained.take_gone(),
            }),
            Store::Bus(bus) => bus.forget_retained(self.retained.take_gone()),
        }
    }

    /// Evicts expired events, at most [`EXPIRED_A_TURN`].
    pub(crate) fn expire(&mut self, now: Instant) {
        self.keys.expire(now_ms());
        self.expiring = self.history.expire(now, EXPIRED_A_TURN);
        self.expiring |= self.finished.expire(now_ms(), EXPIRED_A_TURN);
        self.forget();
    }

    /// Whether the store has reports that can be handled now.
    pub(crate) fn has_reports(&self) -> bool {
        // The bus delivers unasked, so this is the only place to slow it down.
        let is_held_up = matches!(self.store, Store::Bus(_)) && self.shards.iter().any(ShardHandle::is_behind);
        !self.reports.is_empty() && !is_held_up
    }

    /// Handles the store's reports, for about `time`: delivers events, and calls `answer` for their publishers.
    pub(crate) fn learn_reports(&mut self, time: Duration, mut answer: impl FnMut(Ticket, &Reply<'_>)) {
        let begun = Instant::now();
        while self.has_reports() && begun.elapsed() <= time {
            let Ok(report) = self.reports.try_recv() else { break };
            match report {
                StoreEvent::Stored(events) => {
                    for Stored { stamp, event, ticket, key, retain } in events {
                        self.deliver(stamp, &event, retain);
                        let waiters = key.map(|key| self.keys.learn(&key, stamp, event.id())).unwrap_or_default();
                        if let Some(ticket) = ticket {
                            self.tell_delivered(ticket, &event, &mut answer);
                        }
                        waiters.into_iter().for_each(|ticket| answer(ticket, &receipt::repeated(ticket, event.id())));
                    }
                }
                StoreEvent::Failed { tickets, keys, reason } => {
                    let error = Reply::Error { code: ErrorCode::NotKept, message: &reason };
                    let waiters = keys.iter().flat_map(|key| self.keys.fail(key));
                    tickets.into_iter().chain(waiters).for_each(|ticket| answer(ticket, &error));
                }
                StoreEvent::Repeated { ticket, id } => {
                    self.keys.counts.repeated += 1;
                    if let Some(ticket) = ticket {
                        answer(ticket, &receipt::repeated(ticket, &id));
                    }
                }
                StoreEvent::Restored(Restored { watermarks, events, keys, finished, retained }) => {
                    self.clock.pass(watermarks.newest);
                    self.keys.restore(keys);
                    retained.into_iter().for_each(|value| self.retained.restore(value));
                    self.history.restore_late(watermarks, events, Instant::now(), now_ms());
                    self.restore_finished(finished, []);
                    self.tell_all_finished(FinishTime::Now);
                }
                StoreEvent::Found { newest } => self.clock.pass(newest),
                StoreEvent::Loaded(loaded) => self.load(loaded, &mut answer),
                StoreEvent::Read { events, bytes, position } => {
                    for Stored { stamp, event, ticket, retain, .. } in events {
                        // A restarted Redis may give smaller ids; stamps must still grow.
                        self.deliver(stamp.max(self.history.newest().after()), &event, retain);
                        if let Some(ticket) = ticket {
                            self.tell_delivered(ticket, &event, &mut answer);
                        }
                    }
                    self.position = position;
                    if let Store::Bus(bus) = &self.store {
                        bus.digested(bytes);
                    }
                }
                StoreEvent::Gap { position } => {
                    self.position = position;
                    self.deferred.give_up();
                    self.history.interrupt();
                    self.tell_gap();
                }
                StoreEvent::Retained(values) => {
                    self.retained.reset(values);
                    self.forget();
                }
                StoreEvent::Control(BusControl::Disconnect { whom, retry, waited }) => {
                    self.disconnect_here(whom.borrowed(), retry, Duration::from_millis(waited));
                }
                StoreEvent::Control(BusControl::Watchers { hub, question, topic }) => {
                    self.watchers_for(hub, question, &topic);
                }
                StoreEvent::Control(BusControl::Watched { hub, question, streams }) => {
                    self.inquiries.told(question, hub, streams);
                }
                StoreEvent::Asked { question, receivers } => self.inquiries.asked(question, receivers),
                StoreEvent::Newest { question, id } => self.deferred.learn(question, id),
                StoreEvent::MembersWanted { connection } => self.presence.share_all(connection),
                StoreEvent::Members { changes, bytes } => self.learn_members(&changes, bytes),
                StoreEvent::MembersRead => {
                    self.members_read = true;
                    self.open_gate();
                }
                StoreEvent::Wakes => {
                    // A bus that ends has none for this hub: the next one begins with a notification of all topics.
                    let Store::Bus(bus) = &self.store else { continue };
                    for topic in bus.take_heard() {
                        match &*topic {
                            topic::ALL => self.heard.add_all(),
                            topic => self.heard.add(topic),
                        }
                    }
                }
                StoreEvent::Listening => {
                    // At the first time no stream existed that could have missed a notification.
                    if mem::replace(&mut self.listening, true) || self.gate.is_none() {
                        self.heard.add_all();
                    }
                    self.open_gate();
                }
            }
        }
    }

    /// Loads the events that the bus stored before this hub started.
    pub(crate) fn load(&mut self, loaded: Loaded, mut answer: impl FnMut(Ticket, &Reply<'_>)) {
        let Loaded { began, whole, newest, events, retained } = loaded;
        let kept = events.iter().map(|kept| (kept.stamp, &kept.event));
        let limits = self.history.limits();
        self.history.replace(History::load(limits, began, whole, newest, kept, Instant::now(), now_ms()));
        self.restore_finished(Vec::new(), events.iter().map(|kept| (kept.stamp, &kept.event)));
        self.tell_all_finished(FinishTime::Now);
        self.retained.reset(retained);
        self.loaded = true;
        self.position = newest;
        for Stored { event, ticket, .. } in &events {
            if let Some(ticket) = ticket {
                answer(*ticket, &receipt::kept(*ticket, event.id()));
            }
        }
        // Streams that began before have missed the events in between.
        if self.gate.is_none() {
            self.tell_gap();
        }
        self.open_gate();
    }

    /// Ends the wait of requests once the bus is read, with what other hubs tell of their members, and its notifications received.
    pub(crate) fn open_gate(&mut self) {
        if self.loaded && self.listening && self.members_read {
            self.gate = None;
        }
    }

    /// Tells all streams that events are missing from here on.
    pub(crate) fn tell_gap(&mut self) {
        self.pass_notifications();
        let gap = history::gap(None, None);
        for shard in &mut self.shards {
            shard.send(Command::Gap(Arc::clone(&gap)));
        }
        self.renders.triggers(&[Arc::new(Trigger::new(topic::ALL))]);
    }

    /// Takes out the requests that have waited for the bus long enough.
    pub(crate) fn released(&mut self) -> Vec<DeferredRequest> {
        let now = Instant::now();
        if self.gate.is_some_and(|deadline| deadline <= now) {
            self.gate = None;
        }
        self.deferred.due(self.position, now)
    }

    /// When the next wait for the bus, or for the answers to an inquiry, times out.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.gate.into_iter().chain(self.deferred.deadline()).chain(self.inquiries.deadline()).min()
    }

    /// Drops the deferred requests and pending answers of a closed connection.
    pub(crate) fn abandon_ticket(&mut self, ticket: Ticket) {
        self.deferred.abandon(ticket);
        self.inquiries.abandon(ticket);
        self.counts.resumes_given_up += self.resuming.abandon(ticket) as u64;
        if let Store::Bus(bus) = &self.store {
            bus.abandon(ticket);
        }
    }

    /// Closes the store after all accepted events are stored. Nothing can be published until it starts again; `for_ever`: it
    /// doesn't.
    pub(crate) fn close_store(&mut self, for_ever: bool) {
        self.presence.share_nothing();
        match mem::replace(&mut self.store, Store::Memory) {
            Store::Memory => {}
            Store::Disk(disk) => self.written = disk.close(),
            Store::Bus(bus) => self.place = bus.close(for_ever),
        }
    }
}

/// Gives an event its stamp and, if it has none, its id.
fn stamped(clock: &mut IdClock, new: &NewEvent<'_>) -> (Id, Arc<Event>) {
    let stamp = clock.next_id();
    let event = match new.id {
        Some(id) => Event::new(new, id),
        None => Event::new(new, &stamp.text()),
    };
    (stamp, Arc::new(event))
}
