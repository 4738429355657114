//! Shards in processes of their own: which one gets a stream, and what happens when one is killed.

use std::io;
use std::sync::Arc;

use mio::{Registry, Token};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::broker::report;
use crate::config::Config;
use crate::shard::handle::ShardHandle;
use crate::shard::process::fork_server::ForkServer;
use crate::shard::process::remote::{self, Remote};
use crate::shard::process::{self, Common};
use crate::shard::thread::{self, ShardThread};
use crate::stats::ShardStats;
use crate::sys;

/// Where the shards run.
#[derive(Debug)]
pub(crate) enum Placement {
    /// In threads of this process, one for each element.
    Threads(&'static [ShardStats]),
    /// In processes of their own, one for each element.
    Processes(&'static [ShardStats], Arc<ForkServer>),
}

impl Placement {
    /// Prepares for this many processes; 1: threads of this one. Must run before the process starts any thread.
    pub(crate) fn new(config: &Config, processes: usize, common: Common) -> io::Result<Self> {
        if processes > 1 {
            let counters = sys::counters(processes)?;
            return Ok(Self::Processes(counters, Arc::new(ForkServer::new(common, counters)?)));
        }
        // Half of the cores. Sending from all of them costs more, because nginx, PHP and local clients then compete with the
        // shards.
        let count = if config.shards == 0 { process::cores().div_ceil(2) } else { config.shards };
        Ok(Self::Threads(sys::counters(count)?))
    }

    /// Makes the shards, not started yet.
    pub(crate) fn shards(
        self,
        shared: &thread::ShardContext,
        registry: &Registry,
        token_of: fn(usize) -> Token,
    ) -> io::Result<Vec<ShardHandle>> {
        match self {
            Self::Threads(counters) => {
                let shards = counters.iter().enumerate();
                let shards = shards.map(|(nth, stats)| ShardThread::new(nth, stats, shared.clone()));
                shards.map(|shard| shard.map(ShardHandle::Here)).collect()
            }
            Self::Processes(counters, fork_server) => {
                let (reports, started) = (shared.reports.clone(), shared.started);
                let shared = remote::RemoteContext { fork_server, count: counters.len(), reports, started };
                let shards = counters
                    .iter()
                    .enumerate()
                    .map(|(nth, stats)| Remote::new(nth, shared.clone(), stats, registry.try_clone()?, token_of(nth)));
                shards.map(|shard| shard.map(|shard| ShardHandle::Elsewhere(shard.into()))).collect()
            }
        }
    }
}

/// Maximum number of streams in all shards, as far as descriptors allow.
pub(crate) fn room(config: &Config, shards: &[ShardHandle], descriptors: usize) -> usize {
    match shards.iter().filter(|shard| shard.process().is_some()).count() {
        0 => process::room_here(config, descriptors),
        count => process::room_elsewhere(descriptors).saturating_mul(count),
    }
}

impl Broker {
    /// Allocates the id of a new stream; `None` if no process has a free descriptor. The id determines the shard, so ids are
    /// skipped to reach the process with the fewest streams.
    pub(crate) fn next_stream(&mut self) -> Option<u64> {
        let next = self.counts.last_stream + 1;
        let count = self.shards.len() as u64;
        let most = process::room_elsewhere(self.descriptors) as u64;
        let candidates = (next..next + count).filter_map(|id| {
            let process = self.shards[(id % count) as usize].process()?;
            process.pid().map(|_| (process.streams(), id))
        });
        let id = if self.shards.iter().any(|shard| shard.process().is_some()) {
            candidates.filter(|(streams, _)| *streams < most).min()?.1
        } else {
            next
        };
        self.counts.last_stream = id;
        Some(id)
    }

    /// Handles an event on the socket to a shard's process.
    pub(crate) fn shard_ready(&mut self, number: usize) {
        if let Some(process) = self.shards.get_mut(number).and_then(ShardHandle::process_mut) {
            process.ready();
        }
    }

    /// Replaces processes that have ended, and releases their streams.
    pub(crate) fn replace_lost(&mut self) {
        let count = self.shards.len() as u64;
        for number in 0..self.shards.len() {
            let Some(process) = self.shards[number].process_mut() else { return };
            let lost = process.take_lost();
            process.replace();
            if lost.is_none() {
                continue;
            }
            self.counts.processes_lost += 1;
            // A lost shard won't answer the current round, nor an inquiry.
            self.relief.done_by(&self.shards[number]);
            self.inquiries.lost(u32::try_from(number).unwrap_or(u32::MAX));
            // Every stream is charged, so this finds all of them, but for those that were bound to end. Of these only render
            // jobs are left.
            let all = self.topics.streams().chain(self.renders.streams());
            let gone: Vec<u64> = all.filter(|stream| stream % count == number as u64).collect();
            for stream in gone {
                self.renders.ended(stream);
                self.uncount(stream);
            }
        }
    }

    /// Lets the pipes to the processes drop evicted events.
    pub(crate) fn tidy_processes(&mut self) {
        self.shards.iter_mut().filter_map(ShardHandle::process_mut).for_each(Remote::tidy);
    }

    /// Statistics for each process; `None` if the hub has no stream processes.
    pub(crate) fn processes(&self) -> Option<Vec<Value>> {
        let processes: Vec<Value> = self
            .shards
            .iter()
            .filter_map(ShardHandle::process)
            .map(|process| {
                let resident = process.pid().and_then(report::resident).unwrap_or_default();
                json!({ "pid": process.pid(), "streams": process.streams(), "resident_bytes": resident })
            })
            .collect();
        (!processes.is_empty()).then_some(processes)
    }
}
