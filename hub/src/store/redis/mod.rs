//! The bus: a Redis stream through which several hubs, on several machines, deliver the same events in the same order.
//!
//! ```text
//! ordering thread ──outbox──▶ publisher ──XADD, PUBLISH──▶ Redis ──XREAD──────▶ tail ────────reports──▶ ordering thread
//!                                                            └─────SUBSCRIBE──▶ notifications ──reports─────┘
//! ```
//!
//! Every hub, also the one that published an event, delivers it when its tail thread has read it; the publisher gets its answer
//! then. So all hubs deliver exactly what Redis has, in its order and with its ids. Who is present at which hub goes another way:
//! [`members`].

pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod control;
pub(crate) mod control_queue;
pub(crate) mod entry;
pub(crate) mod heard;
pub(crate) mod hub_name;
pub(crate) mod last_values;
pub(crate) mod lead;
pub(crate) mod life;
pub(crate) mod members;
pub(crate) mod nodes;
pub(crate) mod notifications;
pub(crate) mod outbox;
pub(crate) mod pause;
pub(crate) mod publisher;
pub(crate) mod sentinel;
pub(crate) mod state;
pub(crate) mod tail;
pub(crate) mod tls;
pub(crate) mod work;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use mio::Waker;
use tracing::warn;

use crate::config::bus_address::BusAddress;
use crate::config::bus_address::servers::BusServers;
use crate::config::{BusConfig, Config};
use crate::presence::sharing::OwnChange;
use crate::store::history::HistoryLimits;
use crate::store::redis::connection::Stop;
use crate::store::redis::entry::InvalidEntry;
use crate::store::redis::heard::HeardTopics;
use crate::store::redis::lead::Lead;
use crate::store::redis::members::outbox::MemberOutbox;
use crate::store::redis::members::state::MemberStats;
use crate::store::redis::members::{KnownMembers, MemberContext, PresenceStart};
use crate::store::redis::nodes::Nodes;
use crate::store::redis::outbox::{NotQueued, Outbox};
use crate::store::redis::state::BusStats;
pub(crate) use crate::store::redis::tail::TailPosition;
use crate::store::redis::work::FailedPublishers;
use crate::store::report::{StoreEvent, Ticket};
use crate::util::random;
use crate::util::throttle::LogThrottle;
use sse_protocol::event::NewEvent;
use sse_protocol::id::{Id, now_ms};
use sse_protocol::wire::Whom;

/// How long a closing hub waits for pending events.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long a closing hub waits for the threads.
const JOINING: Duration = Duration::from_secs(1);

/// The error for publishers whose events are missing in the stream.
const LOST: &str =
    "the connection to Redis broke, or Redis has lost its data; it is not known whether the event was taken";

/// The ordering thread's handle of the bus.
#[derive(Debug)]
pub(crate) struct Bus {
    context: Arc<RedisContext>,
    /// Disconnects when all threads have ended.
    threads: Receiver<()>,
}

/// State that the threads share.
#[derive(Debug)]
struct RedisContext {
    address: Arc<BusAddress>,
    nodes: Nodes,
    stop: Arc<Stop>,
    outbox: Outbox,
    lead: Lead,
    state: BusStats,
    reports: Sender<StoreEvent>,
    ordering_thread: Arc<Waker>,
    /// Limits for entries of other programs.
    limits: entry::EntryLimits,
    /// Limits for the keys of publications.
    keys: KeyLimits,
    /// Maximum bytes of last values to load.
    retain_bytes: usize,
    /// How much of the stream the first read loads.
    history: HistoryLimits,
    /// The position in the stream; `None` before the first read.
    place: Mutex<Option<TailPosition>>,
    members: MemberContext,
    heard: HeardTopics,
    /// What other hubs have told before, until the reader takes it.
    known: Mutex<KnownMembers>,
    refused: Mutex<LogThrottle>,
    complaints: Mutex<LogThrottle>,
}

/// How long, and how many, keys of publications Redis keeps.
#[derive(Debug)]
struct KeyLimits {
    ttl: Duration,
    count: usize,
}

/// Approximate bytes of a key in Redis, with its id and its time.
const KEY: usize = 256;

