//! The hub's settings.

pub(crate) mod bus_address;
mod report;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::config::bus_address::BusAddress;
pub use crate::config::values::{
    ConfigError, Detach, HttpAddress, Keep, LogFormat, MAX_PRESENCE_GRACE, MAX_PROCESSES, MAX_UDP_RATE, OtherHubRule,
    PRESENCE_TTL, PadRule, PublishMode, absolute, boolean, bus_history, bus_outage, detach, group, history, http,
    log_level, namespace, number, other_hub, pad, processes, publish, redirect_header, redirect_path, socket_mode,
    switch, udp,
};
use sse_protocol::wire;

/// All settings of a hub.
#[derive(Debug, Clone)]
pub struct Config {
    /// Path of the Unix socket for PHP processes.
    pub socket: PathBuf,
    /// Permission bits of the socket file.
    pub socket_mode: u32,
    /// Group of the socket file; its members may connect if `socket_mode` allows it.
    pub socket_group: Option<u32>,
    /// Where the web server fetches streams.
    pub http: HttpConfig,
    /// UDP address for notifications.
    pub udp: Option<SocketAddr>,
    /// HMAC key of the datagrams; `None`: plain datagrams are accepted.
    pub udp_key: Option<Vec<u8>>,
    /// Notifications per second accepted by UDP without a key, at most, counted in topics.
    pub udp_rate: usize,
    /// Maximum number of streams; 0: what the descriptor limit allows.
    pub max_streams: usize,
    /// Maximum number of streams per client address; 0: unlimited.
    pub max_streams_per_ip: usize,
    /// Maximum number of patterns per stream.
    pub max_topics: usize,
    /// Maximum bytes for the subscriptions of all streams; one client may use an eighth.
    pub topic_bytes: usize,
    /// Maximum steps of comparing 64 bytes of a topic with all templates of Mercure's; those of one client may take an eighth.
    pub template_steps: usize,
    /// How long a user whose last stream has ended stays present.
    pub presence_grace: Duration,
    /// Maximum data size of one event, in bytes.
    pub max_event_size: usize,
    /// Maximum bytes queued for one stream before its client counts as too slow.
    pub stream_buffer: usize,
    /// Maximum bytes that only stream queues keep: events that the history has evicted, and rendered output.
    pub queue_bytes: usize,
    /// How long a stream's queue may make no progress; twice the heartbeat if that is longer.
    pub stall_timeout: Duration,
    /// SQLite file of the history; `None`: in memory only.
    pub history_file: Option<PathBuf>,
    /// Whether the hub syncs an event to disk before it answers the publisher.
    pub history_fsync: bool,
    /// Maximum number of stored events per topic; 0: none.
    pub history_events: usize,
    /// How long the history keeps an event.
    pub history_ttl: Duration,
    /// Maximum bytes of the whole history.
    pub history_bytes: usize,
    /// How long the key of a publication is known.
    pub key_ttl: Duration,
    /// Maximum bytes of the known keys.
    pub key_bytes: usize,
    /// How long the hub remembers that a topic is finished.
    pub finished_ttl: Duration,
    /// Maximum bytes of the last events of finished topics.
    pub finished_bytes: usize,
    /// Maximum bytes of the last values.
    pub retain_bytes: usize,
    /// Redis stream shared with hubs on other machines; `None`: the hub is alone.
    pub bus: Option<BusConfig>,
    /// Maximum number of attempts at a time.
    pub render_concurrency: usize,
    /// Maximum bytes kept for replays: original requests, and events and notifications for callbacks.
    pub render_bytes: usize,
    /// Time limit of one attempt.
    pub render_timeout: Duration,
    /// Whether the hub ends with its owners, the servers that use it; true for a hub that a server has started.
    pub follow_owners: bool,
    /// How long an idle hub stays, without connections, owners and streams; `None`: forever.
    pub idle_exit: Option<Duration>,
    /// Path of the log; `None`: standard error.
    pub log: Option<PathBuf>,
    /// Most verbose level that is logged.
    pub log_level: LevelFilter,
    /// How its lines are written.
    pub log_format: LogFormat,
    /// Number of I/O threads; 0: one for two cores.
    pub shards: usize,
    /// Number of processes that hold streams; 1: the hub itself; `None`: as many as `max_streams` needs.
    pub processes: Option<usize>,
    /// Whether this process is single-threaded, so that it may fork.
    pub may_fork: bool,
    /// Whether this process stays in the foreground after an upgrade, until the new hub ends.
    pub foreground: bool,
    /// Program that upgrades the hub, run on SIGHUP; `None`: SIGHUP has no effect.
    pub successor: Option<Program>,
}

/// Where and how the hub answers the web server by HTTP.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where it listens.
    pub address: HttpAddress,
    /// Group whose members may connect to a socket file; `None`: only the hub's user.
    pub group: Option<u32>,
    /// Maximum number of connections whose request has not come in full.
    pub connections: usize,
    /// How long a request may take to come, and how long a stream waits to be fetched.
    pub timeout: Duration,
    /// Maximum bytes of what waits to be fetched, headers included; one client may use an eighth.
    pub bytes: usize,
}

/// Connections without a whole request may take one part in this many of the descriptors.
const HTTP_PART: usize = 4;

impl HttpConfig {
    /// Maximum number of connections without a whole request, given the limit of descriptors.
    pub(crate) fn most_connections(&self, descriptors: usize) -> usize {
        self.connections.min(descriptors / HTTP_PART).max(1)
    }

    /// Descriptors to keep for such connections. The hub's own user takes none of others by them: its processes may have any
    /// number of connections anyway.
    pub(crate) fn kept(&self, descriptors: usize) -> usize {
        let others_may_connect = match self.address {
            HttpAddress::Off => false,
            HttpAddress::Tcp(_) => true,
            HttpAddress::Auto | HttpAddress::Unix(_) => self.group.is_some(),
        };
        if others_may_connect { self.most_connections(descriptors) } else { 0 }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        let timeout = Duration::from_secs(10);
        Self { address: HttpAddress::Auto, group: None, connections: 256, timeout, bytes: 16 << 20 }
    }
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Path of the executable.
    pub path: PathBuf,
    /// Command line arguments.
    pub arguments: Vec<OsString>,
    /// Bytes written to its standard input.
    pub input: Vec<u8>,
}

/// The bus: a Redis stream whose events several hubs deliver.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// Address of the Redis server and its stream.
    pub address: BusAddress,
    /// How long publishers wait during an outage; zero: they fail at once.
    pub outage_timeout: Duration,
    /// Maximum bytes of events that wait to be sent.
    pub queue: usize,
    /// After which time a hub that says nothing counts as gone, with its members.
    pub presence_ttl: Duration,
    /// Maximum bytes of the members of other hubs.
    pub presence_bytes: usize,
}

impl Config {
    /// Names the store for logs and errors, without secrets.
    #[must_use]
    pub fn kept_in(&self) -> String {
        match (&self.bus, &self.history_file) {
            (Some(BusConfig { address, .. }), _) => format!("{address}, stream {}", address.stream),
            (None, Some(path)) => format!("sqlite:{}", path.display()),
            (None, None) => "memory".into(),
        }
    }

    /// Maximum size of a message from a PHP process, in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        wire::max_message(self.max_event_size, self.max_topics)
    }
}
