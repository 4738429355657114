//! What the ordering thread counts.

use serde::{Deserialize, Serialize};

/// Counters of the ordering thread.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct BrokerCounts {
    /// Streams attached.
    pub(crate) attached: u64,
    /// Id of the newest stream.
    pub(crate) last_stream: u64,
    /// Stream processes that were killed or failed.
    pub(crate) processes_lost: u64,
    /// Clients whose workers gave up before the history search was complete.
    pub(crate) resumes_given_up: u64,
    /// Events accepted, and bytes of their data.
    pub(crate) published: u64,
    pub(crate) published_bytes: u64,
    /// Of these, events of topics that no stream of this hub watched.
    pub(crate) published_unwatched: u64,
    /// Events refused.
    pub(crate) publish_refused: u64,
    /// Notifications by connections, and those refused because of an invalid topic.
    pub(crate) triggers: u64,
    pub(crate) triggers_refused: u64,
    /// Clients that had all last events of their topics.
    pub(crate) over: u64,
    /// Calls that ended streams, and those that changed what a stream watches.
    pub(crate) disconnects: u64,
    pub(crate) retopics: u64,
    /// Streams that the web server was to fetch, those that it has, and those that it has not in time.
    pub(crate) redirects: u64,
    pub(crate) redirects_followed: u64,
    pub(crate) redirects_expired: u64,
    /// Streams refused because of `sse.max_streams` or, without it, the descriptor limit.
    pub(crate) refused_full: u64,
    /// Streams refused because of `sse.max_streams_per_ip`.
    pub(crate) refused_per_ip: u64,
    /// Streams refused because of their user's limit.
    pub(crate) refused_per_user: u64,
    /// Streams refused because of `sse.topic_bytes`.
    pub(crate) refused_topic_bytes: u64,
    /// Streams refused because of `sse.template_steps`.
    pub(crate) refused_template_steps: u64,
    /// Streams by redirect refused because of `sse.redirect_bytes`.
    pub(crate) refused_redirect_bytes: u64,
    /// Streams or connections refused because no descriptor was free.
    pub(crate) refused_descriptors: u64,
    /// Connections refused, or requests denied, because of their user.
    pub(crate) refused_connections: u64,
    /// Connections refused because of their protocol or a malformed message.
    pub(crate) refused_protocol: u64,
}
