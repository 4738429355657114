//! Mercure's active subscriptions: who is told of them, and their list.

use serde_json::{Value, json};
use sse_protocol::mercure::{self, EARLIEST};
use sse_protocol::wire::{Reply, Request};

use crate::mercure::{borrowed, resumed, stream, update};
use crate::presence;
use crate::support::redis::Redis;
use crate::support::{self, Hub, PATIENCE, Reader, bus};

/// Active subscriptions by this pattern, or all.
fn subscriptions(hub: &Hub, pattern: Option<&str>) -> Vec<Value> {
    let request = Request::Subscriptions { pattern, subscriber: None, after: None, limit: 1000 };
    match hub.client().call(&request, None, PATIENCE) {
        Ok(Reply::Subscriptions { json, last: None, .. }) => {
            serde_json::from_str(&format!("[{json}]")).expect("documents")
        }
        other => panic!("no subscriptions: {other:?}"),
    }
}

/// A stream of a subscriber.
fn subscriber(hub: &Hub, id: &str, info: &str, selectors: &[&str]) -> Reader {
    let patterns: Vec<String> = selectors.iter().map(|selector| mercure::subscription(selector)).collect();
    presence::open(hub, &presence::Opening { info, ..presence::of(id, &borrowed(&patterns)) })
}

/// The next update that tells of a subscription: its document.
fn told(reader: &mut Reader) -> Value {
    let frame = reader.frame();
    assert!(frame.starts_with("id: urn:uuid:"), "{frame}");
    let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    serde_json::from_str(data).expect("a document")
}

fn short(document: &Value) -> String {
    format!("{} {} {}", document["topic"], document["subscriber"], document["active"]).replace('"', "")
}

#[test]
fn a_subscription_is_told_of_when_it_begins_and_when_it_ends_and_an_upgrade_is_neither() {
    let mut hub = Hub::with(json!({ "history_events": 100, "presence_grace_ms": 3_600_000 }));
    let all: &[&str] = &["/.well-known/mercure/subscriptions/{topic}/{subscriber}"];
    let mut watcher = stream(&hub, all, all);
    let mut without_right = stream(&hub, all, &["a"]);
    let first = subscriber(&hub, "urn:1", r#"{"payload":{"a":1}}"#, &["/books/{id}", "a"]);
    let document = told(&mut watcher);
    assert_eq!(
        document,
        json!({
            "@context": "https://mercure.rocks/",
            "id": "/.well-known/mercure/subscriptions/%2Fbooks%2F%7Bid%7D/urn%3A1",
            "type": "Subscription", "topic": "/books/{id}", "subscriber": "urn:1", "active": true, "payload": { "a": 1 },
        })
    );
    assert_eq!(short(&told(&mut watcher)), "a urn:1 true");
    let second = subscriber(&hub, "urn:2", "null", &["a"]);
    assert_eq!(short(&told(&mut watcher)), "a urn:2 true");
    hub.upgrade(&Value::Null);
    assert_eq!(
        subscriptions(&hub, None).iter().map(short).collect::<Vec<_>>(),
        ["/books/{id} urn:1 true", "a urn:1 true", "a urn:2 true"]
    );
    assert_eq!(subscriptions(&hub, Some(&mercure::subscription("/books/{id}"))), [document]);
    drop(first);
    assert_eq!(short(&told(&mut watcher)), "/books/{id} urn:1 false");
    assert_eq!(short(&told(&mut watcher)), "a urn:1 false");
    assert_eq!(subscriptions(&hub, None).iter().map(short).collect::<Vec<_>>(), ["a urn:2 true"]);
    drop(second);
    assert_eq!(short(&told(&mut watcher)), "a urn:2 false");
    update(&mut hub.client(), &[all[0]], false, "last");
    without_right.expect(b"id: last\ndata: x\n\n");
    // They are in the history as well.
    let mut late = resumed(&hub, all, all, EARLIEST);
    late.expect(b":\n\n");
    assert_eq!(short(&told(&mut late)), "/books/{id} urn:1 true");
}

#[test]
fn subscriptions_at_other_machines_are_listed_and_told_of_once() {
    let redis = Redis::new();
    let (one, other) = (bus::hub(&redis), bus::hub(&redis));
    let mut watcher = stream(&one, &["*"], &["*"]);
    let open = subscriber(&other, "urn:1", "{}", &["/books/{id}"]);
    assert_eq!(short(&told(&mut watcher)), "/books/{id} urn:1 true");
    support::until("the other hub's is listed", || subscriptions(&one, None).len() == 1);
    drop(open);
    assert_eq!(short(&told(&mut watcher)), "/books/{id} urn:1 false");
    update(&mut one.client(), &["a"], false, "last");
    watcher.expect(b"id: last\ndata: x\n\n");
    support::until("it is not listed any more", || subscriptions(&one, None).is_empty());
}

/// Attack: a client whose selectors make more of the hub than it is charged for: longer topics, or more of them.
#[test]
fn what_is_told_of_a_subscription_is_limited_and_charged() {
    let hub = Hub::with(json!({ "topic_bytes": 1 << 15 }));
    let mut client = hub.client();
    // The hub may keep what has come to nothing for a moment: streams stay open.
    let mut open = Vec::new();
    let mut refused = |selector: &str, id: &str| {
        let pattern = [mercure::subscription(selector)];
        let pattern = borrowed(&pattern);
        let opening = presence::Opening { address: Some("192.0.2.1"), ..presence::of(id, &pattern) };
        match presence::attach(&mut client, &opening) {
            Ok(stream) => {
                open.push(stream);
                None
            }
            Err(error) => Some(error.to_string()),
        }
    };
    assert!(refused(&"/".repeat(341), "u").is_some_and(|why| why.contains("makes a topic of 1066 bytes")));
    let refused = (0..100).find_map(|nth| refused(&"/".repeat(300), &format!("u{nth}")));
    assert!(refused.is_some_and(|why| why.contains("sse.topic_bytes")), "each has its charge");
}

/// Attack: clients that open and close streams until the history has nothing but what tells of that.
#[test]
fn a_sites_events_are_not_pushed_out_by_what_tells_of_subscriptions() {
    let hub = Hub::with(json!({ "history_events": 100, "history_bytes": 1 << 16 }));
    let mut client = hub.client();
    support::publish(&mut client, &["news"], "first", "x");
    support::publish(&mut client, &["news"], "second", "y");
    let selectors: Vec<String> = (0..100).map(|nth| format!("/books/{nth}")).collect();
    for nth in 0..4 {
        drop(subscriber(&hub, &format!("urn:{nth}"), "null", &borrowed(&selectors)));
    }
    // Each has begun and ended.
    hub.until("all is told", |stats| stats["published"] == json!(2 + 2 * 4 * 100));
    let bytes = hub.stats()["history"]["bytes"].as_u64().expect("a number");
    assert!(bytes > 2000 && bytes < 1 << 14, "{bytes} bytes");
    let (stream, far) = support::attach_after(&mut client, &["news"], "first");
    support::commit(&client, stream, sse_protocol::wire::Framing::Raw);
    Reader::new(far, stream, client).expect(b":\n\nid: second\ndata: y\n\n");
}
