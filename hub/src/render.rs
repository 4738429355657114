//! Renders: running the script of a stream again, in the pool it came from, when its data may have changed.
//!
//! ```text
//! wake, event, timer ──▶ unit is due ──▶ queue ──▶ exchange: the request is sent again, with a token
//!                                                        │
//!        stream ◀── frames ◀── Rendered(token) ◀── PHP runs the script
//! ```
//!
//! It all belongs to the router's thread. At most `render_concurrency` exchanges are under way, and none twice for the
//! same unit; the queue has every unit once at most, so that each gets its turn however busy another one's topics are.

pub(crate) mod exchange;
pub(crate) mod figures;
pub(crate) mod listener;
pub(crate) mod pending;
pub(crate) mod pool;
pub(crate) mod request;
pub(crate) mod unit;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;
use serde_json::Value;
use slab::Slab;
use tracing::{debug, info, warn};

use crate::event::Event;
use crate::render::exchange::{End, Exchange, Run};
use crate::render::figures::Figures;
use crate::render::listener::{Address, Listener};
use crate::render::pending::Pending;
use crate::render::pool::Pool;
use crate::render::request::Request;
use crate::render::unit::{Member, State, Unit};
use crate::router::sparingly::Sparingly;
use crate::shard::command::Command;
use crate::shard::index::{Index, Watcher};
use crate::shard::names::Names;
use crate::stats::Ended;
use crate::stream::Trigger;
use crate::topic;
use crate::wire::{Delivery, Reason, Replay};

/// Servers remembered; more than a hub ever sees of its own pools.
const LISTENERS: usize = 1024;

/// Scripts whose failures are told apart in the log.
const SCRIPTS_IN_LOG: usize = 256;

/// What the router's settings say of renders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Exchanges under way at most.
    pub(crate) concurrency: usize,
    /// How long one may take.
    pub(crate) timeout: Duration,
    /// Bytes kept for one callback.
    pub(crate) pending: usize,
}

/// All streams whose scripts can be run again.
#[derive(Debug)]
pub(crate) struct Renders {
    limits: Limits,
    units: Slab<Unit>,
    /// Units by their streams.
    by_stream: HashMap<u64, u32>,
    /// Units that share their output, by script and key.
    shares: HashMap<(Arc<str>, Box<str>), u32>,
    index: Index,
    pool: Pool,
    scripts: HashSet<Arc<str>>,
    listeners: Vec<Listener>,
    queue: VecDeque<(u32, u64)>,
    timers: BinaryHeap<Reverse<(Instant, u32, u64)>>,
    exchanges: Slab<Exchange>,
    /// Exchanges with more to read than one turn does.
    unread: Vec<usize>,
    registry: Registry,
    /// For the shards, by stream.
    effects: Vec<(u64, Command)>,
    serials: u64,
    fan_outs: u64,
    figures: Figures,
    failures: HashMap<Arc<str>, Sparingly>,
    scratch: Box<[u8]>,
}

/// The token of an exchange is this function of its place, chosen by the router.
type TokenOf = fn(usize) -> Token;

/// What a process is told of its token.
#[derive(Debug)]
pub(crate) struct Replayed<'a> {
    pub(crate) stream: u64,
    pub(crate) reason: Reason,
    pub(crate) remote: (&'a str, &'a str),
    pub(crate) last_event_id: Option<&'a str>,
}

/// What a script's call came to.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub(crate) render: bool,
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) last_id: Option<&'a str>,
    pub(crate) frames: &'a [u8],
}

impl Renders {
    /// None yet. `names` and `registry` are the router's.
    pub(crate) fn new(limits: Limits, names: Arc<Names>, registry: Registry) -> Self {
        Self {
            limits,
            units: Slab::new(),
            by_stream: HashMap::new(),
            shares: HashMap::new(),
            index: Index::new(names),
            pool: Pool::default(),
            scripts: HashSet::new(),
            listeners: Vec::new(),
            queue: VecDeque::new(),
            timers: BinaryHeap::new(),
            exchanges: Slab::new(),
            unread: Vec::new(),
            registry,
            effects: Vec::new(),
            serials: 0,
            fan_outs: 0,
            figures: Figures::new(),
            failures: HashMap::new(),
            scratch: vec![0; 16 * 1024].into_boxed_slice(),
        }
    }

    /// What is to be told to the shards now.
    pub(crate) fn take_effects(&mut self) -> Vec<(u64, Command)> {
        std::mem::take(&mut self.effects)
    }

