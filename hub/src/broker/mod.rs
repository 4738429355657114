//! The broker: does the requests. It owns ids, store, history, limits and counters, and sends commands to the shards.

pub(crate) mod attach;
pub(crate) mod busy;
pub(crate) mod counts;
pub(crate) mod deferred;
pub(crate) mod finish;
pub(crate) mod handshake;
pub(crate) mod inquiry;
pub(crate) mod keys;
pub(crate) mod notifications;
pub(crate) mod notify;
pub(crate) mod presence;
pub(crate) mod processes;
pub(crate) mod publish;
pub(crate) mod receipt;
pub(crate) mod redirect;
pub(crate) mod refusal;
pub(crate) mod relief;
pub(crate) mod report;
pub(crate) mod requests;
pub(crate) mod resuming;
pub(crate) mod snapshot;
pub(crate) mod steering;
pub(crate) mod stream_id;
pub(crate) mod subscriptions;
pub(crate) mod turns;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::Waker;

use crate::broker::busy::BusyTopics;
use crate::broker::counts::BrokerCounts;
use crate::broker::deferred::DeferredRequests;
use crate::broker::inquiry::Inquiries;
use crate::broker::keys::Keys;
use crate::broker::notifications::Notifications;
use crate::broker::relief::Relief;
use crate::broker::resuming::Resuming;
use crate::broker::steering::Steerable;
use crate::broker::stream_id::StreamIds;
use crate::broker::turns::Turns;
use crate::config::{Config, HttpConfig};
use crate::http::listener::HttpListener;
use crate::index::interner::PatternInterner;
use crate::presence::PresenceTable;
use crate::quota::Quota;
use crate::quota::templates::TemplateSteps;
use crate::quota::topics::TopicCharges;
use crate::render::Renders;
use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::shard::report::ShardReport;
use crate::stats::ShardStats;
use crate::store::Store;
use crate::store::finished::Finished;
use crate::store::history::{History, HistoryLimits};
use crate::store::redis::{self, TailPosition};
use crate::store::report::StoreEvent;
use crate::store::retained::Retained;
use crate::store::sqlite::SqliteCounts;
use crate::udp;
use crate::udp::notify::Notify;
use crate::util::throttle::LogThrottle;
use sse_protocol::id::{Id, IdClock};

/// Approximate memory of an idle stream, in bytes.
const STREAM: u64 = 256;

/// How long requests wait for the bus after the hub's start; must be well below `sse.timeout`.
const BUS_TIMEOUT: Duration = Duration::from_millis(800);

/// All state that requests change.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: Config,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) names: Arc<PatternInterner>,
    pub(crate) counts: BrokerCounts,
    /// Topics that events and notifications came for lately.
    pub(crate) busy_topics: BusyTopics,
    /// Statistics of the ordering thread's turns, since this hub's start or upgrade.
    pub(crate) turns: Turns,
    pub(crate) started: Instant,
    /// The streams' public ids.
    pub(crate) stream_ids: StreamIds,
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
    /// Where the web server fetches redirected streams.
    pub(crate) http: HttpListener,
    /// Owners named by connections and not watched yet.
    pub(crate) new_owners: Vec<u32>,
    /// Render jobs of the streams that can be replayed.
    pub(crate) renders: Renders,
    /// Reports of the shards.
    shard_reports: Receiver<ShardReport>,
    clock: IdClock,
    /// Where events are stored before they are delivered.
    pub(crate) store: Store,
    /// Counters and read position of a closed store, for the next one.
    written: SqliteCounts,
    place: Option<TailPosition>,
    /// Reports of the store.
    reports: Receiver<StoreEvent>,
    /// Wakes the ordering thread when the store reports.
    ordering_thread: Arc<Waker>,
    /// Recent events, for clients that reconnect.
    pub(crate) history: History,
    /// Topics that are finished.
    pub(crate) finished: Finished,
    /// The shards do not know them yet.
    pub(crate) finished_untold: bool,
    /// The history has more expired events than a turn evicts.
    pub(crate) expiring: bool,
    /// Keys of publications.
    pub(crate) keys: Keys,
    /// Last values of topics.
    pub(crate) retained: Retained,
    /// Stand-in for the newest id of a bus that is not read yet.
    unread: String,
    notifications: Notifications,
    /// Notifications received over the bus.
    heard: Notifications,
    /// The bus was read for the first time, or there is none.
    loaded: bool,
    /// The bus's notifications are received.
    listening: bool,
    /// What other hubs have told of their members was read, or can't be, or there are none.
    members_read: bool,
    /// The number by which other hubs know this one's members.
    hub: u64,
    /// Deadline of the wait for the bus after the start, during which no request is done.
    gate: Option<Instant>,
    /// Position up to which the bus was read.
    position: Id,
    /// Attaches that wait for the bus.
    deferred: DeferredRequests,
    /// Requests that wait for the shards' answers.
    pub(crate) inquiries: Inquiries,
    /// Attaches that wait for a history search.
    pub(crate) resuming: Resuming,
    max_streams: usize,
    /// Sum of the shard counters of the hubs before the upgrades.
    before: ShardStats,
    /// Descriptor limit of each process.
    descriptors: usize,
    /// Streams counted by address and by user.
    pub(crate) quota: Quota,
    /// What the streams watch that may be changed.
    pub(crate) steerable: Steerable,
    /// Bytes charged for the subscriptions of all streams.
    pub(crate) topics: TopicCharges,
    /// What comparing topics with their templates takes.
    pub(crate) templates: TemplateSteps,
    /// Who is on which topic.
    pub(crate) presence: PresenceTable,
    /// Ends streams of slow clients when queues keep too many bytes.
    pub(crate) relief: Relief,
    full: LogThrottle,
    over_quota: LogThrottle,
    busy: LogThrottle,
    refused: LogThrottle,
    unpublished: LogThrottle,
}

