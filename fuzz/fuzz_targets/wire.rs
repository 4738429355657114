//! Bytes from a peer, in pieces of any size: nothing crashes, and nothing is kept beyond one message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sse_hub::fuzzing::decoder::Inbox;

const LIMIT: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Some((&step, bytes)) = data.split_first() else { return };
    let mut inbox = Inbox::default();
    for part in bytes.chunks(usize::from(step).max(1)) {
        inbox.feed(part, [], step % 2 == 0);
        loop {
            match inbox.next(LIMIT) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(inbox.capacity() <= 2 * LIMIT);
    }
});
