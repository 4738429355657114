//! The other end of a shard in this process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use mio::{Poll, Waker};
use tracing::error;

use crate::run::HubError;
use crate::shard::command::{Attach, Backlog, Command};
use crate::shard::interest::InterestFilter;
use crate::shard::interner::PatternInterner;
use crate::shard::{Shard, WAKER};
use crate::stats::ShardStats;
use crate::stream::Stream;
use crate::sys::BlockedSignals;
use crate::upgrade::outgoing::Outgoing;
use sse_protocol::wire::Framing;

/// What bounds the queues of streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes queued for one stream at most.
    pub(crate) stream_buffer: usize,
    /// Bytes that only queues of one process keep, past which the router is told.
    pub(crate) pinned: usize,
    /// Seconds that a client may take nothing of what waits for it, unless twice its heartbeat is longer.
    pub(crate) stall: u32,
}

impl Limits {
    /// Seconds that the client of a stream with this heartbeat may give no sign of life.
    pub(crate) fn patience(&self, heartbeat: u32) -> u32 {
        self.stall.max(heartbeat.saturating_mul(2))
    }
}

/// What the threads of shards share with the router.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// What bounds the queues.
    pub(crate) limits: Limits,
    /// All patterns' text.
    pub(crate) names: Arc<PatternInterner>,
    /// Wakes the router.
    pub(crate) router: Arc<Waker>,
    /// Tells the router which of the streams that it wants to hear of have ended.
    pub(crate) ended: Sender<u64>,
    /// When the hub started: all shards count its seconds.
    pub(crate) started: Instant,
}

/// How long a shard may learn late of streams that have begun with nothing to write.
const LATENESS: Duration = Duration::from_millis(5);

/// A shard, in a thread of its own or standing still.
#[derive(Debug)]
pub(crate) struct ShardThread {
    name: String,
    commands: Sender<Command>,
    waker: Waker,
    backlog: Arc<Backlog>,
    watched: Arc<InterestFilter>,
    stats: &'static ShardStats,
    gone: Arc<AtomicBool>,
    router: Arc<Waker>,
    state: State,
    /// Commands were sent since it was woken last.
    sent: bool,
    /// The first of the streams attached since then that begin without anything to write.
    quiet: Option<u64>,
    /// When it is to be woken for those of them that have begun.
    late: Option<Instant>,
}

/// Where the shard is.
#[derive(Debug)]
enum State {
    /// In its thread, which gives it back when it is to pause.
    Running(JoinHandle<io::Result<Option<Box<Shard>>>>),
    /// Here.
    Still(Box<Shard>),
    /// It has ended.
    Gone,
}

/// Tells the router when the thread ends in whatever way.
struct ExitNotice {
    gone: Arc<AtomicBool>,
    router: Arc<Waker>,
}

impl Drop for ExitNotice {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        let _ = self.router.wake();
    }
}

impl ShardThread {
    /// A shard without streams, which stands still.
    pub(crate) fn new(number: usize, stats: &'static ShardStats, shared: Shared) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (sender, receiver) = crossbeam_channel::unbounded();
        let backlog = Arc::new(Backlog::default());
        let watched = Arc::new(InterestFilter::default());
        let router = Arc::clone(&shared.router);
        let shard = Shard::new(poll, receiver, Arc::clone(&backlog), Arc::clone(&watched), stats, shared);
        Ok(Self {
            name: format!("sse-shard-{number}"),
            commands: sender,
            waker,
            backlog,
            watched,
            stats,
            gone: Arc::default(),
            router,
            state: State::Still(Box::new(shard)),
            sent: false,
            quiet: None,
            late: None,
        })
    }

