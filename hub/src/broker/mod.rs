//! The broker: does the requests. It owns ids, store, history, limits and counters, and sends commands to the shards.

pub(crate) mod attach;
pub(crate) mod deferred;
pub(crate) mod handshake;
pub(crate) mod notifications;
pub(crate) mod notify;
pub(crate) mod processes;
pub(crate) mod publish;
pub(crate) mod relief;
pub(crate) mod resuming;
pub(crate) mod snapshot;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::Waker;
use serde::{Deserialize, Serialize};

use crate::broker::attach::Attached;
use crate::broker::deferred::{DeferredRequest, DeferredRequests};
use crate::broker::notifications::Notifications;
use crate::broker::relief::Relief;
use crate::broker::resuming::Resuming;
use crate::config::Config;
use crate::quota::Quota;
use crate::quota::topics::Topics;
use crate::render::{Known, Output, Renders, Replayed};
use crate::server::connection::Session;
use crate::server::decoder::Incoming;
use crate::server::rights;
use crate::server::turns::Turns;
use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::shard::interner::PatternInterner;
use crate::stats::ShardStats;
use crate::stats::openmetrics;
use crate::stats::report;
use crate::store::history::resume::Search;
use crate::store::history::{History, Limits, Missed};
use crate::store::redis::Place;
use crate::store::sqlite::Written;
use crate::store::{Store, StoreEvent};
use crate::udp;
use crate::udp::notify::Notify;
use crate::util::throttle::LogThrottle;
use sse_protocol::event::NewEvent;
use sse_protocol::id::{Id, IdClock};
use sse_protocol::wire::{self, ErrorCode, Reply, Request};

/// Approximate memory of an idle stream, in bytes.
const STREAM: u64 = 256;

/// How long requests wait for the bus after the hub's start; must be well below `sse.timeout`.
const BUS_PATIENCE: Duration = Duration::from_millis(800);

/// All state that requests change.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: Config,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) names: Arc<PatternInterner>,
    pub(crate) counts: Counts,
    /// Statistics of the ordering thread's turns, since this hub's start or upgrade.
    pub(crate) turns: Turns,
    pub(crate) started: Instant,
    /// Number of upgrades since the first hub.
    pub(crate) upgrades: u64,
    /// A hub that can't upgrade this one waits for it to end.
    pub(crate) is_asked_to_leave: bool,
    /// Number of connected PHP processes.
    pub(crate) connections: usize,
    /// UDP socket for notifications, if any.
    pub(crate) udp: Option<udp::Receiver>,
    /// Unix datagram socket for notifications, if it could be bound.
    pub(crate) notify: Option<Notify>,
    /// Owners named by connections and not watched yet.
    pub(crate) new_owners: Vec<u32>,
    /// Render jobs of the streams that can be replayed.
    pub(crate) renders: Renders,
    /// Ids of ended streams, of those that the shards report.
    ends: Receiver<u64>,
    clock: IdClock,
    /// Where events are stored before they are delivered.
    pub(crate) store: Store,
    /// Counters and read position of a closed store, for the next one.
    written: Written,
    place: Option<Place>,
    /// Reports of the store.
    news: Receiver<StoreEvent>,
    /// Wakes the ordering thread when the store reports.
    router: Arc<Waker>,
    /// Recent events, for clients that reconnect.
    pub(crate) history: History,
    /// The history has more expired events than a turn evicts.
    pub(crate) expiring: bool,
    /// Stand-in for the newest id of a bus that is not read yet.
    unread: String,
    notifications: Notifications,
    /// Notifications received over the bus.
    heard: Notifications,
    /// The bus was read for the first time, or there is none.
    loaded: bool,
    /// The bus's notifications are received.
    listening: bool,
    /// Deadline of the wait for the bus after the start, during which no request is done.
    gate: Option<Instant>,
    /// Position up to which the bus was read.
    position: Id,
    /// Attaches that wait for the bus.
    parked: DeferredRequests,
    /// Attaches that wait for a history search.
    pub(crate) resuming: Resuming,
    max_streams: usize,
    /// Sum of the shard counters of the hubs before the upgrades.
    before: ShardStats,
    /// Descriptor limit of each process.
    descriptors: usize,
    /// Streams counted by address and by user.
    pub(crate) quota: Quota,
    /// Bytes charged for the subscriptions of all streams.
    pub(crate) topics: Topics,
    /// Ends streams of slow clients when queues keep too many bytes.
    pub(crate) relief: Relief,
    full: LogThrottle,
    too_many: LogThrottle,
    busy: LogThrottle,
    refused: LogThrottle,
    unpublished: LogThrottle,
}

