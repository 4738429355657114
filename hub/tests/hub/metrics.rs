//! What the hub tells of itself: the same numbers as an array and for Prometheus.

use serde_json::{Value, json};
use sse_protocol::wire::Framing;

use crate::support::{Hub, metrics, publish, trigger};

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
        "sse_events_unwatched_total 0",
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

#[test]
fn the_settings_that_the_hub_uses_are_told_without_secrets() {
    let hub = Hub::with(json!({
        "udp": "127.0.0.1:0", "udp_key": "secret", "max_streams": 7, "presence_grace_ms": 1500, "idle_exit_ms": 90_000,
    }));
    let stats = hub.stats();
    let told = |name: &str| stats["settings"][name].clone();
    assert_eq!(
        (told("max_streams"), told("presence_grace"), told("idle_exit"), told("history"), told("udp_key")),
        (json!(7), json!(1500), json!(90), json!("off"), json!("…"))
    );
    assert!(!stats.to_string().contains("secret"), "{stats}");
    let manual = include_str!("../../../docs/reference/settings.md");
    for name in stats["settings"].as_object().expect("by name").keys() {
        assert!(manual.contains(&format!("`sse.{name}`")), "{name} is no setting of the manual");
    }
    assert!(stats["descriptor_limit"].as_u64() > Some(0), "{stats}");
}

/// `streams.open` and so on, but for what is no number.
fn names(part: &Value, path: &str) -> Vec<String> {
    match part {
        Value::Object(parts) => parts.iter().flat_map(|(name, part)| names(part, &format!("{path}.{name}"))).collect(),
        _ => vec![path[1..].into()],
    }
}

#[test]
fn bounds_of_durations_are_in_the_order_of_numbers() {
    let stats = Hub::new().stats();
    for part in ["renders", "turns"] {
        let buckets = stats[part]["seconds"]["buckets"].as_object().expect("an object");
        let bounds: Vec<f64> = buckets.keys().map(|name| name.parse().expect("a number")).collect();
        assert!(bounds.len() > 5 && bounds.is_sorted(), "{part}: {bounds:?}");
    }
}

#[test]
fn the_manual_lists_every_figure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hub = Hub::with(json!({ "history_file": folder.path().join("sse.db"), "history_events": 10 }));
    let manual = include_str!("../../../stubs/sse.stub.php");
    let missing: Vec<String> = names(&hub.stats(), "")
        .into_iter()
        .filter(|path| !path.contains(".seconds.buckets") && !path.starts_with("settings."))
        .filter(|path| path.split('.').any(|name| !manual.contains(&format!("`{name}`"))))
        .collect();
    assert!(missing.is_empty(), "stubs/sse.stub.php does not have {missing:?}");
}

#[test]
fn the_busiest_topics_are_named_with_what_came_for_them() {
    let hub = Hub::new();
    let mut client = hub.client();
    for id in ["1", "2"] {
        publish(&mut client, &["news"], id, "four");
    }
    publish(&mut client, &["chat.a", "chat.b"], "3", "seven77");
    trigger(&client, &["news"]);
    let busiest = &hub.stats()["busiest"];
    let topic = |name: &str, events: u64, bytes: u64, notifications: u64| json!({ "topic": name, "events": events, "bytes": bytes, "notifications": notifications });
    assert_eq!(busiest["topics"], json!([topic("news", 2, 8, 1), topic("chat.a", 1, 7, 0), topic("chat.b", 1, 7, 0)]));
    assert_eq!(busiest["left_out"], 0);
}
