//! The first parts of an upgrade, of which there is one each. Times are relative to the moment of sending.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::snapshot::BrokerState;
use crate::udp::notify::NotifyStats;
use crate::udp::snapshot::UdpState;

/// The new hub's request for the state, once the formats match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRequest<'a> {
    /// The new hub's [`PROTOCOL`](sse_protocol::wire::PROTOCOL).
    pub(crate) protocol: u16,
    /// Where the new hub keeps events.
    pub(crate) kept: &'a str,
}

/// State that there is one of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HubState<'a> {
    /// The hub's version, for the log.
    pub(crate) version: &'a str,
    pub(crate) pid: u32,
    /// When the old hub stopped, by the system's monotonic clock.
    pub(crate) stopped: Duration,
    /// How long there has been a hub, over all upgrades.
    pub(crate) uptime: Duration,
    /// Whether there is a foreground process.
    pub(crate) foreground: bool,
    pub(crate) udp: Option<UdpState<'a>>,
    /// Counters of the notification socket.
    pub(crate) notify: Option<NotifyStats>,
    #[serde(borrow)]
    pub(crate) broker: BrokerState<'a>,
    pub(crate) had_owners: bool,
}

#[cfg(test)]
mod tests {
    use serde_bytes::Bytes;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::broker::snapshot::BusState;
    use crate::connection::snapshot::ConnectionState;
    use crate::event::snapshot::{DataState, EventState};
    use crate::http::snapshot::{HttpState, TicketState};
    use crate::presence::PresenceCounts;
    use crate::presence::snapshot::{ElsewhereState, PersonState, PresenceState};
    use crate::quota::QuotaKeyState;
    use crate::render::figures::{RenderCounts, RenderStatsState};
    use crate::render::fingerprint::{Fingerprint, WatchedPatterns};
    use crate::render::http::{fastcgi::FastCgiResponse, http1::Http1Response};
    use crate::render::state::{
        Activity, AddressState, HappenedState, JobState, PendingState, RendersState, ResponseState, RunState,
        ServerState, SubscriberState,
    };
    use crate::stats::ShardCounts;
    use crate::store::history::snapshot::HistoryState;
    use crate::stream::snapshot::{PayloadState, StreamState};
    use crate::udp::UdpStats;
    use crate::upgrade::FORMAT;
    use crate::upgrade::part::{PartKind, UpgradePart};
    use serde::Serialize;
    use sse_protocol::cause::Cause;
    use sse_protocol::id::Id;
    use sse_protocol::stream::StreamSpec;
    use sse_protocol::wire::{self, Delivery, Framing, Reason, TopicsAs};
    use std::net::IpAddr;

    fn bytes(text: &str) -> &Bytes {
        Bytes::new(text.as_bytes())
    }

