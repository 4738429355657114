//! Renders: running the script of a stream again, in the pool it came from, when its data may have changed.
//!
//! ```text
//! wake, event, timer ──▶ job is due ──▶ queue ──▶ attempt: the request is sent again, with a token
//!                                                        │
//!        stream ◀── frames ◀── Rendered(token) ◀── PHP runs the script
//! ```
//!
//! It all belongs to the router's thread. At most `render_concurrency` attempts are under way, and none twice for the
//! same job; the queue has every job once at most, so that each gets its turn however busy another one's topics are.
//! Clients take turns as well, and each has half of the places at most. An attempt whose script does not get to
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
use crate::render::attempt::Attempt;
use crate::render::fields::FieldInterner;
use crate::render::figures::RenderStats;
use crate::render::job::{Job, State};
use crate::render::meter::Metered;
use crate::render::pending::TRIGGERS;
use crate::render::queue::{Queue, Waiting};
use crate::render::upstream::{Address, NoReplay, Upstream};
use crate::shard::command::Command;
use crate::shard::index::Index;
use crate::shard::interner::PatternInterner;
use crate::stream::Trigger;
use crate::util::throttle::LogThrottle;
use sse_protocol::cause::Cause;
use sse_protocol::topic;
use sse_protocol::wire::{Protocol, Reason};

/// Servers remembered, of which those without streams are forgotten; more than a hub ever sees of its own pools.
const LISTENERS: usize = 1024;

/// How long a script may take to get to `sse_stream()` before others need not wait for it.
const PUNCTUAL: Duration = Duration::from_secs(1);

/// Jobs in the queue whose jobs have gone, beside as many as there are jobs, before they are swept out.
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
    jobs: Slab<Job>,
    /// Jobs by their streams.
    by_stream: HashMap<u64, u32>,
    /// Jobs that share their output, by script, server and key.
    shares: HashMap<(Arc<str>, u32, Box<str>), u32>,
    index: Index,
    /// What it all takes, and what of that is no single client's.
    budget: Budget,
    common: Account,
    pool: FieldInterner,
    scripts: HashSet<Arc<str>>,
    upstreams: Vec<Upstream>,
    queue: Queue,
    timers: BinaryHeap<Reverse<(Instant, u32, u64)>>,
    attempts: Slab<Attempt>,
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
    figures: RenderStats,
    failures: HashMap<Arc<str>, LogThrottle>,
    scratch: Box<[u8]>,
}

