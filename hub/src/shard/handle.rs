//! The router's end of a shard.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::Sender;
use mio::{Poll, Waker};
use tracing::error;

use super::{Shard, WAKER};
use crate::run::HubError;
use crate::shard::command::{Backlog, Command};
use crate::shard::names::Names;
use crate::stats::ShardStats;

/// What the threads of shards share with the router.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// Bytes queued for one stream at most.
    pub(crate) stream_buffer: usize,
    /// All patterns' text.
    pub(crate) names: Arc<Names>,
    /// Wakes the router.
    pub(crate) router: Arc<Waker>,
    /// Tells the router which of the streams that it wants to hear of have ended.
    pub(crate) ended: Sender<u64>,
}

/// A shard that runs.
#[derive(Debug)]
pub(crate) struct ShardHandle {
    name: String,
    commands: Sender<Command>,
    waker: Waker,
    backlog: Arc<Backlog>,
    stats: Arc<ShardStats>,
    gone: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
    /// Commands were sent since it was woken last.
    sent: bool,
}

/// Tells the router when the thread ends in whatever way.
struct Obituary {
    gone: Arc<AtomicBool>,
    router: Arc<Waker>,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        let _ = self.router.wake();
    }
}

impl ShardHandle {
    /// Starts a shard. The caller has blocked all signals, which the thread inherits.
    pub(crate) fn start(number: usize, shared: Shared) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (sender, receiver) = crossbeam_channel::unbounded();
        let (backlog, stats) = (Arc::new(Backlog::default()), Arc::new(ShardStats::default()));
        let gone = Arc::new(AtomicBool::new(false));
        let obituary = Obituary { gone: Arc::clone(&gone), router: Arc::clone(&shared.router) };
        let name = format!("sse-shard-{number}");
        let shard = Shard::new(poll, receiver, Arc::clone(&backlog), Arc::clone(&stats), shared);
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            let _obituary = obituary;
            shard.run()
        })?;
        Ok(Self { name, commands: sender, waker, backlog, stats, gone, thread, sent: false })
    }

    /// Sends a command; the shard looks at it after the next [`wake`](Self::wake), or before.
    pub(crate) fn send(&mut self, command: Command) {
        self.backlog.add(command.weight());
        // A shard that is gone is noticed by `is_gone`, and the hub ends.
        let _ = self.commands.send(command);
        self.sent = true;
    }

    /// Wakes the shard if anything was sent.
    pub(crate) fn wake(&mut self) {
        if std::mem::take(&mut self.sent)
            && let Err(error) = self.waker.wake()
        {
            error!(%error, "a shard can't be woken");
        }
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
    pub(crate) fn stats(&self) -> &ShardStats {
        &self.stats
    }

    /// Waits for its end.
    pub(crate) fn join(self) -> Result<(), HubError> {
        let result = self.thread.join().map_err(|_| HubError::Panicked(self.name))?;
        result.map_err(HubError::system("waiting for streams"))
    }
}
