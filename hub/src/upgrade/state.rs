//! The state that the old hub passes to the new one, in its wire format. Times are relative to the moment of sending.
//!
//! All types here are [`FORMAT`](crate::upgrade::FORMAT): any field added or removed makes another format.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::broker::Counts;
use crate::render::fingerprint::{Fingerprint, WatchedPatterns};
use crate::render::http::{fastcgi, http1};
use crate::store::redis::Place;
use crate::store::sqlite::Written;
use crate::udp::notify::NotifyStats;
use sse_protocol::cause::Cause;
use sse_protocol::id::Id;
use sse_protocol::wire::{Framing, Reason, TopicsAs};

/// The new hub's request for the state, once the formats match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted<'a> {
    /// The new hub's [`PROTOCOL`](sse_protocol::wire::PROTOCOL).
    pub(crate) protocol: u16,
    /// Where the new hub keeps events.
    pub(crate) kept: &'a str,
}

/// A part of the state. What it refers to by number came in an earlier part.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Part<'a> {
    /// Instead of all others: why this hub refuses an upgrade.
    No(&'a str),
    /// The first part. Descriptors: the lifeline, the listening socket; the UDP socket; the notification socket; the link to
    /// the foreground process and that one's standard error.
    Hub(#[serde(borrow)] Box<HubState<'a>>),
    /// Ids of processes whose end is the end of the hub. Descriptors: a pidfd each.
    Owners(Vec<u32>),
    /// Events that other parts refer to, numbered from 0 over all these parts.
    Events(#[serde(borrow)] Vec<EventState<'a>>),
    /// Blobs that other parts refer to, numbered as well.
    Blobs(#[serde(borrow)] Vec<&'a Bytes>),
    /// Events of the history in order: stamp and number.
    Stored(Vec<(Id, u32)>),
    /// Streams. Descriptors: a connection each.
    Streams(#[serde(borrow)] Vec<StreamState<'a>>),
    /// Streams that count for a quota, with their keys.
    Quota(#[serde(borrow)] Vec<(u64, Vec<QuotaKeyState<'a>>)>),
    /// Streams, their clients, and the bytes charged for each subscription.
    Charges(Vec<(u64, Option<IpAddr>, u64)>),
    /// Connections of PHP processes. Descriptors: of each its socket, then those of its arrivals.
    Connections(#[serde(borrow)] Vec<ConnectionState<'a>>),
    /// Upstreams, numbered in this order.
    Servers(#[serde(borrow)] Vec<ServerState<'a>>),
    /// Render jobs.
    Jobs(#[serde(borrow)] Vec<JobState<'a>>),
    /// Attempts under way. Descriptors: a connection each.
    Runs(#[serde(borrow)] Vec<RunState<'a>>),
    /// The last part.
    End,
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
    /// Number of upgrades before.
    pub(crate) upgrades: u64,
    /// Whether there is a foreground process.
    pub(crate) foreground: bool,
    pub(crate) udp: Option<UdpState<'a>>,
    /// Counters of the notification socket.
    pub(crate) notify: Option<NotifyStats>,
    /// Counters of the ordering thread.
    pub(crate) counts: Counts,
    pub(crate) shards: ShardCounts<'a>,
    /// The last stamp given.
    pub(crate) clock: Id,
    /// Id that stands for the newest one of a bus that is not read yet.
    pub(crate) unread: &'a str,
    pub(crate) history: HistoryState<'a>,
    /// What was written to the history's file.
    pub(crate) written: Written,
    pub(crate) bus: BusState,
    pub(crate) renders: RendersState,
    pub(crate) had_owners: bool,
}

/// Counters of all shards together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardCounts<'a> {
    pub(crate) opened: u64,
    pub(crate) ended_held: u64,
    /// By reason.
    #[serde(borrow)]
    pub(crate) ended: Vec<(&'a str, u64)>,
    pub(crate) delivered: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) heartbeats: u64,
}

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
    pub(crate) received: u64,
    pub(crate) wakes: u64,
    pub(crate) garbage: u64,
    pub(crate) unauthenticated: u64,
    pub(crate) replayed: u64,
    pub(crate) dropped: u64,
    pub(crate) delayed: u64,
    /// Whether the log says that notifications are delayed.
    pub(crate) told: bool,
}

/// How far the bus was read and delivered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BusState {
    /// Whether it was read at all.
    pub(crate) loaded: bool,
    pub(crate) position: Id,
    pub(crate) place: Option<Place>,
}

/// State of the history beside its events.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HistoryState<'a> {
    pub(crate) began: Id,
    pub(crate) whole: bool,
    pub(crate) forgotten: Id,
    pub(crate) newest: Id,
    #[serde(borrow)]
    pub(crate) topics: Vec<(&'a str, Id)>,
    pub(crate) gaps: u64,
    pub(crate) resumed: u64,
}

/// An event. Its bytes are passed as they are: a stream may have written some of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EventState<'a> {
    pub(crate) id: &'a str,
    #[serde(borrow)]
    pub(crate) topics: Vec<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) retry: Option<u32>,
    pub(crate) frame: &'a Bytes,
    pub(crate) data: DataState<'a>,
}

/// Where an event's data is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum DataState<'a> {
    /// Byte range within the frame: from, to.
    InFrame(u64, u64),
    Beside(#[serde(borrow)] &'a Bytes),
}

/// A stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StreamState<'a> {
    pub(crate) id: u64,
    /// Number for the client's address; 0: unknown.
    pub(crate) client: u64,
    #[serde(borrow)]
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) heartbeat: u32,
    /// Seconds since the last write.
    pub(crate) silent: u32,
    pub(crate) followed: bool,
    /// Whether the worker sends the first lines.
    pub(crate) opened: bool,
    /// Seconds until the stream's lifetime ends.
    pub(crate) ends: Option<u32>,
    /// Why the stream ends once its queue is written.
    pub(crate) closing: Option<&'a str>,
    pub(crate) topics_as: Option<TopicsAs>,
    pub(crate) retry: u32,
    /// `None`: held, as the worker still sends the headers.
    pub(crate) framing: Option<Framing>,
    /// Framed bytes of the first payload that are written.
    pub(crate) offset: u64,
    pub(crate) queue: Vec<PayloadState<'a>>,
    /// Topics that changed while the client was behind.
    pub(crate) pending: Vec<&'a str>,
}

/// An entry of a stream's queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PayloadState<'a> {
    /// The number of an event.
    Event(u32),
    /// The number of a blob.
    Frames(u32),
    /// The number of a blob.
    Gap(u32),
    Trigger(&'a str),
    Lines(&'a str),
    Wake,
    Heartbeat,
    End,
}

/// Whose streams are counted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum QuotaKeyState<'a> {
    Address(IpAddr),
    User(&'a str),
}

/// A connection of a PHP process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ConnectionState<'a> {
    /// Unique number of the connection.
    pub(crate) serial: u64,
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) greeted: bool,
    pub(crate) refused: bool,
    pub(crate) held: Vec<u64>,
    #[serde(borrow)]
    pub(crate) outbox: &'a Bytes,
    pub(crate) decoder: &'a Bytes,
    /// Byte range within `decoder` that a descriptor came with; false: it could not be received.
    pub(crate) arrivals: Vec<(u64, u64, bool)>,
}

/// An upstream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServerState<'a> {
    #[serde(borrow)]
    pub(crate) address: AddressState<'a>,
    pub(crate) proved: bool,
    pub(crate) probed: bool,
    pub(crate) silences: u32,
    pub(crate) parked: Vec<(u32, u64)>,
    pub(crate) paused: Option<Duration>,
    pub(crate) pauses: u32,
    pub(crate) refused: Option<(Duration, Cause, &'a str)>,
}

/// Address of an upstream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum AddressState<'a> {
    Unix(#[serde(borrow)] &'a Bytes),
    Internet(SocketAddr),
}

/// State that all render jobs share.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RendersState {
    /// Jobs in the queue, by key and serial.
    pub(crate) queue: Vec<(u32, u64)>,
    pub(crate) serials: u64,
    pub(crate) figures: RenderStatsState,
}