    /// Lets it run in a thread of its own, all signals blocked.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Still(shard) => {
                self.gone.store(false, Ordering::SeqCst);
                let obituary = ExitNotice { gone: Arc::clone(&self.gone), router: Arc::clone(&self.router) };
                let _blocked = BlockedSignals::new();
                let thread = thread::Builder::new().name(self.name.clone()).spawn(move || {
                    let _obituary = obituary;
                    shard.run()
                })?;
                self.state = State::Running(thread);
            }
            other => self.state = other,
        }
        Ok(())
    }

    /// Whether it stands still.
    pub(crate) fn is_still(&self) -> bool {
        matches!(self.state, State::Still(_))
    }

    /// Waits until it has done all that it was told, and lets it stand still.
    pub(crate) fn pause(&mut self) -> Result<(), HubError> {
        self.send(Command::Pause);
        self.wake();
        if let Some(shard) = self.ended()? {
            self.state = State::Still(shard);
        }
        Ok(())
    }

    /// Passes the streams of a shard that stands still on. They stay what they are here.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        match &self.state {
            State::Still(shard) => shard.pass_on(outgoing),
            _ => Err(io::Error::other("a shard does not stand still")),
        }
    }

    /// Gives a stream that another hub has passed on to a shard that stands still.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        match &mut self.state {
            State::Still(shard) => {
                patterns.iter().for_each(|pattern| self.watched.add(pattern));
                shard.adopt(stream, patterns, ends)
            }
            _ => Err(io::Error::other("a shard does not stand still")),
        }
    }

    /// Sends a command; the shard looks at it after the next [`wake`](Self::wake), or before.
    pub(crate) fn send(&mut self, command: Command) {
        self.put(command);
        self.sent = true;
    }

    /// Sends a command that there is nothing to do for before another one follows: the shard is not woken for it.
    pub(crate) fn send_ahead(&mut self, command: Command) {
        self.quiet = match &command {
            Command::Attach(attach) if attach.is_quiet() => self.quiet.or(Some(attach.id)),
            _ => None,
        };
        self.put_unhurried(command);
    }

    /// Begins a held stream. If there is nothing to write, the shard only has to notice in time that the client leaves: it is
    /// woken for many such streams at once.
    pub(crate) fn commit(&mut self, stream: u64, framing: Framing) {
        let command = Command::Commit { stream, framing };
        if self.quiet.is_some_and(|first| stream >= first) {
            self.late.get_or_insert_with(|| Instant::now() + LATENESS);
            self.put_unhurried(command);
        } else {
            self.send(command);
        }
    }

    fn put_unhurried(&mut self, command: Command) {
        self.put(command);
        // The router waits for a shard that has much to do, which then has to do it.
        self.sent |= self.is_behind();
    }

    fn put(&mut self, command: Command) {
        if let Command::Attach(Attach { patterns, .. }) | Command::Watch { patterns, .. } = &command {
            patterns.iter().for_each(|pattern| self.watched.add(pattern));
        }
        self.backlog.add(command.weight());
        // A shard that is gone is noticed by `is_gone`, and the hub ends.
        let _ = self.commands.send(command);
    }

    /// Whether one of its streams may watch this topic.
    pub(crate) fn may_watch(&self, topic: &str) -> bool {
        self.watched.may_watch(topic)
    }

    /// Wakes the shard if anything was sent, but for what can wait.
    pub(crate) fn wake(&mut self) {
        self.sent |= self.late.is_some_and(|late| Instant::now() >= late);
        if !std::mem::take(&mut self.sent) {
            return;
        }
        (self.quiet, self.late) = (None, None);
        if let Err(error) = self.waker.wake() {
            error!(%error, "a shard can't be woken");
        }
    }

    /// When it is to be woken at the latest, if something waits for that.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.late
    }

    /// Whether it has more to do than it should; if so, it will wake the router.
    pub(crate) fn is_behind(&self) -> bool {
        self.backlog.is_high()
    }

    /// Whether its thread has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// What it counts.
    pub(crate) fn stats(&self) -> &'static ShardStats {
        self.stats
    }

    /// Waits for its end.
    pub(crate) fn join(mut self) -> Result<(), HubError> {
        self.end()
    }

    /// The same; it has none after that.
    pub(crate) fn end(&mut self) -> Result<(), HubError> {
        self.ended().map(drop)
    }

    /// Waits for the end of its thread.
    fn ended(&mut self) -> Result<Option<Box<Shard>>, HubError> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Running(thread) => {
                let result = thread.join().map_err(|_| HubError::Panicked(self.name.clone()))?;
                result.map_err(HubError::system("waiting for streams"))
            }
            State::Still(shard) => Ok(Some(shard)),
            State::Gone => Ok(None),
        }
    }
}
