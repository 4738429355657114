//! Exports the counters as OpenMetrics text, which Prometheus reads: `sse_metrics()`.
//!
//! One table maps the figures of `sse_stats()` (`broker/report.rs`) to metrics. A figure that the table lacks
//! stops a debug build, so that every test that reads the figures reports it.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use serde_json::Value;

/// How a figure of the report becomes a metric.
#[derive(Debug, Clone, Copy)]
enum MetricKind {
    /// A number that goes up and down.
    Gauge,
    /// A number that only grows.
    Counter,
    /// An object of counters; its keys are the values of this label.
    Counters(&'static str),
    /// 1 for a value, 0 for null.
    Flag,
    /// A text, as the value of this label.
    Label(&'static str),
    /// Durations: `sum`, and `buckets` by their upper bounds.
    Histogram,
    /// No metric: another one says the same.
    Nothing,
}

use MetricKind::{Counter, Counters, Flag, Gauge, Label, Nothing};

impl MetricKind {
    fn of_type(self) -> Option<MetricType> {
        match self {
            Gauge | Flag => Some(MetricType::Gauge),
            Counter | Counters(_) => Some(MetricType::Counter),
            Label(_) => Some(MetricType::Info),
            MetricKind::Histogram => Some(MetricType::Histogram),
            Nothing => None,
        }
    }
}

/// Path in the report (a JSON pointer), kind, name without `sse_`, unit (appended to the name), and description. A figure that
/// a report lacks is left out. `tools/docs` generates docs/reference/statistics.md from this table.
type Metric = (&'static str, MetricKind, &'static str, Option<Unit>, &'static str);

#[rustfmt::skip]
static METRICS: [Metric; 126] = [
    ("/version", Label("version"), "build", None, "The hub that runs"),
    ("/pid", Nothing, "", None, "The hub's process id"),
    ("/uptime", Gauge, "uptime", Some(Unit::Seconds), "Time since the hub started"),
    ("/upgrades", Counter, "upgrades", None, "Times that a new hub has taken the streams over from the one before"),
    ("/resident_bytes", Gauge, "process_resident_memory", Some(Unit::Bytes), "Memory that the hub has, with all its processes"),
    ("/shards", Gauge, "shards", None, "Threads that hold streams"),
    ("/processes/lost", Counter, "processes_lost", None, "Processes with streams that were killed or have failed"),
    ("/processes/each", Nothing, "", None, "Of each process that holds streams: `pid` (null while it is started anew), `streams`, `resident_bytes`"),
    ("/connections", Gauge, "connections", None, "PHP processes that are connected"),
    ("/descriptor_limit", Gauge, "descriptor_limit", None, "Descriptors that one process of the hub may have, one for each stream and each PHP process"),
    ("/settings", Nothing, "", None, "The settings that the hub uses, by their names without `sse.`, without keys and passwords"),
    ("/quota_keys", Gauge, "quota_keys", None, "Remote addresses and users that streams are counted for"),
    ("/streams/open", Gauge, "streams_open", None, "Streams that are open"),
    ("/streams/held", Gauge, "streams_held", None, "Streams whose workers are still sending the headers"),
    ("/streams/opened", Counter, "streams_opened", None, "Streams that began"),
    ("/streams/closed", Counters("reason"), "streams_ended", None, "Streams that ended, by why"),
    ("/refused", Counters("reason"), "refused", None, "Streams and PHP processes that were refused, by why"),
    ("/redirects/issued", Counter, "redirects", None, "Streams that the web server was to fetch from the hub (`sse.detach=redirect`)"),
    ("/redirects/waiting", Gauge, "redirects_waiting", None, "Of those, streams that it may still fetch"),
    ("/redirects/bytes", Gauge, "redirects_waiting", Some(Unit::Bytes), "Memory charged for these (`sse.redirect_bytes`)"),
    ("/redirects/followed", Counter, "redirects_followed", None, "Streams that the web server has fetched"),
    ("/redirects/expired", Counter, "redirects_expired", None, "Streams that it has not fetched within `sse.redirect_timeout`"),
    ("/redirects/unknown", Counter, "redirects_unknown", None, "Requests to the hub by HTTP for streams that are not there, or not any more"),
    ("/topics", Gauge, "topics", None, "Topics and patterns that are watched"),
    ("/busiest", Nothing, "", None, "Which topics events and notifications came for lately, the busiest 20: how many `seconds` were counted, of each of the `topics` its name, `events`, their `bytes`, and `notifications`; `left_out`: how many came for topics beyond the first 1,024 of that time"),
    ("/topic_bytes", Gauge, "topics_charged", Some(Unit::Bytes), "Memory charged for what is watched"),
    ("/template_steps", Gauge, "template_steps", None, "Most steps of comparing 64 bytes of a topic with the URI templates of Mercure's clients"),
    ("/presence/topics", Gauge, "presence_topics", None, "Topics with members"),
    ("/presence/members", Gauge, "presence_members", None, "Members, counted for each topic"),
    ("/presence/joins", Counter, "presence_joins", None, "Times that a user came to a topic"),
    ("/presence/leaves", Counter, "presence_leaves", None, "Times that a user left a topic"),
    ("/published", Counter, "events_published", None, "Events that were accepted"),
    ("/published_bytes", Counter, "published", Some(Unit::Bytes), "Data of the events that were accepted"),
    ("/published_unwatched", Counter, "events_unwatched", None, "Of the events that were accepted, those of topics that certainly no stream and no callback of this hub watched"),
    ("/publish_refused", Counter, "events_refused", None, "Events that were refused"),
    ("/keys/kept", Gauge, "publish_keys", None, "Keys of publications that are known (`$key` of sse_publish()); with `sse.bus`, Redis has them"),
    ("/keys/bytes", Gauge, "publish_keys", Some(Unit::Bytes), "Memory of the keys that are known"),
    ("/keys/repeated", Counter, "publications_repeated", None, "Publications that published nothing, because one before had their key"),
    ("/keys/dropped", Counter, "publish_keys_dropped", None, "Keys that were dropped before their time, because of `sse.key_bytes`"),
    ("/retained/topics", Gauge, "retained_topics", None, "Topics that have a last value"),
    ("/retained/events", Gauge, "retained_events", None, "Events that are the last value of a topic"),
    ("/retained/bytes", Gauge, "retained", Some(Unit::Bytes), "Memory of the last values"),
    ("/retained/dropped", Counter, "retained_dropped", None, "Last values that were dropped because of `sse.retain_bytes`"),
    ("/disconnects", Counter, "disconnects", None, "Calls of sse_disconnect(), those on other machines of the bus included"),
    ("/retopics", Counter, "retopics", None, "Calls of sse_retopic() that were done"),
    ("/triggers", Counter, "triggers", None, "Notifications by PHP, counted by topics"),
    ("/triggers_refused", Counter, "triggers_refused", None, "Notifications by PHP that named no topic"),
    ("/delivered", Counter, "events_delivered", None, "Events written to streams, counted for each stream"),
    ("/superseded", Counter, "events_superseded", None, "Events not sent to a stream, as a newer one (`$latest` of sse_publish()) replaced them where they waited; counted for each stream"),
    ("/spread", Counter, "events_spread", None, "Events that waited for a random moment (`$spread` of sse_publish()), counted for each stream"),
    ("/delivered_bytes", Counter, "delivered", Some(Unit::Bytes), "Everything written to streams"),
    ("/heartbeats", Counter, "heartbeats", None, "Comments written to streams that were silent"),
    ("/padding_bytes", Counter, "padding", Some(Unit::Bytes), "Comments that filled up what was written to streams (`sse.pad`)"),
    ("/queued_bytes", Gauge, "queued", Some(Unit::Bytes), "What waits for clients that read slowly"),
    ("/pinned_bytes", Gauge, "pinned", Some(Unit::Bytes), "Of what waits, what nothing else keeps any more"),
    ("/finished/topics", Gauge, "finished_topics", None, "Topics that are finished"),
    ("/finished/bytes", Gauge, "finished", Some(Unit::Bytes), "Memory of their last events"),
    ("/finished/evicted", Counter, "finished_evicted", None, "Finished topics forgotten before their time, for want of sse.finished_bytes"),
    ("/finished/answered", Counter, "finished_answered", None, "Clients that had everything and were told by 204 not to come back"),
    ("/history/events", Gauge, "history_events", None, "Events kept for readers that are away"),
    ("/history/topics", Gauge, "history_topics", None, "Topics of which something is remembered"),
    ("/history/bytes", Gauge, "history", Some(Unit::Bytes), "Memory of the events that are kept"),
    ("/history/resumed", Counter, "history_resumed", None, "Readers that came back with an id"),
    ("/history/gaps", Counter, "history_gaps", None, "Of those, readers that were told of a gap"),
    ("/history/given_up", Counter, "history_given_up", None, "Readers whose workers had gone before it was found what they had missed"),
    ("/history/file/waiting", Gauge, "history_file_waiting", None, "Events that wait to be written"),
    ("/history/file/written", Counter, "history_file_written", None, "Events written to the history's file"),
    ("/history/file/commits", Counter, "history_file_commits", None, "Transactions that they were written in"),
    ("/history/file/failures", Counter, "history_file_failures", None, "Events that could not be written"),
    ("/history/file/problem", Flag, "history_file_problem", None, "Whether the history's file can't be written now"),
    ("/bus/address", Nothing, "", None, "Where Redis is, without the password"),
    ("/bus/node", Nothing, "", None, "The server that has the stream now: the master that Sentinels name, or the node of a cluster"),
    ("/bus/stream", Nothing, "", None, "The key of its stream"),
    ("/bus/state", Nothing, "", None, "`connecting`, `connected` or `away`"),
    ("/bus/since", Nothing, "", None, "Since when, Unix time"),
    ("/bus/problem", Flag, "bus_problem", None, "Whether Redis can't be reached now"),
    ("/bus/outages", Counter, "bus_outages", None, "Times that Redis could not be reached"),
    ("/bus/read", Counter, "bus_entries_read", None, "Entries read from the bus"),
    ("/bus/refused", Counter, "bus_entries_refused", None, "Of those, entries that were no events"),
    ("/bus/published", Counter, "bus_events_published", None, "Events of this hub that Redis has taken"),
    ("/bus/failed", Counter, "bus_events_failed", None, "Events that it has not, or of which that isn't known"),
    ("/bus/waiting", Gauge, "bus_events_waiting", None, "Events that wait to be sent to Redis"),
    ("/bus/waiting_bytes", Gauge, "bus_waiting", Some(Unit::Bytes), "Bytes that these events take"),
    ("/bus/gaps", Counter, "bus_gaps", None, "Times that events between Redis and this hub were lost, or may have been"),
    ("/bus/wakes_sent", Counter, "bus_wakes_sent", None, "Messages with notifications sent to other hubs, of several topics each"),
    ("/bus/wakes_received", Counter, "bus_wakes_received", None, "Messages with notifications that came from other hubs"),
    ("/bus/presence/state", Nothing, "", None, "`connecting`, `connected` or `away`: whether members of other hubs are heard of, and they of this one's"),
    ("/bus/presence/problem", Flag, "bus_presence_problem", None, "Whether members can't be told to other hubs, or heard of, now"),
    ("/bus/presence/hubs", Gauge, "bus_presence_hubs", None, "Other hubs that tell of their members"),
    ("/bus/presence/members", Gauge, "bus_presence_members", None, "Members that they have told of, counted for each topic and hub"),
    ("/bus/presence/bytes", Gauge, "bus_presence", Some(Unit::Bytes), "Memory charged for these (`sse.presence_bytes`)"),
    ("/bus/presence/left_out", Gauge, "bus_presence_left_out", None, "Members of other hubs for which `sse.presence_bytes` has no room"),
    ("/bus/last_id", Nothing, "", None, "The id of the last entry that was read"),
    ("/renders/streams", Gauge, "render_streams", None, "Streams whose scripts can be run again"),
    ("/renders/queued", Gauge, "renders_queued", None, "Renders that wait for their turn"),
    ("/renders/running", Gauge, "renders_running", None, "Renders under way"),
    ("/renders/late", Gauge, "renders_late", None, "Of those, renders whose scripts did not get to sse_stream() in time"),
    ("/renders/done", Counter, "renders", None, "Renders whose output was taken"),
    ("/renders/coalesced", Counter, "renders_coalesced", None, "Notifications that another render answered as well"),
    ("/renders/unchanged", Counter, "renders_unchanged", None, "Renders whose output was the same as before"),
    ("/renders/failed", Counter, "renders_failed", None, "Renders that failed"),
    ("/renders/timed_out", Counter, "renders_timed_out", None, "Of those, renders that took too long"),
    ("/renders/denied", Counter, "renders_denied", None, "Streams that their scripts no longer allowed"),
    ("/renders/refused", Counter, "renders_refused", None, "Streams refused for want of sse.render_bytes, or of their address's share of it"),
    ("/renders/bytes", Gauge, "render", Some(Unit::Bytes), "Memory of the requests and events that are kept for renders"),
    ("/renders/p50_ms", Nothing, "", None, "Milliseconds that half of the renders took at most; null before the first"),
    ("/renders/p99_ms", Nothing, "", None, "The same for 99 of 100 renders"),
    ("/renders/slowest", Nothing, "", None, "Which scripts took the most time to render lately, up to 20: how many `seconds` were counted, of each of the `scripts` its path, renders that were `done`, `failed`, milliseconds of all together (`total_ms`) and of the `longest_ms`; `left_out`: renders of scripts beyond the first 256 of that time"),
    ("/renders/seconds", MetricKind::Histogram, "render_duration", Some(Unit::Seconds), "How long renders took"),
    ("/turns/steps", Counter, "turn_steps", None, "Kept events, topics, callbacks and changes of members that the hub's main thread has looked at one by one"),
    ("/turns/most_steps", Gauge, "turn_most_steps", None, "The most of them in one turn of that thread"),
    ("/turns/longest_us", Nothing, "", None, "Microseconds that the longest of them took"),
    ("/turns/seconds", MetricKind::Histogram, "turn_duration", Some(Unit::Seconds), "Processor time that turns of that thread took"),
    ("/udp/listening", Flag, "udp_listening", None, "Whether notifications by datagram are received"),
    ("/udp/received", Counter, "udp_received", None, "Datagrams received"),
    ("/udp/wakes", Counter, "udp_wakes", None, "Datagrams that were notifications"),
    ("/udp/garbage", Counter, "udp_garbage", None, "Datagrams that were not"),
    ("/udp/unauthenticated", Counter, "udp_unauthenticated", None, "Datagrams without the right key or time"),
    ("/udp/replayed", Counter, "udp_replayed", None, "Datagrams that had come before"),
    ("/udp/dropped", Counter, "udp_dropped", None, "Datagrams that the system had no room for"),
    ("/udp/delayed", Counter, "udp_delayed", None, "Notifications by datagrams without a key that were delivered later, or with others"),
    ("/notify/listening", Flag, "notify_listening", None, "Whether notifications are received at the socket beside the hub's"),
    ("/notify/received", Counter, "notify_received", None, "Datagrams received there"),
    ("/notify/wakes", Counter, "notify_wakes", None, "Of those, datagrams that were notifications"),
    ("/notify/garbage", Counter, "notify_garbage", None, "Of those, datagrams that were not"),
    ("/notify/refused", Counter, "notify_refused", None, "Datagrams of other users"),
];

/// The OpenMetrics text of a report.
pub(crate) fn text(report: Value) -> String {
    debug_assert_eq!(unknown(&report, ""), Vec::<String>::new(), "these have no line in stats/openmetrics.rs");
    let mut registry = Registry::with_prefix("sse");
    registry.register_collector(Box::new(MetricsReport(report)));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = text::encode(&mut text, &registry);
    text
}

/// Paths in a report that the table lacks.
fn unknown(part: &Value, path: &str) -> Vec<String> {
    if METRICS.iter().any(|metric| metric.0 == path) {
        return Vec::new();
    }
    match part {
        Value::Object(parts) => {
            parts.iter().flat_map(|(name, part)| unknown(part, &format!("{path}/{name}"))).collect()
        }
        _ => vec![path.into()],
    }
}

#[derive(Debug)]
struct MetricsReport(Value);

impl Collector for MetricsReport {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (path, kind, name, unit, help) in &METRICS {
            let Some(part) = self.0.pointer(path) else { continue };
            let Some(of_type) = kind.of_type() else { continue };
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), of_type)?;
            match kind {
                Gauge => ConstGauge::new(number(part)).encode(metric)?,
                Flag => ConstGauge::new(u64::from(!part.is_null())).encode(metric)?,
                Counter => ConstCounter::new(number(part)).encode(metric)?,
                Counters(label) => {
                    for (value, count) in part.as_object().into_iter().flatten() {
                        let labels = [(*label, value.as_str())];
                        ConstCounter::new(number(count)).encode(metric.encode_family(&labels)?)?;
                    }
                }
                Label(label) => {
                    let labels = vec![(*label, part.as_str().unwrap_or_default().to_owned())];
                    Info::new(labels).encode(metric)?;
                }
                MetricKind::Histogram => {
                    let buckets = buckets(&part["buckets"]);
                    let count = buckets.iter().map(|bucket| bucket.1).sum();
                    let sum = part["sum"].as_f64().unwrap_or_default();
                    metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
                }
                Nothing => {}
            }
        }
        Ok(())
    }
}

