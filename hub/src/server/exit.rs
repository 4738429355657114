//! The end of a hub: when it ends, and how.

use std::time::{Duration, Instant};

use tracing::debug;

use crate::error::HubError;
use crate::server::Server;
use crate::server::signals::Signals;
use crate::server::upgrade::foreground::ForegroundProxy;
use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::socket;

/// Interval of the checks that the socket file is still this hub's.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Average number of clients that reconnect per second after the hub has ended.
const RETURNS_A_SECOND: u32 = 500;

impl Server {
    pub(crate) fn reason_to_end(&mut self) -> Option<&'static str> {
        if self.signalled {
            return Some("a signal asked for it");
        }
        if self.broker.is_asked_to_leave {
            return Some("another hub is to be started in its place");
        }
        if self.owners.all_ended() {
            return Some("all its owners have ended");
        }
        let now = Instant::now();
        if now >= self.next_check {
            self.next_check = now + CHECK_INTERVAL;
            self.broker.expire(now);
            self.broker.tidy_processes();
            self.memory.settle(self.broker.kept());
            if !self.acceptor.is_still_there() {
                return Some("its socket file is gone or another one's");
            }
        }
        if !self.connections.is_empty() || self.owners.any() || self.broker.streams() > 0 {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert(now);
        let over = self.broker.config.idle_exit.is_some_and(|limit| now.saturating_duration_since(since) >= limit);
        (over && self.may_exit()).then_some("nobody has needed it for sse.idle_exit")
    }

    /// Whether an idle hub may end: no process holds the start lock, and none has connected meanwhile. If so, the socket file
    /// is removed before the lock is released, so that a process that waits for the lock starts a new hub.
    pub(crate) fn may_exit(&mut self) -> bool {
        self.idle_since = None;
        match socket::try_lock(&self.broker.config.socket) {
            Ok(Some(lock)) => {
                self.acceptor.ready = true;
                self.accept_waiting();
                let may_exit = self.connections.is_empty() && !self.acceptor.has_waiting();
                if may_exit {
                    self.broker.stop_notify();
                    self.broker.http.shut();
                    self.acceptor.shut(&lock);
                }
                may_exit
            }
            Ok(None) => false,
            // Without the folder no process can connect either.
            Err(error) => {
                debug!(%error, "no lock to end under");
                true
            }
        }
    }

    /// Ends all streams in good order, and waits for the shards.
    pub(crate) fn finish(mut self) -> Result<(), HubError> {
        self.broker.http.shut();
        // The next hub may start while this one ends its streams, but needs the history file closed.
        self.broker.close_store(true);
        match socket::try_lock(&self.broker.config.socket) {
            Ok(Some(lock)) => {
                self.broker.stop_notify();
                self.acceptor.shut(&lock);
            }
            _ => self.acceptor.leave(),
        }
        self.learn_reports(Duration::MAX);
        self.broker.inquiries.give_up_receipts();
        self.answer_inquiries();
        self.broker.pass_notifications();
        // A single client need not wait before it reconnects.
        let others = u32::try_from(self.broker.streams().saturating_sub(1)).unwrap_or(u32::MAX);
        let spread = others.saturating_mul(1000 / RETURNS_A_SECOND);
        for shard in &mut self.broker.shards {
            shard.send(Command::Stop { spread });
            shard.wake();
        }
        for (_, connection) in &mut self.connections {
            connection.flush();
        }
        let ends: Vec<_> = self.broker.shards.drain(..).map(ShardHandle::join).collect();
        if let Some(link) = &self.link {
            link.part();
        }
        ends.into_iter().collect()
    }

    /// Drops everything after an upgrade, without shutting down or writing to a socket, as the new hub owns them. A foreground
    /// proxy runs until the new hub ends.
    pub(crate) fn retire(self, stand_in: Option<ForegroundProxy>) -> Result<(), HubError> {
        let signals = self.into_signals();
        stand_in.map_or(Ok(()), |stand_in| stand_in.run(signals))
    }

    pub(crate) fn into_signals(self) -> Signals {
        self.signals
    }
}
