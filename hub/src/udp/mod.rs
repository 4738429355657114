//! Notifications by UDP: any program that can send a datagram (a shell, a database trigger, a daemon in any language) can tell
//! the hub that topics changed.
//!
//! ```text
//! WAKEUP                              everything changed
//! WAKEUP chat.general                 this topic changed
//! WAKEUP chat.general orders.42       these topics changed
//! ```
//!
//! A datagram has at most 1,024 bytes; the hub accepts one trailing line end. From a shell:
//!
//! ```sh
//! echo -n "WAKEUP chat.general" > /dev/udp/127.0.0.1/8099
//! ```
//!
//! With a key (`sse.udp_key`) a datagram must end with its time and its MAC: ` t=` and milliseconds since 1970, then ` h=` and
//! the lower-case hex HMAC-SHA256 of everything before ` h=`. The time may be 30 seconds off, and the hub accepts a datagram
//! once. From a shell, with the key in `$KEY`:
//!
//! ```sh
//! m="WAKEUP chat.general t=$(date +%s%3N)"; printf %s "$m h=$(printf %s "$m" | openssl dgst -sha256 -hmac "$KEY" -r | cut -d' ' -f1)" > /dev/udp/127.0.0.1/8099
//! ```
//!
//! A notification carries no data, so notifications may be merged but never get lost: after the kernel dropped datagrams, the
//! hub notifies all topics once. Without a key it also limits the rate and merges the excess (`pace.rs`).

pub(crate) mod gate;
pub mod notify;
pub(crate) mod pace;
pub(crate) mod snapshot;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;

pub use crate::udp::gate::{DatagramVerdict, Gate, MAX_LEN, WINDOW_MS};

use crate::config::Config;
use crate::sys;
use crate::udp::pace::Pace;

/// Maximum number of datagrams read in one turn.
const DATAGRAMS_A_TURN: usize = 64;

/// Minimum time between notifications for dropped datagrams: a flood of garbage must not become a flood of notifications.
const DROP_WAKE_INTERVAL: Duration = Duration::from_secs(1);

/// Counters of the UDP socket.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UdpStats {
    /// Datagrams of any kind.
    pub(crate) received: u64,
    /// Notifications accepted.
    pub(crate) wakes: u64,
    /// Datagrams that are no notification.
    pub(crate) garbage: u64,
    /// Notifications with a missing or wrong MAC.
    pub(crate) unauthenticated: u64,
    /// Notifications with a MAC used before, or with a time too far off.
    pub(crate) replayed: u64,
    /// Datagrams dropped by the kernel because they came faster than the hub read them.
    pub(crate) dropped: u64,
    /// Notifications delayed or merged by the rate limit, which applies without a key.
    pub(crate) delayed: u64,
}

/// The key and the rate limit of the UDP socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    /// The key that datagrams must be signed with.
    pub(crate) key: Option<&'a [u8]>,
    /// Maximum number of notifications a second, without a key.
    pub(crate) rate: usize,
}

impl<'a> Access<'a> {
    /// Reads both from the settings; an empty key counts as none.
    pub(crate) fn of(config: &'a Config) -> Self {
        Self { key: config.udp_key.as_deref().filter(|key| !key.is_empty()), rate: config.udp_rate }
    }

    fn pace(&self) -> Option<Pace> {
        self.key.is_none().then(|| Pace::new(self.rate))
    }
}

/// The UDP socket, with its checks and counters.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: Socket,
    address: SocketAddr,
    gate: Gate,
    /// The rate limit; `None` with a key: its holders may notify as often as they like.
    pace: Option<Pace>,
    /// Whether the log already says that notifications are delayed.
    told: bool,
    /// The kernel's drop count at the last check.
    drops_seen: u32,
    /// When to notify all topics because of dropped datagrams.
    drop_wake: Option<Instant>,
    drop_woken: Option<Instant>,
    /// Whether the socket may have more datagrams to read.
    pub(crate) ready: bool,
    /// The counters.
    pub(crate) stats: UdpStats,
}

