//! The wire between the extension and the hub: the messages on the hub's Unix socket.
//!
//! A message is its length (u32, little endian) and that many bytes of [postcard]. A descriptor that belongs to a message
//! (the connection of a [`Request::Attach`]) is sent along with the message's first byte.
//!
//! The first message of a connection is [`Request::Hello`]. Its layout, and those of [`Reply::Welcome`] and
//! [`Reply::Refused`], never change, so two versions can always report that they don't match. Anything else may change with
//! [`PROTOCOL`].

mod codec;
mod reply;
mod request;

pub use codec::{PREFIX, WireError, announced, append, decode, encode};
pub use reply::{Delivery, ErrorCode, Reply};
pub use request::{
    Attach, Framing, Member, OriginalRequest, Presence, Protocol, Reason, Replay, Request, TopicsAs, User, Whom, Whose,
};

use crate::topic;

/// Version of all messages but the greeting.
pub const PROTOCOL: u16 = 26;

/// First field of every greeting ("SSEH").
pub const MAGIC: u32 = 0x5353_4548;

/// The php-sse version, for people to read.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Bytes of a message beyond its data and topics: type, id and the encoding of the fields.
const OVERHEAD: usize = 4096;

/// Most bytes of a stream's [`OriginalRequest`], body included.
pub const MAX_REQUEST: usize = 192 << 10;

/// Longest key of a user or a share, in bytes.
pub const MAX_KEY: usize = 255;

/// Longest message with `data` bytes of data and `topics` topics, in bytes.
#[must_use]
pub fn max_message(data: usize, topics: usize) -> usize {
    // The length of a topic takes two bytes at most.
    OVERHEAD + data.max(MAX_REQUEST) + topics * (topic::MAX_LEN + 2)
}

/// Largest value of `sse.max_event_size`, in bytes.
pub const MAX_EVENT_SIZE: u64 = 64 << 20;

/// Largest value of `sse.max_topics`.
pub const MAX_TOPICS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_its_length_and_its_content() {
        let bytes = encode(&Request::Commit { stream: 5, framing: Framing::FastCgi { request: 1 } });
        assert_eq!(bytes, [4, 0, 0, 0, 2, 5, 2, 1]);
        assert_eq!(announced(&bytes, 100), Ok(Some(4)));
        assert_eq!(
            decode::<Request<'_>>(&bytes[PREFIX..]),
            Ok(Request::Commit { stream: 5, framing: Framing::FastCgi { request: 1 } })
        );
    }

    /// Later versions must be able to read this greeting.
    #[test]
    fn the_greeting_never_changes() {
        let hello = encode(&Request::Hello { magic: MAGIC, protocol: 1, version: "0.1.0", owner: Some(300) });
        assert_eq!(&hello[PREFIX..], b"\x00\xc8\x8a\xcd\x9a\x05\x01\x050.1.0\x01\xac\x02");
        let welcome = encode(&Reply::Welcome { protocol: 1, version: "0.1.0", pid: 7 });
        assert_eq!(&welcome[PREFIX..], b"\x00\x01\x050.1.0\x07");
        let refused = encode(&Reply::Refused { reason: "no" });
        assert_eq!(&refused[PREFIX..], b"\x01\x02no");
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_before_it_is_read() {
        assert_eq!(announced(&[0xff; 4], 100), Err(WireError::TooLarge { size: 0xffff_ffff, limit: 100 }));
        assert_eq!(announced(&[1, 0, 0], 100), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_can_crash_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<Request<'_>>(&bytes);
            let _ = decode::<Reply<'_>>(&bytes);
            let _ = decode::<Delivery<'_>>(&bytes);
        }

        #[test]
        fn what_is_published_arrives_as_it_was(
            topics in proptest::collection::vec("[a-z.]{1,20}", 1..4),
            data in proptest::collection::vec(any::<u8>(), 0..300),
            event_type in proptest::option::of("[a-z]{1,9}"),
            key in proptest::option::of("[a-z]{1,9}"),
        ) {
            let topics = topics.iter().map(String::as_str).collect();
            let event_type = event_type.as_deref();
            let new = NewEvent { topics, event_type, retry: Some(1), data: &data, ..NewEvent::default() };
            let event = NewEvent { key: key.as_deref(), retain: true, ..new };
            let request = Request::Publish { event, answer: true };
            let bytes = encode(&request);
            prop_assert_eq!(decode::<Request<'_>>(&bytes[PREFIX..]), Ok(request));
        }
    }
}
