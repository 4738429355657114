//! A hub on a bus is passed on: reading goes on where the old hub was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::json;
use sse_protocol::wire::Framing;

use crate::support::bus::{back, cursor, event, give, hub, on, resumed};
use crate::support::redis::Redis;
use crate::support::{PATIENCE, publish, until};

#[test]
fn nothing_is_lost_or_doubled_while_others_publish() {
    let redis = Redis::new();
    let much = json!({ "history_events": 100_000, "history_bytes": 64 << 20 });
    let (mut a, b) = (on(&redis.url(""), much), hub(&redis));
    let first = give(&b, "t", "first");
    until("the other hub has it as well", || cursor(&a) == first);
    let mut readers = [a.stream(&["t"], Framing::Raw), b.stream(&["t"], Framing::Raw)];
    let enough = AtomicBool::new(false);
    let count = thread::scope(|scope| {
        let (b, enough) = (&b, &enough);
        let publisher = scope.spawn(move || {
            let mut client = b.client();
            let mut count = 0_u32;
            while !enough.load(Ordering::SeqCst) {
                count += 1;
                publish(&mut client, &["t"], &count.to_string(), "x");
            }
            count
        });
        let mut client = a.client();
        for round in 0..10 {
            publish(&mut client, &["own"], &format!("own-{round}"), "x");
            a.upgrade(&json!({}));
            publish(&mut client, &["own"], &format!("own-{round}-after"), "x");
        }
        enough.store(true, Ordering::SeqCst);
        publisher.join().expect("no panic")
    });
    for reader in &mut readers {
        reader.expect(b":\n\n");
        for number in 1..=count {
            reader.expect(format!("id: {number}\ndata: x\n\n").as_bytes());
        }
    }
    let last = give(&a, "t", "last");
    for reader in &mut readers {
        reader.expect(format!("id: {last}\ndata: last\n\n").as_bytes());
    }
    assert_eq!(cursor(&a), last);
    let stats = a.until("the bus is there", |stats| stats["bus"]["state"] == "connected");
    assert_eq!(
        (&stats["upgrades"], &stats["bus"]["gaps"], &stats["history"]["gaps"]),
        (&json!(10), &json!(0), &json!(0))
    );
    // Its own, ten times before and ten times after, and the last.
    // Redis may have passed the last one on before it has answered its publisher.
    a.until("the figures go on", |stats| stats["bus"]["published"] == 21);
    let mut late = resumed(&a, "t", &first);
    assert_eq!(late.message(), "event 1 t - x");
}

/// Wakes of other hubs may have come while nobody listened.
#[test]
fn everything_is_woken_once() {
    let redis = Redis::new();
    let mut a = hub(&redis);
    let mut reader = a.stream(&["t"], Framing::Message);
    a.upgrade(&json!({}));
    assert_eq!(reader.message(), "trigger **");
}

#[test]
fn while_publishers_wait_for_redis_the_hub_is_not_passed_on() {
    let redis = Redis::new();
    let mut a = hub(&redis);
    let mut reader = a.stream(&["t"], Framing::Raw);
    redis.signal(Signal::STOP);
    let mut client = a.client();
    client.post(&event("t", "waits")).expect("the hub reads");
    let mut successor = a.successor(&json!({}));
    let reason = successor.report()["error"].as_str().expect("refused").to_owned();
    assert!(reason.contains("publishers wait for it"), "{reason}");
    redis.signal(Signal::CONT);
    back(&a);
    a.upgrade(&json!({}));
    let id = give(&a, "t", "after");
    client.call(&event("t", "last"), None, PATIENCE).expect("published");
    let mut text = vec![0; format!(":\n\nid: {id}\ndata: waits\n\n").len()];
    std::io::Read::read_exact(&mut reader.socket, &mut text).expect("the event that waited");
    assert!(String::from_utf8_lossy(&text).ends_with("\ndata: waits\n\n"));
    reader.expect(format!("id: {id}\ndata: after\n\n").as_bytes());
}

#[test]
fn another_bus_is_not_taken_over() {
    let redis = Redis::new();
    let mut a = hub(&redis);
    let mut other = a.successor(&json!({ "bus": redis.url("stream=other") }));
    let reason = other.report()["error"].as_str().expect("refused").to_owned();
    assert!(reason.contains("stream other, and the hub that runs keeps them in"), "{reason}");
    give(&a, "t", "still here");
    a.upgrade(&json!({}));
}
