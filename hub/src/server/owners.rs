//! The owners: processes whose end ends the hub.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::process::{Pid, PidfdFlags};
use serde_bytes::ByteBuf;
use tracing::{debug, info, warn};

use crate::sys::processes::{self, ProcessStat, ProcessStatus};

/// How much of a title is compared.
const TITLE_BYTES: u64 = 4096;

/// A living owner. A pidfd identifies it, because the system reuses process ids.
#[derive(Debug)]
struct Owner {
    pidfd: OwnedFd,
    /// Its command line, which also is the title that it has given itself; empty if it can't be read.
    title: ByteBuf,
}

/// An owner in an upgrade: its process, and its title before a reload that may be under way.
pub(crate) type OwnerState = (u32, ByteBuf);

/// The living owners.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    by_pid: HashMap<u32, Owner>,
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
                self.by_pid.insert(pid, Owner { pidfd, title: title(pid) });
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
    pub(crate) fn state(&self) -> (bool, impl Iterator<Item = (OwnerState, BorrowedFd<'_>)>) {
        (self.had_any, self.by_pid.iter().map(|(pid, owner)| ((*pid, owner.title.clone()), owner.pidfd.as_fd())))
    }

    /// Watches an owner that the old hub watched.
    pub(crate) fn adopt(
        &mut self,
        (pid, title): OwnerState,
        pidfd: OwnedFd,
        token: Token,
        registry: &Registry,
    ) -> io::Result<()> {
        registry.register(&mut SourceFd(&pidfd.as_raw_fd()), token, Interest::READABLE)?;
        self.by_pid.insert(pid, Owner { pidfd, title });
        Ok(())
    }

    /// Restores from an upgrade whether there was any owner.
    pub(crate) fn inherit(&mut self, had_any: bool) {
        self.had_any = had_any;
    }

    /// Removes an owner that has ended. If it was the last one, the process that it has become, if any, is the next:
    /// PHP-FPM with `daemonize = yes` is another process after each reload.
    pub(crate) fn ended(&mut self, pid: u32, token_of: impl Fn(u32) -> Token, registry: &Registry) {
        let Some(owner) = self.by_pid.remove(&pid) else { return };
        let _ = registry.deregister(&mut SourceFd(&owner.pidfd.as_raw_fd()));
        info!(owner = pid, left = self.by_pid.len(), "an owner has ended");
        if self.by_pid.is_empty()
            && let Some(next) = daemon_titled(&owner.title, may_own)
        {
            info!(owner = next, "it goes on as another process");
            self.add(next, token_of(next), registry);
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

/// `/proc/PID/cmdline`, its first bytes. PHP-FPM's names its configuration file, so that no two masters have the same.
fn title(pid: u32) -> ByteBuf {
    let mut title = ByteBuf::new();
    match File::open(format!("/proc/{pid}/cmdline")).and_then(|file| file.take(TITLE_BYTES).read_to_end(&mut title)) {
        Ok(_) => title,
        Err(_) => ByteBuf::new(),
    }
}

/// A daemon of this title, of a user that may have one. A daemon leads a session of its own, as a server's workers don't, which may
/// outlive it for a moment.
fn daemon_titled(wanted: &[u8], may_own: impl Fn(u32) -> bool) -> Option<u32> {
    if wanted.is_empty() {
        return None;
    }
    let user = |pid: u32| ProcessStatus::of(pid)?.user();
    let mut daemons = processes::ids().filter(|pid| leads_session(*pid) && user(*pid).is_some_and(&may_own));
    daemons.find(|pid| *title(*pid) == wanted)
}

/// Whether a server of this user is one that the hub ends with. Anybody may give a process any title, and none of the machine's
/// other users is to keep the hub and its streams alive.
fn may_own(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

/// Whether a process leads a session: fields 1 and 6 of `/proc/PID/stat`. rustix's getsid() can't tell of one that was begun outside
/// of this process's container: the system says 0, which is no process id.
fn leads_session(pid: u32) -> bool {
    ProcessStat::of(pid).and_then(|stat| stat.number(6)) == Some(pid)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// Attack: a neighbour on the host gives a process the title of the server that has ended.
    #[test]
    fn a_server_of_another_user_is_not_followed() {
        let seconds = (2_000_000 + std::process::id()).to_string();
        let mut daemon = Command::new("setsid").args(["sleep", &seconds]).spawn().expect("setsid runs");
        let wanted = format!("sleep\0{seconds}\0").into_bytes();
        let until = Instant::now() + Duration::from_secs(30);
        while *title(daemon.id()) != wanted && Instant::now() < until {
            std::thread::yield_now();
        }
        let own = rustix::process::getuid().as_raw();
        let found = [daemon_titled(&wanted, |user| user != own), daemon_titled(&wanted, may_own)];
        daemon.kill().expect("own child");
        daemon.wait().expect("own child");
        assert_eq!(found, [None, Some(daemon.id())]);
        assert!(may_own(0) && may_own(own) && !may_own(own + 1));
    }
}
