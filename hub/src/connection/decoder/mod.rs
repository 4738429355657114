//! The request decoder: turns the bytes of a connection into requests.
//!
//! It uses no sockets, so that tests can feed it any bytes. It buffers only bytes that were received, and refuses a message
//! that is too long as soon as its length is known.

pub(crate) mod snapshot;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use sse_protocol::wire::{self, PREFIX, Request, WireError};

/// Maximum number of descriptors that wait for their message; a conforming process needs one.
const MAX_WAITING: usize = 4;

/// Maximum buffer capacity of an idle connection, in bytes.
const KEPT: usize = 4096;

/// Decodes the bytes of one connection.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    bytes: Vec<u8>,
    /// Number of bytes at the start of `bytes` that are decoded.
    consumed: usize,
    /// Offset of `bytes` in the whole input.
    origin: u64,
    arrivals: VecDeque<Arrival>,
}

/// A descriptor, and the bytes that it came with.
#[derive(Debug)]
struct Arrival {
    /// Range of these bytes in the whole input.
    from: u64,
    to: u64,
    /// `None`: the process had no descriptor left to receive it with.
    descriptor: Option<OwnedFd>,
}

/// A decoded request and its descriptor.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// The request.
    pub request: Request<'a>,
    /// The descriptor sent with an [`Request::Attach`]; those sent with other requests are closed.
    pub descriptor: Option<OwnedFd>,
    /// A descriptor was sent with the request, but could not be received.
    pub truncated: bool,
}

impl RequestDecoder {
    /// Adds the bytes and descriptors of one read.
    pub fn feed(&mut self, bytes: &[u8], descriptors: impl IntoIterator<Item = OwnedFd>, truncated: bool) {
        let from = self.origin + self.bytes.len() as u64;
        let to = from + bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        let lost = truncated.then_some(None);
        for descriptor in descriptors.into_iter().map(Some).chain(lost) {
            if self.arrivals.len() < MAX_WAITING {
                self.arrivals.push_back(Arrival { from, to, descriptor });
            }
        }
    }

