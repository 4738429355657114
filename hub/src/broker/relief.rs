//! Keeps the bytes that only queues hold (`pinned`) within `sse.queue_bytes`: above it, streams of slow clients end, in rounds
//! over all shards. A round is one command to each shard; the next follows when all have done it:
//!
//! 1. streams of clients that hold more than an eighth of the limit, so that one client takes no more than that from the
//!    others;
//! 2. streams that took nothing for half of `sse.stall_timeout`, then for a quarter of it, and so on; at last all that have
//!    something queued.
//!
//! A shard ends no more streams than needed. Their clients reconnect and resume.

use crate::broker::Broker;
use crate::shard::command::{Command, Relieve, Which};
use crate::shard::handle::ShardHandle;
use crate::stats::ShardStats;
use crate::stream::pinned;

/// One client may hold this fraction of the limit while others need the rest.
const SHARES: usize = 8;

/// Progress of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    /// Number of rounds so far.
    round: u64,
    /// Target of the last round; `None`: none is needed.
    which: Option<Which>,
}

impl Relief {
    /// Target of the next round.
    fn next(&self, share: u64, patience: u32) -> Which {
        match self.which {
            None | Some(Which::Stalled(0)) => Which::OfClientsOver(share),
            Some(Which::OfClientsOver(_)) => Which::Stalled(patience / 2),
            Some(Which::Stalled(seconds)) => Which::Stalled(seconds / 2),
        }
    }

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
        let share = limit / (SHARES * self.shards.len().max(1)) as u64;
        let patience = u32::try_from(self.config.stall_timeout.as_secs()).unwrap_or(u32::MAX);
        let which = self.relief.next(share, patience);
        self.relief.round += 1;
        self.relief.which = Some(which);
        let round = self.relief.round;
        // Some reserve, so that the next event doesn't exceed the limit again.
        let enough = limit - limit / 8;
        for shard in &mut self.shards {
            let target = match shard.process() {
                None => enough,
                // The process is gone, so nobody does this round.
                Some(process) if process.pid().is_none() => {
                    self.relief.done_by(shard);
                    continue;
                }
                // Each process releases in proportion to what it holds.
                Some(_) => {
                    let own = u128::from(shard.stats().pinned.get());
                    u64::try_from(own * u128::from(enough) / u128::from(pinned)).unwrap_or(enough)
                }
            };
            shard.send(Command::Relieve(Relieve { round, which, target }));
        }
    }
}

/// Reports that a shard has done a round; `enough`: it reached the target.
pub(crate) fn report(stats: &ShardStats, round: u64, enough: bool) {
    let round = usize::try_from(round).unwrap_or(usize::MAX);
    stats.pinned.set(pinned::bytes());
    if !enough {
        stats.unrelieved.set(round);
    }
    stats.relieved.set(round);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_take_more_than_their_share_go_first_and_then_those_that_wait_longest() {
        let mut relief = Relief::default();
        let rounds: Vec<Which> = (0..9)
            .map(|_| {
                let which = relief.next(100, 30);
                relief.which = Some(which);
                which
            })
            .collect();
        let stalled = [15, 7, 3, 1, 0].map(Which::Stalled);
        let over = Which::OfClientsOver(100);
        assert_eq!(rounds, [&[over][..], &stalled[..], &[over, stalled[0], stalled[1]]].concat());
    }
}
