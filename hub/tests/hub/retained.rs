//! Last values: the newest retained event of each topic, which a stream gets first.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};
use sse_protocol::client::Client;
use sse_protocol::event::NewEvent;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Delivery, Framing, Reply, Request, TopicsAs};

use crate::support::bus::on;
use crate::support::redis::Redis;
use crate::support::{Hub, PATIENCE, Reader, commit, metrics, publish, until};

/// Retains an event of the type `v`; returns its id.
fn retain(client: &mut Client, topics: &[&str], data: &str) -> String {
    let event = NewEvent {
        topics: topics.to_vec(),
        event_type: Some("v"),
        data: data.as_bytes(),
        retain: true,
        ..NewEvent::default()
    };
    match client.call(&Request::Publish { event, answer: true }, None, PATIENCE) {
        Ok(Reply::Published { id }) => id.into(),
        other => panic!("not published: {other:?}"),
    }
}

/// The last value of a topic: its id and its data.
fn last(hub: &Hub, topic: &str) -> Option<(String, String)> {
    match hub.client().call(&Request::Retained { topic }, None, PATIENCE) {
        Ok(Reply::Events { events }) => match &events[..] {
            [] => None,
            [Delivery::Event { id, data, .. }] => Some(((*id).into(), String::from_utf8_lossy(data).into())),
            other => panic!("{other:?}"),
        },
        other => panic!("no last value: {other:?}"),
    }
}

fn data(hub: &Hub, topic: &str) -> Option<String> {
    last(hub, topic).map(|(_, data)| data)
}

/// A stream that gets the last values first.
fn attached(hub: &Hub, patterns: &[&str], last_event_id: Option<&str>, topics_as: Option<TopicsAs>) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let spec = StreamSpec { topics_as, cursor: topics_as.is_none(), ..StreamSpec::default() };
    let patterns = patterns.to_vec();
    let request = Request::Attach(Attach { patterns, spec, last_event_id, retained: true, ..Attach::default() });
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("not attached: {other:?}"),
    };
    commit(&client, stream, Framing::Raw);
    Reader::new(far, stream, client)
}

fn cursor(hub: &Hub) -> String {
    match hub.client().call(&Request::Cursor, None, PATIENCE) {
        Ok(Reply::Cursor { id }) => id.into(),
        other => panic!("no cursor: {other:?}"),
    }
}

#[test]
fn a_stream_gets_the_last_values_of_its_topics_first_and_then_what_is_published() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "history_events": 10, "processes": processes }));
        let mut client = hub.client();
        retain(&mut client, &["s.a"], "old");
        retain(&mut client, &["s.b", "s.c"], "b");
        retain(&mut client, &["other"], "no");
        let id = retain(&mut client, &["s.a"], "a");
        publish(&mut client, &["s.a"], "7", "not retained");
        assert_eq!(last(&hub, "s.a"), Some((id, "a".into())));
        assert_eq!(last(&hub, "s"), None);
        let mut reader = attached(&hub, &["s.*", "s.b"], None, None);
        let newest = cursor(&hub);
        reader.expect(format!(":\n\nevent: v\ndata: b\n\nevent: v\ndata: a\n\nid: {newest}\n\n").as_bytes());
        let id = retain(&mut client, &["s.b"], "live");
        reader.expect(format!("id: {id}\nevent: v\ndata: live\n\n").as_bytes());
        let stats = hub.stats();
        let retained = &stats["retained"];
        assert_eq!((&retained["topics"], &retained["events"], &retained["dropped"]), (&json!(4), &json!(4), &json!(0)));
        let lines = metrics(&mut client);
        assert!(lines.iter().any(|line| line == "sse_retained_topics 4"), "{lines:#?}");
    }
}

#[test]
fn one_without_data_removes_the_last_value_and_is_told() {
    let hub = Hub::new();
    let mut client = hub.client();
    retain(&mut client, &["a", "b"], "x");
    let mut reader = hub.stream(&["a"], Framing::Raw);
    let id = retain(&mut client, &["a"], "");
    reader.expect(format!(":\n\nid: {id}\nevent: v\ndata: \n\n").as_bytes());
    assert_eq!((data(&hub, "a"), data(&hub, "b")), (None, Some("x".into())));
    let mut reader = attached(&hub, &["a"], None, None);
    publish(&mut client, &["a"], "next", "y");
    reader.expect(b":\n\nid: next\ndata: y\n\n");
}

