//! The standard streams of a process that has none.

use std::io;
use std::os::fd::RawFd;

/// Makes these descriptors lead nowhere: the numbers of standard streams, which must not become those of a socket or file that
/// is opened later, as a panic is written there. Without `/dev/null`, as in a changed root, they become the root folder, which
/// can be neither read nor written.
///
/// # Safety
/// Nothing may use what is at these numbers any more.
///
/// # Errors
/// If there is no descriptor left for that.
pub unsafe fn blank(descriptors: &[RawFd]) -> io::Result<()> {
    // SAFETY: the paths are NUL-terminated; the rest is the caller's promise.
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
