//! What one write offers to a socket.

use std::collections::VecDeque;
use std::mem;

use crate::framing::{Piece, Wrap};
use crate::stream::Payload;
use crate::wire::Framing;

/// Pieces of one write at most.
pub(super) const PIECES: usize = 32;

/// The next bytes of a queue, without copying them.
pub(super) struct Pieces<'a> {
    pieces: [Piece<'a>; PIECES],
    count: usize,
    len: usize,
}

impl<'a> Pieces<'a> {
    fn empty() -> Self {
        Self { pieces: [const { Piece::Wrap(Wrap::EMPTY) }; PIECES], count: 0, len: 0 }
    }

    /// The pieces of one payload.
    pub(super) fn of(piece: impl Fn(usize) -> Option<Piece<'a>>) -> Self {
        let mut pieces = Self::empty();
        pieces.extend(0, piece);
        pieces
    }

    /// The pieces of a queue, whose first payload is written up to `offset`.
    pub(super) fn of_queue(queue: &'a VecDeque<Payload>, framing: Framing, mut offset: usize) -> Self {
        let mut pieces = Self::empty();
        for payload in queue {
            if !pieces.extend(mem::take(&mut offset), |offset| payload.piece(framing, offset)) {
                break;
            }
        }
        pieces
    }

    /// Adds pieces from `offset` on; false when there is no room for more.
    fn extend(&mut self, mut offset: usize, piece: impl Fn(usize) -> Option<Piece<'a>>) -> bool {
        while let Some(piece) = piece(offset) {
            let Some(free) = self.pieces.get_mut(self.count) else { return false };
            let len = piece.bytes().len();
            *free = piece;
            self.count += 1;
            self.len += len;
            offset += len;
        }
        true
    }

    /// The pieces.
    pub(super) fn as_slice(&self) -> &[Piece<'a>] {
        &self.pieces[..self.count]
    }

    /// Bytes in all of them.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}
