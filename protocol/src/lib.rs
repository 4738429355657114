//! What a PHP process and the hub say to each other: topics, ids, events, the bytes of an event stream, and the messages of the hub's socket.

pub mod cause;
pub mod client;
pub mod event;
pub mod framing;
pub mod id;
pub mod topic;
pub mod wire;
