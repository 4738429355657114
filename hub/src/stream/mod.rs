//! A stream: one client's open response, with its socket and its queue.

pub(crate) mod payload;
pub(crate) mod pieces;
pub(crate) mod pinned;
pub(crate) mod snapshot;
pub(crate) mod topics;
pub(crate) mod vanished;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::iter;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use arrayvec::ArrayVec;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

pub(crate) use crate::stream::payload::{Frames, Payload, Trigger};
pub(crate) use crate::stream::pieces::PIECES;
use crate::stream::pieces::Pieces;
use crate::stream::pinned::Queued;
pub(crate) use crate::stream::topics::told;

use crate::shard::batch::Share;
use crate::shard::index::Place;
use crate::stats::Ended;
use crate::store::history::Missed;
use crate::util::random;
use sse_protocol::event::{cursor, opening, opening_at, replaced};
use sse_protocol::topic;
use sse_protocol::wire::{self, Delivery, Framing, TopicsAs};

/// Maximum number of pending notifications per stream; one more replaces them by a notification for all topics.
const PENDING_TRIGGERS: usize = 64;

/// Minimum reconnection time of a client whose stream was replaced, in milliseconds.
const RETURN_OF_REPLACED: u32 = 30_000;

/// Result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// Everything is written.
    Written,
    /// The rest is queued until the socket is writable.
    Queued,
    /// The queue would exceed the stream's limit.
    Overflow,
    /// The connection is broken.
    Broken,
}

/// Result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// All input was read, and the client is still connected.
    Empty,
    /// There may be more input.
    More,
    /// The client has disconnected.
    Left,
}

/// Amounts written, for the counters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes that the socket took.
    pub(crate) bytes: usize,
    /// Events whose last byte was written.
    pub(crate) events: usize,
}

/// A stream in a shard. An idle one owns no memory besides this struct, its places in the index and its socket.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Id of the stream, for the worker and the log; never reused.
    pub(crate) id: u64,
    /// Number of the last fan-out that reached the stream, so that it gets no event twice.
    pub(crate) seen: u64,
    /// Its share of the current batch.
    pub(crate) share: Share,
    /// Its subscription: places in the index.
    pub(crate) places: Box<[Place]>,
    /// Seconds without a write before a heartbeat; 0: no heartbeats.
    pub(crate) heartbeat: u32,
    /// The shard's second of the last write.
    pub(crate) active: u32,
    /// The shard's second of the queue's last progress.
    pub(crate) waits_since: u32,
    /// Number that stands for the client's address; 0: unknown.
    pub(crate) client: u64,
    /// Epoll reports room in the socket.
    pub(crate) watches_room: bool,
    /// The ordering thread sends more commands for this stream after the commit.
    pub(crate) followed: bool,
    /// The worker sends the opening lines of the response.
    pub(crate) opened: bool,
    /// Reason to close once the queue is written; `None`: the stream stays open.
    pub(crate) closing: Option<Ended>,
    /// Format in which it sends the topics of events; `None`: it sends none.
    pub(crate) topics_as: Option<TopicsAs>,
    /// Reconnection time to be sent, in milliseconds; 0: none.
    retry: u32,
    /// `None` while the stream is held: the worker still writes to the connection.
    framing: Option<Framing>,
    socket: OwnedFd,
    /// Bytes of `queue` that are not written; framed, except while the stream is held.
    queued: usize,
    /// Number of these bytes, at the front, that the client missed: they are no sign of a slow client.
    preloaded: usize,
    /// Framed bytes already written of the queue's first payload.
    offset: usize,
    queue: VecDeque<Queued>,
    /// Pending notifications: they arrived while the queue was not empty.
    pending: Vec<Arc<Trigger>>,
}

