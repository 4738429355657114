//! The hub of php-sse: one small process that holds event streams and delivers events to them. It knows nothing of PHP.
//!
//! ```text
//! PHP process ──wire──▶ router ──channel──▶ shard ──▶ the streams it owns
//! UDP datagram ────────▶   │
//!                          └─ ids, order, limits
//! ```

pub mod cause;
pub mod client;
pub mod config;
pub mod event;
pub mod framing;
pub mod id;
pub mod inbox;
pub mod new_event;
pub mod notify;
pub mod random;
pub mod socket;
pub mod sys;
pub mod topic;
pub mod topic_map;
pub mod udp;
pub mod upstream;
pub mod wire;

mod address;
mod budget;
mod bus;
mod foreground;
mod handover;
mod heap;
#[cfg(not(fuzzing))]
mod history;
#[cfg(fuzzing)]
pub mod history;
mod holder;
mod keeper;
mod log;
mod program;
mod render;
mod router;
mod run;
mod shard;
mod stats;
mod stream;
#[cfg(test)]
mod testing;
mod timer;

pub use bus::address::{Address as BusAddress, masked as masked_bus_address};
pub use program::Ran;
pub use run::{HubError, Succeeded, check, run, take_over};