/// Counters of the ordering thread.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Streams attached.
    pub(crate) attached: u64,
    /// Id of the newest stream.
    pub(crate) last_stream: u64,
    /// Stream processes that were killed or failed.
    pub(crate) processes_lost: u64,
    /// Clients whose workers gave up before the history search was complete.
    pub(crate) resumes_given_up: u64,
    /// Events accepted, and bytes of their data.
    pub(crate) published: u64,
    pub(crate) published_bytes: u64,
    /// Events refused.
    pub(crate) publish_refused: u64,
    /// Notifications by connections, and those refused because of an invalid topic.
    pub(crate) triggers: u64,
    pub(crate) triggers_refused: u64,
    /// Streams refused because of `sse.max_streams` or, without it, the descriptor limit.
    pub(crate) refused_full: u64,
    /// Streams refused because of `sse.max_streams_per_ip`.
    pub(crate) refused_per_ip: u64,
    /// Streams refused because of their user's limit.
    pub(crate) refused_per_user: u64,
    /// Streams refused because of `sse.topic_bytes`.
    pub(crate) refused_topic_bytes: u64,
    /// Streams or connections refused because no descriptor was free.
    pub(crate) refused_descriptors: u64,
    /// Connections refused, or requests denied, because of their user.
    pub(crate) refused_peers: u64,
    /// Connections refused because of their protocol or a malformed message.
    pub(crate) refused_protocol: u64,
}

impl Broker {
    /// Makes a broker without a store.
    pub(crate) fn new(
        config: Config,
        shards: Vec<ShardHandle>,
        names: Arc<PatternInterner>,
        descriptors: usize,
        renders: Renders,
        ends: Receiver<u64>,
        router: Arc<Waker>,
    ) -> Self {
        let max_streams = match config.max_streams {
            0 => processes::room(&shards, descriptors),
            limit => limit,
        };
        let quota = Quota::new(config.max_streams_per_ip);
        let topics = Topics::new(config.topic_bytes);
        let clock = IdClock::new();
        let history = History::new(Limits::of(&config), clock.last());
        Self {
            config,
            shards,
            names,
            counts: Counts::default(),
            turns: Turns::default(),
            started: Instant::now(),
            upgrades: 0,
            is_asked_to_leave: false,
            connections: 0,
            udp: None,
            notify: None,
            new_owners: Vec::new(),
            renders,
            ends,
            clock,
            store: Store::Memory,
            written: Written::default(),
            place: None,
            news: crossbeam_channel::never(),
            router,
            history,
            expiring: false,
            unread: String::new(),
            notifications: Notifications::default(),
            heard: Notifications::default(),
            loaded: true,
            listening: true,
            gate: None,
            position: Id::default(),
            parked: DeferredRequests::default(),
            resuming: Resuming::default(),
            max_streams,
            before: ShardStats::default(),
            descriptors,
            quota,
            topics,
            relief: Relief::default(),
            full: LogThrottle::default(),
            too_many: LogThrottle::default(),
            busy: LogThrottle::default(),
            refused: LogThrottle::default(),
            unpublished: LogThrottle::default(),
        }
    }

    /// Starts the store, and loads the history from it.
    pub(crate) fn start_store(&mut self) -> io::Result<()> {
        let (sender, news) = crossbeam_channel::unbounded();
        (self.store, self.history) = Store::start(&self.config, &mut self.clock, sender, Arc::clone(&self.router))?;
        self.news = news;
        if matches!(self.store, Store::Bus(_)) {
            (self.loaded, self.listening, self.gate) = (false, false, Some(Instant::now() + BUS_PATIENCE));
            // An unreached bus has no known id. This stand-in says so; only this hub knows it.
            self.unread = format!("none-{}", self.clock.last());
        }
        Ok(())
    }