    /// For `sse_stats()`.
    pub(crate) fn report(&self) -> Value {
        let queued = self.queue.len() + self.listeners.iter().map(|listener| listener.parked.len()).sum::<usize>();
        self.figures.report(self.by_stream.len(), queued, self.exchanges.len())
    }

    /// The server that a connection came from, if requests can be sent there.
    pub(crate) fn listener(&mut self, connection: BorrowedFd<'_>) -> Result<u32, String> {
        let address = Address::of(connection)?;
        let place = match self.listeners.iter().position(|known| known.address == address) {
            Some(place) => place,
            None if self.listeners.len() >= LISTENERS => return Err("too many servers use this hub".into()),
            None => {
                self.listeners.push(Listener::new(address));
                self.listeners.len() - 1
            }
        };
        self.listeners[place].check(Instant::now())?;
        Ok(place as u32)
    }

    /// Takes a stream on, held for now. True if it is sent what others of the same key were sent last.
    pub(crate) fn attach(&mut self, stream: u64, listener: u32, replay: &Replay<'_>, patterns: &[&str]) -> bool {
        let script = self.script(replay.request.script);
        let request = Request::new(&replay.request, Arc::clone(&script), &mut self.pool);
        let member = Member { stream, request, open: false };
        let shared = replay.share.map(|key| (script, Box::<str>::from(key)));
        let known = shared.as_ref().and_then(|share| self.shares.get(share)).copied();
        let key = known.unwrap_or_else(|| {
            self.serials += 1;
            self.units.insert(Unit::new(self.serials, listener, replay)) as u32
        });
        let unit = &mut self.units[key as usize];
        unit.members.push(member);
        self.by_stream.insert(stream, key);
        if let Some(output) = &unit.output {
            self.effects.push((stream, Command::Frames { stream, frames: Arc::clone(output) }));
            return true;
        }
        if let Some(share) = shared {
            self.shares.insert(share, key);
        }
        self.watch(key, replay.render, patterns);
        false
    }

    /// The worker has let go of a stream.
    pub(crate) fn open(&mut self, stream: u64) {
        let Some(&key) = self.by_stream.get(&stream) else { return };
        let unit = &mut self.units[key as usize];
        let first = !unit.is_open();
        for member in unit.members.iter_mut().filter(|member| member.stream == stream) {
            member.open = true;
        }
        if first {
            unit.ran(Instant::now());
        }
        self.queue_up(key);
    }

    /// A stream has ended.
    pub(crate) fn ended(&mut self, stream: u64) {
        let Some(key) = self.by_stream.remove(&stream) else { return };
        let unit = &mut self.units[key as usize];
        if let Some(place) = unit.members.iter().position(|member| member.stream == stream) {
            let script = Arc::clone(&unit.members[place].request.script);
            unit.members.remove(place).request.release(&mut self.pool);
            if unit.members.is_empty() {
                self.remove(key, &script);
            }
            // The set's own, and this one.
            if Arc::strong_count(&script) == 2 {
                self.scripts.remove(&script);
            }
        }
    }

    fn remove(&mut self, key: u32, script: &Arc<str>) {
        self.unwatch(key);
        let unit = self.units.remove(key as usize);
        if let Some(share) = unit.share {
            self.shares.remove(&(Arc::clone(script), share));
        }
        for (_, exchange) in &mut self.exchanges {
            exchange.run.unit = exchange.run.unit.filter(|(_, serial)| *serial != unit.serial);
        }
        if self.units.is_empty() {
            // Memory of the busiest hour shouldn't stay for ever.
            self.units = Slab::new();
            self.by_stream = HashMap::new();
            self.timers = BinaryHeap::new();
        }
    }

    fn script(&mut self, path: &str) -> Arc<str> {
        if let Some(known) = self.scripts.get(path) {
            return Arc::clone(known);
        }
        let script: Arc<str> = path.into();
        self.scripts.insert(Arc::clone(&script));
        script
    }

