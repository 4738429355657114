//! Events of which only the newest matters: one that waits for a client is replaced by a newer one of the same topics.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::client::Client;
use sse_protocol::event::NewEvent;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Framing, Reply, Request, TopicsAs};

use crate::support::redis::Redis;
use crate::support::{Hub, PATIENCE, Reader, attach_after, bus, commit, publish};

/// More than a socket's buffer takes.
const LARGE: usize = 500_000;

/// Publishes with an id of our own, as an event that a newer one replaces.
fn tick(client: &mut Client, topics: &[&str], id: &str) {
    let event = NewEvent { topics: topics.to_vec(), id: Some(id), data: b"x", latest: true, ..NewEvent::default() };
    match client.call(&Request::Publish { event, answer: true }, None, PATIENCE) {
        Ok(Reply::Published { id: given }) => assert_eq!(given, id),
        other => panic!("not published: {other:?}"),
    }
}

/// An open stream whose client has not read a large event yet, so that all later ones wait.
fn behind(hub: &Hub, framing: Framing, topics_as: Option<TopicsAs>) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    socket2::SockRef::from(&near).set_send_buffer_size(1).expect("small");
    let spec = StreamSpec { topics_as, ..StreamSpec::default() };
    let request = Request::Attach(Attach { patterns: vec!["**"], spec, ..Default::default() });
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("not attached: {other:?}"),
    };
    drop(near);
    commit(&client, stream, framing);
    Reader::new(far, stream, client)
}

fn waits_behind_a_large_one(hub: &Hub, count: u64) {
    publish(&mut hub.client(), &["large"], "large", &"y".repeat(LARGE));
    hub.until("all are behind", |stats| stats["queued_bytes"].as_u64() > Some(count * 100_000));
}

/// The event as a client gets it.
fn frame(id: &str, data: &str) -> String {
    format!("id: {id}\ndata: {data}\n\n")
}

fn large() -> String {
    frame("large", &"y".repeat(LARGE))
}

#[test]
fn a_ticker_is_never_too_much_for_a_client_that_does_not_read_and_other_events_keep_their_order() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "stream_buffer": 1000, "shards": 1, "processes": processes }));
        let mut raw = behind(&hub, Framing::Raw, None);
        let mut php = behind(&hub, Framing::Message, None);
        let mut field = behind(&hub, Framing::Raw, Some(TopicsAs::Field));
        waits_behind_a_large_one(&hub, 3);
        let mut client = hub.client();
        tick(&mut client, &["t"], "t0");
        publish(&mut client, &["t"], "other", "x");
        for round in 1..=100 {
            tick(&mut client, &["t"], &format!("t{round}"));
            tick(&mut client, &["u", "t"], &format!("u{round}"));
        }
        publish(&mut client, &["t"], "end", "x");
        // Topics in another order are the same ones, fewer are not.
        tick(&mut client, &["t", "u"], "both");
        let dropped = 3 * (100 + 100);
        let stats = hub.until("all is done", |stats| stats["superseded"] == dropped);
        assert_eq!(stats["streams"]["closed"]["slow"], 0);
        let rest = [frame("other", "x"), frame("t100", "x"), frame("end", "x"), frame("both", "x")];
        raw.expect(format!(":\n\n{}{}", large(), rest.concat()).as_bytes());
        assert!(php.message().starts_with("event large large - yyy"));
        for expected in ["event other t - x", "event t100 t - x", "event end t - x", "event both t,u - x"] {
            assert_eq!(php.message(), expected);
        }
        let topics = [("topic: t\n", 0), ("topic: t\n", 1), ("topic: t\n", 2), ("topic: t\ntopic: u\n", 3)];
        let told: String = topics.iter().map(|(topics, nth)| format!("{topics}{}", rest[*nth])).collect();
        let everything = read_to_the_end(&mut field);
        assert!(everything.ends_with(&told), "{}", &everything[everything.len() - 400..]);
        hub.until("nothing waits", |stats| stats["queued_bytes"] == json!(0));
        let lines = crate::support::metrics(&mut client);
        assert!(lines.contains(&format!("sse_events_superseded_total {dropped}")), "{lines:#?}");
    }
}

/// All that comes up to the event `both`.
fn read_to_the_end(reader: &mut Reader) -> String {
    let mut got = Vec::new();
    let mut part = [0; 65_536];
    while !got.ends_with(b"id: both\ndata: x\n\n") {
        let count = reader.socket.read(&mut part).expect("more");
        assert_ne!(count, 0, "the stream has ended");
        got.extend_from_slice(&part[..count]);
    }
    String::from_utf8(got).expect("text")
}