    /// Does a request, or defers it until the bus is read or its history search complete.
    pub(crate) fn handle(&mut self, session: &mut Session, incoming: Incoming<'_>) {
        match self.question(session, &incoming.request) {
            Some(question) => self.parked.add(DeferredRequest::new(session.wait(), incoming), question),
            None => match self.search(session, &incoming.request) {
                Some(search) => {
                    session.resuming = true;
                    self.resuming.add(DeferredRequest::new(session.wait(), incoming), search);
                }
                None => self.act(session, incoming, None),
            },
        }
    }

    /// Does a request that has waited for the bus, or starts its history search; returns true if it is done.
    pub(crate) fn release(&mut self, session: &mut Session, mut parked: DeferredRequest) -> bool {
        if let Some(search) = parked.request().ok().and_then(|request| self.search(session, &request)) {
            session.resuming = true;
            self.resuming.add(parked, search);
            return false;
        }
        self.act_parked(session, &mut parked, None);
        true
    }

    /// Does a deferred request, whose ticket must be the next to answer.
    pub(crate) fn act_parked(&mut self, session: &mut Session, parked: &mut DeferredRequest, missed: Option<Missed>) {
        let ticket = parked.ticket;
        match parked.incoming() {
            Ok(incoming) => self.act(session, incoming, missed),
            Err(error) => self.malformed(session, &error),
        }
        session.answered(ticket);
    }

    /// The history search that a request needs first, if any: for the events that its client has missed.
    fn search(&self, session: &Session, request: &Request<'_>) -> Option<Search> {
        let Request::Attach(wire::Attach { patterns, last_event_id: Some(id), address, user, replay, .. }) = request
        else {
            return None;
        };
        let rendered = replay.as_ref().is_some_and(|replay| replay.render);
        // One that is going to be refused is so at once, whatever its reader has missed.
        let full =
            self.streams() >= self.max_streams as u64 || self.quota.admit(*address, *user, session.member()).is_err();
        if !session.greeted || rendered || self.is_unread(id) || full {
            return None;
        }
        self.checked(patterns.clone()).ok().map(|patterns| Search::new(&patterns, id))
    }

    /// Whether this id is the stand-in for the newest id of the bus.
    fn is_unread(&self, id: &str) -> bool {
        !self.loaded && id == self.unread
    }

    /// Asks the bus for its newest id if the request must wait, because this hub may not have read its client's event yet.
    fn question(&self, session: &Session, request: &Request<'_>) -> Option<u64> {
        match (&self.store, request) {
            (Store::Bus(bus), Request::Attach(wire::Attach { last_event_id: Some(id), replay, .. }))
                if session.greeted
                    && self.loaded
                    && !replay.as_ref().is_some_and(|replay| replay.render)
                    && self.history.may_come(id) =>
            {
                bus.ask()
            }
            _ => None,
        }
    }

