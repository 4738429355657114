//! Signals around a fork, and around a hub in the foreground.

/// Blocks all signals and returns the mask that was set.
pub fn block_all() -> libc::sigset_t {
    // SAFETY: both sets are filled by the calls before they are read.
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
    // SAFETY: the mask was filled by the kernel.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

/// Gives every signal its default action, then lets all through.
pub fn reset() {
    // SAFETY: default actions need no code of this process; numbers that can't be set are refused.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        restore(&none);
    }
}

/// Runs `code` with the default action for these signals, and gives them back to PHP's own handlers afterwards. PHP's are
/// in place even where no script has asked for a signal, and would end the process.
pub fn with_default<R>(signals: &[libc::c_int], code: impl FnOnce() -> R) -> R {
    // SAFETY: each action is filled by the call before it is used, and is set again for the signal that it came from.
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
