//! A shard: one thread that owns a part of the streams and writes to them.
//!
//! It gets [`Command`]s from the router in order and never waits for anything but its own poll. No lock and no
//! allocation is on the way of an event to the sockets that can take it.

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

/// The token of the waker; streams have their place in the slab.
const WAKER: Token = Token(usize::MAX);

/// Commands handled before the sockets are looked at again.
const COMMANDS_A_TURN: usize = 1024;

/// Reads of one client's input before the others get their turn.
const READS_A_TURN: usize = 4;

/// Seconds that the rest and the end of a response may take when its time is over.
const PARTING: u32 = 10;

/// How long the ends of responses may take when the hub ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// The state of a shard's thread.
#[derive(Debug)]
struct Shard {
    poll: Poll,
    commands: Receiver<Command>,
    backlog: Arc<Backlog>,
    /// What the router takes for watched here.
    watched: Arc<InterestFilter>,
    shared: Shared,
    stats: &'static ShardStats,
    streams: Slab<Stream>,
    index: Index,
    /// Places of the streams that the router still speaks of, by their ids: those that are held or followed.
    known: HashMap<u64, u32>,
    wheel: Wheel<Due>,
    started: Instant,
    /// Seconds since the start, as of this turn.
    now: u32,
    /// Counts fan-outs, to tell which streams one has reached.
    fan_out: u64,
    /// Events that are not written yet.
    batch: Batch,
    /// Streams with more input than one turn reads.
    unread: Vec<(u32, u64)>,
    /// Streams found broken while the index was in use.
    doomed: Vec<(u32, Ended)>,
    /// The second at which to look for clients that take nothing.
    next_stall_check: u32,
    /// Bytes that only queues keep, of which the router was told.
    pinned_told: usize,
    scratch: Box<[u8]>,
    /// When to give up on the ends of responses; set once the hub ends.
    farewell: Option<Instant>,
}

/// A stream that may need a heartbeat, or whose time is over.
#[derive(Debug, Clone, Copy)]
struct Due {
    key: u32,
    /// The second at which it ends; `None`: this is about its heartbeat.
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

    /// Works until the router says stop, or is gone; gives the shard back if it is only to pause.
    fn run(mut self: Box<Self>) -> io::Result<Option<Box<Self>>> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = self.second();
            // Sockets before commands: a place that a new stream takes in this turn must not get an old one's readiness.
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
        let send_heartbeats = self.wheel.next_due().map(|second| self.started + Duration::from_secs(second.into()));
        let stalled = self.stall_check().map(|second| self.started + Duration::from_secs(second.into()));
        let next = [send_heartbeats, stalled, self.farewell].into_iter().flatten().min()?;
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

    /// A stream that was told to end and has nothing left to write has written its end.
    fn end_if_finished(&mut self, key: u32) {
        let Some(stream) = self.streams.get(key as usize).filter(|stream| stream.queued() == 0) else { return };
        if let Some(why) = stream.closing {
            self.end(key, why);
        }
    }

    /// Writes to one stream, counts it, and ends the stream if that failed.
    fn write(&mut self, key: u32, action: impl FnOnce(&mut Stream, &mut Written) -> Push) {
        let Some(stream) = self.streams.get_mut(key as usize) else { return };
        let output = Output { registry: self.poll.registry(), stats: self.stats, now: self.now };
        if let Some(why) = output.write(key, stream, action) {
            self.end(key, why);
        }
    }