impl Broker {
    /// Makes a broker without a store.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(crate) fn new(
        config: Config,
        shards: Vec<ShardHandle>,
        names: Arc<PatternInterner>,
        descriptors: usize,
        renders: Renders,
        shard_reports: Receiver<ShardReport>,
        ordering_thread: Arc<Waker>,
    ) -> io::Result<Self> {
        let max_streams = match config.max_streams {
            0 => processes::room(&config, &shards, descriptors),
            limit => limit,
        };
        let quota = Quota::new(config.max_streams_per_ip);
        let topics = TopicCharges::new(config.topic_bytes);
        let templates = TemplateSteps::new(config.template_steps);
        let presence = PresenceTable::new(config.presence_grace);
        let clock = IdClock::new();
        let history = History::new(HistoryLimits::of(&config), clock.last());
        let keys = Keys::new(config.key_ttl, config.key_bytes, config.history_file.is_some());
        let finished = Finished::new(&config);
        let retained = Retained::new(config.retain_bytes, config.history_file.is_some() || config.bus.is_some());
        let connections = config.http.most_connections(descriptors);
        let http = HttpConfig { connections, ..config.http.clone() };
        let http = HttpListener::new(http, &config.socket, Arc::clone(&ordering_thread));
        Ok(Self {
            config,
            shards,
            names,
            counts: BrokerCounts::default(),
            busy_topics: BusyTopics::new(),
            turns: Turns::default(),
            started: Instant::now(),
            stream_ids: StreamIds::new()?,
            upgrades: 0,
            is_asked_to_leave: false,
            connections: 0,
            udp: None,
            notify: None,
            http,
            new_owners: Vec::new(),
            renders,
            shard_reports,
            clock,
            store: Store::Memory,
            written: SqliteCounts::default(),
            place: None,
            reports: crossbeam_channel::never(),
            ordering_thread,
            history,
            finished,
            finished_untold: false,
            expiring: false,
            keys,
            retained,
            unread: String::new(),
            notifications: Notifications::default(),
            heard: Notifications::default(),
            loaded: true,
            listening: true,
            members_read: true,
            hub: redis::identity(),
            gate: None,
            position: Id::default(),
            deferred: DeferredRequests::default(),
            inquiries: Inquiries::default(),
            resuming: Resuming::default(),
            max_streams,
            before: ShardStats::default(),
            descriptors,
            quota,
            topics,
            templates,
            presence,
            steerable: Steerable::default(),
            relief: Relief::default(),
            full: LogThrottle::default(),
            over_quota: LogThrottle::default(),
            busy: LogThrottle::default(),
            refused: LogThrottle::default(),
            unpublished: LogThrottle::default(),
        })
    }

    /// Starts the store, and loads the history from it.
    pub(crate) fn start_store(&mut self) -> io::Result<()> {
        let (sender, reports) = crossbeam_channel::unbounded();
        let presence = self.presence_start();
        let started = Store::start(&self.config, presence, &mut self.clock, sender, Arc::clone(&self.ordering_thread))?;
        (self.store, self.history) = (started.store, started.history);
        self.keys.restore(started.keys);
        started.retained.into_iter().for_each(|value| self.retained.restore(value));
        self.restore_finished(started.finished, []);
        self.reports = reports;
        if matches!(self.store, Store::Bus(_)) {
            (self.loaded, self.listening, self.members_read) = (false, false, false);
            self.gate = Some(Instant::now() + BUS_TIMEOUT);
            // An unreached bus has no known id. This stand-in says so; only this hub knows it.
            self.unread = format!("none-{}", self.clock.last());
        }
        Ok(())
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
        self.history.bytes()
            + self.finished.bytes()
            + self.retained.bytes()
            + self.renders.bytes()
            + usize::try_from(queued).unwrap_or(usize::MAX)
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
    pub(crate) fn shard(&mut self, stream: u64) -> &mut ShardHandle {
        let count = self.shards.len() as u64;
        &mut self.shards[(stream % count) as usize]
    }
}
