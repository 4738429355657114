//! The fork server: starts shard processes. It is forked before the hub has any thread and has none itself, so it can fork at
//! any time.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions};
use tracing::{error, warn};

use crate::shard::process::{Common, child};
use crate::stats::ShardStats;
use crate::sys;
use crate::upgrade::channel::Channel;
use crate::util::log;
use sse_protocol::wire;

/// Maximum time for a fork.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum time that the fork server waits for a request.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The ordering thread's handle of the fork server.
#[derive(Debug)]
pub(crate) struct ForkServer {
    pid: Pid,
    channel: Option<Channel>,
}

impl ForkServer {
    /// Forks the fork server. No thread of the caller may hold a lock: see [`may_fork`](crate::config::Config::may_fork).
    pub(crate) fn new(common: Common, counters: &'static [ShardStats]) -> io::Result<Self> {
        let (near, far) = UnixStream::pair()?;
        let pid = sys::fork_worker(far.into(), log::descriptor(), (common, counters), work)?;
        Ok(Self { pid, channel: Some(Channel::new(near.into(), TIMEOUT)) })
    }

    /// Starts shard process `number`, which gets `socket`; returns its process id.
    ///
    /// # Errors
    /// `BrokenPipe` or `UnexpectedEof`: the fork server has gone.
    pub(crate) fn start(&self, number: usize, socket: OwnedFd) -> io::Result<u32> {
        let channel = self.channel.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        channel.send(&(number as u32), &[socket.as_fd()])?;
        drop(socket);
        let mut bytes = Vec::new();
        channel.receive(&mut bytes)?;
        let (pid, error): (u32, i32) = wire::decode(&bytes).map_err(io::Error::other)?;
        if pid > 0 { Ok(pid) } else { Err(io::Error::from_raw_os_error(error)) }
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        // The close ends the fork server, and only this process can reap it.
        self.channel = None;
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitpid(Some(self.pid), WaitOptions::empty()) {}
    }
}

/// Serves requests until the ordering thread has gone.
fn work(socket: OwnedFd, (common, counters): (Common, &'static [ShardStats])) -> bool {
    sys::set_title("sse-hub: starter");
    sys::ignore_children();
    let channel = Channel::new(socket, FOREVER);
    let mut bytes = Vec::new();
    loop {
        let Ok(descriptors) = channel.receive(&mut bytes) else { return true };
        let (Ok(number), Some(socket)) = (wire::decode::<u32>(&bytes), descriptors.into_iter().next()) else {
            error!("what came to the starter makes no sense; this is a bug of php-sse");
            return false;
        };
        let number = number as usize;
        let forked = match counters.get(number) {
            Some(counters) => sys::fork_worker(socket, log::descriptor(), (number, common, counters), run_shard),
            None => Err(io::ErrorKind::InvalidInput.into()),
        };
        let answer = match forked {
            Ok(pid) => (pid.as_raw_nonzero().get().unsigned_abs(), 0),
            Err(error) => {
                warn!(%error, "a process that holds streams could not be forked");
                (0, error.raw_os_error().unwrap_or_default())
            }
        };
        if channel.send(&answer, &[]).is_err() {
            return true;
        }
    }
}

/// A shard process.
fn run_shard(socket: OwnedFd, (number, common, counters): (usize, Common, &'static ShardStats)) -> bool {
    child::run(number, socket, common, counters)
}
