//! The hub of php-sse: one small process that holds event streams and delivers events to them. It knows nothing of PHP.
//!
//! ```text
//! PHP process ──wire──▶ ordering thread ──channel──▶ shard ──▶ the streams it owns
//! UDP datagram ────────▶   │
//!                          └─ ids, order, limits
//! ```

mod broker;
pub mod config;
pub mod event;
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

pub use crate::run::{HubError, Succeeded, check, run, take_over};
pub use crate::store::redis::address::{Address as BusAddress, masked as masked_bus_address};
pub use crate::util::program::Ran;

/// Parsers of untrusted bytes, exported for the fuzz targets.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::render::http::{fastcgi, http1};
    pub use crate::server::decoder;
    #[cfg(fuzzing)]
    pub use crate::store::history::trial;
}
