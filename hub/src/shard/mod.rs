//! A shard: one thread that owns a part of the streams and writes events to them.
//!
//! It executes [`Command`]s of the ordering thread in order and blocks only in its own poll. Delivery of an event to sockets
//! with room takes no lock and allocates nothing.

mod alarms;
pub(crate) mod command;
mod disconnect;
mod fanout;
mod finish;
pub(crate) mod handle;
pub(crate) mod interest;
mod lifecycle;
pub(crate) mod process;
mod recipients;
pub(crate) mod report;
pub(crate) mod slow;
pub(crate) mod snapshot;
mod survey;
pub(crate) mod thread;
mod timers;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::{Events, Poll, Token};
use slab::Slab;

use crate::index::Index;
use crate::shard::alarms::Alarms;
use crate::shard::command::Command;
use crate::shard::fanout::StreamWriter;
use crate::shard::interest::InterestFilter;
use crate::shard::thread::ShardContext;
use crate::shard::timers::Due;
use crate::stats::{EndReason, ShardStats};
use crate::stream::batch::Batch;
use crate::stream::{Payload, Push, SocketRead, Stream, WrittenAmounts};
use crate::util::backlog::Backlog;
use crate::util::timer::Wheel;

/// Token of the waker. A stream's token is its slab key.
const WAKER: Token = Token(usize::MAX);

/// Maximum number of commands per turn, before the shard polls the sockets again.
const COMMANDS_A_TURN: usize = 1024;

/// Maximum number of reads from one client per turn, so that other clients get their turn.
const READS_A_TURN: usize = 4;

/// State of a shard's thread.
#[derive(Debug)]
struct Shard {
    poll: Poll,
    commands: Receiver<Command>,
    backlog: Arc<Backlog>,
    /// Filter by which the ordering thread skips this shard.
    watched: Arc<InterestFilter>,
    shared: ShardContext,
    stats: &'static ShardStats,
    streams: Slab<Stream>,
    index: Index,
    /// Slab keys by id of the streams that the ordering thread still addresses: held and followed ones.
    known: HashMap<u64, u32>,
    wheel: Wheel<Due>,
    started: Instant,
    alarms: RefCell<Alarms>,
    /// Seconds since the hub's start, updated once per turn.
    now: u32,
    /// The same in milliseconds.
    now_ms: u64,
    /// Number of the current fan-out, to deliver it only once per stream.
    fan_out: u64,
    /// Events to be written.
    batch: Batch,
    /// Streams (key and id) with more input than one turn reads.
    unread: Vec<(u32, u64)>,
    /// Streams to close as soon as the index is no longer borrowed.
    doomed: Vec<(u32, EndReason)>,
    /// Second of the next stall check.
    next_stall_check: u32,
    /// Bytes kept only by queues, as of the last time the ordering thread was informed.
    pinned_told: usize,
    /// The same when the shard last ended streams without a round; 0: since then there was enough room.
    relieved_at: u64,
    scratch: Box<[u8]>,
    /// Deadline for the ends of all streams; set once the hub stops.
    farewell: Option<Instant>,
}

impl Shard {
    fn new(
        poll: Poll,
        commands: Receiver<Command>,
        backlog: Arc<Backlog>,
        watched: Arc<InterestFilter>,
        stats: &'static ShardStats,
        shared: ShardContext,
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
            alarms: RefCell::default(),
            now: 0,
            now_ms: 0,
            fan_out: 0,
            batch: Batch::default(),
            unread: Vec::new(),
            doomed: Vec::new(),
            next_stall_check: 0,
            pinned_told: 0,
            relieved_at: 0,
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

    /// Milliseconds since the hub's start.
    fn millisecond(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
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
            self.now_ms = self.millisecond();
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
            self.end_pauses();
            self.end_answered();
            self.send_heartbeats();
            self.end_stalled();
            self.keep_within_limit();
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
        let pause = self.alarms.borrow().next().map(|ms| self.started + Duration::from_millis(ms));
        let next = [heartbeat, stalled, pause, self.farewell].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn ready(&mut self, event: &mio::event::Event) {
        let key = event.token().0 as u32;
        if event.is_error() || event.is_read_closed() || event.is_write_closed() {
            self.end(key, EndReason::Client);
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
            SocketRead::Empty => {}
            SocketRead::More => self.unread.push((key, stream.id)),
            SocketRead::Left => self.end(key, EndReason::Client),
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
    fn write(&mut self, key: u32, action: impl FnOnce(&mut Stream, &mut WrittenAmounts) -> Push) {
        let Some(stream) = self.streams.get_mut(key as usize) else { return };
        let output = StreamWriter {
            registry: self.poll.registry(),
            stats: self.stats,
            alarms: &self.alarms,
            now: self.now,
            now_ms: self.now_ms,
        };
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
            if !matches!(command, Command::Event(_) | Command::EventExcept { .. }) {
                // Events before this command must be written before it changes any stream.
                self.deliver();
            }
            match command {
                Command::Attach(attach) => self.attach(attach),
                Command::Commit { stream, framing } => self.commit(stream, framing),
                Command::Redeem { stream, framing, socket } => self.redeem(stream, framing, socket),
                Command::Abort { stream } => {
                    if let Some(&key) = self.known.get(&stream) {
                        self.end(key, EndReason::Aborted);
                    }
                }
                Command::Tell { stream, event } => self.tell(stream, &event),
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
                Command::Disconnect { streams, retry, age } => self.disconnect(&streams, retry, age),
                Command::Event(event) => self.publish(&event, 0),
                Command::EventExcept { event, stream } => self.publish(&event, stream),
                Command::Finish { topic, when } => self.finish(&topic, when),
                Command::Count { question, topics, except } => self.count(question, &topics, except),
                Command::List { question, streams, after, limit } => self.list(question, &streams, after, limit),
                Command::Trigger(trigger) => self.trigger(&trigger),
                Command::Pause => {}
                Command::Gap(frame) => self.tell_gap(&frame),
                Command::Relieve(relieve) => self.relieve(relieve),
                Command::Stop { spread } => self.stop(spread),
            }
            self.keep_within_limit();
            if self.backlog.done(weight) {
                // A failure is harmless: the ordering thread also checks from time to time.
                let _ = self.shared.ordering_thread.wake();
            }
            if pause {
                return true;
            }
        }
        self.deliver();
        false
    }
}
