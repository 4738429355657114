//! The streams of render jobs: attach, open, watch, end.

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use crate::index::Watcher;
use crate::quota::budget::Exhausted;
use crate::quota::topics;
use crate::render::Renders;
use crate::render::client::ClientHash;
use crate::render::fingerprint::{Fingerprint, WatchedPatterns};
use crate::render::job::{Job, Subscriber};
use crate::render::request::ReplayRequest;
use crate::render::upstream::NoReplay;
use crate::shard::command::Command;
use sse_protocol::cause::Cause;
use sse_protocol::wire::{OriginalRequest, Replay};

impl Renders {
    /// Keeps the request of a stream that is about to be attached.
    ///
    /// # Errors
    /// If the client's quota or the memory budget is exceeded.
    pub(crate) fn keep(
        &mut self,
        original: &OriginalRequest<'_>,
        address: Option<&str>,
    ) -> Result<ReplayRequest, NoReplay> {
        let script = self.script(original.script);
        let account = self.budget.account(address);
        let request = ReplayRequest::new(original, script, &mut self.interner, &account);
        let Err(exhausted) = account.check() else { return Ok(request) };
        self.let_go(request);
        self.figures.counts.refused += 1;
        let cause = if matches!(exhausted, Exhausted::Whole { .. }) { Cause::Load } else { Cause::Client };
        Err(NoReplay::new(cause, format!("another request of a stream with a callback can't be kept: {exhausted}")))
    }

    /// Drops a request; the opposite of [`keep`](Self::keep).
    fn let_go(&mut self, request: ReplayRequest) {
        let script = Arc::clone(&request.script);
        request.release(&mut self.interner);
        // One reference is the set's, the other one is `script`.
        if Arc::strong_count(&script) == 2 {
            self.scripts.remove(&script);
        }
    }

    /// Adds a stream that is not open yet to its job. True if it gets the last output of its share key.
    pub(crate) fn attach(
        &mut self,
        stream: u64,
        upstream: u32,
        (client, request): (ClientHash, ReplayRequest),
        replay: &Replay<'_>,
        patterns: &[&str],
    ) -> bool {
        let script = Arc::clone(&request.script);
        let subscriber = Subscriber { stream, client, request, open: false };
        let shared = replay.share.map(|key| (script, upstream, Box::<str>::from(key)));
        let known = shared.as_ref().and_then(|share| self.shares.get(share)).copied();
        let key = known.unwrap_or_else(|| {
            self.serials += 1;
            self.upstreams[upstream as usize].jobs += 1;
            let account = subscriber.request.reservation.account();
            self.jobs.insert(Job::new(self.serials, upstream, replay, account)) as u32
        });
        let job = &mut self.jobs[key as usize];
        job.subscribers.push(subscriber);
        self.by_stream.insert(stream, key);
        if let Some(output) = &job.output {
            self.effects.push((stream, Command::Frames { stream, frames: Arc::clone(output) }));
            return true;
        }
        if let Some(share) = shared {
            self.shares.insert(share, key);
        }
        self.watch(key, replay.render, patterns);
        false
    }

    /// Opens a stream after its hand-off.
    pub(crate) fn open(&mut self, stream: u64) {
        let Some(&key) = self.by_stream.get(&stream) else { return };
        let job = &mut self.jobs[key as usize];
        let first = !job.is_open();
        for subscriber in job.subscribers.iter_mut().filter(|subscriber| subscriber.stream == stream) {
            subscriber.open = true;
        }
        if first {
            job.ran(Instant::now());
        }
        self.queue_up(key);
    }

    /// The streams that have a job.
    pub(crate) fn streams(&self) -> impl Iterator<Item = u64> {
        self.by_stream.keys().copied()
    }

    /// Removes a stream that has ended.
    pub(crate) fn ended(&mut self, stream: u64) {
        let Some(key) = self.by_stream.remove(&stream) else { return };
        self.disown(stream);
        let job = &mut self.jobs[key as usize];
        if let Some(place) = job.subscribers.iter().position(|subscriber| subscriber.stream == stream) {
            let request = job.subscribers.swap_remove(place).request;
            if job.subscribers.is_empty() {
                self.remove(key, &request.script);
            } else {
                self.queue_up(key);
            }
            self.let_go(request);
        }
    }

    pub(crate) fn remove(&mut self, key: u32, script: &Arc<str>) {
        self.unwatch(key);
        let job = self.jobs.remove(key as usize);
        self.upstreams[job.upstream as usize].jobs -= 1;
        if let Some(share) = job.share {
            self.shares.remove(&(Arc::clone(script), job.upstream, share));
        }
        if self.jobs.is_empty() {
            // Frees the memory that the busiest hour took.
            self.jobs = Slab::new();
            self.by_stream = HashMap::new();
            self.timers = BinaryHeap::new();
        }
    }

