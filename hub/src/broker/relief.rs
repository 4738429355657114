//! Keeps the bytes that only queues hold (`pinned`) within `sse.queue_bytes`: above it, streams of slow clients end, in rounds
//! over all shards. A round is one command to each shard; the next follows when all have done it:
//!
//! 1. streams of clients that hold more than an eighth of the limit in one shard, so that one client takes no more than that
//!    from the others;
//! 2. where there are several shards, streams of clients that hold more than their part of that eighth in one of them;
//! 3. after these, streams that took nothing for half of `sse.stall_timeout`, then for a quarter of it, and so on; at last all
//!    that have something queued.
//!
//! A shard ends no more streams than needed. Their clients reconnect and resume. A shard whose commands make its queues grow
//! faster than the rounds come does not wait for them: see `shard/slow.rs`.

use crate::broker::Broker;
use crate::event::pinned;
use crate::shard::command::{Command, Relieve, Which};
use crate::shard::handle::ShardHandle;
use crate::shard::slow;

/// Progress of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    /// Number of rounds so far.
    round: u64,
    /// Target of the last round; `None`: none is needed.
    which: Option<Which>,
}

impl Relief {
    /// Counts the current round as done by this shard.
    pub(crate) fn done_by(&self, shard: &ShardHandle) {
        shard.stats().relieved.set(usize::try_from(self.round).unwrap_or(usize::MAX));
    }
}

impl Broker {
    /// Bytes that only queues hold, in all processes.
    pub(crate) fn pinned(&self) -> u64 {
        let elsewhere = self.shards.iter().filter(|shard| shard.process().is_some());
        pinned::bytes() as u64 + elsewhere.map(|shard| shard.stats().pinned.get()).sum::<u64>()
    }

    /// Starts the next round if queues hold too much and the last one is done.
    pub(crate) fn relieve(&mut self) {
        let (pinned, limit) = (self.pinned(), self.config.queue_bytes as u64);
        for shard in self.shards.iter().filter(|shard| shard.process().is_some()) {
            let elsewhere = pinned.saturating_sub(shard.stats().pinned.get());
            shard.stats().pinned_elsewhere.set(usize::try_from(elsewhere).unwrap_or(usize::MAX));
        }
        if pinned <= limit {
            self.relief.which = None;
            return;
        }
        let round = self.relief.round;
        if !self.shards.iter().all(|shard| shard.stats().relieved.get() >= round) {
            return;
        }
        // Threads share one number of bytes; each process has its own.
        let failed = |shard: &ShardHandle| shard.stats().unrelieved.get() == round;
        let processes = self.shards.iter().any(|shard| shard.process().is_some());
        if !(if processes { self.shards.iter().any(failed) } else { self.shards.iter().all(failed) }) {
            // The last round sufficed, and more was queued since.
            self.relief.which = None;
        }
        let shards = self.shards.len().max(1) as u64;
        let stall_timeout = u32::try_from(self.config.stall_timeout.as_secs()).unwrap_or(u32::MAX);
        let which = Which::next(self.relief.which, limit, shards, stall_timeout);
        self.relief.round += 1;
        self.relief.which = Some(which);
        let round = self.relief.round;
        let enough = slow::enough(limit);
        for shard in &mut self.shards {
            let target = match shard.process() {
                None => enough,
                // The process is gone, so nobody does this round.
                Some(process) if process.pid().is_none() => {
                    self.relief.done_by(shard);
                    continue;
                }
                // Each process releases in proportion to what it holds.
                Some(_) => slow::part_of(enough, shard.stats().pinned.get(), pinned),
            };
            shard.send(Command::Relieve(Relieve { round, which, target }));
        }
    }
}
