//! A shard process: one shard, and the main thread that passes the ordering thread's commands to it.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use tracing::error;

use crate::event::snapshot::EventState;
use crate::index::interner::PatternInterner;
use crate::shard::command::Command;
use crate::shard::process::Common;
use crate::shard::process::message::{self, ProcessControl, ProcessMessage, ProcessReport, ReceivedCommand};
use crate::shard::process::receiver::CommandReceiver;
use crate::shard::report::ShardReport;
use crate::shard::thread::{ShardContext, ShardThread};
use crate::stats::ShardStats;
use crate::stream::Stream;
use crate::sys;
use crate::upgrade::SENDER_TIMEOUT;
use crate::upgrade::channel::Channel;
use crate::upgrade::incoming::Tables;
use crate::upgrade::outgoing::Outgoing;
use crate::upgrade::part::PartKind;
use crate::util::memory::Memory;
use sse_protocol::wire;

const PIPE: Token = Token(0);
const WAKER: Token = Token(1);

/// Interval at which unused memory is freed.
const SETTLE_INTERVAL: Duration = Duration::from_secs(10);

/// Approximate bytes of memory of an idle stream.
const STREAM: usize = 256;

/// Runs a shard process; returns true if it ended by command.
pub(crate) fn run(number: usize, socket: OwnedFd, common: Common, counters: &'static ShardStats) -> bool {
    sys::set_title(&format!("sse-hub: streams {}", number + 1));
    let mut process = match ShardProcess::new(number, socket, common, counters) {
        Ok(process) => process,
        Err(error) => {
            error!(process = number + 1, %error, "a process that is to hold streams can't begin");
            return false;
        }
    };
    let done = process.run();
    // Keep the socket open until the process exits: the ordering thread takes its end for the end of the shard's thread.
    mem::forget(process);
    match done {
        Ok(()) => true,
        // The hub was killed, or an upgrade moved all streams to the new hub.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => {
            error!(process = number + 1, %error, "a process that holds streams can't go on");
            false
        }
    }
}

struct ShardProcess {
    poll: Poll,
    pipe: CommandReceiver,
    shard: ShardThread,
    /// Reports of the shard to be passed to the ordering thread.
    reports: Receiver<ShardReport>,
    counters: &'static ShardStats,
    started: Instant,
    /// Events and bytes that streams of the old hub refer to.
    referred: Tables,
    memory: Memory,
}

impl ShardProcess {
    fn new(number: usize, socket: OwnedFd, common: Common, counters: &'static ShardStats) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), PIPE, Interest::READABLE)?;
        let (sender, reports) = crossbeam_channel::unbounded();
        let shared = ShardContext {
            limits: common.limits,
            names: Arc::new(PatternInterner::counted_by(&counters.topics)),
            ordering_thread: Arc::new(Waker::new(poll.registry(), WAKER)?),
            reports: sender,
            started: common.started,
        };
        Ok(Self {
            poll,
            pipe: CommandReceiver::new(socket),
            shard: ShardThread::new(number, counters, shared)?,
            reports,
            counters,
            started: common.started,
            referred: Tables::default(),
            memory: Memory::default(),
        })
    }