    /// Does what the router has asked for; true if it is to pause.
    fn process_commands(&mut self) -> bool {
        for _ in 0..COMMANDS_A_TURN {
            let Ok(command) = self.commands.try_recv() else { break };
            let weight = command.weight();
            let pause = matches!(command, Command::Pause);
            if !matches!(command, Command::Event(_)) {
                // Whatever it does to streams comes after the events before it.
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
                    // One that ends watches nothing any more.
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
                // The router will notice by itself if that fails: it looks again from time to time.
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
        // Nothing is written to a held stream, so it can't fail.
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
        // A stream that overflowed while it was held is gone already.
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
        // What can't be watched has the heartbeats.
        let _ = vanished::watch(stream.socket(), self.shared.limits.patience(stream.heartbeat));
        if matches!(framing, Framing::FastCgi { .. }) {
            // The end of the request's body, which FPM does not read: unread, it would be told of at once.
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

    /// Writes an event to all that watch one of its topics. When others wait already, this is put off until it is known
    /// which of them each stream gets as well: one write then takes all of them.
    fn publish(&mut self, event: &Arc<Event>) {
        self.fan_out += 1;
        let alone = self.batch.is_empty() && self.commands.is_empty();
        let Self { index, streams, poll, stats, doomed, fan_out, batch, now, shared, .. } = self;
        let output = Output { registry: poll.registry(), stats, now: *now };
        let limit = shared.limits.stream_buffer;
        let plain = batch.add(Payload::Event(Arc::clone(event)));
        // An event of one topic is the same for all that tell it.
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

    /// Writes the events that were put off.
    fn deliver(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let Self { streams, poll, stats, doomed, batch, now, shared, .. } = self;
        let output = Output { registry: poll.registry(), stats, now: *now };
        for &key in batch.readers() {
            let Some(stream) = streams.get_mut(key as usize) else { continue };
            // Another one may have its place by now, or it has got its share already.
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

    /// Events are missing on all streams that get events.
    fn tell_gap(&mut self, frame: &Arc<[u8]>) {
        let Self { streams, poll, stats, doomed, now, shared, .. } = self;
        let output = Output { registry: poll.registry(), stats, now: *now };
        let gap = Payload::Gap(Arc::clone(frame));
        for (key, stream) in streams.iter_mut() {
            // Those that end, or get what a callback returns, watch nothing.
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

    /// Sends the heartbeats that are due, and ends the streams whose time is over.
    fn send_heartbeats(&mut self) {
        let mut due = Vec::new();
        self.wheel.advance(self.now, &mut due);
        for due @ Due { key, ends, id } in due {
            let Some(stream) = self.streams.get(key as usize).filter(|stream| stream.id == id) else { continue };
            if let Some(ends) = ends {
                if ends.get() > self.now {
                    self.wheel.insert(ends.get(), due);
                } else if stream.is_held() {
                    // Its worker is busy with it: it ends as soon as it can in good order.
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

    /// Takes a stream out. One that has begun is the hub's alone, and its connection ends; one that is held stays its worker's.
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
            // The worker may hold another descriptor of the same connection, and then closing ours would not do it.
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
            // A program that the script started may have inherited the connection: closing ours alone would not end it.
            let _ = rustix::net::shutdown(stream.socket(), Shutdown::Both);
        }
        if self.streams.is_empty() {
            // Memory of the busiest hour shouldn't stay for ever.
            self.streams = Slab::new();
        }
        // What it watches is charged until then, and the hub may be idle now. A router that is gone needs no word.
        let _ = self.shared.ended.send(stream.id);
        let _ = self.shared.router.wake();
    }

    /// Begins to end all responses in good order. Their clients come back within `spread` milliseconds.
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

    /// Ends one response in good order, after what is queued for it.
    fn close(&mut self, key: u32, why: Ended) {
        let Some(stream) = self.streams.get_mut(key as usize) else { return };
        if stream.is_held() {
            if why == Ended::Replaced {
                // Its client may have the first lines already: it is told once the worker has let go.
                stream.closing = Some(why);
                self.unwatch(key);
            } else {
                self.end(key, why);
            }
            return;
        }
        // Nothing may follow the end, and none twice.
        if stream.closing.replace(why).is_none() {
            self.unwatch(key);
            // Closing a TCP connection with unread input would reset it, and the client might lose the end.
            self.read(key);
            if why == Ended::Replaced {
                self.write(key, |stream, _| stream.tell_replaced());
            }
            self.write(key, Stream::push_end);
        }
        self.end_if_finished(key);
        // Its user has another one already: this one does not stay until its client has read all.
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

/// What writing to a stream needs of the shard.
#[derive(Clone, Copy)]
struct Output<'a> {
    registry: &'a Registry,
    stats: &'a ShardStats,
    /// The shard's second.
    now: u32,
}

impl Output<'_> {
    /// Does something that writes to a stream and counts what was written; returns why the stream has to end, if it has.
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

    /// Has epoll tell of room in the socket only where something waits for it: a Unix socket tells of it whenever its
    /// reader takes something, which would wake the shard once more for every delivery.
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