#[test]
fn a_client_that_keeps_up_gets_each() {
    let hub = Hub::new();
    let mut reader = hub.stream(&["t"], Framing::Raw);
    reader.expect(b":\n\n");
    let mut client = hub.client();
    for round in 0..20 {
        tick(&mut client, &["t"], &format!("t{round}"));
        reader.expect(frame(&format!("t{round}"), "x").as_bytes());
    }
    assert_eq!(hub.stats()["superseded"], json!(0));
}

/// Publishes what a client misses, and expects what it then gets: of a ticker the newest, at its own place.
fn what_is_missed(hub: &Hub) {
    let mut client = hub.client();
    publish(&mut client, &["a"], "seen", "x");
    for (topics, id) in [(&["a"][..], "t1"), (&["a"], "t2"), (&["a", "b"], "u1"), (&["a"], "t3"), (&["b", "a"], "u2")] {
        tick(&mut client, topics, id);
        publish(&mut client, &["a"], &format!("after-{id}"), "x");
    }
}

fn missed_is_told(hub: &Hub) {
    let mut client = hub.client();
    let (stream, far) = attach_after(&mut client, &["a"], "seen");
    commit(&client, stream, Framing::Raw);
    let mut reader = Reader::new(far, stream, client);
    let ids = ["after-t1", "after-t2", "after-u1", "t3", "after-t3", "u2", "after-u2"];
    let expected: String = ids.iter().map(|id| frame(id, "x")).collect();
    reader.expect(format!(":\n\n{expected}").as_bytes());
}

#[test]
fn who_comes_back_gets_the_newest() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "history_events": 100, "processes": processes }));
        what_is_missed(&hub);
        missed_is_told(&hub);
        assert_eq!(hub.stats()["superseded"], json!(3));
    }
}

#[test]
fn the_file_and_redis_know_it_when_a_hub_starts_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = || json!({ "history_file": folder.path().join("sse.db"), "history_events": 100 });
    let mut hub = Hub::with(settings());
    what_is_missed(&hub);
    missed_is_told(&hub);
    hub.kill();
    missed_is_told(&Hub::with(settings()));

    let redis = Redis::new();
    let (a, b) = (bus::hub(&redis), bus::hub(&redis));
    let mut reader = b.stream(&["a"], Framing::Raw);
    what_is_missed(&a);
    reader.expect(format!(":\n\n{}{}", frame("seen", "x"), frame("t1", "x")).as_bytes());
    missed_is_told(&b);
    missed_is_told(&bus::hub(&redis));
}

/// A hub of before made the file without the column, and goes on with it after a downgrade.
#[test]
fn an_older_file_is_completed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("sse.db");
    let settings = || json!({ "history_file": file, "history_events": 100 });
    let mut hub = Hub::with(settings());
    publish(&mut hub.client(), &["a"], "old", "x");
    hub.kill();
    let sqlite = rusqlite::Connection::open(&file).expect("a file of SQLite's");
    sqlite.execute_batch("ALTER TABLE event DROP COLUMN latest").expect("as it was before");
    drop(sqlite);
    let mut hub = Hub::with(settings());
    what_is_missed(&hub);
    hub.kill();
    missed_is_told(&Hub::with(settings()));
}

#[test]
fn what_waits_during_an_upgrade_is_replaced_after_it() {
    for processes in [1, 2] {
        let mut hub = Hub::with(json!({ "shards": 1, "processes": processes }));
        let mut raw = behind(&hub, Framing::Raw, None);
        let mut field = behind(&hub, Framing::Raw, Some(TopicsAs::Field));
        waits_behind_a_large_one(&hub, 2);
        let mut client = hub.client();
        for id in ["t1", "t2"] {
            tick(&mut client, &["t"], id);
        }
        publish(&mut client, &["t"], "other", "x");
        hub.until("one is replaced for each", |stats| stats["superseded"] == json!(2));
        drop(client);
        hub.upgrade(&Value::Null);
        let mut client = hub.client();
        for id in ["t3", "both"] {
            tick(&mut client, &["t"], id);
        }
        hub.until("the count has gone on", |stats| stats["superseded"] == json!(6));
        let rest = [frame("other", "x"), frame("both", "x")];
        raw.expect(format!(":\n\n{}{}", large(), rest.concat()).as_bytes());
        let everything = read_to_the_end(&mut field);
        let told: String = rest.iter().map(|rest| format!("topic: t\n{rest}")).collect();
        assert!(everything.ends_with(&told));
        assert!(!everything.contains("id: t"));
    }
}
