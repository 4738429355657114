//! A shard in a thread of this process, seen from the ordering thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use mio::{Poll, Waker};
use tracing::error;

use crate::error::HubError;
use crate::index::interner::PatternInterner;
use crate::shard::command::{Command, NewStream};
use crate::shard::interest::InterestFilter;
use crate::shard::report::ShardReport;
use crate::shard::{Shard, WAKER};
use crate::stats::ShardStats;
use crate::stream::Stream;
use crate::sys::BlockedSignals;
use crate::upgrade::outgoing::Outgoing;
use crate::util::backlog::Backlog;
use sse_protocol::wire::Framing;

/// Limits of the streams' queues.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardLimits {
    /// Maximum bytes in the queue of one stream.
    pub(crate) stream_buffer: usize,
    /// Bytes that only queues may keep, in all processes together.
    pub(crate) pinned: usize,
    /// One process's part of these: above it, the shard informs the ordering thread.
    pub(crate) pinned_part: usize,
    /// Stall timeout: seconds for which a client may read nothing of its queue, unless twice its heartbeat interval is longer.
    pub(crate) stall: u32,
}

impl ShardLimits {
    /// Stall timeout in seconds of a stream with this heartbeat interval.
    pub(crate) fn stall_timeout(&self, heartbeat: u32) -> u32 {
        self.stall.max(heartbeat.saturating_mul(2))
    }
}

/// State that the shard threads share with the ordering thread.
#[derive(Debug, Clone)]
pub(crate) struct ShardContext {
    /// Limits of the queues.
    pub(crate) limits: ShardLimits,
    /// Interner of all patterns.
    pub(crate) names: Arc<PatternInterner>,
    /// Wakes the ordering thread.
    pub(crate) ordering_thread: Arc<Waker>,
    /// Reports to the ordering thread.
    pub(crate) reports: Sender<ShardReport>,
    /// Start of the hub, from which all shards count their seconds.
    pub(crate) started: Instant,
}

/// Maximum delay before a shard learns of opened streams that have nothing to write.
const LATENESS: Duration = Duration::from_millis(5);

/// A shard, running in its own thread or paused.
#[derive(Debug)]
pub(crate) struct ShardThread {
    name: String,
    commands: Sender<Command>,
    waker: Waker,
    backlog: Arc<Backlog>,
    watched: Arc<InterestFilter>,
    stats: &'static ShardStats,
    gone: Arc<AtomicBool>,
    ordering_thread: Arc<Waker>,
    state: ShardPlace,
    /// Commands were sent since the last wake.
    sent: bool,
    /// Id of the first stream attached since the last wake that opens with nothing to write.
    quiet: Option<u64>,
    /// Time at which to wake the shard for opened streams of that kind.
    late: Option<Instant>,
}

/// Where the shard's state is.
#[derive(Debug)]
enum ShardPlace {
    /// In its thread, which returns it on a pause.
    Running(JoinHandle<io::Result<Option<Box<Shard>>>>),
    /// In this struct, paused.
    Still(Box<Shard>),
    /// Nowhere: the shard has ended.
    Gone,
}

/// Wakes the ordering thread when the shard's thread ends, even by a panic.
struct ExitNotice {
    gone: Arc<AtomicBool>,
    ordering_thread: Arc<Waker>,
}

impl Drop for ExitNotice {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        let _ = self.ordering_thread.wake();
    }
}

impl ShardThread {
    /// Creates a paused shard without streams.
    pub(crate) fn new(number: usize, stats: &'static ShardStats, shared: ShardContext) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (sender, receiver) = crossbeam_channel::unbounded();
        let backlog = Arc::new(Backlog::default());
        let watched = Arc::new(InterestFilter::default());
        let ordering_thread = Arc::clone(&shared.ordering_thread);
        let shard = Shard::new(poll, receiver, Arc::clone(&backlog), Arc::clone(&watched), stats, shared);
        Ok(Self {
            name: format!("sse-shard-{number}"),
            commands: sender,
            waker,
            backlog,
            watched,
            stats,
            gone: Arc::default(),
            ordering_thread,
            state: ShardPlace::Still(Box::new(shard)),
            sent: false,
            quiet: None,
            late: None,
        })
    }

