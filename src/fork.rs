//! Forks the hub's own process.
#![cfg_attr(php_zts, allow(dead_code))]

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use sse_hub::sys;

use crate::{signals, zend};

/// Whether this process has other threads, for example of another extension. A lock that one of them holds during a fork
/// stays locked in the child. Without `/proc` the answer is no: this PHP is not thread-safe.
pub fn has_other_threads() -> bool {
    sys::threads().is_some_and(|count| count > 1)
}

/// Forks the hub, which keeps these descriptors and runs `work`. It does not become a child of this process, so the
/// application's `pcntl_wait()` never returns it.
///
/// # Errors
/// The system's error, or that the process [has other threads](has_other_threads).
pub fn start<const N: usize>(
    descriptors: [OwnedFd; N],
    name: &str,
    work: impl FnOnce([OwnedFd; N]) -> bool + std::panic::UnwindSafe,
) -> std::io::Result<()> {
    if has_other_threads() {
        return Err(std::io::Error::other("the process has several threads"));
    }
    // PHP's signal handlers must not run in the children, so block signals until the handlers are removed.
    let mask = signals::block_all();
    // SAFETY: the process has one thread. The child only forks again, through the C library, which repairs its own state.
    match unsafe { silent_fork() } {
        -1 => {
            let error = std::io::Error::last_os_error();
            signals::restore(&mask);
            Err(error)
        }
        0 => {
            // SAFETY: as above. The new hub calls only what is safe after a fork of a single-threaded process.
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

/// Forks a child without an exit signal, which an ordinary wait does not find. Otherwise the script's SIGCHLD handler
/// would mistake it for one of the script's children.
unsafe fn silent_fork() -> libc::pid_t {
    const NONE: libc::c_ulong = 0;
    // SAFETY: without flags this is a fork, and the other arguments, in any architecture's order, are unused.
    let child = unsafe { libc::syscall(libc::SYS_clone, NONE, NONE, NONE, NONE, NONE) };
    child as libc::pid_t
}

/// Turns this forked copy of a PHP process into the hub. Only these descriptors stay open: an inherited listening socket
/// would keep the server's port in use.
fn become_hub<const N: usize>(
    descriptors: [OwnedFd; N],
    name: &str,
    work: impl FnOnce([OwnedFd; N]) -> bool + std::panic::UnwindSafe,
) -> ! {
    /// The first descriptor after the standard streams.
    const FIRST: i32 = 3;
    let ended = std::panic::catch_unwind(|| {
        signals::reset();
        sys::hide_memory();
        // SAFETY: no PHP code runs in this process any more, and `work` owns copies of the PHP data that it uses.
        unsafe { zend::give_heap_back() };
        let after = FIRST + N as i32;
        let raw = descriptors.map(OwnedFd::into_raw_fd);
        // SAFETY: plain system calls on numbers, and every other descriptor is meant to close. The Rust owners of the
        // originals are all in frames of the parent, which never return here.
        let kept = unsafe {
            libc::setsid();
            libc::umask(0o077);
            libc::chdir(c"/".as_ptr());
            // Duplicate first: in a process with closed standard streams, the descriptors may have their numbers.
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
