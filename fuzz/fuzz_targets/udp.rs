//! Datagrams: nothing crashes, and none passes without the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sse_hub::udp::{Gate, DatagramVerdict};

fuzz_target!(|datagram: &[u8]| {
    let _ = Gate::new(None).judge(datagram, 0);
    assert!(!matches!(Gate::new(Some(b"a key nobody can guess")).judge(datagram, 0), DatagramVerdict::Wake(_)));
});
