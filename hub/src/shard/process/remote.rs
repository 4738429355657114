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

use crate::error::HubError;
use crate::shard::command::Command;
use crate::shard::process::fork_server::ForkServer;
use crate::shard::process::message::{ProcessControl, ProcessMessage, ProcessReport, SentCommand};
use crate::shard::process::sender::CommandSender;
use crate::shard::report::ShardReport;
use crate::stats::{EndReason, ShardStats};
use crate::stream::Stream;
use crate::stream::snapshot::StreamState;
use crate::upgrade::channel::Channel;
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::outgoing::{Numbers, Outgoing};
use crate::upgrade::part::{PartKind, UpgradePart};
use crate::upgrade::{GOT, SENDER_TIMEOUT};
use sse_protocol::wire;

/// Delay before the next attempt where the system had no room.
pub(crate) const AGAIN: Duration = Duration::from_millis(5);

/// Delay before the next attempt to start a shard process.
const RESTART: Duration = Duration::from_secs(1);

/// Maximum time for the end of a shard process. Its streams need two seconds at most, unless the machine is overloaded.
const FAREWELL: Duration = Duration::from_secs(10);

/// State that the handles of all shard processes share.
#[derive(Debug, Clone)]
pub(crate) struct RemoteContext {
    pub(crate) fork_server: Arc<ForkServer>,
    /// Number of shard processes.
    pub(crate) count: usize,
    /// Passes the shard's reports on to the ordering thread.
    pub(crate) reports: Sender<ShardReport>,
    pub(crate) started: Instant,
}

