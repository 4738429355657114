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
//! Clients take turns as well, and each has half of the places at most. An exchange whose script does not get to
//! `sse_stream()` in time, as its client holds what it waits for, gives its place up: there are as many again for those.

pub(crate) mod attempt;
pub(crate) mod attempts;
pub(crate) mod client;
pub(crate) mod fields;
pub(crate) mod figures;
pub(crate) mod fingerprint;
pub mod http;
pub(crate) mod job;
pub(crate) mod meter;
pub(crate) mod pending;
pub(crate) mod queue;
pub(crate) mod replies;
pub(crate) mod request;
pub(crate) mod snapshot;
pub(crate) mod subscribers;
pub(crate) mod upstream;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use serde_json::Value;
use slab::Slab;

use crate::event::Event;
use crate::quota::budget::{Account, Budget};
use crate::render::attempt::Exchange;
use crate::render::fields::Pool;
use crate::render::figures::Figures;
use crate::render::job::{State, Unit};
use crate::render::meter::Metered;
use crate::render::pending::TRIGGERS;
use crate::render::queue::{Job, Queue};
use crate::render::upstream::{Address, Listener, NoReplay};
use crate::shard::command::Command;
use crate::shard::index::Index;
use crate::shard::interner::Names;
use crate::stream::Trigger;
use crate::util::throttle::Sparingly;
use sse_protocol::cause::Cause;
use sse_protocol::topic;
use sse_protocol::wire::{Protocol, Reason};

/// Servers remembered, of which those without streams are forgotten; more than a hub ever sees of its own pools.
const LISTENERS: usize = 1024;

/// How long a script may take to get to `sse_stream()` before others need not wait for it.
const PUNCTUAL: Duration = Duration::from_secs(1);

/// Jobs in the queue whose units have gone, beside as many as there are units, before they are swept out.
const LITTER: usize = 64;

/// What the router's settings say of renders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Exchanges under way at most, but those that are late: as many again.
    pub(crate) concurrency: usize,
    /// How long one may take.
    pub(crate) timeout: Duration,
    /// Bytes kept for one callback.
    pub(crate) pending: usize,
    /// Bytes kept for all streams: their requests, and what their callbacks are to be told.
    pub(crate) bytes: usize,
}

/// All streams whose scripts can be run again.
#[derive(Debug)]
pub(crate) struct Renders {
    limits: Limits,
    units: Slab<Unit>,
    /// Units by their streams.
    by_stream: HashMap<u64, u32>,
    /// Units that share their output, by script, server and key.
    shares: HashMap<(Arc<str>, u32, Box<str>), u32>,
    index: Index,
    /// What it all takes, and what of that is no single client's.
    budget: Budget,
    common: Account,
    pool: Pool,
    scripts: HashSet<Arc<str>>,
    listeners: Vec<Listener>,
    queue: Queue,
    timers: BinaryHeap<Reverse<(Instant, u32, u64)>>,
    exchanges: Slab<Exchange>,
    /// Of them, those that have given their places up.
    late: usize,
    /// Exchanges with more to read than one turn does.
    unread: Vec<usize>,
    registry: Registry,
    /// For the shards, by stream.
    effects: Vec<(u64, Command)>,
    /// Streams that watch something else now, and the bytes that are charged for it.
    watched: Vec<(u64, usize)>,
    serials: u64,
    fan_outs: u64,
    /// Times that a callback was told of something since this was asked for.
    told: usize,
    figures: Figures,
    failures: HashMap<Arc<str>, Sparingly>,
    scratch: Box<[u8]>,
}

/// The token of an exchange is this function of its place, chosen by the router.
type TokenOf = fn(usize) -> Token;

/// What a token is to the hub.
#[derive(Debug)]
pub(crate) enum Known<'a> {
    /// That of a run.
    Run(Replayed<'a>),
    /// That of a run which nobody waits for any more.
    Over,
    /// Nothing.
    No,
}

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
    pub(crate) share: Option<&'a str>,
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) last_id: Option<&'a str>,
    pub(crate) frames: &'a [u8],
}

