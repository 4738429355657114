//! Publications with a key: the second one publishes nothing and gets the first one's id.

use std::collections::HashSet;
use std::thread;

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{ErrorCode, Framing, Reply, Request};

use crate::support::bus::{hub, on};
use crate::support::redis::Redis;
use crate::support::{Hub, PATIENCE, metrics, publish, until};

/// Publishes with a key; returns the id, or the message of the refusal.
fn keyed(client: &mut Client, key: &str, data: &str) -> Result<String, String> {
    let event = NewEvent { topics: vec!["t"], data: data.as_bytes(), key: Some(key), ..NewEvent::default() };
    match client.call(&Request::Publish { event, answer: true }, None, PATIENCE) {
        Ok(Reply::Published { id }) => Ok(id.into()),
        Err(ClientError::Hub { code: ErrorCode::NotKept, message }) => Err(message),
        other => panic!("neither published nor refused: {other:?}"),
    }
}

#[test]
fn a_key_publishes_once_and_again_when_its_time_is_over() {
    let hub = Hub::with(json!({ "history_events": 10 }));
    let mut reader = hub.stream(&["t"], Framing::Message);
    let mut client = hub.client();
    let first = keyed(&mut client, "paid-42", "one").expect("published");
    assert_eq!(keyed(&mut client, "paid-42", "two"), Ok(first.clone()));
    assert_eq!(keyed(&mut hub.client(), "paid-42", "three"), Ok(first.clone()));
    let other = keyed(&mut client, "paid-43", "four").expect("published");
    assert_eq!(reader.message(), format!("event {first} t - one"));
    assert_eq!(reader.message(), format!("event {other} t - four"));
    let own = NewEvent { topics: vec!["t"], data: b"x", id: Some("own"), key: Some("own-key"), ..NewEvent::default() };
    for _ in 0..2 {
        match client.call(&Request::Publish { event: own.clone(), answer: true }, None, PATIENCE) {
            Ok(Reply::Published { id }) => assert_eq!(id, "own"),
            other => panic!("not published: {other:?}"),
        }
    }
    let stats = hub.stats();
    assert_eq!((&stats["published"], &stats["keys"]["repeated"]), (&json!(3), &json!(3)));
    assert_eq!((&stats["keys"]["kept"], &stats["keys"]["dropped"]), (&json!(3), &json!(0)));
    let lines = metrics(&mut client);
    assert!(lines.iter().any(|line| line == "sse_publications_repeated_total 3"), "{lines:#?}");

    let brief = Hub::with(json!({ "key_ttl_ms": 1 }));
    let mut client = brief.client();
    let first = keyed(&mut client, "k", "x").expect("published");
    until("the key's time is over", || keyed(&mut client, "k", "x").expect("published") != first);
}

/// A request that does not wait for its answer, between two that do: each gets its own answer, in order.
#[test]
fn repetitions_keep_the_order_of_the_answers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for settings in [json!({}), json!({ "history_file": folder.path().join("sse.db"), "history_events": 10 })] {
        let hub = Hub::with(settings);
        let mut client = hub.client();
        let request = |key, answer| {
            let event = NewEvent { topics: vec!["t"], data: b"x", key: Some(key), ..NewEvent::default() };
            sse_protocol::wire::encode(&Request::Publish { event, answer })
        };
        let mut ids = Vec::new();
        let requests = [request("a", true), request("a", true), request("b", true), request("a", true)];
        client.post(&Request::Trigger { topics: vec!["x"] }).expect("the hub is there");
        let read = |reply: Reply<'_>| match reply {
            Reply::Published { id } => ids.push(id.to_owned()),
            other => panic!("not published: {other:?}"),
        };
        client.call_all(&requests, PATIENCE, read).expect("answered");
        assert_eq!(ids.len(), 4);
        assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[3]));
        assert_ne!(ids[0], ids[2]);
        let silent = NewEvent { topics: vec!["t"], data: b"x", key: Some("b"), ..NewEvent::default() };
        client.post(&Request::Publish { event: silent, answer: false }).expect("the hub is there");
        publish(&mut client, &["t"], "last", "x");
        assert_eq!(hub.stats()["published"], json!(3));
    }
}

