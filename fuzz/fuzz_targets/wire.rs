//! Bytes from a peer, in pieces of any size: nothing crashes, and nothing is kept beyond one message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sse_hub::fuzzing::decoder::RequestDecoder;

const LIMIT: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Some((&step, bytes)) = data.split_first() else { return };
    let mut decoder = RequestDecoder::default();
    for part in bytes.chunks(usize::from(step).max(1)) {
        decoder.feed(part, [], step % 2 == 0);
        loop {
            match decoder.next(LIMIT) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(decoder.capacity() <= 2 * LIMIT);
    }
});
