//! Fan-out: which streams an event, a notification or a gap goes to, and one write for each of them.

use std::cell::RefCell;
use std::iter;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use tracing::info;

use crate::event::Event;
use crate::shard::Shard;
use crate::shard::alarms::{Alarms, GRAIN};
use crate::shard::recipients::Recipients;
use crate::stats::{EndReason, ShardStats};
use crate::stream::{Payload, Push, Stream, Trigger, WrittenAmounts, told};
use crate::util::random;
use sse_protocol::topic;

impl Shard {
    /// Writes an event to all streams that watch one of its topics. If more commands wait, the event goes to the batch instead,
    /// so that each stream gets several events in one write. The stream `except` gets nothing; 0: there is none.
    pub(super) fn publish(&mut self, event: &Arc<Event>, except: u64) {
        if !event.finishes() {
            // The ordering thread may have forgotten by now that they were finished.
            self.index.begin_anew(event.topics());
        }
        self.fan_out += 1;
        let alone = self.batch.is_empty() && self.commands.is_empty();
        let Self { index, streams, poll, stats, doomed, fan_out, batch, alarms, now, now_ms, shared, .. } = self;
        let output = StreamWriter { registry: poll.registry(), stats, alarms, now: *now, now_ms: *now_ms };
        let limit = shared.limits.stream_buffer;
        let plain = batch.add(Payload::Event(Arc::clone(event)));
        // An event with one topic looks the same to all streams that get topics in one format.
        let mut of_one_topic = [None; 2];
        let recipients = Recipients::new(index, event.topics(), except);
        recipients.each(streams, *fan_out, |key, stream| {
            let own;
            let (shared, payload) = match stream.spec.topics_as {
                None => (Some(plain), batch.payload(plain)),
                Some(topics_as) if event.topics().len() == 1 => {
                    let shared = *of_one_topic[topics_as as usize]
                        .get_or_insert_with(|| batch.add(Payload::Frames(told(event, topics_as, |_| true))));
                    (Some(shared), batch.payload(shared))
                }
                Some(topics_as) => {
                    let is_watched = |topic: &str| recipients.is_watched_by(stream, topic);
                    own = Payload::Frames(told(event, topics_as, is_watched));
                    (None, &own)
                }
            };
            let spread = event.spread().max(stream.spec.spread.into());
            if spread > 0 || shared.is_none() {
                stats.spread.add(usize::from(spread > 0));
                let share = stream.share.take().unwrap_or_default();
                let push = |stream: &mut Stream, written: &mut WrittenAmounts| {
                    let before = batch.share(share);
                    if spread == 0 {
                        return stream.push(before.chain(iter::once(payload)), limit, written);
                    }
                    if before.clone().next().is_some() {
                        let push = stream.push(before, limit, written);
                        if !matches!(push, Push::Written | Push::Queued) {
                            return push;
                        }
                    }
                    let moment = now_ms.saturating_add(random::up_to(spread).into()).next_multiple_of(GRAIN);
                    stream.push_later(payload, moment, limit, written)
                };
                doomed.extend(output.write(key, stream, push).map(|why| (key, why)));
            } else if alone {
                let push = |stream: &mut Stream, written: &mut WrittenAmounts| {
                    stream.push(iter::once(payload), limit, written)
                };
                doomed.extend(output.write(key, stream, push).map(|why| (key, why)));
            } else if let Some(shared) = shared {
                batch.give(shared, key, &mut stream.share);
            }
        });
        if batch.is_empty() {
            batch.clear();
            self.end_doomed();
        } else if batch.is_full() {
            self.deliver();
        }
    }

    /// Writes the events of the batch.
    pub(super) fn deliver(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let Self { streams, poll, stats, doomed, batch, alarms, now, now_ms, shared, .. } = self;
        let output = StreamWriter { registry: poll.registry(), stats, alarms, now: *now, now_ms: *now_ms };
        for &key in batch.readers() {
            let Some(stream) = streams.get_mut(key as usize) else { continue };
            // The share is missing if a new stream has this key, or if the old one got its share earlier.
            let Some(share) = stream.share.take() else { continue };
            let payloads = batch.share(share);
            let push = |stream: &mut Stream, written: &mut WrittenAmounts| {
                stream.push(payloads, shared.limits.stream_buffer, written)
            };
            doomed.extend(output.write(key, stream, push).map(|why| (key, why)));
        }
        batch.clear();
        self.end_doomed();
    }