impl Receiver {
    /// Binds a socket to an address.
    pub(crate) fn bind(address: SocketAddr, access: Access<'_>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // IPv4 addresses have a setting of their own.
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self {
            socket,
            address,
            gate: Gate::new(access.key),
            pace: access.pace(),
            told: false,
            drops_seen: 0,
            drop_wake: None,
            drop_woken: None,
            ready: false,
            stats: UdpStats::default(),
        })
    }

    /// The bound address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers the socket for reading.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, Interest::READABLE)
    }

    /// When `receive` has work even if no datagram comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.drop_wake.into_iter().chain(self.pace.as_ref().and_then(Pace::deadline)).min()
    }

    /// Reads a bounded number of datagrams, and calls `wake` with the topics of each accepted one; none means all.
    pub(crate) fn receive(&mut self, now_ms: u64, mut wake: impl FnMut(&[&str])) {
        let now = Instant::now();
        if !self.ready && self.deadline().is_none_or(|at| at > now) {
            return;
        }
        if let Some(pace) = &mut self.pace {
            pace.release(now, &mut wake);
        }
        // One byte more than the maximum, to detect datagrams that are too long.
        let mut buffer = [0; MAX_LEN + 1];
        let mut left = if self.ready { DATAGRAMS_A_TURN } else { 0 };
        while left > 0 {
            left -= 1;
            let len = match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((len, _)) => len,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    self.ready = false;
                    break;
                }
                // An earlier datagram caused this error; more datagrams may be queued.
                Err(_) => continue,
            };
            self.stats.received += 1;
            let count = match self.gate.judge(&buffer[..len], now_ms) {
                DatagramVerdict::Wake(topics) => {
                    match &mut self.pace {
                        None => wake(&topics),
                        Some(pace) => self.stats.delayed += u64::from(!pace.offer(&topics, now, &mut wake)),
                    }
                    &mut self.stats.wakes
                }
                DatagramVerdict::Garbage => &mut self.stats.garbage,
                DatagramVerdict::Unauthenticated => &mut self.stats.unauthenticated,
                DatagramVerdict::Replayed => &mut self.stats.replayed,
            };
            *count += 1;
        }
        self.look_for_drops(now);
        if self.drop_wake.is_some_and(|at| at <= now) {
            self.drop_wake = None;
            self.drop_woken = Some(now);
            match &mut self.pace {
                None => wake(&[]),
                Some(pace) => _ = pace.offer(&[], now, wake),
            }
        }
        self.tell_delayed();
    }

    /// Logs once that the rate limit delays notifications.
    fn tell_delayed(&mut self) {
        if self.stats.delayed > 0 && !std::mem::replace(&mut self.told, true) {
            warn!(
                "sse.udp: wakes come faster than datagrams without a key may wake (everything once a second, one topic ten times, \
                 all together sse.udp_rate times); those beyond are told later and together. Where other users share this \
                 machine, set sse.udp_key: without one anybody may send them"
            );
        }
    }

    fn look_for_drops(&mut self, now: Instant) {
        let drops = sys::dropped_datagrams(self.socket.as_fd()).unwrap_or(self.drops_seen);
        let new = drops.wrapping_sub(self.drops_seen);
        self.drops_seen = drops;
        self.stats.dropped += u64::from(new);
        if new > 0 && self.drop_wake.is_none() {
            self.drop_wake = Some(self.drop_woken.map_or(now, |last| (last + DROP_WAKE_INTERVAL).max(now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn datagrams_are_counted_by_what_they_are() {
        let mut receiver =
            Receiver::bind(([127, 0, 0, 1], 0).into(), Access { key: None, rate: 50 }).expect("a free port");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        for datagram in ["WAKEUP a", "nonsense", "WAKEUP"] {
            sender.send_to(datagram.as_bytes(), receiver.address()).expect("loopback");
        }
        receiver.ready = true;
        let mut woken = Vec::new();
        receiver.receive(0, |topics| woken.push(topics.join(" ")));
        assert_eq!(woken, ["a", ""]);
        assert!(!receiver.ready);
        assert_eq!(receiver.stats, UdpStats { received: 3, wakes: 2, garbage: 1, ..UdpStats::default() });
    }

    /// Notifications may be merged, never lost: not even if no datagram follows the dropped ones.
    #[test]
    fn drops_wake_everything_once() {
        let mut receiver =
            Receiver::bind(([127, 0, 0, 1], 0).into(), Access { key: None, rate: 50 }).expect("a free port");
        receiver.socket.set_recv_buffer_size(1).expect("the smallest there is");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let sent = 500;
        for _ in 0..sent {
            sender.send_to(b"WAKEUP a", receiver.address()).expect("loopback");
        }
        receiver.ready = true;
        let mut all = 0;
        while receiver.ready {
            receiver.receive(0, |topics| all += usize::from(topics.is_empty()));
        }
        assert_eq!(all, 1);
        assert!(receiver.stats.dropped > 0);
        assert_eq!(receiver.stats.dropped + receiver.stats.received, sent);
    }
}
