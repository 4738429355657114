//! Renders: replaying a stream's script in the pool that it came from, when its data may have changed.
//!
//! ```text
//! notification, event, timer ─▶ job is due ─▶ queue ─▶ attempt: the request is sent again, with a token
//!                                                        │
//!        stream ◀── frames ◀── Rendered(token) ◀── PHP runs the script
//! ```
//!
//! The ordering thread owns all of it. At most `render_concurrency` attempts are in progress, and at most one for each job.
//! The queue holds each job once, so every job gets its turn however busy the topics of another are. Clients take turns as
//! well, and each gets at most half of the slots. An attempt whose script does not reach `sse_stream()` in time, because
//! its client holds a lock, gives up its slot; there are as many extra slots for late attempts.

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
pub(crate) mod state;
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
use crate::index::Index;
use crate::index::interner::PatternInterner;
use crate::quota::budget::{Account, Budget};
use crate::render::attempt::Attempt;
use crate::render::fields::FieldInterner;
use crate::render::figures::RenderStats;
use crate::render::job::{Job, JobPhase};
use crate::render::meter::Metered;
use crate::render::pending::TRIGGERS;
use crate::render::queue::{Queue, WaitingJob};
use crate::render::upstream::{NoReplay, Upstream, UpstreamAddress};
use crate::shard::command::Command;
use crate::stream::Trigger;
use crate::util::throttle::LogThrottle;
use sse_protocol::cause::Cause;
use sse_protocol::topic;
use sse_protocol::wire::{Protocol, Reason};

/// Most upstreams remembered, more than any hub has; when the table is full, one without streams is replaced.
const LISTENERS: usize = 1024;

/// Time in which a script must reach `sse_stream()` to keep its slot.
const PUNCTUAL: Duration = Duration::from_secs(1);

/// Stale queue entries allowed, on top of as many as there are jobs, before the queue is swept.
const LITTER: usize = 64;

/// Settings of renders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RenderLimits {
    /// Most attempts in progress, apart from late ones, of which there may be as many again.
    pub(crate) concurrency: usize,
    /// Longest duration of an attempt.
    pub(crate) timeout: Duration,
    /// Most bytes of pending events for one callback.
    pub(crate) pending: usize,
    /// Most bytes for all streams: their requests, and the pending events of their callbacks.
    pub(crate) bytes: usize,
}

/// All streams whose scripts can be replayed.
#[derive(Debug)]
pub(crate) struct Renders {
    limits: RenderLimits,
    jobs: Slab<Job>,
    /// Job keys by stream.
    by_stream: HashMap<u64, u32>,
    /// Keys of jobs with shared output, by script, upstream and key.
    shares: HashMap<(Arc<str>, u32, Box<str>), u32>,
    index: Index,
    /// Memory budget of all renders, and the account for memory that belongs to no single client.
    budget: Budget,
    common: Account,
    interner: FieldInterner,
    scripts: HashSet<Arc<str>>,
    upstreams: Vec<Upstream>,
    queue: Queue,
    timers: BinaryHeap<Reverse<(Instant, u32, u64)>>,
    attempts: Slab<Attempt>,
    /// Number of late attempts, which have given up their slots.
    late: usize,
    /// Attempts with more to read than one turn allows.
    unread: Vec<usize>,
    registry: Registry,
    /// Commands for the shards, by stream.
    effects: Vec<(u64, Command)>,
    /// Streams whose patterns changed, with the bytes that their quota is charged for them.
    watched: Vec<(u64, usize)>,
    serials: u64,
    fan_outs: u64,
    /// Calls of `wake` since the last `take_told`.
    told: usize,
    figures: RenderStats,
    failures: HashMap<Arc<str>, LogThrottle>,
    scratch: Box<[u8]>,
}

/// Maps an attempt's key to its poll token, as the ordering thread chooses it.
type TokenOf = fn(usize) -> Token;

/// What the hub knows of a token.
#[derive(Debug)]
pub(crate) enum Known<'a> {
    /// The token of an attempt.
    Run(ReplayReply<'a>),
    /// The token of an attempt that is no longer wanted.
    Over,
    /// No token of the hub.
    No,
}

/// The reply to a process with a valid token.
#[derive(Debug)]
pub(crate) struct ReplayReply<'a> {
    pub(crate) stream: u64,
    pub(crate) reason: Reason,
    pub(crate) remote: (&'a str, &'a str),
    pub(crate) last_event_id: Option<&'a str>,
}

/// The output of a script's call.
#[derive(Debug)]
pub(crate) struct CallOutput<'a> {
    pub(crate) render: bool,
    pub(crate) share: Option<&'a str>,
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) last_id: Option<&'a str>,
    /// The streams end for good after it.
    pub(crate) ends: bool,
    pub(crate) frames: &'a [u8],
}