    /// Sets what a unit is rendered for. Without a callback its stream gets the events themselves.
    fn watch(&mut self, key: u32, render: bool, patterns: &[&str]) {
        let print = Unit::fingerprint(patterns);
        let unit = &mut self.units[key as usize];
        if unit.watched == print && unit.render == render {
            return;
        }
        let first = unit.watched == 0;
        (unit.watched, unit.render) = (print, render);
        self.unwatch(key);
        if render {
            let nth = 0..patterns.len() as u32;
            let watchers = nth.map(|nth| Watcher { stream: key, nth });
            let places = patterns.iter().zip(watchers).map(|(pattern, watcher)| self.index.insert(pattern, watcher));
            self.units[key as usize].places = places.collect();
        }
        // At first the shard has been told with the stream itself.
        if !first {
            let streams = self.units[key as usize].members.iter().map(|member| member.stream);
            let patterns: Vec<Box<str>> =
                if render { Vec::new() } else { patterns.iter().copied().map(Into::into).collect() };
            self.effects.extend(streams.map(|stream| (stream, Command::Watch { stream, patterns: patterns.clone() })));
        }
    }

    fn unwatch(&mut self, key: u32) {
        for place in std::mem::take(&mut self.units[key as usize].places) {
            if let Some(moved) = self.index.remove(place)
                && let Some(other) = self.units.get_mut(moved.stream as usize)
                && let Some(other) = other.places.get_mut(moved.nth as usize)
            {
                other.moved_to(place);
            }
        }
    }

    /// An event was published.
    pub(crate) fn event(&mut self, event: &Arc<Event>) {
        let limit = self.limits.pending;
        for unit in self.reached(event.topics().iter().map(AsRef::as_ref)) {
            self.units[unit as usize].pending.add_event(event, limit);
            self.wake(unit, Reason::Wake);
        }
    }

    /// A topic changed, or all did.
    pub(crate) fn trigger(&mut self, trigger: &Arc<Trigger>) {
        let reached = if trigger.topic() == topic::ALL {
            self.units.iter().filter(|(_, unit)| unit.render).map(|(key, _)| key as u32).collect()
        } else {
            self.reached([trigger.topic()])
        };
        for unit in reached {
            self.units[unit as usize].pending.add_trigger(trigger);
            self.wake(unit, Reason::Wake);
        }
    }