impl Bus {
    /// Starts the threads; they inherit the caller's blocked signals. Reading continues at `place`, if given, and presence at
    /// `presence`.
    pub(crate) fn start(
        settings: &BusConfig,
        config: &Config,
        history: HistoryLimits,
        place: Option<TailPosition>,
        presence: PresenceStart,
        reports: Sender<StoreEvent>,
        ordering_thread: Arc<Waker>,
    ) -> io::Result<Self> {
        let (address, stop) = (Arc::new(settings.address.clone()), Arc::new(Stop::new()?));
        let context = Arc::new(RedisContext {
            nodes: Nodes::new(Arc::clone(&address), Arc::clone(&stop)),
            address,
            stop,
            outbox: Outbox::new(identity(), settings.queue, settings.outage_timeout),
            lead: Lead::default(),
            state: BusStats::new(place.as_ref().map(|place| place.counts).unwrap_or_default()),
            reports,
            ordering_thread,
            limits: entry::EntryLimits { event_size: config.max_event_size, topics: config.max_topics },
            keys: KeyLimits { ttl: config.key_ttl, count: (config.key_bytes / KEY).max(1) },
            retain_bytes: config.retain_bytes,
            history,
            place: Mutex::new(place),
            members: MemberContext {
                hub: presence.hub,
                outbox: MemberOutbox::default(),
                stats: MemberStats::default(),
                lead: Lead::default(),
                ttl: settings.presence_ttl,
                grace: config.presence_grace,
                limit: settings.presence_bytes,
            },
            heard: HeardTopics::default(),
            known: Mutex::new(presence.known),
            refused: Mutex::default(),
            complaints: Mutex::default(),
        });
        let (alive, threads) = crossbeam_channel::bounded(0);
        let start = |name: &str, job: fn(&RedisContext)| {
            let (context, alive) = (Arc::clone(&context), alive.clone());
            let thread = thread::Builder::new().name(name.into()).spawn(move || {
                job(&context);
                drop(alive);
            });
            thread.map(drop)
        };
        start("sse-bus-tail", tail::run)?;
        start("sse-bus-publish", publisher::run)?;
        start("sse-bus-wakes", crate::store::redis::notifications::run)?;
        start("sse-bus-tell", members::writer::run)?;
        start("sse-bus-hear", members::reader::run)?;
        if matches!(context.address.servers, BusServers::Sentinel(_)) {
            start("sse-bus-master", sentinel::watch)?;
        }
        Ok(Self { context, threads })
    }

    /// Queues a checked event. The hub delivers it when the tail has read it back.
    ///
    /// # Errors
    /// The cause and the remedy, if the event can't be queued.
    pub(crate) fn publish(&self, new: &NewEvent<'_>, ticket: Option<Ticket>) -> Result<(), NotQueued> {
        self.context.outbox.publish(new, ticket)
    }

    /// Withdraws the events of a closed connection that are not sent yet.
    pub(crate) fn abandon(&self, ticket: Ticket) {
        self.context.outbox.abandon(ticket);
    }

    /// Sends the other hubs a notification of a topic, or of all topics.
    pub(crate) fn wake(&self, topic: &str) {
        self.context.outbox.wake(topic);
    }

    /// Removes the last values of topics that were dropped, if there are any.
    pub(crate) fn forget_retained(&self, topics: Vec<(Box<str>, Id)>) {
        if !topics.is_empty() {
            self.context.outbox.forget(topics);
        }
    }

    /// Has the other hubs end streams.
    ///
    /// # Errors
    /// Why they can't be told now.
    pub(crate) fn disconnect(&self, whom: Whom<'_>, retry: Option<u32>) -> Result<(), NotQueued> {
        let outbox = &self.context.outbox;
        outbox.control(control::disconnect(outbox.hub(), whom, retry))
    }

    /// This hub's number on the bus.
    pub(crate) fn hub(&self) -> u64 {
        self.context.outbox.hub()
    }

    /// Asks all hubs how many of their streams watch a topic; returns this one's number.
    ///
    /// # Errors
    /// Why they can't be asked now.
    pub(crate) fn ask_watchers(&self, question: u64, topic: &str) -> Result<u64, NotQueued> {
        let hub = self.hub();
        self.context.outbox.inquire(question, control::watchers(hub, question, topic))?;
        Ok(hub)
    }

    /// Answers another hub's question for watchers. It waits no longer than a moment, so an answer that can't be sent is none.
    pub(crate) fn tell_watchers(&self, hub: u64, question: u64, streams: u64) {
        let _ = self.context.outbox.answer(control::watched(self.hub(), hub, question, streams));
    }

    /// Asks for the newest id. [`StoreEvent::Newest`] answers with this number or a larger one. `None`: Redis is unreachable.
    pub(crate) fn ask(&self) -> Option<u64> {
        self.context.outbox.ask()
    }

