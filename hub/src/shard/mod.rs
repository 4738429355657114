//! A shard: one thread that owns a part of the streams and writes events to them.
//!
//! It executes [`Command`]s of the ordering thread in order and blocks only in its own poll. Delivery of an event to sockets
//! with room takes no lock and allocates nothing.

pub(crate) mod batch;
pub(crate) mod command;
pub(crate) mod handle;
pub(crate) mod index;
pub(crate) mod interest;
pub(crate) mod interner;
pub(crate) mod process;
pub(crate) mod slow;
pub(crate) mod snapshot;
pub(crate) mod thread;
pub(crate) mod trie;

use std::collections::HashMap;
use std::io;
use std::iter;
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::net::Shutdown;
use slab::Slab;
use tracing::{debug, info};

use crate::event::Event;
use crate::shard::batch::Batch;
use crate::shard::command::{Attach, Backlog, Command};
use crate::shard::index::{Index, Watcher};
use crate::shard::interest::InterestFilter;
use crate::shard::thread::Shared;
use crate::stats::{Ended, ShardStats};
use crate::stream::{Input, Payload, Push, Stream, Trigger, Written, told, vanished};
use crate::util::timer::Wheel;
use sse_protocol::topic;
use sse_protocol::wire::{Framing, TopicsAs};

/// Token of the waker. A stream's token is its slab key.
const WAKER: Token = Token(usize::MAX);

/// Maximum number of commands per turn, before the shard polls the sockets again.
const COMMANDS_A_TURN: usize = 1024;

/// Maximum number of reads from one client per turn, so that other clients get their turn.
const READS_A_TURN: usize = 4;

/// Seconds that a stream has for its queue and its end after its lifetime.
const PARTING: u32 = 10;

/// Time that all streams together have for their ends when the hub stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// State of a shard's thread.
#[derive(Debug)]
struct Shard {
    poll: Poll,
    commands: Receiver<Command>,
    backlog: Arc<Backlog>,
    /// Filter by which the ordering thread skips this shard.
    watched: Arc<InterestFilter>,
    shared: Shared,
    stats: &'static ShardStats,
    streams: Slab<Stream>,
    index: Index,
    /// Slab keys by id of the streams that the ordering thread still addresses: held and followed ones.
    known: HashMap<u64, u32>,
    wheel: Wheel<Due>,
    started: Instant,
    /// Seconds since the hub's start, updated once per turn.
    now: u32,
    /// Number of the current fan-out, to deliver it only once per stream.
    fan_out: u64,
    /// Events to be written.
    batch: Batch,
    /// Streams (key and id) with more input than one turn reads.
    unread: Vec<(u32, u64)>,
    /// Streams to close as soon as the index is no longer borrowed.
    doomed: Vec<(u32, Ended)>,
    /// Second of the next stall check.
    next_stall_check: u32,
    /// Bytes kept only by queues, as of the last time the ordering thread was informed.
    pinned_told: usize,
    scratch: Box<[u8]>,
    /// Deadline for the ends of all streams; set once the hub stops.
    farewell: Option<Instant>,
}

/// A timer of one stream: for its heartbeat or for the end of its lifetime.
#[derive(Debug, Clone, Copy)]
struct Due {
    key: u32,
    /// Second at which the lifetime ends; `None`: this timer is for the heartbeat.
    ends: Option<NonZeroU32>,
    id: u64,
}

impl Shard {
    fn new(
        poll: Poll,
        commands: Receiver<Command>,
        backlog: Arc<Backlog>,
        watched: Arc<InterestFilter>,
        stats: &'static ShardStats,
        shared: Shared,
    ) -> Self {
        let mut shard = Self {
            poll,
            commands,
            backlog,
            watched,
            stats,
            streams: Slab::new(),
            index: Index::new(Arc::clone(&shared.names)),
            known: HashMap::new(),
            wheel: Wheel::new(),
            started: shared.started,
            now: 0,
            fan_out: 0,
            batch: Batch::default(),
            unread: Vec::new(),
            doomed: Vec::new(),
            next_stall_check: 0,
            pinned_told: 0,
            scratch: vec![0; 16 * 1024].into_boxed_slice(),
            farewell: None,
            shared,
        };
        shard.now = shard.second();
        shard.wheel.advance(shard.now, &mut Vec::new());
        shard
    }

