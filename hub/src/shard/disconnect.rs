//! Disconnects streams by a script's wish.

use crate::shard::Shard;
use crate::shard::command::DisconnectedStreams;
use crate::stats::EndReason;
use crate::stream::Stream;

impl Shard {
    /// Closes those of these streams that began at least `age` seconds ago, in good order; their clients are told the reconnection
    /// time first, if one is given.
    pub(super) fn disconnect(&mut self, streams: &DisconnectedStreams, retry: Option<u32>, age: u32) {
        let now = self.now;
        let keys: Vec<u32> = match streams {
            DisconnectedStreams::These(ids) => {
                // Those of users, with public ids or with callbacks are followed: one that is not known has ended.
                ids.iter().filter_map(|id| self.known.get(id).copied()).collect()
            }
            DisconnectedStreams::One(id) => self.find(*id).into_iter().collect(),
            DisconnectedStreams::Watching(topic) => {
                let mut keys = Vec::new();
                self.index.each(topic, |key| keys.push(key));
                // Several of its patterns may match.
                keys.sort_unstable();
                keys.dedup();
                keys.retain(|key| self.streams.get(*key as usize).is_some_and(|stream| !stream.is_of_php()));
                keys
            }
        };
        for key in keys {
            let is_meant = |stream: &&mut Stream| stream.closing.is_none() && now.saturating_sub(stream.since) >= age;
            let Some(stream) = self.streams.get_mut(key as usize).filter(is_meant) else { continue };
            if let Some(retry) = retry {
                let before = stream.queued();
                stream.tell_retry(retry);
                self.stats.queued_bytes.add(stream.queued() - before);
            }
            self.close(key, EndReason::Disconnected);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::WAKER;
    use crate::shard::command::NewStream;
    use crate::shard::thread::{ShardContext, ShardLimits};
    use crate::stats::ShardStats;
    use crate::store::history::Missed;
    use mio::{Poll, Waker};
    use sse_protocol::stream::StreamSpec;
    use sse_protocol::wire::Framing;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::Instant;

    fn shard() -> Shard {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), WAKER).expect("a waker");
        let shared = ShardContext {
            limits: ShardLimits { stream_buffer: 1 << 20, pinned: 1 << 20, pinned_part: 1 << 20, stall: 30 },
            names: Arc::default(),
            ordering_thread: Arc::new(waker),
            reports: crossbeam_channel::unbounded().0,
            started: Instant::now(),
        };
        let stats: &'static ShardStats = Box::leak(Box::default());
        Shard::new(poll, crossbeam_channel::never(), Arc::default(), Arc::default(), stats, shared)
    }

    fn open(shard: &mut Shard, id: u64, followed: bool) -> UnixStream {
        let (near, far) = UnixStream::pair().expect("a pair");
        shard.attach(NewStream {
            id,
            client: 1,
            socket: near.into(),
            patterns: Vec::new(),
            spec: StreamSpec::default(),
            first: None,
            missed: Missed::default(),
            newest: None,
            followed,
        });
        shard.commit(id, Framing::Raw);
        far
    }

    /// Attack: a user with many streams is disconnected twice. The second time all of them have ended, and a search for each would
    /// look at all streams of the shard.
    #[test]
    fn an_id_is_looked_up_and_never_searched_for() {
        let mut shard = shard();
        let _clients = [open(&mut shard, 1, true), open(&mut shard, 2, false)];
        for _ in 0..2 {
            // Nobody can name a stream that is not followed: a search would find it.
            shard.disconnect(&DisconnectedStreams::These(vec![1, 2, 3]), None, 0);
            let left: Vec<u64> = shard.streams.iter().map(|(_, stream)| stream.id).collect();
            assert_eq!(left, [2]);
        }
        assert!(shard.known.is_empty());
    }
}
