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
pub(crate) mod foreground;
pub(crate) mod incoming;
pub(crate) mod launch;
pub(crate) mod outgoing;
pub(crate) mod receive;
pub(crate) mod state;

use std::time::Duration;

/// Version of [`state`] and of all its types: raise it with any change there, in
/// [`Delivery`](sse_protocol::wire::Delivery) and in [`framing`](sse_protocol::framing).
pub(crate) const FORMAT: u16 = 5;

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
pub(crate) const SENDERS_PATIENCE: Duration = Duration::from_secs(5);

/// How long the new hub waits for the old one: longer, so that the old one decides.
pub(crate) const RECEIVERS_PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use serde_bytes::Bytes;
    use sha2::{Digest, Sha256};

    use super::state::*;
    use super::*;
    use crate::render::fingerprint::{Fingerprint, WatchedPatterns};
    use crate::render::http::{fastcgi, http1};
    use crate::udp::notify::NotifyStats;
    use sse_protocol::cause::Cause;
    use sse_protocol::id::Id;
    use sse_protocol::wire::{self, Delivery, Framing, Reason, TopicsAs};

    fn bytes(text: &str) -> &Bytes {
        Bytes::new(text.as_bytes())
    }

    fn hub() -> HubState<'static> {
        let figures = RenderStatsState {
            done: 1,
            coalesced: 2,
            unchanged: 3,
            failed: 4,
            timed_out: 5,
            denied: 6,
            refused: 7,
            took: vec![(8, 9)],
            buckets: vec![(10, 11)],
            sum: Duration::from_secs(12),
        };
        let udp = UdpState {
            address: ([127, 0, 0, 1], 80).into(),
            drops_seen: 1,
            drop_wake: Some(Duration::from_secs(2)),
            seen: vec![(3, bytes("code"))],
            received: 4,
            wakes: 5,
            garbage: 6,
            unauthenticated: 7,
            replayed: 8,
            dropped: 9,
            delayed: 10,
            told: true,
        };
        let history = HistoryState {
            began: Id { ms: 1, seq: 2 },
            whole: true,
            forgotten: Id::default(),
            newest: Id::default(),
            topics: vec![("a", Id::default())],
            gaps: 3,
            resumed: 4,
        };
        HubState {
            version: "1.2.3",
            pid: 1,
            stopped: Duration::from_secs(2),
            uptime: Duration::from_secs(3),
            upgrades: 4,
            foreground: true,
            udp: Some(udp),
            notify: Some(NotifyStats { received: 1, wakes: 2, garbage: 3, refused: 4 }),
            counts: Default::default(),
            shards: ShardCounts { opened: 1, ended: vec![("slow", 2)], ..Default::default() },
            clock: Id::default(),
            unread: "id",
            history,
            written: Default::default(),
            bus: BusState { loaded: true, position: Id::default(), place: None },
            renders: RendersState { queue: vec![(1, 2)], serials: 3, figures },
            had_owners: true,
        }
    }

    fn stream() -> StreamState<'static> {
        let queue = vec![
            PayloadState::Event(1),
            PayloadState::Frames(2),
            PayloadState::Gap(3),
            PayloadState::Trigger("a"),
            PayloadState::Lines("retry: 1\n\n"),
            PayloadState::Wake,
            PayloadState::Heartbeat,
            PayloadState::End,
        ];
        StreamState {
            client: 7,
            id: 1,
            patterns: vec!["a.*"],
            heartbeat: 2,
            silent: 3,
            followed: true,
            opened: true,
            ends: Some(4),
            closing: Some("lifetime"),
            topics_as: Some(TopicsAs::Field),
            retry: 5,
            framing: Some(Framing::FastCgi { request: 6 }),
            offset: 7,
            queue,
            pending: vec!["b"],
        }
    }

    fn pending() -> PendingState<'static> {
        PendingState { kept: vec![HappenedState::Event(1), HappenedState::Trigger("a")], missing: true }
    }

    fn job() -> JobState<'static> {
        let subscriber = SubscriberState {
            stream: 1,
            whose: 1,
            open: true,
            script: "/a.php",
            remote: Some(("192.0.2.7", "5000")),
            last_event_id: Some("7"),
            fields: vec![2],
            body: Some(bytes("b")),
            http: Some(("GET", "/")),
            client: Some([192, 0, 2, 7].into()),
        };
        JobState {
            key: 1,
            serial: 2,
            subscribers: vec![subscriber],
            upstream: 3,
            share: Some("s"),
            render: true,
            patterns: vec!["a"],
            watched: WatchedPatterns::These(Fingerprint::of(b"watched")),
            pending: pending(),
            due: Some(Reason::Poll),
            activity: Activity::Queued,
            failures: 5,
            not_before: Some(Duration::from_secs(6)),
            last_run: Some(Duration::from_secs(7)),
            only_changes: true,
            poll: None,
            reauthorize: None,
            sent: Some(Fingerprint::of(b"sent")),
            output: Some(9),
            last_id: Some("i"),
            client: None,
        }
    }

    fn run(response: ResponseState) -> RunState<'static> {
        RunState {
            out: bytes("request"),
            sent: 1,
            response,
            heard: true,
            token: "t",
            claimed: Some(5),
            job: Some((2, 3)),
            wanted: true,
            stream: 4,
            whose: 1,
            script: "/a.php",
            upstream: 5,
            started: Duration::from_secs(6),
            deadline: Duration::from_secs(7),
            reached: true,
            arrived: true,
            late: false,
            rendered: false,
            taken: Some(pending()),
            reason: Some("r"),
        }
    }

    /// A hub of another version would misread a changed layout with the same number.
    #[test]
    fn the_format_never_changes_without_its_number() {
        let event = |data| EventState {
            id: "i",
            topics: vec!["a"],
            name: Some("n"),
            retry: Some(1),
            frame: bytes("data: x\n\n"),
            data,
        };
        let server = |address| ServerState {
            address,
            proved: true,
            probed: false,
            silences: 1,
            parked: vec![(2, 3)],
            paused: Some(Duration::from_secs(4)),
            pauses: 5,
            refused: Some((Duration::from_secs(6), Cause::Load, "why")),
        };
        let connection = ConnectionState {
            serial: 7,
            pid: -1,
            uid: 2,
            gid: 3,
            greeted: true,
            refused: false,
            held: vec![4],
            outbox: bytes("out"),
            decoder: bytes("in"),
            arrivals: vec![(5, 6, true)],
        };
        let parts = [
            Part::No("reason"),
            Part::Hub(Box::new(hub())),
            Part::Owners(vec![1]),
            Part::Events(vec![event(DataState::InFrame(6, 7)), event(DataState::Beside(bytes("x")))]),
            Part::Blobs(vec![bytes("blob")]),
            Part::Stored(vec![(Id { ms: 1, seq: 2 }, 3)]),
            Part::Streams(vec![stream()]),
            Part::Quota(vec![(1, vec![QuotaKeyState::Address([192, 0, 2, 7].into()), QuotaKeyState::User("u")])]),
            Part::Charges(vec![(1, Some([192, 0, 2, 7].into()), 2), (3, None, 4)]),
            Part::Connections(vec![connection]),
            Part::Servers(vec![
                server(AddressState::Unix(bytes("/s"))),
                server(AddressState::Internet(([0; 16], 1).into())),
            ]),
            Part::Jobs(vec![job()]),
            Part::Runs(vec![
                run(ResponseState::FastCgi(fastcgi::Response::default())),
                run(ResponseState::Http(http1::Response::default())),
            ]),
            Part::End,
        ];
        let mut hash = Sha256::new();
        hash.update(wire::encode(&Wanted { protocol: 1, kept: "memory" }));
        for part in &parts {
            let message = wire::encode(part);
            let _: Part<'_> = wire::decode(&message[wire::PREFIX..]).expect("what is written can be read");
            hash.update(message);
        }
        // An upgrade may come when a reader has half of such a message.
        let delivery = Delivery::Event { id: "i", topics: vec!["a"], name: Some("n"), data: b"x" };
        hash.update(wire::encode(&delivery));
        hash.update(wire::encode(&Delivery::Trigger { topic: "a" }));
        let found: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((FORMAT, found.as_str()), (5, "20e255a34377e021"), "raise FORMAT, and say here what it is now");
    }
}
