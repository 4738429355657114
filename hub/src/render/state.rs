//! Renders in an upgrade: what the old hub sends.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::render::figures::RenderStatsState;
use crate::render::fingerprint::{Fingerprint, WatchedPatterns};
use crate::render::http::{fastcgi::FastCgiResponse, http1::Http1Response};
use sse_protocol::cause::Cause;
use sse_protocol::wire::Reason;

/// An upstream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServerState<'a> {
    #[serde(borrow)]
    pub(crate) address: AddressState<'a>,
    pub(crate) proved: bool,
    pub(crate) probed: bool,
    pub(crate) silences: u32,
    pub(crate) waiting: Vec<(u32, u64)>,
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
    FastCgi(FastCgiResponse),
    Http(Http1Response),
}
