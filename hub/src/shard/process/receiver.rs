//! A holder's end of the pair: orders as they come, and their descriptors.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};

use crate::shard::process::order::Order;
use crate::upgrade::channel::DESCRIPTORS;
use sse_protocol::wire::{self, PREFIX};

/// Bytes read at once.
const ROOM: usize = 64 << 10;

/// What has come and was not done yet.
#[derive(Debug)]
pub(crate) struct CommandReceiver {
    socket: OwnedFd,
    /// Orders, the last one perhaps in part.
    pub(crate) bytes: Vec<u8>,
    /// In their orders' order: each came with the first byte of its order or before that.
    descriptors: VecDeque<OwnedFd>,
}

/// What a look at the socket has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    /// Descriptors that are here now.
    pub(crate) descriptors: usize,
    /// There may be more.
    pub(crate) more: bool,
}

impl CommandReceiver {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, bytes: Vec::new(), descriptors: VecDeque::new() }
    }

    /// For epoll, and to answer.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads once, without waiting.
    ///
    /// # Errors
    /// The router has gone.
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
            // It had not read the last words.
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
            // The router sends no more than there is room for. From here on orders would get the wrong ones.
            return Err(io::Error::other("no descriptor was left for a stream"));
        }
        let descriptors = self.descriptors.len() - known;
        // A read ends early where descriptors come along, too.
        Ok(Received { descriptors, more: count == ROOM || descriptors > 0 })
    }

    /// The next order's descriptor.
    pub(crate) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Gives memory back that a large order has taken.
    pub(crate) fn settle(&mut self) {
        self.bytes.shrink_to(ROOM);
    }
}

/// The first of these orders, if all of it is there, and its length.
pub(crate) fn first(bytes: &[u8]) -> io::Result<Option<(Order<'_>, usize)>> {
    let Some(size) = wire::announced(bytes, u32::MAX as usize).map_err(io::Error::other)? else { return Ok(None) };
    let Some(content) = bytes.get(PREFIX..PREFIX + size) else { return Ok(None) };
    Ok(Some((wire::decode(content).map_err(io::Error::other)?, PREFIX + size)))
}
