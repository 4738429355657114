//! A shard process's end of the socket pair: receives messages and their descriptors.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};

use crate::shard::process::parts::ReceivedParts;
use crate::upgrade::channel::DESCRIPTORS;
use crate::upgrade::incoming::wrong;

/// Maximum bytes of one read.
const ROOM: usize = 64 << 10;

/// Messages and descriptors received, but not executed yet.
#[derive(Debug)]
pub(crate) struct CommandReceiver {
    socket: OwnedFd,
    /// Encoded messages; the last one may be incomplete.
    pub(crate) bytes: Vec<u8>,
    /// Descriptors in the sequence of their messages. Each arrives no later than the first byte of its message.
    descriptors: VecDeque<OwnedFd>,
    pub(crate) parts: ReceivedParts,
}

/// Result of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceiverRead {
    /// Number of new descriptors.
    pub(crate) descriptors: usize,
    /// Another read may find more.
    pub(crate) more: bool,
}

impl CommandReceiver {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, bytes: Vec::new(), descriptors: VecDeque::new(), parts: ReceivedParts::default() }
    }

    /// The socket, for epoll and for reports.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads once, without blocking.
    ///
    /// # Errors
    /// `UnexpectedEof` if the ordering thread has gone.
    pub(crate) fn receive(&mut self) -> io::Result<ReceiverRead> {
        let before = self.bytes.len();
        self.bytes.resize(before + ROOM, 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let slices = &mut [IoSliceMut::new(&mut self.bytes[before..])];
        let received = rustix::net::recvmsg(&self.socket, slices, &mut control, flags);
        let count = received.as_ref().map_or(0, |received| received.bytes);
        self.bytes.truncate(before + count);
        let received = match received {
            Ok(received) if received.bytes == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            // The ordering thread had not read the last reports.
            Err(Errno::CONNRESET) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(received) => received,
            Err(Errno::AGAIN) => return Ok(ReceiverRead { descriptors: 0, more: false }),
            Err(Errno::INTR) => return Ok(ReceiverRead { descriptors: 0, more: true }),
            Err(error) => return Err(error.into()),
        };
        let known = self.descriptors.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                self.descriptors.extend(received);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            // The sender respects the limit, so this process has no free descriptor. Later messages would get wrong ones.
            return Err(io::Error::other("no descriptor was left for a stream"));
        }
        let descriptors = self.descriptors.len() - known;
        // A read with descriptors also ends early.
        Ok(ReceiverRead { descriptors, more: count == ROOM || descriptors > 0 })
    }

    /// Takes the descriptor of the next message that has one.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn descriptor(&mut self) -> io::Result<OwnedFd> {
        self.descriptors.pop_front().ok_or_else(|| wrong("the number of descriptors"))
    }

    /// Frees the memory of large messages.
    pub(crate) fn settle(&mut self) {
        self.bytes.shrink_to(ROOM);
    }
}
