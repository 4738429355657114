//! The router: the thread that puts everything in order.
//!
//! It takes the connections of PHP processes, does their requests one by one (see [`broker`]), and passes what follows from
//! them to the shards. Per turn of its loop each shard is woken once at most, and only then the answers go out.

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
/// Above these, connections, owners, attempts and shards take turns.
const FIRST: usize = 5;
const KINDS: usize = 4;

/// How often the hub looks whether its socket file is still its own.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long to leave waiting connections alone when there is no descriptor for them, not even to say so.
const DOOR_PAUSE: Duration = Duration::from_secs(1);

/// Clients that shall come back within a second, on average, when the hub has ended.
const RETURNS_A_SECOND: u32 = 500;

/// Longest greeting, in bytes.
const MAX_GREETING: usize = 1024;

/// Steps of searches for what readers have missed that a turn does beside requests, and how long it goes on with them.
const RESUMING: (usize, Duration) = (512, Duration::from_micros(250));

/// The same of a turn without requests.
const RESUMING_IDLE: (usize, Duration) = (4096, Duration::from_millis(1));

/// About how long a turn goes on with requests, with news and with ends, before everything else has its part of it.
const PART: Duration = Duration::from_millis(1);

/// Reads from one connection before the others get their turn.
const READS_A_TURN: usize = 4;

/// The state of the router's thread.
#[derive(Debug)]
pub(crate) struct Server {
    poll: Poll,
    acceptor: Acceptor,
    broker: Broker,
    owners: Owners,
    connections: Slab<Connection>,
    /// Connections that may have sent something.
    ready: Vec<usize>,
    /// Connections that there have been.
    serial: u64,
    signals: Signals,
    signalled: bool,
    /// A connection that is another hub, which takes over.
    successor: Option<usize>,
    starter: Starter,
    /// To the process in the foreground, after another hub than this one was that.
    link: Option<Link>,
    /// When the socket file is looked at next.
    next_check: Instant,
    /// Since when nobody needs this hub.
    idle_since: Option<Instant>,
    memory: Memory,
    scratch: Box<[u8]>,
}

impl Server {
    /// Sets everything up, as another hub has left it if one has. The caller has blocked all signals.
    pub(crate) fn new(
        config: Config,
        upstream: UnixListener,
        descriptors: usize,
        mut inherited: Option<&mut Inherited<'_>>,
    ) -> Result<Self, HubError> {
        let started = inherited.as_ref().map_or_else(Instant::now, |inherited| inherited.started);
        // Before there is any thread.
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
        let acceptor = Acceptor::new(upstream, &config.socket).map_err(HubError::system("listening"))?;
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
        // Another hub's history comes with everything else.
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

    /// Works until there is a reason to end, and ends in good order. `begun` is told how many streams there are, once they
    /// are served.
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
                // Joining it tells why.
                break Ok(());
            }
        };
        result.and(self.finish())
    }

    /// One round of work.
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
        // After all that wakes callbacks. And after the requests: what a script's process has said comes before the end of
        // its response.
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
            // For its memory.
            self.ready = served;
            self.ready.clear();
        }
        self.memory.note(self.broker.kept());
    }

    /// Delivers the events that are kept now, for about so long; returns the connections that are owed the answer.
    fn learn_news(&mut self, time: Duration) -> Vec<usize> {
        let Self { broker, connections, .. } = self;
        let mut answered = Vec::new();
        broker.learn_news(time, |ticket, reply| {
            // Others may have its place by now.
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

    /// Goes on with what the readers that wait have missed, and does the attaches for which that is found; returns the connections that
    /// are owed the answer.
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
                    // What it has sent after that is read to the end.
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

    /// Accepts the connections that wait.
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
                    Ok(credentials) => {
                        let entry = self.connections.vacant_entry();
                        self.serial += 1;
                        let ticket = Ticket { connection: entry.key(), serial: self.serial, number: 0 };
                        let mut connection = Connection::new(socket, credentials, ticket);
                        match connection.register(Of::Connection(entry.key()).into(), self.poll.registry()) {
                            Ok(()) => {
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

    fn queue(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.ready.push(key);
        }
    }

    /// Does the requests of the connections that sent some; returns those connections.
    fn serve(&mut self) -> Vec<usize> {
        let served = std::mem::take(&mut self.ready);
        let mut slice = Slice::new(usize::MAX, PART);
        for (nth, &key) in served.iter().enumerate() {
            if slice.is_over(1) {
                // They come first in the next turn.
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
                        // It may have closed one direction only.
                        connection.flush();
                        self.close(key);
                    }
                }
            }
        }
        served
    }

    /// Writes the answers that these connections are owed.
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
                // Of one that has gone what it has sent is read to the end.
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

    /// Whether an idle hub may really end: nobody is looking for a hub or starting one, and nobody has come meanwhile.
    /// If so, the socket file is gone when the lock is free again, so that whoever waits for it starts a new hub.
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
            // Without a folder there is nobody who could come either.
            Err(error) => {
                debug!(%error, "no lock to end under");
                true
            }
        }
    }

    /// Ends the streams in good order, and waits for that.
    fn finish(mut self) -> Result<(), HubError> {
        // The next hub can start while this one still says good-bye, but not before it lets go of the history's file.
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
        // One that is alone need not wait.
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

    /// Lets go of everything, as another hub has it: no socket is shut down or written to. What stays in the foreground
    /// stays until that hub ends.
    fn retire(self, stand_in: Option<ForegroundProxy>) -> Result<(), HubError> {
        let signals = self.into_signals();
        stand_in.map_or(Ok(()), |stand_in| stand_in.run(signals))
    }

    fn into_signals(self) -> Signals {
        self.signals
    }
}

/// What a token above the fixed ones stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    /// The connection at this place.
    Connection(usize),
    /// The owner with this process id.
    Owner(u32),
    /// The attempt at this place.
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
    /// There are no more.
    All,
    /// There may be more.
    Some,
    /// The connection has gone.
    Gone,
}

fn serve_peer(connection: &mut Connection, broker: &mut Broker, scratch: &mut [u8], slice: &mut Slice) -> Served {
    let mut read_all = false;
    for _ in 0..READS_A_TURN {
        // What is left from the turn before comes first.
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

/// The socket for wakes; `None`, and a line in the log, where there can't be one.
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
