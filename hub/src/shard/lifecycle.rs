//! The life of a stream in its shard: held, open, closing, ended.

use std::iter;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Token};
use rustix::net::Shutdown;
use slab::Slab;
use tracing::{debug, info};

use crate::event::Event;
use crate::index::Watcher;
use crate::shard::Shard;
use crate::shard::command::NewStream;
use crate::shard::fanout::StreamWriter;
use crate::shard::report::ShardReport;
use crate::shard::timers::Due;
use crate::stats::EndReason;
use crate::stream::{Push, Stream, vanished};
use sse_protocol::wire::{Framing, TopicsAs};

/// Time that all streams together have for their ends when the hub stops.
const FAREWELL: Duration = Duration::from_secs(2);

impl Shard {
    pub(super) fn attach(&mut self, attach: NewStream) {
        let NewStream { id, client, socket, patterns, spec, first, missed, newest, followed } = attach;
        let mut stream = Stream::new(id, socket, spec);
        stream.client = client;
        stream.since = self.now;
        stream.followed = followed;
        let key = self.streams.insert(stream) as u32;
        if let Some(ends) = NonZeroU32::new(spec.max_lifetime).map(|lifetime| lifetime.saturating_add(self.now)) {
            self.wheel.insert(ends.get(), Due { key, ends: Some(ends), id });
        }
        self.watch(key, &patterns);
        self.known.insert(id, key);
        self.write(key, |stream, written| stream.preload(first, missed, written));
        if let (Some(topics_as), Some(newest)) = (spec.topics_as, newest) {
            self.tell_topics(key, topics_as, &newest);
        }
    }

    fn tell_topics(&mut self, key: u32, topics_as: TopicsAs, cursor: &str) {
        let Self { streams, index, poll, stats, alarms, now, now_ms, .. } = self;
        let Some(stream) = streams.get_mut(key as usize) else { return };
        // Held streams are not written to, so this can't fail.
        let output = StreamWriter { registry: poll.registry(), stats, alarms, now: *now, now_ms: *now_ms };
        output.write(key, stream, |stream, _| {
            let places = std::mem::take(&mut stream.places);
            let patterns = index.patterns_of(&places);
            let push = stream.tell_topics(topics_as, cursor, |topic| patterns.watch(topic));
            stream.places = places;
            push
        });
    }

    /// Sends an event to one stream alone. Without a limit for a held one: it is part of what the stream begins with.
    pub(super) fn tell(&mut self, id: u64, event: &Arc<Event>) {
        let Some(&key) = self.known.get(&id) else { return };
        let limit = self.shared.limits.stream_buffer;
        self.write(key, |stream, written| match stream.is_held() {
            true => stream.preload_one(event),
            false if stream.closing.is_some() => Push::Queued,
            false => stream.push(iter::once(&stream.payload(event)), limit, written),
        });
    }

