//! Forks processes, and closes what a child must not inherit.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{self, AssertUnwindSafe, UnwindSafe};
use std::path::Path;

use rustix::process::Pid;
use rustix::rand::GetRandomFlags;

/// Number of threads of this process, including those of extensions and libraries; `None` without `/proc`.
#[must_use]
pub fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").map(Iterator::count).ok()
}

/// Forks a child that runs `work` and exits, with code 0 if `work` returns true and 1 otherwise. The child has `socket`, the
/// descriptor `log`, the standard output and error, and no others.
///
/// The child has one thread. A lock that another thread of the caller holds at this moment stays locked there, so a caller
/// with other threads must know that they hold none: see `may_fork` in `config/mod.rs`.
pub(crate) fn fork_worker<T: Copy + 'static>(
    socket: OwnedFd,
    log: Option<RawFd>,
    context: T,
    work: fn(OwnedFd, T) -> bool,
) -> io::Result<Pid> {
    let keep: Vec<_> = [socket.as_raw_fd()].into_iter().chain(log).collect();
    // SAFETY: `work` captures nothing, and what it gets owns no descriptor but `socket`, which is kept. The other threads hold
    // no lock that the child needs; otherwise it would wait for ever, and do no harm.
    unsafe { fork(&keep, AssertUnwindSafe(move || work(socket, context))) }
}

/// Forks a child that runs `work` and exits, with code 0 if `work` returns true and 1 otherwise. The child keeps the
/// descriptors `keep`, the standard output and error, and no others.
///
/// # Safety
/// The calling process has one thread only, or others that hold no lock: none of them is in the child. `work` uses no
/// descriptor but those kept, and drops no owner of another one.
unsafe fn fork(keep: &[RawFd], work: impl FnOnce() -> bool + UnwindSafe) -> io::Result<Pid> {
    // SAFETY: the caller promises that no other thread holds a lock, so the child may continue.
    match unsafe { libc::fork() } {
        0 => {
            let done = panic::catch_unwind(|| {
                // SAFETY: the child never uses what the parent's frames own, see above. The standard input may be any of that.
                let blank = unsafe {
                    close_all_but(&[&[libc::STDOUT_FILENO, libc::STDERR_FILENO], keep].concat());
                    crate::sys::blank(&[libc::STDIN_FILENO])
                };
                blank.is_ok() && work()
            });
            // SAFETY: ends the process without the exit handlers, which belong to the parent.
            unsafe { libc::_exit(i32::from(!matches!(done, Ok(true)))) }
        }
        pid => Pid::from_raw(pid.max(0)).ok_or_else(io::Error::last_os_error),
    }
}

/// Makes the kernel reap the children of this process as soon as they end: nobody waits for them.
pub(crate) fn ignore_children() {
    // SAFETY: no handler is given.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Closes all descriptors of this process except `keep`, and except those that the standard library may read by their numbers
/// (`random_device`).
///
/// # Safety
/// Nothing uses the others any more, or drops their owners: this is for a forked child that never returns to its parent's code.
pub unsafe fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|descriptor| u32::try_from(*descriptor).ok()).collect();
    keep.extend(random_device());
    keep.sort_unstable();
    let mut first = 0;
    for descriptor in keep.iter().copied() {
        // SAFETY: the caller promises that nothing uses these any more.
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
/// The caller needs no descriptor in this range any more.
unsafe fn close_range(first: u32, last: u32) -> bool {
    // SAFETY: as the caller promises; no pointers are involved.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// Closes descriptors one by one: before Linux 5.9, or where a seccomp filter doesn't know `close_range`.
///
/// # Safety
/// As for [`close_range`].
unsafe fn close_listed(keep: &[u32]) {
    for number in open_descriptors().filter(|number| !keep.contains(number)).collect::<Vec<_>>() {
        // SAFETY: as above; the folder's own descriptor is closed already, so `close` reports an error and does nothing.
        unsafe { libc::close(number as RawFd) };
    }
}

/// The descriptors of the kernel's random device where the system refuses `getrandom`: the standard library opens it once, and
/// each new thread reads it by the number that it had then.
fn random_device() -> Vec<u32> {
    match rustix::rand::getrandom(&mut [0_u8; 1], GetRandomFlags::NONBLOCK) {
        Ok(_) => Vec::new(),
        Err(_) => open_descriptors().filter(is_random_device).collect(),
    }
}

fn is_random_device(number: &u32) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok_and(|target| target == Path::new("/dev/urandom"))
}

/// The numbers of this process's descriptors, among them one that is closed with the iterator.
fn open_descriptors() -> impl Iterator<Item = u32> {
    let folder = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
