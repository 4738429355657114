//! The ordering thread's side of a shard process, as [`ShardThread`](crate::shard::thread::ShardThread) is for a thread.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::net::Shutdown;
use serde_bytes::Bytes;
use tracing::{error, info, warn};

use crate::run::HubError;
use crate::shard::command::{Attach, Command};
use crate::shard::process::fork_server::ForkServer;
use crate::shard::process::interned::InternedEvents;
use crate::shard::process::order::{self, Order, Word};
use crate::shard::process::sender::CommandSender;
use crate::stats::{Ended, ShardStats};
use crate::stream::{Frames, Stream};
use crate::upgrade::channel::Channel;
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::outgoing::{Numbers, Outgoing};
use crate::upgrade::state::Part;
use crate::upgrade::{GOT, SENDERS_PATIENCE};
use sse_protocol::wire;

/// Delay before the next attempt where the system had no room.
pub(crate) const AGAIN: Duration = Duration::from_millis(5);

/// Delay before the next attempt to start a shard process.
const RESTART: Duration = Duration::from_secs(1);

/// Maximum time for the end of a shard process. Its streams need two seconds at most, unless the machine is overloaded.
const FAREWELL: Duration = Duration::from_secs(10);

/// State that the handles of all shard processes share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) starter: Arc<ForkServer>,
    /// Number of shard processes.
    pub(crate) count: usize,
    /// Reports closed streams to the ordering thread.
    pub(crate) ended: Sender<u64>,
    pub(crate) started: Instant,
}

/// The ordering thread's handle of one shard process.
#[derive(Debug)]
pub(crate) struct Remote {
    number: usize,
    shared: Shared,
    registry: Registry,
    token: Token,
    counters: &'static ShardStats,
    /// Connection to the shard process, while there is one.
    line: Option<CommandSender>,
    pid: u32,
    /// Number of streams it was given, and how many of them another hub had opened.
    given: u64,
    begun: u64,
    lent: InternedEvents,
    /// The last blob sent.
    blob: Option<Arc<Frames>>,
    /// Numbers of the events and bytes that streams of the old hub refer to.
    numbers: Numbers,
    /// The shard is not paused.
    runs: bool,
    /// The process has gone, and [`take_lost`](Self::take_lost) has not reported that yet.
    lost: bool,
    /// Time of the next attempt to start a process.
    retry: Option<Instant>,
    /// No process can be started any more.
    hopeless: bool,
}

impl Remote {
    /// Starts a shard process with a paused shard.
    pub(crate) fn new(
        number: usize,
        shared: Shared,
        counters: &'static ShardStats,
        registry: Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut remote = Self {
            number,
            shared,
            registry,
            token,
            counters,
            line: None,
            pid: 0,
            given: 0,
            begun: 0,
            lent: InternedEvents::default(),
            blob: None,
            numbers: Numbers::default(),
            runs: false,
            lost: false,
            retry: None,
            hopeless: false,
        };
        remote.connect()?;
        Ok(remote)
    }

