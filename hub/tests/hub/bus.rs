//! Several hubs on one Redis: the same events everywhere, in one order, with ids that all of them know.

use std::collections::HashSet;
use std::thread;

use serde_json::json;
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;
use sse_protocol::wire::{Framing, Reply, Request};

use crate::support::bus::{cursor, event, give, hub, on, resumed};
use crate::support::redis::Redis;
use crate::support::{self, Hub, PATIENCE, Reader, metrics, publish, trigger};

#[test]
fn what_is_published_to_one_hub_is_delivered_by_all() {
    let redis = Redis::new();
    let (a, b) = (hub(&redis), hub(&redis));
    let mut readers = [&a, &b].map(|hub| hub.stream(&["t"], Framing::Raw));
    let id = give(&a, "t", "one\ntwo");
    for reader in &mut readers {
        reader.expect(format!(":\n\nid: {id}\ndata: one\ndata: two\n\n").as_bytes());
    }
    assert!(Id::parse(&id).is_some());
    assert_eq!((cursor(&a), cursor(&b)), (id.clone(), id.clone()));
    let entries: Vec<(String, Vec<String>)> = redis.call("XRANGE sse - +");
    assert_eq!(entries[0].0, id);
    assert_eq!(entries[0].1[..4], ["topic", "t", "data", "one\ntwo"]);
    let request = Request::Publish {
        event: NewEvent {
            topics: vec!["t", "u"],
            event_type: Some("n"),
            id: Some("own"),
            retry: Some(7),
            data: b"x",
            ..NewEvent::default()
        },
        answer: true,
    };
    b.client().call(&request, None, PATIENCE).expect("published");
    for reader in &mut readers {
        reader.expect(b"id: own\nevent: n\nretry: 7\ndata: x\n\n");
    }
    let stats = &a.stats()["bus"];
    assert_eq!((&stats["read"], &stats["published"], &stats["gaps"]), (&json!(2), &json!(1), &json!(0)));
    let lines = metrics(&mut a.client());
    for line in ["sse_bus_entries_read_total 2", "sse_bus_events_published_total 1", "sse_bus_problem 0"] {
        assert!(lines.iter().any(|one| one == line), "{line} is not among {lines:#?}");
    }
}

#[test]
fn any_program_can_publish_and_what_is_no_event_is_passed_over() {
    let redis = Redis::new();
    let hub = on(&redis.url("stream=my.events"), json!({}));
    let mut reader = hub.stream(&["t"], Framing::Raw);
    let _: String = redis.call("XADD my.events * topic t.* data x");
    let _: String = redis.call("XADD my.events * note x");
    let id: String = redis.call("XADD my.events * note x topic t data hello event greeting");
    reader.expect(format!(":\n\nid: {id}\nevent: greeting\ndata: hello\n\n").as_bytes());
    assert_eq!(hub.stats()["bus"]["refused"], json!(2));
}

/// Each hub's readers see the same order, in which each publisher's own events are in theirs.
#[test]
fn the_order_is_the_same_everywhere() {
    const PUBLISHERS: usize = 4;
    const EVENTS: usize = 200;
    let redis = Redis::new();
    let hubs = [hub(&redis), hub(&redis), hub(&redis)];
    let readers: Vec<Reader> = hubs.iter().map(|hub| hub.stream(&["t"], Framing::Message)).collect();
    let seen: Vec<Vec<String>> = thread::scope(|scope| {
        for number in 0..PUBLISHERS {
            let hub = &hubs[number % hubs.len()];
            scope.spawn(move || {
                let mut client = hub.client();
                let mut last = Id::default();
                for event in 0..EVENTS {
                    let data = format!("{number}-{event}");
                    let request = Request::Publish {
                        event: NewEvent { topics: vec!["t"], data: data.as_bytes(), ..NewEvent::default() },
                        answer: true,
                    };
                    let Ok(Reply::Published { id }) = client.call(&request, None, PATIENCE) else {
                        panic!("not taken")
                    };
                    let id = Id::parse(id).expect("an id");
                    assert!(id > last);
                    last = id;
                }
            });
        }
        let read = |mut reader: Reader| (0..PUBLISHERS * EVENTS).map(|_| reader.message()).collect();
        let threads: Vec<_> = readers.into_iter().map(|reader| scope.spawn(move || read(reader))).collect();
        threads.into_iter().map(|thread| thread.join().expect("read")).collect()
    });
    assert_eq!(seen[0].iter().collect::<HashSet<_>>().len(), PUBLISHERS * EVENTS);
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    for number in 0..PUBLISHERS {
        let prefix = format!(" {number}-");
        let own: Vec<&String> = seen[0].iter().filter(|event| event.contains(&prefix)).collect();
        assert!(own.iter().enumerate().all(|(event, text)| text.ends_with(&format!(" {number}-{event}"))));
    }
}

