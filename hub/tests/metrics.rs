//! What the hub tells of itself: the same numbers as an array and for Prometheus.

mod support;

use serde_json::{Value, json};
use sse_protocol::wire::Framing;
use support::{Hub, metrics, publish};

/// A hub with all its parts. Where one of its numbers is missing in the metrics, a debug build stops.
#[test]
fn the_metrics_tell_what_the_stats_tell() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = json!({ "history_file": folder.path().join("sse.db"), "history_events": 10, "udp": "127.0.0.1:0" });
    let hub = Hub::with(settings);
    let mut client = hub.client();
    let reader = hub.stream(&["a"], Framing::Raw);
    publish(&mut client, &["a"], "1", "four");
    publish(&mut client, &["a"], "2", "four");
    drop(reader);
    hub.until("the stream has ended", |stats| stats["streams"]["closed"]["client"] == 1);

    let lines = metrics(&mut client);
    for line in [
        "sse_events_published_total 2",
        "sse_published_bytes_total 8",
        "sse_streams_opened_total 1",
        "sse_streams_ended_total{reason=\"client\"} 1",
        "sse_streams_ended_total{reason=\"slow\"} 0",
        "sse_refused_total{reason=\"full\"} 0",
        "sse_history_events 2",
        "sse_history_file_written_total 2",
        "sse_history_file_problem 0",
        "sse_render_duration_seconds_count 0",
        "sse_udp_listening 1",
        "# EOF",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line} is not among {lines:#?}");
    }
    let resident = hub.stats()["resident_bytes"].as_u64().expect("a number");
    assert!((1 << 20..1 << 30).contains(&resident), "{resident}");
}

/// `streams.open` and so on, but for what is no number.
fn names(part: &Value, path: &str) -> Vec<String> {
    match part {
        Value::Object(parts) => parts.iter().flat_map(|(name, part)| names(part, &format!("{path}.{name}"))).collect(),
        _ => vec![path[1..].into()],
    }
}

#[test]
fn the_manual_lists_every_figure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hub = Hub::with(json!({ "history_file": folder.path().join("sse.db"), "history_events": 10 }));
    let manual = include_str!("../../stubs/sse.stub.php");
    let missing: Vec<String> = names(&hub.stats(), "")
        .into_iter()
        .filter(|path| !path.contains(".seconds.buckets"))
        .filter(|path| path.split('.').any(|name| !manual.contains(&format!("`{name}`"))))
        .collect();
    assert!(missing.is_empty(), "stubs/sse.stub.php does not have {missing:?}");
}