    /// Seconds since the hub's start.
    fn second(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// Runs until [`Command::Stop`] is done; returns the shard on [`Command::Pause`].
    fn run(mut self: Box<Self>) -> io::Result<Option<Box<Self>>> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = self.second();
            // Sockets before commands: a new stream of this turn must not get the readiness of an old one with its key.
            for (key, id) in std::mem::take(&mut self.unread) {
                if self.streams.get(key as usize).is_some_and(|stream| stream.id == id) {
                    self.read(key);
                }
            }
            for event in &events {
                if event.token() != WAKER {
                    self.ready(event);
                }
            }
            events.clear();
            if self.process_commands() {
                return Ok(Some(self));
            }
            self.send_heartbeats();
            self.end_stalled();
            self.tell_pinned();
            if self.farewell.is_some_and(|deadline| self.streams.is_empty() || Instant::now() >= deadline) {
                self.end_all();
                return Ok(None);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.unread.is_empty() || !self.commands.is_empty() {
            return Some(Duration::ZERO);
        }
        let heartbeat = self.wheel.next_due().map(|second| self.started + Duration::from_secs(second.into()));
        let stalled = self.stall_check().map(|second| self.started + Duration::from_secs(second.into()));
        let next = [heartbeat, stalled, self.farewell].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn ready(&mut self, event: &mio::event::Event) {
        let key = event.token().0 as u32;
        if event.is_error() || event.is_read_closed() || event.is_write_closed() {
            self.end(key, Ended::Client);
            return;
        }
        if event.is_readable() {
            self.read(key);
        }
        if event.is_writable() {
            self.flush(key);
        }
    }

    fn read(&mut self, key: u32) {
        let Some(stream) = self.streams.get(key as usize) else { return };
        match stream.drain(&mut self.scratch, READS_A_TURN) {
            Input::Empty => {}
            Input::More => self.unread.push((key, stream.id)),
            Input::Left => self.end(key, Ended::Client),
        }
    }

    fn flush(&mut self, key: u32) {
        self.write(key, Stream::flush);
        self.end_if_finished(key);
    }

    /// Closes a stream that is to end and whose queue is written.
    fn end_if_finished(&mut self, key: u32) {
        let Some(stream) = self.streams.get(key as usize).filter(|stream| stream.queued() == 0) else { return };
        if let Some(why) = stream.closing {
            self.end(key, why);
        }
    }

    /// Writes to one stream, updates the counters, and closes the stream if the write failed.
    fn write(&mut self, key: u32, action: impl FnOnce(&mut Stream, &mut Written) -> Push) {
        let Some(stream) = self.streams.get_mut(key as usize) else { return };
        let output = Output { registry: self.poll.registry(), stats: self.stats, now: self.now };
        if let Some(why) = output.write(key, stream, action) {
            self.end(key, why);
        }
    }

    /// Executes commands; returns true on [`Command::Pause`].
    fn process_commands(&mut self) -> bool {
        for _ in 0..COMMANDS_A_TURN {
            let Ok(command) = self.commands.try_recv() else { break };
            let weight = command.weight();
            let pause = matches!(command, Command::Pause);
            if !matches!(command, Command::Event(_)) {
                // Events before this command must be written before it changes any stream.
                self.deliver();
            }
            match command {
                Command::Attach(attach) => self.attach(attach),
                Command::Commit { stream, framing } => self.commit(stream, framing),
                Command::Abort { stream } => {
                    if let Some(&key) = self.known.get(&stream) {
                        self.end(key, Ended::Aborted);
                    }
                }
                Command::TellTopics { stream, topics_as, cursor } => self.tell_topics(stream, topics_as, &cursor),
                Command::Frames { stream, frames } => {
                    if let Some(&key) = self.known.get(&stream) {
                        let limit = self.shared.limits.stream_buffer;
                        let frames = Payload::Frames(frames);
                        self.write(key, |stream, written| stream.push(iter::once(&frames), limit, written));
                    }
                }
                Command::Watch { stream, patterns } => {
                    // A stream that is closing has no subscription any more.
                    let goes_on = |key: &&u32| self.streams.get(**key as usize).is_some_and(|s| s.closing.is_none());
                    if let Some(&key) = self.known.get(&stream).filter(goes_on) {
                        self.unwatch(key);
                        self.watch(key, &patterns);
                    } else {
                        patterns.iter().for_each(|pattern| self.watched.remove(pattern));
                    }
                }
                Command::End { stream, why } => {
                    if let Some(&key) = self.known.get(&stream) {
                        self.close(key, why);
                    }
                }
                Command::Event(event) => self.publish(&event),
                Command::Trigger(trigger) => self.trigger(&trigger),
                Command::Pause => {}
                Command::Gap(frame) => self.tell_gap(&frame),
                Command::Relieve(relieve) => self.relieve(relieve),
                Command::Stop { spread } => self.stop(spread),
            }
            if self.backlog.done(weight) {
                // A failure is harmless: the ordering thread also checks from time to time.
                let _ = self.shared.router.wake();
            }
            if pause {
                return true;
            }
        }
        self.deliver();
        false
    }

    fn attach(&mut self, attach: Attach) {
        let Attach { id, client, socket, patterns, heartbeat, retry, lifetime, missed, opened, followed } = attach;
        let mut stream = Stream::new(id, socket, heartbeat, retry);
        stream.client = client;
        (stream.opened, stream.followed) = (opened, followed);
        let key = self.streams.insert(stream) as u32;
        if let Some(ends) = lifetime.map(|lifetime| lifetime.saturating_add(self.now)) {
            self.wheel.insert(ends.get(), Due { key, ends: Some(ends), id });
        }
        self.watch(key, &patterns);
        self.known.insert(id, key);
        self.write(key, |stream, _| stream.preload(missed));
    }

    fn tell_topics(&mut self, id: u64, topics_as: TopicsAs, cursor: &str) {
        let Self { known, streams, index, poll, stats, now, .. } = self;
        let Some(&key) = known.get(&id) else { return };
        let Some(stream) = streams.get_mut(key as usize) else { return };
        // Held streams are not written to, so this can't fail.
        Output { registry: poll.registry(), stats, now: *now }.write(key, stream, |stream, _| {
            let places = std::mem::take(&mut stream.places);
            let push = stream.tell_topics(topics_as, cursor, |topic| index.is_watched(&places, topic));
            stream.places = places;
            push
        });
    }

    fn watch(&mut self, key: u32, patterns: &[Box<str>]) {
        let mut places = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let watcher = Watcher { stream: key, nth: places.len() as u32 };
            places.push(self.index.insert(pattern, watcher));
        }
        if let Some(stream) = self.streams.get_mut(key as usize) {
            stream.places = places.into_boxed_slice();
        }
    }

    fn unwatch(&mut self, key: u32) {
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

    fn commit(&mut self, id: u64, framing: Framing) {
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
        self.stats.untold.add(usize::from(!stream.opened));
        // Where the kernel can't watch the client, heartbeats still detect that it has gone.
        let _ = vanished::watch(stream.socket(), self.shared.limits.patience(stream.heartbeat));
        if matches!(framing, Framing::FastCgi { .. }) {
            // Reads the end of the request's body, which FPM leaves unread: epoll would report it at once.
            let _ = stream.drain(&mut self.scratch, 1);
        }
        let fd = stream.socket().as_raw_fd();
        if let Err(error) = self.poll.registry().register(&mut SourceFd(&fd), Token(key as usize), Interest::READABLE) {
            info!(stream = id, %error, "a connection can't be watched");
            self.end(key, Ended::Error);
            return;
        }
        if stream.heartbeat > 0 {
            self.wheel.insert(self.now.saturating_add(stream.heartbeat), Due { key, ends: None, id });
        }
        debug!(stream = id, ?framing, "open");
        let replaced = stream.closing.take();
        self.flush(key);
        if let Some(why) = replaced {
            self.close(key, why);
        }
    }

    /// Writes an event to all streams that watch one of its topics. If more commands wait, the event goes to the batch instead,
    /// so that each stream gets several events in one write.
    fn publish(&mut self, event: &Arc<Event>) {
        self.fan_out += 1;
        let alone = self.batch.is_empty() && self.commands.is_empty();
        let Self { index, streams, poll, stats, doomed, fan_out, batch, now, shared, .. } = self;
        let output = Output { registry: poll.registry(), stats, now: *now };
        let limit = shared.limits.stream_buffer;
        let plain = batch.add(Payload::Event(Arc::clone(event)));
        // An event with one topic looks the same to all streams that get topics in one format.
        let mut of_one_topic = [None; 2];
        for topic in event.topics() {
            index.each(topic, |key| {
                let Some(stream) = streams.get_mut(key as usize) else { return };
                if stream.seen == *fan_out {
                    return;
                }
                stream.seen = *fan_out;
                let payload = match stream.topics_as {
                    None => plain,
                    Some(topics_as) if event.topics().len() == 1 => *of_one_topic[topics_as as usize]
                        .get_or_insert_with(|| batch.add(Payload::Frames(told(event, topics_as, |_| true)))),
                    Some(topics_as) => {
                        let own = told(event, topics_as, |topic| index.is_watched(&stream.places, topic));
                        let own = Payload::Frames(own);
                        let before = batch.share(stream.share.take().unwrap_or_default());
                        let share = before.chain(iter::once(&own));
                        let push = |stream: &mut Stream, written: &mut Written| stream.push(share, limit, written);
                        doomed.extend(output.write(key, stream, push).map(|why| (key, why)));
                        return;
                    }
                };
                if alone {
                    let push = |stream: &mut Stream, written: &mut Written| {
                        stream.push(iter::once(batch.payload(payload)), limit, written)
                    };
                    doomed.extend(output.write(key, stream, push).map(|why| (key, why)));
                } else {
                    batch.give(payload, key, &mut stream.share);
                }
            });
        }
        if batch.is_empty() {
            batch.clear();
            self.end_doomed();
        } else if batch.is_full() {
            self.deliver();
        }
    }

    /// Writes the events of the batch.
    fn deliver(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let Self { streams, poll, stats, doomed, batch, now, shared, .. } = self;
        let output = Output { registry: poll.registry(), stats, now: *now };
        for &key in batch.readers() {
            let Some(stream) = streams.get_mut(key as usize) else { continue };
            // The share is missing if a new stream has this key, or if the old one got its share earlier.
            let Some(share) = stream.share.take() else { continue };
            let payloads = batch.share(share);
            let push = |stream: &mut Stream, written: &mut Written| {
                stream.push(payloads, shared.limits.stream_buffer, written)
            };
            doomed.extend(output.write(key, stream, push).map(|why| (key, why)));
        }
        batch.clear();
        self.end_doomed();
    }

    fn trigger(&mut self, trigger: &Arc<Trigger>) {
        self.fan_out += 1;
        let Self { index, streams, poll, stats, doomed, fan_out, now, .. } = self;
        let output = Output { registry: poll.registry(), stats, now: *now };
        let mut reached = |key: u32, stream: &mut Stream| {
            if stream.seen != *fan_out {
                stream.seen = *fan_out;
                let push = |stream: &mut Stream, written: &mut Written| stream.push_trigger(trigger, written);
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
    fn tell_gap(&mut self, frame: &Arc<[u8]>) {
        let Self { streams, poll, stats, doomed, now, shared, .. } = self;
        let output = Output { registry: poll.registry(), stats, now: *now };
        let gap = Payload::Gap(Arc::clone(frame));
        for (key, stream) in streams.iter_mut() {
            // Streams that are closing, or that get a callback's results, watch nothing.
            if !stream.places.is_empty() {
                let push = |stream: &mut Stream, written: &mut Written| {
                    stream.push(iter::once(&gap), shared.limits.stream_buffer, written)
                };
                doomed.extend(output.write(key as u32, stream, push).map(|why| (key as u32, why)));
            }
        }
        self.end_doomed();
    }

    fn end_doomed(&mut self) {
        while let Some((key, why)) = self.doomed.pop() {
            self.end(key, why);
        }
    }

    /// Sends due heartbeats, and closes streams at the end of their lifetime.
    fn send_heartbeats(&mut self) {
        let mut due = Vec::new();
        self.wheel.advance(self.now, &mut due);
        for due @ Due { key, ends, id } in due {
            let Some(stream) = self.streams.get(key as usize).filter(|stream| stream.id == id) else { continue };
            if let Some(ends) = ends {
                if ends.get() > self.now {
                    self.wheel.insert(ends.get(), due);
                } else if stream.is_held() {
                    // The worker still writes to this connection: try again each second.
                    self.wheel.insert(self.now.saturating_add(1), due);
                } else if let Some(why) = stream.closing {
                    self.end(key, why);
                } else {
                    // A client that reads nothing would never get to the end.
                    self.wheel.insert(self.now.saturating_add(PARTING), due);
                    self.close(key, Ended::Lifetime);
                }
                continue;
            }
            let next = stream.active.saturating_add(stream.heartbeat);
            if next > self.now {
                self.wheel.insert(next, due);
                continue;
            }
            self.wheel.insert(self.now.saturating_add(stream.heartbeat), due);
            let stats = self.stats;
            self.write(key, |stream, written| {
                let idle = stream.queued() == 0;
                let push = stream.push_heartbeat(written);
                stats.heartbeats.add(usize::from(idle && push != Push::Broken));
                push
            });
        }
    }

    /// Removes a stream. The connection of an open stream is shut down; that of a held one stays open for its worker.
    fn end(&mut self, key: u32, why: Ended) {
        self.unwatch(key);
        let Some(stream) = self.streams.try_remove(key as usize) else { return };
        if stream.followed || stream.is_held() {
            self.known.remove(&stream.id);
        }
        if stream.is_held() {
            self.stats.ended_held.add(1);
            self.stats.told_held.add(usize::from(stream.opened));
        } else {
            // Deregister, as closing the descriptor is not enough while the worker has a duplicate of it.
            let _ = self.poll.registry().deregister(&mut SourceFd(&stream.socket().as_raw_fd()));
        }
        self.stats.queued_bytes.sub(stream.queued());
        self.stats.end(why);
        if why == Ended::Slow {
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
        let _ = self.shared.ended.send(stream.id);
        let _ = self.shared.router.wake();
    }

    /// Starts the ends of all streams. Their clients' reconnections are spread over `spread` milliseconds.
    fn stop(&mut self, spread: u32) {
        self.farewell = Some(Instant::now() + FAREWELL);
        let all: Vec<u32> = self.streams.iter().map(|(key, _)| key as u32).collect();
        for key in all {
            if let Some(stream) = self.streams.get_mut(key as usize).filter(|stream| stream.closing.is_none()) {
                let before = stream.queued();
                stream.spread_return(spread);
                self.stats.queued_bytes.add(stream.queued() - before);
            }
            self.close(key, Ended::Shutdown);
        }
    }

    /// Closes one stream after its queue, with a proper end of the response.
    fn close(&mut self, key: u32, why: Ended) {
        let Some(stream) = self.streams.get_mut(key as usize) else { return };
        if stream.is_held() {
            if why == Ended::Replaced {
                // The client may have the opening lines already, so the commit sends it the event that it was replaced.
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
            if why == Ended::Replaced {
                self.write(key, |stream, _| stream.tell_replaced());
            }
            self.write(key, Stream::push_end);
        }
        self.end_if_finished(key);
        // The user's new stream replaces this one, so it must not wait for its client to read all.
        if why == Ended::Replaced {
            self.end(key, why);
        }
    }

    fn end_all(&mut self) {
        let all: Vec<u32> = self.streams.iter().map(|(key, _)| key as u32).collect();
        for key in all {
            self.end(key, Ended::Shutdown);
        }
    }
}

/// The parts of the shard that a write to a stream needs.
#[derive(Clone, Copy)]
struct Output<'a> {
    registry: &'a Registry,
    stats: &'a ShardStats,
    /// Current second of the shard.
    now: u32,
}

impl Output<'_> {
    /// Runs `action`, which writes to the stream, and updates the counters. Returns the reason if the stream must be closed.
    fn write(
        self,
        key: u32,
        stream: &mut Stream,
        action: impl FnOnce(&mut Stream, &mut Written) -> Push,
    ) -> Option<Ended> {
        let before = stream.queued();
        let mut written = Written::default();
        let push = action(stream, &mut written);
        if written.bytes > 0 {
            stream.active = self.now;
            self.stats.delivered_bytes.add(written.bytes);
            self.stats.delivered.add(written.events);
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
            Push::Overflow => Some(Ended::Slow),
            Push::Broken => Some(Ended::Client),
        }
    }

    /// Has epoll report room in the socket only while the stream has a queue: a Unix socket reports room after each read of its
    /// client, which would wake the shard once more per delivery.
    fn watch_room(self, key: u32, stream: &mut Stream) -> Option<Ended> {
        let waits = !stream.is_held() && stream.queued() > 0;
        if waits == stream.watches_room {
            return None;
        }
        stream.watches_room = waits;
        let interest = if waits { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let fd = stream.socket().as_raw_fd();
        let done = self.registry.reregister(&mut SourceFd(&fd), Token(key as usize), interest);
        done.err().map(|error| {
            info!(stream = stream.id, %error, "a connection can't be watched");
            Ended::Error
        })
    }
}
