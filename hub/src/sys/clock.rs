//! The system's clocks, as the C library tells them: rustix looks for the kernel's own code for that, which is not where the
//! kernel says it is in a process that valgrind runs.

use std::time::Duration;

/// A clock that all processes of this machine share.
pub(crate) fn monotonic() -> Duration {
    of(libc::CLOCK_MONOTONIC)
}

/// The processor's time that the calling thread has had so far.
pub(crate) fn of_thread() -> Duration {
    of(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn of(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call. Where it fails, which these clocks don't, the time stays 0.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), u32::try_from(now.tv_nsec).unwrap_or_default())
}
