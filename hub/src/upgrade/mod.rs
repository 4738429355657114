//! Upgrade: the old hub passes its whole state to a new one (another version, or other settings), and no client notices.
//!
//! ```text
//!  new hub (receive)                          old hub (send)
//!     │  Hello { TAKE_OVER, FORMAT }             │  serves
//!     │ ───────────────────────────────────────▶ │
//!     │  Welcome { its FORMAT }                  │
//!     │ ◀─────────────────────────────────────── │
//!     │  Wanted { PROTOCOL }                     │
//!     │ ───────────────────────────────────────▶ │  stops: store, ordering thread, shards (nothing is read or written now)
//!     │  Part, with its descriptors              │
//!     │ ◀─────────────────────────────────────── │
//!     │  GOT                                     │
//!     │ ───────────────────────────────────────▶ │  … one part after the other, the last is End
//!     │  builds a hub of all that                │
//!     │  TAKEN                                   │
//!     │ ───────────────────────────────────────▶ │
//!     │  YOURS, on the lifeline                  │
//!     │ ◀─────────────────────────────────────── │  ends: closes its copies of the descriptors, and nothing more
//!     │  serves                                  │
//! ```
//!
//! The sockets themselves are passed, the listening one as well, so no connection is refused or closed at any moment. Until
//! YOURS the old hub has changed nothing: after any failure it continues where it stopped, and sends VOID on the lifeline. The
//! lifeline is a pipe of its own, so that this byte always fits. Its end without a byte means that the old hub was killed after
//! it had stopped: the new hub then has the whole state, and serves.
//!
//! The process that starts the new hub holds the socket's lock until that serves, so that no third hub is started and no two
//! upgrades run at once.
//!
//! A hub that can't write the wanted [`FORMAT`] answers with the one it writes. The new hub then asks it to leave ([`LEAVE`]),
//! which ends its streams in good order, and starts without its state. These greetings have the layout of [`Request::Hello`],
//! which never changes, and don't contain [`PROTOCOL`]: if that differs, the old hub answers the pending requests of PHP
//! processes, and their connections are closed instead of passed.
//!
//! [`Request::Hello`]: sse_protocol::wire::Request::Hello
//! [`PROTOCOL`]: sse_protocol::wire::PROTOCOL

pub(crate) mod channel;
pub(crate) mod incoming;
pub(crate) mod launch;
pub(crate) mod outgoing;
pub(crate) mod part;

use std::time::Duration;

/// Version of the snapshots of all modules: raise it with any change there, in
/// [`Delivery`](sse_protocol::wire::Delivery) and in [`framing`](sse_protocol::framing).
pub(crate) const FORMAT: u16 = 26;

/// Magic number in the greeting of a new hub that upgrades ("SSEU"); its `protocol` is a [`FORMAT`].
pub(crate) const TAKE_OVER: u32 = 0x5353_4555;

/// Magic number in the greeting of a new hub that starts without state once the old one has ended ("SSEL").
pub(crate) const LEAVE: u32 = 0x5353_454c;

/// The new hub has received a part.
pub(crate) const GOT: u8 = b'+';

/// The new hub has received everything, and can serve.
pub(crate) const TAKEN: u8 = b'T';

/// The old hub has stopped for good.
pub(crate) const YOURS: u8 = b'Y';

/// The old hub continues.
pub(crate) const VOID: u8 = b'V';

/// How long the old hub waits for each step of the new one: no event is delivered meanwhile.
pub(crate) const SENDER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the new hub waits for the old one: longer, so that the old one decides.
pub(crate) const RECEIVER_TIMEOUT: Duration = Duration::from_secs(10);
