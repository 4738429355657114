//! Which streams a script names.

use crate::broker::Broker;
use sse_protocol::wire::Whom;

impl Broker {
    /// Those that are known here. The shards find all others that watch a topic: what a callback watches is not known to them.
    pub(super) fn named(&mut self, whom: Whom<'_>) -> Vec<u64> {
        let streams = match whom {
            Whom::User(key) => self.quota.streams_of(key),
            Whom::Stream(public) => {
                let stream = self.stream_ids.stream(public);
                stream.filter(|stream| self.topics.is_charged(*stream)).into_iter().collect()
            }
            Whom::Topic(topic) => self.renders.watching(topic),
        };
        self.turns.step(streams.len());
        streams
    }

    /// Streams by the shards that have them.
    pub(super) fn by_shard(&self, streams: Vec<u64>) -> Vec<Vec<u64>> {
        let shards = self.shards.len();
        let mut of_shards = vec![Vec::new(); shards];
        for stream in streams {
            of_shards[(stream % shards as u64) as usize].push(stream);
        }
        of_shards
    }
}
