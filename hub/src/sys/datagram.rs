//! Unix datagrams with their senders' credentials.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::{Credentials, check, socklen};

/// Makes the kernel report who sends what this socket receives (SO_PASSCRED).
pub(crate) fn tell_senders(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option is an int, which is valid for the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            (&raw const on).cast(),
            socklen::<libc::c_int>(1),
        )
    })
}

/// Receives a datagram without blocking, cut to the buffer, and its sender. rustix can't express the process id 0.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<Credentials>)> {
    // Aligned as the CMSG macros need it. There is no room for descriptors, so the kernel closes those that are sent along.
    let mut control = [0_u64; 8];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeros are a valid header; what it points to lives for the calls, and is as long as it says. The kernel writes
    // whole control messages, which are read within their length, and any bytes are a valid ucred.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(size_of::<libc::ucred>() as u32) as _;
        let count = libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC);
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        let is_sender = !message.is_null()
            && ((*message).cmsg_level, (*message).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS)
            && (*message).cmsg_len as usize >= libc::CMSG_LEN(size_of::<libc::ucred>() as u32) as usize;
        let sender = is_sender.then(|| {
            let libc::ucred { pid, uid, gid } = libc::CMSG_DATA(message).cast::<libc::ucred>().read_unaligned();
            Credentials { pid, uid, gid }
        });
        Ok((count, sender))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn the_system_tells_who_has_sent_a_datagram() {
        let (near, far) = UnixDatagram::pair().expect("a pair");
        tell_senders(near.as_fd()).expect("the system tells");
        far.send(b"WAKEUP").expect("sent");
        let mut buffer = [0; 4];
        let (count, sender) = receive(near.as_fd(), &mut buffer).expect("received");
        assert_eq!((count, &buffer), (4, b"WAKE"));
        let sender = sender.expect("somebody");
        assert_eq!(u32::try_from(sender.pid), Ok(std::process::id()));
        assert_eq!(sender.uid, rustix::process::geteuid().as_raw());
        let error = receive(near.as_fd(), &mut buffer).expect_err("nothing more");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
