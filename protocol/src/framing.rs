//! Framing: how a payload's bytes are wrapped on a stream's connection.
//!
//! Nothing is copied: a framed payload is a sequence of [`Piece`]s, each either bytes of the payload or a few bytes around
//! them. A piece is computed from the payload and an offset into the framed bytes. So a partial write can resume anywhere,
//! and a stream stores only that offset.

use crate::wire::Framing;

/// Longest content of a FastCGI record, in bytes. The format allows 65,535; a multiple of 8 needs no padding, and with its
/// header a full record is 64 KiB.
pub const RECORD: usize = 65_528;

/// Length of a FastCGI record header, in bytes.
pub const HEADER: usize = 8;
const FULL_RECORD: usize = HEADER + RECORD;

/// The request id that nginx, Apache and Caddy all use on a connection.
pub const USUAL_REQUEST: u16 = 1;

/// FastCGI 1.0, section 8: FCGI_VERSION_1, FCGI_END_REQUEST, FCGI_STDOUT.
const VERSION: u8 = 1;
const END_REQUEST: u8 = 3;
const STDOUT: u8 = 6;

/// A contiguous part of a framed payload.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// Bytes of the payload.
    Content(&'a [u8]),
    /// Framing bytes around the payload.
    Wrap(Wrap),
}

impl Piece<'_> {
    /// The bytes of the piece.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Content(bytes) => bytes,
            Self::Wrap(wrap) => wrap.bytes(),
        }
    }
}

/// A few framing bytes, stored inline.
#[derive(Debug, Clone, Copy)]
pub struct Wrap {
    bytes: [u8; Self::CAPACITY],
    start: u8,
    end: u8,
}

impl Wrap {
    /// Length of the longest one: the two records that end a FastCGI response.
    const CAPACITY: usize = 24;

    /// No bytes.
    pub const EMPTY: Self = Self { bytes: [0; Self::CAPACITY], start: 0, end: 0 };

    fn push(mut self, bytes: &[u8]) -> Self {
        let end = usize::from(self.end);
        self.bytes[end..end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len() as u8;
        self
    }

    /// Drops the first `count` bytes.
    #[must_use]
    pub fn skip(mut self, count: usize) -> Self {
        let left = usize::from(self.end - self.start);
        self.start += count.min(left) as u8;
        self
    }

    /// The bytes that are left.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..usize::from(self.end)]
    }
}

/// The framed length of a payload, in bytes.
#[must_use]
pub fn framed_len(framing: Framing, payload: usize) -> usize {
    match framing {
        // An empty chunk or an empty STDOUT record would end the response.
        _ if payload == 0 => 0,
        Framing::Raw | Framing::Message | Framing::Wake => payload,
        Framing::Chunked => chunk_head(payload).bytes().len() + payload + b"\r\n".len(),
        Framing::FastCgi { .. } => payload + HEADER * payload.div_ceil(RECORD),
    }
}

/// The contiguous bytes of the framed payload from `offset` on; `None` at its end.
#[must_use]
pub fn piece(framing: Framing, payload: &[u8], offset: usize) -> Option<Piece<'_>> {
    if offset >= framed_len(framing, payload.len()) {
        return None;
    }
    Some(match framing {
        Framing::Raw | Framing::Message | Framing::Wake => Piece::Content(&payload[offset..]),
        Framing::Chunked => {
            let head = chunk_head(payload.len());
            let head_len = head.bytes().len();
            match offset.checked_sub(head_len) {
                None => Piece::Wrap(head.skip(offset)),
                Some(at) if at < payload.len() => Piece::Content(&payload[at..]),
                Some(at) => Piece::Wrap(Wrap::EMPTY.push(b"\r\n").skip(at - payload.len())),
            }
        }
        Framing::FastCgi { request } => {
            let start = offset / FULL_RECORD * RECORD;
            let content = &payload[start..payload.len().min(start + RECORD)];
            match (offset % FULL_RECORD).checked_sub(HEADER) {
                None => Piece::Wrap(record(STDOUT, request, content.len()).skip(offset % FULL_RECORD)),
                Some(at) => Piece::Content(&content[at..]),
            }
        }
    })
}

/// The header of a payload that fits in one record of [`USUAL_REQUEST`]; `None` for any other payload.
pub fn usual_header(payload: usize) -> Option<[u8; HEADER]> {
    (1..=RECORD).contains(&payload).then(|| header(STDOUT, USUAL_REQUEST, payload))
}

/// The bytes that end a response properly; none where closing the connection ends it.
#[must_use]
pub fn end(framing: Framing) -> Wrap {
    match framing {
        Framing::Raw | Framing::Message | Framing::Wake => Wrap::EMPTY,
        Framing::Chunked => Wrap::EMPTY.push(b"0\r\n\r\n"),
        Framing::FastCgi { request } => {
            // An empty STDOUT record ends the output. END_REQUEST's body is the application's status (0), the protocol's
            // (FCGI_REQUEST_COMPLETE, 0), and 3 reserved bytes.
            let ended = record(STDOUT, request, 0).push(record(END_REQUEST, request, 8).bytes());
            ended.push(&[0; 8])
        }
    }
}

