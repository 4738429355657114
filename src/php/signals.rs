//! Signal handling around a fork, and for a hub in the foreground.

/// Blocks all signals and returns the previous mask.
pub fn block_all() -> libc::sigset_t {
    // SAFETY: the calls fill both sets before they are read.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    }
}

/// Sets a mask that [`block_all`] returned.
pub fn restore(mask: &libc::sigset_t) {
    // SAFETY: the kernel filled the mask.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

/// Sets the default action for every signal, then unblocks all.
pub fn reset() {
    // SAFETY: default actions run no code of this process. The system refuses signals that can't be changed.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        restore(&none);
    }
}

/// Runs `code` with the default action for these signals, then restores PHP's handlers. PHP installs handlers even if no
/// script asked for a signal, and they would end the process.
pub fn with_default<R>(signals: &[libc::c_int], code: impl FnOnce() -> R) -> R {
    // SAFETY: the call fills each action before its use, and it is restored for the same signal.
    let before = signals.iter().map(|&signal| unsafe {
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        let mut before: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, &raw const default, &raw mut before);
        (signal, before)
    });
    let before: Vec<_> = before.collect();
    let result = code();
    for (signal, action) in before {
        // SAFETY: as above.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
    result
}