    /// Records that `bytes` of [`StoreEvent::Read`] were delivered.
    pub(crate) fn digested(&self, bytes: usize) {
        self.context.lead.digested(bytes);
    }

    /// How many more changes of members may wait for this connection; `None`: it is gone.
    pub(crate) fn members_room(&self, connection: u64) -> Option<usize> {
        self.context.members.outbox.room(connection)
    }

    /// Queues changes of members for this connection.
    pub(crate) fn tell_members(&self, connection: u64, changes: Vec<OwnChange>) {
        self.context.members.outbox.push(connection, changes);
    }

    /// Records that `bytes` of [`StoreEvent::Members`] were learned.
    pub(crate) fn members_digested(&self, bytes: usize) {
        self.context.members.lead.digested(bytes);
    }

    /// Takes out what other hubs have notified since the last [`StoreEvent::Wakes`].
    pub(crate) fn take_heard(&self) -> BTreeSet<Box<str>> {
        self.context.heard.take()
    }

    /// Whether all events and notifications are sent, and all events read back.
    pub(crate) fn is_idle(&self) -> bool {
        self.context.outbox.is_idle()
    }

    /// Waits up to [`FAREWELL`] for pending events, then ends the threads. All reports are in the channel when this returns.
    /// `for_ever`: no other bus goes on in its place, and its users are gone.
    pub(crate) fn close(self, for_ever: bool) -> Option<TailPosition> {
        let FailedPublishers { unsent, unknown } = self.context.outbox.close(FAREWELL);
        self.context.members.outbox.close(for_ever, FAREWELL);
        self.context.lead.stop();
        self.context.members.lead.stop();
        self.context.fail(unsent, "the hub ends, and Redis could not be reached before that; the event was not sent");
        self.context.fail(unknown, "the hub ends; it is not known whether Redis has taken the event");
        self.context.stop.stop();
        // A thread that looks up a name can't be interrupted: the process ends without it.
        let deadline = Instant::now() + JOINING;
        if let Err(crossbeam_channel::RecvTimeoutError::Timeout) = self.threads.recv_deadline(deadline) {
            warn!("a thread of the bus is still busy while the hub ends");
        }
        let mut place = self.context.place().take()?;
        place.counts = self.context.state.counts();
        Some(place)
    }

    /// The bus's part of `sse_stats()`.
    pub(crate) fn report(&self) -> serde_json::Value {
        let (waiting, last) = self.context.outbox.figures();
        let mut report = self.context.state.report(&self.context.address, waiting, last);
        report["node"] = self.context.nodes.current().map(|node| node.to_string()).into();
        report["presence"] = self.context.members.stats.report();
        report
    }
}

/// Returns a random number that identifies a hub. It is the kernel's: hubs forked from one process may share the state of
/// the standard library's generator.
pub(crate) fn identity() -> u64 {
    random::secret().map_or_else(|_| now_ms() ^ (u64::from(std::process::id()) << 40), u64::from_ne_bytes)
}

impl RedisContext {
    fn known(&self) -> MutexGuard<'_, KnownMembers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> MutexGuard<'_, Option<TailPosition>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports to the ordering thread; fails only if that has ended.
    fn tell(&self, report: StoreEvent) {
        let _ = self.reports.send(report);
        let _ = self.ordering_thread.wake();
    }

    /// Reports publications as failed, or as possibly failed.
    fn fail(&self, tickets: Vec<Option<Ticket>>, reason: &str) {
        if tickets.is_empty() {
            return;
        }
        self.state.failed.add(tickets.len());
        let deaf = tickets.iter().filter(|ticket| ticket.is_none()).count();
        if deaf > 0 {
            // Nobody waits for these answers: the log is the only place to report them.
            self.complain(deaf, reason);
        }
        let tickets = tickets.into_iter().flatten().collect();
        self.tell(StoreEvent::Failed { tickets, keys: Vec::new(), reason: format!("sse.bus: {reason}") });
    }

    /// Logs events or notifications that were not sent, or perhaps not.
    fn complain(&self, count: usize, reason: &str) {
        let mut lines = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept_back) = lines.due(Instant::now()) {
            warn!(count, reason, before = kept_back, "what was to be sent over the bus was not, or that isn't known");
        }
    }

    /// Counts and logs an entry that is no valid event.
    fn refuse(&self, id: Id, invalid: &InvalidEntry) {
        self.state.refused.add(1);
        let mut lines = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept_back) = lines.due(Instant::now()) {
            warn!(stream = self.address.stream, entry = %id, reason = invalid.to_string(), before = kept_back, "an entry of the bus is no event");
        }
    }
}
