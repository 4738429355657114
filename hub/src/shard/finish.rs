//! Finished topics: ends the streams that wait for nothing any more.

use crate::shard::Shard;
use crate::shard::command::FinishTime;
use crate::stats::EndReason;
use crate::stream::Stream;

impl Shard {
    /// Records that a topic is finished, until the next event of it. If it is finished now, ends the streams all of whose topics
    /// are, after what is queued for them.
    pub(super) fn finish(&mut self, topic: &str, when: FinishTime) {
        let found = self.index.finish(topic, true);
        let watchers: Vec<u32> = found.filter(|_| when == FinishTime::Now).into_iter().flatten().collect();
        for key in watchers {
            let done = |stream: &&Stream| stream.spec.finishes && self.index.are_finished(&stream.places);
            if self.streams.get(key as usize).filter(done).is_some() {
                self.close(key, EndReason::Finished);
            }
        }
    }
}
