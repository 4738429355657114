//! Framing from any offset: the rest of the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sse_protocol::framing::{framed_len, piece};
use sse_protocol::wire::Framing;

fuzz_target!(|input: (u8, u16, u32, u32)| {
    let (kind, request, len, offset) = input;
    let framing = match kind % 5 {
        0 => Framing::Raw,
        1 => Framing::Chunked,
        2 => Framing::FastCgi { request },
        3 => Framing::Message,
        _ => Framing::Wake,
    };
    let payload: Vec<u8> = (0..len % (1 << 20)).map(|i| i as u8).collect();
    let whole = framed(framing, &payload, 0);
    assert_eq!(whole.len(), framed_len(framing, payload.len()));
    let offset = offset as usize % (whole.len() + 1);
    assert!(framed(framing, &payload, offset) == whole[offset..]);
});

fn framed(framing: Framing, payload: &[u8], mut offset: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = piece(framing, payload, offset) {
        bytes.extend_from_slice(piece.bytes());
        offset += piece.bytes().len();
    }
    bytes
}