impl Stream {
    /// Creates a held stream. Nothing uses its socket before [`open`](Self::open).
    pub(crate) fn new(id: u64, socket: OwnedFd, heartbeat: u32, retry: u32) -> Self {
        Self {
            id,
            seen: 0,
            share: Share::default(),
            places: Box::default(),
            heartbeat,
            active: 0,
            waits_since: 0,
            client: 0,
            watches_room: false,
            followed: false,
            opened: false,
            closing: None,
            topics_as: None,
            retry,
            framing: None,
            socket,
            queued: 0,
            preloaded: 0,
            offset: 0,
            queue: VecDeque::new(),
            pending: Vec::new(),
        }
    }

    /// The socket, for epoll.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Returns whether the worker still has the connection.
    pub(crate) fn is_held(&self) -> bool {
        self.framing.is_none()
    }

    /// Bytes that only queues keep, this one among them.
    pub(crate) fn pinned(&self) -> usize {
        self.queue.iter().map(Queued::pinned).sum()
    }

    /// Bytes in the queue that are not written.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Opens the stream, as its worker has finished with the connection. Queues the opening lines before all that is queued.
    /// Call [`flush`](Self::flush) next.
    pub(crate) fn open(&mut self, framing: Framing) {
        let later = self.queued - self.preloaded;
        self.framing = Some(framing);
        if matches!(framing, Framing::Message | Framing::Wake) {
            // Lines belong to event streams only.
            self.queue.retain(|payload| !matches!(**payload, Payload::Lines(_)));
        }
        if framing == Framing::Message {
            self.release_triggers();
        } else if framing == Framing::Wake {
            let happened = !self.queue.is_empty() || !self.pending.is_empty();
            self.pending = Vec::new();
            self.queue = happened.then(|| Queued::new(Payload::Wake)).into_iter().collect();
        } else {
            self.pending = Vec::new();
            if !self.opened {
                let first = match self.queue.front().map(|first| &**first) {
                    Some(Payload::Lines(lines)) => Some(opening_at(self.retry, lines)),
                    _ => None,
                };
                if first.is_some() {
                    self.queue.pop_front();
                }
                let first = first.unwrap_or_else(|| opening(self.retry));
                self.queue.push_front(Queued::new(Payload::Lines(first.into_boxed_str())));
            }
        }
        self.queued = self.queue.iter().map(|payload| payload.framed_len(framing)).sum();
        if self.preloaded > 0 {
            self.preloaded = self.queued.saturating_sub(later);
        }
    }

    /// Queues the missed events without a limit: the history keeps them anyway, for all clients that missed them.
    pub(crate) fn preload(&mut self, missed: Missed) -> Push {
        if let Some(gap) = missed.gap {
            self.enqueue_any(Payload::Gap(gap));
        }
        for event in missed.events {
            self.enqueue_any(Payload::Event(event));
        }
        if let Some(id) = missed.cursor {
            self.enqueue_any(Payload::Lines(cursor(id).into_boxed_str()));
        }
        self.preloaded = self.queued;
        Push::Queued
    }

    /// Makes the stream send the topics of its events, including queued ones. Sends `cursor`, the id of the newest event,
    /// before the queue, and after it that the client has reached this id. So the client can resume there even if none of its
    /// topics ever gets an event.
    pub(crate) fn tell_topics(&mut self, topics_as: TopicsAs, cursor: &str, watches: impl Fn(&str) -> bool) -> Push {
        self.topics_as = Some(topics_as);
        let queue = mem::take(&mut self.queue);
        self.queued = 0;
        // A `Gap` does not count as an event.
        self.enqueue_any(Payload::Gap(topics::cursor(topics_as, cursor)));
        for payload in queue {
            self.enqueue_any(match &*payload {
                Payload::Event(event) => Payload::Frames(told(event, topics_as, &watches)),
                other => other.clone(),
            });
        }
        self.enqueue_any(Payload::Gap(topics::reached(topics_as, cursor)));
        self.preloaded = self.queued;
        Push::Queued
    }