#[test]
fn a_reader_resumes_on_another_hub() {
    let redis = Redis::new();
    let (a, b) = (hub(&redis), hub(&redis));
    let first = give(&a, "t", "1");
    let second = give(&b, "t", "2");
    publish(&mut a.client(), &["t"], "own", "3");
    let mut reader = resumed(&b, "t", &first);
    assert_eq!(reader.message(), format!("event {second} t - 2"));
    assert_eq!(reader.message(), "event own t - 3");
    let last = give(&a, "t", "4");
    assert_eq!(reader.message(), format!("event {last} t - 4"));
    // The publisher has its answer when its own hub has the event; another may be a moment behind.
    for _ in 0..50 {
        let id = give(&a, "t", "x");
        let mut reader = resumed(&b, "t", &id);
        let next = give(&b, "t", "y");
        assert_eq!(reader.message(), format!("event {next} t - y"));
    }
    assert_eq!(b.stats()["history"]["gaps"], json!(0));
}

#[test]
fn an_id_that_nobody_knows_is_a_gap_all_the_same() {
    let redis = Redis::new();
    let hub = hub(&redis);
    let id = give(&hub, "t", "1");
    for unknown in ["nobody's", "1-0", "99999999999999-0"] {
        let mut reader = resumed(&hub, "t", unknown);
        assert_eq!(reader.message(), "trigger **");
        assert_eq!(reader.message(), format!("event {id} t - 1"));
    }
}

#[test]
fn a_new_hub_knows_what_was_before_it() {
    let redis = Redis::new();
    let empty = hub(&redis);
    let cursor_of_nothing = cursor(&empty);
    assert_eq!(cursor_of_nothing, "0-0");
    let first = give(&empty, "t", "1");
    publish(&mut empty.client(), &["t"], "own", "2");
    let third = give(&empty, "t", "3");
    drop(empty);
    let hub = hub(&redis);
    assert_eq!(cursor(&hub), third);
    for (id, expected) in [(cursor_of_nothing.as_str(), 3), (&first, 2), ("own", 1), (&third, 0)] {
        let mut reader = resumed(&hub, "t", id);
        let mark = give(&hub, "t", "mark");
        let messages: Vec<String> = (0..).map(|_| reader.message()).take_while(|text| !text.contains(&mark)).collect();
        let marks = messages.iter().filter(|text| text.ends_with("mark")).count();
        assert_eq!(messages.len() - marks, expected, "{id}: {messages:?}");
        assert!(!messages.contains(&"trigger **".to_string()), "{id}");
    }
    // Of what was trimmed before it came, it knows that it doesn't know.
    let _: i64 = redis.call("XTRIM sse MAXLEN 2");
    drop(hub);
    let hub = self::hub(&redis);
    let newest = cursor(&hub);
    for unknown in [&first, "own", "0-0"] {
        assert_eq!(resumed(&hub, "t", unknown).message(), "trigger **");
    }
    let mut reader = resumed(&hub, "t", &newest);
    let id = give(&hub, "t", "next");
    assert_eq!(reader.message(), format!("event {id} t - next"));
}

#[test]
fn a_new_hub_loads_no_more_than_its_history_takes() {
    let redis = Redis::new();
    let ids: Vec<String> = (0..500).map(|number| redis.add("t", &format!("{number}-{}", "x".repeat(1000)))).collect();
    let hub = on(&redis.url(""), json!({ "history_bytes": 100_000 }));
    let loaded = hub.stats()["history"]["events"].as_u64().expect("a number");
    assert!((50..100).contains(&loaded), "{loaded}");
    let mut reader = resumed(&hub, "t", &ids[499 - 40]);
    for id in &ids[460..] {
        assert!(reader.message().starts_with(&format!("event {id} ")));
    }
    assert_eq!(resumed(&hub, "t", &ids[100]).message(), "trigger **");
}

#[test]
fn wakes_cross_and_do_not_come_back() {
    let redis = Redis::new();
    let (a, b) = (hub(&redis), hub(&redis));
    let mut readers = [&a, &b].map(|hub| hub.stream(&["t.*", "u"], Framing::Message));
    trigger(&a.client(), &["t.1"]);
    for reader in &mut readers {
        assert_eq!(reader.message(), "trigger t.1");
    }
    trigger(&b.client(), &[]);
    for reader in &mut readers {
        assert_eq!(reader.message(), "trigger **");
    }
    let _: i64 = redis.call("PUBLISH sse:wakes u");
    for reader in &mut readers {
        assert_eq!(reader.message(), "trigger u");
    }
    let stats = a.until("both are counted", |stats| stats["bus"]["wakes_received"] == json!(2));
    assert_eq!(stats["bus"]["wakes_sent"], json!(1));
}

#[test]
fn what_redis_refuses_is_told_to_the_publisher() {
    let redis = Redis::new();
    let hub = hub(&redis);
    let _: String = redis.call("CONFIG SET maxmemory 1");
    let error = support::text(hub.client().call(&event("t", "x"), None, PATIENCE));
    assert!(error.contains("Redis has refused the event: OOM"), "{error}");
    let _: String = redis.call("CONFIG SET maxmemory 0");
    give(&hub, "t", "x");
    let other = on(&redis.url("stream=other"), json!({}));
    let _: String = redis.call("SET third x");
    give(&other, "t", "x");
    let wrong = Hub::with(json!({ "bus": redis.url("stream=third") }));
    let stats = wrong.until("it has seen that", |stats| stats["bus"]["state"] == "away");
    assert!(stats["bus"]["problem"].as_str().is_some_and(|why| why.contains("WRONGTYPE")), "{stats}");
}
