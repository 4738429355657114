//! Slow clients: closes streams whose queue makes no progress or keeps too much memory.
//!
//! What only queues keep (`sse.queue_bytes`) is looked at after each command, as thousands of commands may wait, and each may
//! add to every queue. In this order:
//!
//! 1. near the limit, pauses end before their time, those that end next first: their clients are not slow;
//! 2. above it, the ordering thread has all shards end streams in rounds (`broker/relief.rs`);
//! 3. above it by more than an eighth, a shard ends streams of its own at once: the command for the round waits behind those that
//!    make the queues grow.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::event::pinned;
use crate::shard::Shard;
use crate::shard::command::{Relieve, Which};
use crate::stats::{EndReason, ShardStats};
use crate::stream::Stream;

/// Number of stall checks within one stall timeout.
const CHECKS: u32 = 8;

/// The shard informs the ordering thread each time pinned bytes grow by the limit divided by this.
const STEPS: usize = 16;

/// One client may hold this fraction of the limit while others need the rest.
const SHARES: u64 = 8;

/// A shard of this process ends streams without a round. Another one that shares the process's memory waits for what that frees.
static RELIEVES: AtomicBool = AtomicBool::new(false);

/// Bytes down to which streams end: some reserve, so that the next event doesn't exceed the limit again.
pub(crate) fn enough(limit: u64) -> u64 {
    limit - limit / 8
}

/// The part of `bytes` for a process that keeps `own` of all `pinned` bytes.
pub(crate) fn part_of(bytes: u64, own: u64, pinned: u64) -> u64 {
    let part = u128::from(own) * u128::from(bytes) / u128::from(pinned.max(1));
    u64::try_from(part).unwrap_or(bytes)
}

impl Which {
    /// Target of the round after one that did not suffice; `None`: this is the first one.
    pub(crate) fn next(last: Option<Self>, limit: u64, shards: u64, stall_timeout: u32) -> Self {
        let share = limit / SHARES;
        match last {
            None | Some(Self { stalled: Some(0), .. }) => Self { share, stalled: None },
            // Shards don't know of each other's streams, and this comes second: by it one stream may be too much.
            Some(Self { share: last, stalled: None }) if last > share / shards => {
                Self { share: share / shards, stalled: None }
            }
            Some(Self { share, stalled: None }) => Self { share, stalled: Some(stall_timeout / 2) },
            Some(Self { share, stalled: Some(seconds) }) => Self { share, stalled: Some(seconds / 2) },
        }
    }

    /// All streams with a queue, in the order of the rounds.
    fn all(limit: u64) -> Self {
        Self { share: limit / SHARES, stalled: Some(0) }
    }
}

/// A stream with a queue.
struct SlowStream {
    key: u32,
    is_held: bool,
    client: u64,
    since: u32,
    pinned: usize,
}

impl Shard {
    /// Second of the next stall check; `None`: no stream has a queue.
    pub(crate) fn stall_check(&self) -> Option<u32> {
        (self.stats.queued_bytes.get() > 0).then_some(self.next_stall_check)
    }

    /// Closes the streams whose queue made no progress for the stall timeout.
    pub(crate) fn end_stalled(&mut self) {
        if self.stall_check().is_none_or(|second| second > self.now) {
            return;
        }
        let (now, limits) = (self.now, self.shared.limits);
        self.next_stall_check = now + (limits.stall / CHECKS).max(1);
        let is_stalled = |stream: &Stream| {
            let stall_timeout = limits.stall_timeout(stream.spec.heartbeat);
            !stream.is_held()
                && stream.queued() > 0
                && stream.paused().is_none()
                && now.saturating_sub(stream.waits_since) >= stall_timeout
        };
        let stalled = self.streams.iter().filter(|(_, stream)| is_stalled(stream));
        for key in stalled.map(|(key, _)| key as u32).collect::<Vec<_>>() {
            // Epoll reports room only once there is much of it: a slow client may have made a little, so try to write first.
            self.flush(key);
            if let Some(stream) = self.streams.get(key as usize).filter(|stream| is_stalled(stream)) {
                self.end(key, stream.closing.unwrap_or(EndReason::Slow));
            }
        }
    }

    /// Does a round of the ordering thread's: closes streams until this process's queues are within the target.
    pub(crate) fn relieve(&mut self, Relieve { round, which, target }: Relieve) {
        self.hurry_pauses(target);
        // More may be queued meanwhile: a round has failed only if it finds nobody to end, or the next one would take from clients
        // that keep little, while others keep more than their share.
        while self.end_slow(which, target) > 0 && pinned::bytes() as u64 > target {}
        report(self.stats, round, pinned::bytes() as u64 <= target);
        // The ordering thread waits for this report.
        let _ = self.shared.ordering_thread.wake();
    }

