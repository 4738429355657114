//! The server: the ordering thread's loop, which puts all requests into one order.
//!
//! It accepts the connections of PHP processes, does their requests one by one (see [`crate::broker`]), and sends the resulting
//! commands to the shards. Each turn wakes a shard at most once, and writes the answers after that.

pub(crate) mod acceptor;
pub(crate) mod exit;
pub(crate) mod owners;
pub(crate) mod serve;
pub(crate) mod signals;
pub(crate) mod trust;
pub(crate) mod upgrade;

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use tracing::{error, info, warn};

use crate::broker::Broker;
use crate::broker::processes::Placement;
use crate::broker::resuming::Found;
use crate::config::Config;
use crate::connection::Connection;
use crate::connection::token::Of;
use crate::error::HubError;
use crate::index::interner::PatternInterner;
use crate::render::{self, Renders};
use crate::server::acceptor::Acceptor;
use crate::server::exit::CHECK_INTERVAL;
use crate::server::owners::Owners;
use crate::server::signals::Signals;
use crate::server::upgrade::UpgradeOutcome;
use crate::server::upgrade::adopt::Inherited;
use crate::server::upgrade::foreground::UpgradeLink;
use crate::shard::handle::ShardHandle;
use crate::shard::process::{self, Common};
use crate::shard::thread::{ShardContext, ShardLimits};
use crate::store::report::Ticket;
use crate::store::slice::Slice;
use crate::udp;
use crate::udp::notify::{self, Notify};
use crate::upgrade::launch::Starter;
use crate::util::memory::Memory;
use sse_protocol::id::now_ms;

const ACCEPTOR: Token = Token(0);
const UDP: Token = Token(1);
const SIGNALS: Token = Token(2);
const WAKER: Token = Token(3);
const NOTIFY: Token = Token(4);

/// Budget of a turn with requests for history searches: steps and time.
const RESUMING: (usize, Duration) = (512, Duration::from_micros(250));

/// The same budget for a turn without requests.
const RESUMING_IDLE: (usize, Duration) = (4096, Duration::from_millis(1));

/// Time budget of a turn for requests, for store events and for stream ends, each.
const PART: Duration = Duration::from_millis(1);

/// The state of the ordering thread.
#[derive(Debug)]
pub(crate) struct Server {
    poll: Poll,
    acceptor: Acceptor,
    broker: Broker,
    owners: Owners,
    connections: Slab<Connection>,
    /// Number of connections of members.
    pub(crate) members: usize,
    /// Keys of the connections that may have sent something.
    ready: Vec<usize>,
    /// Serial number of the newest connection.
    serial: u64,
    signals: Signals,
    signalled: bool,
    /// Key of the connection of a new hub that asks for an upgrade.
    successor: Option<usize>,
    starter: Starter,
    /// Link to the foreground process, which an older hub has become in an upgrade.
    link: Option<UpgradeLink>,
    /// When to check the socket file next.
    next_check: Instant,
    /// Since when the hub is idle; `None` while it is in use.
    idle_since: Option<Instant>,
    memory: Memory,
    scratch: Box<[u8]>,
}