    /// Runs until the shard has ended.
    ///
    /// # Errors
    /// `UnexpectedEof` once the ordering thread has gone.
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(4);
        let mut next_settling = Instant::now() + SETTLE_INTERVAL;
        let mut closed = false;
        loop {
            // One bounded read per turn lets the shard work meanwhile. A shard that is behind wakes this thread later.
            let mut more = false;
            if !self.shard.is_behind() {
                let came = self.pipe.receive()?;
                // Epoll reports the close of the pair only once, maybe with the last commands: read on after it.
                more = came.more || closed;
                self.obey_all()?;
                self.shard.wake();
                if came.descriptors > 0 {
                    self.tell(&[ProcessReport::Received(came.descriptors as u32)])?;
                }
            }
            if self.shard.is_gone() && !self.shard.is_still() {
                self.report()?;
                return self.shard.end().map_err(io::Error::other);
            }
            let now = Instant::now();
            if now >= next_settling {
                next_settling = now + SETTLE_INTERVAL;
                self.settle();
            }
            let timeout = if more { Duration::ZERO } else { next_settling - now };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            closed |= events.iter().any(|event| event.token() == PIPE && event.is_read_closed());
            // A paused shard has sent its last report: from then on the ordering thread expects only what it asks for.
            if !self.shard.is_still() && events.iter().any(|event| event.token() == WAKER) {
                self.report()?;
            }
        }
    }

    /// Passes the shard's reports on, or that something else happened.
    fn report(&self) -> io::Result<()> {
        let mut reports: Vec<ProcessReport> = self.reports.try_iter().map(ProcessReport::Shard).collect();
        if reports.is_empty() {
            reports.push(ProcessReport::Notice);
        }
        self.tell(&reports)
    }

    /// Sends reports and waits for room if necessary. The ordering thread reads them in all states, so the wait is short.
    fn tell(&self, reports: &[ProcessReport]) -> io::Result<()> {
        let mut bytes = Vec::new();
        reports.iter().for_each(|report| wire::append(&mut bytes, report));
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            let socket = self.pipe.socket();
            match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::AGAIN) => {
                    rustix::event::poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None)?;
                }
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Executes the messages that are complete.
    fn obey_all(&mut self) -> io::Result<()> {
        let mut bytes = mem::take(&mut self.pipe.bytes);
        let mut done = 0;
        while let Some((message, size)) = message::first(&bytes[done..])? {
            self.obey(message)?;
            done += size;
        }
        bytes.drain(..done);
        self.pipe.bytes = bytes;
        Ok(())
    }

    fn obey(&mut self, message: ProcessMessage<'_, ReceivedCommand<'_>>) -> io::Result<()> {
        match message {
            ProcessMessage::Part(part) => return self.pipe.parts.keep(part),
            ProcessMessage::Control(control) => return self.obey_control(control),
            ProcessMessage::Command(Command::Pause) => return self.pause(),
            ProcessMessage::Command(command) => {
                let watched = |event: &EventState<'_>| event.topics.iter().any(|topic| self.shard.may_watch(topic));
                if command.event().is_none_or(watched) {
                    self.shard.send(command.convert(&mut self.pipe)?);
                }
            }
        }
        Ok(())
    }

    fn obey_control(&mut self, control: ProcessControl<'_>) -> io::Result<()> {
        match control {
            ProcessControl::PassOn => self.pass_on()?,
            ProcessControl::Event(state) => self.referred.add_events(&[state])?,
            ProcessControl::Blob(bytes) => self.referred.add_blobs(&[bytes]),
            ProcessControl::Adopt(state) => {
                let now = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
                let patterns: Vec<Box<str>> = state.patterns.iter().map(|&pattern| pattern.into()).collect();
                let stream = Stream::restore(&state, self.pipe.descriptor()?, now, &self.referred)?;
                self.shard.adopt(stream, &patterns, state.ends)?;
            }
            ProcessControl::Start => {
                self.referred = Tables::default();
                self.shard.start()?;
            }
        }
        Ok(())
    }

    fn pause(&mut self) -> io::Result<()> {
        if !self.shard.is_still() {
            self.shard.pause().map_err(io::Error::other)?;
        }
        self.report()?;
        self.tell(&[ProcessReport::Paused])
    }

    /// Sends the streams to the ordering thread for an upgrade. The shard keeps its copies, as the upgrade may fail.
    fn pass_on(&self) -> io::Result<()> {
        let channel = Channel::new(self.pipe.socket().try_clone_to_owned()?, 2 * SENDER_TIMEOUT);
        let mut outgoing = Outgoing::new(&channel);
        self.shard.pass_on(&mut outgoing)?;
        outgoing.part(PartKind::End, &(), &[])?;
        outgoing.answered()
    }

    fn settle(&mut self) {
        let Self { counters, memory, pipe, .. } = self;
        let streams = (counters.opened.get() + counters.ended_held.get()).saturating_sub(counters.ended_all());
        let kept = counters.queued_bytes.get() as usize + streams as usize * STREAM;
        memory.note(kept);
        memory.settle(kept);
        pipe.settle();
    }
}
