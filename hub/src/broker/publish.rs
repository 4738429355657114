//! Accepts events, has them stored, and delivers them.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::broker::Broker;
use crate::broker::deferred::DeferredRequest;
use crate::event::Event;
use crate::server::connection::Session;
use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::store::history::{self, History};
use crate::store::sqlite::Restored;
use crate::store::{Loaded, Store, StoreEvent, Stored, Ticket};
use crate::stream::Trigger;
use sse_protocol::event::NewEvent;
use sse_protocol::id::{Id, now_ms};
use sse_protocol::topic;
use sse_protocol::wire::{ErrorCode, Reply, Request};

/// Maximum number of expired events evicted per turn.
const EXPIRED_A_TURN: usize = 256;

impl Broker {
    pub(crate) fn publish(&mut self, session: &mut Session, new: &NewEvent<'_>, answer: bool) {
        if let Err(error) = new.check(self.config.max_event_size, self.config.max_topics) {
            let ticket = answer.then(|| session.wait());
            self.refuse_event(session, ticket, ErrorCode::Invalid, &error.to_string());
            return;
        }
        if let Store::Bus(bus) = &self.store {
            let ticket = answer.then(|| session.wait());
            if let Err(reason) = bus.publish(new, ticket) {
                self.refuse_event(session, ticket, ErrorCode::NotKept, &format!("sse.bus: {reason}"));
            }
            return;
        }
        let stamp = self.clock.next_id();
        let event = match new.id {
            Some(id) => Event::new(new, id),
            None => Event::new(new, &stamp.text()),
        };
        let event = Arc::new(event);
        match &self.store {
            Store::Memory => {
                self.deliver(stamp, &event);
                if answer {
                    session.reply(&Reply::Published { id: event.id() });
                }
            }
            Store::Disk(disk) => {
                let ticket = answer.then(|| session.wait());
                if !disk.keep(stamp, event, ticket) {
                    let reason = "the thread that writes the history has ended; see the hub's log";
                    self.refuse_event(session, ticket, ErrorCode::NotKept, reason);
                }
            }
            Store::Bus(_) => {}
        }
    }

    /// Refuses an event: answers the publisher or, if it doesn't wait, writes to the log.
    pub(crate) fn refuse_event(
        &mut self,
        session: &mut Session,
        ticket: Option<Ticket>,
        code: ErrorCode,
        reason: &str,
    ) {
        self.counts.publish_refused += 1;
        if let Some(ticket) = ticket {
            session.answer(ticket, &Reply::Error { code, message: reason });
        } else if let Some(kept_back) = self.unpublished.due(Instant::now()) {
            warn!(reason, before = kept_back, "an event was refused");
        }
    }

    /// Whether a request may be done before earlier ones are answered: only a valid event, because it is stored and answered
    /// after theirs.
    pub(crate) fn may_follow(&self, request: Request<'_>) -> bool {
        let Request::Publish { topics, name, id, retry, data, .. } = request else { return false };
        NewEvent { topics, name, id, retry, data }.check(self.config.max_event_size, self.config.max_topics).is_ok()
    }

    /// Delivers a stored event to history, shards and render jobs.
    pub(crate) fn deliver(&mut self, stamp: Id, event: &Arc<Event>) {
        self.history.add(event, stamp, Instant::now());
        self.forget();
        self.counts.published += 1;
        self.counts.published_bytes += event.data().len() as u64;
        self.pass_nudges();
        for shard in &mut self.shards {
            if event.topics().iter().any(|topic| shard.may_watch(topic)) {
                shard.send(Command::Event(Arc::clone(event)));
            }
        }
        self.renders.event(event);
    }

    /// Deletes from the store what the history has evicted.
    pub(crate) fn forget(&mut self) {
        if let Store::Disk(disk) = &self.store
            && let Some(evictions) = self.history.take_evictions()
        {
            disk.forget(evictions);
        }
    }

    /// Evicts expired events, at most [`EXPIRED_A_TURN`].
    pub(crate) fn expire(&mut self, now: Instant) {
        self.expiring = self.history.expire(now, EXPIRED_A_TURN);
        self.forget();
    }

