//! Descriptors that the SAPI owns, by their numbers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use rustix::io::{Errno, FdFlags};
use rustix::net::{SocketAddrAny, SocketType, sockopt};

/// Where `tcpi_bytes_acked` is in the kernel's `struct tcp_info` (`linux/tcp.h`, since 4.1), counted in its 8 bytes.
const ACKNOWLEDGED: usize = 15;

/// A descriptor of this process, from the SAPI's own record of the request or from the kernel's list. Nothing here closes it,
/// and a question about one that is closed meanwhile is answered by the kernel with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor(RawFd);

impl Descriptor {
    /// The standard output.
    pub const OUTPUT: Self = Self(libc::STDOUT_FILENO);

    /// A descriptor that the SAPI says it has. `None` for what can be none, or only a standard stream.
    pub(super) fn of_sapi(number: RawFd) -> Option<Self> {
        (number > libc::STDERR_FILENO).then_some(Self(number))
    }

    /// Like [`of_sapi`](Self::of_sapi), for a socket that listens: FPM's may have the number of a standard stream.
    pub(super) fn of_listener(number: RawFd) -> Option<Self> {
        (number >= 0).then_some(Self(number))
    }

    /// All descriptors of this process but the standard streams, among them one that is closed again.
    ///
    /// # Errors
    /// The system does not list them.
    pub fn all() -> io::Result<Vec<Self>> {
        let folder = std::fs::read_dir("/proc/self/fd")?;
        let numbers = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Ok(numbers.filter_map(Self::of_sapi).collect())
    }

    /// Lends it for system calls. The SAPI keeps the descriptors of a request open as long as it runs, which is longer than
    /// any use in this extension.
    pub fn lend(&self) -> BorrowedFd<'_> {
        // SAFETY: see above; the number is never -1.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }

    /// The other end's address, if it is a socket that is connected.
    ///
    /// # Errors
    /// The system's.
    pub fn peer(self) -> Result<Option<SocketAddrAny>, Errno> {
        rustix::net::getpeername(self.lend())
    }

    /// This end's address, if it is a socket.
    ///
    /// # Errors
    /// The system's.
    pub fn name(self) -> Result<SocketAddrAny, Errno> {
        rustix::net::getsockname(self.lend())
    }

    /// Whether it is a stream socket.
    pub fn is_stream(self) -> bool {
        sockopt::socket_type(self.lend()) == Ok(SocketType::STREAM)
    }

    /// Whether it is a socket that listens. `None` if it is no socket.
    pub fn listens(self) -> Option<bool> {
        sockopt::socket_acceptconn(self.lend()).ok()
    }

    /// Closes it in programs that this process starts from here on.
    pub fn close_on_exec(self) {
        // It may be closed, then there is nothing to do.
        let _ = rustix::io::fcntl_setfd(self.lend(), FdFlags::CLOEXEC);
    }

    /// Puts another file in its place. The SAPI goes on owning the number.
    ///
    /// # Errors
    /// The system's; nothing has changed then.
    pub fn replace(self, by: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: dup3 atomically replaces what the SAPI owns, and no Rust value owns this number.
        let replaced = unsafe { libc::dup3(by.as_raw_fd(), self.0, libc::O_CLOEXEC) };
        if replaced < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The bytes that the other end of a TCP connection has acknowledged so far. `None` if the kernel does not tell.
    pub fn acknowledged(self) -> Option<u64> {
        let mut info = [0_u64; 64];
        let mut length = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes there, and says how many.
        let status = unsafe {
            let into = info.as_mut_ptr().cast();
            libc::getsockopt(self.0, libc::IPPROTO_TCP, libc::TCP_INFO, into, &raw mut length)
        };
        let known = length as usize / size_of::<u64>();
        info.get(..known).filter(|_| status == 0)?.get(ACKNOWLEDGED).copied()
    }

    /// The bytes that were written to a TCP connection and are not acknowledged yet. `None` if the kernel does not tell.
    pub fn unacknowledged(self) -> Option<u64> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: SIOCOUTQ, which has the number of TIOCOUTQ, writes a number there.
        let status = unsafe { libc::ioctl(self.0, libc::TIOCOUTQ, &raw mut bytes) };
        if status == 0 { u64::try_from(bytes).ok() } else { None }
    }
}