    /// The units that watch any of these topics, each once.
    fn reached<'a>(&mut self, topics: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
        self.fan_outs += 1;
        let Self { index, units, fan_outs, .. } = self;
        let mut reached = Vec::new();
        for topic in topics {
            index.each(topic, |key| {
                let Some(unit) = units.get_mut(key as usize).filter(|unit| unit.seen != *fan_outs) else { return };
                unit.seen = *fan_outs;
                reached.push(key);
            });
        }
        reached
    }

    /// A unit has to be rendered.
    fn wake(&mut self, key: u32, reason: Reason) {
        let unit = &mut self.units[key as usize];
        if unit.due.is_some() {
            self.figures.coalesced += 1;
        }
        // A wake says more than that time has passed.
        if unit.due.is_none() || reason == Reason::Wake {
            unit.due = Some(reason);
        }
        self.queue_up(key);
    }

    /// Puts a unit into the queue if it has reason to be there.
    fn queue_up(&mut self, key: u32) {
        let unit = &mut self.units[key as usize];
        if unit.due.is_some() && unit.state == State::Resting && unit.not_before.is_none() && unit.is_open() {
            unit.state = State::Queued;
            self.queue.push_back((key, unit.serial));
        }
        self.set_timer(key);
    }

    fn set_timer(&mut self, key: u32) {
        let unit = &mut self.units[key as usize];
        let Some((at, _)) = unit.next() else { return };
        // An entry that is there already looks again when it comes up.
        if unit.timer.is_none_or(|timer| at < timer) {
            unit.timer = Some(at);
            self.timers.push(Reverse((at, key, unit.serial)));
        }
    }

    /// When there is something to do that nobody will tell of.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.unread.is_empty() {
            return Some(Instant::now());
        }
        let timer = self.timers.peek().map(|Reverse((at, ..))| *at);
        let exchanges = self.exchanges.iter().map(|(_, exchange)| exchange.run.deadline);
        let pauses = self.listeners.iter().filter_map(Listener::paused_until);
        exchanges.chain(pauses).chain(timer).min()
    }

    /// One round of work.
    pub(crate) fn turn(&mut self, token_of: TokenOf) {
        for place in std::mem::take(&mut self.unread) {
            self.proceed(place);
        }
        let now = Instant::now();
        self.ring(now);
        self.expire(now);
        for listener in &mut self.listeners {
            self.queue.extend(listener.resume(now));
        }
        while self.exchanges.len() < self.limits.concurrency {
            let Some((key, serial)) = self.queue.pop_front() else { break };
            if self.units.get(key as usize).is_some_and(|unit| unit.serial == serial) {
                self.start(key, now, token_of);
            }
        }
    }

    /// Does what the timers are for.
    fn ring(&mut self, now: Instant) {
        while let Some(&Reverse((at, key, serial))) = self.timers.peek() {
            if at > now {
                break;
            }
            self.timers.pop();
            let Some(unit) = self.units.get_mut(key as usize).filter(|unit| unit.serial == serial) else { continue };
            if unit.timer == Some(at) {
                unit.timer = None;
            }
            match unit.next() {
                Some((due, reason)) if due <= now => {
                    if reason == Reason::Retry {
                        unit.not_before = None;
                    }
                    unit.due.get_or_insert(reason);
                    self.queue_up(key);
                }
                _ => self.set_timer(key),
            }
        }
    }

    /// Gives up on runs that take too long. Their processes may still be busy, so each keeps its place once more for as
    /// long.
    fn expire(&mut self, now: Instant) {
        let late: Vec<usize> = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.run.deadline <= now)
            .map(|(place, _)| place)
            .collect();
        for place in late {
            let limit = self.limits.timeout;
            let run = &mut self.exchanges[place].run;
            run.deadline = now + limit;
            let script = Arc::clone(&run.script);
            if run.unit.is_some() && !run.rendered {
                self.figures.timed_out += 1;
                self.fail(place, &format!("it took longer than {} s (sse.render_timeout)", limit.as_secs()), now);
            } else {
                let given_up = self.exchanges.remove(place).run;
                self.rest(&given_up);
                warn!(script = %script, "a script that was run for a stream did not end; no longer waited for");
            }
        }
    }

    /// Sends the request of a unit whose turn it is.
    fn start(&mut self, key: u32, now: Instant, token_of: TokenOf) {
        let unit = &mut self.units[key as usize];
        let listener = &mut self.listeners[unit.listener as usize];
        if listener.paused_until().is_some() {
            listener.parked.push((key, unit.serial));
            return;
        }
        if unit.due.is_none() || !unit.rotate() {
            unit.state = State::Resting;
            return;
        }
        let socket = match listener.address.connect() {
            Ok(socket) => socket,
            Err(error) => {
                let connection = (unit.serial, unit.listener);
                self.unreachable(key, connection, error, now);
                return;
            }
        };
        let member = &unit.members[0];
        let last_id = unit.last_id.as_deref().or(member.request.last_event_id.as_deref());
        let token = token();
        let bytes = member.request.bytes(&self.pool, &token, last_id);
        let run = Run {
            token,
            unit: Some((key, unit.serial)),
            stream: member.stream,
            script: Arc::clone(&member.request.script),
            listener: unit.listener,
            started: now,
            deadline: now + self.limits.timeout,
            reached: false,
            rendered: false,
            taken: None,
            reason: None,
        };
        debug!(stream = member.stream, script = %member.request.script, "rendering");
        unit.state = State::Running;
        unit.not_before = None;
        let exchange = Exchange::new(socket, bytes, member.request.is_fastcgi(), run);
        let place = self.exchanges.insert(exchange);
        if let Err(error) = self.exchanges[place].register(token_of(place), &self.registry) {
            warn!(%error, "a connection can't be watched");
            self.fail(place, "its connection can't be watched", now);
            self.finish(place);
            return;
        }
        self.proceed(place);
    }

    /// A server can't be connected to.
    fn unreachable(&mut self, key: u32, (serial, listener): (u64, u32), error: Errno, now: Instant) {
        let unit = &mut self.units[key as usize];
        let server = &mut self.listeners[listener as usize];
        unit.state = State::Queued;
        server.parked.push((key, serial));
        if matches!(error, Errno::ACCESS | Errno::PERM) {
            let why =
                format!("the hub may not connect to the server at {}: {}", server.address, std::io::Error::from(error));
            self.refused(listener, why, now);
        } else {
            debug!(server = %server.address, %error, "a server can't be reached; its streams wait");
            server.pause(now);
        }
    }

    /// A server doesn't take the hub's requests: its streams end, and are served in their workers when they come back.
    fn refused(&mut self, listener: u32, why: String, now: Instant) {
        warn!(why, "streams can't be rendered there; they are left to their workers");
        let server = &mut self.listeners[listener as usize];
        server.refuse(why, now);
        server.parked.clear();
        let of_server = self.units.iter().filter(|(_, unit)| unit.listener == listener);
        let streams: Vec<u64> =
            of_server.flat_map(|(_, unit)| unit.members.iter().map(|member| member.stream)).collect();
        for stream in streams {
            self.end(stream, Ended::Error);
        }
    }

    fn end(&mut self, stream: u64, why: Ended) {
        self.effects.push((stream, Command::End { stream, why }));
        self.ended(stream);
    }

    /// Something has happened on the connection of an exchange.
    pub(crate) fn ready(&mut self, place: usize) {
        if self.exchanges.contains(place) {
            self.proceed(place);
        }
    }

    fn proceed(&mut self, place: usize) {
        let Some(exchange) = self.exchanges.get_mut(place) else { return };
        match exchange.proceed(&mut self.scratch) {
            (Some(end), _) => self.conclude(place, end),
            (None, true) => self.unread.push(place),
            (None, false) => {}
        }
    }

    /// The response is complete, or won't be.
    fn conclude(&mut self, place: usize, end: End) {
        let now = Instant::now();
        let run = &self.exchanges[place].run;
        let (listener, reached) = (run.listener, run.reached);
        let server = &mut self.listeners[listener as usize];
        if !matches!(end, End::Unreachable(_) | End::Silent) {
            server.answered();
        }
        if reached {
            server.proved = true;
        }
        let proved = server.proved;
        if run.unit.is_some() && !run.rendered {
            match end {
                End::Unreachable(error) => {
                    let (key, serial) = run.unit.unwrap_or_default();
                    self.exchanges.remove(place);
                    self.unreachable(key, (serial, listener), error, now);
                    return;
                }
                End::Silent if !proved => {
                    let address = self.listeners[listener as usize].address.clone();
                    self.exchanges.remove(place);
                    let why = format!(
                        "the server at {address} closes the hub's connections without an answer; see listen.allowed_clients"
                    );
                    self.refused(listener, why, now);
                    return;
                }
                End::Answered(status @ (401 | 403 | 404 | 410 | 300..=399)) if reached || proved => {
                    self.deny(place, status);
                }
                End::Answered(status @ (401 | 403 | 404 | 410 | 300..=399)) => {
                    let address = self.listeners[listener as usize].address.clone();
                    self.exchanges.remove(place);
                    let why = format!(
                        "the server at {address} answers the hub's requests with {status} before PHP runs; let requests from \
                         this machine pass"
                    );
                    self.refused(listener, why, now);
                    return;
                }
                End::Answered(status) => {
                    let reason = run.reason.clone();
                    let reason = reason.unwrap_or_else(|| "it did not get to sse_stream()".into());
                    self.fail(place, &format!("status {status}: {reason}"), now);
                }
                End::Broken | End::Silent => {
                    let reason = run.reason.clone().unwrap_or_else(|| "its process ended, or was ended".into());
                    self.fail(place, &reason, now);
                }
            }
        }
        self.finish(place);
    }

    /// The script no longer lets its client have the stream.
    fn deny(&mut self, place: usize, status: u16) {
        let run = &self.exchanges[place].run;
        let (stream, script) = (run.stream, Arc::clone(&run.script));
        info!(stream, status, script = %script, "the script no longer allows the stream");
        self.figures.denied += 1;
        self.put_back(place);
        self.end(stream, Ended::Denied);
    }

    /// A run has failed: its unit waits a while and tries again.
    fn fail(&mut self, place: usize, reason: &str, now: Instant) {
        self.figures.failed += 1;
        self.put_back(place);
        let run = &mut self.exchanges[place].run;
        let script = Arc::clone(&run.script);
        let stream = run.stream;
        if let Some((key, _)) = run.unit.take() {
            let unit = &mut self.units[key as usize];
            let wait = unit.failed(now, random());
            unit.state = State::Resting;
            unit.due = Some(Reason::Retry);
            self.set_timer(key);
            if self.failures.len() > SCRIPTS_IN_LOG {
                self.failures.clear();
            }
            if let Some(before) = self.failures.entry(Arc::clone(&script)).or_default().due(now) {
                let wait = wait.as_millis() as u64;
                warn!(stream, script = %script, reason, wait, before, "a render failed; the stream stays and it is tried again");
            }
        }
    }

    /// What the callback of a failed run was told is to be told again.
    fn put_back(&mut self, place: usize) {
        let run = &mut self.exchanges[place].run;
        if let (Some(taken), Some((key, _))) = (run.taken.take(), run.unit) {
            let unit = &mut self.units[key as usize];
            unit.pending.put_back(taken, self.limits.pending);
            unit.due.get_or_insert(Reason::Retry);
        }
    }

    /// An exchange is over.
    fn finish(&mut self, place: usize) {
        let run = self.exchanges.remove(place).run;
        self.rest(&run);
    }

    /// The unit of a run that is over may have its next turn.
    fn rest(&mut self, run: &Run) {
        let Some((key, _)) = run.unit else { return };
        self.units[key as usize].state = State::Resting;
        self.queue_up(key);
    }

    /// The exchange of a token whose time is not over.
    fn place_of(&self, token: &str) -> Option<usize> {
        let valid = |run: &Run| *run.token == *token && run.unit.is_some();
        self.exchanges.iter().find(|(_, exchange)| valid(&exchange.run)).map(|(place, _)| place)
    }

    /// A script's process has this token.
    pub(crate) fn replayed(&mut self, token: &str) -> Option<Replayed<'_>> {
        let place = self.place_of(token)?;
        let run = &mut self.exchanges[place].run;
        run.reached = true;
        let (stream, (key, _)) = (run.stream, run.unit?);
        let unit = &self.units[key as usize];
        let request = &unit.members.iter().find(|member| member.stream == stream)?.request;
        Some(Replayed {
            stream,
            reason: unit.due.unwrap_or(Reason::Wake),
            remote: request.remote.as_ref().map_or(("", ""), |remote| (&remote.0, &remote.1)),
            last_event_id: unit.last_id.as_deref().or(request.last_event_id.as_deref()),
        })
    }

    /// A callback is about to run: what comes from now on makes it run again.
    pub(crate) fn render(&mut self, token: &str) -> Option<Vec<Delivery<'_>>> {
        let place = self.place_of(token)?;
        let run = &mut self.exchanges[place].run;
        let (key, _) = run.unit?;
        let unit = &mut self.units[key as usize];
        unit.due = None;
        Some(run.taken.insert(std::mem::take(&mut unit.pending)).deliveries())
    }

    /// A replayed script's call of `sse_stream()` is done.
    pub(crate) fn rendered(&mut self, token: &str, output: &Output<'_>) -> bool {
        let now = Instant::now();
        let Some(place) = self.place_of(token) else { return false };
        let run = &mut self.exchanges[place].run;
        let Some((key, _)) = run.unit else { return false };
        run.rendered = true;
        run.taken = None;
        let took = now.saturating_duration_since(run.started);
        self.figures.rendered(took);
        let unit = &mut self.units[key as usize];
        unit.failures = 0;
        unit.ran(now);
        // A script without a callback has not asked for events.
        if !output.render {
            unit.due = None;
            unit.pending = Pending::default();
        }
        self.watch(key, output.render, &output.patterns);
        self.send(key, output);
        true
    }

    /// A stream's first output, from its original request.
    pub(crate) fn rendered_first(&mut self, stream: u64, output: &Output<'_>) -> bool {
        let Some(&key) = self.by_stream.get(&stream) else { return false };
        self.send(key, output);
        true
    }

    fn send(&mut self, key: u32, output: &Output<'_>) {
        let unit = &mut self.units[key as usize];
        if let Some(id) = output.last_id {
            unit.last_id = Some(id.into());
        }
        if output.frames.is_empty() {
            return;
        }
        if !unit.is_news(output.frames) {
            self.figures.unchanged += 1;
            return;
        }
        let frames: Arc<[u8]> = output.frames.into();
        if unit.share.is_some() {
            unit.output = Some(Arc::clone(&frames));
        }
        let streams = unit.members.iter().map(|member| member.stream);
        self.effects.extend(streams.map(|stream| (stream, Command::Frames { stream, frames: Arc::clone(&frames) })));
    }

    /// A replayed script ends without that.
    pub(crate) fn not_rendered(&mut self, token: &str, reason: &str) {
        if let Some(place) = self.place_of(token) {
            // An uncaught exception has its whole trace below.
            let first = reason.lines().next().unwrap_or_default();
            self.exchanges[place].run.reason = Some(topic::printable(first));
        }
    }
}

/// A secret that nobody can guess.
fn token() -> Box<str> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            // Only a kernel without the call, older than all that PHP 8.1 runs on, or a filter of system calls.
            Err(error) => panic!("the system gives no random bytes: {error}"),
        }
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// A number that spreads what would happen at once.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
