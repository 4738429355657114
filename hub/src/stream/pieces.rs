//! Slices that one write offers to a socket.

use arrayvec::ArrayVec;

use crate::stream::Payload;
use sse_protocol::framing::Piece;
use sse_protocol::wire::Framing;

/// Maximum number of pieces in one write.
pub(crate) const PIECES: usize = 128;

/// The next bytes of several payloads, borrowed.
pub(crate) struct Pieces<'a> {
    pieces: ArrayVec<Piece<'a>, PIECES>,
    len: usize,
}

impl<'a> Pieces<'a> {
    /// Creates an empty list. Fill it in place, as moving it costs more than a short write.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { pieces: ArrayVec::new_const(), len: 0 }
    }

    /// Adds pieces of the payloads while there is room. The first payload starts at `offset`.
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

    /// Total bytes of the pieces.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