    /// Does a request now; `missed` is the result of its history search.
    pub(crate) fn act(&mut self, session: &mut Session, incoming: Incoming<'_>, missed: Option<Missed>) {
        let Incoming { request, descriptor, truncated } = incoming;
        if !session.greeted {
            self.greet(session, &request);
            return;
        }
        if let Err(what) = rights::allowed(session.role, &request) {
            self.deny(session, &request, what);
            return;
        }
        match request {
            Request::Hello { .. } => session.error(ErrorCode::Invalid, "this connection was greeted already"),
            Request::Attach(wanted) => match self.attach(session.member(), wanted, descriptor, truncated, missed) {
                Ok(Attached { stream, rendered, opening }) => {
                    session.held.push(stream);
                    session.reply(&Reply::Attached { stream, rendered, opening: &opening });
                }
                Err((code, message)) => session.error(code, &message),
            },
            Request::Commit { stream, framing } => {
                if taken(&mut session.held, stream) {
                    self.pass_nudges();
                    self.shard(stream).commit(stream, framing);
                    self.renders.open(stream);
                }
            }
            Request::Abort { stream } => {
                if taken(&mut session.held, stream) {
                    self.abandon(&[stream]);
                }
            }
            Request::Publish { topics, name, id, retry, data, answer } => {
                self.publish(session, &NewEvent { topics, name, id, retry, data }, answer);
            }
            Request::Trigger { topics } => self.trigger(&topics),
            Request::Replayed { token } => match self.renders.replayed(token, session.connection()) {
                Known::Run(Replayed { stream, reason, remote, last_event_id }) => {
                    session.reply(&Reply::Replayed { stream, reason, remote, last_event_id });
                }
                Known::Over => session.error(ErrorCode::Over, OVER),
                Known::No => session.error(ErrorCode::Unknown, OVER),
            },
            Request::Render { token, patterns } => match self.checked(patterns) {
                Ok(patterns) => {
                    self.pass_nudges();
                    match self.renders.render(token, session.connection(), &patterns) {
                        Some(events) => session.reply(&Reply::Events { events }),
                        None => session.error(ErrorCode::Over, OVER),
                    }
                }
                Err((code, message)) => session.error(code, &message),
            },
            Request::Rendered { whose, render, share, patterns, last_id, frames, answer } => {
                let output = Output { render, share, patterns, last_id, frames };
                match self.rendered(session, whose, output) {
                    Ok(()) if answer => session.reply(&Reply::Done),
                    Err((code, message)) if answer => session.error(code, &message),
                    // A process that doesn't wait for the answer could not react to an error.
                    Ok(()) | Err(_) => {}
                }
            }
            Request::NotRendered { token, reason } => {
                self.renders.not_rendered(token, session.connection(), reason);
                session.reply(&Reply::Done);
            }
            Request::Cursor => {
                session.reply(&Reply::Cursor { id: &self.newest() });
            }
            Request::Stats => session.reply(&Reply::Stats { json: &report::report(self).to_string() }),
            Request::Metrics => session.reply(&Reply::Metrics { text: &openmetrics::text(report::report(self)) }),
        }
    }

    /// The hub's own id of the newest event, even where the publisher chose another: these ids are ordered, and stay known when
    /// the event is evicted.
    fn newest(&self) -> String {
        if self.loaded { self.history.newest().to_string() } else { self.unread.clone() }
    }

    /// Aborts held streams, because their worker took them back or its connection closed.
    pub(crate) fn abandon(&mut self, held: &[u64]) {
        for &stream in held {
            // Release the quota now: the worker may attach the same client again at once.
            self.uncount(stream);
            self.shard(stream).send(Command::Abort { stream });
        }
    }

    /// Number of open streams, held ones included.
    pub(crate) fn streams(&self) -> u64 {
        self.counts.attached.saturating_sub(self.sum(ShardStats::ended_all))
    }

    /// Approximate bytes kept in history, render jobs and queues.
    pub(crate) fn kept(&self) -> usize {
        let queued = self.sum(|stats| stats.queued_bytes.get()) + self.streams() * STREAM;
        self.history.bytes() + self.renders.bytes() + usize::try_from(queued).unwrap_or(usize::MAX)
    }

    /// Whether requests must wait for the bus, the store or a shard.
    pub(crate) fn is_behind(&self) -> bool {
        self.gate.is_some() || self.store.is_behind() || self.shards.iter().any(ShardHandle::is_behind)
    }

    /// Ends a turn and counts its steps.
    pub(crate) fn end_turn(&mut self) {
        self.turns.step(self.renders.take_told() + self.history.take_expired());
        self.turns.end();
    }

    /// Wakes the shards that have new commands.
    pub(crate) fn wake_shards(&mut self) {
        self.shards.iter_mut().for_each(ShardHandle::wake);
    }

    /// Sum of a counter over all shards, and over the hubs before the upgrades.
    pub(crate) fn sum(&self, number: impl Fn(&ShardStats) -> u64) -> u64 {
        number(&self.before) + self.shards.iter().map(|shard| number(shard.stats())).sum::<u64>()
    }

    /// The shard of a stream. The id determines it, so no table is needed.
    fn shard(&mut self, stream: u64) -> &mut ShardHandle {
        let count = self.shards.len() as u64;
        &mut self.shards[(stream % count) as usize]
    }
}

/// Error for an unknown token, or a stream that the connection does not hold.
const OVER: &str = "no such render, or none any more: its stream has ended or its time is over";

/// Removes a stream from those a connection holds; false if it wasn't there.
fn taken(held: &mut Vec<u64>, stream: u64) -> bool {
    let place = held.iter().position(|id| *id == stream);
    place.map(|place| held.swap_remove(place)).is_some()
}
