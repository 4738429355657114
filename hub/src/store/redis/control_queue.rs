//! Messages for the channel by which hubs tell each other to do something, on their way to Redis.
//!
//! An order that was not sent for certain waits again, in its place. Nobody waits so long for an answer: questions and answers
//! do not outlive the connection.

use std::mem;
use std::time::{Duration, Instant};

/// Most messages that wait to be sent.
pub(crate) const WAITING: usize = 1000;

/// Most of them that are questions or answers, so that a logout is not refused for what others count.
const INQUIRIES: usize = WAITING / 2;

/// A message for that channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueuedControl {
    pub(crate) text: String,
    pub(crate) kind: ControlKind,
    /// Since when it waits.
    since: Instant,
}

/// What a message for that channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlKind {
    /// Ends streams.
    Order,
    /// Passes on the inquiry of this number, whose receivers are to be told.
    Question(u64),
    /// Answers another hub's question.
    Answer,
}

/// The messages, in order.
#[derive(Debug, Default)]
pub(crate) struct ControlQueue {
    waiting: Vec<QueuedControl>,
    /// Orders that are being sent, which may have to wait again.
    sending: usize,
}

impl QueuedControl {
    pub(crate) fn new(text: String, kind: ControlKind) -> Self {
        Self { text, kind, since: Instant::now() }
    }

    /// How long it has waited.
    pub(crate) fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    fn is_order(&self) -> bool {
        self.kind == ControlKind::Order
    }
}

fn orders(messages: &[QueuedControl]) -> usize {
    messages.iter().filter(|message| message.is_order()).count()
}

impl ControlQueue {
    /// Adds a message; false: there is no room for it.
    pub(crate) fn push(&mut self, message: QueuedControl) -> bool {
        let Self { waiting, sending } = self;
        let has_room =
            waiting.len() + *sending < WAITING && (message.is_order() || waiting.len() - orders(waiting) < INQUIRIES);
        if has_room {
            waiting.push(message);
        }
        has_room
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes those that wait, to be sent.
    pub(crate) fn take(&mut self) -> Vec<QueuedControl> {
        self.sending = orders(&self.waiting);
        mem::take(&mut self.waiting)
    }

    /// Those taken last are sent.
    pub(crate) fn sent(&mut self) {
        self.sending = 0;
    }

    /// Those taken last may not be sent.
    pub(crate) fn put_back(&mut self, messages: &[QueuedControl]) {
        self.sending = 0;
        self.waiting.splice(..0, messages.iter().filter(|message| message.is_order()).cloned());
    }

    /// The connection is gone, and those taken are sent or put back.
    pub(crate) fn away(&mut self) {
        self.waiting.retain(QueuedControl::is_order);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;

    fn message(kind: ControlKind, nth: usize) -> QueuedControl {
        static SINCE: OnceLock<Instant> = OnceLock::new();
        QueuedControl { text: nth.to_string(), kind, since: *SINCE.get_or_init(Instant::now) }
    }

    fn order(nth: usize) -> QueuedControl {
        message(ControlKind::Order, nth)
    }

    /// Attack: everybody asks how many watch a topic, while somebody logs out.
    #[test]
    fn questions_and_answers_leave_room_for_what_ends_streams() {
        let mut queue = ControlQueue::default();
        let inquiry = |nth| message(if nth % 2 == 0 { ControlKind::Question(0) } else { ControlKind::Answer }, nth);
        let asked = (0..).take_while(|nth| queue.push(inquiry(*nth))).count();
        assert!((1..=WAITING / 2).contains(&asked), "{asked}");
        assert!(!queue.push(inquiry(0)) && !queue.push(inquiry(1)));
        let ended = (0..).take_while(|nth| queue.push(order(*nth))).count();
        assert_eq!(asked + ended, WAITING);
        assert!(!queue.push(inquiry(0)) && !queue.push(inquiry(1)));
        assert_eq!(queue.take().len(), WAITING);
        assert!(queue.push(inquiry(0)) && queue.push(inquiry(1)));
    }

    /// Attack: logouts and questions go on while Redis breaks each connection before it answers.
    #[test]
    fn an_order_that_was_not_sent_waits_again_within_the_limit_and_a_question_or_answer_does_not() {
        let mut queue = ControlQueue::default();
        assert!(queue.push(message(ControlKind::Question(1), 0)) && queue.push(message(ControlKind::Answer, 0)));
        assert!((0..10).all(|nth| queue.push(order(nth))));
        let sending = queue.take();
        let count = 10 + (10..).take_while(|nth| queue.push(order(*nth))).count();
        assert_eq!(count, WAITING, "the limit counts those that may have to wait again");
        queue.put_back(&sending);
        assert!(!queue.push(order(count)));
        queue.away();
        assert!(queue.take().into_iter().eq((0..count).map(order)), "in their order");

        queue.sent();
        assert!(queue.push(message(ControlKind::Question(2), 0)) && queue.push(order(0)));
        queue.away();
        assert_eq!(queue.take(), [order(0)]);
    }
}