/// The line before a chunk: its length in hex.
fn chunk_head(len: usize) -> Wrap {
    let mut wrap = Wrap::EMPTY;
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (len >> (4 * place) & 0xf) as u8;
        wrap = wrap.push(&[if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }]);
    }
    wrap.push(b"\r\n")
}

fn record(kind: u8, request: u16, content: usize) -> Wrap {
    Wrap::EMPTY.push(&header(kind, request, content))
}

/// The header of a record without padding.
fn header(kind: u8, request: u16, content: usize) -> [u8; HEADER] {
    let [id_high, id_low] = request.to_be_bytes();
    let [len_high, len_low] = (content as u16).to_be_bytes();
    [VERSION, kind, id_high, id_low, len_high, len_low, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(framing: Framing, payload: &[u8], mut offset: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = piece(framing, payload, offset) {
            assert!(!piece.bytes().is_empty());
            bytes.extend_from_slice(piece.bytes());
            offset += piece.bytes().len();
        }
        bytes
    }

    const FASTCGI: Framing = Framing::FastCgi { request: 0x0102 };

    #[test]
    fn raw_bytes_are_as_they_are() {
        assert_eq!(framed(Framing::Raw, b"id: 1\n\n", 0), b"id: 1\n\n");
        assert_eq!(framed(Framing::Message, b"\x01\0\0\0\x02", 0), b"\x01\0\0\0\x02");
        assert_eq!(end(Framing::Raw).bytes(), b"");
        assert_eq!(end(Framing::Message).bytes(), b"");
        assert_eq!(framed(Framing::Wake, b"W", 0), b"W");
        assert_eq!(end(Framing::Wake).bytes(), b"");
    }

    #[test]
    fn a_chunk_is_its_length_in_hex_and_its_bytes() {
        assert_eq!(framed(Framing::Chunked, b":\n\n", 0), b"3\r\n:\n\n\r\n");
        assert_eq!(framed(Framing::Chunked, &[b'x'; 16], 0), b"10\r\nxxxxxxxxxxxxxxxx\r\n");
        assert!(framed(Framing::Chunked, &[b'x'; 0xbeef], 0).starts_with(b"beef\r\nx"));
        assert_eq!(end(Framing::Chunked).bytes(), b"0\r\n\r\n");
    }

    #[test]
    fn fastcgi_is_stdout_records_and_a_polite_end() {
        assert_eq!(framed(FASTCGI, b":\n\n", 0), b"\x01\x06\x01\x02\x00\x03\x00\x00:\n\n");
        assert_eq!(
            end(FASTCGI).bytes(),
            b"\x01\x06\x01\x02\x00\x00\x00\x00\x01\x03\x01\x02\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        );
    }

    #[test]
    fn a_payload_over_one_record_becomes_several() {
        let payload: Vec<u8> = (0..RECORD * 2 + 1).map(|i| (i % 251) as u8).collect();
        let bytes = framed(FASTCGI, &payload, 0);
        let mut rest = &bytes[..];
        let mut content = Vec::new();
        for size in [RECORD, RECORD, 1] {
            let (header, after) = rest.split_at(HEADER);
            assert_eq!(header, [1, 6, 1, 2, (size >> 8) as u8, size as u8, 0, 0]);
            content.extend_from_slice(&after[..size]);
            rest = &after[size..];
        }
        assert!(rest.is_empty());
        assert_eq!(content, payload);
    }

    #[test]
    fn an_empty_payload_is_no_bytes() {
        for framing in [Framing::Raw, Framing::Chunked, FASTCGI, Framing::Message, Framing::Wake] {
            assert_eq!(framed(framing, b"", 0), b"");
        }
    }

    fn any_framing() -> impl Strategy<Value = Framing> {
        prop_oneof![
            Just(Framing::Raw),
            Just(Framing::Chunked),
            any::<u16>().prop_map(|request| Framing::FastCgi { request }),
            Just(Framing::Message),
            Just(Framing::Wake),
        ]
    }

    /// Lengths around the ends of records and hex digits, and any others.
    fn any_len() -> impl Strategy<Value = usize> {
        prop_oneof![
            0..300_usize,
            0..300_000_usize,
            (1..4_usize, 0..20_usize).prop_map(|(records, near)| records * RECORD + near - 10),
        ]
    }

    proptest! {
        #[test]
        fn from_any_offset_come_the_rest_of_the_bytes(framing in any_framing(), len in any_len(), at in any::<proptest::sample::Index>()) {
            let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let whole = framed(framing, &payload, 0);
            prop_assert_eq!(whole.len(), framed_len(framing, len));
            let offset = at.index(whole.len() + 1);
            prop_assert_eq!(&framed(framing, &payload, offset)[..], &whole[offset..]);
            // Around the framing bytes, checks one byte at a time.
            for offset in (0..whole.len()).filter(|offset| offset % FULL_RECORD < 12 || whole.len() - offset < 4) {
                prop_assert_eq!(piece(framing, &payload, offset).map(|piece| piece.bytes()[0]), Some(whole[offset]));
            }
        }
    }
}
