//! The limit of this process's descriptors, also where a container refuses `prlimit64`. (rustix takes that call to never fail
//! and then reads what nobody wrote; the C library has no other way either.)

use std::io;
use std::ptr;

/// The calls before `prlimit64`: the one that tells the limits, and the one that sets them. Other systems lack them, or have numbers
/// of 32 bits in them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const OLDER: Option<[libc::c_long; 2]> = Some([libc::SYS_getrlimit, libc::SYS_setrlimit]);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OLDER: Option<[libc::c_long; 2]> = None;

/// The soft and the hard limit.
///
/// # Errors
/// If the system refuses all calls that tell it.
pub(crate) fn limit() -> io::Result<libc::rlimit64> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let none = ptr::null::<libc::rlimit64>();
    // SAFETY: the calls only write the structure. `prlimit64` has this layout on every system, `OLDER` where there is one.
    let told = unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, none, &raw mut limit) == 0
            || OLDER.is_some_and(|[get, _]| libc::syscall(get, libc::RLIMIT_NOFILE, &raw mut limit) == 0)
    };
    if told { Ok(limit) } else { Err(io::Error::last_os_error()) }
}

/// Sets the limits.
///
/// # Errors
/// If the system refuses it.
pub(crate) fn set_limit(limit: libc::rlimit64) -> io::Result<()> {
    let none = ptr::null_mut::<libc::rlimit64>();
    // SAFETY: the calls only read the structure, whose layout is as above.
    let set = unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &raw const limit, none) == 0
            || OLDER.is_some_and(|[_, set]| libc::syscall(set, libc::RLIMIT_NOFILE, &raw const limit) == 0)
    };
    if set { Ok(()) } else { Err(io::Error::last_os_error()) }
}
