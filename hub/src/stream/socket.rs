//! A stream's socket: one write or a few reads, none of which blocks.

use std::io::IoSlice;

use arrayvec::ArrayVec;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use crate::stream::Stream;
use crate::stream::pieces::{PIECES, Pieces};

/// Result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketRead {
    /// All input was read, and the client is still connected.
    Empty,
    /// There may be more input.
    More,
    /// The client has disconnected.
    Left,
}

impl Stream {
    /// Writes once without blocking. The per-call flag is needed as the worker shares the file description and its flags.
    /// Returns 0 if the socket is full.
    pub(super) fn write(&self, pieces: &Pieces<'_>) -> Result<usize, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut slices = ArrayVec::<_, PIECES>::new_const();
        if pieces.as_slice().len() > 1 {
            slices.extend(pieces.as_slice().iter().map(|piece| IoSlice::new(piece.bytes())));
        }
        loop {
            let sent = match pieces.as_slice() {
                [] => return Ok(0),
                [one] => rustix::net::send(&self.socket, one.bytes(), flags),
                _ => rustix::net::sendmsg(&self.socket, &slices, &mut SendAncillaryBuffer::default(), flags),
            };
            match sent {
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Reads and discards a bounded amount of the client's input: leftovers of a web server, or garbage.
    pub(crate) fn drain(&self, scratch: &mut [u8], reads: usize) -> SocketRead {
        for _ in 0..reads {
            match rustix::net::recv(&self.socket, &mut *scratch, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return SocketRead::Left,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return SocketRead::Empty,
                Err(_) => return SocketRead::Left,
            }
        }
        SocketRead::More
    }
}