    pub(super) fn trigger(&mut self, trigger: &Arc<Trigger>) {
        self.fan_out += 1;
        let Self { index, streams, poll, stats, doomed, fan_out, alarms, now, now_ms, .. } = self;
        let output = StreamWriter { registry: poll.registry(), stats, alarms, now: *now, now_ms: *now_ms };
        let mut reached = |key: u32, stream: &mut Stream| {
            if stream.seen != *fan_out {
                stream.seen = *fan_out;
                let push = |stream: &mut Stream, written: &mut WrittenAmounts| stream.push_trigger(trigger, written);
                doomed.extend(output.write(key, stream, push).map(|why| (key, why)));
            }
        };
        if trigger.topic() == topic::ALL {
            for (key, stream) in streams.iter_mut() {
                reached(key as u32, stream);
            }
        } else {
            index.each(trigger.topic(), |key| {
                if let Some(stream) = streams.get_mut(key as usize) {
                    reached(key, stream);
                }
            });
        }
        self.end_doomed();
    }

    /// Sends the event that reports missing events to all streams with a subscription.
    pub(super) fn tell_gap(&mut self, frame: &Arc<[u8]>) {
        let Self { streams, poll, stats, doomed, alarms, now, now_ms, shared, .. } = self;
        let output = StreamWriter { registry: poll.registry(), stats, alarms, now: *now, now_ms: *now_ms };
        let gap = Payload::Gap(Arc::clone(frame));
        for (key, stream) in streams.iter_mut() {
            // Streams that are closing, or that get a callback's results, watch nothing.
            if !stream.places.is_empty() {
                let push = |stream: &mut Stream, written: &mut WrittenAmounts| {
                    stream.push(iter::once(&gap), shared.limits.stream_buffer, written)
                };
                doomed.extend(output.write(key as u32, stream, push).map(|why| (key as u32, why)));
            }
        }
        self.end_doomed();
    }

    pub(super) fn end_doomed(&mut self) {
        while let Some((key, why)) = self.doomed.pop() {
            self.end(key, why);
        }
    }
}

/// The parts of the shard that a write to a stream needs.
#[derive(Clone, Copy)]
pub(super) struct StreamWriter<'a> {
    pub(super) registry: &'a Registry,
    pub(super) stats: &'a ShardStats,
    pub(super) alarms: &'a RefCell<Alarms>,
    /// Current second of the shard.
    pub(super) now: u32,
    /// Its current millisecond.
    pub(super) now_ms: u64,
}

impl StreamWriter<'_> {
    /// Runs `action`, which writes to the stream, and updates the counters. Returns the reason if the stream must be closed.
    pub(super) fn write(
        self,
        key: u32,
        stream: &mut Stream,
        action: impl FnOnce(&mut Stream, &mut WrittenAmounts) -> Push,
    ) -> Option<EndReason> {
        let before = stream.queued();
        let mut written = WrittenAmounts::default();
        let mut push = action(stream, &mut written);
        if stream.spec.long_poll && stream.answered {
            self.alarms.borrow_mut().list(key, stream);
        }
        while push == Push::Queued
            && let Some(until) = stream.paused()
        {
            if until > self.now_ms {
                self.alarms.borrow_mut().set(key, stream, until);
                break;
            }
            stream.end_pause();
            stream.waits_since = self.now;
            push = stream.flush(&mut written);
        }
        if written.content > 0 && stream.spec.pad > 0 && matches!(push, Push::Written | Push::Queued) {
            let (padding, padded) = stream.pad(push, &mut written);
            push = padded;
            self.stats.padding_bytes.add(padding);
        }
        if written.bytes > 0 {
            stream.active = self.now;
            stream.sent += written.bytes as u64;
            self.stats.delivered_bytes.add(written.bytes);
            self.stats.delivered.add(written.events);
        }
        if written.superseded > 0 {
            self.stats.superseded.add(written.superseded);
        }
        let after = stream.queued();
        if before == 0 || written.bytes > 0 {
            stream.waits_since = self.now;
        }
        if before != after {
            self.stats.queued_bytes.add(after);
            self.stats.queued_bytes.sub(before);
        }
        match push {
            Push::Written | Push::Queued => self.watch_room(key, stream),
            Push::Overflow => Some(EndReason::Slow),
            Push::Broken => Some(EndReason::Client),
        }
    }

    /// Has epoll report room in the socket only while the stream has a queue: a Unix socket reports room after each read of its
    /// client, which would wake the shard once more per delivery.
    fn watch_room(self, key: u32, stream: &mut Stream) -> Option<EndReason> {
        let waits = !stream.is_held() && stream.queued() > 0 && stream.paused().is_none();
        if waits == stream.watches_room {
            return None;
        }
        stream.watches_room = waits;
        let interest = if waits { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let fd = stream.socket().as_raw_fd();
        let done = self.registry.reregister(&mut SourceFd(&fd), Token(key as usize), interest);
        done.err().map(|error| {
            info!(stream = stream.id, %error, "a connection can't be watched");
            EndReason::Error
        })
    }
}
