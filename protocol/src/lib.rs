//! What a PHP process and the hub share: topics, ids, events, the event stream format, and the hub's messages.

#![forbid(unsafe_code)]

pub mod cause;
pub mod client;
pub mod event;
pub mod framing;
pub mod id;
pub mod mercure;
pub mod padding;
pub mod presence;
pub mod stream;
pub mod topic;
pub mod wire;