impl Renders {
    /// Renders without streams. `names` and `registry` are the ordering thread's.
    pub(crate) fn new(limits: RenderLimits, names: Arc<PatternInterner>, registry: Registry) -> Self {
        let budget = Budget::new("sse.render_bytes", limits.bytes);
        Self {
            limits,
            jobs: Slab::new(),
            by_stream: HashMap::new(),
            shares: HashMap::new(),
            index: Index::new(names),
            interner: FieldInterner::default(),
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

    /// Takes the commands for the shards.
    pub(crate) fn take_effects(&mut self) -> Vec<(u64, Command)> {
        std::mem::take(&mut self.effects)
    }

    /// Calls of `wake` since the last call of this.
    pub(crate) fn take_told(&mut self) -> usize {
        std::mem::take(&mut self.told)
    }

    /// Takes the streams whose patterns changed since the last call, with the bytes that their quota is charged for them.
    pub(crate) fn take_watched(&mut self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.watched)
    }

    /// Bytes kept for all streams.
    pub(crate) fn bytes(&self) -> usize {
        self.budget.used()
    }

    /// The counters for `sse_stats()`.
    pub(crate) fn report(&self) -> Value {
        let queued = self.queue.len() + self.upstreams.iter().map(|upstream| upstream.waiting.len()).sum::<usize>();
        self.figures.report(self.by_stream.len(), queued, (self.attempts.len(), self.late), self.budget.used())
    }

    /// Finds or adds the upstream that a connection came from, if requests can be sent there.
    pub(crate) fn upstream(&mut self, connection: BorrowedFd<'_>, protocol: Protocol<'_>) -> Result<u32, NoReplay> {
        let address = UpstreamAddress::of(connection)?;
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
        // `php -S` would log an error for a connection without a request.
        if protocol == Protocol::FastCgi {
            upstream.probe()?;
        }
        Ok(place as u32)
    }

    /// The place of an upstream without streams, if the table is full. A client may choose the local address of its
    /// connection, so the table must not grow without bound.
    fn forget_a_listener(&self) -> Option<usize> {
        if self.upstreams.len() < LISTENERS {
            return None;
        }
        let runs: HashSet<u32> = self.attempts.iter().map(|(_, attempt)| attempt.run.upstream).collect();
        let mut idle = self.upstreams.iter().enumerate().filter(|(_, upstream)| upstream.jobs == 0);
        idle.find(|(place, _)| !runs.contains(&(*place as u32))).map(|(place, _)| place)
    }

    /// Adds a published event to the jobs that watch its topics, but not to that of the stream `except` alone; 0: to all. Returns
    /// whether there is one.
    pub(crate) fn event(&mut self, event: &Arc<Event>, except: u64) -> bool {
        let limit = self.limits.pending;
        let reached = self.told_of(event.topics(), except);
        // No message is built for an event that no job watches.
        if reached.is_empty() {
            return false;
        }
        let event = Metered::new(event, event.message().len(), &self.common);
        for job in reached {
            let Job { pending, account, .. } = &mut self.jobs[job as usize];
            pending.add_event(&event, limit, account);
            self.wake(job, Reason::Wake);
        }
        true
    }

    /// Adds notifications of changed topics, or of all topics, to the jobs that watch them.
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

    /// Adds more notifications than one callback gets singly: each pattern is looked up once for all of them.
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

    /// Whether a callback watches a topic.
    pub(crate) fn watches(&self, topic: &str) -> bool {
        let mut watched = false;
        self.index.each_entry(topic, |_| watched = true);
        watched
    }

    /// The jobs that are told of an event with these topics: not that which only the stream `except` has.
    fn told_of(&mut self, topics: &[Box<str>], except: u64) -> Vec<u32> {
        let mut reached = self.reached(topics.iter().map(AsRef::as_ref));
        if except != 0 {
            let is_of = |key: &u32| matches!(&self.jobs[*key as usize].subscribers[..], [one] if one.stream == except);
            reached.retain(|key| !is_of(key));
        }
        reached
    }

    /// The jobs that watch any of these topics, without duplicates.
    pub(crate) fn reached<'a>(&mut self, topics: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
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

    /// Makes a job due.
    fn wake(&mut self, key: u32, reason: Reason) {
        self.told += 1;
        let job = &mut self.jobs[key as usize];
        if job.due.is_some() {
            self.figures.counts.coalesced += 1;
        }
        // A notification is a stronger reason than a timer.
        if job.due.is_none() || reason == Reason::Wake {
            job.due = Some(reason);
        }
        self.queue_up(key);
    }

    /// Queues a job that is due and may run.
    fn queue_up(&mut self, key: u32) {
        let job = &mut self.jobs[key as usize];
        if job.due.is_some() && job.state == JobPhase::Resting && job.not_before.is_none() && job.is_open() {
            job.state = JobPhase::Queued;
            // The job's next request is that of its next stream.
            job.rotate();
            self.enqueue(key);
        }
        self.set_timer(key);
    }

    /// Queues a job under its client.
    fn enqueue(&mut self, key: u32) {
        let job = &self.jobs[key as usize];
        if let Some(subscriber) = job.subscribers.first() {
            self.queue.push(subscriber.client, subscriber.request.client(), (key, job.serial));
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
        // An earlier entry sets the timer again when it fires.
        if job.timer.is_none_or(|timer| at < timer) {
            job.timer = Some(at);
            self.timers.push(Reverse((at, key, job.serial)));
        }
    }

    /// When the next turn is due without an outside event.
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

    /// Whether a response has ended while messages of its script's process may still be unread.
    pub(crate) fn awaits_word(&self) -> bool {
        self.attempts.iter().any(|(_, attempt)| attempt.end.is_some())
    }

    /// Does one round of work.
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

    /// Queues those of these jobs that still exist.
    fn requeue(&mut self, jobs: &[WaitingJob]) {
        for &(key, serial) in jobs {
            if self.is_there(key, serial) {
                self.enqueue(key);
            }
        }
    }

    /// Handles the timers that are due.
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