impl Renders {
    /// None yet. `names` and `registry` are the router's.
    pub(crate) fn new(limits: Limits, names: Arc<Names>, registry: Registry) -> Self {
        let budget = Budget::new("sse.render_bytes", limits.bytes);
        Self {
            limits,
            units: Slab::new(),
            by_stream: HashMap::new(),
            shares: HashMap::new(),
            index: Index::new(names),
            pool: Pool::default(),
            common: budget.of_all(),
            budget,
            scripts: HashSet::new(),
            listeners: Vec::new(),
            queue: Queue::new(limits.concurrency),
            timers: BinaryHeap::new(),
            exchanges: Slab::new(),
            late: 0,
            unread: Vec::new(),
            registry,
            effects: Vec::new(),
            watched: Vec::new(),
            serials: 0,
            fan_outs: 0,
            told: 0,
            figures: Figures::new(),
            failures: HashMap::new(),
            scratch: vec![0; 16 * 1024].into_boxed_slice(),
        }
    }

    /// What is to be told to the shards now.
    pub(crate) fn take_effects(&mut self) -> Vec<(u64, Command)> {
        std::mem::take(&mut self.effects)
    }

    /// Times that a callback was told of something since the last call.
    pub(crate) fn take_told(&mut self) -> usize {
        std::mem::take(&mut self.told)
    }