fn number(part: &Value) -> u64 {
    part.as_u64().unwrap_or_default()
}

/// The buckets in order, each with its own count.
fn buckets(part: &Value) -> Vec<(f64, u64)> {
    let bound = |name: &str| if name == "inf" { f64::INFINITY } else { name.parse().unwrap_or_default() };
    let parts = part.as_object().into_iter().flatten();
    let mut buckets: Vec<(f64, u64)> = parts.map(|(name, count)| (bound(name), number(count))).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_part_of_a_report_becomes_a_metric_of_its_kind() {
        let report = json!({
            "version": "1.2.3",
            "pid": 5,
            "streams": { "open": 3, "closed": { "client": 4, "slow": 0 } },
            "published_bytes": 99,
            "queued_bytes": 7,
            "renders": { "p50_ms": null, "seconds": { "sum": 1.5, "buckets": { "0.1": 2, "0.01": 1, "inf": 1 } } },
            "udp": { "listening": null },
        });
        assert_eq!(
            text(report),
            "# HELP sse_build The hub that runs\n\
             # TYPE sse_build info\n\
             sse_build_info{version=\"1.2.3\"} 1\n\
             # HELP sse_streams_open Streams that are open\n\
             # TYPE sse_streams_open gauge\n\
             sse_streams_open 3\n\
             # HELP sse_streams_ended Streams that ended, by why\n\
             # TYPE sse_streams_ended counter\n\
             sse_streams_ended_total{reason=\"client\"} 4\n\
             sse_streams_ended_total{reason=\"slow\"} 0\n\
             # HELP sse_published_bytes Data of the events that were accepted\n\
             # TYPE sse_published_bytes counter\n\
             # UNIT sse_published_bytes bytes\n\
             sse_published_bytes_total 99\n\
             # HELP sse_queued_bytes What waits for clients that read slowly\n\
             # TYPE sse_queued_bytes gauge\n\
             # UNIT sse_queued_bytes bytes\n\
             sse_queued_bytes 7\n\
             # HELP sse_render_duration_seconds How long renders took\n\
             # TYPE sse_render_duration_seconds histogram\n\
             # UNIT sse_render_duration_seconds seconds\n\
             sse_render_duration_seconds_sum 1.5\n\
             sse_render_duration_seconds_count 4\n\
             sse_render_duration_seconds_bucket{le=\"0.01\"} 1\n\
             sse_render_duration_seconds_bucket{le=\"0.1\"} 3\n\
             sse_render_duration_seconds_bucket{le=\"+Inf\"} 4\n\
             # HELP sse_udp_listening Whether notifications by datagram are received\n\
             # TYPE sse_udp_listening gauge\n\
             sse_udp_listening 0\n\
             # EOF\n\
             "
        );
    }

    #[test]
    #[should_panic(expected = "these have no line in stats/openmetrics.rs")]
    fn a_number_without_a_line_in_the_table_stops_a_debug_build() {
        text(json!({ "streams": { "open": 1, "new figure": 1 } }));
    }
}
