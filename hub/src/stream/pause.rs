//! Pauses: an event that each client is told at a moment of its own waits behind a pause in the queue, and so does all that
//! comes after it.
//!
//! The shard ends a pause when its time has come. A queue that would be too long, and the end of the stream, end it early: a
//! pause never costs a client its stream, nor an event.

use std::iter;

use sse_protocol::wire::Framing;

use crate::stream::queued::Queued;
use crate::stream::{Payload, Push, Stream, WrittenAmounts};

impl Stream {
    /// Adds a pause up to a moment, in milliseconds since the hub's start, unless what comes next waits that long anyway. PHP
    /// processes are told at once.
    pub(super) fn pause(&mut self, until: u64) {
        if self.framing == Some(Framing::Wake) || self.is_of_php() {
            return;
        }
        let behind = self.behind.get_or_insert_default();
        if behind.paused_until < until {
            behind.paused_until = until;
            self.enqueue_any(Payload::Pause(until));
            self.leave_empty_places();
        }
    }

    /// Writes an event at a moment of this stream's own, in milliseconds since the hub's start. One that replaces an event
    /// behind a pause adds no pause: it is told when that one would have been, or a ticker that is faster than its `spread` would
    /// be put off for ever.
    pub(crate) fn push_later(
        &mut self,
        payload: &Payload,
        until: u64,
        limit: usize,
        written: &mut WrittenAmounts,
    ) -> Push {
        if !self.replaces_behind_pause(payload) {
            self.pause(until);
        }
        self.push(iter::once(payload), limit, written)
    }

    /// Up to when nothing of the queue may be written.
    pub(crate) fn paused(&self) -> Option<u64> {
        match self.queue.front().map(|first| &**first) {
            Some(Payload::Pause(until)) => Some(*until),
            _ => None,
        }
    }

    /// Whether the shard must set an alarm for the end of a pause, as it has set no earlier one.
    pub(crate) fn needs_alarm(&mut self, until: u64) -> bool {
        let alarm = &mut self.behind.get_or_insert_default().alarm;
        let needed = *alarm == 0 || until < *alarm;
        if needed {
            *alarm = until;
        }
        needed
    }

    /// When the shard's next alarm for the stream is due.
    pub(crate) fn alarm(&self) -> Option<u64> {
        self.behind.as_ref().map(|behind| behind.alarm).filter(|alarm| *alarm > 0)
    }

    /// Notes that an alarm is over.
    pub(crate) fn alarm_is_over(&mut self, until: u64) {
        if let Some(behind) = self.behind.as_mut().filter(|behind| behind.alarm == until) {
            behind.alarm = 0;
        }
    }

    /// Ends the pause that the queue begins with. Call [`flush`](Self::flush) next.
    pub(crate) fn end_pause(&mut self) {
        if self.paused().is_some() {
            self.leave_queue();
            self.leave_empty_places();
        }
    }

    /// Ends all pauses, and writes what the socket takes.
    pub(crate) fn hurry(&mut self, written: &mut WrittenAmounts) -> Push {
        self.end_pauses();
        self.flush(written)
    }

    /// Removes all pauses. Call [`flush`](Self::flush) next.
    pub(super) fn end_pauses(&mut self) {
        if let Some(behind) = self.behind.as_mut().filter(|behind| behind.paused_until > 0) {
            behind.paused_until = 0;
            self.queue.retain(|queued| !matches!(**queued, Payload::Pause(_)));
            self.tidy_up();
        }
    }

    /// Writes a payload before all that waits behind a pause.
    pub(super) fn write_ahead(&mut self, payload: Payload, framing: Framing, written: &mut WrittenAmounts) -> Push {
        let mut rest = iter::once(&payload);
        match self.write_all(&mut rest, framing, written) {
            Err(_) => Push::Broken,
            Ok(offset) if rest.next().is_some() => {
                self.queued += payload.framed_len(framing) - offset;
                self.offset = offset;
                self.queue.push_front(Queued::new(payload));
                self.tidy_up();
                Push::Queued
            }
            Ok(_) => Push::Queued,
        }
    }
}