/// Counters of renders.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RenderStatsState {
    pub(crate) done: u64,
    pub(crate) coalesced: u64,
    pub(crate) unchanged: u64,
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) denied: u64,
    pub(crate) refused: u64,
    /// Durations: microseconds and count.
    pub(crate) took: Vec<(u64, u64)>,
    /// Counts by upper bounds, in microseconds.
    pub(crate) buckets: Vec<(u64, u64)>,
    /// Sum of all durations.
    pub(crate) sum: Duration,
}

/// A render job: streams that get the same output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobState<'a> {
    pub(crate) key: u32,
    pub(crate) serial: u64,
    #[serde(borrow)]
    pub(crate) subscribers: Vec<SubscriberState<'a>>,
    pub(crate) upstream: u32,
    pub(crate) share: Option<&'a str>,
    pub(crate) render: bool,
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) watched: WatchedPatterns,
    pub(crate) pending: PendingState<'a>,
    pub(crate) due: Option<Reason>,
    pub(crate) activity: Activity,
    pub(crate) failures: u32,
    /// Time until it may run again.
    pub(crate) not_before: Option<Duration>,
    /// Time since its last run.
    pub(crate) last_run: Option<Duration>,
    pub(crate) only_changes: bool,
    pub(crate) poll: Option<Duration>,
    pub(crate) reauthorize: Option<Duration>,
    pub(crate) sent: Option<Fingerprint>,
    /// The number of a blob.
    pub(crate) output: Option<u32>,
    pub(crate) last_id: Option<&'a str>,
    /// Client charged in sse.render_bytes.
    pub(crate) client: Option<IpAddr>,
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Activity {
    Resting,
    Queued,
    Running,
}