    /// Whether the store has reports that can be handled now.
    pub(crate) fn has_news(&self) -> bool {
        // The bus delivers unasked, so this is the only place to slow it down.
        let is_held_up = matches!(self.store, Store::Bus(_)) && self.shards.iter().any(ShardHandle::is_behind);
        !self.news.is_empty() && !is_held_up
    }

    /// Handles the store's reports, for about `time`: delivers events, and calls `answer` for their publishers.
    pub(crate) fn learn_news(&mut self, time: Duration, mut answer: impl FnMut(Ticket, &Reply<'_>)) {
        let begun = Instant::now();
        while self.has_news() && begun.elapsed() <= time {
            let Ok(news) = self.news.try_recv() else { break };
            match news {
                StoreEvent::Stored(events) => {
                    for Stored { stamp, event, ticket } in events {
                        self.deliver(stamp, &event);
                        if let Some(ticket) = ticket {
                            answer(ticket, &Reply::Published { id: event.id() });
                        }
                    }
                }
                StoreEvent::Failed { tickets, reason } => {
                    let error = Reply::Error { code: ErrorCode::NotKept, message: &reason };
                    tickets.into_iter().for_each(|ticket| answer(ticket, &error));
                }
                StoreEvent::Restored(Restored { watermarks, events }) => {
                    self.clock.pass(watermarks.newest);
                    self.history.restore_late(watermarks, events, Instant::now(), now_ms());
                    self.forget();
                }
                StoreEvent::Found { newest } => self.clock.pass(newest),
                StoreEvent::Loaded(loaded) => self.load(loaded, &mut answer),
                StoreEvent::Read { events, bytes, position } => {
                    for Stored { stamp, event, ticket } in events {
                        // A restarted Redis may give smaller ids; stamps must still grow.
                        self.deliver(stamp.max(self.history.newest().after()), &event);
                        if let Some(ticket) = ticket {
                            answer(ticket, &Reply::Published { id: event.id() });
                        }
                    }
                    self.position = position;
                    if let Store::Bus(bus) = &self.store {
                        bus.digested(bytes);
                    }
                }
                StoreEvent::Gap { position } => {
                    self.position = position;
                    self.parked.give_up();
                    self.history.interrupt();
                    self.tell_gap();
                }
                StoreEvent::Newest { question, id } => self.parked.learn(question, id),
                StoreEvent::Wakes(topics) => topics.iter().for_each(|topic| match &**topic {
                    topic::ALL => self.heard.add_all(),
                    topic => self.heard.add(topic),
                }),
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
        let Loaded { began, whole, newest, events } = loaded;
        let kept = events.iter().map(|kept| (kept.stamp, &kept.event));
        let limits = self.history.limits();
        self.history.replace(History::load(limits, began, whole, newest, kept, Instant::now(), now_ms()));
        self.loaded = true;
        self.position = newest;
        for Stored { event, ticket, .. } in &events {
            if let Some(ticket) = ticket {
                answer(*ticket, &Reply::Published { id: event.id() });
            }
        }
        // Streams that began before have missed the events in between.
        if self.gate.is_none() {
            self.tell_gap();
        }
        self.open_gate();
    }

    /// Ends the wait of requests once the bus is read and its notifications received.
    pub(crate) fn open_gate(&mut self) {
        if self.loaded && self.listening {
            self.gate = None;
        }
    }

    /// Tells all streams that events are missing from here on.
    pub(crate) fn tell_gap(&mut self) {
        self.pass_nudges();
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
        self.parked.due(self.position, now)
    }

    /// When the next wait for the bus times out.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.gate.into_iter().chain(self.parked.deadline()).min()
    }

    /// Drops the deferred requests and pending answers of a closed connection.
    pub(crate) fn abandon_ticket(&mut self, ticket: Ticket) {
        self.parked.abandon(ticket);
        self.counts.resumes_given_up += self.resuming.abandon(ticket) as u64;
        if let Store::Bus(bus) = &self.store {
            bus.abandon(ticket);
        }
    }

    /// Closes the store after all accepted events are stored. Nothing can be published until it starts again.
    pub(crate) fn close_store(&mut self) {
        match mem::replace(&mut self.store, Store::Memory) {
            Store::Memory => {}
            Store::Disk(disk) => self.written = disk.close(),
            Store::Bus(bus) => self.place = bus.close(),
        }
    }
}
