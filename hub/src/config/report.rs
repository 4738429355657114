//! What a hub uses of its settings, as `sse_stats()` tells it: an administrator's first question where a change has no effect.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::Config;

impl Config {
    /// The hub's settings by name, in the units of php.ini. Without `sse.udp_key` and the bus's password, of which it only tells
    /// that there are some.
    #[must_use]
    pub fn report(&self) -> Value {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bus = self.bus.as_ref();
        let path = |path: Option<&PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
        let history = match &self.history_file {
            Some(file) => format!("sqlite:{}", file.display()),
            None if self.history_events == 0 => "off".into(),
            None => "memory".into(),
        };
        let settings: [(&str, Value); 44] = [
            ("socket", self.socket.display().to_string().into()),
            ("socket_mode", format!("{:04o}", self.socket_mode).into()),
            ("socket_group", self.socket_group.into()),
            ("http", self.http.address.to_string().into()),
            ("http_group", self.http.group.into()),
            ("http_connections", self.http.connections.into()),
            ("redirect_timeout", self.http.timeout.as_secs().into()),
            ("redirect_bytes", self.http.bytes.into()),
            ("max_streams", self.max_streams.into()),
            ("processes", self.processes.map_or_else(|| "auto".into(), Into::into)),
            ("max_streams_per_ip", self.max_streams_per_ip.into()),
            ("max_topics", self.max_topics.into()),
            ("topic_bytes", self.topic_bytes.into()),
            ("template_steps", self.template_steps.into()),
            ("presence_grace", milliseconds(self.presence_grace).into()),
            ("max_event_size", self.max_event_size.into()),
            ("stream_buffer", self.stream_buffer.into()),
            ("queue_bytes", self.queue_bytes.into()),
            ("stall_timeout", self.stall_timeout.as_secs().into()),
            ("udp", self.udp.map(|address| address.to_string()).unwrap_or_default().into()),
            ("udp_key", self.udp_key.as_ref().map_or("", |_| "…").into()),
            ("udp_rate", self.udp_rate.into()),
            ("history", history.into()),
            ("history_fsync", self.history_fsync.into()),
            ("history_events", self.history_events.into()),
            ("history_ttl", self.history_ttl.as_secs().into()),
            ("history_bytes", self.history_bytes.into()),
            ("key_ttl", self.key_ttl.as_secs().into()),
            ("key_bytes", self.key_bytes.into()),
            ("finished_ttl", self.finished_ttl.as_secs().into()),
            ("finished_bytes", self.finished_bytes.into()),
            ("retain_bytes", self.retain_bytes.into()),
            ("bus", bus.map(|bus| bus.address.to_string()).unwrap_or_default().into()),
            ("bus_outage", bus.map(|bus| if bus.outage_timeout.is_zero() { "fail" } else { "wait" }).into()),
            ("bus_queue", bus.map(|bus| bus.queue).into()),
            ("presence_ttl", bus.map(|bus| milliseconds(bus.presence_ttl)).into()),
            ("presence_bytes", bus.map(|bus| bus.presence_bytes).into()),
            ("render_concurrency", self.render_concurrency.into()),
            ("render_bytes", self.render_bytes.into()),
            ("render_timeout", self.render_timeout.as_secs().into()),
            ("idle_exit", self.idle_exit.map_or(0, |time| time.as_secs()).into()),
            ("log", path(self.log.as_ref()).into()),
            ("log_level", self.log_level.to_string().to_lowercase().into()),
            ("log_format", self.log_format.name().into()),
        ];
        Value::Object(settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }
}
