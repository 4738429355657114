//! What one hub passes to another, as it goes over the wire. What refers to time is relative to the moment of sending.
//!
//! Everything here is [`FORMAT`](crate::upgrade::FORMAT): a field more or less is another format.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::broker::Counts;
use crate::render::fingerprint::{Fingerprint, InterestFilter};
use crate::render::http::{fastcgi, http1};
use crate::store::redis::Place;
use crate::store::sqlite::Written;
use crate::udp::notify::NotifyStats;
use sse_protocol::cause::Cause;
use sse_protocol::id::Id;
use sse_protocol::wire::{Framing, Reason, TopicsAs};

/// What the new hub says when the formats match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted<'a> {
    /// Its [`PROTOCOL`](sse_protocol::wire::PROTOCOL).
    pub(crate) protocol: u16,
    /// Where it keeps events.
    pub(crate) kept: &'a str,
}

/// A part of what is passed. What it refers to by number has come in a part before it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Part<'a> {
    /// Instead of all others: why this hub can't be taken over.
    No(&'a str),
    /// The first. Descriptors: the lifeline, the listening socket; the UDP socket; the socket for notifications; the link to the
    /// process in the foreground and that one's standard error.
    Hub(#[serde(borrow)] Box<HubState<'a>>),
    /// Processes whose end is the end of the hub, by their ids. Descriptors: a pidfd each.
    Owners(Vec<u32>),
    /// Events that are referred to, numbered from 0 over all these parts.
    Events(#[serde(borrow)] Vec<EventState<'a>>),
    /// Bytes that are referred to, numbered as well.
    Blobs(#[serde(borrow)] Vec<&'a Bytes>),
    /// Events of the history, in order.
    Stored(Vec<(Id, u32)>),
    /// Streams. Descriptors: a connection each.
    Streams(#[serde(borrow)] Vec<StreamState<'a>>),
    /// Streams that are counted, and for whom.
    Quota(#[serde(borrow)] Vec<(u64, Vec<QuotaKeyState<'a>>)>),
    /// Streams, whose they are, and the bytes that are charged for what each watches.
    Charges(Vec<(u64, Option<IpAddr>, u64)>),
    /// Connections of PHP processes. Descriptors: of each its own, then those of its arrivals.
    Connections(#[serde(borrow)] Vec<ConnectionState<'a>>),
    /// Servers that requests are sent to again, numbered in this order.
    Servers(#[serde(borrow)] Vec<ServerState<'a>>),
    /// Streams whose scripts are run again.
    Jobs(#[serde(borrow)] Vec<JobState<'a>>),
    /// Runs under way. Descriptors: a connection each.
    Runs(#[serde(borrow)] Vec<RunState<'a>>),
    /// The last.
    End,
}

/// What there is one of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HubState<'a> {
    /// The hub's version, for the log.
    pub(crate) version: &'a str,
    pub(crate) pid: u32,
    /// When it stopped, by the system's monotonic clock.
    pub(crate) stopped: Duration,
    /// How long there has been a hub.
    pub(crate) uptime: Duration,
    /// Times that it was passed on before.
    pub(crate) upgrades: u64,
    /// There is a process in the foreground that stands for it.
    pub(crate) foreground: bool,
    pub(crate) udp: Option<UdpState<'a>>,
    /// What came to the socket beside the hub's.
    pub(crate) notify: Option<NotifyStats>,
    /// What the router has counted.
    pub(crate) counts: Counts,
    pub(crate) shards: ShardCounts<'a>,
    /// The stamp given last.
    pub(crate) clock: Id,
    /// Stands for the newest id of a bus that is not read yet.
    pub(crate) unread: &'a str,
    pub(crate) history: HistoryState<'a>,
    /// To the history's file.
    pub(crate) written: Written,
    pub(crate) bus: BusState,
    pub(crate) renders: RendersState,
    pub(crate) had_owners: bool,
}

/// What all shards together have counted.
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

/// The UDP socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UdpState<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) drops_seen: u32,
    /// In how long everything is to be woken for datagrams that were dropped.
    pub(crate) drop_wake: Option<Duration>,
    /// Codes that were used, with the time until which they must not be used again.
    #[serde(borrow)]
    pub(crate) seen: Vec<(u64, &'a Bytes)>,
    pub(crate) received: u64,
    pub(crate) wakes: u64,
    pub(crate) garbage: u64,
    pub(crate) unauthenticated: u64,
    pub(crate) replayed: u64,
    pub(crate) dropped: u64,
    pub(crate) delayed: u64,
    /// The log was told that wakes are held back.
    pub(crate) told: bool,
}

/// How far the bus was read and delivered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BusState {
    /// It was read at all.
    pub(crate) loaded: bool,
    pub(crate) position: Id,
    pub(crate) place: Option<Place>,
}

/// What the history knows beside its events.
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

/// An event. Its bytes are passed as they are: one of them may be written in part.
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
    /// Within the frame, from and to.
    InFrame(u64, u64),
    Beside(#[serde(borrow)] &'a Bytes),
}

/// A stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StreamState<'a> {
    pub(crate) id: u64,
    /// A number for its client's address; 0: not known.
    pub(crate) client: u64,
    #[serde(borrow)]
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) heartbeat: u32,
    /// Seconds since something was written.
    pub(crate) silent: u32,
    pub(crate) followed: bool,
    /// Its worker sends the first lines.
    pub(crate) opened: bool,
    /// Seconds after which its time is over.
    pub(crate) ends: Option<u32>,
    /// Why it ends once all is written.
    pub(crate) closing: Option<&'a str>,
    pub(crate) topics_as: Option<TopicsAs>,
    pub(crate) retry: u32,
    /// `None`: held.
    pub(crate) framing: Option<Framing>,
    /// Framed bytes of the first payload that are written.
    pub(crate) offset: u64,
    pub(crate) queue: Vec<PayloadState<'a>>,
    /// Topics that changed while the reader was behind.
    pub(crate) pending: Vec<&'a str>,
}

/// Something to write.
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

/// Somebody whose streams are counted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum QuotaKeyState<'a> {
    Address(IpAddr),
    User(&'a str),
}

/// A connection of a PHP process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ConnectionState<'a> {
    /// Tells it from all others.
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
    /// Where the bytes begin and end that a descriptor came with, within `decoder`; false: it could not be received.
    pub(crate) arrivals: Vec<(u64, u64, bool)>,
}

/// A server that requests are sent to again.
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

/// Where a server listens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum AddressState<'a> {
    Unix(#[serde(borrow)] &'a Bytes),
    Internet(SocketAddr),
}

/// What all renders share.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RendersState {
    /// Jobs that wait for their turn, by key and serial.
    pub(crate) queue: Vec<(u32, u64)>,
    pub(crate) serials: u64,
    pub(crate) figures: RenderStatsState,
}

/// What is counted about renders.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RenderStatsState {
    pub(crate) done: u64,
    pub(crate) coalesced: u64,
    pub(crate) unchanged: u64,
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) denied: u64,
    pub(crate) refused: u64,
    /// How long they took: microseconds and how many.
    pub(crate) took: Vec<(u64, u64)>,
    /// The same by upper bounds.
    pub(crate) buckets: Vec<(u64, u64)>,
    /// All of it together.
    pub(crate) sum: Duration,
}

/// Streams that get the same output.
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
    pub(crate) watched: InterestFilter,
    pub(crate) pending: PendingState<'a>,
    pub(crate) due: Option<Reason>,
    pub(crate) activity: Activity,
    pub(crate) failures: u32,
    /// In how long it may run again.
    pub(crate) not_before: Option<Duration>,
    /// How long ago it ran.
    pub(crate) last_run: Option<Duration>,
    pub(crate) only_changes: bool,
    pub(crate) poll: Option<Duration>,
    pub(crate) reauthorize: Option<Duration>,
    pub(crate) sent: Option<Fingerprint>,
    /// The number of a blob.
    pub(crate) output: Option<u32>,
    pub(crate) last_id: Option<&'a str>,
    /// Where it counts in sse.render_bytes.
    pub(crate) client: Option<IpAddr>,
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Activity {
    Resting,
    Queued,
    Running,
}

/// A stream of a job, and the request that it came from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SubscriberState<'a> {
    pub(crate) stream: u64,
    /// Whose it is, as a hash.
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
    /// Where it counts in sse.render_bytes.
    pub(crate) client: Option<IpAddr>,
}