/// Attack: a publisher with a new key for each event.
#[test]
fn keys_without_end_take_no_more_than_their_limit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("sse.db");
    let hub =
        Hub::with(json!({ "history_file": file, "history_events": 1, "key_bytes": 10_000, "key_ttl_ms": 3_600_000 }));
    let mut client = hub.client();
    for number in 0..300 {
        keyed(&mut client, &format!("{number}"), "x").expect("published");
    }
    let keys = &hub.stats()["keys"];
    assert!(keys["bytes"].as_u64().is_some_and(|bytes| bytes > 5_000 && bytes <= 10_000), "{keys}");
    assert!(keys["dropped"].as_u64().is_some_and(|dropped| dropped > 200), "{keys}");
    let kept = keys["kept"].as_i64().expect("a number");
    let sqlite = Connection::open(file).expect("a file of SQLite's");
    let count = || sqlite.query_row("SELECT count(*) FROM key", [], |row| row.get::<_, i64>(0)).expect("a number");
    until("the file has no more than the hub", || count() <= kept);
    assert_eq!(count(), kept);
}

#[test]
fn on_disk_a_key_survives_kill_and_upgrade_and_a_file_of_before_has_room_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("sse.db");
    let settings = json!({ "history_file": file, "history_events": 10, "history_bytes": 1 << 20 });
    let mut hub = Hub::with(settings.clone());
    publish(&mut hub.client(), &["t"], "before", "x");
    hub.kill();
    // As the version before has made it.
    Connection::open(&file).expect("a file of SQLite's").execute_batch("DROP TABLE key").expect("it was there");

    let mut hub = Hub::with(settings.clone());
    let id = keyed(&mut hub.client(), "k", "x").expect("published");
    hub.kill();
    let mut hub = Hub::with(settings);
    assert_eq!(keyed(&mut hub.client(), "k", "y"), Ok(id.clone()));
    hub.upgrade(&json!({}));
    assert_eq!(keyed(&mut hub.client(), "k", "z"), Ok(id));
    let stats = hub.stats();
    assert_eq!((&stats["keys"]["repeated"], &stats["published"]), (&json!(2), &json!(0)));
    assert_eq!(stats["history"]["events"], json!(2));
}

#[test]
fn in_memory_a_key_survives_an_upgrade() {
    let mut hub = Hub::new();
    let id = keyed(&mut hub.client(), "k", "x").expect("published");
    hub.upgrade(&json!({}));
    assert_eq!(keyed(&mut hub.client(), "k", "y"), Ok(id));
    assert_eq!(hub.stats()["published"], json!(1));
}

#[test]
fn while_the_first_is_being_stored_the_others_wait_for_what_becomes_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("sse.db");
    let hub = Hub::with(json!({ "history_file": file, "history_events": 10 }));
    publish(&mut hub.client(), &["t"], "first", "x");
    let mut outcomes = HashSet::new();
    let mut number = 0;
    // Whether the file is free again in time is the machine's affair.
    while outcomes.len() < 2 {
        number += 1;
        let (key, lets_go) = (format!("k{number}"), !outcomes.contains("published"));
        let mut other = Connection::open(&file).expect("a file of SQLite's");
        let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("free");
        let before = hub.stats()["keys"]["repeated"].as_u64().expect("a number");
        let (one, two) = thread::scope(|scope| {
            let call = || {
                let mut client = hub.client();
                let key = &key;
                scope.spawn(move || keyed(&mut client, key, "x"))
            };
            let (one, two) = (call(), call());
            if lets_go {
                hub.until("the second waits", |stats| stats["keys"]["repeated"].as_u64() > Some(before));
                drop(lock);
                (one.join().expect("no panic"), two.join().expect("no panic"))
            } else {
                let both = (one.join().expect("no panic"), two.join().expect("no panic"));
                drop(lock);
                both
            }
        });
        match (one, two) {
            (Ok(one), Ok(two)) => {
                assert_eq!(one, two);
                outcomes.insert("published");
            }
            (Err(one), Err(two)) => {
                assert!(one.contains("another program keeps it locked") && two.contains("another program"), "{one}");
                // It is free.
                assert!(keyed(&mut hub.client(), &key, "x").is_ok());
                outcomes.insert("failed");
            }
            // The second came after the first had failed.
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => {}
        }
    }
    hub.signal(Signal::TERM);
}