impl Server {
    /// Makes the server, from the old hub's descriptors in an upgrade. The caller has blocked all signals.
    pub(crate) fn new(
        config: Config,
        listener: UnixListener,
        descriptors: usize,
        mut inherited: Option<&mut Inherited<'_>>,
    ) -> Result<Self, HubError> {
        let started = inherited.as_ref().map_or_else(Instant::now, |inherited| inherited.started);
        // Must precede the first thread, because `Placement::new` may fork.
        let processes = process::count(&config, descriptors)?;
        let limits = ShardLimits {
            stream_buffer: config.stream_buffer,
            pinned: config.queue_bytes,
            pinned_part: config.queue_bytes / processes.max(1),
            stall: u32::try_from(config.stall_timeout.as_secs()).unwrap_or(u32::MAX).max(1),
        };
        let placement = Placement::new(&config, processes, Common { limits, started });
        let placement = placement.map_err(HubError::system("starting a process for streams"))?;
        let poll = Poll::new().map_err(HubError::system("waiting for events"))?;
        let registry = poll.registry();
        let acceptor = Acceptor::new(listener, &config.socket).map_err(HubError::system("listening"))?;
        acceptor.register(ACCEPTOR, registry).map_err(HubError::system("listening"))?;
        let signals = Signals::watch(SIGNALS, registry).map_err(HubError::system("watching for signals"))?;
        let waker = Waker::new(registry, WAKER).map_err(HubError::system("making a waker"))?;
        let names = Arc::new(PatternInterner::default());
        let (reports, shard_reports) = crossbeam_channel::unbounded();
        let ordering_thread = Arc::new(waker);
        let shared = ShardContext { limits, names: Arc::clone(&names), ordering_thread, reports, started };
        let shards = placement.shards(&shared, registry, |nth| Of::Shard(nth).into());
        let shards = shards.map_err(HubError::system("starting a shard"))?;
        let udp = match inherited.as_mut().and_then(|inherited| inherited.udp(&config)) {
            Some(udp) => {
                let udp = udp.and_then(|udp| udp.register(UDP, registry).map(|()| udp));
                Some(udp.map_err(HubError::system("listening for wakes"))?)
            }
            None => config.udp.and_then(|address| listen_for_wakes(address, udp::Access::of(&config), registry)),
        };
        let notify = match inherited.as_mut().and_then(|inherited| inherited.notify(&config)) {
            Some(notify) => Ok(notify),
            None => Notify::bind(&config.socket),
        };
        let notify = notify.and_then(|notify| notify.register(NOTIFY, registry).map(|()| notify));
        let notify = notify.inspect_err(|error| {
            let path = notify::path(&config.socket);
            warn!(path = %path.display(), %error, "wakes can't be received there; all else works");
        });
        let limits = render::RenderLimits {
            concurrency: config.render_concurrency,
            timeout: config.render_timeout,
            pending: config.max_message(),
            bytes: config.render_bytes,
        };
        let registry = registry.try_clone().map_err(HubError::system("waiting for events"))?;
        let renders = Renders::new(limits, Arc::clone(&names), registry);
        let ordering_thread = Arc::clone(&shared.ordering_thread);
        let broker = Broker::new(config, shards, names, descriptors, renders, shard_reports, ordering_thread);
        let mut broker = broker.map_err(HubError::system("making a key for the ids of streams"))?;
        // In an upgrade the history comes with the other parts.
        if inherited.is_none() {
            broker.http.open_if_named();
            broker.start_store().map_err(HubError::system("starting the history"))?;
        }
        broker.udp = udp;
        broker.notify = notify.ok();
        broker.started = started;
        Ok(Self {
            poll,
            acceptor,
            broker,
            owners: Owners::default(),
            connections: Slab::new(),
            members: 0,
            ready: Vec::new(),
            serial: 0,
            signals,
            signalled: false,
            successor: None,
            starter: Starter::default(),
            link: inherited.and_then(|inherited| inherited.link.take()),
            next_check: Instant::now() + CHECK_INTERVAL,
            idle_since: Some(Instant::now()),
            memory: Memory::default(),
            scratch: vec![0; 64 * 1024].into_boxed_slice(),
        })
    }

