//! A hub passes everything it has to another one, and no client notices: an upgrade, or other settings.
//!
//! ```text
//!  new hub (receive)                          old hub (send)
//!     │  Hello { TAKE_OVER, FORMAT }             │  serves
//!     │ ───────────────────────────────────────▶ │
//!     │  Welcome { its FORMAT }                  │
//!     │ ◀─────────────────────────────────────── │
//!     │  Wanted { PROTOCOL }                     │
//!     │ ───────────────────────────────────────▶ │  stops: keeper, router, shards (nothing is read or written now)
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
//! The sockets themselves are passed, the listening one as well, so there is no moment at which a connection is refused or
//! closed. Up to YOURS the old hub has changed nothing: whatever fails, it goes on where it stopped, and says VOID on the
//! lifeline. That is a pipe of its own, so that these last words always fit; its end without a word means that the old hub
//! was killed while it did nothing any more, and then what the new one has is all there is: it goes on with it.
//!
//! Whoever starts the new hub holds the socket's lock until it serves, so that no third one is started meanwhile and no two
//! take over at once.
//!
//! A hub that can't write the wanted [`FORMAT`] says which one it writes; the new one then asks it to leave ([`LEAVE`]), which
//! ends its streams in good order, and starts afresh. These greetings have the layout of [`Request::Hello`], which never
//! changes, and say nothing of [`PROTOCOL`]: where that is another one, the connections of PHP processes are not passed but
//! closed, after what they had asked was answered.
//!
//! [`Request::Hello`]: crate::wire::Request::Hello
//! [`PROTOCOL`]: crate::wire::PROTOCOL

pub(crate) mod channel;
pub(crate) mod incoming;
pub(crate) mod outgoing;
pub(crate) mod receive;
pub(crate) mod state;

use std::time::Duration;

/// Version of [`state`], and of all that it is made of: to be raised with any change there, in
/// [`Delivery`](crate::wire::Delivery) and in [`framing`](crate::framing).
pub(crate) const FORMAT: u16 = 1;

/// Begins the greeting of a hub that takes over ("SSEU"); its `protocol` is a [`FORMAT`].
pub(crate) const TAKE_OVER: u32 = 0x5353_4555;

/// Begins the greeting of one that starts afresh once this one has ended ("SSEL").
pub(crate) const LEAVE: u32 = 0x5353_454c;

/// One part has come.
pub(crate) const GOT: u8 = b'+';

/// All has come, and a hub was made of it.
pub(crate) const TAKEN: u8 = b'T';

/// The old hub does nothing any more.
pub(crate) const YOURS: u8 = b'Y';

/// The old hub goes on.
pub(crate) const VOID: u8 = b'V';

/// How long the old hub waits for the new one to do its next step: nothing is delivered meanwhile.
pub(crate) const SENDERS_PATIENCE: Duration = Duration::from_secs(5);

/// How long the new one waits for the old one: longer, so that it is the old one that decides.
pub(crate) const RECEIVERS_PATIENCE: Duration = Duration::from_secs(10);