    pub(super) fn watch(&mut self, key: u32, patterns: &[Box<str>]) {
        let mut places = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let watcher = Watcher { stream: key, nth: places.len() as u32 };
            places.push(self.index.insert(pattern, watcher));
        }
        if let Some(stream) = self.streams.get_mut(key as usize) {
            stream.places = places.into_boxed_slice();
        }
    }

    pub(super) fn unwatch(&mut self, key: u32) {
        let Some(stream) = self.streams.get_mut(key as usize) else { return };
        for place in std::mem::take(&mut stream.places) {
            self.watched.remove(self.index.pattern(place));
            if let Some(moved) = self.index.remove(place)
                && let Some(other) = self.streams.get_mut(moved.stream as usize)
            {
                other.places[moved.nth as usize].moved_to(place);
            }
        }
    }

    pub(super) fn commit(&mut self, id: u64, framing: Framing) {
        // A held stream that overflowed is gone already.
        let Some(&key) = self.known.get(&id) else { return };
        let Some(stream) = self.streams.get_mut(key as usize) else { return };
        if !stream.followed {
            self.known.remove(&id);
        }
        let before = stream.queued();
        stream.open(framing);
        stream.waits_since = self.now;
        self.stats.queued_bytes.sub(before);
        self.stats.queued_bytes.add(stream.queued());
        self.stats.opened.add(1);
        self.stats.untold.add(usize::from(!stream.spec.opens));
        // Where the kernel can't watch the client, heartbeats still detect that it has gone.
        let _ = vanished::watch(stream.socket(), self.shared.limits.stall_timeout(stream.spec.heartbeat));
        if matches!(framing, Framing::FastCgi { .. }) {
            // Reads the end of the request's body, which FPM leaves unread: epoll would report it at once.
            let _ = stream.drain(&mut self.scratch, 1);
        }
        let fd = stream.socket().as_raw_fd();
        if let Err(error) = self.poll.registry().register(&mut SourceFd(&fd), Token(key as usize), Interest::READABLE) {
            info!(stream = id, %error, "a connection can't be watched");
            self.end(key, EndReason::Error);
            return;
        }
        if stream.spec.heartbeat > 0 {
            self.wheel.insert(self.now.saturating_add(stream.spec.heartbeat), Due { key, ends: None, id });
        }
        debug!(stream = id, ?framing, "open");
        let closing = stream.closing.take();
        self.flush(key);
        if let Some(why) = closing {
            self.close(key, why);
        }
    }

    /// Opens a held stream on the connection by which the web server fetches it. One that has ended meanwhile just ends there.
    pub(super) fn redeem(&mut self, id: u64, framing: Framing, socket: OwnedFd) {
        if let Some(&key) = self.known.get(&id)
            && let Some(stream) = self.streams.get_mut(key as usize).filter(|stream| stream.is_held())
        {
            stream.set_socket(socket);
            self.commit(id, framing);
        }
    }

    /// Removes a stream. The connection of an open stream is shut down; that of a held one stays open for its worker.
    pub(super) fn end(&mut self, key: u32, why: EndReason) {
        self.unwatch(key);
        let Some(stream) = self.streams.try_remove(key as usize) else { return };
        if stream.followed || stream.is_held() {
            self.known.remove(&stream.id);
        }
        if stream.is_held() {
            self.stats.ended_held.add(1);
            self.stats.told_held.add(usize::from(stream.spec.opens));
        } else {
            // Deregister, as closing the descriptor is not enough while the worker has a duplicate of it.
            let _ = self.poll.registry().deregister(&mut SourceFd(&stream.socket().as_raw_fd()));
        }
        self.stats.queued_bytes.sub(stream.queued());
        self.stats.end(why);
        if why == EndReason::Slow {
            info!(
                stream = stream.id,
                why = why.name(),
                queued = stream.queued(),
                "ended: the client reads too slowly (sse.stream_buffer, sse.stall_timeout, sse.queue_bytes)"
            );
        } else {
            info!(stream = stream.id, why = why.name(), "ended");
        }
        if !stream.is_held() {
            // A child process of the script may have inherited the connection, so closing the descriptor would not end it.
            let _ = rustix::net::shutdown(stream.socket(), Shutdown::Both);
        }
        if self.streams.is_empty() {
            // Frees the memory of the largest number of streams.
            self.streams = Slab::new();
        }
        // The quota is charged until this report, and the ordering thread may be idle. If it has ended, it needs no report.
        let _ = self.shared.reports.send(ShardReport::Ended(stream.id));
        let _ = self.shared.ordering_thread.wake();
    }

    /// Starts the ends of all streams. Their clients' reconnections are spread over `spread` milliseconds.
    pub(super) fn stop(&mut self, spread: u32) {
        self.farewell = Some(Instant::now() + FAREWELL);
        let all: Vec<u32> = self.streams.iter().map(|(key, _)| key as u32).collect();
        for key in all {
            if let Some(stream) = self.streams.get_mut(key as usize).filter(|stream| stream.closing.is_none()) {
                let before = stream.queued();
                stream.spread_return(spread);
                self.stats.queued_bytes.add(stream.queued() - before);
            }
            self.close(key, EndReason::Shutdown);
        }
    }

    /// Closes one stream after its queue, with a proper end of the response.
    pub(super) fn close(&mut self, key: u32, why: EndReason) {
        let Some(stream) = self.streams.get_mut(key as usize) else { return };
        if stream.is_held() {
            if matches!(why, EndReason::Replaced | EndReason::Finished | EndReason::Disconnected | EndReason::Lifetime)
            {
                // The client may have the opening lines already, so the commit ends the response, after the event that it was
                // replaced, if it was. One whose topics are finished has their last events in its queue, and a long-poll what its
                // client has missed.
                stream.closing = Some(why);
                self.unwatch(key);
            } else {
                self.end(key, why);
            }
            return;
        }
        // Write the end only once.
        if stream.closing.replace(why).is_none() {
            self.unwatch(key);
            // Unread input would make the kernel reset the TCP connection on close, and the client might lose the end.
            self.read(key);
            if why == EndReason::Replaced {
                self.write(key, |stream, _| stream.tell_replaced());
            }
            self.write(key, Stream::push_end);
        }
        self.end_if_finished(key);
        // The user's new stream replaces this one, so it must not wait for its client to read all.
        if why == EndReason::Replaced {
            self.end(key, why);
        }
    }

    pub(super) fn end_all(&mut self) {
        let all: Vec<u32> = self.streams.iter().map(|(key, _)| key as u32).collect();
        for key in all {
            self.end(key, EndReason::Shutdown);
        }
    }
}
