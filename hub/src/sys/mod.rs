//! System calls that rustix lacks: the only unsafe code of this crate.
#![allow(unsafe_code)]

pub(crate) mod clock;
#[cfg(test)]
pub(crate) mod counting;
pub(crate) mod datagram;
pub(crate) mod descriptors;
pub(crate) mod fork;
pub(crate) mod heap;
pub mod processes;
pub(crate) mod shared;
pub(crate) mod stdio;
pub(crate) mod title;

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

pub use crate::sys::fork::{close_all_but, threads};
pub(crate) use crate::sys::fork::{fork_worker, ignore_children};
pub(crate) use crate::sys::shared::counters;
pub use crate::sys::stdio::blank;
pub use crate::sys::title::set_title;

/// Bytes that may stay free at the end of an arena, and from which on a block is returned by itself: the allocator's initial values.
#[cfg(target_env = "gnu")]
const MOST_FREE: libc::c_int = 128 << 10;

/// Number of a group by its name, from the system's user database.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    let mut buffer = vec![0 as c_char; 16 * 1024];
    // SAFETY: an all-zero group is a valid value of that C structure; it is only read after the call has filled it.
    let mut group: libc::group = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call, and the length is that of the buffer.
    let status =
        unsafe { libc::getgrnam_r(name.as_ptr(), &raw mut group, buffer.as_mut_ptr(), buffer.len(), &raw mut found) };
    (status == 0 && !found.is_null()).then_some(group.gr_gid)
}

/// Credentials of the process at the other end of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Process id; 0 if the process is in a PID namespace that is not visible from here.
    pub(crate) pid: i32,
    /// Effective user id.
    pub(crate) uid: u32,
    /// Effective group id.
    pub(crate) gid: u32,
}

/// Credentials of the other end (SO_PEERCRED). rustix has it too, but can't express the process id 0.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = socklen::<libc::ucred>(1);
    // SAFETY: `found` is valid for `size` bytes, and any bytes are a valid ucred.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut size,
        )
    };
    check(status)?;
    Ok(Credentials { pid: found.pid, uid: found.uid, gid: found.gid })
}

/// Supplementary groups of the process at the other end of a Unix socket (SO_PEERGROUPS).
pub(crate) fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        let mut size = socklen::<u32>(groups.len());
        // SAFETY: `groups` is valid for `size` bytes; the kernel writes whole group numbers into it.
        let status = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        let count = size as usize / size_of::<u32>();
        match check(status) {
            Ok(()) => {
                groups.truncate(count);
                return Ok(groups);
            }
            // The kernel has set `size` to what is needed.
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && count > groups.len() => groups.resize(count, 0),
            Err(error) => return Err(error),
        }
    }
}

/// Number of datagrams that the kernel has dropped on a socket so far, modulo 2³² (SO_MEMINFO, Linux 4.12).
///
/// SO_RXQ_OVFL reports it with each datagram, as of when that was queued: drops after the last datagram that fitted would stay
/// unknown until another one comes.
pub(crate) fn dropped_datagrams(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = [0_u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut size = socklen::<u32>(info.len());
    // SAFETY: `info` is valid for `size` bytes, and any bytes are valid numbers.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut size,
        )
    })?;
    Ok(info[libc::SK_MEMINFO_DROPS as usize])
}

/// Closes this process's memory to all other processes of its user, since it holds everybody's events and requests. Root and
/// the process itself still have access; an exec undoes it.
pub fn hide_memory() {
    // SAFETY: no pointers are involved. The call can't fail for these arguments.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}

/// Blocks all signals of the calling thread, and of those it starts, until dropped.
#[derive(Debug)]
pub(crate) struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    /// Blocks all signals.
    pub(crate) fn new() -> Self {
        // SAFETY: an all-zero set is valid to be filled by sigfillset; the pointers are valid for the calls, which can
        // only fail for a wrong first argument.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self { before }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: `before` is the set that pthread_sigmask returned; the old set is not requested.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// Unblocks these signals for the calling thread, whatever the thread that started it had blocked.
pub(crate) fn unblock_signals(signals: &[libc::c_int]) {
    // SAFETY: an all-zero set is valid to be emptied by sigemptyset; the pointers are valid for the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

fn socklen<T>(count: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(count * size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Limits the free memory that the allocator keeps at the end of each of its arenas, which no trim returns unless the arena is the
/// main one. By default the limit grows to twice the largest block ever freed, up to 64 MiB an arena.
pub(crate) fn limit_free_memory() {
    // SAFETY: no pointers are involved; what can't be set stays as it is.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, MOST_FREE);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MOST_FREE);
    }
}

/// Returns the allocator's free memory to the system.
pub(crate) fn trim_memory() {
    // Other C libraries return it by themselves, or not at all.
    // SAFETY: no pointers are involved; memory in use stays as it is.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_groups_of_the_other_end_are_this_processs_own() {
        let (near, _far) = UnixStream::pair().expect("a pair");
        let mut found = peer_groups(near.as_fd()).expect("the kernel tells");
        let own = rustix::process::getgroups().expect("the kernel tells");
        let mut own: Vec<u32> = own.into_iter().map(rustix::process::Gid::as_raw).collect();
        found.sort_unstable();
        own.sort_unstable();
        assert_eq!(found, own);
    }

    #[test]
    fn signals_are_blocked_until_the_guard_is_dropped() {
        let blocked = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("the kernel tells");
            let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).expect("a mask");
            u64::from_str_radix(mask, 16).expect("hex")
        };
        let (before, hangup, term) = (blocked(), 1 << (libc::SIGHUP - 1), 1 << (libc::SIGTERM - 1));
        let guard = BlockedSignals::new();
        assert_eq!(blocked() & (hangup | term), hangup | term);
        unblock_signals(&[libc::SIGTERM]);
        assert_eq!(blocked() & (hangup | term), hangup);
        drop(guard);
        assert_eq!(blocked(), before);
    }

    #[test]
    fn an_unknown_group_has_no_number() {
        assert_eq!(group_id("root"), Some(0));
        assert_eq!(group_id("there is no such group"), None);
        assert_eq!(group_id("nul\0"), None);
    }
}
