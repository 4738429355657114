//! Where requests are done: ids, limits, counters, and the shards that the work is passed to.

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

/// What an idle stream takes, in bytes, about.
const STREAM: u64 = 256;

/// How long requests wait for the bus when the hub has just started, which must be well below `sse.timeout`.
const BUS_PATIENCE: Duration = Duration::from_millis(800);

/// Everything that requests change.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: Config,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) names: Arc<PatternInterner>,
    pub(crate) counts: Counts,
    /// Of this hub's router only.
    pub(crate) turns: Turns,
    pub(crate) started: Instant,
    /// Times that another hub has taken over.
    pub(crate) upgrades: u64,
    /// Another hub is to be started afresh once this one has ended.
    pub(crate) is_asked_to_leave: bool,
    /// Connected PHP processes.
    pub(crate) connections: usize,
    /// The UDP socket, where there is one.
    pub(crate) udp: Option<udp::Receiver>,
    /// The socket for notifications beside the hub's, where there is one.
    pub(crate) notify: Option<Notify>,
    /// Owners that connections named and that are not watched yet.
    pub(crate) new_owners: Vec<u32>,
    /// Streams whose scripts can be run again.
    pub(crate) renders: Renders,
    /// Streams that the shards have ended, of those that they are to report.
    ends: Receiver<u64>,
    clock: IdClock,
    /// Where events are kept before they are delivered.
    pub(crate) store: Store,
    /// What a store that was closed has written, and how far it has read.
    written: Written,
    place: Option<Place>,
    /// What it tells.
    news: Receiver<StoreEvent>,
    /// Wakes the router when there is news.
    router: Arc<Waker>,
    /// Events kept for readers that were away.
    pub(crate) history: History,
    /// More of them have become too old than a turn forgets.
    pub(crate) expiring: bool,
    /// Stands for the newest id of a bus that is not read yet.
    unread: String,
    notifications: Notifications,
    /// Those that have come over the bus.
    heard: Notifications,
    /// The bus has been read for the first time.
    loaded: bool,
    /// Its wakes are heard.
    listening: bool,
    /// Requests wait until then for the bus to be there.
    gate: Option<Instant>,
    /// How far the bus was read.
    position: Id,
    /// Attaches that wait for it.
    parked: DeferredRequests,
    /// Attaches that wait until it is found what their readers have missed.
    pub(crate) resuming: Resuming,
    max_streams: usize,
    /// What shards have counted that another hub had.
    before: ShardStats,
    /// The limit of descriptors of one process.
    descriptors: usize,
    /// Whose streams are counted.
    pub(crate) quota: Quota,
    /// What all streams watch is charged there.
    pub(crate) topics: Topics,
    /// What is done when clients that don't read keep too much.
    pub(crate) relief: Relief,
    full: LogThrottle,
    too_many: LogThrottle,
    busy: LogThrottle,
    refused: LogThrottle,
    unpublished: LogThrottle,
}

/// What the router counts.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Streams that were attached.
    pub(crate) attached: u64,
    /// The last one's id.
    pub(crate) last_stream: u64,
    /// Processes with streams that were killed, or have failed.
    pub(crate) processes_lost: u64,
    /// Readers whose workers had gone before it was found what they had missed.
    pub(crate) resumes_given_up: u64,
    /// Events taken, and bytes of their data.
    pub(crate) published: u64,
    pub(crate) published_bytes: u64,
    /// Events not taken.
    pub(crate) publish_refused: u64,
    /// Topics that connections said have changed, and what could be no topic.
    pub(crate) triggers: u64,
    pub(crate) triggers_refused: u64,
    /// Streams refused because of sse.max_streams or what stands in its place.
    pub(crate) refused_full: u64,
    /// Streams refused because their address has as many as sse.max_streams_per_ip allows.
    pub(crate) refused_per_ip: u64,
    /// Streams refused because their user has as many as allowed.
    pub(crate) refused_per_user: u64,
    /// Streams refused because of sse.topic_bytes.
    pub(crate) refused_topic_bytes: u64,
    /// Streams or connections refused because there was no descriptor.
    pub(crate) refused_descriptors: u64,
    /// Connections refused because of who they are.
    pub(crate) refused_peers: u64,
    /// Connections refused because of what they said.
    pub(crate) refused_protocol: u64,
}

impl Broker {
    /// A broker in front of these shards.
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

    /// Starts what events are kept by, with what it has kept already.
    pub(crate) fn start_store(&mut self) -> io::Result<()> {
        let (sender, news) = crossbeam_channel::unbounded();
        (self.store, self.history) = Store::start(&self.config, &mut self.clock, sender, Arc::clone(&self.router))?;
        self.news = news;
        if matches!(self.store, Store::Bus(_)) {
            (self.loaded, self.listening, self.gate) = (false, false, Some(Instant::now() + BUS_PATIENCE));
            // Of a bus that was never reached no id is known. This one says so, and is known to this hub alone.
            self.unread = format!("none-{}", self.clock.last());
        }
        Ok(())
    }

