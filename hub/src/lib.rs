//! The hub of php-sse: one small process that holds event streams and delivers events to them. It knows nothing of PHP.
//!
//! ```text
//! PHP process ──wire──▶ ordering thread ──channel──▶ shard ──▶ the streams it owns
//! UDP datagram ────────▶   │
//!                          └─ ids, order, limits
//! ```

#![deny(unsafe_code)]

mod broker;
pub mod config;
mod connection;
mod error;
pub mod event;
mod http;
mod index;
mod presence;
mod quota;
mod render;
mod run;
mod server;
mod shard;
pub mod socket;
mod stats;
mod store;
mod stream;
pub mod sys;
#[cfg(test)]
mod testing;
pub mod udp;
mod upgrade;
pub mod util;

pub use crate::config::bus_address::{BusAddress, masked as masked_bus_address};
pub use crate::error::HubError;
pub use crate::run::{Succeeded, check, run, start, take_over};
pub use crate::util::program::Ran;

/// Parsers of untrusted bytes, exported for the fuzz targets.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::connection::decoder;
    pub use crate::render::http::{fastcgi, http1};
    #[cfg(fuzzing)]
    pub use crate::store::history::trial;
}
