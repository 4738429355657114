//! Streams of clients that don't read what waits for them.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::broker::relief;
use crate::shard::Shard;
use crate::shard::command::{Relieve, Which};
use crate::stats::Ended;
use crate::stream::{Stream, pinned};

/// Clients that take nothing are looked for so often while they may.
const CHECKS: u32 = 8;

/// How much more is told to the router, at least, each time: its limit divided by this.
const STEPS: usize = 16;

/// A stream with something to wait for.
struct Waiting {
    key: u32,
    client: u64,
    since: u32,
    pinned: usize,
}

impl Shard {
    /// The second at which to look for clients that take nothing; `None`: nobody has anything to take.
    pub(crate) fn stall_check(&self) -> Option<u32> {
        (self.stats.queued_bytes.get() > 0).then_some(self.next_stall_check)
    }

    /// Ends the streams of clients that have taken nothing of what waits for them for too long.
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
            // The system tells of room only once there is much of it: a client that reads slowly has made a little.
            self.flush(key);
            if let Some(stream) = self.streams.get(key as usize).filter(|stream| is_stalled(stream)) {
                self.end(key, stream.closing.unwrap_or(Ended::Slow));
            }
        }
    }

    /// Ends streams until queues keep little enough. See [`crate::broker::relief`].
    pub(crate) fn relieve(&mut self, Relieve { round, which, target }: Relieve) {
        let is_over = || pinned::bytes() as u64 > target;
        if is_over() {
            // Workers have those that are held, and these end last.
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
                    // The greediest first; of one client's, those that wait longest.
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
        // It waits for that.
        let _ = self.shared.router.wake();
    }

    /// Tells the router how much only queues keep, before that is too much.
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
