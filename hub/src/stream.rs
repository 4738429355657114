//! One client's open response: its socket, and what still has to be written to it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use crate::event::Event;
use crate::framing::{self, Piece, Wrap};
use crate::shard::index::Place;
use crate::topic;
use crate::wire::{self, Delivery, Framing};

/// Pieces of one write at most.
const PIECES: usize = 32;

/// Different topics kept for a reader that is behind, before they become "all".
const PENDING_TRIGGERS: usize = 64;

/// The comment that keeps a connection alive.
const COMMENT: &[u8] = b":\n\n";

/// [`Delivery::Heartbeat`] as a message.
const HEARTBEAT_MESSAGE: &[u8] = &[1, 0, 0, 0, 2];

/// "This topic changed", ready to be sent.
#[derive(Debug)]
pub(crate) struct Trigger {
    topic: Box<str>,
    message: Box<[u8]>,
}

impl Trigger {
    /// Of a checked topic, or [`topic::ALL`].
    pub(crate) fn new(topic: &str) -> Self {
        let message = wire::encode(&Delivery::Trigger { topic });
        Self { topic: topic.into(), message: message.into_boxed_slice() }
    }

    /// The topic; [`topic::ALL`] for all.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }
}

/// Something to write.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// A published event.
    Event(Arc<Event>),
    /// A changed topic, for a reader of messages.
    Trigger(Arc<Trigger>),
    /// The first bytes of a stream.
    Opening(Box<str>),
    /// A sign of life.
    Heartbeat,
    /// The end of the response.
    End,
}

impl Payload {
    /// Its bytes before they are framed.
    fn bytes(&self, framing: Framing) -> &[u8] {
        match (self, framing) {
            (Self::Event(event), Framing::Message) => event.message(),
            (Self::Event(event), _) => event.frame(),
            (Self::Trigger(trigger), _) => &trigger.message,
            (Self::Opening(text), _) => text.as_bytes(),
            (Self::Heartbeat, Framing::Message) => HEARTBEAT_MESSAGE,
            (Self::Heartbeat, _) => COMMENT,
            (Self::End, _) => &[],
        }
    }

    fn framed_len(&self, framing: Framing) -> usize {
        match self {
            Self::End => framing::end(framing).bytes().len(),
            other => framing::framed_len(framing, other.bytes(framing).len()),
        }
    }

    fn piece(&self, framing: Framing, offset: usize) -> Option<Piece<'_>> {
        match self {
            Self::End => {
                let rest = framing::end(framing).skip(offset);
                (!rest.bytes().is_empty()).then_some(Piece::Wrap(rest))
            }
            other => framing::piece(framing, other.bytes(framing), offset),
        }
    }
}

/// What became of an attempt to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// Nothing is left to write.
    Written,
    /// Some is left until the socket is writable again.
    Queued,
    /// More than the stream's buffer allows would be left.
    Overflow,
    /// The connection is broken.
    Broken,
}

/// What was found when looking for input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// All that had come was read, and the client is still there.
    Empty,
    /// There may be more.
    More,
    /// The client has left.
    Left,
}

/// What writing did, for the counters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes that the socket took.
    pub(crate) bytes: usize,
    /// Events that are written completely now.
    pub(crate) events: usize,
}

/// A stream of a shard. An idle one has no memory of its own beyond this, its places in the index and its socket.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Names the stream to the worker and in the log; never given twice.
    pub(crate) id: u64,
    /// The last fan-out that reached it, so that no event comes twice.
    pub(crate) seen: u64,
    /// Its places in the index.
    pub(crate) places: Box<[Place]>,
    /// Seconds of silence before a heartbeat; 0: never.
    pub(crate) heartbeat: u32,
    /// The shard's second at which something was written last.
    pub(crate) active: u32,
    /// Reconnection time to tell, in milliseconds; 0: none.
    retry: u32,
    /// `None` while held: the worker still writes to the connection.
    framing: Option<Framing>,
    socket: OwnedFd,
    /// Framed bytes of `queue` that are left; unframed ones while held.
    queued: usize,
    /// Framed bytes of the queue's first payload that are written.
    offset: usize,
    queue: VecDeque<Payload>,
    /// Triggers that came while the queue was not empty.
    pending: Vec<Arc<Trigger>>,
}

