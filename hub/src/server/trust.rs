//! Decides from a process's credentials whether the hub serves it.

use std::io;
use std::os::fd::BorrowedFd;

use thiserror::Error;

use crate::config::Config;
use crate::sys::{self, Credentials};

/// Write permission bits: connecting to a Unix socket needs write permission.
const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Why the hub refuses a process.
#[derive(Debug, Error)]
pub(crate) enum Untrusted {
    /// The kernel does not tell its credentials.
    #[error("the hub can't tell who you are: {0}")]
    Unknown(#[from] io::Error),
    /// It runs as another user.
    #[error(
        "this hub belongs to user {own}, and user {user} may not use it; to allow it on purpose, set sse.socket_group to a \
         group of that user and sse.socket_mode to 0660, and restart PHP"
    )]
    Stranger { own: u32, user: u32 },
}

/// The credentials of the process at the other end, or why the hub refuses it. The socket file's mode
/// says the same, but a file may be reachable by several paths, and its mode be changed by mistake.
pub(crate) fn check(config: &Config, socket: BorrowedFd<'_>) -> Result<Credentials, Untrusted> {
    let process = sys::peer_credentials(socket)?;
    let own = rustix::process::geteuid().as_raw();
    let groups = || sys::peer_groups(socket).unwrap_or_default();
    if is_trusted(config, own, process, groups) {
        return Ok(process);
    }
    Err(Untrusted::Stranger { own, user: process.uid })
}

fn is_trusted(config: &Config, own: u32, process: Credentials, groups: impl FnOnce() -> Vec<u32>) -> bool {
    if process.uid == own || process.uid == 0 || config.socket_mode & OTHERS_WRITE != 0 {
        return true;
    }
    match config.socket_group {
        Some(group) if config.socket_mode & GROUP_WRITE != 0 => process.gid == group || groups().contains(&group),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(mode: u32, group: Option<u32>, uid: u32, gid: u32, groups: &[u32]) -> bool {
        let config = Config { socket_mode: mode, socket_group: group, ..crate::testing::config("/nowhere".into()) };
        is_trusted(&config, 33, Credentials { pid: 1, uid, gid }, || groups.to_vec())
    }

    #[test]
    fn the_hubs_user_and_root_may() {
        assert!(trusted(0o600, None, 33, 33, &[]));
        assert!(trusted(0o600, None, 0, 0, &[]));
        assert!(!trusted(0o600, None, 1000, 33, &[33]));
    }

    #[test]
    fn a_group_may_if_both_settings_say_so() {
        assert!(trusted(0o660, Some(50), 1000, 50, &[]));
        assert!(trusted(0o660, Some(50), 1000, 1000, &[4, 50]));
        assert!(!trusted(0o660, Some(50), 1000, 1000, &[4]));
        assert!(!trusted(0o600, Some(50), 1000, 50, &[50]));
        assert!(!trusted(0o660, None, 1000, 33, &[33]));
    }

    #[test]
    fn all_may_if_the_mode_says_so() {
        assert!(trusted(0o666, None, 1000, 1000, &[]));
    }

    #[test]
    fn the_system_tells_who_is_at_the_other_end() {
        let (near, _far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let found = check(&crate::testing::config("/nowhere".into()), std::os::fd::AsFd::as_fd(&near)).expect("own");
        assert_eq!(u32::try_from(found.pid), Ok(std::process::id()));
    }
}
