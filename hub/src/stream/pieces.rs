//! What one write offers to a socket.

use arrayvec::ArrayVec;

use crate::stream::Payload;
use sse_protocol::framing::Piece;
use sse_protocol::wire::Framing;

/// Pieces of one write at most.
pub(crate) const PIECES: usize = 128;

/// The next bytes of some payloads, without copying them.
pub(crate) struct Pieces<'a> {
    pieces: ArrayVec<Piece<'a>, PIECES>,
    len: usize,
}

impl<'a> Pieces<'a> {
    /// None. It is filled in place, as moving it would cost more than a short write.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { pieces: ArrayVec::new_const(), len: 0 }
    }

    /// Adds the pieces of payloads of which the first is written up to `offset`, as many as there is room for.
    pub(crate) fn fill(&mut self, payloads: impl Iterator<Item = &'a Payload>, framing: Framing, mut offset: usize) {
        for payload in payloads {
            while let Some(piece) = payload.piece(framing, offset) {
                let len = piece.bytes().len();
                if self.pieces.try_push(piece).is_err() {
                    return;
                }
                self.len += len;
                offset += len;
            }
            offset = 0;
        }
    }

    /// The pieces.
    pub(crate) fn as_slice(&self) -> &[Piece<'a>] {
        &self.pieces
    }

    /// Bytes in all of them.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
