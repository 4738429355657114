//! Questions about the shard's streams: how many watch a topic, and what is known of each.

use std::collections::BinaryHeap;

use crate::shard::Shard;
use crate::shard::command::{ListedStreams, ShardQuestion};
use crate::shard::recipients::Recipients;
use crate::shard::report::{ListedStream, ShardReport};
use crate::stream::Stream;

/// Most patterns of a stream in a report: it may watch thousands.
const PATTERNS: usize = 100;

/// Bytes of a report beyond which it has no further stream.
const REPORT: usize = 64 << 10;

/// Approximate bytes of a stream in a report, without its patterns.
const LISTED: usize = 64;

impl Shard {
    /// Reports how many clients' streams an event of these topics goes to, but for the stream `except`. It visits those that the
    /// event would be written to, and so costs less than that event.
    pub(super) fn count(&mut self, question: ShardQuestion, topics: &[Box<str>], except: u64) {
        self.fan_out += 1;
        let Self { index, streams, fan_out, .. } = self;
        let mut count = 0;
        Recipients::new(index, topics, except)
            .each(streams, *fan_out, |_, stream| count += u64::from(!stream.is_of_php()));
        self.answer(ShardReport::Counted { question, streams: count });
    }

    /// Reports what is known of the streams with the smallest ids. To find them it looks at the id of each of its streams, which an
    /// event for all of them does as well, and writes to them besides.
    pub(super) fn list(&mut self, question: ShardQuestion, streams: &ListedStreams, after: u64, limit: u32) {
        let mut page = SmallestIds { after, limit: limit.max(1) as usize, found: BinaryHeap::new(), more: false };
        match streams {
            ListedStreams::All => self.streams.iter().for_each(|(key, stream)| page.offer(stream.id, key as u32)),
            ListedStreams::One(id) => self.find(*id).into_iter().for_each(|key| page.offer(*id, key)),
            ListedStreams::Some(topic, ids) => {
                self.fan_out += 1;
                let Self { index, streams, fan_out, known, .. } = self;
                let mut once = |key: u32| {
                    let Some(stream) = streams.get_mut(key as usize) else { return };
                    if stream.seen != *fan_out {
                        page.offer(stream.id, key);
                    }
                    stream.seen = *fan_out;
                };
                if let Some(topic) = topic {
                    index.each(topic, &mut once);
                }
                ids.iter().filter_map(|id| known.get(id)).for_each(|key| once(*key));
            }
        }
        let SmallestIds { found, mut more, .. } = page;
        let (mut streams, mut bytes) = (Vec::new(), 0);
        for (_, key) in found.into_sorted_vec() {
            let Some(stream) = self.streams.get(key as usize) else { continue };
            if bytes >= REPORT {
                more = true;
                break;
            }
            let listed = self.listed(stream);
            bytes +=
                LISTED + listed.patterns.0.iter().map(|pattern| pattern.len() + size_of::<Box<str>>()).sum::<usize>();
            streams.push(listed);
        }
        self.answer(ShardReport::Listed { question, streams, more });
    }

    /// The slab key of a stream, which need not be followed. Only an administrator's script knows the public id of one that is not:
    /// no client can have the hub search often.
    pub(super) fn find(&self, id: u64) -> Option<u32> {
        let search = || self.streams.iter().find(|(_, stream)| stream.id == id).map(|(key, _)| key as u32);
        self.known.get(&id).copied().or_else(search)
    }

    fn listed(&self, stream: &Stream) -> ListedStream {
        let mut patterns: Vec<&str> = stream.places.iter().map(|place| self.index.pattern(*place)).collect();
        let count = patterns.len();
        if count > PATTERNS {
            patterns.select_nth_unstable(PATTERNS);
            patterns.truncate(PATTERNS);
        }
        patterns.sort_unstable();
        ListedStream {
            id: stream.id,
            patterns: (patterns.into_iter().map(Into::into).collect(), u32::try_from(count).unwrap_or(u32::MAX)),
            age: self.now.saturating_sub(stream.since),
            sent: stream.sent,
            queued: stream.queued() as u64,
            framing: stream.framing(),
        }
    }

    /// Sends a report for which the ordering thread waits.
    fn answer(&self, report: ShardReport) {
        // If it has ended, it needs no report.
        let _ = self.shared.reports.send(report);
        let _ = self.shared.ordering_thread.wake();
    }
}

/// The streams with the smallest ids beyond one.
struct SmallestIds {
    after: u64,
    limit: usize,
    /// Ids, and the slab keys of their streams.
    found: BinaryHeap<(u64, u32)>,
    /// Some were left out.
    more: bool,
}

impl SmallestIds {
    fn offer(&mut self, id: u64, key: u32) {
        if id <= self.after {
            return;
        }
        if self.found.len() < self.limit {
            self.found.push((id, key));
            return;
        }
        self.more = true;
        if let Some(mut largest) = self.found.peek_mut()
            && largest.0 > id
        {
            *largest = (id, key);
        }
    }
}
