//! Wakes by datagram: anything that can send UDP, a shell, a database's trigger, a daemon in any language, can tell the hub
//! that something changed.
//!
//! ```text
//! WAKEUP                              everything changed
//! WAKEUP chat.general                 this topic changed
//! WAKEUP chat.general orders.42       these topics changed
//! ```
//!
//! A datagram has at most 1,024 bytes; one line end after it is tolerated. From a shell:
//!
//! ```sh
//! echo -n "WAKEUP chat.general" > /dev/udp/127.0.0.1/8099
//! ```
//!
//! With a key (`sse.udp_key`) a datagram only counts if it ends with its time and its code: ` t=` and milliseconds since
//! 1970, then ` h=` and the lower-case hex HMAC-SHA256 of everything before ` h=`. The time may be 30 seconds off, and a
//! datagram counts once. From a shell, with the key in `$KEY`:
//!
//! ```sh
//! m="WAKEUP chat.general t=$(date +%s%3N)"; printf %s "$m h=$(printf %s "$m" | openssl dgst -sha256 -hmac "$KEY" -r | cut -d' ' -f1)" > /dev/udp/127.0.0.1/8099
//! ```
//!
//! A wake carries no data, so wakes may be merged but never get lost: where the kernel had to drop datagrams, everything is
//! woken once. Without a key they are merged as well where they come too often (`pace.rs`).

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
use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;

pub use crate::udp::gate::{Gate, MAX_LEN, Verdict, WINDOW_MS};

use crate::config::Config;
use crate::sys;
use crate::udp::pace::Pace;

/// Datagrams read before others get their turn.
const DATAGRAMS_A_TURN: usize = 64;

/// Dropped datagrams wake everything at most so often, or a flood of garbage would be a flood of wakes.
const DROP_WAKE_INTERVAL: Duration = Duration::from_secs(1);

/// What was received.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct UdpStats {
    /// Datagrams of any kind.
    pub(crate) received: u64,
    /// Wakes that were taken.
    pub(crate) wakes: u64,
    /// Datagrams that are no wakes.
    pub(crate) garbage: u64,
    /// Without a code, or with a wrong one.
    pub(crate) unauthenticated: u64,
    /// With a code that was used before, or a time too far away.
    pub(crate) replayed: u64,
    /// Dropped by the kernel because they came faster than they were read.
    pub(crate) dropped: u64,
    /// Wakes that were told later, or with others, as they came too often without a key.
    pub(crate) delayed: u64,
}

/// Who may wake, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    /// The key that datagrams have to be signed with.
    pub(crate) key: Option<&'a [u8]>,
    /// Without one, wakes a second at most.
    pub(crate) rate: usize,
}

impl<'a> Access<'a> {
    /// As the settings say.
    pub(crate) fn of(config: &'a Config) -> Self {
        Self { key: config.udp_key.as_deref().filter(|key| !key.is_empty()), rate: config.udp_rate }
    }

    fn pace(&self) -> Option<Pace> {
        self.key.is_none().then(|| Pace::new(self.rate))
    }
}

/// The socket that wakes come to.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: Socket,
    address: SocketAddr,
    gate: Gate,
    /// How often it wakes; `None`: there is a key, so that it is up to those who have it.
    pace: Option<Pace>,
    /// The log was told that datagrams are held back.
    told: bool,
    /// The kernel's count of drops when it was looked at last.
    drops_seen: u32,
    /// When to wake everything for datagrams that were dropped.
    drop_wake: Option<Instant>,
    drop_woken: Option<Instant>,
    /// There may be more datagrams to read.
    pub(crate) ready: bool,
    /// The counters.
    pub(crate) stats: UdpStats,
}

impl Receiver {
    /// Listens at an address.
    pub(crate) fn bind(address: SocketAddr, access: Access<'_>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // An IPv4 address has a setting of its own.
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

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Watches its socket.
    pub(crate) fn register(&self, token: Token, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, Interest::READABLE)
    }

    /// When there is something to do even if no datagram comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.drop_wake.into_iter().chain(self.pace.as_ref().and_then(Pace::deadline)).min()
    }

    /// Reads a bounded number of datagrams, and calls `wake` with the topics of each that counts; none means all.
    pub(crate) fn receive(&mut self, now_ms: u64, mut wake: impl FnMut(&[&str])) {
        let now = Instant::now();
        if !self.ready && self.deadline().is_none_or(|at| at > now) {
            return;
        }
        if let Some(pace) = &mut self.pace {
            pace.release(now, &mut wake);
        }
        // A byte more than allowed, to tell what is too long.
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
                // An error that an earlier datagram caused; there may be datagrams behind it.
                Err(_) => continue,
            };
            self.stats.received += 1;
            let count = match self.gate.judge(&buffer[..len], now_ms) {
                Verdict::Wake(topics) => {
                    match &mut self.pace {
                        None => wake(&topics),
                        Some(pace) => self.stats.delayed += u64::from(!pace.offer(&topics, now, &mut wake)),
                    }
                    &mut self.stats.wakes
                }
                Verdict::Garbage => &mut self.stats.garbage,
                Verdict::Unauthenticated => &mut self.stats.unauthenticated,
                Verdict::Replayed => &mut self.stats.replayed,
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

    /// Tells the operator once that wakes come later than they could.
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

    /// A nudge may be merged, never lost: also when nothing follows the datagrams that were dropped.
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
