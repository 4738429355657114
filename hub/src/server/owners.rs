//! The owners: processes whose end ends the hub.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::process::{Pid, PidfdFlags};
use tracing::{debug, info, warn};

/// The living owners. A pidfd identifies each of them, because the system reuses process ids.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    by_pid: HashMap<u32, OwnedFd>,
    had_any: bool,
    /// A failure to watch an owner was logged; every worker may name that owner again.
    told: bool,
}

impl Owners {
    /// Watches a process, unless it has ended or is watched. The process id has to fit into the token.
    pub(crate) fn add(&mut self, pid: u32, token: Token, registry: &Registry) {
        if self.by_pid.contains_key(&pid) {
            return;
        }
        match watch(pid, token, registry) {
            Ok(pidfd) => {
                self.by_pid.insert(pid, pidfd);
                self.had_any = true;
            }
            // The process may have just ended; the hub then ends when it is idle.
            Err(error) if self.told => debug!(owner = pid, %error, "an owner can't be watched"),
            Err(error) => {
                self.told = true;
                warn!(owner = pid, %error, "an owner can't be watched; the hub will not end with it");
            }
        }
    }

    /// The state for an upgrade: whether there was any owner, and the living ones.
    pub(crate) fn state(&self) -> (bool, impl Iterator<Item = (u32, BorrowedFd<'_>)>) {
        (self.had_any, self.by_pid.iter().map(|(pid, pidfd)| (*pid, pidfd.as_fd())))
    }

    /// Watches an owner that the old hub watched.
    pub(crate) fn adopt(&mut self, pid: u32, pidfd: OwnedFd, token: Token, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&pidfd.as_raw_fd()), token, Interest::READABLE)?;
        self.by_pid.insert(pid, pidfd);
        Ok(())
    }

    /// Restores from an upgrade whether there was any owner.
    pub(crate) fn inherit(&mut self, had_any: bool) {
        self.had_any = had_any;
    }

    /// Removes an owner that has ended.
    pub(crate) fn ended(&mut self, pid: u32, registry: &Registry) {
        if let Some(pidfd) = self.by_pid.remove(&pid) {
            let _ = registry.deregister(&mut SourceFd(&pidfd.as_raw_fd()));
            info!(owner = pid, left = self.by_pid.len(), "an owner has ended");
        }
    }

    /// Whether there were owners and all of them have ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.had_any && self.by_pid.is_empty()
    }

    /// Whether any owner lives.
    pub(crate) fn any(&self) -> bool {
        !self.by_pid.is_empty()
    }
}

fn watch(pid: u32, token: Token, registry: &Registry) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
    let pidfd = rustix::process::pidfd_open(pid.ok_or(io::ErrorKind::InvalidInput)?, PidfdFlags::empty())?;
    registry.register(&mut SourceFd(&pidfd.as_raw_fd()), token, Interest::READABLE)?;
    Ok(pidfd)
}
