//! The bus: a Redis stream through which several hubs, on several machines, deliver the same events in the same order.
//!
//! ```text
//! ordering thread ──outbox──▶ publisher ──XADD, PUBLISH──▶ Redis ──XREAD──────▶ tail ───────────news──▶ ordering thread
//!                                                            └─────SUBSCRIBE──▶ notifications ──news────────┘
//! ```
//!
//! Every hub, also the one that published an event, delivers it when its tail thread has read it; the publisher gets its answer
//! then. So all hubs deliver exactly what Redis has, in its order and with its ids.

pub(crate) mod address;
pub(crate) mod connection;
pub(crate) mod entry;
pub(crate) mod life;
pub(crate) mod notifications;
pub(crate) mod outbox;
pub(crate) mod pause;
pub(crate) mod publisher;
pub(crate) mod state;
pub(crate) mod tail;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use mio::Waker;
use rustix::rand::GetRandomFlags;
use tracing::warn;

use crate::config::{Bus as Settings, Config};
use crate::store::history::Limits;
use crate::store::redis::address::Address;
use crate::store::redis::connection::Stop;
use crate::store::redis::outbox::{Outbox, Outcome};
use crate::store::redis::state::State;
pub(crate) use crate::store::redis::tail::Place;
use crate::store::{StoreEvent, Ticket};
use crate::util::throttle::LogThrottle;
use sse_protocol::event::NewEvent;
use sse_protocol::id::{Id, now_ms};

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
    context: Arc<Context>,
    /// Disconnects when all threads have ended.
    threads: Receiver<()>,
}

/// State that the threads share.
#[derive(Debug)]
struct Context {
    address: Arc<Address>,
    stop: Arc<Stop>,
    outbox: Outbox,
    state: State,
    news: Sender<StoreEvent>,
    router: Arc<Waker>,
    /// Limits for entries of other programs.
    limits: entry::Limits,
    /// How much of the stream the first read loads.
    history: Limits,
    /// The position in the stream; `None` before the first read.
    place: Mutex<Option<Place>>,
    refused: Mutex<LogThrottle>,
    complaints: Mutex<LogThrottle>,
}

impl Bus {
    /// Starts the threads; they inherit the caller's blocked signals. Reading continues at `place`, if given.
    pub(crate) fn start(
        settings: &Settings,
        config: &Config,
        history: Limits,
        place: Option<Place>,
        news: Sender<StoreEvent>,
        router: Arc<Waker>,
    ) -> io::Result<Self> {
        let context = Arc::new(Context {
            address: Arc::new(settings.address.clone()),
            stop: Arc::new(Stop::new()?),
            outbox: Outbox::new(identity(), settings.queue, settings.patience),
            state: State::new(place.as_ref().map(|place| place.counts).unwrap_or_default()),
            news,
            router,
            limits: entry::Limits { event_size: config.max_event_size, topics: config.max_topics },
            history,
            place: Mutex::new(place),
            refused: Mutex::default(),
            complaints: Mutex::default(),
        });
        let (alive, threads) = crossbeam_channel::bounded(0);
        let start = |name: &str, job: fn(&Context)| {
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
        Ok(Self { context, threads })
    }

    /// Queues a checked event. The hub delivers it when the tail has read it back.
    ///
    /// # Errors
    /// The cause and the remedy, if the event can't be queued.
    pub(crate) fn publish(&self, new: &NewEvent<'_>, ticket: Option<Ticket>) -> Result<(), String> {
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

    /// Asks for the newest id. [`StoreEvent::Newest`] answers with this number or a larger one. `None`: Redis is unreachable.
    pub(crate) fn ask(&self) -> Option<u64> {
        self.context.outbox.ask()
    }

    /// Records that `bytes` of [`StoreEvent::Read`] were delivered.
    pub(crate) fn digested(&self, bytes: usize) {
        self.context.outbox.digested(bytes);
    }

    /// Whether all events and notifications are sent, and all events read back.
    pub(crate) fn is_idle(&self) -> bool {
        self.context.outbox.is_idle()
    }

    /// Waits up to [`FAREWELL`] for pending events, then ends the threads. All reports are in the channel when this returns.
    pub(crate) fn close(self) -> Option<Place> {
        let Outcome { unsent, unknown } = self.context.outbox.close(FAREWELL);
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
        self.context.state.report(&self.context.address, waiting, last)
    }
}

/// Returns a random number that identifies this hub. It is the kernel's: hubs forked from one process may share the state of
/// the standard library's generator.
fn identity() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => now_ms() ^ (u64::from(std::process::id()) << 40),
    }
}

impl Context {
    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports to the ordering thread; fails only if that has ended.
    fn tell(&self, news: StoreEvent) {
        let _ = self.news.send(news);
        let _ = self.router.wake();
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
        self.tell(StoreEvent::Failed { tickets, reason: format!("sse.bus: {reason}") });
    }

    /// Logs events or notifications that were not sent, or perhaps not.
    fn complain(&self, count: usize, reason: &str) {
        let mut lines = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept_back) = lines.due(Instant::now()) {
            warn!(count, reason, before = kept_back, "what was to be sent over the bus was not, or that isn't known");
        }
    }

    /// Counts and logs an entry that is no valid event.
    fn refuse(&self, id: Id, reason: &str) {
        self.state.refused.add(1);
        let mut lines = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept_back) = lines.due(Instant::now()) {
            warn!(stream = self.address.stream, entry = %id, reason, before = kept_back, "an entry of the bus is no event");
        }
    }
}