    fn connect(&mut self) -> io::Result<()> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        let pid = self.shared.starter.start(self.number, far.into())?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut SourceFd(&near.as_raw_fd()), self.token, interest)?;
        (self.line, self.pid) = (Some(CommandSender::new(near.into(), self.shared.count)), pid);
        Ok(())
    }

    /// Process id, while there is a process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.line.as_ref().map(|_| self.pid)
    }

    /// Number of streams it holds now.
    pub(crate) fn streams(&self) -> u64 {
        self.given.saturating_sub(self.counters.ended_all())
    }

    /// Counters of the shard.
    pub(crate) fn stats(&self) -> &'static ShardStats {
        self.counters
    }

    /// Starts the shard.
    pub(crate) fn start(&mut self) {
        if !std::mem::replace(&mut self.runs, true) {
            self.numbers = Numbers::default();
            self.order(&Order::GoOn);
            self.flush();
        }
    }

    /// Pauses the shard after it has executed all earlier orders, and waits for that.
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        self.runs = false;
        self.order(&Order::Pause);
        let deadline = Instant::now() + SENDERS_PATIENCE;
        let mut paused = false;
        while !paused {
            let Self { line: Some(line), shared, .. } = self else { return Ok(()) };
            line.flush()
                .and_then(|()| line.wait(deadline))
                .and_then(|()| line.hear(|word| paused |= heard(word, &shared.ended)))
                .inspect_err(|_| self.runs = true)?;
        }
        Ok(())
    }

    /// Sends the streams of a paused shard to the new hub of an upgrade. The shard process keeps its copies, unchanged.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let Some(line) = &self.line else { return Ok(()) };
        let channel = Channel::new(line.socket().try_clone_to_owned()?, SENDERS_PATIENCE);
        let passed = self.relay(&channel, outgoing);
        if passed.is_err() {
            // The state of the exchange is unknown: end the process; its clients reconnect.
            let _ = rustix::net::shutdown(line.socket(), Shutdown::Both);
        }
        passed?
    }

    /// Relays all streams from the shard process to the new hub.
    ///
    /// # Errors
    /// Outer: the shard process failed. Inner: only the new hub failed, and the rest was read and dropped.
    fn relay(&self, channel: &Channel, outgoing: &mut Outgoing<'_>) -> io::Result<io::Result<()>> {
        channel.send(&Order::PassOn, &[])?;
        let (mut tables, mut bytes, mut taken) = (Tables::default(), Vec::new(), Ok(()));
        let now = u32::try_from(self.shared.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        loop {
            let sockets = channel.receive(&mut bytes)?;
            channel.say(GOT)?;
            match wire::decode(&bytes).map_err(io::Error::other)? {
                Part::Events(events) => tables.add_events(&events)?,
                Part::Blobs(blobs) => tables.add_blobs(&blobs),
                Part::Streams(states) if taken.is_ok() => {
                    let streams =
                        states.iter().zip(sockets).map(|(state, socket)| Stream::restore(state, socket, now, &tables));
                    let streams = streams.collect::<io::Result<Vec<_>>>()?;
                    let passed = streams.iter().zip(&states).map(|(stream, state)| {
                        stream.state(state.patterns.clone(), now, state.ends, &mut outgoing.numbers)
                    });
                    let part = Part::Streams(passed.collect());
                    let sockets: Vec<BorrowedFd<'_>> = streams.iter().map(Stream::socket).collect();
                    taken = outgoing.part(&part, &sockets);
                }
                Part::Streams(_) => {}
                Part::End => return Ok(taken),
                _ => return Err(wrong("the order of the parts")),
            }
        }
    }

    /// Adds a stream of the old hub to a paused shard.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        let now = u32::try_from(self.shared.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        let Self { line: Some(line), numbers, shared, .. } = self else { return Err(io::ErrorKind::BrokenPipe.into()) };
        self.given += 1;
        self.begun += u64::from(!stream.is_held());
        let mut state = Vec::new();
        // The events and bytes it refers to must be sent before it.
        let patterns = patterns.iter().map(AsRef::as_ref).collect();
        wire::append(&mut state, &Order::Adopt(stream.state(patterns, now, ends, numbers)));
        for event in numbers.fresh_events() {
            line.add(&Order::Referred(event.state()), None);
        }
        for blob in numbers.fresh_blobs() {
            line.add(&Order::ReferredBlob(Bytes::new(blob)), None);
        }
        line.add_encoded(&state, Some(stream.into()));
        let deadline = Instant::now() + SENDERS_PATIENCE;
        line.flush()?;
        while line.is_behind() {
            line.wait(deadline)?;
            line.hear(|word| {
                heard(word, &shared.ended);
            })?;
            line.flush()?;
        }
        Ok(())
    }

    /// Sends a command. The shard sees it after the next [`wake`](Self::wake) at the latest.
    pub(crate) fn send(&mut self, command: Command) {
        match command {
            Command::Attach(attach) => self.attach(attach),
            Command::Commit { stream, framing } => self.order(&Order::Commit { stream, framing }),
            Command::Abort { stream } => self.order(&Order::Abort { stream }),
            Command::TellTopics { stream, topics_as, cursor } => {
                self.order(&Order::TellTopics { stream, topics_as, cursor: &cursor });
            }
            Command::Frames { stream, frames } => {
                // The frames of a `share` go to many streams in turn: send them once.
                if !self.blob.as_ref().is_some_and(|blob| Arc::ptr_eq(blob, &frames)) {
                    self.order(&Order::Blob(Bytes::new(frames.bytes())));
                    self.blob = Some(frames);
                }
                self.order(&Order::Frames { stream });
            }
            Command::Watch { stream, patterns } => {
                self.order(&Order::Watch { stream, patterns: patterns.iter().map(AsRef::as_ref).collect() });
            }
            Command::End { stream, why } => self.order(&Order::End { stream, why: why.name() }),
            Command::Event(event) => self.order(&Order::Event(event.state())),
            Command::Trigger(trigger) => self.order(&Order::Trigger(trigger.topic())),
            Command::Gap(frame) => self.order(&Order::Gap(Bytes::new(&frame))),
            Command::Relieve(relieve) => self.order(&Order::Relieve(relieve)),
            Command::Stop { spread } => self.order(&Order::Stop { spread }),
            Command::Pause => self.order(&Order::Pause),
        }
    }

    fn attach(&mut self, attach: Attach) {
        self.given += 1;
        let Attach { id, client, socket, patterns, heartbeat, retry, lifetime, missed, opened, followed } = attach;
        let Some(line) = &mut self.line else { return };
        if self.lent.are_many() {
            line.add(&Order::Forget(self.lent.forget()), None);
        }
        let mut numbers = Vec::with_capacity(missed.events.len());
        for event in &missed.events {
            let (number, fresh) = self.lent.number(event);
            if fresh {
                line.add(&Order::Lend(number, event.state()), None);
            }
            numbers.push(number);
        }
        let order = order::Attach {
            id,
            client,
            patterns: patterns.iter().map(AsRef::as_ref).collect(),
            heartbeat,
            retry,
            lifetime,
            gap: missed.gap.as_deref().map(Bytes::new),
            missed: numbers,
            cursor: missed.cursor,
            opened,
            followed,
        };
        line.add(&Order::Attach(order), Some(socket));
    }

    /// Queues an order. A missing process gets none: its streams have gone with it.
    fn order(&mut self, order: &Order<'_>) {
        if let Some(line) = &mut self.line {
            line.add(order, None);
        }
    }

    /// Sends the queued orders.
    pub(crate) fn wake(&mut self) {
        if self.line.as_ref().is_some_and(|line| !line.is_empty()) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Some(Err(error)) = self.line.as_mut().map(CommandSender::flush) {
            self.lose(&error);
        }
    }

    /// Handles readiness of the socket.
    pub(crate) fn ready(&mut self) {
        let Self { line: Some(line), shared, .. } = self else { return };
        let heard = line.hear(|word| {
            heard(word, &shared.ended);
        });
        match heard {
            Ok(()) => self.flush(),
            Err(error) => self.lose(&error),
        }
    }

    /// Drops events that no longer exist.
    pub(crate) fn tidy(&mut self) {
        self.blob = None;
        let gone = self.lent.forget();
        if !gone.is_empty() {
            self.order(&Order::Forget(gone));
        }
    }

    /// Returns whether too many orders are queued; later readiness of the socket wakes the ordering thread.
    pub(crate) fn is_behind(&self) -> bool {
        self.line.as_ref().is_some_and(CommandSender::is_behind)
    }

    /// Time of the next attempt where one failed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let stuck = self.line.as_ref().is_some_and(CommandSender::is_stuck);
        stuck.then(|| Instant::now() + AGAIN).or(self.retry)
    }

    /// Returns whether the process has gone and can't be replaced.
    pub(crate) fn is_gone(&self) -> bool {
        self.hopeless
    }

    fn lose(&mut self, error: &io::Error) {
        let Some(line) = self.line.take() else { return };
        let _ = self.registry.deregister(&mut SourceFd(&line.socket().as_raw_fd()));
        let streams = self.streams();
        error!(process = self.number + 1, pid = self.pid, streams, %error, "a process that holds streams has gone, and they with it");
        (self.lent, self.blob) = (InternedEvents::default(), None);
        (self.lost, self.retry) = (true, Some(Instant::now()));
    }

    /// Returns how many streams a lost process took with it, once per loss, and counts them as ended.
    pub(crate) fn take_lost(&mut self) -> Option<u64> {
        if !std::mem::take(&mut self.lost) {
            return None;
        }
        let counters = self.counters;
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let streams = self.streams();
        let held = self.given.saturating_sub(self.begun + counters.opened.get() + counters.ended_held.get());
        counters.ended_held.add(count(held));
        counters.lose_told();
        counters.end_many(Ended::Error, count(streams));
        counters.queued_bytes.set(0);
        counters.pinned.set(0);
        counters.topics.set(0);
        Some(streams)
    }

    /// Starts a new process in place of a lost one, unless an attempt failed just now.
    pub(crate) fn replace(&mut self) {
        if self.line.is_some() || self.retry.is_none_or(|retry| retry > Instant::now()) {
            return;
        }
        match self.connect() {
            Ok(()) => {
                self.retry = None;
                info!(process = self.number + 1, pid = self.pid, "another process holds streams");
                if self.runs {
                    self.order(&Order::GoOn);
                    self.flush();
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => {
                error!(%error, "the process that starts those that hold streams has gone");
                self.hopeless = true;
            }
            Err(error) => {
                warn!(process = self.number + 1, %error, "a process that holds streams could not be started");
                self.retry = Some(Instant::now() + RESTART);
            }
        }
    }

    /// Waits for the end of the process.
    pub(crate) fn join(mut self) -> Result<(), HubError> {
        let deadline = Instant::now() + FAREWELL;
        let Self { line: Some(line), shared, .. } = &mut self else { return Ok(()) };
        let ended = loop {
            let step = line.flush().and_then(|()| line.wait(deadline)).and_then(|()| {
                line.hear(|word| {
                    heard(word, &shared.ended);
                })
            });
            if let Err(error) = step {
                break error;
            }
        };
        if ended.kind() == io::ErrorKind::TimedOut {
            warn!(process = self.number + 1, "a process that holds streams has not ended in time");
        }
        Ok(())
    }
}

/// Handles a report; returns true if it says that the shard is paused.
fn heard(word: Word, ended: &Sender<u64>) -> bool {
    if let Word::Ended(stream) = word {
        // If the ordering thread has ended, it needs no report.
        let _ = ended.send(stream);
    }
    word == Word::Paused
}