/// The token of an attempt is this function of its place, chosen by the router.
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
    pub(crate) fn new(limits: Limits, names: Arc<PatternInterner>, registry: Registry) -> Self {
        let budget = Budget::new("sse.render_bytes", limits.bytes);
        Self {
            limits,
            jobs: Slab::new(),
            by_stream: HashMap::new(),
            shares: HashMap::new(),
            index: Index::new(names),
            pool: FieldInterner::default(),
            common: budget.of_all(),
            budget,
            scripts: HashSet::new(),
            upstreams: Vec::new(),
            queue: Queue::new(limits.concurrency),
            timers: BinaryHeap::new(),
            attempts: Slab::new(),
            late: 0,
            unread: Vec::new(),
            registry,
            effects: Vec::new(),
            watched: Vec::new(),
            serials: 0,
            fan_outs: 0,
            told: 0,
            figures: RenderStats::new(),
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
        let queued = self.queue.len() + self.upstreams.iter().map(|upstream| upstream.parked.len()).sum::<usize>();
        self.figures.report(self.by_stream.len(), queued, (self.attempts.len(), self.late), self.budget.used())
    }

    /// The server that a connection came from, if requests can be sent there.
    pub(crate) fn upstream(&mut self, connection: BorrowedFd<'_>, protocol: Protocol<'_>) -> Result<u32, NoReplay> {
        let address = Address::of(connection)?;
        let known = self.upstreams.iter().position(|known| known.address == address);
        let place = match known.or_else(|| self.forget_a_listener()) {
            Some(place) => place,
            None if self.upstreams.len() >= LISTENERS => {
                return Err(NoReplay::new(Cause::Load, format!("streams of {LISTENERS} servers are open already")));
            }
            None => self.upstreams.len(),
        };
        match self.upstreams.get_mut(place) {
            Some(_) if known.is_some() => {}
            Some(forgotten) => *forgotten = Upstream::new(address),
            None => self.upstreams.push(Upstream::new(address)),
        }
        let upstream = &mut self.upstreams[place];
        upstream.check(Instant::now())?;
        // `php -S` would complain of a connection without a request.
        if protocol == Protocol::FastCgi {
            upstream.probe()?;
        }
        Ok(place as u32)
    }

    /// Where there is room for no more servers, the place of one that has no streams. The local address of a connection may be
    /// the client's choice, so that nothing of it is kept for ever.
    fn forget_a_listener(&self) -> Option<usize> {
        if self.upstreams.len() < LISTENERS {
            return None;
        }
        let runs: HashSet<u32> = self.attempts.iter().map(|(_, attempt)| attempt.run.upstream).collect();
        let mut idle = self.upstreams.iter().enumerate().filter(|(_, upstream)| upstream.jobs == 0);
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
        for job in reached {
            let Job { pending, account, .. } = &mut self.jobs[job as usize];
            pending.add_event(&event, limit, account);
            self.wake(job, Reason::Wake);
        }
    }

    /// Topics changed, or all did.
    pub(crate) fn triggers(&mut self, triggers: &[Arc<Trigger>]) {
        if triggers.iter().any(|trigger| trigger.topic() == topic::ALL) {
            let all: Vec<u32> = self.jobs.iter().filter(|(_, job)| job.render).map(|(key, _)| key as u32).collect();
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
        let Job { pending, account, .. } = &mut self.jobs[key as usize];
        pending.add_trigger(trigger, account);
        self.wake(key, Reason::Wake);
    }

    fn miss(&mut self, key: u32) {
        let Job { pending, account, .. } = &mut self.jobs[key as usize];
        pending.miss(account);
        self.wake(key, Reason::Wake);
    }

    /// The jobs that watch any of these topics, each once.
    fn reached<'a>(&mut self, topics: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
        self.fan_outs += 1;
        let Self { index, jobs, fan_outs, .. } = self;
        let mut reached = Vec::new();
        for topic in topics {
            index.each(topic, |key| {
                let Some(job) = jobs.get_mut(key as usize).filter(|job| job.seen != *fan_outs) else { return };
                job.seen = *fan_outs;
                reached.push(key);
            });
        }
        reached
    }

    /// A job has to be rendered.
    fn wake(&mut self, key: u32, reason: Reason) {
        self.told += 1;
        let job = &mut self.jobs[key as usize];
        if job.due.is_some() {
            self.figures.coalesced += 1;
        }
        // A wake says more than that time has passed.
        if job.due.is_none() || reason == Reason::Wake {
            job.due = Some(reason);
        }
        self.queue_up(key);
    }

    /// Puts a job into the queue if it has reason to be there.
    fn queue_up(&mut self, key: u32) {
        let job = &mut self.jobs[key as usize];
        if job.due.is_some() && job.state == State::Resting && job.not_before.is_none() && job.is_open() {
            job.state = State::Queued;
            // Its next request is that of another of its streams.
            job.rotate();
            self.enqueue(key);
        }
        self.set_timer(key);
    }

    /// Puts a job into the queue as its client's.
    fn enqueue(&mut self, key: u32) {
        let job = &self.jobs[key as usize];
        if let Some(subscriber) = job.subscribers.first() {
            self.queue.push(subscriber.client, (key, job.serial));
        }
        if self.queue.len() > 2 * self.jobs.len() + LITTER {
            let jobs = &self.jobs;
            self.queue.sweep(|(key, serial)| jobs.get(key as usize).is_some_and(|job| job.serial == serial));
        }
    }

    fn set_timer(&mut self, key: u32) {
        let job = &mut self.jobs[key as usize];
        let next = job.next().map(|(at, _)| at);
        let Some(at) = [next, job.lapses(self.limits.timeout)].into_iter().flatten().min() else { return };
        // An entry that is there already looks again when it comes up.
        if job.timer.is_none_or(|timer| at < timer) {
            job.timer = Some(at);
            self.timers.push(Reverse((at, key, job.serial)));
        }
    }

    /// When there is something to do that nobody will tell of.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.unread.is_empty() {
            return Some(Instant::now());
        }
        let timer = self.timers.peek().map(|Reverse((at, ..))| *at);
        let runs = self.attempts.iter().map(|(_, attempt)| &attempt.run);
        let spare = self.late < self.limits.concurrency;
        let attempts = runs.flat_map(|run| [Some(run.deadline), run.late_at().filter(|_| spare)]).flatten();
        let pauses = self.upstreams.iter().filter_map(Upstream::paused_until);
        attempts.chain(pauses).chain(timer).min()
    }

    /// Whether a response has ended whose process may have said something that is not heard yet.
    pub(crate) fn awaits_word(&self) -> bool {
        self.attempts.iter().any(|(_, attempt)| attempt.end.is_some())
    }

    /// One round of work.
    pub(crate) fn turn(&mut self, token_of: TokenOf) {
        for place in std::mem::take(&mut self.unread) {
            self.proceed(place);
        }
        let now = Instant::now();
        self.ring(now);
        self.expire(now);
        let resumed: Vec<_> = self.upstreams.iter_mut().flat_map(|upstream| upstream.resume(now)).collect();
        self.requeue(&resumed);
        self.make_room(now);
        while self.attempts.len() - self.late < self.limits.concurrency {
            let Some((key, serial)) = self.queue.pop() else { break };
            if self.is_there(key, serial) {
                self.start(key, now, token_of);
            }
        }
    }

    fn is_there(&self, key: u32, serial: u64) -> bool {
        self.jobs.get(key as usize).is_some_and(|job| job.serial == serial)
    }

    /// Puts those of these jobs into the queue that are still there.
    fn requeue(&mut self, jobs: &[Waiting]) {
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
            let Some(job) = self.jobs.get_mut(key as usize).filter(|job| job.serial == serial) else { continue };
            if job.timer == Some(at) {
                job.timer = None;
            }
            if job.lapses(self.limits.timeout).is_some_and(|lapses| lapses <= now) {
                self.lapse(key);
                continue;
            }
            match job.next() {
                Some((due, reason)) if due <= now => {
                    if reason == Reason::Retry {
                        job.not_before = None;
                    }
                    job.due.get_or_insert(reason);
                    self.queue_up(key);
                }
                _ => self.set_timer(key),
            }
        }
    }
}
