//! Replaces standard streams that a process must not use.

use std::io;
use std::os::fd::RawFd;

/// Points these descriptors to `/dev/null`. They are the numbers of standard streams: a socket or file opened later must not
/// get one, as panics are written there. Without `/dev/null`, as in a chroot, they become the root folder, which can be neither
/// read nor written.
///
/// # Safety
/// Nothing uses these descriptors any more.
///
/// # Errors
/// No descriptor is left.
pub unsafe fn blank(descriptors: &[RawFd]) -> io::Result<()> {
    // SAFETY: the paths are NUL-terminated; the caller promises the rest.
    unsafe {
        let mut nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        if nothing < 0 {
            nothing = libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_DIRECTORY);
        }
        for &descriptor in descriptors {
            if nothing < 0 || (nothing != descriptor && libc::dup2(nothing, descriptor) < 0) {
                return Err(io::Error::last_os_error());
            }
        }
        if nothing > libc::STDERR_FILENO {
            libc::close(nothing);
        }
    }
    Ok(())
}
