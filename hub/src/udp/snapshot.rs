//! The UDP socket's state for an upgrade; queued datagrams stay in the socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use serde_bytes::Bytes;
use socket2::Socket;

use crate::udp::pace::Pace;
use crate::udp::{Access, Gate, Receiver, UdpStats};
use crate::upgrade::incoming::wrong;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// State of the UDP socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UdpState<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) drops_seen: u32,
    /// Time until all topics must be notified because of dropped datagrams.
    pub(crate) drop_wake: Option<Duration>,
    /// MACs that were used, with the time until which they must not be used again.
    #[serde(borrow)]
    pub(crate) seen: Vec<(u64, &'a Bytes)>,
    pub(crate) stats: UdpStats,
    /// Whether the log says that notifications are delayed.
    pub(crate) told: bool,
}

impl Receiver {
    /// State to pass to the new hub; the socket is passed beside it.
    pub(crate) fn state(&self) -> UdpState<'_> {
        let Self { socket: _, address, gate, pace, told, drops_seen, drop_wake, drop_woken: _, ready: _, stats } = self;
        // One notification of all topics replaces what is held back.
        let held = pace.as_ref().is_some_and(Pace::has_held);
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        UdpState {
            address: *address,
            drops_seen: *drops_seen,
            drop_wake: if held { Some(Duration::ZERO) } else { drop_wake.map(left) },
            told: *told,
            seen: gate.used().map(|(until, code)| (until, Bytes::new(code))).collect(),
            stats: *stats,
        }
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Restores the receiver in the new hub, with that hub's own key and rate.
    pub(crate) fn inherit(state: &UdpState<'_>, socket: OwnedFd, access: Access<'_>) -> io::Result<Self> {
        let mut gate = Gate::new(access.key);
        for (until, code) in &state.seen {
            gate.use_up(*until, code).ok_or_else(|| wrong("a code"))?;
        }
        let UdpState { address, drops_seen, drop_wake, stats, told, .. } = *state;
        Ok(Self {
            socket: Socket::from(socket),
            address,
            gate,
            pace: access.pace(),
            told,
            drops_seen,
            drop_wake: drop_wake.map(|left| Instant::now() + left),
            drop_woken: None,
            ready: true,
            stats,
        })
    }
}
