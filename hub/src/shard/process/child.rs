//! A shard process: one shard, and the main thread that passes the ordering thread's orders to it.

use std::collections::HashMap;
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
use serde_bytes::Bytes;
use tracing::error;

use crate::event::Event;
use crate::shard::command::{Attach, Command};
use crate::shard::interner::PatternInterner;
use crate::shard::process::Common;
use crate::shard::process::order::{self, Order, Word};
use crate::shard::process::receiver::{self, CommandReceiver};
use crate::shard::thread::{ShardThread, Shared};
use crate::stats::{Ended, ShardStats};
use crate::store::history::Missed;
use crate::stream::{Frames, Stream, Trigger};
use crate::sys;
use crate::upgrade::SENDERS_PATIENCE;
use crate::upgrade::channel::Channel;
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::outgoing::Outgoing;
use crate::upgrade::state::{EventState, Part};
use crate::util::memory::Memory;

const LINE: Token = Token(0);
const WAKER: Token = Token(1);

/// Interval at which unused memory is freed.
const SETTLE_INTERVAL: Duration = Duration::from_secs(10);

/// Approximate bytes of memory of an idle stream.
const STREAM: usize = 256;

/// Runs a shard process; returns true if it ended by command.
pub(crate) fn run(number: usize, line: OwnedFd, common: Common, counters: &'static ShardStats) -> bool {
    sys::set_title(&format!("sse-hub: streams {}", number + 1));
    let mut holder = match ShardProcess::new(number, line, common, counters) {
        Ok(holder) => holder,
        Err(error) => {
            error!(process = number + 1, %error, "a process that is to hold streams can't begin");
            return false;
        }
    };
    let done = holder.run();
    // Keep the socket open until the process exits: the ordering thread takes its end for the end of the shard's thread.
    mem::forget(holder);
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
    intake: CommandReceiver,
    shard: ShardThread,
    /// Closed streams to be reported to the ordering thread.
    ended: Receiver<u64>,
    counters: &'static ShardStats,
    started: Instant,
    /// The events that [`Order::Frames`] sends.
    blob: Arc<Frames>,
    /// Events by number that new streams may have missed. Only queues count them as kept: the history is in the main process.
    lent: HashMap<u64, Arc<Event>>,
    /// Events and bytes that streams of the old hub refer to.
    referred: Tables,
    memory: Memory,
}