    /// Runs the loop until the hub has a reason to end, then ends in good order. Calls `begun` with the number of streams once
    /// the hub serves them.
    pub(crate) fn run(mut self, begun: impl FnOnce(u64)) -> Result<(), HubError> {
        self.start_shards()?;
        self.start_http()?;
        if let Some(link) = &self.link {
            link.announce();
        }
        info!(socket = %self.broker.config.socket.display(), shards = self.broker.shards.len(), "the hub has started");
        begun(self.broker.streams());
        let mut events = Events::with_capacity(256);
        let result = loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    break Err(HubError::system("waiting for events")(error));
                }
                _ => {}
            }
            self.broker.turns.begin();
            let mut writable = Vec::new();
            let mut attempts = Vec::new();
            for event in &events {
                match event.token() {
                    ACCEPTOR => self.acceptor.ready = true,
                    UDP => {
                        if let Some(udp) = &mut self.broker.udp {
                            udp.ready = true;
                        }
                    }
                    NOTIFY => {
                        if let Some(notify) = &mut self.broker.notify {
                            notify.ready = true;
                        }
                    }
                    SIGNALS => {
                        self.signalled |= self.signals.any();
                        if self.signals.hangup() {
                            self.starter.start(self.broker.config.successor.as_ref());
                        }
                    }
                    WAKER => {}
                    Token(token) => match Of::of_token(token) {
                        Of::Connection(key) => {
                            self.queue(key);
                            if let Some(connection) = self.connections.get_mut(key) {
                                connection.is_closed |= event.is_read_closed() || event.is_error();
                            }
                            if event.is_writable() || event.is_write_closed() || event.is_error() {
                                writable.push(key);
                            }
                        }
                        Of::Owner(pid) => self.owners.ended(pid, |pid| Of::Owner(pid).into(), self.poll.registry()),
                        Of::Attempt(place) => attempts.push(place),
                        Of::Shard(number) => self.broker.shard_ready(number),
                    },
                }
            }
            self.answer(&writable);
            self.turn(&attempts);
            self.broker.end_turn();
            if let Some(key) = self.successor.take()
                && let UpgradeOutcome::Yes(stand_in) = self.hand_over(key)?
            {
                return self.retire(stand_in);
            }
            if let Some(reason) = self.reason_to_end() {
                info!(reason, "the hub ends");
                break Ok(());
            }
            if self.broker.shards.iter().any(ShardHandle::is_gone) {
                error!("a shard has ended by itself; the hub can't go on");
                // `finish` joins the shard, which yields its error.
                break Ok(());
            }
        };
        result.and(self.finish())
    }

    /// Does the work of one turn.
    fn turn(&mut self, attempts: &[usize]) {
        self.broker.replace_lost();
        self.broker.tell_finished();
        self.broker.hear_shards(PART);
        self.broker.learn_redeemed(PART);
        self.broker.expire_tickets(Instant::now());
        let mut answered = self.learn_reports(PART);
        answered.extend(self.answer_inquiries());
        self.accept_waiting();
        let served = self.serve();
        if !self.broker.is_behind() {
            self.broker.receive_wakes(now_ms());
            let (steps, time) = if served.is_empty() { RESUMING_IDLE } else { RESUMING };
            let mut slice = Slice::new(steps, time);
            answered.extend(self.resume(&mut slice));
            self.broker.turns.step(slice.spent());
        }
        if self.broker.expiring {
            self.broker.expire(Instant::now());
        }
        // After everything that notifies callbacks. Also after the requests, because what a replayed script sent must be
        // handled before the end of its response.
        self.broker.go_on_rendering(attempts, self.ready.is_empty());
        self.broker.pass_notifications();
        self.broker.tell_presence();
        self.broker.share_presence();
        if !self.broker.is_behind() {
            self.broker.tell_subscriptions();
        }
        self.broker.relieve();
        self.broker.wake_shards();
        // Before the answers, after which an owner may end at any time.
        for pid in std::mem::take(&mut self.broker.new_owners) {
            self.owners.add(pid, Of::Owner(pid).into(), self.poll.registry());
        }
        self.answer(&answered);
        self.answer(&served);
        if self.ready.is_empty() {
            // Reuse the allocation.
            self.ready = served;
            self.ready.clear();
        }
        self.memory.note(self.broker.kept());
    }

    /// Delivers stored events, for about `time`; returns the connections to answer.
    fn learn_reports(&mut self, time: Duration) -> Vec<usize> {
        let Self { broker, connections, .. } = self;
        let mut answered = Vec::new();
        broker.learn_reports(time, |ticket, reply| {
            // Another connection may have this key by now.
            let Some(connection) =
                connections.get_mut(ticket.connection).filter(|connection| connection.session.waits_for(ticket))
            else {
                return;
            };
            connection.session.answer(ticket, reply);
            answered.push(ticket.connection);
        });
        for deferred in broker.released() {
            let ticket = deferred.ticket;
            let Some(connection) =
                connections.get_mut(ticket.connection).filter(|connection| connection.session.waits_for(ticket))
            else {
                continue;
            };
            if broker.release(&mut connection.session, deferred) {
                answered.push(ticket.connection);
            }
        }
        answered.iter().for_each(|&key| self.queue(key));
        answered
    }

    /// Answers the inquiries that are over; returns the connections to answer.
    fn answer_inquiries(&mut self) -> Vec<usize> {
        let Self { broker, connections, .. } = self;
        let mut answered = Vec::new();
        broker.answer_inquiries(|ticket, reply| {
            // Another connection may have this key by now.
            if let Some(connection) =
                connections.get_mut(ticket.connection).filter(|connection| connection.session.waits_for(ticket))
            {
                connection.session.answer(ticket, reply);
                answered.push(ticket.connection);
            }
        });
        answered.iter().for_each(|&key| self.queue(key));
        answered
    }

    /// Continues the history searches of deferred attaches, and does the attaches whose search is complete. Returns the
    /// connections to answer.
    fn resume(&mut self, slice: &mut Slice) -> Vec<usize> {
        let Self { broker, connections, .. } = self;
        let mut answered = Vec::new();
        loop {
            let waits = |ticket: Ticket| {
                connections.get(ticket.connection).is_some_and(|connection| !connection.has_given_up())
            };
            let Some(found) = broker.resuming.next(&broker.history, &broker.retained, slice, waits) else { break };
            let ticket = found.ticket();
            let Some(connection) =
                connections.get_mut(ticket.connection).filter(|connection| connection.session.waits_for(ticket))
            else {
                continue;
            };
            match found {
                Found::Missed(mut deferred, search) => {
                    let found = broker.conclude(search);
                    broker.act_deferred(&mut connection.session, &mut deferred, Some(found));
                }
                Found::Gone(ticket) => {
                    broker.counts.resumes_given_up += 1;
                    // The hub still reads what the process sent after its attach.
                    connection.session.answered(ticket);
                }
            }
            answered.push(ticket.connection);
        }
        answered.iter().for_each(|&key| self.queue(key));
        answered
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let behind = self.broker.is_behind();
        let more = !self.ready.is_empty()
            || self.broker.expiring
            || self.broker.has_reports()
            || self.broker.has_shard_reports()
            || self.broker.http.has_redeemed()
            || self.broker.shares_more()
            || self.broker.presence.has_subscriptions_to_tell()
            || !self.broker.resuming.is_empty()
            || self.broker.renders.awaits_word()
            || self.broker.udp.as_ref().is_some_and(|udp| udp.ready)
            || self.broker.notify.as_ref().is_some_and(|notify| notify.ready);
        if (more && !behind) || self.acceptor.has_waiting() {
            return Some(Duration::ZERO);
        }
        let udp = self.broker.udp.as_ref().and_then(udp::Receiver::deadline);
        let idle =
            self.idle_since.zip(self.broker.config.idle_exit).and_then(|(since, limit)| since.checked_add(limit));
        let renders = self.broker.renders.deadline();
        let shards = self.broker.shards.iter().filter_map(ShardHandle::deadline).min();
        let presence = self.broker.presence.deadline();
        let tickets = self.broker.http.tickets.deadline();
        let next = [
            udp.filter(|_| !behind),
            idle,
            presence,
            self.acceptor.retry,
            renders,
            self.broker.deadline(),
            shards,
            tickets,
        ];
        let next = next.into_iter().flatten().min();
        let next = next.map_or(self.next_check, |next| next.min(self.next_check));
        Some(next.saturating_duration_since(now))
    }
}

/// Binds the UDP socket for notifications; logs a warning and returns `None` if that fails.
fn listen_for_wakes(address: SocketAddr, access: udp::Access<'_>, registry: &mio::Registry) -> Option<udp::Receiver> {
    let bound = udp::Receiver::bind(address, access).and_then(|udp| udp.register(UDP, registry).map(|()| udp));
    match bound {
        Ok(udp) => Some(udp),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            warn!(
                "sse.udp: {address} is taken by another process, perhaps the hub of another user or namespace; this hub \
                 runs without UDP wakes. Set sse.udp to another port, or to nothing"
            );
            None
        }
        Err(error) => {
            warn!(
                "sse.udp: listening at {address} failed: {error}; this hub runs without UDP wakes. Set sse.udp to an \
                 address and port that this user may listen at, or to nothing"
            );
            None
        }
    }
}