/// The ordering thread's handle of one shard process.
#[derive(Debug)]
pub(crate) struct Remote {
    number: usize,
    shared: RemoteContext,
    registry: Registry,
    token: Token,
    counters: &'static ShardStats,
    /// Connection to the shard process, while there is one.
    pipe: Option<CommandSender>,
    pid: u32,
    /// Number of streams it was given, and how many of them another hub had opened.
    given: u64,
    begun: u64,
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
        shared: RemoteContext,
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
            pipe: None,
            pid: 0,
            given: 0,
            begun: 0,
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
        let pid = self.shared.fork_server.start(self.number, far.into())?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut SourceFd(&near.as_raw_fd()), self.token, interest)?;
        (self.pipe, self.pid) = (Some(CommandSender::new(near.into(), self.shared.count)), pid);
        Ok(())
    }

    /// Process id, while there is a process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pipe.as_ref().map(|_| self.pid)
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
            self.start_shard();
        }
    }

    fn start_shard(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            pipe.control(ProcessControl::Start);
            self.flush();
        }
    }

    /// Pauses the shard after it has executed all earlier commands, and waits for that.
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        self.runs = false;
        self.send(Command::Pause);
        let deadline = Instant::now() + SENDER_TIMEOUT;
        let mut paused = false;
        while !paused {
            let Self { pipe: Some(pipe), shared, .. } = self else { return Ok(()) };
            pipe.flush()
                .and_then(|()| pipe.wait(deadline))
                .and_then(|()| pipe.hear(|report| paused |= heard(report, &shared.reports)))
                .inspect_err(|_| self.runs = true)?;
        }
        Ok(())
    }

    /// Sends the streams of a paused shard to the new hub of an upgrade. The shard process keeps its copies, unchanged.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let channel = Channel::new(pipe.socket().try_clone_to_owned()?, SENDER_TIMEOUT);
        let passed = self.relay(&channel, outgoing);
        if passed.is_err() {
            // The state of the exchange is unknown: end the process; its clients reconnect.
            let _ = rustix::net::shutdown(pipe.socket(), Shutdown::Both);
        }
        passed?
    }

    /// Relays all streams from the shard process to the new hub.
    ///
    /// # Errors
    /// Outer: the shard process failed. Inner: only the new hub failed, and the rest was read and dropped.
    fn relay(&self, channel: &Channel, outgoing: &mut Outgoing<'_>) -> io::Result<io::Result<()>> {
        channel.send(&ProcessMessage::Control::<SentCommand>(ProcessControl::PassOn), &[])?;
        let (mut tables, mut bytes, mut taken) = (Tables::default(), Vec::new(), Ok(()));
        let now = u32::try_from(self.shared.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        loop {
            let sockets = channel.receive(&mut bytes)?;
            channel.say(GOT)?;
            let part = UpgradePart::of(&bytes)?;
            match part.kind {
                PartKind::Events => tables.add_events(&part.read::<Vec<_>>()?)?,
                PartKind::Blobs => tables.add_blobs(&part.read::<Vec<_>>()?),
                PartKind::Streams if taken.is_ok() => {
                    let states: Vec<StreamState<'_>> = part.read()?;
                    let streams =
                        states.iter().zip(sockets).map(|(state, socket)| Stream::restore(state, socket, now, &tables));
                    let streams = streams.collect::<io::Result<Vec<_>>>()?;
                    let passed = streams.iter().zip(&states).map(|(stream, state)| {
                        stream.state(state.patterns.clone(), now, state.ends, &mut outgoing.numbers)
                    });
                    let passed: Vec<_> = passed.collect();
                    let sockets: Vec<BorrowedFd<'_>> = streams.iter().map(Stream::socket).collect();
                    taken = outgoing.part(PartKind::Streams, &passed, &sockets);
                }
                PartKind::Streams => {}
                PartKind::End => return Ok(taken),
                _ => return Err(wrong("the order of the parts")),
            }
        }
    }

    /// Adds a stream of the old hub to a paused shard.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        let now = u32::try_from(self.shared.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        let Self { pipe: Some(pipe), numbers, shared, .. } = self else { return Err(io::ErrorKind::BrokenPipe.into()) };
        self.given += 1;
        self.begun += u64::from(!stream.is_held());
        let mut state = Vec::new();
        // The events and bytes it refers to must be sent before it.
        let patterns = patterns.iter().map(AsRef::as_ref).collect();
        let adopt = ProcessControl::Adopt(stream.state(patterns, now, ends, numbers));
        wire::append(&mut state, &ProcessMessage::Control::<SentCommand>(adopt));
        for event in numbers.fresh_events() {
            pipe.control(ProcessControl::Event(event.state()));
        }
        for blob in numbers.fresh_blobs() {
            pipe.control(ProcessControl::Blob(Bytes::new(blob)));
        }
        pipe.add_encoded(&state, Some(stream.into()));
        let deadline = Instant::now() + SENDER_TIMEOUT;
        pipe.flush()?;
        while pipe.is_behind() {
            pipe.wait(deadline)?;
            pipe.hear(|report| {
                heard(report, &shared.reports);
            })?;
            pipe.flush()?;
        }
        Ok(())
    }

    /// Sends a command. The shard sees it after the next [`wake`](Self::wake) at the latest. A missing process gets none: its
    /// streams have gone with it.
    pub(crate) fn send(&mut self, command: Command) {
        self.given += u64::from(matches!(command, Command::Attach(_)));
        if let Some(pipe) = &mut self.pipe {
            pipe.command(command);
        }
    }

    /// Sends what is queued.
    pub(crate) fn wake(&mut self) {
        if self.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty()) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Some(Err(error)) = self.pipe.as_mut().map(CommandSender::flush) {
            self.lose(&error);
        }
    }

    /// Handles readiness of the socket.
    pub(crate) fn ready(&mut self) {
        let Self { pipe: Some(pipe), shared, .. } = self else { return };
        let heard = pipe.hear(|report| {
            heard(report, &shared.reports);
        });
        match heard {
            Ok(()) => self.flush(),
            Err(error) => self.lose(&error),
        }
    }

    /// Drops events that no longer exist.
    pub(crate) fn tidy(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            pipe.parts.frames = None;
            pipe.forget();
        }
    }

    /// Returns whether too many commands are queued; later readiness of the socket wakes the ordering thread.
    pub(crate) fn is_behind(&self) -> bool {
        self.pipe.as_ref().is_some_and(CommandSender::is_behind)
    }

    /// Time of the next attempt where one failed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let stuck = self.pipe.as_ref().is_some_and(CommandSender::is_stuck);
        stuck.then(|| Instant::now() + AGAIN).or(self.retry)
    }

    /// Returns whether the process has gone and can't be replaced.
    pub(crate) fn is_gone(&self) -> bool {
        self.hopeless
    }

    fn lose(&mut self, error: &io::Error) {
        let Some(pipe) = self.pipe.take() else { return };
        let _ = self.registry.deregister(&mut SourceFd(&pipe.socket().as_raw_fd()));
        let streams = self.streams();
        error!(process = self.number + 1, pid = self.pid, streams, %error, "a process that holds streams has gone, and they with it");
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
        counters.end_many(EndReason::Error, count(streams));
        counters.queued_bytes.set(0);
        counters.pinned.set(0);
        counters.topics.set(0);
        Some(streams)
    }

    /// Starts a new process in place of a lost one, unless an attempt failed just now.
    pub(crate) fn replace(&mut self) {
        if self.pipe.is_some() || self.retry.is_none_or(|retry| retry > Instant::now()) {
            return;
        }
        match self.connect() {
            Ok(()) => {
                self.retry = None;
                info!(process = self.number + 1, pid = self.pid, "another process holds streams");
                if self.runs {
                    self.start_shard();
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
        let Self { pipe: Some(pipe), shared, .. } = &mut self else { return Ok(()) };
        let ended = loop {
            let step = pipe.flush().and_then(|()| pipe.wait(deadline)).and_then(|()| {
                pipe.hear(|report| {
                    heard(report, &shared.reports);
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
fn heard(report: ProcessReport, reports: &Sender<ShardReport>) -> bool {
    match report {
        // If the ordering thread has ended, it needs no report.
        ProcessReport::Shard(report) => drop(reports.send(report)),
        ProcessReport::Paused => return true,
        ProcessReport::Received(_) | ProcessReport::Notice => {}
    }
    false
}