    /// Starts the shard in its own thread, with all signals blocked.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, ShardPlace::Gone) {
            ShardPlace::Still(shard) => {
                self.gone.store(false, Ordering::SeqCst);
                let notice =
                    ExitNotice { gone: Arc::clone(&self.gone), ordering_thread: Arc::clone(&self.ordering_thread) };
                let _blocked = BlockedSignals::new();
                let thread = thread::Builder::new().name(self.name.clone()).spawn(move || {
                    let _notice = notice;
                    shard.run()
                })?;
                self.state = ShardPlace::Running(thread);
            }
            other => self.state = other,
        }
        Ok(())
    }

    /// Returns whether the shard is paused.
    pub(crate) fn is_still(&self) -> bool {
        matches!(self.state, ShardPlace::Still(_))
    }

    /// Pauses the shard after it has done all earlier commands, and waits for that.
    pub(crate) fn pause(&mut self) -> Result<(), HubError> {
        self.send(Command::Pause);
        self.wake();
        if let Some(shard) = self.ended()? {
            self.state = ShardPlace::Still(shard);
        }
        Ok(())
    }

    /// Sends the streams of a paused shard to the new hub of an upgrade. The shard keeps its copies, unchanged.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        match &self.state {
            ShardPlace::Still(shard) => shard.pass_on(outgoing),
            _ => Err(io::Error::other("a shard does not stand still")),
        }
    }

    /// Adds a stream of the old hub to a paused shard.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        match &mut self.state {
            ShardPlace::Still(shard) => {
                patterns.iter().for_each(|pattern| self.watched.add(pattern));
                shard.adopt(stream, patterns, ends)
            }
            _ => Err(io::Error::other("a shard does not stand still")),
        }
    }

    /// Sends a command. The shard sees it after the next [`wake`](Self::wake) at the latest.
    pub(crate) fn send(&mut self, command: Command) {
        self.put(command);
        self.sent = true;
    }

    /// Sends a command without waking the shard, because another command must follow before there is anything to do.
    pub(crate) fn send_ahead(&mut self, command: Command) {
        self.quiet = match &command {
            Command::Attach(attach) if attach.is_quiet() => self.quiet.or(Some(attach.id)),
            _ => None,
        };
        self.put_unhurried(command);
    }

    /// Opens a held stream. If it has nothing to write, the shard only has to watch for the client's disconnect: one later wake
    /// serves many such streams.
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
        // The ordering thread waits for a shard that is behind, so that shard must be woken.
        self.sent |= self.is_behind();
    }

    fn put(&mut self, command: Command) {
        if let Command::Attach(NewStream { patterns, .. }) | Command::Watch { patterns, .. } = &command {
            patterns.iter().for_each(|pattern| self.watched.add(pattern));
        }
        self.backlog.add(command.weight());
        // The receiver is missing only if the shard has ended: `is_gone` reports that, and the hub ends.
        let _ = self.commands.send(command);
    }

    /// Returns whether a stream of the shard may watch this topic.
    pub(crate) fn may_watch(&self, topic: &str) -> bool {
        self.watched.may_watch(topic)
    }

    /// Wakes the shard if there are unseen commands, except for those that can still wait.
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

    /// Latest time for the next wake, if any command waits for it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.late
    }

    /// Returns whether the backlog is too large; if so, the shard will wake the ordering thread.
    pub(crate) fn is_behind(&self) -> bool {
        self.backlog.is_high()
    }

    /// Returns whether the shard's thread has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Counters of the shard.
    pub(crate) fn stats(&self) -> &'static ShardStats {
        self.stats
    }

    /// Waits for the end of the shard's thread.
    pub(crate) fn join(mut self) -> Result<(), HubError> {
        self.end()
    }

    /// Waits for the end of the shard's thread and leaves the handle without a shard.
    pub(crate) fn end(&mut self) -> Result<(), HubError> {
        self.ended().map(drop)
    }

    /// Waits for the end of the shard's thread and takes its state, if it was paused.
    fn ended(&mut self) -> Result<Option<Box<Shard>>, HubError> {
        match std::mem::replace(&mut self.state, ShardPlace::Gone) {
            ShardPlace::Running(thread) => {
                let result = thread.join().map_err(|_| HubError::Panicked(self.name.clone()))?;
                result.map_err(HubError::system("waiting for streams"))
            }
            ShardPlace::Still(shard) => Ok(Some(shard)),
            ShardPlace::Gone => Ok(None),
        }
    }
}