impl Stream {
    /// A held stream: nothing touches its socket before [`open`](Self::open).
    pub(crate) fn new(id: u64, socket: OwnedFd, heartbeat: u32, retry: u32) -> Self {
        Self {
            id,
            seen: 0,
            places: Box::default(),
            heartbeat,
            active: 0,
            retry,
            framing: None,
            socket,
            queued: 0,
            offset: 0,
            queue: VecDeque::new(),
            pending: Vec::new(),
        }
    }

    /// Its socket, for epoll.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether the worker still has the connection.
    pub(crate) fn is_held(&self) -> bool {
        self.framing.is_none()
    }

    /// Bytes that wait to be written.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// The worker has let go: the stream's first bytes are queued before what has come meanwhile. To be followed by
    /// [`flush`](Self::flush).
    pub(crate) fn open(&mut self, framing: Framing) {
        self.framing = Some(framing);
        if framing == Framing::Message {
            self.release_triggers();
        } else {
            self.pending = Vec::new();
            // A comment, where there is no reconnection time to tell, lets the client see at once that it is connected.
            let text = if self.retry > 0 { format!("retry: {}\n\n", self.retry) } else { ":\n\n".into() };
            self.queue.push_front(Payload::Opening(text.into_boxed_str()));
        }
        self.queued = self.queue.iter().map(|payload| payload.framed_len(framing)).sum();
    }

    /// Writes an event, or queues it where the socket is full or the stream held.
    pub(crate) fn push_event(&mut self, event: &Arc<Event>, limit: usize, written: &mut Written) -> Push {
        if self.queue.is_empty()
            && let Some(framing) = self.framing
        {
            let bytes = if framing == Framing::Message { event.message() } else { event.frame() };
            let pieces = Pieces::of(|offset| framing::piece(framing, bytes, offset));
            let len = framing::framed_len(framing, bytes.len());
            return match self.write(&pieces) {
                Ok(count) => {
                    written.bytes += count;
                    if count == len {
                        written.events += 1;
                        return Push::Written;
                    }
                    let whole = count == pieces.len;
                    self.offset = count;
                    self.queued = len - count;
                    self.queue.push_back(Payload::Event(Arc::clone(event)));
                    if whole { self.flush(written) } else { Push::Queued }
                }
                Err(_) => Push::Broken,
            };
        }
        self.enqueue(Payload::Event(Arc::clone(event)), limit)
    }

