//! A stream's queue: writes at once, or keeps in order what its socket does not take yet.

use std::collections::VecDeque;
use std::iter;
use std::mem;
use std::sync::Arc;

use rustix::io::Errno;

use crate::stream::pieces::Pieces;
use crate::stream::queued::Queued;
use crate::stream::{Payload, Push, Stream, Trigger, WrittenAmounts};
use sse_protocol::topic;
use sse_protocol::wire::Framing;

/// Maximum number of pending notifications per stream; one more replaces them by a notification for all topics.
const PENDING_TRIGGERS: usize = 64;

impl Stream {
    /// Writes events in order; queues them if the socket is full or the stream is held.
    pub(crate) fn push<'a>(
        &mut self,
        payloads: impl Iterator<Item = &'a Payload> + Clone,
        limit: usize,
        written: &mut WrittenAmounts,
    ) -> Push {
        self.answered = true;
        if self.framing == Some(Framing::Wake) { self.push_wake(written) } else { self.offer(payloads, limit, written) }
    }

    fn offer<'a>(
        &mut self,
        mut payloads: impl Iterator<Item = &'a Payload> + Clone,
        limit: usize,
        written: &mut WrittenAmounts,
    ) -> Push {
        // The last write filled the socket.
        let mut full = false;
        loop {
            if let Some(payload) = payloads.clone().next() {
                written.superseded += self.supersede(payload);
            }
            if self.queue.is_empty()
                && let Some(framing) = self.framing
            {
                let Ok(offset) = self.write_all(&mut payloads, framing, written) else { return Push::Broken };
                let Some(first) = payloads.next() else { return Push::Written };
                self.enqueue_any(first.clone());
                self.offset = offset;
                self.queued -= offset;
                full = true;
            }
            let Some(payload) = payloads.clone().next() else { return Push::Queued };
            if !self.is_too_much(payload, limit) {
                self.enqueue_any(payload.clone());
                payloads.next();
            } else if mem::replace(&mut full, true) {
                return Push::Overflow;
            } else {
                self.end_pauses();
                // The client may have made room: it is not slow just because many events arrive at once.
                if self.flush(written) == Push::Broken {
                    return Push::Broken;
                }
            }
        }
    }

    /// Writes payloads until the socket is full; the queue must be empty. Advances the iterator past the written ones, and
    /// returns the written bytes of the next payload.
    pub(super) fn write_all<'a>(
        &self,
        payloads: &mut (impl Iterator<Item = &'a Payload> + Clone),
        framing: Framing,
        written: &mut WrittenAmounts,
    ) -> Result<usize, Errno> {
        let mut offset = 0;
        loop {
            let mut pieces = Pieces::new();
            pieces.fill(payloads.clone(), framing, offset);
            let count = self.write(&pieces)?;
            written.bytes += count;
            offset += count;
            let mut rest = payloads.clone();
            let complete = loop {
                let Some(next) = rest.next() else { break true };
                let len = next.framed_len(framing);
                if offset < len {
                    break false;
                }
                offset -= len;
                written.complete(next, framing);
                *payloads = rest.clone();
            };
            if complete || count < pieces.len() {
                return Ok(offset);
            }
        }
    }

    /// Sends a notification to a `Message` stream. With a queue, the notification stays pending until the queue is written,
    /// once per topic.
    pub(crate) fn push_trigger(&mut self, trigger: &Arc<Trigger>, written: &mut WrittenAmounts) -> Push {
        match self.framing {
            Some(Framing::Wake) => self.push_wake(written),
            Some(Framing::Message) if self.queue.is_empty() => {
                self.answered = true;
                self.offer(iter::once(&Payload::Trigger(Arc::clone(trigger))), usize::MAX, written)
            }
            // The framing of a held stream is not known yet, so keep the notification.
            Some(Framing::Message) | None => {
                let pending = &mut self.behind.get_or_insert_default().triggers;
                let known = |kept: &Arc<Trigger>| kept.topic() == trigger.topic() || kept.topic() == topic::ALL;
                if !pending.iter().any(known) {
                    let all = trigger.topic() == topic::ALL;
                    if all || pending.len() >= PENDING_TRIGGERS {
                        pending.clear();
                        pending.push(if all { Arc::clone(trigger) } else { Arc::new(Trigger::new(topic::ALL)) });
                    } else {
                        pending.push(Arc::clone(trigger));
                    }
                }
                Push::Queued
            }
            Some(_) => Push::Written,
        }
    }

    /// Sends the byte of a `Wake` stream, unless one is queued already.
    fn push_wake(&mut self, written: &mut WrittenAmounts) -> Push {
        if !self.queue.is_empty() {
            return Push::Queued;
        }
        self.offer(iter::once(&Payload::Wake), usize::MAX, written)
    }

    /// Sends a heartbeat. A queue needs none, unless it is paused: the client gets the queued bytes instead.
    pub(crate) fn push_heartbeat(&mut self, written: &mut WrittenAmounts) -> Push {
        let Some(framing) = self.framing else { return Push::Queued };
        if self.paused().is_some() {
            return self.write_ahead(Payload::Heartbeat, framing, written);
        }
        if !self.queue.is_empty() {
            return Push::Queued;
        }
        if framing == Framing::Wake {
            // On a `Wake` stream each byte is a notification.
            return Push::Written;
        }
        self.offer(iter::once(&Payload::Heartbeat), usize::MAX, written)
    }

    /// Queues the end of the response and writes as much as possible.
    pub(crate) fn push_end(&mut self, written: &mut WrittenAmounts) -> Push {
        self.drop_triggers();
        self.end_pauses();
        self.enqueue_any(Payload::End);
        self.flush(written)
    }

    /// Returns whether a payload would exceed the queue's limit. The payload being written doesn't count, or a client that
    /// reads the largest event would be slow as soon as another one follows. Missed events don't count either, or the first new
    /// event would close the stream of a client that resumes with more than the limit, time after time.
    fn is_too_much(&self, payload: &Payload, limit: usize) -> bool {
        // No further search, as it is made for each event: `leave_empty_places` leaves at most a pause before the first payload.
        let Some(first) = self.queue.iter().take(2).find(|queued| queued.is_something()) else { return false };
        let framing = self.framing.unwrap_or(Framing::Raw);
        let first = first.framed_len(framing) - self.offset;
        self.queued - first.max(self.preloaded) + payload.framed_len(framing) > limit
    }

    pub(super) fn enqueue_any(&mut self, payload: Payload) {
        self.note_latest(&payload);
        self.queued += payload.framed_len(self.framing.unwrap_or(Framing::Raw));
        self.queue.push_back(Queued::new(payload));
    }

    pub(super) fn release_triggers(&mut self) {
        for trigger in self.drop_triggers() {
            self.enqueue_any(Payload::Trigger(trigger));
        }
    }

    pub(super) fn drop_triggers(&mut self) -> Vec<Arc<Trigger>> {
        self.behind.as_mut().map(|behind| mem::take(&mut behind.triggers)).unwrap_or_default()
    }

    /// Writes as much of the queue as the socket takes.
    pub(crate) fn flush(&mut self, written: &mut WrittenAmounts) -> Push {
        let Some(framing) = self.framing else { return Push::Queued };
        loop {
            if self.queue.is_empty() {
                self.release_triggers();
            }
            if self.queue.is_empty() {
                // Frees the queue's memory.
                self.queue = VecDeque::new();
                self.behind = None;
                return Push::Written;
            }
            if self.paused().is_some() {
                return Push::Queued;
            }
            let (offered, taken) = {
                let mut pieces = Pieces::new();
                let now = self.queue.iter().map(|payload| &**payload);
                pieces.fill(now.take_while(|payload| !matches!(payload, Payload::Pause(_))), framing, self.offset);
                (pieces.len(), self.write(&pieces))
            };
            match taken {
                Ok(count) => {
                    written.bytes += count;
                    self.advance(framing, count, written);
                    if count < offered {
                        return Push::Queued;
                    }
                }
                Err(_) => return Push::Broken,
            }
        }
    }

    /// Removes written bytes from the queue.
    fn advance(&mut self, framing: Framing, count: usize, written: &mut WrittenAmounts) {
        self.queued -= count;
        self.preloaded = self.preloaded.saturating_sub(count);
        self.offset += count;
        while let Some(first) = self.queue.front() {
            let len = first.framed_len(framing);
            if self.offset < len || self.paused().is_some() {
                break;
            }
            self.offset -= len;
            written.complete(first, framing);
            self.leave_queue();
        }
        self.leave_empty_places();
        // Shrink a queue that has become short, or it keeps its largest size.
        if self.queue.capacity() > 64 && self.queue.len() < self.queue.capacity() / 4 {
            self.queue.shrink_to(self.queue.len() * 2);
        }
    }
}