    /// Does a request.
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

    /// Does a request that has waited long enough, or begins to; true if it is done.
    pub(crate) fn release(&mut self, session: &mut Session, mut parked: DeferredRequest) -> bool {
        if let Some(search) = parked.request().ok().and_then(|request| self.search(session, &request)) {
            session.resuming = true;
            self.resuming.add(parked, search);
            return false;
        }
        self.act_parked(session, &mut parked, None);
        true
    }

    /// Does a request that was kept, and is the next one to be answered.
    pub(crate) fn act_parked(&mut self, session: &mut Session, parked: &mut DeferredRequest, missed: Option<Missed>) {
        let ticket = parked.ticket;
        match parked.incoming() {
            Ok(incoming) => self.act(session, incoming, missed),
            Err(error) => self.malformed(session, &error),
        }
        session.answered(ticket);
    }

    /// What is to be found before a request can be done: what its reader has missed.
    fn search(&self, session: &Session, request: &Request<'_>) -> Option<Search> {
        let Request::Attach(wire::Attach { patterns, last_event_id: Some(id), address, user, replay, .. }) = request
        else {
            return None;
        };
        let rendered = replay.as_ref().is_some_and(|replay| replay.render);
        // One that is going to be refused is so at once, whatever its reader has missed.
        let full = self.streams() >= self.max_streams as u64 || self.quota.admit(*address, *user).is_err();
        if !session.greeted || rendered || self.is_unread(id) || full {
            return None;
        }
        self.checked(patterns.clone()).ok().map(|patterns| Search::new(&patterns, id))
    }

    /// Whether this stands for the newest id of a bus that is not read yet.
    fn is_unread(&self, id: &str) -> bool {
        !self.loaded && id == self.unread
    }

    /// What a request has to wait for, if it has to: its reader may have an event that this hub has not read yet.
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

    /// Does a request now; `missed` is what its reader has missed.
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
            Request::Attach(wanted) => match self.attach(wanted, descriptor, truncated, missed) {
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
                    // A process that doesn't wait for the answer could do nothing about it.
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

    /// The hub's own id of the newest event, whatever the publisher's is: it has an order, and is not forgotten with its
    /// event.
    fn newest(&self) -> String {
        if self.loaded { self.history.newest().to_string() } else { self.unread.clone() }
    }

    /// A connection takes back connections that it still has, or has gone with them: the hub lets them go as well.
    pub(crate) fn abandon(&mut self, held: &[u64]) {
        for &stream in held {
            // A worker that takes one back may offer it once more at once.
            self.uncount(stream);
            self.shard(stream).send(Command::Abort { stream });
        }
    }

    /// Streams that the hub holds now, begun or not.
    pub(crate) fn streams(&self) -> u64 {
        self.counts.attached.saturating_sub(self.sum(ShardStats::ended_all))
    }

    /// About how many bytes are kept for readers, now or later.
    pub(crate) fn kept(&self) -> usize {
        let queued = self.sum(|stats| stats.queued_bytes.get()) + self.streams() * STREAM;
        self.history.bytes() + self.renders.bytes() + usize::try_from(queued).unwrap_or(usize::MAX)
    }

    /// Whether requests should wait because a shard has more to do than it should.
    pub(crate) fn is_behind(&self) -> bool {
        self.gate.is_some() || self.store.is_behind() || self.shards.iter().any(ShardHandle::is_behind)
    }

    /// A turn has ended.
    pub(crate) fn end_turn(&mut self) {
        self.turns.step(self.renders.take_told() + self.history.take_expired());
        self.turns.end();
    }

    /// Wakes the shards that got something.
    pub(crate) fn wake_shards(&mut self) {
        self.shards.iter_mut().for_each(ShardHandle::wake);
    }

    /// A number over all shards.
    pub(crate) fn sum(&self, number: impl Fn(&ShardStats) -> u64) -> u64 {
        number(&self.before) + self.shards.iter().map(|shard| number(shard.stats())).sum::<u64>()
    }

    /// The shard of a stream: its id tells, so that there is no table.
    fn shard(&mut self, stream: u64) -> &mut ShardHandle {
        let count = self.shards.len() as u64;
        &mut self.shards[(stream % count) as usize]
    }
}

/// Of a token, or of a stream that is not held.
const OVER: &str = "no such render, or none any more: its stream has ended or its time is over";

/// Takes a stream out of those that a connection holds; false if it isn't one of them.
fn taken(held: &mut Vec<u64>, stream: u64) -> bool {
    let place = held.iter().position(|id| *id == stream);
    place.map(|place| held.swap_remove(place)).is_some()
}
