//! Padding: where the web server collects output before it passes it on, each write is followed by a comment that fills it up.
//!
//! The comment is a payload of its own behind the others, so events stay shared by all streams.

use sse_protocol::padding::{is_read_by_client, needed};
use sse_protocol::wire::Framing;

use crate::stream::{Payload, Push, Stream, WrittenAmounts};

impl Stream {
    /// Fills up what was just written, if all that may be written now is written; `push` is the result of that. Returns the
    /// length of the comment, 0 without one, and the new result.
    pub(crate) fn pad(&mut self, push: Push, written: &mut WrittenAmounts) -> (usize, Push) {
        let Some(framing) = self.framing.filter(|framing| is_read_by_client(*framing)) else { return (0, push) };
        // The end of the response is passed on at once, and nothing may follow it. What is left of a queue gets the comment.
        if self.closing.is_some() || !(self.queue.is_empty() || self.paused().is_some()) {
            return (0, push);
        }
        let Ok(len) = u16::try_from(needed(self.spec.pad, written.content)) else { return (0, push) };
        let paused = !self.queue.is_empty();
        let padded = match self.write_ahead(Payload::Padding(len), framing, written) {
            Push::Queued if !paused && self.queue.is_empty() => Push::Written,
            other => other,
        };
        (len.into(), padded)
    }
}

impl WrittenAmounts {
    /// Counts a payload whose last byte was written.
    pub(super) fn complete(&mut self, payload: &Payload, framing: Framing) {
        self.events += usize::from(payload.is_event());
        if !matches!(payload, Payload::Padding(_)) {
            self.content += payload.bytes(framing).len();
        }
    }
}
