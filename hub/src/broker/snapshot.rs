//! The broker's state in an upgrade.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::counts::BrokerCounts;
use crate::broker::keys::KeyCounts;
use crate::broker::stream_id::{self, StreamIds};
use crate::error::HubError;
use crate::event::Event;
use crate::presence::PresenceCounts;
use crate::render::state::RendersState;
use crate::shard::handle::ShardHandle;
use crate::stats::EndReason;
use crate::stats::ShardCounts;
use crate::store::Store;
use crate::store::history::snapshot::HistoryState;
use crate::store::history::{History, HistoryLimits};
use crate::store::redis::TailPosition;
use crate::store::report::KnownKey;
use crate::store::sqlite::SqliteCounts;
use crate::stream::Stream;
use serde::{Deserialize, Serialize};
use sse_protocol::id::Id;
use sse_protocol::presence::PREFIX;

/// State of the broker, beside streams, events and render jobs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BrokerState<'a> {
    /// Number of upgrades before.
    pub(crate) upgrades: u64,
    /// Key of the streams' public ids.
    pub(crate) stream_key: [u8; stream_id::KEY],
    /// Counters of the ordering thread.
    pub(crate) counts: BrokerCounts,
    #[serde(borrow)]
    pub(crate) shards: ShardCounts<'a>,
    /// The last stamp given.
    pub(crate) clock: Id,
    /// Id that stands for the newest one of a bus that is not read yet.
    pub(crate) unread: &'a str,
    pub(crate) history: HistoryState<'a>,
    /// What was written to the history's file.
    pub(crate) written: SqliteCounts,
    pub(crate) bus: BusState,
    pub(crate) renders: RendersState,
    /// Last values dropped.
    pub(crate) retained_dropped: u64,
    pub(crate) key_counts: KeyCounts,
    /// Keys of publications by age, with the stamp and the id of the event.
    pub(crate) keys: Vec<(&'a str, Id, &'a str)>,
    pub(crate) presence: PresenceCounts,
}

/// How far the bus was read and delivered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BusState {
    /// Whether it was read at all.
    pub(crate) loaded: bool,
    pub(crate) position: Id,
    pub(crate) place: Option<TailPosition>,
    /// The number by which other hubs know this one's members.
    pub(crate) hub: u64,
}

impl Broker {
    /// The state to pass to the new hub.
    pub(crate) fn state(&self) -> BrokerState<'_> {
        BrokerState {
            upgrades: self.upgrades,
            stream_key: self.stream_ids.key(),
            counts: self.counts,
            shards: self.shard_counts(),
            clock: self.clock.last(),
            unread: &self.unread,
            history: self.history.state(),
            written: self.written,
            bus: self.bus_state(),
            renders: self.renders.state(),
            retained_dropped: self.retained.dropped,
            key_counts: self.keys.counts,
            keys: self.keys.state(),
            presence: self.presence.counts,
        }
    }

    /// Sums of the shards' counters.
    fn shard_counts(&self) -> ShardCounts<'static> {
        ShardCounts {
            opened: self.sum(|stats| stats.opened.get()),
            ended_held: self.sum(|stats| stats.ended_held.get()),
            ended: EndReason::ALL.iter().map(|why| (why.name(), self.sum(|stats| stats.ended(*why)))).collect(),
            delivered: self.sum(|stats| stats.delivered.get()),
            delivered_bytes: self.sum(|stats| stats.delivered_bytes.get()),
            heartbeats: self.sum(|stats| stats.heartbeats.get()),
            superseded: self.sum(|stats| stats.superseded.get()),
            spread: self.sum(|stats| stats.spread.get()),
            padding_bytes: self.sum(|stats| stats.padding_bytes.get()),
        }
    }

    /// Read position of the bus, once the store is closed.
    fn bus_state(&self) -> BusState {
        let mut place = self.place.clone().filter(|_| self.loaded);
        if let Some(place) = place.as_mut().filter(|place| place.position != self.position) {
            // The position of the last delivered event counts.
            (place.position, place.ordinal) = (self.position, None);
        }
        BusState { loaded: self.loaded, position: self.position, place, hub: self.hub }
    }

    /// Whether a request waits for a search, for the shards or for Redis.
    pub(crate) fn waits_for_others(&self) -> bool {
        !self.resuming.is_empty()
            || self.presence.has_subscriptions_to_tell()
            || self.inquiries.have_askers()
            || self.deferred.deadline().is_some()
            || matches!(&self.store, Store::Bus(bus) if !bus.is_idle())
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
        if stream.spec.stream_id && !patterns.is_empty() {
            let of_hub = |topic: &str| self.presence.tells(stream.id, topic);
            let own = patterns.iter().filter(|pattern| !pattern.strip_prefix(PREFIX).is_some_and(of_hub));
            self.steerable.keep(stream.id, own.cloned().collect());
        }
        self.templates.restore(stream.id, stream.client, patterns.iter().map(AsRef::as_ref));
        self.shard(stream.id).adopt(stream, patterns, ends)
    }

    /// Restores the broker from the old hub's state.
    pub(crate) fn inherit(&mut self, state: &BrokerState<'_>, events: Vec<(Id, Arc<Event>)>) {
        self.stream_ids = StreamIds::of_key(state.stream_key);
        self.counts = state.counts;
        self.before.restore(&state.shards);
        self.written = state.written;
        let BusState { loaded, position, place, hub } = &state.bus;
        (self.position, self.place, self.hub) = (*position, place.clone(), *hub);
        if self.config.bus.is_some() {
            // This hub subscribes anew, and then notifies all topics once.
            (self.loaded, self.listening) = (*loaded, false);
        }
        self.upgrades = state.upgrades + 1;
        self.clock.pass(state.clock);
        state.unread.clone_into(&mut self.unread);
        let limits = HistoryLimits::of(&self.config);
        let on_disk = self.config.history_file.is_some();
        self.history = History::inherit(limits, &state.history, events, on_disk);
        self.renders.inherit(&state.renders);
        self.retained.dropped = state.retained_dropped;
        self.keys.counts = state.key_counts;
        let known = |&(key, stamp, id): &(&str, Id, &str)| KnownKey { key: key.into(), stamp, id: id.into() };
        self.keys.restore(state.keys.iter().map(known).collect());
        self.presence.counts = state.presence;
    }

    /// Starts the store after [`close_store`](Self::close_store), or for the first time after an upgrade.
    pub(crate) fn resume_store(&mut self) -> io::Result<()> {
        if !matches!(self.store, Store::Memory) {
            return Ok(());
        }
        let (sender, reports) = crossbeam_channel::unbounded();
        let presence = self.presence_start();
        self.store = Store::resume(
            &self.config,
            self.history.newest(),
            self.written,
            self.place.take(),
            presence,
            sender,
            Arc::clone(&self.ordering_thread),
        )?;
        self.reports = reports;
        self.expire(Instant::now());
        Ok(())
    }
}
