//! Shards in processes of their own: which one gets a stream, and what happens when one is killed.

use std::io;
use std::sync::Arc;

use mio::{Registry, Token};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::config::Config;
use crate::shard::handle::ShardHandle;
use crate::shard::process::fork_server::ForkServer;
use crate::shard::process::remote::{self, Remote};
use crate::shard::process::{self, Common};
use crate::shard::thread::{self, ShardThread};
use crate::stats::ShardStats;
use crate::stats::report;
use crate::sys;

/// Where the shards are going to be.
#[derive(Debug)]
pub(crate) enum House {
    /// In threads of this process, so many.
    Threads(&'static [ShardStats]),
    /// In processes.
    Processes(&'static [ShardStats], Arc<ForkServer>),
}

impl House {
    /// So many processes; with 1, threads of this one. To be called before the process has any other thread.
    pub(crate) fn new(config: &Config, processes: usize, common: Common) -> io::Result<Self> {
        if processes > 1 {
            let counters = sys::counters(processes)?;
            return Ok(Self::Processes(counters, Arc::new(ForkServer::new(common, counters)?)));
        }
        // Half of the cores: what is sent costs more where it is sent from all of them, as nginx, PHP and, where they are on the
        // same machine, readers wait for one then.
        let count = if config.shards == 0 { process::cores().div_ceil(2) } else { config.shards };
        Ok(Self::Threads(sys::counters(count)?))
    }

    /// Shards that stand still.
    pub(crate) fn shards(
        self,
        shared: &thread::Shared,
        registry: &Registry,
        token_of: fn(usize) -> Token,
    ) -> io::Result<Vec<ShardHandle>> {
        match self {
            Self::Threads(counters) => {
                let shards = counters.iter().enumerate();
                let shards = shards.map(|(nth, stats)| ShardThread::new(nth, stats, shared.clone()));
                shards.map(|shard| shard.map(ShardHandle::Here)).collect()
            }
            Self::Processes(counters, starter) => {
                let (ended, started) = (shared.ended.clone(), shared.started);
                let shared = remote::Shared { starter, count: counters.len(), ended, started };
                let shards = counters
                    .iter()
                    .enumerate()
                    .map(|(nth, stats)| Remote::new(nth, shared.clone(), stats, registry.try_clone()?, token_of(nth)));
                shards.map(|shard| shard.map(|shard| ShardHandle::Elsewhere(shard.into()))).collect()
            }
        }
    }
}

/// Streams that all shards together may have, as far as descriptors go.
pub(crate) fn room(shards: &[ShardHandle], descriptors: usize) -> usize {
    match shards.iter().filter(|shard| shard.process().is_some()).count() {
        0 => process::room_here(descriptors),
        count => process::room_elsewhere(descriptors).saturating_mul(count),
    }
}

impl Broker {
    /// The id of a new stream; `None`: no process has a descriptor for it. The id tells its shard. Ids may leave some out, so
    /// that the stream comes to the process with the fewest.
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

    /// Something has happened on the line to this shard.
    pub(crate) fn shard_ready(&mut self, number: usize) {
        if let Some(process) = self.shards.get_mut(number).and_then(ShardHandle::process_mut) {
            process.ready();
        }
    }

    /// Learns of the processes that have gone, and starts others in their place.
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
            // It won't do what it was told.
            self.relief.done_by(&self.shards[number]);
            // All streams are charged.
            let gone: Vec<u64> = self.topics.streams().filter(|stream| stream % count == number as u64).collect();
            for stream in gone {
                self.renders.ended(stream);
                self.uncount(stream);
            }
        }
    }

    /// Lets the processes forget what they don't need any more.
    pub(crate) fn tidy_processes(&mut self) {
        self.shards.iter_mut().filter_map(ShardHandle::process_mut).for_each(Remote::tidy);
    }

    /// What each process has; `None` where there is but one.
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
