//! Timers: heartbeats, and the ends of lifetimes.

use std::num::NonZeroU32;

use crate::shard::Shard;
use crate::stats::EndReason;
use crate::stream::Push;

/// Seconds that a stream has for its queue and its end after its lifetime.
pub(super) const PARTING: u32 = 10;

/// A timer of one stream: for its heartbeat or for the end of its lifetime.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) key: u32,
    /// Second at which the lifetime ends; `None`: this timer is for the heartbeat.
    pub(super) ends: Option<NonZeroU32>,
    pub(super) id: u64,
}

impl Shard {
    /// Sends due heartbeats, and closes streams at the end of their lifetime.
    pub(super) fn send_heartbeats(&mut self) {
        let mut due = Vec::new();
        self.wheel.advance(self.now, &mut due);
        for due @ Due { key, ends, id } in due {
            let Some(stream) = self.streams.get(key as usize).filter(|stream| stream.id == id) else { continue };
            if let Some(ends) = ends {
                if ends.get() > self.now {
                    self.wheel.insert(ends.get(), due);
                } else if stream.is_held() {
                    // The worker still writes to this connection: try again each second.
                    self.wheel.insert(self.now.saturating_add(1), due);
                } else if let Some(why) = stream.closing {
                    self.end(key, why);
                } else {
                    // A client that reads nothing would never get to the end.
                    self.wheel.insert(self.now.saturating_add(PARTING), due);
                    self.close(key, EndReason::Lifetime);
                }
                continue;
            }
            let next = stream.active.saturating_add(stream.spec.heartbeat);
            if next > self.now {
                self.wheel.insert(next, due);
                continue;
            }
            self.wheel.insert(self.now.saturating_add(stream.spec.heartbeat), due);
            let stats = self.stats;
            self.write(key, |stream, written| {
                let idle = stream.queued() == 0 || stream.paused().is_some();
                let push = stream.push_heartbeat(written);
                stats.heartbeats.add(usize::from(idle && push != Push::Broken));
                push
            });
        }
    }
}
