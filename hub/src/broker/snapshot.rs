//! The broker's state in an upgrade.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::broker::Broker;
use crate::event::Event;
use crate::run::HubError;
use crate::shard::handle::ShardHandle;
use crate::stats::Ended;
use crate::store::Store;
use crate::store::history::{History, Limits};
use crate::store::sqlite::Written;
use crate::stream::Stream;
use crate::upgrade::state::{BusState, HubState, ShardCounts};
use sse_protocol::id::Id;

impl Broker {
    /// Sums of the shards' counters.
    pub(crate) fn shard_counts(&self) -> ShardCounts<'static> {
        ShardCounts {
            opened: self.sum(|stats| stats.opened.get()),
            ended_held: self.sum(|stats| stats.ended_held.get()),
            ended: Ended::ALL.iter().map(|why| (why.name(), self.sum(|stats| stats.ended(*why)))).collect(),
            delivered: self.sum(|stats| stats.delivered.get()),
            delivered_bytes: self.sum(|stats| stats.delivered_bytes.get()),
            heartbeats: self.sum(|stats| stats.heartbeats.get()),
        }
    }

    /// Counters of the closed store.
    pub(crate) fn written(&self) -> Written {
        self.written
    }

    /// Read position of the bus, once the store is closed.
    pub(crate) fn bus_state(&self) -> BusState {
        let mut place = self.place.clone().filter(|_| self.loaded);
        if let Some(place) = place.as_mut().filter(|place| place.position != self.position) {
            // The position of the last delivered event counts.
            (place.position, place.ordinal) = (self.position, None);
        }
        BusState { loaded: self.loaded, position: self.position, place }
    }

    /// Whether a request waits for a search or for Redis.
    pub(crate) fn waits_for_others(&self) -> bool {
        !self.resuming.is_empty()
            || self.parked.deadline().is_some()
            || matches!(&self.store, Store::Bus(bus) if !bus.is_idle())
    }

    /// The newest stamp, and the stand-in for the newest id of an unread bus.
    pub(crate) fn place(&self) -> (Id, &str) {
        (self.clock.last(), &self.unread)
    }

    /// Lets all shards finish their commands, then pauses them.
    pub(crate) fn pause_shards(&mut self) -> Result<(), HubError> {
        self.shards.iter_mut().try_for_each(ShardHandle::pause)
    }

    /// Waits until all adopted streams have reached their shards.
    pub(crate) fn settle_shards(&mut self) -> io::Result<()> {
        self.shards.iter_mut().try_for_each(ShardHandle::settle)
    }

    /// Gives a stream of the old hub to its shard.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        self.shard(stream.id).adopt(stream, patterns, ends)
    }

    /// Restores the broker from the old hub's state.
    pub(crate) fn inherit(&mut self, state: &HubState<'_>, events: Vec<(Id, Arc<Event>)>) {
        self.counts = state.counts;
        self.before.restore(&state.shards);
        self.written = state.written;
        let BusState { loaded, position, place } = &state.bus;
        (self.position, self.place) = (*position, place.clone());
        if self.config.bus.is_some() {
            // This hub subscribes anew, and then notifies all topics once.
            (self.loaded, self.listening) = (*loaded, false);
        }
        self.upgrades = state.upgrades + 1;
        self.clock.pass(state.clock);
        state.unread.clone_into(&mut self.unread);
        let limits = Limits::of(&self.config);
        let on_disk = self.config.history_file.is_some();
        self.history = History::inherit(limits, &state.history, events, on_disk);
        self.renders.inherit(&state.renders);
    }

    /// Starts the store after [`close_store`](Self::close_store), or for the first time after an upgrade.
    pub(crate) fn resume_keeper(&mut self) -> io::Result<()> {
        if !matches!(self.store, Store::Memory) {
            return Ok(());
        }
        let (sender, news) = crossbeam_channel::unbounded();
        self.store = Store::resume(
            &self.config,
            self.history.newest(),
            self.written,
            self.place.take(),
            sender,
            Arc::clone(&self.router),
        )?;
        self.news = news;
        self.expire(Instant::now());
        Ok(())
    }
}
