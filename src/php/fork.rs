//! Forks the hub's own process out of one of PHP.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use sse_hub::sys;

use super::{signals, zend};

/// What a new process says to the one that has forked it, through a pipe.
pub trait ForkReport: From<OwnedFd> {
    /// It can't start, because of a system call.
    fn failed(&self, what: &str, error: &std::io::Error);
}

/// Whether this process has other threads, for example of another extension. A lock that one of them holds during a fork
/// stays locked in the child. Without `/proc` the answer is no, but in a thread-safe PHP yes: its server may have any number.
pub fn has_other_threads() -> bool {
    sys::threads().map_or(cfg!(php_zts), |count| count > 1)
}

/// Forks the hub, which keeps these descriptors and runs `work`; returns where its report comes from. It does not become a child
/// of this process, so the application's `pcntl_wait()` never returns it.
///
/// # Errors
/// The system's error, or that the process [has other threads](has_other_threads).
pub fn start<const N: usize, R: ForkReport>(
    descriptors: [OwnedFd; N],
    name: &str,
    work: impl FnOnce([OwnedFd; N], R) -> bool + std::panic::UnwindSafe,
) -> std::io::Result<OwnedFd> {
    if has_other_threads() {
        return Err(std::io::Error::other("the process has several threads"));
    }
    let (said, report) = std::io::pipe()?;
    let (said, report) = (OwnedFd::from(said), OwnedFd::from(report));
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
                0 => become_hub(descriptors, report, name, work),
                pid => {
                    let error = if pid < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(1) } else { 0 };
                    // SAFETY: ends this child at once, without PHP's exit handlers.
                    unsafe { libc::_exit(error) }
                }
            }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child made above, which ends at once.
            while unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) } < 0
                && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
            {}
            signals::restore(&mask);
            match status {
                0 => Ok(said),
                _ if libc::WIFEXITED(status) => Err(std::io::Error::from_raw_os_error(libc::WEXITSTATUS(status))),
                _ => Err(std::io::Error::other("the process that was to fork it was killed")),
            }
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
fn become_hub<const N: usize, R: ForkReport>(
    descriptors: [OwnedFd; N],
    report: OwnedFd,
    name: &str,
    work: impl FnOnce([OwnedFd; N], R) -> bool + std::panic::UnwindSafe,
) -> ! {
    /// The first descriptors after the standard streams.
    const REPORT: i32 = 3;
    const FIRST: i32 = 4;
    let ended = std::panic::catch_unwind(|| {
        signals::reset();
        sys::hide_memory();
        // SAFETY: no PHP code runs in this process any more, and `work` owns copies of the PHP data that it uses.
        unsafe { zend::give_heap_back() };
        let after = FIRST + N as i32;
        let (raw, report) = (descriptors.map(OwnedFd::into_raw_fd), report.into_raw_fd());
        // SAFETY: plain system calls on numbers, and every other descriptor is meant to close. The Rust owners of the
        // originals are all in frames of the parent, which never return here.
        let (kept, report) = unsafe {
            libc::setsid();
            libc::umask(0o077);
            libc::chdir(c"/".as_ptr());
            // Duplicate first: in a process with closed standard streams, the descriptors may have their numbers.
            let report = libc::fcntl(report, libc::F_DUPFD, after);
            let raw = raw.map(|raw| libc::fcntl(raw, libc::F_DUPFD, after));
            if report < 0 || libc::dup2(report, REPORT) < 0 {
                libc::_exit(1);
            }
            libc::fcntl(REPORT, libc::F_SETFD, libc::FD_CLOEXEC);
            let report = R::from(OwnedFd::from_raw_fd(REPORT));
            let failed = |what, error| {
                report.failed(what, &error);
                libc::_exit(1)
            };
            if let Err(error) = sys::blank(&[libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO]) {
                failed("opening /dev/null", error);
            }
            for (number, raw) in (FIRST..).zip(raw) {
                if raw < 0 || libc::dup2(raw, number) < 0 {
                    failed("keeping its descriptors", std::io::Error::last_os_error());
                }
                libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            sys::close_all_but(&(0..after).collect::<Vec<_>>());
            (std::array::from_fn(|nth| OwnedFd::from_raw_fd(FIRST + nth as i32)), report)
        };
        sys::set_title(name);
        work(kept, report)
    });
    // SAFETY: ends the process without PHP's exit handlers, which belong to its parent.
    unsafe { libc::_exit(i32::from(!matches!(ended, Ok(true)))) }
}