    /// The streams that watch something else since this was asked last, and the bytes that are charged for it.
    pub(crate) fn take_watched(&mut self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.watched)
    }

    /// Bytes kept for all streams.
    pub(crate) fn bytes(&self) -> usize {
        self.budget.used()
    }

    /// For `sse_stats()`.
    pub(crate) fn report(&self) -> Value {
        let queued = self.queue.len() + self.listeners.iter().map(|listener| listener.parked.len()).sum::<usize>();
        self.figures.report(self.by_stream.len(), queued, (self.exchanges.len(), self.late), self.budget.used())
    }

    /// The server that a connection came from, if requests can be sent there.
    pub(crate) fn listener(&mut self, connection: BorrowedFd<'_>, protocol: Protocol<'_>) -> Result<u32, NoReplay> {
        let address = Address::of(connection)?;
        let known = self.listeners.iter().position(|known| known.address == address);
        let place = match known.or_else(|| self.forget_a_listener()) {
            Some(place) => place,
            None if self.listeners.len() >= LISTENERS => {
                return Err(NoReplay::new(Cause::Load, format!("streams of {LISTENERS} servers are open already")));
            }
            None => self.listeners.len(),
        };
        match self.listeners.get_mut(place) {
            Some(_) if known.is_some() => {}
            Some(forgotten) => *forgotten = Listener::new(address),
            None => self.listeners.push(Listener::new(address)),
        }
        let listener = &mut self.listeners[place];
        listener.check(Instant::now())?;
        // `php -S` would complain of a connection without a request.
        if protocol == Protocol::FastCgi {
            listener.probe()?;
        }
        Ok(place as u32)
    }

    /// Where there is room for no more servers, the place of one that has no streams. The local address of a connection may be
    /// the client's choice, so that nothing of it is kept for ever.
    fn forget_a_listener(&self) -> Option<usize> {
        if self.listeners.len() < LISTENERS {
            return None;
        }
        let runs: HashSet<u32> = self.exchanges.iter().map(|(_, exchange)| exchange.run.listener).collect();
        let mut idle = self.listeners.iter().enumerate().filter(|(_, listener)| listener.units == 0);
        idle.find(|(place, _)| !runs.contains(&(*place as u32))).map(|(place, _)| place)
    }

    /// An event was published.
    pub(crate) fn event(&mut self, event: &Arc<Event>) {
        let limit = self.limits.pending;
        let reached = self.reached(event.topics().iter().map(AsRef::as_ref));
        // An event that no callback is told of needs no message for one.
        if reached.is_empty() {
            return;
        }
        let event = Metered::new(event, event.message().len(), &self.common);
        for unit in reached {
            let Unit { pending, account, .. } = &mut self.units[unit as usize];
            pending.add_event(&event, limit, account);
            self.wake(unit, Reason::Wake);
        }
    }

    /// Topics changed, or all did.
    pub(crate) fn triggers(&mut self, triggers: &[Arc<Trigger>]) {
        if triggers.iter().any(|trigger| trigger.topic() == topic::ALL) {
            let all: Vec<u32> = self.units.iter().filter(|(_, unit)| unit.render).map(|(key, _)| key as u32).collect();
            all.into_iter().for_each(|key| self.miss(key));
        } else if triggers.len() <= TRIGGERS {
            for trigger in triggers {
                let reached = self.reached([trigger.topic()]);
                let trigger = Metered::new(trigger, trigger.len(), &self.common);
                reached.into_iter().for_each(|key| self.trigger(key, &trigger));
            }
        } else {
            self.trigger_many(triggers);
        }
    }

    /// The same of more topics than a callback is told one by one: each pattern is looked at once for all of them.
    fn trigger_many(&mut self, triggers: &[Arc<Trigger>]) {
        let mut hits: HashMap<usize, Vec<usize>> = HashMap::new();
        for (nth, trigger) in triggers.iter().enumerate() {
            self.index.each_entry(trigger.topic(), |entry| hits.entry(entry).or_default().push(nth));
        }
        let triggers: Vec<_> =
            triggers.iter().map(|trigger| Metered::new(trigger, trigger.len(), &self.common)).collect();
        for (entry, hits) in hits {
            let watchers: Vec<u32> = self.index.watchers(entry).collect();
            for key in watchers {
                if hits.len() > TRIGGERS {
                    self.miss(key);
                } else {
                    hits.iter().for_each(|&nth| self.trigger(key, &triggers[nth]));
                }
            }
        }
    }

    fn trigger(&mut self, key: u32, trigger: &Arc<Metered<Trigger>>) {
        let Unit { pending, account, .. } = &mut self.units[key as usize];
        pending.add_trigger(trigger, account);
        self.wake(key, Reason::Wake);
    }

    fn miss(&mut self, key: u32) {
        let Unit { pending, account, .. } = &mut self.units[key as usize];
        pending.miss(account);
        self.wake(key, Reason::Wake);
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
        self.told += 1;
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
            // Its next request is that of another of its streams.
            unit.rotate();
            self.enqueue(key);
        }
        self.set_timer(key);
    }

    /// Puts a unit into the queue as its client's.
    fn enqueue(&mut self, key: u32) {
        let unit = &self.units[key as usize];
        if let Some(member) = unit.members.first() {
            self.queue.push(member.client, (key, unit.serial));
        }
        if self.queue.len() > 2 * self.units.len() + LITTER {
            let units = &self.units;
            self.queue.sweep(|(key, serial)| units.get(key as usize).is_some_and(|unit| unit.serial == serial));
        }
    }

    fn set_timer(&mut self, key: u32) {
        let unit = &mut self.units[key as usize];
        let next = unit.next().map(|(at, _)| at);
        let Some(at) = [next, unit.lapses(self.limits.timeout)].into_iter().flatten().min() else { return };
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
        let runs = self.exchanges.iter().map(|(_, exchange)| &exchange.run);
        let spare = self.late < self.limits.concurrency;
        let exchanges = runs.flat_map(|run| [Some(run.deadline), run.late_at().filter(|_| spare)]).flatten();
        let pauses = self.listeners.iter().filter_map(Listener::paused_until);
        exchanges.chain(pauses).chain(timer).min()
    }

    /// Whether a response has ended whose process may have said something that is not heard yet.
    pub(crate) fn awaits_word(&self) -> bool {
        self.exchanges.iter().any(|(_, exchange)| exchange.end.is_some())
    }

    /// One round of work.
    pub(crate) fn turn(&mut self, token_of: TokenOf) {
        for place in std::mem::take(&mut self.unread) {
            self.proceed(place);
        }
        let now = Instant::now();
        self.ring(now);
        self.expire(now);
        let resumed: Vec<_> = self.listeners.iter_mut().flat_map(|listener| listener.resume(now)).collect();
        self.requeue(&resumed);
        self.make_room(now);
        while self.exchanges.len() - self.late < self.limits.concurrency {
            let Some((key, serial)) = self.queue.pop() else { break };
            if self.is_there(key, serial) {
                self.start(key, now, token_of);
            }
        }
    }

    fn is_there(&self, key: u32, serial: u64) -> bool {
        self.units.get(key as usize).is_some_and(|unit| unit.serial == serial)
    }

    /// Puts those of these units into the queue that are still there.
    fn requeue(&mut self, jobs: &[Job]) {
        for &(key, serial) in jobs {
            if self.is_there(key, serial) {
                self.enqueue(key);
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
            if unit.lapses(self.limits.timeout).is_some_and(|lapses| lapses <= now) {
                self.lapse(key);
                continue;
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
}
