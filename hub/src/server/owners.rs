//! The processes whose end is the end of the hub.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::process::{Pid, PidfdFlags};
use tracing::{debug, info, warn};

/// The owners that live. They are watched by pidfd, so that a number which the system gives again can't be mistaken.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    by_pid: HashMap<u32, OwnedFd>,
    had_any: bool,
    /// One that can't be watched was warned of; every worker may bring it up again.
    told: bool,
}

impl Owners {
    /// Watches a process, if it lives and is not watched yet. Its number has to fit the token.
    pub(crate) fn add(&mut self, pid: u32, token: Token, registry: &Registry) {
        if self.by_pid.contains_key(&pid) {
            return;
        }
        match watch(pid, token, registry) {
            Ok(pidfd) => {
                self.by_pid.insert(pid, pidfd);
                self.had_any = true;
            }
            // It may have ended just now; the hub then ends when it is idle.
            Err(error) if self.told => debug!(owner = pid, %error, "an owner can't be watched"),
            Err(error) => {
                self.told = true;
                warn!(owner = pid, %error, "an owner can't be watched; the hub will not end with it");
            }
        }
    }

    /// As they are passed to another hub: whether there have been any, and those that live.
    pub(crate) fn state(&self) -> (bool, impl Iterator<Item = (u32, BorrowedFd<'_>)>) {
        (self.had_any, self.by_pid.iter().map(|(pid, pidfd)| (*pid, pidfd.as_fd())))
    }

    /// Watches a process that another hub has watched.
    pub(crate) fn adopt(&mut self, pid: u32, pidfd: OwnedFd, token: Token, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&pidfd.as_raw_fd()), token, Interest::READABLE)?;
        self.by_pid.insert(pid, pidfd);
        Ok(())
    }

    /// Whether there have been any in another hub.
    pub(crate) fn inherit(&mut self, had_any: bool) {
        self.had_any = had_any;
    }

    /// A watched process has ended.
    pub(crate) fn ended(&mut self, pid: u32, registry: &Registry) {
        if let Some(pidfd) = self.by_pid.remove(&pid) {
            let _ = registry.deregister(&mut SourceFd(&pidfd.as_raw_fd()));
            info!(owner = pid, left = self.by_pid.len(), "an owner has ended");
        }
    }

    /// There were owners, and all have ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.had_any && self.by_pid.is_empty()
    }

    /// There are owners.
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
