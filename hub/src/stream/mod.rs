//! A stream: one client's open response, with its socket and its queue.

pub(crate) mod batch;
mod latest;
mod padding;
mod pause;
pub(crate) mod payload;
pub(crate) mod pieces;
mod queue;
pub(crate) mod queued;
pub(crate) mod snapshot;
mod socket;
#[cfg(test)]
mod tests;
pub(crate) mod topics;
pub(crate) mod vanished;

use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

pub(crate) use crate::stream::payload::{Payload, Trigger};
pub(crate) use crate::stream::pieces::PIECES;
use crate::stream::queued::Queued;
pub(crate) use crate::stream::socket::SocketRead;
pub(crate) use crate::stream::topics::told;

use crate::event::Event;
use crate::event::frames::Frames;
use crate::index::IndexPlace;
use crate::stats::EndReason;
use crate::store::history::Missed;
use crate::stream::batch::Share;
use crate::stream::latest::LatestPlaces;
use crate::util::random;
use sse_protocol::event::{self, cursor, opening, opening_at, replaced};
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, Delivery, Framing, TopicsAs};

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

/// Amounts written, for the counters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenAmounts {
    /// Bytes that the socket took.
    pub(crate) bytes: usize,
    /// Events whose last byte was written.
    pub(crate) events: usize,
    /// Bytes before framing of the payloads whose last byte was written, except padding.
    pub(crate) content: usize,
    /// Events that are not written, as newer ones have replaced them.
    pub(crate) superseded: usize,
}

/// A stream in a shard. An idle one owns no memory besides this struct, its places in the index and its socket.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Id of the stream, for the worker and the log; never reused.
    pub(crate) id: u64,
    /// Number of the last fan-out that reached the stream, so that it gets no event twice.
    pub(crate) seen: u64,
    /// Number of the last fan-out of a private update that the stream may get.
    pub(crate) allowed: u64,
    /// Its share of the current batch.
    pub(crate) share: Share,
    /// Its subscription: places in the index.
    pub(crate) places: Box<[IndexPlace]>,
    /// Its options.
    pub(crate) spec: StreamSpec,
    /// The shard's second in which it was attached.
    pub(crate) since: u32,
    /// The shard's second of the last write.
    pub(crate) active: u32,
    /// The shard's second of the queue's last progress.
    pub(crate) waits_since: u32,
    /// Number that stands for the client's address; 0: unknown.
    pub(crate) client: u64,
    /// Bytes written.
    pub(crate) sent: u64,
    /// Epoll reports room in the socket.
    pub(crate) watches_room: bool,
    /// The ordering thread sends more commands for this stream after the commit.
    pub(crate) followed: bool,
    /// Events have come since it was attached: a long-poll is answered.
    pub(crate) answered: bool,
    /// The shard looks at the turn's end whether this long-poll is to end.
    pub(crate) is_listed: bool,
    /// Reason to close once the queue is written; `None`: the stream stays open.
    pub(crate) closing: Option<EndReason>,
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
    behind: Option<Box<Behind>>,
}

/// What a stream keeps besides its queue while that is not empty.
#[derive(Debug, Default)]
struct Behind {
    /// Pending notifications.
    triggers: Vec<Arc<Trigger>>,
    /// Where events wait that a newer one may replace.
    latest: LatestPlaces,
    /// The end of the last pause in the queue; 0: there was none since the queue was empty.
    paused_until: u64,
    /// When the shard's next alarm for the stream is due; 0: there is none.
    alarm: u64,
}

impl Stream {
    /// Creates a held stream. Nothing uses its socket before [`open`](Self::open).
    pub(crate) fn new(id: u64, socket: OwnedFd, spec: StreamSpec) -> Self {
        Self {
            id,
            seen: 0,
            allowed: 0,
            share: Share::default(),
            places: Box::default(),
            spec,
            since: 0,
            active: 0,
            waits_since: 0,
            client: 0,
            sent: 0,
            watches_room: false,
            followed: false,
            answered: false,
            is_listed: false,
            closing: None,
            framing: None,
            socket,
            queued: 0,
            preloaded: 0,
            offset: 0,
            queue: VecDeque::new(),
            behind: None,
        }
    }

    /// The socket, for epoll.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Replaces the socket of a held stream.
    pub(crate) fn set_socket(&mut self, socket: OwnedFd) {
        self.socket = socket;
    }