#[test]
fn what_a_client_has_missed_comes_once_after_older_last_values_which_do_not_move_its_place() {
    let hub = Hub::with(json!({ "history_events": 2 }));
    let mut client = hub.client();
    retain(&mut client, &["a"], "a1");
    retain(&mut client, &["b"], "b1");
    publish(&mut client, &["c"], "here", "x");
    publish(&mut client, &["b"], "missed", "x");
    let id = retain(&mut client, &["b"], "b2");
    let mut reader = attached(&hub, &["**"], Some("here"), None);
    let missed = format!("id: missed\ndata: x\n\nid: {id}\nevent: v\ndata: b2\n\n");
    reader.expect(format!(":\n\nevent: v\ndata: a1\n\n{missed}").as_bytes());

    // After a gap the values that the history has forgotten are there.
    for number in 0..3 {
        publish(&mut client, &["a"], &format!("n{number}"), "x");
    }
    let mut reader = attached(&hub, &["a"], Some("here"), None);
    let gap = "event: gap\ndata: {\"oldest\":\"n1\",\"requested\":\"here\"}\n\n";
    reader.expect(format!(":\n\n{gap}event: v\ndata: a1\n\nid: n1\ndata: x\n\nid: n2\ndata: x\n\n").as_bytes());
}

#[test]
fn the_topics_of_last_values_are_told_where_the_stream_asks_for_topics() {
    let hub = Hub::with(json!({ "history_events": 10 }));
    let newest = retain(&mut hub.client(), &["a", "secret"], "x");
    let mut reader = attached(&hub, &["a"], None, Some(TopicsAs::Field));
    let last = format!("id: {newest}\nreached: {newest}\n\n");
    let value = format!("topic: a\nretained: {newest}\nevent: v\ndata: x\n\n");
    reader.expect(format!(":\n\nheartbeat: 0\ncursor: {newest}\n\n{value}{last}").as_bytes());
    let mut reader = attached(&hub, &["a"], None, Some(TopicsAs::Envelope));
    let told = format!("data: {{\"data\":\"x\",\"event\":\"v\",\"topics\":[\"a\"],\"retained\":\"{newest}\"}}\n\n");
    reader.expect(format!(":\n\ndata: {{\"cursor\":\"{newest}\"}}\n\n{told}").as_bytes());
}

/// Attack: last values without end, each of another topic.
#[test]
fn last_values_take_no_more_than_their_limit_and_the_oldest_go() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("sse.db");
    let settings = json!({ "history_file": file, "history_events": 1, "retain_bytes": 100_000 });
    let mut hub = Hub::with(settings.clone());
    let mut client = hub.client();
    for number in 0..500 {
        retain(&mut client, &[&format!("t.{number}")], &"x".repeat(200));
    }
    let retained = hub.stats()["retained"].clone();
    assert!(retained["bytes"].as_u64().is_some_and(|bytes| bytes > 50_000 && bytes <= 100_000), "{retained}");
    assert_eq!(retained["dropped"].as_u64().zip(retained["events"].as_u64()).map(|(a, b)| a + b), Some(500));
    assert_eq!((last(&hub, "t.0").is_some(), last(&hub, "t.499").is_some()), (false, true));
    let sqlite = Connection::open(&file).expect("a file of SQLite's");
    let count = |table: &str| -> Value {
        let sql = format!("SELECT count(*) FROM {table}");
        json!(sqlite.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("a number"))
    };
    until("the file has no more than the hub", || count("retained") == retained["topics"]);
    assert_eq!(count("retained_event"), retained["events"]);
    hub.kill();
    let hub = Hub::with(settings);
    assert_eq!(hub.stats()["retained"]["events"], retained["events"]);
}

#[test]
fn on_disk_they_survive_kill_and_upgrade_and_in_memory_an_upgrade() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = json!({ "history_file": folder.path().join("sse.db"), "history_events": 1 });
    for settings in [settings, json!({})] {
        let on_disk = !settings["history_file"].is_null();
        let mut hub = Hub::with(settings.clone());
        let mut client = hub.client();
        let one = retain(&mut client, &["a", "b", "a"], "one\ntwo");
        let two = retain(&mut client, &["b"], "b");
        retain(&mut client, &["c"], "c");
        retain(&mut client, &["c"], "");
        let own = NewEvent { topics: vec!["d"], id: Some("own"), data: b"d", retain: true, ..NewEvent::default() };
        client.call(&Request::Publish { event: own, answer: true }, None, PATIENCE).expect("published");
        if on_disk {
            hub.kill();
            hub = Hub::with(settings);
        }
        let check = |hub: &Hub| {
            let mut reader = attached(hub, &["**"], None, Some(TopicsAs::Field));
            let newest = cursor(hub);
            let a = format!("topic: a\ntopic: b\ntopic: a\nretained: {one}\nevent: v\ndata: one\ndata: two\n\n");
            let rest = format!("topic: b\nretained: {two}\nevent: v\ndata: b\n\ntopic: d\nretained: own\ndata: d\n\n");
            reader.expect(format!(":\n\nheartbeat: 0\ncursor: {newest}\n\n{a}{rest}").as_bytes());
            assert_eq!((data(hub, "b"), last(hub, "c")), (Some("b".into()), None));
            assert_eq!(last(hub, "d"), Some(("own".into(), "d".into())));
        };
        check(&hub);
        hub.upgrade(&json!({}));
        check(&hub);
        // Without a topic that refers to it, the older event goes.
        retain(&mut hub.client(), &["a"], "new");
        assert_eq!(hub.stats()["retained"]["events"], json!(3));
    }
}