impl ShardProcess {
    fn new(number: usize, line: OwnedFd, common: Common, counters: &'static ShardStats) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&line.as_raw_fd()), LINE, Interest::READABLE)?;
        let (reports, ended) = crossbeam_channel::unbounded();
        let shared = Shared {
            limits: common.limits,
            names: Arc::new(PatternInterner::counted_by(&counters.topics)),
            router: Arc::new(Waker::new(poll.registry(), WAKER)?),
            ended: reports,
            started: common.started,
        };
        Ok(Self {
            poll,
            intake: CommandReceiver::new(line),
            shard: ShardThread::new(number, counters, shared)?,
            ended,
            counters,
            started: common.started,
            blob: Arc::default(),
            lent: HashMap::new(),
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
                let came = self.intake.receive()?;
                // Epoll reports the close of the pair only once, maybe with the last orders: read on after it.
                more = came.more || closed;
                self.obey_all()?;
                self.shard.wake();
                if came.descriptors > 0 {
                    self.tell(&[Word::Taken(came.descriptors as u32)])?;
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
            closed |= events.iter().any(|event| event.token() == LINE && event.is_read_closed());
            // A paused shard has sent its last report: from then on the ordering thread expects only what it asks for.
            if !self.shard.is_still() && events.iter().any(|event| event.token() == WAKER) {
                self.report()?;
            }
        }
    }

    /// Reports the closed streams, or that something else happened.
    fn report(&self) -> io::Result<()> {
        let mut words: Vec<Word> = self.ended.try_iter().map(Word::Ended).collect();
        if words.is_empty() {
            words.push(Word::Nudge);
        }
        self.tell(&words)
    }

    /// Sends reports and waits for room if necessary. The ordering thread reads them in all states, so the wait is short.
    fn tell(&self, words: &[Word]) -> io::Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_bytes()).collect();
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            let socket = self.intake.socket();
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

    /// Executes the orders that are complete.
    fn obey_all(&mut self) -> io::Result<()> {
        let mut bytes = mem::take(&mut self.intake.bytes);
        let mut done = 0;
        while let Some((order, size)) = receiver::first(&bytes[done..])? {
            self.process_order(order)?;
            done += size;
        }
        bytes.drain(..done);
        self.intake.bytes = bytes;
        Ok(())
    }

    fn process_order(&mut self, order: Order<'_>) -> io::Result<()> {
        let command = match order {
            Order::Attach(attach) => {
                let order::Attach {
                    id,
                    client,
                    patterns,
                    heartbeat,
                    retry,
                    lifetime,
                    gap,
                    missed,
                    cursor,
                    opened,
                    followed,
                } = attach;
                let events = missed.iter().map(|number| self.lent.get(number).cloned());
                let events = events.collect::<Option<_>>().ok_or_else(|| wrong("the number of an event"))?;
                let missed = Missed { gap: gap.map(shared), events, cursor };
                let patterns = patterns.into_iter().map(Box::from).collect();
                let socket = self.intake.descriptor().ok_or_else(|| wrong("the number of descriptors"))?;
                let attach =
                    Attach { id, client, socket, patterns, heartbeat, retry, lifetime, missed, opened, followed };
                Command::Attach(attach)
            }
            Order::Commit { stream, framing } => Command::Commit { stream, framing },
            Order::Abort { stream } => Command::Abort { stream },
            Order::TellTopics { stream, topics_as, cursor } => {
                Command::TellTopics { stream, topics_as, cursor: cursor.into() }
            }
            Order::Blob(bytes) => {
                self.blob = Arc::new(shared(bytes).into());
                return Ok(());
            }
            Order::Frames { stream } => Command::Frames { stream, frames: Arc::clone(&self.blob) },
            Order::Watch { stream, patterns } => {
                Command::Watch { stream, patterns: patterns.into_iter().map(Box::from).collect() }
            }
            Order::End { stream, why } => {
                Command::End { stream, why: Ended::named(why).ok_or_else(|| wrong("a reason to end"))? }
            }
            Order::Event(state) => {
                if !state.topics.iter().any(|topic| self.shard.may_watch(topic)) {
                    return Ok(());
                }
                Command::Event(event(&state)?)
            }
            Order::Trigger(topic) => Command::Trigger(Arc::new(Trigger::new(topic))),
            Order::Gap(frame) => Command::Gap(shared(frame)),
            Order::Relieve(relieve) => Command::Relieve(relieve),
            Order::Stop { spread } => Command::Stop { spread },
            Order::Lend(number, state) => {
                self.lent.insert(number, event(&state)?);
                return Ok(());
            }
            Order::Forget(numbers) => {
                for number in numbers {
                    self.lent.remove(&number);
                }
                return Ok(());
            }
            Order::Pause => {
                self.pause()?;
                return Ok(());
            }
            Order::PassOn => {
                self.pass_on()?;
                return Ok(());
            }
            Order::Referred(state) => {
                self.referred.add_events(&[state])?;
                return Ok(());
            }
            Order::ReferredBlob(bytes) => {
                self.referred.add_blobs(&[bytes]);
                return Ok(());
            }
            Order::Adopt(state) => {
                let now = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
                let patterns: Vec<Box<str>> = state.patterns.iter().map(|&pattern| pattern.into()).collect();
                let socket = self.intake.descriptor().ok_or_else(|| wrong("the number of descriptors"))?;
                let stream = Stream::restore(&state, socket, now, &self.referred)?;
                self.shard.adopt(stream, &patterns, state.ends)?;
                return Ok(());
            }
            Order::GoOn => {
                self.referred = Tables::default();
                self.shard.start()?;
                return Ok(());
            }
        };
        self.shard.send(command);
        Ok(())
    }

    fn pause(&mut self) -> io::Result<()> {
        if !self.shard.is_still() {
            self.shard.pause().map_err(io::Error::other)?;
        }
        self.report()?;
        self.tell(&[Word::Paused])
    }

    /// Sends the streams to the ordering thread for an upgrade. The shard keeps its copies, as the upgrade may fail.
    fn pass_on(&self) -> io::Result<()> {
        let channel = Channel::new(self.intake.socket().try_clone_to_owned()?, 2 * SENDERS_PATIENCE);
        let mut outgoing = Outgoing::new(&channel);
        self.shard.pass_on(&mut outgoing)?;
        outgoing.part(&Part::End, &[])?;
        outgoing.answered()
    }

    fn settle(&mut self) {
        let Self { counters, memory, intake, .. } = self;
        let streams = (counters.opened.get() + counters.ended_held.get()).saturating_sub(counters.ended_all());
        let kept = counters.queued_bytes.get() as usize + streams as usize * STREAM;
        memory.note(kept);
        memory.settle(kept);
        intake.settle();
    }
}

fn event(state: &EventState<'_>) -> io::Result<Arc<Event>> {
    Event::restore(state).map(Arc::new).ok_or_else(|| wrong("an event"))
}

fn shared(bytes: &Bytes) -> Arc<[u8]> {
    Arc::from(bytes.as_ref())
}