    /// The next complete request; `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are not a request, or announce one of more than `limit` bytes. The rest of the input is then
    /// unusable.
    pub fn next(&mut self, limit: usize) -> Result<Option<Incoming<'_>>, WireError> {
        let rest = &self.bytes[self.consumed..];
        let size = match wire::announced(rest, limit)? {
            Some(size) if rest.len() >= PREFIX + size => size,
            _ => {
                self.tidy();
                return Ok(None);
            }
        };
        let start = self.consumed;
        let position = self.origin + start as u64;
        self.consumed += PREFIX + size;
        self.arrivals.retain(|arrival| arrival.to > position);
        let request = wire::decode(&self.bytes[start + PREFIX..self.consumed])?;
        let mut incoming = Incoming { request, descriptor: None, truncated: false };
        if matches!(incoming.request, Request::Attach(_))
            // A descriptor belongs to the message that begins in the bytes it came with.
            && self.arrivals.front().is_some_and(|arrival| arrival.from <= position)
            && let Some(arrival) = self.arrivals.pop_front()
        {
            incoming.truncated = arrival.descriptor.is_none();
            incoming.descriptor = arrival.descriptor;
        }
        Ok(Some(incoming))
    }

    /// The request that [`next`](Self::next) would return.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn peek(&self, limit: usize) -> Result<Option<Request<'_>>, WireError> {
        let rest = &self.bytes[self.consumed..];
        match wire::announced(rest, limit)? {
            Some(size) if rest.len() >= PREFIX + size => wire::decode(&rest[PREFIX..PREFIX + size]).map(Some),
            _ => Ok(None),
        }
    }

    /// Capacity of the buffer, in bytes; for tests of its bounds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Drops decoded bytes, and descriptors that no request took.
    fn tidy(&mut self) {
        self.origin += self.consumed as u64;
        self.bytes.drain(..self.consumed);
        self.consumed = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        let origin = self.origin;
        self.arrivals.retain(|arrival| arrival.to > origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sse_protocol::event::NewEvent;
    use sse_protocol::wire::{Attach, encode};
    use std::fs::File;
    use std::os::fd::{AsFd, BorrowedFd};

    fn descriptor() -> OwnedFd {
        File::open("/dev/null").expect("there is a /dev/null").into()
    }

    fn attach() -> Vec<u8> {
        encode(&Request::Attach(Attach { patterns: vec!["a"], ..Default::default() }))
    }

    #[test]
    fn requests_come_out_whole_however_the_bytes_come_in() {
        let bytes = [encode(&Request::Cursor), attach(), encode(&Request::Stats)].concat();
        let mut decoder = RequestDecoder::default();
        let mut seen = Vec::new();
        for byte in bytes {
            decoder.feed(&[byte], [], false);
            while let Some(incoming) = decoder.next(100).expect("well formed") {
                seen.push(format!("{:?}", incoming.request));
            }
        }
        let attach = Request::Attach(Attach { patterns: vec!["a"], ..Default::default() });
        assert_eq!(seen, [Request::Cursor, attach, Request::Stats].map(|request| format!("{request:?}")));
    }

    #[test]
    fn a_descriptor_goes_to_the_attach_it_came_with() {
        let mut decoder = RequestDecoder::default();
        decoder.feed(&[encode(&Request::Cursor), attach()].concat(), [descriptor()], false);
        assert!(decoder.next(100).expect("cursor").expect("whole").descriptor.is_none());
        assert!(decoder.next(100).expect("attach").expect("whole").descriptor.is_some());
        decoder.feed(&attach(), [], false);
        let bare = decoder.next(100).expect("attach").expect("whole");
        assert!(bare.descriptor.is_none() && !bare.truncated);
    }

    #[test]
    fn a_descriptor_that_the_system_could_not_give_is_told() {
        let mut decoder = RequestDecoder::default();
        decoder.feed(&attach(), [], true);
        assert!(decoder.next(100).expect("attach").expect("whole").truncated);
    }

    /// Attack: descriptors sent with requests that need none would, if kept open, exhaust the hub's descriptors.
    #[test]
    fn a_descriptor_with_anything_else_is_closed() {
        let mut decoder = RequestDecoder::default();
        let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        decoder.feed(&encode(&Request::Cursor), [near.into()], false);
        assert!(decoder.next(100).expect("cursor").expect("whole").descriptor.is_none());
        assert!(decoder.next(100).expect("nothing more").is_none());
        assert!(decoder.arrivals.is_empty());
        assert_eq!(std::io::Read::read(&mut far, &mut [0]).expect("the end, and no waiting"), 0);
    }

    /// Attack: a message that never ends, byte by byte with a descriptor each, would exhaust the hub's descriptors.
    #[test]
    fn descriptors_do_not_pile_up() {
        let mut decoder = RequestDecoder::default();
        for _ in 0..50 {
            decoder.feed(&[1], [descriptor()], false);
            assert!(decoder.next(1 << 30).expect("announced").is_none());
        }
        assert!(decoder.arrivals.len() <= MAX_WAITING);
    }

    #[test]
    fn memory_is_given_back_after_a_large_message() {
        let data = vec![b'x'; 1 << 20];
        let bytes = encode(&Request::Publish {
            event: NewEvent { topics: vec!["a"], data: &data, ..NewEvent::default() },
            answer: true,
        });
        let mut decoder = RequestDecoder::default();
        for part in bytes.chunks(60_000) {
            decoder.feed(part, [], false);
            assert!(decoder.capacity() <= 2 * bytes.len());
        }
        assert!(decoder.next(2 << 20).expect("well formed").is_some());
        assert!(decoder.next(2 << 20).expect("nothing more").is_none());
        assert_eq!(decoder.capacity(), 0);
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let message = prop_oneof![
            Just(encode(&Request::Cursor)),
            Just(attach()),
            Just(encode(&Request::Trigger { topics: vec!["a", "b"] })),
            proptest::collection::vec(any::<u8>(), 0..200)
                .prop_map(|content| { [&(content.len() as u32).to_le_bytes()[..], &content].concat() }),
            proptest::collection::vec(any::<u8>(), 0..20),
        ];
        proptest::collection::vec(message, 0..12).prop_map(|messages| messages.concat())
    }

    proptest! {
        #[test]
        fn no_bytes_can_crash_or_grow_it(bytes in any_bytes(), step in 1..50_usize) {
            let null = descriptor();
            let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().expect("a descriptor is free");
            let mut decoder = RequestDecoder::default();
            'connection: for (nth, part) in bytes.chunks(step).enumerate() {
                decoder.feed(part, (nth % 5 == 0).then(|| copy(null.as_fd())), nth % 7 == 0);
                loop {
                    match decoder.next(256) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'connection,
                    }
                }
                prop_assert!(decoder.bytes.len() <= 256 + PREFIX);
                prop_assert!(decoder.capacity() <= KEPT);
                prop_assert!(decoder.arrivals.len() <= MAX_WAITING);
            }
        }
    }
}
