//! Forking, and what a forked process does first.

use std::io;
use std::os::fd::RawFd;
use std::panic::{self, UnwindSafe};

use rustix::process::Pid;

/// How many threads this process has, of whichever extension or library; `None`: there is no `/proc` to tell.
#[must_use]
pub fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").map(Iterator::count).ok()
}

/// Forks a process that does this work, and nothing of its parent's after it: 0 is its exit code where the work returns
/// true. It keeps these descriptors and the standard output and error, and no other.
///
/// # Safety
/// The calling process has one thread only, or others that hold no lock: none of them is in the child. The work uses no
/// descriptor but those that are kept, and lets go of no other one's owner.
pub(crate) unsafe fn fork(keep: &[RawFd], work: impl FnOnce() -> bool + UnwindSafe) -> io::Result<Pid> {
    // SAFETY: as the only thread, the child may go on as if nothing had happened, see above.
    match unsafe { libc::fork() } {
        0 => {
            let done = panic::catch_unwind(|| {
                // SAFETY: what the parent's frames own is never used here, see above. The standard input may be anything of it.
                let blank = unsafe {
                    close_all_but(&[&[libc::STDOUT_FILENO, libc::STDERR_FILENO], keep].concat());
                    crate::sys::blank(&[libc::STDIN_FILENO])
                };
                blank.is_ok() && work()
            });
            // SAFETY: ends the process without the exit handlers, which belong to its parent.
            unsafe { libc::_exit(i32::from(!matches!(done, Ok(true)))) }
        }
        pid => Pid::from_raw(pid.max(0)).ok_or_else(io::Error::last_os_error),
    }
}

/// Has the system take in this process's children as soon as they end: nobody waits for them.
pub(crate) fn ignore_children() {
    // SAFETY: no handler is given.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Closes all descriptors of this process but these.
///
/// # Safety
/// Nothing uses the others any more, or lets go of their owners: this is for a forked process that never returns to where
/// its parent was.
pub unsafe fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|descriptor| u32::try_from(*descriptor).ok()).collect();
    keep.sort_unstable();
    let mut first = 0;
    for descriptor in keep.iter().copied() {
        // SAFETY: as the caller promises; so below.
        if descriptor > first && !unsafe { close_range(first, descriptor - 1) } {
            // SAFETY: as above.
            return unsafe { close_listed(&keep) };
        }
        first = descriptor + 1;
    }
    // SAFETY: as above.
    unsafe {
        if !close_range(first, u32::MAX) {
            close_listed(&keep);
        }
    }
}

/// # Safety
/// The caller has nothing open there that it still needs.
unsafe fn close_range(first: u32, last: u32) -> bool {
    // SAFETY: see above.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// Before Linux 5.9, or where a filter of system calls doesn't know `close_range`.
///
/// # Safety
/// As for [`close_range`].
unsafe fn close_listed(keep: &[u32]) {
    let Ok(folder) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    for number in numbers.filter(|number| !keep.contains(number)).collect::<Vec<_>>() {
        // SAFETY: as above; the folder's own descriptor is closed already, which this then reports and nothing more.
        unsafe { libc::close(number as RawFd) };
    }
}
