//! The state of a decoder in an upgrade.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::connection::decoder::{Arrival, RequestDecoder};

impl RequestDecoder {
    /// The bytes that are not decoded yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    /// Each waiting descriptor, with the range of [`unread`](Self::unread) that it came with.
    pub(crate) fn arrivals(&self) -> impl Iterator<Item = ((u64, u64), Option<BorrowedFd<'_>>)> {
        let start = self.origin + self.consumed as u64;
        let within = move |position: u64| position.saturating_sub(start);
        let kept = self.arrivals.iter().filter(move |arrival| arrival.to > start);
        kept.map(move |arrival| {
            ((within(arrival.from), within(arrival.to)), arrival.descriptor.as_ref().map(AsFd::as_fd))
        })
    }

    /// Rebuilds a decoder from its state.
    pub(crate) fn restore(bytes: &[u8], arrivals: impl IntoIterator<Item = ((u64, u64), Option<OwnedFd>)>) -> Self {
        let arrivals = arrivals.into_iter().map(|((from, to), descriptor)| Arrival { from, to, descriptor });
        Self { bytes: bytes.to_vec(), consumed: 0, origin: 0, arrivals: arrivals.collect() }
    }
}
