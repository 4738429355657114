//! Ids of any shape: our own are read as they are written, and what a reader gets after any id is in order, is what it watches, and
//! is complete unless a gap is told.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sse_hub::fuzzing::trial;
use sse_protocol::id::Id;

fuzz_target!(|data: &[u8]| {
    if let Some(id) = std::str::from_utf8(data).ok().and_then(Id::parse) {
        assert_eq!(Id::parse(&id.to_string()), Some(id));
    }
    trial::run(data);
});
