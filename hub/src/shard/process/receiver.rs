//! A shard process's end of the socket pair: receives orders and their descriptors.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};

use crate::shard::process::order::Order;
use crate::upgrade::channel::DESCRIPTORS;
use sse_protocol::wire::{self, PREFIX};

/// Maximum bytes of one read.
const ROOM: usize = 64 << 10;

/// Orders and descriptors received, but not executed yet.
#[derive(Debug)]
pub(crate) struct CommandReceiver {
    socket: OwnedFd,
    /// Encoded orders; the last one may be incomplete.
    pub(crate) bytes: Vec<u8>,
    /// Descriptors in the sequence of their orders. Each arrives no later than the first byte of its order.
    descriptors: VecDeque<OwnedFd>,
}

/// Result of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    /// Number of new descriptors.
    pub(crate) descriptors: usize,
    /// Another read may find more.
    pub(crate) more: bool,
}

impl CommandReceiver {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, bytes: Vec::new(), descriptors: VecDeque::new() }
    }

    /// The socket, for epoll and for reports.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads once, without blocking.
    ///
    /// # Errors
    /// `UnexpectedEof` if the ordering thread has gone.
    pub(crate) fn receive(&mut self) -> io::Result<Received> {
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
            Err(Errno::AGAIN) => return Ok(Received { descriptors: 0, more: false }),
            Err(Errno::INTR) => return Ok(Received { descriptors: 0, more: true }),
            Err(error) => return Err(error.into()),
        };
        let known = self.descriptors.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                self.descriptors.extend(received);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            // The sender respects the limit, so this process has no free descriptor. Later orders would get wrong ones.
            return Err(io::Error::other("no descriptor was left for a stream"));
        }
        let descriptors = self.descriptors.len() - known;
        // A read with descriptors also ends early.
        Ok(Received { descriptors, more: count == ROOM || descriptors > 0 })
    }

    /// Takes the descriptor of the next order.
    pub(crate) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Frees the memory of large orders.
    pub(crate) fn settle(&mut self) {
        self.bytes.shrink_to(ROOM);
    }
}

/// Decodes the first order and returns its length, too; `None` if it is incomplete.
pub(crate) fn first(bytes: &[u8]) -> io::Result<Option<(Order<'_>, usize)>> {
    let Some(size) = wire::announced(bytes, u32::MAX as usize).map_err(io::Error::other)? else { return Ok(None) };
    let Some(content) = bytes.get(PREFIX..PREFIX + size) else { return Ok(None) };
    Ok(Some((wire::decode(content).map_err(io::Error::other)?, PREFIX + size)))
}