    /// Tells a reader of messages that a topic changed. A reader that is behind gets it once it has caught up, and a
    /// topic that changed several times meanwhile once only.
    pub(crate) fn push_trigger(&mut self, trigger: &Arc<Trigger>, written: &mut Written) -> Push {
        match self.framing {
            Some(Framing::Message) if self.queue.is_empty() => {
                self.enqueue_any(Payload::Trigger(Arc::clone(trigger)));
                self.flush(written)
            }
            // Of a held stream it is not known yet what it will be.
            Some(Framing::Message) | None => {
                let pending = &mut self.pending;
                let known = |kept: &Arc<Trigger>| kept.topic == trigger.topic || kept.topic() == topic::ALL;
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

    /// Sends a heartbeat; with something in the queue, that is sign enough, once the client reads it.
    pub(crate) fn push_heartbeat(&mut self, written: &mut Written) -> Push {
        if self.is_held() || !self.queue.is_empty() {
            return Push::Queued;
        }
        self.enqueue_any(Payload::Heartbeat);
        self.flush(written)
    }

    /// Writes the end of the response after all that is queued.
    pub(crate) fn push_end(&mut self, written: &mut Written) -> Push {
        self.pending = Vec::new();
        self.enqueue_any(Payload::End);
        self.flush(written)
    }

    /// Queues within the stream's buffer; what comes into an empty queue is always taken.
    fn enqueue(&mut self, payload: Payload, limit: usize) -> Push {
        let len = payload.framed_len(self.framing.unwrap_or(Framing::Raw));
        if !self.queue.is_empty() && self.queued + len > limit {
            return Push::Overflow;
        }
        self.enqueue_any(payload);
        Push::Queued
    }

    fn enqueue_any(&mut self, payload: Payload) {
        self.queued += payload.framed_len(self.framing.unwrap_or(Framing::Raw));
        self.queue.push_back(payload);
    }

    fn release_triggers(&mut self) {
        for trigger in mem::take(&mut self.pending) {
            self.enqueue_any(Payload::Trigger(trigger));
        }
    }

    /// Writes as much of the queue as the socket takes.
    pub(crate) fn flush(&mut self, written: &mut Written) -> Push {
        let Some(framing) = self.framing else { return Push::Queued };
        loop {
            if self.queue.is_empty() {
                self.release_triggers();
            }
            if self.queue.is_empty() {
                // Gives the memory back.
                self.queue = VecDeque::new();
                return Push::Written;
            }
            let pieces = Pieces::of_queue(&self.queue, framing, self.offset);
            let offered = pieces.len;
            match self.write(&pieces) {
                Ok(count) => {
                    written.bytes += count;
                    written.events += self.advance(framing, count);
                    if count < offered {
                        return Push::Queued;
                    }
                }
                Err(_) => return Push::Broken,
            }
        }
    }

    /// Takes written bytes off the queue; returns the number of events that are complete now.
    fn advance(&mut self, framing: Framing, count: usize) -> usize {
        self.queued -= count;
        self.offset += count;
        let mut events = 0;
        while let Some(first) = self.queue.front() {
            let len = first.framed_len(framing);
            if self.offset < len {
                break;
            }
            self.offset -= len;
            events += usize::from(matches!(first, Payload::Event(_)));
            self.queue.pop_front();
        }
        events
    }

    /// One write, without waiting and whatever the file description's own flags are: they are the worker's as well.
    /// 0 bytes: the socket is full.
    fn write(&self, pieces: &Pieces<'_>) -> Result<usize, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut slices = [IoSlice::new(&[]); PIECES];
        for (slice, piece) in slices.iter_mut().zip(pieces.as_slice()) {
            *slice = IoSlice::new(piece.bytes());
        }
        loop {
            let sent = match &slices[..pieces.count] {
                [] => return Ok(0),
                [one] => rustix::net::send(&self.socket, one, flags),
                many => rustix::net::sendmsg(&self.socket, many, &mut SendAncillaryBuffer::default(), flags),
            };
            match sent {
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Reads and forgets what has come from the client, a bounded amount at a time: a web server's leftovers, or nonsense.
    pub(crate) fn drain(&self, scratch: &mut [u8], reads: usize) -> Input {
        for _ in 0..reads {
            match rustix::net::recv(&self.socket, &mut *scratch, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Input::Left,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Input::Empty,
                Err(_) => return Input::Left,
            }
        }
        Input::More
    }
}

/// The next bytes of a queue, without copying them.
struct Pieces<'a> {
    pieces: [Piece<'a>; PIECES],
    count: usize,
    /// Bytes in all of them.
    len: usize,
}

impl<'a> Pieces<'a> {
    fn empty() -> Self {
        Self { pieces: [const { Piece::Wrap(Wrap::EMPTY) }; PIECES], count: 0, len: 0 }
    }

    /// The pieces of one payload.
    fn of(piece: impl Fn(usize) -> Option<Piece<'a>>) -> Self {
        let mut pieces = Self::empty();
        pieces.extend(0, piece);
        pieces
    }

    fn of_queue(queue: &'a VecDeque<Payload>, framing: Framing, mut offset: usize) -> Self {
        let mut pieces = Self::empty();
        for payload in queue {
            if !pieces.extend(mem::take(&mut offset), |offset| payload.piece(framing, offset)) {
                break;
            }
        }
        pieces
    }

    /// Adds pieces from `offset` on; false when there is no room for more.
    fn extend(&mut self, mut offset: usize, piece: impl Fn(usize) -> Option<Piece<'a>>) -> bool {
        while let Some(piece) = piece(offset) {
            let Some(free) = self.pieces.get_mut(self.count) else { return false };
            let len = piece.bytes().len();
            *free = piece;
            self.count += 1;
            self.len += len;
            offset += len;
        }
        true
    }

    fn as_slice(&self) -> &[Piece<'a>] {
        &self.pieces[..self.count]
    }
}
