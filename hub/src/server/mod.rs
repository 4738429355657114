//! The server: the ordering thread's loop, which puts all requests into one order.
//!
//! It accepts the connections of PHP processes, does their requests one by one (see [`crate::broker`]), and sends the resulting
//! commands to the shards. Each turn wakes a shard at most once, and writes the answers after that.

pub(crate) mod acceptor;
pub(crate) mod connection;
pub mod decoder;
pub(crate) mod owners;
pub(crate) mod rights;
pub(crate) mod signals;
pub(crate) mod trust;
pub(crate) mod turns;
pub(crate) mod upgrade;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use tracing::{debug, error, info, warn};

use crate::broker::Broker;
use crate::broker::processes::House;
use crate::broker::resuming::Found;
use crate::config::Config;
use crate::render::{self, Renders};
use crate::run::HubError;
use crate::server::acceptor::{Acceptor, Candidate};
use crate::server::connection::{Connection, Read};
use crate::server::owners::Owners;
use crate::server::rights::Role;
use crate::server::signals::Signals;
use crate::server::upgrade::{Inherited, UpgradeOutcome};
use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::shard::interner::PatternInterner;
use crate::shard::process::{self, Common};
use crate::shard::thread::{Limits, Shared};
use crate::socket;
use crate::store::Ticket;
use crate::store::history::resume::Slice;
use crate::sys::Credentials;
use crate::udp;
use crate::udp::notify::{self, Notify};
use crate::upgrade::foreground::{ForegroundProxy, Link};
use crate::upgrade::launch::Starter;
use crate::util::memory::Memory;
use sse_protocol::id::now_ms;

const DOOR: Token = Token(0);
const UDP: Token = Token(1);
const SIGNALS: Token = Token(2);
const WAKER: Token = Token(3);
const NOTIFY: Token = Token(4);
/// Tokens from here on are shared by connections, owners, attempts and shards.
const FIRST: usize = 5;
const KINDS: usize = 4;

/// Interval of the checks that the socket file is still this hub's.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Pause of the acceptor when even its reserve descriptor is gone.
const DOOR_PAUSE: Duration = Duration::from_secs(1);

/// Average number of clients that reconnect per second after the hub has ended.
const RETURNS_A_SECOND: u32 = 500;

/// Maximum size of a greeting, in bytes.
const MAX_GREETING: usize = 1024;

/// Budget of a turn with requests for history searches: steps and time.
const RESUMING: (usize, Duration) = (512, Duration::from_micros(250));

/// The same budget for a turn without requests.
const RESUMING_IDLE: (usize, Duration) = (4096, Duration::from_millis(1));

/// Time budget of a turn for requests, for store events and for stream ends, each.
const PART: Duration = Duration::from_millis(1);

