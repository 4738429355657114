//! What only queues keep (`pinned`) stays within `sse.queue_bytes`: when it is more, streams of clients that don't read end
//! as slow, in rounds of all shards. Each round is one command to each, and the next follows when all have done it:
//!
//! 1. those of clients for which more than an eighth of the limit is kept, so that one client takes no more than that from
//!    the others;
//! 2. those that have taken nothing for half of `sse.stall_timeout`, then for a quarter of it, and so on; at last all that
//!    have something to wait for.
//!
//! A shard ends no more than it needs to. What they have ended, their clients resume when they come back.

use crate::broker::Broker;
use crate::shard::command::{Command, Relieve, Which};
use crate::shard::handle::ShardHandle;
use crate::stats::ShardStats;
use crate::stream::pinned;

/// One client may keep the whole divided by this while others need it.
const SHARES: usize = 8;

/// How far it is with that.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    /// Rounds so far.
    round: u64,
    /// What the last one was about; `None`: there is no need for any.
    which: Option<Which>,
}

impl Relief {
    /// What comes after the last round.
    fn next(&self, share: u64, patience: u32) -> Which {
        match self.which {
            None | Some(Which::Stalled(0)) => Which::OfClientsOver(share),
            Some(Which::OfClientsOver(_)) => Which::Stalled(patience / 2),
            Some(Which::Stalled(seconds)) => Which::Stalled(seconds / 2),
        }
    }

    /// This shard does nothing more of what it was told.
    pub(crate) fn done_by(&self, shard: &ShardHandle) {
        shard.stats().relieved.set(usize::try_from(self.round).unwrap_or(usize::MAX));
    }
}

impl Broker {
    /// Bytes that only queues keep, in all processes.
    pub(crate) fn pinned(&self) -> u64 {
        let elsewhere = self.shards.iter().filter(|shard| shard.process().is_some());
        pinned::bytes() as u64 + elsewhere.map(|shard| shard.stats().pinned.get()).sum::<u64>()
    }

    /// Has streams end where too much is kept for clients that don't read.
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
        // Threads look at one number together, each process at its own.
        let failed = |shard: &ShardHandle| shard.stats().unrelieved.get() == round;
        let processes = self.shards.iter().any(|shard| shard.process().is_some());
        if !(if processes { self.shards.iter().any(failed) } else { self.shards.iter().all(failed) }) {
            // It was enough, and more has come since.
            self.relief.which = None;
        }
        let share = limit / (SHARES * self.shards.len().max(1)) as u64;
        let patience = u32::try_from(self.config.stall_timeout.as_secs()).unwrap_or(u32::MAX);
        let which = self.relief.next(share, patience);
        self.relief.round += 1;
        self.relief.which = Some(which);
        let round = self.relief.round;
        // Some room, so that the next event is not the next reason.
        let enough = limit - limit / 8;
        for shard in &mut self.shards {
            let target = match shard.process() {
                None => enough,
                // Nobody is there to do it.
                Some(process) if process.pid().is_none() => {
                    self.relief.done_by(shard);
                    continue;
                }
                // Each process gives what it has too much.
                Some(_) => {
                    let own = u128::from(shard.stats().pinned.get());
                    u64::try_from(own * u128::from(enough) / u128::from(pinned)).unwrap_or(enough)
                }
            };
            shard.send(Command::Relieve(Relieve { round, which, target }));
        }
    }
}

/// A shard has done a round, and had enough to end or not.
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