    fn hub() -> HubState<'static> {
        let counts =
            RenderCounts { done: 1, coalesced: 2, unchanged: 3, failed: 4, timed_out: 5, denied: 6, refused: 7 };
        let figures =
            RenderStatsState { counts, took: vec![(8, 9)], buckets: vec![(10, 11)], sum: Duration::from_secs(12) };
        let udp = UdpState {
            address: ([127, 0, 0, 1], 80).into(),
            drops_seen: 1,
            drop_wake: Some(Duration::from_secs(2)),
            seen: vec![(3, bytes("code"))],
            stats: UdpStats {
                received: 4,
                wakes: 5,
                garbage: 6,
                unauthenticated: 7,
                replayed: 8,
                dropped: 9,
                delayed: 10,
            },
            told: true,
        };
        let history = HistoryState {
            began: Id { ms: 1, seq: 2 },
            whole: true,
            forgotten: Id::default(),
            own_forgotten: Id::default(),
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
            foreground: true,
            udp: Some(udp),
            notify: Some(NotifyStats { received: 1, wakes: 2, garbage: 3, refused: 4 }),
            broker: BrokerState {
                upgrades: 4,
                stream_key: [7; 16],
                counts: Default::default(),
                shards: ShardCounts { opened: 1, ended: vec![("slow", 2)], ..Default::default() },
                clock: Id::default(),
                unread: "id",
                history,
                written: Default::default(),
                bus: BusState { loaded: true, position: Id::default(), place: None, hub: 6 },
                renders: RendersState { queue: vec![(1, 2)], serials: 3, figures },
                retained_dropped: 1,
                key_counts: Default::default(),
                keys: vec![("key", Id { ms: 1, seq: 2 }, "id")],
                presence: PresenceCounts { joins: 4, leaves: 5 },
            },
            had_owners: true,
        }
    }

    fn stream() -> StreamState<'static> {
        let queue = vec![
            PayloadState::Event(1),
            PayloadState::Frames(2),
            PayloadState::LatestFrames(2, "a"),
            PayloadState::Gap(3),
            PayloadState::Trigger("a"),
            PayloadState::Lines("retry: 1\n\n"),
            PayloadState::Wake,
            PayloadState::Heartbeat,
            PayloadState::End,
            PayloadState::Pause(5),
            PayloadState::Padding(6),
        ];
        StreamState {
            client: 7,
            id: 1,
            patterns: vec!["a.*"],
            spec: StreamSpec {
                heartbeat: 2,
                retry: 5,
                max_lifetime: 6,
                topics_as: Some(TopicsAs::Field),
                cursor: true,
                stream_id: true,
                opens: true,
                finishes: true,
                spread: 7,
                long_poll: true,
                pad: 8,
            },
            age: 7,
            sent: 8,
            silent: 3,
            followed: true,
            ends: Some(4),
            closing: Some("lifetime"),
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

    /// A stream with presence, a member, and a subscription to be told of.
    fn presence() -> Vec<PresenceState<'static>> {
        let person = || PersonState { id: "u", info: "{}", charge: Some((Some([192, 0, 2, 7].into()), 8)) };
        let leaves = Some(Duration::from_secs(9));
        vec![
            PresenceState::Stream { id: 1, person: Some(person()), topics: vec!["a"], events: true },
            PresenceState::Member {
                topic: "a",
                person: person(),
                since: 2,
                newest: 3,
                elsewhere: Some(ElsewhereState { info: "[]", since: 4, newest: 5, streams: 6 }),
                leaves,
                told: true,
            },
            PresenceState::Subscription { pattern: "$mercure.match.a", person: person(), active: true },
        ]
    }

    /// A hub of another version would misread a changed layout with the same number.
    #[test]
    fn the_format_never_changes_without_its_number() {
        let event = |data| EventState {
            id: "i",
            topics: vec!["a"],
            event_type: Some("n"),
            retry: Some(1),
            finishes: true,
            latest: true,
            spread: 5,
            traceparent: Some("t"),
            frame: bytes("data: x\n\n"),
            data,
        };
        let server = |address| ServerState {
            address,
            proved: true,
            probed: false,
            silences: 1,
            waiting: vec![(2, 3)],
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
        fn part(kind: PartKind, content: &impl Serialize) -> Vec<u8> {
            wire::encode(&(kind, content))
        }
        let parts = [
            part(PartKind::No, &"reason"),
            part(PartKind::Hub, &hub()),
            part(PartKind::Owners, &vec![(1_u32, bytes("title"))]),
            part(PartKind::Events, &vec![event(DataState::InFrame(6, 7)), event(DataState::Beside(bytes("x")))]),
            part(PartKind::Blobs, &vec![bytes("blob")]),
            part(PartKind::Stored, &vec![(Id { ms: 1, seq: 2 }, 3_u32)]),
            part(PartKind::Finished, &vec![("a", Id { ms: 1, seq: 2 }, 3_u32)]),
            part(PartKind::Retained, &vec![(Id { ms: 1, seq: 2 }, 3_u32, vec!["a"])]),
            part(PartKind::Streams, &vec![stream()]),
            part(
                PartKind::Quota,
                &vec![(1_u64, vec![QuotaKeyState::Address([192, 0, 2, 7].into()), QuotaKeyState::User("u")])],
            ),
            part(PartKind::Charges, &vec![(1_u64, Some(IpAddr::from([192, 0, 2, 7])), 2_u64), (3, None, 4)]),
            part(PartKind::Presence, &presence()),
            part(PartKind::Connections, &vec![connection]),
            part(
                PartKind::Servers,
                &vec![server(AddressState::Unix(bytes("/s"))), server(AddressState::Internet(([0; 16], 1).into()))],
            ),
            part(PartKind::Jobs, &vec![job()]),
            part(
                PartKind::Runs,
                &vec![
                    run(ResponseState::FastCgi(FastCgiResponse::default())),
                    run(ResponseState::Http(Http1Response::default())),
                ],
            ),
            part(PartKind::Http, &HttpState { place: Some("unix:/s"), unknown: 1 }),
            part(PartKind::Requests, &vec![bytes("GET /")]),
            part(
                PartKind::Tickets,
                &vec![TicketState {
                    name: "t",
                    stream: 1,
                    client: Some([192, 0, 2, 7].into()),
                    headers: bytes("A: b\r\n"),
                    left: Duration::from_secs(2),
                }],
            ),
            part(PartKind::End, &()),
        ];
        let hub = UpgradePart::of(&parts[1][wire::PREFIX..]).expect("a part");
        let read: HubState<'_> = hub.read().expect("what is written can be read");
        assert_eq!((hub.kind, read.version), (PartKind::Hub, "1.2.3"));
        let mut hash = Sha256::new();
        hash.update(wire::encode(&StateRequest { protocol: 1, kept: "memory" }));
        for part in &parts {
            hash.update(part);
        }
        // An upgrade may come when a reader has half of such a message.
        let delivery =
            Delivery::Event { id: "i", topics: vec!["a"], event_type: Some("n"), data: b"x", traceparent: Some("t") };
        hash.update(wire::encode(&delivery));
        hash.update(wire::encode(&Delivery::Trigger { topic: "a" }));
        let found: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((FORMAT, found.as_str()), (26, "5aa046798d6038df"), "raise FORMAT, and say here what it is now");
    }
}
