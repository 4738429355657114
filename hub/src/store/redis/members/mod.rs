//! Presence of several hubs: each tells the others who is there, by Redis.
//!
//! ```text
//! sse:presence            set: the hubs that have told something, by their numbers
//! sse:presence:HUB        hash: "TOPIC ID" → [info, since, newest, streams], and " " → the marker; expires without its hub
//! PUBLISH sse:presence    what has changed, and that a hub is still there
//! ```
//!
//! Each change has a number, which stands in the hash's marker and in the message, and goes to both in one step. A hub that reads
//! the hash, or misses a number, reads it all (again) and then goes on with the messages. A hub whose connection has begun, whose
//! hash is not what it wrote, or for which so much has changed that it does not know any more who has left, writes all of it anew
//! beside the old one, which it then replaces.

pub(crate) mod message;
pub(crate) mod others;
pub(crate) mod outbox;
pub(crate) mod reader;
pub(crate) mod state;
pub(crate) mod writer;

use std::sync::Arc;
use std::time::Duration;

use crate::config::bus_address::BusAddress;
use crate::presence::member::Elsewhere;
use crate::store::redis::hub_name::name;
use crate::store::redis::lead::Lead;
use crate::store::redis::members::outbox::MemberOutbox;
use crate::store::redis::members::state::MemberStats;
use crate::store::redis::pause::Pause;

/// What a bus begins with.
#[derive(Debug)]
pub(crate) struct PresenceStart {
    /// The number by which other hubs know this one; an upgrade passes it on.
    pub(crate) hub: u64,
    /// What the others have told before.
    pub(crate) known: KnownMembers,
}

/// Topics, and users who are at other hubs.
pub(crate) type KnownMembers = Vec<(Arc<str>, Arc<Elsewhere>)>;

/// What the threads of presence share.
#[derive(Debug)]
pub(crate) struct MemberContext {
    pub(crate) hub: u64,
    pub(crate) outbox: MemberOutbox,
    pub(crate) stats: MemberStats,
    /// Changes on their way to the ordering thread.
    pub(crate) lead: Lead,
    /// After which time a hub that says nothing counts as gone.
    pub(crate) ttl: Duration,
    /// How long the users of a hub that ends in good order stay.
    pub(crate) grace: Duration,
    /// Most bytes of other hubs' members.
    pub(crate) limit: usize,
}

impl MemberContext {
    /// Time between two signs of life.
    pub(crate) fn interval(&self) -> Duration {
        self.ttl / 4
    }
}

/// How long a user who lacks rights waits before the next attempt.
const REFUSED: Duration = Duration::from_secs(5);

/// How long to wait after this problem.
fn pause(why: &str, pause: &mut Pause) -> Duration {
    if why.contains("NOPERM") { REFUSED } else { pause.next() }
}

/// The channel, and the set of hubs.
pub(crate) fn channel(address: &BusAddress) -> String {
    address.beside("presence")
}

/// The hash of a hub.
pub(crate) fn hash(address: &BusAddress, hub: u64) -> String {
    format!("{}:{}", channel(address), name(hub))
}