/// Reads from one connection per turn, so that the others get theirs.
const READS_A_TURN: usize = 4;

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
    link: Option<Link>,
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
        // Must precede the first thread, because `House::new` may fork.
        let processes = process::count(&config, descriptors)?;
        let limits = Limits {
            stream_buffer: config.stream_buffer,
            pinned: config.queue_bytes / processes.max(1),
            stall: u32::try_from(config.stall_timeout.as_secs()).unwrap_or(u32::MAX).max(1),
        };
        let house = House::new(&config, processes, Common { limits, started });
        let house = house.map_err(HubError::system("starting a process for streams"))?;
        let poll = Poll::new().map_err(HubError::system("waiting for events"))?;
        let registry = poll.registry();
        let acceptor = Acceptor::new(listener, &config.socket).map_err(HubError::system("listening"))?;
        acceptor.register(DOOR, registry).map_err(HubError::system("listening"))?;
        let signals = Signals::watch(SIGNALS, registry).map_err(HubError::system("watching for signals"))?;
        let waker = Waker::new(registry, WAKER).map_err(HubError::system("making a waker"))?;
        let names = Arc::new(PatternInterner::default());
        let (ended, ends) = crossbeam_channel::unbounded();
        let router = Arc::new(waker);
        let shared = Shared { limits, names: Arc::clone(&names), router, ended, started };
        let shards = house.shards(&shared, registry, |nth| Of::Shard(nth).into());
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
        let limits = render::Limits {
            concurrency: config.render_concurrency,
            timeout: config.render_timeout,
            pending: config.max_message(),
            bytes: config.render_bytes,
        };
        let registry = registry.try_clone().map_err(HubError::system("waiting for events"))?;
        let renders = Renders::new(limits, Arc::clone(&names), registry);
        let mut broker = Broker::new(config, shards, names, descriptors, renders, ends, Arc::clone(&shared.router));
        // In an upgrade the history comes with the other parts.
        if inherited.is_none() {
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
                    DOOR => self.acceptor.ready = true,
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
                    Token(token) => match Of::token(token) {
                        Of::Connection(key) => {
                            self.queue(key);
                            if let Some(connection) = self.connections.get_mut(key) {
                                connection.is_closed |= event.is_read_closed() || event.is_error();
                            }
                            if event.is_writable() || event.is_write_closed() || event.is_error() {
                                writable.push(key);
                            }
                        }
                        Of::Owner(pid) => self.owners.ended(pid, self.poll.registry()),
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
        self.broker.learn_ends(PART);
        let mut answered = self.learn_news(PART);
        self.let_in();
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
        self.broker.pass_nudges();
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
    fn learn_news(&mut self, time: Duration) -> Vec<usize> {
        let Self { broker, connections, .. } = self;
        let mut answered = Vec::new();
        broker.learn_news(time, |ticket, reply| {
            // Another connection may have this key by now.
            let Some(connection) =
                connections.get_mut(ticket.connection).filter(|connection| connection.session.waits_for(ticket))
            else {
                return;
            };
            connection.session.answer(ticket, reply);
            answered.push(ticket.connection);
        });
        for parked in broker.released() {
            let ticket = parked.ticket;
            let Some(connection) =
                connections.get_mut(ticket.connection).filter(|connection| connection.session.waits_for(ticket))
            else {
                continue;
            };
            if broker.release(&mut connection.session, parked) {
                answered.push(ticket.connection);
            }
        }
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
            let Some(found) = broker.resuming.next(&broker.history, slice, waits) else { break };
            let ticket = found.ticket();
            let Some(connection) =
                connections.get_mut(ticket.connection).filter(|connection| connection.session.waits_for(ticket))
            else {
                continue;
            };
            match found {
                Found::Missed(mut parked, search) => {
                    let missed = broker.history.conclude(*search);
                    broker.act_parked(&mut connection.session, &mut parked, Some(missed));
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
            || self.broker.has_news()
            || self.broker.has_ends()
            || !self.broker.resuming.is_empty()
            || self.broker.renders.awaits_word()
            || self.broker.udp.as_ref().is_some_and(|udp| udp.ready)
            || self.broker.notify.as_ref().is_some_and(|notify| notify.ready);
        if more && !behind {
            return Some(Duration::ZERO);
        }
        let udp = self.broker.udp.as_ref().and_then(udp::Receiver::deadline);
        let idle =
            self.idle_since.zip(self.broker.config.idle_exit).and_then(|(since, limit)| since.checked_add(limit));
        let renders = self.broker.renders.deadline();
        let shards = self.broker.shards.iter().filter_map(ShardHandle::deadline).min();
        let next = [udp.filter(|_| !behind), idle, self.acceptor.retry, renders, self.broker.deadline(), shards];
        let next = next.into_iter().flatten().min();
        let next = next.map_or(self.next_check, |next| next.min(self.next_check));
        Some(next.saturating_duration_since(now))
    }

    /// Accepts all waiting connections.
    fn let_in(&mut self) {
        loop {
            match self.acceptor.open() {
                Candidate::Nobody => return,
                Candidate::NoDescriptor(refused) => {
                    let reason = self.broker.no_descriptor();
                    let Some(socket) = refused else {
                        self.acceptor.retry = Some(Instant::now() + DOOR_PAUSE);
                        return;
                    };
                    crate::server::acceptor::no_room(&socket, &reason);
                    drop(socket);
                    self.acceptor.refill();
                }
                Candidate::Connection(socket) => match trust::check(&self.broker.config, socket.as_fd()) {
                    Ok(credentials) if self.has_members_share(credentials) => {
                        let reason = self.broker.too_many_members();
                        crate::server::acceptor::no_room(&socket, &reason);
                    }
                    Ok(credentials) => {
                        let entry = self.connections.vacant_entry();
                        self.serial += 1;
                        let ticket = Ticket { connection: entry.key(), serial: self.serial, number: 0 };
                        let mut connection = Connection::new(socket, credentials, ticket);
                        match connection.register(Of::Connection(entry.key()).into(), self.poll.registry()) {
                            Ok(()) => {
                                self.members += usize::from(connection.session.member().is_some());
                                entry.insert(connection);
                                self.broker.connections += 1;
                            }
                            Err(error) => warn!(%error, "a connection can't be watched"),
                        }
                    }
                    Err(reason) => {
                        self.broker.distrusted(&reason);
                        crate::server::acceptor::turn_away(&socket, &reason);
                    }
                },
            }
        }
    }

    /// Whether this is a process of a member, and members have all the connections that they may have together.
    fn has_members_share(&self, credentials: Credentials) -> bool {
        let role = Role::of(credentials, rustix::process::geteuid().as_raw());
        role == Role::Member && self.members >= self.broker.members_share()
    }

    fn queue(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.ready.push(key);
        }
    }

    /// Does the requests of the ready connections; returns these connections.
    fn serve(&mut self) -> Vec<usize> {
        let served = std::mem::take(&mut self.ready);
        let mut slice = Slice::new(usize::MAX, PART);
        for (nth, &key) in served.iter().enumerate() {
            if slice.is_over(1) {
                // The rest comes first in the next turn.
                self.ready.splice(0..0, served[nth..].iter().copied());
                break;
            }
            if let Some(connection) = self.connections.get_mut(key) {
                connection.queued = false;
                let served = serve_peer(connection, &mut self.broker, &mut self.scratch, &mut slice);
                if connection.session.takes_over {
                    self.successor.get_or_insert(key);
                }
                match served {
                    Served::All => {}
                    Served::Some => self.queue(key),
                    Served::Gone => {
                        // The process may have closed only its sending side.
                        connection.flush();
                        self.close(key);
                    }
                }
            }
        }
        served
    }

    /// Writes the pending answers of these connections.
    fn answer(&mut self, keys: &[usize]) {
        for &key in keys {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if (connection.session.is_owed() || connection.session.refused) && !connection.flush() {
                self.close(key);
                continue;
            }
            if let Err(error) = connection.await_room(Of::Connection(key).into(), self.poll.registry()) {
                warn!(%error, "a connection can't be watched");
                self.close(key);
            } else if connection.is_closed || (connection.stalled && !connection.session.is_full()) {
                // A closed connection is still read to its end.
                connection.stalled = false;
                self.queue(key);
            }
        }
    }

    fn close(&mut self, key: usize) {
        let Some(connection) = self.connections.try_remove(key) else { return };
        connection.deregister(self.poll.registry());
        self.broker.abandon(&connection.session.held);
        if let Some(ticket) = connection.session.waits() {
            self.broker.abandon_ticket(ticket);
        }
        self.broker.wake_shards();
        self.broker.connections -= 1;
        self.members -= usize::from(connection.session.member().is_some());
    }

    fn reason_to_end(&mut self) -> Option<&'static str> {
        if self.signalled {
            return Some("a signal asked for it");
        }
        if self.broker.is_asked_to_leave {
            return Some("another hub is to be started in its place");
        }
        if self.owners.all_ended() {
            return Some("all its owners have ended");
        }
        let now = Instant::now();
        if now >= self.next_check {
            self.next_check = now + CHECK_INTERVAL;
            self.broker.expire(now);
            self.broker.tidy_processes();
            self.memory.settle(self.broker.kept());
            if !self.acceptor.is_still_there() {
                return Some("its socket file is gone or another one's");
            }
        }
        if !self.connections.is_empty() || self.owners.any() || self.broker.streams() > 0 {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert(now);
        let over = self.broker.config.idle_exit.is_some_and(|limit| now.saturating_duration_since(since) >= limit);
        (over && self.may_exit()).then_some("nobody has needed it for sse.idle_exit")
    }

    /// Whether an idle hub may end: no process holds the start lock, and none has connected meanwhile. If so, the socket file
    /// is removed before the lock is released, so that a process that waits for the lock starts a new hub.
    fn may_exit(&mut self) -> bool {
        self.idle_since = None;
        match socket::try_lock(&self.broker.config.socket) {
            Ok(Some(lock)) => {
                self.acceptor.ready = true;
                self.let_in();
                if self.connections.is_empty() {
                    self.broker.stop_notify();
                    self.acceptor.shut(&lock);
                }
                self.connections.is_empty()
            }
            Ok(None) => false,
            // Without the folder no process can connect either.
            Err(error) => {
                debug!(%error, "no lock to end under");
                true
            }
        }
    }

    /// Ends all streams in good order, and waits for the shards.
    fn finish(mut self) -> Result<(), HubError> {
        // The next hub may start while this one ends its streams, but needs the history file closed.
        self.broker.close_store();
        match socket::try_lock(&self.broker.config.socket) {
            Ok(Some(lock)) => {
                self.broker.stop_notify();
                self.acceptor.shut(&lock);
            }
            _ => self.acceptor.leave(),
        }
        self.learn_news(Duration::MAX);
        self.broker.pass_nudges();
        // A single client need not wait before it reconnects.
        let others = u32::try_from(self.broker.streams().saturating_sub(1)).unwrap_or(u32::MAX);
        let spread = others.saturating_mul(1000 / RETURNS_A_SECOND);
        for shard in &mut self.broker.shards {
            shard.send(Command::Stop { spread });
            shard.wake();
        }
        for (_, connection) in &mut self.connections {
            connection.flush();
        }
        let ends: Vec<_> = self.broker.shards.drain(..).map(ShardHandle::join).collect();
        if let Some(link) = &self.link {
            link.part();
        }
        ends.into_iter().collect()
    }

    /// Drops everything after an upgrade, without shutting down or writing to a socket, as the new hub owns them. A foreground
    /// proxy runs until the new hub ends.
    fn retire(self, stand_in: Option<ForegroundProxy>) -> Result<(), HubError> {
        let signals = self.into_signals();
        stand_in.map_or(Ok(()), |stand_in| stand_in.run(signals))
    }

    fn into_signals(self) -> Signals {
        self.signals
    }
}

/// What a token from `FIRST` on stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    /// The connection with this key.
    Connection(usize),
    /// The owner with this process id.
    Owner(u32),
    /// The attempt with this key.
    Attempt(usize),
    /// The process of the shard with this number.
    Shard(usize),
}

impl Of {
    fn token(token: usize) -> Self {
        let place = (token - FIRST) / KINDS;
        match (token - FIRST) % KINDS {
            0 => Self::Connection(place),
            1 => Self::Owner(place as u32),
            2 => Self::Attempt(place),
            _ => Self::Shard(place),
        }
    }
}

impl From<Of> for Token {
    fn from(of: Of) -> Self {
        let (place, kind) = match of {
            Of::Connection(place) => (place, 0),
            Of::Owner(pid) => (pid as usize, 1),
            Of::Attempt(place) => (place, 2),
            Of::Shard(number) => (number, 3),
        };
        Self(FIRST + KINDS * place + kind)
    }
}

/// How far a connection's requests were done.
enum Served {
    /// All that it sent is done, or waits.
    All,
    /// More requests may be ready.
    Some,
    /// The connection is closed.
    Gone,
}

fn serve_peer(connection: &mut Connection, broker: &mut Broker, scratch: &mut [u8], slice: &mut Slice) -> Served {
    let mut read_all = false;
    for _ in 0..READS_A_TURN {
        // Requests left from the last turn come first.
        loop {
            let Connection { decoder, session, stalled, .. } = &mut *connection;
            if session.refused {
                return Served::All;
            }
            if session.is_full() {
                *stalled = true;
                return Served::All;
            }
            if broker.is_behind() {
                return Served::Some;
            }
            let limit = if session.greeted { broker.config.max_message() } else { MAX_GREETING };
            let may_follow = || decoder.peek(limit).is_ok_and(|next| next.is_none_or(|next| broker.may_follow(next)));
            if session.resuming || session.waiting > 0 && !may_follow() {
                return if connection.has_left() { Served::Gone } else { Served::All };
            }
            if !slice.spend() {
                return Served::Some;
            }
            match decoder.next(limit) {
                Ok(Some(incoming)) => broker.handle(session, incoming),
                Ok(None) => break,
                Err(error) => broker.malformed(session, &error),
            }
        }
        if read_all {
            return Served::All;
        }
        match connection.read(scratch) {
            Read::Some => {}
            Read::Last => read_all = true,
            Read::Nothing => return Served::All,
            Read::End => return Served::Gone,
        }
    }
    Served::Some
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