/// A stream of a render job, and the request that opened it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SubscriberState<'a> {
    pub(crate) stream: u64,
    /// Hash of the client, for fair turns.
    pub(crate) whose: u64,
    pub(crate) open: bool,
    pub(crate) script: &'a str,
    pub(crate) remote: Option<(&'a str, &'a str)>,
    pub(crate) last_event_id: Option<&'a str>,
    /// Numbers of blobs.
    pub(crate) fields: Vec<u32>,
    #[serde(borrow)]
    pub(crate) body: Option<&'a Bytes>,
    pub(crate) http: Option<(&'a str, &'a str)>,
    /// Client charged in sse.render_bytes.
    pub(crate) client: Option<IpAddr>,
}

/// Events and notifications since the last callback.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PendingState<'a> {
    #[serde(borrow)]
    pub(crate) kept: Vec<HappenedState<'a>>,
    pub(crate) missing: bool,
}

/// An event or a notification.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum HappenedState<'a> {
    /// The number of an event.
    Event(u32),
    Trigger(&'a str),
}

/// An attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunState<'a> {
    #[serde(borrow)]
    pub(crate) out: &'a Bytes,
    pub(crate) sent: u64,
    pub(crate) response: ResponseState,
    pub(crate) heard: bool,
    pub(crate) token: &'a str,
    /// Serial of the connection that came with the token.
    pub(crate) claimed: Option<u64>,
    pub(crate) job: Option<(u32, u64)>,
    pub(crate) wanted: bool,
    pub(crate) stream: u64,
    pub(crate) whose: u64,
    pub(crate) script: &'a str,
    pub(crate) upstream: u32,
    /// Time since it began.
    pub(crate) started: Duration,
    /// Time until it counts as failed.
    pub(crate) deadline: Duration,
    pub(crate) reached: bool,
    pub(crate) arrived: bool,
    pub(crate) late: bool,
    pub(crate) rendered: bool,
    pub(crate) taken: Option<PendingState<'a>>,
    pub(crate) reason: Option<&'a str>,
}

/// What has arrived of a response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ResponseState {
    FastCgi(fastcgi::Response),
    Http(http1::Response),
}
