//! Alarms: when the pauses of streams end, and which long-polls may be answered. A shard without pauses has none, and sleeps.
//!
//! An alarm stays until its time, even if its stream ends before, or has an earlier one by then. Such alarms are removed when
//! there are more than twice as many alarms as were of use the last time, so clients that come and go leave nothing that grows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slab::Slab;

use crate::event::pinned;
use crate::shard::Shard;
use crate::stats::EndReason;
use crate::stream::Stream;

/// The ends of pauses are rounded up to these milliseconds, so that a shard wakes up for several of them.
pub(super) const GRAIN: u64 = 10;

/// Number of alarms that are not worth a search for useless ones.
const FEW: usize = 64;

/// An alarm: its moment, in milliseconds since the hub's start, and the stream's slab key and id.
type Alarm = (u64, u32, u64);

/// The alarms of a shard.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    heap: BinaryHeap<Reverse<Alarm>>,
    /// Number of alarms after the last search for useless ones.
    useful: usize,
    /// Long-polls (key and id) that were answered in this turn, each once.
    long_polls: Vec<(u32, u64)>,
}

impl Alarms {
    /// Has the long-poll end at the end of this turn, unless its worker still has the connection.
    pub(super) fn list(&mut self, key: u32, stream: &mut Stream) {
        if !stream.is_held() && stream.closing.is_none() && !std::mem::replace(&mut stream.is_listed, true) {
            self.long_polls.push((key, stream.id));
        }
    }

    /// Sets the alarm for the pause that a stream's queue begins with, unless it has an earlier one.
    pub(super) fn set(&mut self, key: u32, stream: &mut Stream, until: u64) {
        if stream.needs_alarm(until) {
            self.heap.push(Reverse((until, key, stream.id)));
        }
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((until, ..))| *until)
    }

    /// Takes the first one if it is due.
    fn take_due(&mut self, now: u64) -> Option<Alarm> {
        if self.next().is_some_and(|until| until <= now) { self.take() } else { None }
    }

    /// Takes the first one.
    fn take(&mut self) -> Option<Alarm> {
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }

    /// Removes those that no stream waits for, if there may be many.
    fn tidy(&mut self, streams: &Slab<Stream>) {
        if self.heap.len() <= 2 * self.useful + FEW {
            return;
        }
        let mut alarms = std::mem::take(&mut self.heap).into_vec();
        alarms.retain(|Reverse((until, key, id))| {
            streams.get(*key as usize).is_some_and(|stream| stream.id == *id && stream.alarm() == Some(*until))
        });
        alarms.sort_unstable();
        alarms.dedup();
        alarms.shrink_to(2 * alarms.len() + FEW);
        self.useful = alarms.len();
        self.heap = alarms.into();
    }
}

impl Shard {
    /// Ends the long-polls that have brought events in this turn: all of the turn's come by one response.
    pub(super) fn end_answered(&mut self) {
        for (key, id) in std::mem::take(&mut self.alarms.get_mut().long_polls) {
            let stream =
                self.streams.get_mut(key as usize).filter(|stream| stream.id == id && stream.closing.is_none());
            let Some(stream) = stream else { continue };
            stream.is_listed = false;
            // What waits for a moment of its own is written first, which lists the stream again.
            if stream.paused().is_none() {
                self.close(key, EndReason::Lifetime);
            }
        }
    }

    /// Writes to the streams whose pauses have ended.
    pub(super) fn end_pauses(&mut self) {
        loop {
            let Some((until, key, id)) = self.alarms.borrow_mut().take_due(self.now_ms) else { break };
            if let Some(stream) = self.streams.get_mut(key as usize).filter(|stream| stream.id == id) {
                stream.alarm_is_over(until);
                self.flush(key);
            }
        }
        self.alarms.get_mut().tidy(&self.streams);
    }

    /// Writes to streams before their pauses have ended, those first whose pauses end next, until this process's queues keep no
    /// more than `target` bytes. Each gets all that waits in one write.
    pub(super) fn hurry_pauses(&mut self, target: u64) {
        while pinned::bytes() as u64 > target {
            let Some((until, key, id)) = self.alarms.get_mut().take() else { break };
            let Some(stream) = self.streams.get_mut(key as usize).filter(|stream| stream.id == id) else { continue };
            stream.alarm_is_over(until);
            if stream.paused().is_some() {
                stream.waits_since = self.now;
                self.write(key, Stream::hurry);
                self.end_if_finished(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use sse_protocol::stream::StreamSpec;

    /// Attack: clients open streams that wait for a late moment, and close them.
    #[test]
    fn streams_that_have_ended_leave_no_more_alarms_than_others_have() {
        let (mut alarms, mut streams) = (Alarms::default(), Slab::new());
        let open = |id, streams: &mut Slab<Stream>| {
            let socket = UnixStream::pair().expect("a pair").0.into();
            streams.insert(Stream::new(id, socket, StreamSpec::default()))
        };
        let stays = open(1, &mut streams);
        alarms.set(stays as u32, &mut streams[stays], 60_000);
        for id in 2..10_000 {
            let key = open(id, &mut streams);
            alarms.set(key as u32, &mut streams[key], 50_000);
            streams.remove(key);
            alarms.tidy(&streams);
            assert!(alarms.heap.len() <= 2 + FEW, "{}", alarms.heap.len());
        }
        assert!(alarms.heap.iter().any(|Reverse(alarm)| *alarm == (60_000, stays as u32, 1)));
    }
}