    /// How bytes are framed on the connection; `None` while it is held.
    pub(crate) fn framing(&self) -> Option<Framing> {
        self.framing
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
        if self.is_of_php() {
            self.end_pauses();
        }
        if framing == Framing::Message {
            self.release_triggers();
        } else if framing == Framing::Wake {
            let happened = !self.drop_triggers().is_empty() || !self.queue.is_empty();
            self.queue = happened.then(|| Queued::new(Payload::Wake)).into_iter().collect();
        } else {
            self.drop_triggers();
            if !self.spec.opens {
                let first = match self.queue.front().map(|first| &**first) {
                    Some(Payload::Lines(lines)) => Some(opening_at(&self.spec, lines)),
                    _ => None,
                };
                if first.is_some() {
                    self.queue.pop_front();
                }
                let first = first.unwrap_or_else(|| opening(&self.spec));
                self.queue.push_front(Queued::new(Payload::Lines(first.into_boxed_str())));
            }
        }
        self.tidy_up();
        self.queued = self.queue.iter().map(|payload| payload.framed_len(framing)).sum();
        if self.preloaded > 0 {
            self.preloaded = self.queued.saturating_sub(later);
        }
    }

    /// Queues what comes first, and the missed events without a limit: the history keeps them anyway, for all clients that
    /// missed them.
    pub(crate) fn preload(&mut self, first: Option<Box<str>>, missed: Missed, written: &mut WrittenAmounts) -> Push {
        if let Some(first) = first {
            self.enqueue_any(Payload::Lines(first));
        }
        if let Some(gap) = missed.gap {
            self.enqueue_any(Payload::Gap(gap));
        }
        for event in missed.events {
            let event = Payload::Event(event);
            written.superseded += self.supersede(&event);
            self.enqueue_any(event);
        }
        if let Some(id) = missed.cursor {
            self.enqueue_any(Payload::Lines(cursor(id).into_boxed_str()));
        }
        self.preloaded = self.queued;
        Push::Queued
    }

    /// Queues one event without a limit, for a held stream.
    pub(crate) fn preload_one(&mut self, event: &Arc<Event>) -> Push {
        let payload = self.payload(event);
        self.enqueue_any(payload);
        self.preloaded = self.queued;
        Push::Queued
    }

    /// An event that is for this stream alone, as its client gets it.
    pub(crate) fn payload(&self, event: &Arc<Event>) -> Payload {
        match self.spec.topics_as {
            None => Payload::Event(Arc::clone(event)),
            Some(topics_as) => Payload::Frames(told(event, topics_as, |_| true)),
        }
    }

    /// Makes the stream send the topics of its events, including queued ones. Sends `cursor`, the id of the newest event,
    /// before the queue, and after it that the client has reached this id. So the client can resume there even if none of its
    /// topics ever gets an event.
    pub(crate) fn tell_topics(&mut self, topics_as: TopicsAs, cursor: &str, watches: impl Fn(&str) -> bool) -> Push {
        self.spec.topics_as = Some(topics_as);
        self.tidy_up();
        let mut queue = mem::take(&mut self.queue);
        if let Some(behind) = &mut self.behind {
            behind.latest = LatestPlaces::default();
        }
        // The stream's public id, which comes before all else.
        if let Some(Payload::Lines(_)) = queue.front().map(|first| &**first) {
            self.queue.extend(queue.pop_front());
        }
        self.queued = self.queue.iter().map(|first| first.framed_len(Framing::Raw)).sum();
        // A `Gap` does not count as an event.
        self.enqueue_any(Payload::Gap(topics::cursor(topics_as, cursor, self.spec.heartbeat)));
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

    /// Queues a new reconnection time for a client that must reconnect: its own plus up to `spread` random milliseconds, so
    /// that clients don't reconnect all at once. Skips clients that got no reconnection time before. Call
    /// [`push_end`](Self::push_end) next.
    pub(crate) fn spread_return(&mut self, spread: u32) {
        if self.is_event_stream() && self.spec.retry > 0 {
            let retry = self.spec.retry.saturating_add(random::up_to(spread));
            self.enqueue_any(Payload::Lines(event::retry(retry).into_boxed_str()));
        }
    }

    /// Queues the reconnection time for a client that is about to be disconnected.
    pub(crate) fn tell_retry(&mut self, retry: u32) {
        match self.framing {
            Some(Framing::Message) => {
                let message = wire::encode(&Delivery::Retry { retry });
                self.enqueue_any(Payload::Frames(Arc::new(Frames::from(Arc::<[u8]>::from(message)))));
            }
            Some(Framing::Wake) => {}
            _ => self.enqueue_any(Payload::Lines(format!("retry: {retry}\n\n").into_boxed_str())),
        }
    }

    /// Whether it is a PHP process that reads, and no client. What a held one is, is not known yet.
    pub(crate) fn is_of_php(&self) -> bool {
        self.client == 0 && matches!(self.framing, Some(Framing::Message | Framing::Wake))
    }

    /// Queues the event that another stream of the same user replaces this one. Its long reconnection time limits how often two
    /// clients replace each other; a page may stop at the event. Call [`push_end`](Self::push_end) next.
    pub(crate) fn tell_replaced(&mut self) -> Push {
        let retry = self.spec.retry.max(RETURN_OF_REPLACED);
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
}
