//! Responses of servers, cut at any place: the same is read as from the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sse_hub::fuzzing::{fastcgi::FastCgiResponse, http1::Http1Response};

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let (first, second) = bytes.split_at(usize::from(cut) % (bytes.len() + 1));

    let (mut whole, mut parts) = (FastCgiResponse::default(), FastCgiResponse::default());
    whole.feed(bytes);
    parts.feed(first);
    parts.feed(second);
    assert_eq!((whole.is_ended(), whole.status()), (parts.is_ended(), parts.status()));

    let (mut whole, mut parts) = (Http1Response::default(), Http1Response::default());
    whole.feed(bytes);
    parts.feed(first);
    parts.feed(second);
    assert_eq!(whole.status(), parts.status());
});