    pub(crate) fn script(&mut self, path: &str) -> Arc<str> {
        if let Some(known) = self.scripts.get(path) {
            return Arc::clone(known);
        }
        let script: Arc<str> = path.into();
        self.scripts.insert(Arc::clone(&script));
        script
    }

    /// Watches these patterns too, until [`watch`](Self::watch) sets those of the output.
    pub(crate) fn watch_also(&mut self, key: u32, patterns: &[&str]) {
        let job = &mut self.jobs[key as usize];
        if job.watched == WatchedPatterns::These(Fingerprint::of_list(patterns)) || !job.render {
            return;
        }
        job.watched = WatchedPatterns::More;
        let mut places = std::mem::take(&mut job.places).into_vec();
        for pattern in patterns {
            let place = self.index.insert(pattern, Watcher { stream: key, nth: places.len() as u32 });
            // The index holds a watcher once for each pattern. Removing the last entry of a list moves no other one.
            if places.iter().any(|known| known.is_beside(place)) {
                self.index.remove(place);
            } else {
                places.push(place);
            }
        }
        self.jobs[key as usize].places = places.into_boxed_slice();
        let bytes = self.jobs[key as usize].places.iter().map(|place| topics::cost(self.index.pattern(*place))).sum();
        self.tell_watched(key, bytes);
    }

    fn tell_watched(&mut self, key: u32, bytes: usize) {
        let subscribers = self.jobs[key as usize].subscribers.iter();
        self.watched.extend(subscribers.map(|subscriber| (subscriber.stream, bytes)));
    }

    /// Sets the patterns and whether the job has a callback. Without one, its streams get the events themselves.
    pub(crate) fn watch(&mut self, key: u32, render: bool, patterns: &[&str]) {
        let these = WatchedPatterns::These(Fingerprint::of_list(patterns));
        let job = &mut self.jobs[key as usize];
        if job.watched == these && job.render == render {
            return;
        }
        let first = job.watched == WatchedPatterns::Unsaid;
        (job.watched, job.render) = (these, render);
        self.unwatch(key);
        if render {
            let nth = 0..patterns.len() as u32;
            let watchers = nth.map(|nth| Watcher { stream: key, nth });
            let places = patterns.iter().zip(watchers).map(|(pattern, watcher)| self.index.insert(pattern, watcher));
            self.jobs[key as usize].places = places.collect();
        }
        // The shard got the first patterns with the stream itself.
        if !first {
            self.tell_watched(key, patterns.iter().map(|pattern| topics::cost(pattern)).sum());
            let streams = self.jobs[key as usize].subscribers.iter().map(|subscriber| subscriber.stream);
            let patterns: Vec<Box<str>> =
                if render { Vec::new() } else { patterns.iter().copied().map(Into::into).collect() };
            self.effects.extend(streams.map(|stream| (stream, Command::Watch { stream, patterns: patterns.clone() })));
        }
    }

    /// The streams whose callbacks watch a topic.
    pub(crate) fn watching(&mut self, topic: &str) -> Vec<u64> {
        let jobs = self.reached([topic]).into_iter().map(|key| &self.jobs[key as usize]);
        jobs.flat_map(|job| job.subscribers.iter().map(|subscriber| subscriber.stream)).collect()
    }

    /// How many streams' callbacks are told of an event with these topics, and of how many jobs they are.
    pub(crate) fn count_watching(&mut self, topics: &[Box<str>], except: u64) -> (u64, usize) {
        let jobs = self.told_of(topics, except);
        (jobs.iter().map(|key| self.jobs[*key as usize].subscribers.len() as u64).sum(), jobs.len())
    }

    /// What the callback of a stream watches, sorted.
    pub(crate) fn patterns(&self, stream: u64) -> Vec<Box<str>> {
        let places = self.by_stream.get(&stream).into_iter().flat_map(|key| &*self.jobs[*key as usize].places);
        let mut patterns: Vec<Box<str>> = places.map(|place| self.index.pattern(*place).into()).collect();
        patterns.sort_unstable();
        patterns
    }

    /// Whether a stream has a job with a callback.
    pub(crate) fn has_callback(&self, stream: u64) -> bool {
        self.by_stream.get(&stream).is_some_and(|key| self.jobs[*key as usize].render)
    }

    pub(crate) fn unwatch(&mut self, key: u32) {
        for place in std::mem::take(&mut self.jobs[key as usize].places) {
            if let Some(moved) = self.index.remove(place)
                && let Some(other) = self.jobs.get_mut(moved.stream as usize)
                && let Some(other) = other.places.get_mut(moved.nth as usize)
            {
                other.moved_to(place);
            }
        }
    }
}
