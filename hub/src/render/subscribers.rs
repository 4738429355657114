//! The streams that can be rendered: they come, open, watch topics, and go.

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use crate::quota::budget::Exhausted;
use crate::quota::topics;
use crate::render::Renders;
use crate::render::client::Client;
use crate::render::fingerprint::{Fingerprint, Watched};
use crate::render::job::{Member, Unit};
use crate::render::request::Request;
use crate::render::upstream::NoReplay;
use crate::shard::command::Command;
use crate::shard::index::Watcher;
use sse_protocol::cause::Cause;
use sse_protocol::wire::{OriginalRequest, Replay};

impl Renders {
    /// Keeps the request of a stream that is about to be attached.
    ///
    /// # Errors
    /// If there is no room for it.
    pub(crate) fn keep(&mut self, original: &OriginalRequest<'_>, address: Option<&str>) -> Result<Request, NoReplay> {
        let script = self.script(original.script);
        let account = self.budget.account(address);
        let request = Request::new(original, script, &mut self.pool, &account);
        let Err(exhausted) = account.check() else { return Ok(request) };
        self.let_go(request);
        self.figures.refused += 1;
        let cause = if matches!(exhausted, Exhausted::Whole { .. }) { Cause::Load } else { Cause::Client };
        Err(NoReplay::new(cause, format!("another request of a stream with a callback can't be kept: {exhausted}")))
    }

    /// The opposite of [`keep`](Self::keep).
    fn let_go(&mut self, request: Request) {
        let script = Arc::clone(&request.script);
        request.release(&mut self.pool);
        // The set's own, and this one.
        if Arc::strong_count(&script) == 2 {
            self.scripts.remove(&script);
        }
    }

    /// Takes a stream on, held for now. True if it is sent what others of the same key were sent last.
    pub(crate) fn attach(
        &mut self,
        stream: u64,
        listener: u32,
        (client, request): (Client, Request),
        replay: &Replay<'_>,
        patterns: &[&str],
    ) -> bool {
        let script = Arc::clone(&request.script);
        let member = Member { stream, client, request, open: false };
        let shared = replay.share.map(|key| (script, listener, Box::<str>::from(key)));
        let known = shared.as_ref().and_then(|share| self.shares.get(share)).copied();
        let key = known.unwrap_or_else(|| {
            self.serials += 1;
            self.listeners[listener as usize].units += 1;
            let account = member.request.reservation.account();
            self.units.insert(Unit::new(self.serials, listener, replay, account)) as u32
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
        self.disown(stream);
        let unit = &mut self.units[key as usize];
        if let Some(place) = unit.members.iter().position(|member| member.stream == stream) {
            let request = unit.members.swap_remove(place).request;
            if unit.members.is_empty() {
                self.remove(key, &request.script);
            } else {
                self.queue_up(key);
            }
            self.let_go(request);
        }
    }

    pub(crate) fn remove(&mut self, key: u32, script: &Arc<str>) {
        self.unwatch(key);
        let unit = self.units.remove(key as usize);
        self.listeners[unit.listener as usize].units -= 1;
        if let Some(share) = unit.share {
            self.shares.remove(&(Arc::clone(script), unit.listener, share));
        }
        if self.units.is_empty() {
            // Memory of the busiest hour shouldn't stay for ever.
            self.units = Slab::new();
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

    /// Watches these patterns as well until [`watch`](Self::watch) sets what the run has come to.
    pub(crate) fn watch_also(&mut self, key: u32, patterns: &[&str]) {
        let unit = &mut self.units[key as usize];
        if unit.watched == Watched::These(Fingerprint::of_list(patterns)) || !unit.render {
            return;
        }
        unit.watched = Watched::More;
        let mut places = std::mem::take(&mut unit.places).into_vec();
        for pattern in patterns {
            let place = self.index.insert(pattern, Watcher { stream: key, nth: places.len() as u32 });
            // The index knows a watcher of a pattern once. The last of a list goes without moving another one.
            if places.iter().any(|known| known.is_beside(place)) {
                self.index.remove(place);
            } else {
                places.push(place);
            }
        }
        self.units[key as usize].places = places.into_boxed_slice();
        let bytes = self.units[key as usize].places.iter().map(|place| topics::cost(self.index.pattern(*place))).sum();
        self.tell_watched(key, bytes);
    }

    fn tell_watched(&mut self, key: u32, bytes: usize) {
        let members = self.units[key as usize].members.iter();
        self.watched.extend(members.map(|member| (member.stream, bytes)));
    }

    /// Sets what a unit is rendered for. Without a callback its stream gets the events themselves.
    pub(crate) fn watch(&mut self, key: u32, render: bool, patterns: &[&str]) {
        let these = Watched::These(Fingerprint::of_list(patterns));
        let unit = &mut self.units[key as usize];
        if unit.watched == these && unit.render == render {
            return;
        }
        let first = unit.watched == Watched::Unsaid;
        (unit.watched, unit.render) = (these, render);
        self.unwatch(key);
        if render {
            let nth = 0..patterns.len() as u32;
            let watchers = nth.map(|nth| Watcher { stream: key, nth });
            let places = patterns.iter().zip(watchers).map(|(pattern, watcher)| self.index.insert(pattern, watcher));
            self.units[key as usize].places = places.collect();
        }
        // At first the shard has been told with the stream itself.
        if !first {
            self.tell_watched(key, patterns.iter().map(|pattern| topics::cost(pattern)).sum());
            let streams = self.units[key as usize].members.iter().map(|member| member.stream);
            let patterns: Vec<Box<str>> =
                if render { Vec::new() } else { patterns.iter().copied().map(Into::into).collect() };
            self.effects.extend(streams.map(|stream| (stream, Command::Watch { stream, patterns: patterns.clone() })));
        }
    }

    pub(crate) fn unwatch(&mut self, key: u32) {
        for place in std::mem::take(&mut self.units[key as usize].places) {
            if let Some(moved) = self.index.remove(place)
                && let Some(other) = self.units.get_mut(moved.stream as usize)
                && let Some(other) = other.places.get_mut(moved.nth as usize)
            {
                other.moved_to(place);
            }
        }
    }
}
