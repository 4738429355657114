//! The hub as an HTTP server, for the web server in front only: it fetches the streams that scripts have redirected to the hub,
//! each by a ticket that holds once and for seconds. It also tells whether the hub's process is there.
//!
//! ```text
//! ordering thread ── issue ──▶ Tickets ◀── take ── thread sse-http ◀── the web server's connection
//!        ▲                                              │
//!        └───────── Redeemed: stream and socket ────────┘
//! ```
//!
//! The thread reads and checks; forged names never reach the ordering thread.

pub(crate) mod address;
pub(crate) mod head;
pub(crate) mod listener;
pub(crate) mod snapshot;
pub(crate) mod thread;
pub(crate) mod tickets;