    /// Keeps what only queues hold within the limit, after each command.
    pub(crate) fn keep_within_limit(&mut self) {
        self.tell_pinned();
        let limit = self.shared.limits.pinned as u64;
        let pinned = |own: u64| own + self.stats.pinned_elsewhere.get();
        let (own, enough) = (pinned::bytes() as u64, enough(limit));
        if pinned(own) <= enough {
            self.relieved_at = 0;
            return;
        }
        let (ceiling, target) = (limit + limit / SHARES, part_of(enough, own, pinned(own)));
        let is_over = |own: u64| pinned(own) > ceiling;
        self.hurry_pauses(target);
        let own = pinned::bytes() as u64;
        // What other shards keep does not change by another search of this one's streams.
        if !is_over(own) || own < self.relieved_at + limit / STEPS as u64 || RELIEVES.swap(true, Ordering::AcqRel) {
            return;
        }
        self.end_slow(Which::all(limit), target);
        self.relieved_at = pinned::bytes() as u64;
        RELIEVES.store(false, Ordering::Release);
        self.tell_pinned();
    }

    /// Ends streams until this process's queues are within the target; returns how many.
    fn end_slow(&mut self, Which { share, stalled }: Which, target: u64) -> usize {
        let is_over = || pinned::bytes() as u64 > target;
        if !is_over() {
            return 0;
        }
        let before = self.streams.len();
        // Held streams still belong to their workers, so the shard closes them only in the last round.
        let all = stalled == Some(0);
        let waiting = self.streams.iter().filter(|(_, stream)| stream.queued() > 0 && (all || !stream.is_held()));
        let mut waiting: Vec<SlowStream> = waiting
            .map(|(key, stream)| SlowStream {
                key: key as u32,
                is_held: stream.is_held(),
                client: stream.client,
                since: stream.waits_since,
                pinned: stream.pinned(),
            })
            .collect();
        waiting.sort_unstable_by_key(|waiting| (waiting.is_held, waiting.since, Reverse(waiting.pinned)));
        let mut kept: HashMap<u64, u64> = HashMap::new();
        for SlowStream { client, pinned, .. } in waiting.iter().filter(|waiting| waiting.client != 0) {
            *kept.entry(*client).or_default() += *pinned as u64;
        }
        let kept_by = |kept: &HashMap<u64, u64>, client: u64| kept.get(&client).copied().filter(|kept| *kept > share);
        // The streams of the client with the most bytes first, and among those the longest-waiting.
        let mut greedy: Vec<&SlowStream> = waiting.iter().filter(|one| kept_by(&kept, one.client).is_some()).collect();
        greedy.sort_by_key(|one| Reverse(kept_by(&kept, one.client)));
        for &&SlowStream { key, client, pinned, .. } in &greedy {
            let Some(kept) = kept.get_mut(&client).filter(|kept| **kept > share && is_over()) else { continue };
            *kept = kept.saturating_sub(pinned as u64);
            self.end_waiting(key);
        }
        let (now, seconds) = (self.now, stalled.unwrap_or(u32::MAX));
        for SlowStream { key, .. } in waiting.iter().filter(|one| now.saturating_sub(one.since) >= seconds) {
            if !is_over() {
                break;
            }
            self.end_waiting(*key);
        }
        before - self.streams.len()
    }

    /// Ends a stream as slow, unless its client has made room for all that waits.
    fn end_waiting(&mut self, key: u32) {
        self.flush(key);
        if self.streams.get(key as usize).is_some_and(|stream| stream.queued() > 0) {
            self.end(key, EndReason::Slow);
        }
    }

    /// Informs the ordering thread of the bytes that only queues keep, before they exceed the limit.
    fn tell_pinned(&mut self) {
        let pinned = pinned::bytes();
        self.stats.pinned.set(pinned);
        let limit = self.shared.limits.pinned_part;
        if pinned <= limit {
            self.pinned_told = 0;
        } else if pinned >= self.pinned_told + limit / STEPS {
            self.pinned_told = pinned;
            let _ = self.shared.ordering_thread.wake();
        }
    }
}

/// Reports that a shard has done a round; `enough`: it reached the target.
fn report(stats: &ShardStats, round: u64, enough: bool) {
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

    /// The targets of so many rounds that all fail.
    fn rounds(count: usize, shards: u64) -> Vec<Which> {
        let next = |last: &Option<Which>| Some(Some(Which::next(*last, 800, shards, 30)));
        std::iter::successors(Some(None), next).skip(1).take(count).flatten().collect()
    }

    #[test]
    fn those_that_take_more_than_their_share_go_first_and_then_those_that_wait_longest() {
        let stalled = |share| [15, 7, 3, 1, 0].map(|seconds| Which { share, stalled: Some(seconds) });
        let [over, in_part] = [100, 50].map(|share| Which { share, stalled: None });
        let [one, two] = [100, 50].map(stalled);
        assert_eq!(rounds(9, 1), [&[over][..], &one[..], &[over, one[0], one[1]]].concat());
        assert_eq!(rounds(9, 2), [&[over, in_part][..], &two[..], &[over, in_part]].concat());
    }
}
