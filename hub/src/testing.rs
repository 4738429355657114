//! Helpers for the unit tests of several modules.

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::config::{Config, LogFormat};

/// The default settings, without UDP and without an idle exit.
pub(crate) fn config(socket: PathBuf) -> Config {
    Config {
        socket,
        socket_mode: 0o600,
        socket_group: None,
        http: crate::config::HttpConfig::default(),
        udp: None,
        udp_key: None,
        udp_rate: 50,
        max_streams: 0,
        max_streams_per_ip: 0,
        max_topics: 100,
        topic_bytes: 1 << 20,
        template_steps: 1 << 15,
        presence_grace: std::time::Duration::from_secs(5),
        max_event_size: 1 << 20,
        stream_buffer: 1 << 20,
        queue_bytes: 1 << 20,
        stall_timeout: std::time::Duration::from_secs(30),
        history_file: None,
        history_fsync: false,
        bus: None,
        history_events: 0,
        history_ttl: std::time::Duration::from_secs(60),
        history_bytes: 1 << 20,
        key_ttl: std::time::Duration::from_secs(60),
        key_bytes: 1 << 20,
        finished_ttl: std::time::Duration::from_secs(60),
        finished_bytes: 1 << 20,
        retain_bytes: 1 << 20,
        render_concurrency: 2,
        render_bytes: 1 << 20,
        render_timeout: std::time::Duration::from_secs(30),
        follow_owners: true,
        idle_exit: None,
        log: None,
        log_level: LevelFilter::OFF,
        log_format: LogFormat::Text,
        shards: 1,
        processes: Some(1),
        may_fork: true,
        foreground: false,
        successor: None,
    }
}