/// Redis has the value, and no event tells of it any more.
#[test]
fn a_hub_gets_the_value_of_an_event_that_was_trimmed_before_it_was_read() {
    let redis = Redis::new();
    let (a, b) = (on(&redis.url(""), json!({})), on(&redis.url(""), json!({})));
    b.signal(Signal::STOP);
    let mut client = a.client();
    // Redis answers with the first one alone: that question has waited.
    retain(&mut client, &["first"], "f");
    retain(&mut client, &["own"], "o");
    let _: i64 = redis.call("XTRIM sse MAXLEN 0");
    b.signal(Signal::CONT);
    until("the value is there", || data(&b, "own") == Some("o".into()));
    assert_eq!(data(&b, "first"), Some("f".into()));
}

#[test]
fn on_a_bus_all_hubs_have_them_also_those_that_start_later() {
    let redis = Redis::new();
    let url = redis.url("maxlen=1");
    let (a, b) = (on(&url, json!({})), on(&url, json!({})));
    let mut client = a.client();
    retain(&mut client, &["x", "y", "x"], "both");
    let y = retain(&mut client, &["y"], "y");
    retain(&mut client, &["gone"], "z");
    retain(&mut client, &["gone"], "");
    let own = NewEvent { topics: vec!["own"], id: Some("own"), data: b"o", retain: true, ..NewEvent::default() };
    let keyed = NewEvent { key: Some("k"), ..own };
    for _ in 0..2 {
        let request = Request::Publish { event: keyed.clone(), answer: true };
        assert!(matches!(client.call(&request, None, PATIENCE), Ok(Reply::Published { id: "own" })));
    }
    // Redis trims about so many: none of the events is in the stream any more.
    let _: i64 = redis.call("XTRIM sse MAXLEN 0");
    let late = on(&url, json!({}));
    for hub in [&a, &b, &late] {
        until("all is read", || data(hub, "own") == Some("o".into()));
        assert_eq!((data(hub, "x"), last(hub, "y")), (Some("both".into()), Some((y.clone(), "y".into()))));
        assert_eq!((last(hub, "gone"), last(hub, "own").map(|(id, _)| id)), (None, Some("own".into())));
    }
    let (topics, events): (usize, usize) = (redis.call("HLEN sse:retained"), redis.call("HLEN sse:retained-events"));
    assert_eq!((topics, events), (3, 3));
    // What another program writes there is checked.
    let _: i64 = redis.call("HSET sse:retained bad..topic 1-1 none 1-2 broken 1-3");
    let _: i64 = redis.call("HSET sse:retained-events 1-1 {} 1-3 {\"topics\":[\"broken\"],\"data\":5}");
    let later = on(&url, json!({}));
    assert_eq!((data(&later, "x"), data(&later, "broken"), data(&later, "none")), (Some("both".into()), None, None));
    // It has lost what it does not know of.
    assert_eq!(later.stats()["retained"]["topics"], json!(3));
}

#[test]
fn what_a_hub_drops_goes_from_redis_and_what_it_missed_in_a_gap_is_read_again() {
    let mut redis = Redis::new();
    let hub = on(&redis.url(""), json!({ "retain_bytes": 20_000 }));
    let mut client = hub.client();
    for number in 0..200 {
        retain(&mut client, &[&format!("t.{number}")], "x");
    }
    let events = hub.stats()["retained"]["events"].as_u64().expect("a number");
    assert!(events > 10 && events < 100, "{events}");
    until("Redis has no more than the hub", || redis.call::<u64>("HLEN sse:retained") == events);
    assert_eq!(redis.call::<u64>("HLEN sse:retained-events"), events);
    assert_eq!(redis.call::<u64>("HLEN sse:retained-uses"), events);
    // Redis starts anew with nothing.
    let _: String = redis.call("FLUSHALL");
    redis.kill();
    redis.restart();
    hub.until("the gap is noticed", |stats| stats["bus"]["gaps"].as_u64() > Some(0));
    hub.until("Redis is back", |stats| stats["bus"]["state"] == "connected");
    until("there are no last values", || hub.stats()["retained"]["topics"] == json!(0));
    retain(&mut client, &["new"], "y");
    assert_eq!(data(&hub, "new"), Some("y".into()));
}