    /// Writes payloads in order; queues them if the socket is full or the stream is held.
    pub(crate) fn push<'a>(
        &mut self,
        payloads: impl Iterator<Item = &'a Payload> + Clone,
        limit: usize,
        written: &mut Written,
    ) -> Push {
        if self.framing == Some(Framing::Wake) { self.push_wake(written) } else { self.offer(payloads, limit, written) }
    }

    fn offer<'a>(
        &mut self,
        mut payloads: impl Iterator<Item = &'a Payload> + Clone,
        limit: usize,
        written: &mut Written,
    ) -> Push {
        // The last write filled the socket.
        let mut full = false;
        loop {
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
            } else if self.flush(written) == Push::Broken {
                // The client may have made room: it is not slow just because many events arrive at once.
                return Push::Broken;
            }
        }
    }

    /// Writes payloads until the socket is full; the queue must be empty. Advances the iterator past the written ones, and
    /// returns the written bytes of the next payload.
    fn write_all<'a>(
        &self,
        payloads: &mut (impl Iterator<Item = &'a Payload> + Clone),
        framing: Framing,
        written: &mut Written,
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
                written.events += usize::from(next.is_event());
                *payloads = rest.clone();
            };
            if complete || count < pieces.len() {
                return Ok(offset);
            }
        }
    }

    /// Sends a notification to a `Message` stream. With a queue, the notification stays pending until the queue is written,
    /// once per topic.
    pub(crate) fn push_trigger(&mut self, trigger: &Arc<Trigger>, written: &mut Written) -> Push {
        match self.framing {
            Some(Framing::Wake) => self.push_wake(written),
            Some(Framing::Message) if self.queue.is_empty() => {
                self.offer(iter::once(&Payload::Trigger(Arc::clone(trigger))), usize::MAX, written)
            }
            // The framing of a held stream is not known yet, so keep the notification.
            Some(Framing::Message) | None => {
                let pending = &mut self.pending;
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
    fn push_wake(&mut self, written: &mut Written) -> Push {
        if !self.queue.is_empty() {
            return Push::Queued;
        }
        self.offer(iter::once(&Payload::Wake), usize::MAX, written)
    }

    /// Sends a heartbeat. A queue needs none: the client gets the queued bytes instead.
    pub(crate) fn push_heartbeat(&mut self, written: &mut Written) -> Push {
        if self.is_held() || !self.queue.is_empty() {
            return Push::Queued;
        }
        if self.framing == Some(Framing::Wake) {
            // On a `Wake` stream each byte is a notification.
            return Push::Written;
        }
        self.offer(iter::once(&Payload::Heartbeat), usize::MAX, written)
    }

    /// Queues a new reconnection time for a client that must reconnect: its own plus up to `spread` random milliseconds, so
    /// that clients don't reconnect all at once. Skips clients that got no reconnection time before. Call
    /// [`push_end`](Self::push_end) next.
    pub(crate) fn spread_return(&mut self, spread: u32) {
        if self.is_event_stream() && self.retry > 0 {
            let retry = self.retry.saturating_add(random::up_to(spread));
            self.enqueue_any(Payload::Lines(opening(retry).into_boxed_str()));
        }
    }

    /// Queues the event that another stream of the same user replaces this one. Its long reconnection time limits how often two
    /// clients replace each other; a page may stop at the event. Call [`push_end`](Self::push_end) next.
    pub(crate) fn tell_replaced(&mut self) -> Push {
        let retry = self.retry.max(RETURN_OF_REPLACED);
        if self.is_event_stream() {
            self.enqueue_any(Payload::Lines(replaced(retry).into_boxed_str()));
        } else if self.framing == Some(Framing::Message) {
            let message = wire::encode(&Delivery::Replaced { retry });
            self.enqueue_any(Payload::Frames(Arc::new(Frames::from(Arc::<[u8]>::from(message)))));
        }
        Push::Queued
    }

    fn is_event_stream(&self) -> bool {
        !matches!(self.framing, None | Some(Framing::Message | Framing::Wake))
    }

    /// Queues the end of the response and writes as much as possible.
    pub(crate) fn push_end(&mut self, written: &mut Written) -> Push {
        self.pending = Vec::new();
        self.enqueue_any(Payload::End);
        self.flush(written)
    }

    /// Returns whether a payload would exceed the queue's limit. The payload being written doesn't count, or a client that
    /// reads the largest event would be slow as soon as another one follows. Missed events don't count either, or the first new
    /// event would close the stream of a client that resumes with more than the limit, time after time.
    fn is_too_much(&self, payload: &Payload, limit: usize) -> bool {
        let Some(first) = self.queue.front() else { return false };
        let framing = self.framing.unwrap_or(Framing::Raw);
        let first = first.framed_len(framing) - self.offset;
        self.queued - first.max(self.preloaded) + payload.framed_len(framing) > limit
    }

    fn enqueue_any(&mut self, payload: Payload) {
        self.queued += payload.framed_len(self.framing.unwrap_or(Framing::Raw));
        self.queue.push_back(Queued::new(payload));
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
                // Frees the queue's memory.
                self.queue = VecDeque::new();
                return Push::Written;
            }
            let (offered, taken) = {
                let mut pieces = Pieces::new();
                pieces.fill(self.queue.iter().map(|payload| &**payload), framing, self.offset);
                (pieces.len(), self.write(&pieces))
            };
            match taken {
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

    /// Removes written bytes from the queue; returns the number of events completed.
    fn advance(&mut self, framing: Framing, count: usize) -> usize {
        self.queued -= count;
        self.preloaded = self.preloaded.saturating_sub(count);
        self.offset += count;
        let mut events = 0;
        while let Some(first) = self.queue.front() {
            let len = first.framed_len(framing);
            if self.offset < len {
                break;
            }
            self.offset -= len;
            events += usize::from(first.is_event());
            self.queue.pop_front();
        }
        // Shrink a queue that has become short, or it keeps its largest size.
        if self.queue.capacity() > 64 && self.queue.len() < self.queue.capacity() / 4 {
            self.queue.shrink_to(self.queue.len() * 2);
        }
        events
    }

    /// Writes once without blocking. The per-call flag is needed as the worker shares the file description and its flags.
    /// Returns 0 if the socket is full.
    fn write(&self, pieces: &Pieces<'_>) -> Result<usize, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut slices = ArrayVec::<_, PIECES>::new_const();
        if pieces.as_slice().len() > 1 {
            slices.extend(pieces.as_slice().iter().map(|piece| IoSlice::new(piece.bytes())));
        }
        loop {
            let sent = match pieces.as_slice() {
                [] => return Ok(0),
                [one] => rustix::net::send(&self.socket, one.bytes(), flags),
                _ => rustix::net::sendmsg(&self.socket, &slices, &mut SendAncillaryBuffer::default(), flags),
            };
            match sent {
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Reads and discards a bounded amount of the client's input: leftovers of a web server, or garbage.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use proptest::prelude::*;
    use sse_protocol::event::NewEvent;
    use sse_protocol::framing;
    use std::io::{ErrorKind, Read};
    use std::os::unix::net::UnixStream;

    const LIMIT: usize = usize::MAX;

    fn event(len: usize) -> Arc<Event> {
        let data: Vec<u8> = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
        Arc::new(Event::new(&NewEvent { topics: vec!["a"], data: &data, ..Default::default() }, "7-0"))
    }

    impl Stream {
        fn push_event(&mut self, event: &Arc<Event>, limit: usize, written: &mut Written) -> Push {
            self.push(iter::once(&Payload::Event(Arc::clone(event))), limit, written)
        }
    }

    fn framed(framing: Framing, payload: &Payload) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = payload.piece(framing, bytes.len()) {
            bytes.extend_from_slice(piece.bytes());
        }
        bytes
    }

    /// Creates a stream with the smallest socket buffer.
    fn pair() -> (Stream, UnixStream) {
        let (near, far) = UnixStream::pair().expect("a pair");
        socket2::SockRef::from(&near).set_send_buffer_size(1).expect("small");
        far.set_nonblocking(true).expect("own socket");
        (Stream::new(1, near.into(), 0, 500), far)
    }

    fn read(far: &mut UnixStream, most: usize, into: &mut Vec<u8>) {
        match far.take(most as u64).read_to_end(into) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    #[test]
    fn an_idle_stream_is_small_and_has_no_memory_beside() {
        assert!(size_of::<Stream>() <= 160, "{} bytes", size_of::<Stream>());
        let (mut stream, mut far) = pair();
        stream.open(Framing::Raw);
        let (mut written, mut got) = (Written::default(), Vec::new());
        stream.push_event(&event(500_000), LIMIT, &mut written);
        while stream.flush(&mut written) != Push::Written {
            read(&mut far, 1 << 20, &mut got);
        }
        assert_eq!((stream.queue.capacity(), stream.pending.capacity()), (0, 0));
        assert_eq!((stream.queued(), written.events), (0, 1));
    }

    #[test]
    fn behind_one_event_of_any_size_a_queue_takes_no_more_than_its_bytes() {
        let mut written = Written::default();
        let room_for_two = 2 * event(1).frame().len();
        for first in [1, 5000] {
            let (mut stream, _far) = pair();
            for size in [first, 1, 1] {
                assert_eq!(stream.push_event(&event(size), room_for_two, &mut written), Push::Queued);
            }
            assert_eq!(stream.push_event(&event(1), room_for_two, &mut written), Push::Overflow);
        }
        let (mut stream, _far) = pair();
        assert_eq!(stream.push_event(&event(1), room_for_two, &mut written), Push::Queued);
        assert_eq!(stream.push_event(&event(5000), room_for_two, &mut written), Push::Overflow);
    }

    /// Otherwise each new event would close a stream that resumes with more than the limit, before it makes progress.
    #[test]
    fn a_reader_that_comes_back_to_much_is_not_slow_when_an_event_follows() {
        for topics_as in [None, Some(TopicsAs::Field)] {
            let (mut stream, mut far) = pair();
            let mut written = Written::default();
            let missed = Missed { events: vec![event(5000); 100], ..Missed::default() };
            stream.preload(missed);
            if let Some(topics_as) = topics_as {
                stream.tell_topics(topics_as, "7-0", |_| true);
            }
            let limit = 2 * framing::framed_len(Framing::Chunked, event(1).frame().len());
            assert_eq!(stream.push_event(&event(1), limit, &mut written), Push::Queued, "still held");
            stream.open(Framing::Chunked);
            assert_eq!(stream.flush(&mut written), Push::Queued);
            assert_eq!(stream.push_event(&event(1), limit, &mut written), Push::Queued);
            assert_eq!(stream.push_event(&event(1), limit, &mut written), Push::Overflow, "these do count");
            let mut got = Vec::new();
            while stream.flush(&mut written) != Push::Written {
                read(&mut far, 1 << 20, &mut got);
            }
            assert_eq!((stream.queued(), stream.preloaded), (0, 0));
        }
    }

    /// The rest of a partly written payload doesn't count either, whatever its size.
    #[test]
    fn a_client_that_reads_a_large_event_is_not_slow_when_another_follows() {
        let (mut stream, _far) = pair();
        stream.open(Framing::Raw);
        let mut written = Written::default();
        assert_eq!(stream.flush(&mut written), Push::Written);
        let opening = written.bytes;
        let large = event(4_000_000);
        assert_eq!(stream.push_event(&large, large.frame().len(), &mut written), Push::Queued);
        assert!(written.bytes > opening && stream.queued() > 0);
        assert_eq!(stream.push_event(&large, large.frame().len(), &mut written), Push::Queued);
        assert_eq!(stream.push_event(&event(1), large.frame().len(), &mut written), Push::Overflow);
    }

    /// The client would have kept up with the same events one at a time.
    #[test]
    fn a_client_that_has_made_room_is_not_slow_because_many_events_come_at_once() {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        far.set_nonblocking(true).expect("own socket");
        let mut stream = Stream::new(1, near.into(), 0, 500);
        stream.open(Framing::Raw);
        let (mut written, mut got) = (Written::default(), Vec::new());
        let mut size = 100_000;
        while stream.push_event(&event(size), LIMIT, &mut written) == Push::Written {
            read(&mut far, 1 << 20, &mut got);
            size += 10_000;
        }
        read(&mut far, 1 << 20, &mut got);
        let many: Vec<_> = (0..20).map(|_| Payload::Event(event(100))).collect();
        let limit = 3 * many[0].len();
        assert_eq!(stream.push(many.iter(), limit, &mut written), Push::Written);
        assert_eq!(stream.push(many.iter().cycle(), limit, &mut written), Push::Overflow);
    }

    #[test]
    fn a_client_that_has_left_is_noticed_when_reading_and_when_writing() {
        let (mut stream, far) = pair();
        stream.open(Framing::Raw);
        let mut written = Written::default();
        assert_eq!(stream.flush(&mut written), Push::Written);
        assert_eq!(stream.drain(&mut [0; 16], 4), Input::Empty);
        drop(far);
        assert_ne!(stream.drain(&mut [0; 16], 4), Input::Empty);
        assert_eq!(stream.push_event(&event(1), LIMIT, &mut written), Push::Broken);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Events(Vec<usize>),
        Heartbeat,
        Read(usize),
        Flush,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..2000_usize).prop_map(|len| Step::Events(vec![len])),
            proptest::collection::vec(0..500_usize, 0..2 * PIECES).prop_map(Step::Events),
            proptest::collection::vec(60_000..140_000_usize, 1..3).prop_map(Step::Events),
            Just(Step::Heartbeat),
            (1..50_000_usize).prop_map(Step::Read),
            Just(Step::Flush),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn however_the_socket_takes_it_the_bytes_are_the_same(
            steps in proptest::collection::vec(any_step(), 1..30),
            opened in 0..10_usize,
            framing in prop_oneof![Just(Framing::Raw), Just(Framing::Chunked), Just(Framing::FastCgi { request: 9 }), Just(Framing::Message)],
        ) {
            let (mut stream, mut far) = pair();
            let (mut written, mut got) = (Written::default(), Vec::new());
            let mut events = Vec::new();
            let mut expected = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                if number == opened {
                    stream.open(framing);
                    if framing != Framing::Message {
                        expected.extend(framed(framing, &Payload::Lines("retry: 500\n\n".into())));
                    }
                    events.drain(..).for_each(|event| expected.extend(framed(framing, &event)));
                    prop_assert_ne!(stream.flush(&mut written), Push::Broken);
                }
                let pushed = match step {
                    Step::Events(sizes) => {
                        let events: Vec<_> = sizes.into_iter().map(|len| Payload::Event(event(len))).collect();
                        prop_assert!(matches!(stream.push(events.iter(), LIMIT, &mut written), Push::Written | Push::Queued));
                        events
                    }
                    Step::Heartbeat => {
                        let idle = !stream.is_held() && stream.queue.is_empty();
                        stream.push_heartbeat(&mut written);
                        idle.then_some(Payload::Heartbeat).into_iter().collect()
                    }
                    Step::Read(most) => {
                        read(&mut far, most, &mut got);
                        Vec::new()
                    }
                    Step::Flush => {
                        stream.flush(&mut written);
                        Vec::new()
                    }
                };
                if stream.is_held() {
                    events.extend(pushed);
                } else {
                    pushed.iter().for_each(|payload| expected.extend(framed(framing, payload)));
                }
                if !stream.is_held() {
                    prop_assert_eq!(stream.queued() + written.bytes, expected.len());
                }
            }
            if stream.is_held() {
                return Ok(());
            }
            expected.extend(framed(framing, &Payload::End));
            stream.push_end(&mut written);
            while stream.flush(&mut written) != Push::Written {
                read(&mut far, 1 << 20, &mut got);
            }
            read(&mut far, 1 << 20, &mut got);
            prop_assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
        }
    }
}