/// What has happened since a callback ran last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PendingState<'a> {
    #[serde(borrow)]
    pub(crate) kept: Vec<HappenedState<'a>>,
    pub(crate) missing: bool,
}

/// One of these things.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum HappenedState<'a> {
    /// The number of an event.
    Event(u32),
    Trigger(&'a str),
}

/// A run of a script.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunState<'a> {
    #[serde(borrow)]
    pub(crate) out: &'a Bytes,
    pub(crate) sent: u64,
    pub(crate) response: ResponseState,
    pub(crate) heard: bool,
    pub(crate) token: &'a str,
    /// The connection that has come with it, by its serial.
    pub(crate) claimed: Option<u64>,
    pub(crate) job: Option<(u32, u64)>,
    pub(crate) wanted: bool,
    pub(crate) stream: u64,
    pub(crate) whose: u64,
    pub(crate) script: &'a str,
    pub(crate) upstream: u32,
    /// How long ago it began.
    pub(crate) started: Duration,
    /// In how long it counts as failed.
    pub(crate) deadline: Duration,
    pub(crate) reached: bool,
    pub(crate) arrived: bool,
    pub(crate) late: bool,
    pub(crate) rendered: bool,
    pub(crate) taken: Option<PendingState<'a>>,
    pub(crate) reason: Option<&'a str>,
}

/// What has come of a response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ResponseState {
    FastCgi(fastcgi::Response),
    Http(http1::Response),
}
