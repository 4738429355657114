//! The hub's own process.
#![cfg_attr(php_zts, allow(dead_code))]

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use sse_hub::sys;

use crate::{signals, zend};

/// Whether this process has threads, of another extension say, that could hold a lock while it forks: that would stay locked
/// in the child. Where there is no `/proc` to tell, it has not: this PHP is not thread-safe.
pub fn has_other_threads() -> bool {
    sys::threads().is_some_and(|count| count > 1)
}

/// Forks the hub, which keeps these descriptors and does this work. It becomes no child of this process, so that the
/// application's own `pcntl_wait()` never meets it.
///
/// # Errors
/// Of the system, or if the process [has other threads](has_other_threads).
pub fn start<const N: usize>(
    descriptors: [OwnedFd; N],
    name: &str,
    work: impl FnOnce([OwnedFd; N]) -> bool + std::panic::UnwindSafe,
) -> std::io::Result<()> {
    if has_other_threads() {
        return Err(std::io::Error::other("the process has several threads"));
    }
    // No handler of PHP may run in the children: signals wait until they have none left.
    let mask = signals::block_all();
    // SAFETY: the process has one thread. The child does nothing but fork once more, and then as the C library does it, which
    // puts its own state right.
    match unsafe { silent_fork() } {
        -1 => {
            let error = std::io::Error::last_os_error();
            signals::restore(&mask);
            Err(error)
        }
        0 => {
            // SAFETY: as above; the new hub only calls what is safe after a fork where there is one thread.
            match unsafe { libc::fork() } {
                0 => become_hub(descriptors, name, work),
                // SAFETY: ends this child at once, without PHP's exit handlers.
                pid => unsafe { libc::_exit(i32::from(pid < 0)) },
            }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child made above, which ends at once.
            while unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) } < 0
                && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
            {}
            signals::restore(&mask);
            if status == 0 { Ok(()) } else { Err(std::io::Error::other("the second fork failed")) }
        }
    }
}

/// Forks a child whose end is told by no signal, and which no wait finds that does not ask for such: a handler of the script for
/// SIGCHLD would take it for the end of one of its own children, and wait for that.
unsafe fn silent_fork() -> libc::pid_t {
    const NONE: libc::c_ulong = 0;
    // SAFETY: without flags it is a fork, and all else that systems have for arguments, in whatever order, is not looked at.
    let child = unsafe { libc::syscall(libc::SYS_clone, NONE, NONE, NONE, NONE, NONE) };
    child as libc::pid_t
}

/// Turns this forked copy of a PHP process into the hub. Nothing of its parent stays open but these descriptors: a listening
/// socket kept here would keep the server's port taken.
fn become_hub<const N: usize>(
    descriptors: [OwnedFd; N],
    name: &str,
    work: impl FnOnce([OwnedFd; N]) -> bool + std::panic::UnwindSafe,
) -> ! {
    /// The first number after the standard streams.
    const FIRST: i32 = 3;
    let ended = std::panic::catch_unwind(|| {
        signals::reset();
        sys::hide_memory();
        // SAFETY: nothing of PHP runs in this process any more, and what the work has of it are copies of its own.
        unsafe { zend::give_heap_back() };
        let after = FIRST + N as i32;
        let raw = descriptors.map(OwnedFd::into_raw_fd);
        // SAFETY: plain system calls on numbers; every other descriptor is meant to go. The originals' Rust owners are all
        // in frames of the parent, which never return here.
        let kept = unsafe {
            libc::setsid();
            libc::umask(0o077);
            libc::chdir(c"/".as_ptr());
            // Out of the way first: in a process that has closed its standard streams they have numbers of those.
            let raw = raw.map(|raw| libc::fcntl(raw, libc::F_DUPFD, after));
            if sys::blank(&[libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO]).is_err() {
                libc::_exit(1);
            }
            for (number, raw) in (FIRST..).zip(raw) {
                if raw < 0 || libc::dup2(raw, number) < 0 {
                    libc::_exit(1);
                }
                libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            sys::close_all_but(&(0..after).collect::<Vec<_>>());
            std::array::from_fn(|nth| OwnedFd::from_raw_fd(FIRST + nth as i32))
        };
        sys::set_title(name);
        work(kept)
    });
    // SAFETY: ends the process without PHP's exit handlers, which belong to its parent.
    unsafe { libc::_exit(i32::from(!matches!(ended, Ok(true)))) }
}
