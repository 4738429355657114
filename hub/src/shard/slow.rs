//! Slow clients: closes streams whose queue makes no progress or keeps too much memory.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::broker::relief;
use crate::shard::Shard;
use crate::shard::command::{Relieve, Which};
use crate::stats::Ended;
use crate::stream::{Stream, pinned};

/// Number of stall checks within one stall timeout.
const CHECKS: u32 = 8;

/// The shard informs the ordering thread each time pinned bytes grow by the limit divided by this.
const STEPS: usize = 16;

/// A stream with a queue.
struct Waiting {
    key: u32,
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
            let patience = limits.patience(stream.heartbeat);
            !stream.is_held() && stream.queued() > 0 && now.saturating_sub(stream.waits_since) >= patience
        };
        let stalled = self.streams.iter().filter(|(_, stream)| is_stalled(stream));
        for key in stalled.map(|(key, _)| key as u32).collect::<Vec<_>>() {
            // Epoll reports room only once there is much of it: a slow client may have made a little, so try to write first.
            self.flush(key);
            if let Some(stream) = self.streams.get(key as usize).filter(|stream| is_stalled(stream)) {
                self.end(key, stream.closing.unwrap_or(Ended::Slow));
            }
        }
    }

    /// Closes streams until this process's queues are within the target. See [`crate::broker::relief`].
    pub(crate) fn relieve(&mut self, Relieve { round, which, target }: Relieve) {
        let is_over = || pinned::bytes() as u64 > target;
        if is_over() {
            // Held streams still belong to their workers, so the shard closes them only in the last round.
            let all = which == Which::Stalled(0);
            let waiting = self.streams.iter().filter(|(_, stream)| stream.queued() > 0 && (all || !stream.is_held()));
            let mut waiting: Vec<Waiting> = waiting
                .map(|(key, stream)| Waiting {
                    key: key as u32,
                    client: stream.client,
                    since: stream.waits_since,
                    pinned: stream.pinned(),
                })
                .collect();
            waiting.sort_unstable_by_key(|waiting| (waiting.since, Reverse(waiting.pinned)));
            match which {
                Which::OfClientsOver(share) => {
                    let mut kept: HashMap<u64, u64> = HashMap::new();
                    for Waiting { client, pinned, .. } in waiting.iter().filter(|waiting| waiting.client != 0) {
                        *kept.entry(*client).or_default() += *pinned as u64;
                    }
                    // Close the streams of the client with the most bytes first, and among those the longest-waiting.
                    waiting.sort_by_key(|waiting| Reverse(kept.get(&waiting.client).copied()));
                    for Waiting { key, client, pinned, .. } in waiting {
                        let Some(kept) = kept.get_mut(&client).filter(|kept| **kept > share && is_over()) else {
                            continue;
                        };
                        *kept -= pinned as u64;
                        self.end(key, Ended::Slow);
                    }
                }
                Which::Stalled(seconds) => {
                    let now = self.now;
                    let stalled = waiting.into_iter().filter(|waiting| now.saturating_sub(waiting.since) >= seconds);
                    for Waiting { key, .. } in stalled {
                        if !is_over() {
                            break;
                        }
                        self.end(key, Ended::Slow);
                    }
                }
            }
        }
        relief::report(self.stats, round, !is_over());
        // The ordering thread waits for this report.
        let _ = self.shared.router.wake();
    }

    /// Informs the ordering thread of the bytes that only queues keep, before they exceed the limit.
    pub(crate) fn tell_pinned(&mut self) {
        let pinned = pinned::bytes();
        self.stats.pinned.set(pinned);
        let limit = self.shared.limits.pinned;
        if pinned <= limit {
            self.pinned_told = 0;
        } else if pinned >= self.pinned_told + limit / STEPS {
            self.pinned_told = pinned;
            let _ = self.shared.router.wake();
        }
    }
}