#[test]
fn on_a_bus_a_key_publishes_once_for_all_hubs() {
    const KEYS: usize = 50;
    let redis = Redis::new();
    let hubs = [hub(&redis), hub(&redis), hub(&redis)];
    let mut reader = hubs[0].stream(&["t"], Framing::Message);
    let ids: Vec<Vec<String>> = thread::scope(|scope| {
        let publishers: Vec<_> = (0..6)
            .map(|number| {
                let mut client = hubs[number % hubs.len()].client();
                let all = move || {
                    (0..KEYS).map(|key| keyed(&mut client, &format!("k{key}"), "x").expect("published")).collect()
                };
                scope.spawn(all)
            })
            .collect();
        publishers.into_iter().map(|publisher| publisher.join().expect("no panic")).collect()
    });
    assert_eq!(ids[0].iter().collect::<HashSet<_>>().len(), KEYS);
    assert!(ids.iter().all(|other| *other == ids[0]));
    publish(&mut hubs[1].client(), &["t"], "end", "x");
    let seen: Vec<String> = (0..=KEYS).map(|_| reader.message()).collect();
    assert_eq!(seen[KEYS], "event end t - x");
    assert_eq!(seen[..KEYS].iter().collect::<HashSet<_>>().len(), KEYS);
    let repeated: u64 = hubs.iter().map(|hub| hub.stats()["keys"]["repeated"].as_u64().expect("a number")).sum();
    assert_eq!(repeated, 5 * KEYS as u64);
    let (length, kept): (usize, usize) = (redis.call("XLEN sse"), redis.call("HLEN sse:key-ids"));
    assert_eq!((length, kept), (KEYS + 1, KEYS));
}

/// Attack: a publisher with a new key for each event.
#[test]
fn redis_keeps_a_limited_number_of_keys_for_a_limited_time() {
    let redis = Redis::new();
    let hub = on(&redis.url(""), json!({ "key_bytes": 256 * 20, "key_ttl_ms": 3_600_000 }));
    let mut client = hub.client();
    let ids: Vec<String> = (0..60).map(|number| keyed(&mut client, &number.to_string(), "x").expect("new")).collect();
    let (ids_kept, times): (usize, usize) = (redis.call("HLEN sse:key-ids"), redis.call("ZCARD sse:keys"));
    assert_eq!((ids_kept, times), (20, 20));
    assert_eq!(keyed(&mut client, "59", "x"), Ok(ids[59].clone()));
    assert_ne!(keyed(&mut client, "0", "x"), Ok(ids[0].clone()));
    let left: i64 = redis.call("PTTL sse:keys");
    assert!(left > 0 && left <= 3_600_000, "{left}");
    // What another program writes there is no id.
    let _: i64 = redis.call(&format!("HSET sse:key-ids 59 {}", "x".repeat(300)));
    assert!(keyed(&mut client, "59", "x").expect_err("no id").contains("is no id"));
    let brief = on(&redis.url("stream=brief"), json!({ "key_ttl_ms": 1 }));
    let mut client = brief.client();
    let first = keyed(&mut client, "k", "x").expect("published");
    until("the key's time is over", || keyed(&mut client, "k", "x").expect("published") != first);
}

/// Attack, or an accident: another program has a value of another kind there. Who is told that its event was refused publishes
/// again, and readers would get it twice.
#[test]
fn an_event_whose_key_or_last_value_redis_can_not_keep_is_not_published() {
    let redis = Redis::new();
    let hub = on(&redis.url(""), json!({}));
    let mut client = hub.client();
    for name in ["keys", "key-ids", "retained", "retained-events", "retained-uses"] {
        let _: String = redis.call(&format!("SET sse:{name} other"));
        let event = NewEvent { topics: vec!["t"], data: b"x", key: Some("k"), retain: true, ..NewEvent::default() };
        match client.call(&Request::Publish { event, answer: true }, None, PATIENCE) {
            Err(ClientError::Hub { code: ErrorCode::NotKept, message }) => {
                assert!(message.contains("WRONGTYPE"), "{message}");
            }
            other => panic!("not refused: {other:?}"),
        }
        assert_eq!(redis.call::<usize>("XLEN sse"), 0, "{name}");
        let _: usize = redis.call(&format!("DEL sse:{name}"));
    }
    keyed(&mut client, "k", "x").expect("published");
}
