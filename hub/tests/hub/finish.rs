//! Topics that are finished: their streams end after the last event, and clients that have it are told not to come back.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::event::NewEvent;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, ErrorCode, Framing, Reply, Request, TopicsAs};

use crate::support::bus::{cursor, give, hub as on_bus};
use crate::support::redis::Redis;
use crate::support::server::{Owner, Server};
use crate::support::{Hub, PATIENCE, Reader, commit, expect, expect_end, publish, until};

fn hub() -> Hub {
    Hub::with(json!({ "history_events": 10 }))
}

/// Finishes a topic; the id of its last event.
fn finish(hub: &Hub, topic: &str, data: &str) -> String {
    let event = NewEvent {
        topics: vec![topic],
        event_type: Some("done"),
        data: data.as_bytes(),
        finishes: true,
        ..NewEvent::default()
    };
    match hub.client().call(&Request::Publish { event, answer: true }, None, PATIENCE) {
        Ok(Reply::Published { id }) => id.into(),
        other => panic!("not finished: {other:?}"),
    }
}

fn attach<'a>(topics: &[&'a str], last_event_id: Option<&'a str>) -> Attach<'a> {
    Attach {
        patterns: topics.to_vec(),
        last_event_id,
        spec: StreamSpec { finishes: true, ..StreamSpec::default() },
        ..Attach::default()
    }
}

/// A held stream; `None` if it is over for good.
fn held(hub: &Hub, attach: Attach<'_>) -> Option<Reader> {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let stream = match client.call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        Err(ClientError::Hub { code: ErrorCode::Finished, .. }) => return None,
        other => panic!("neither attached nor finished: {other:?}"),
    };
    Some(Reader::new(far, stream, client))
}

/// An open stream that ends with its topics.
fn open(hub: &Hub, topics: &[&str], last_event_id: Option<&str>) -> Reader {
    let reader = held(hub, attach(topics, last_event_id)).expect("not over yet");
    commit(&reader.client, reader.stream, Framing::Raw);
    reader
}

fn is_over(hub: &Hub, topics: &[&str], last_event_id: Option<&str>) -> bool {
    held(hub, attach(topics, last_event_id)).is_none()
}

fn last(id: &str, data: &str) -> String {
    format!("id: {id}\nevent: done\ndata: {data}\n\n")
}

#[test]
fn a_finished_topics_watchers_get_the_last_event_and_end_and_are_told_not_to_come_back() {
    let hub = hub();
    let mut watchers: Vec<Reader> = (0..1000).map(|_| open(&hub, &["job"], None)).collect();
    let mut away = open(&hub, &["job"], None);
    publish(&mut hub.client(), &["job"], "half", "50");
    let id = finish(&hub, "job", "all");
    for reader in watchers.iter_mut().chain([&mut away]) {
        reader.expect(format!(":\n\nid: half\ndata: 50\n\n{}", last(&id, "all")).as_bytes());
        reader.expect_end();
    }
    // All come back at once.
    assert!((0..1000).all(|_| is_over(&hub, &["job"], Some(&id))));
    // One had missed the end, and another one begins only now.
    for (from, expected) in [(Some("half"), last(&id, "all")), (None, last(&id, "all"))] {
        let mut late = open(&hub, &["job"], from);
        late.expect(format!(":\n\n{expected}").as_bytes());
        late.expect_end();
    }
    let stats = hub.until("all ends are counted", |stats| stats["streams"]["open"] == json!(0));
    assert_eq!(stats["streams"]["closed"]["finished"], json!(1003));
    let finished = &stats["finished"];
    assert_eq!((&finished["topics"], &finished["answered"]), (&json!(1), &json!(1000)));
}

#[test]
fn a_stream_ends_when_the_last_of_its_topics_is_finished() {
    let hub = hub();
    let mut before = open(&hub, &["a", "b"], None);
    let mut pattern = open(&hub, &["a", "b.*"], None);
    let a = finish(&hub, "a", "1");
    let mut between = open(&hub, &["a", "b"], Some(&a));
    publish(&mut hub.client(), &["b"], "own", "x");
    let b = finish(&hub, "b", "2");
    before.expect(format!(":\n\n{}id: own\ndata: x\n\n{}", last(&a, "1"), last(&b, "2")).as_bytes());
    before.expect_end();
    between.expect(format!(":\n\nid: own\ndata: x\n\n{}", last(&b, "2")).as_bytes());
    between.expect_end();
    // More topics may match a pattern.
    finish(&hub, "b.c", "3");
    publish(&mut hub.client(), &["b.d"], "d", "4");
    pattern.expect(format!(":\n\n{}", last(&a, "1")).as_bytes());
    let mut late = open(&hub, &["a", "b"], None);
    late.expect(format!(":\n\n{}{}", last(&a, "1"), last(&b, "2")).as_bytes());
    late.expect_end();
    assert!(is_over(&hub, &["b", "a"], Some(&b)) && is_over(&hub, &["a"], Some(&b)));
    assert!(!is_over(&hub, &["b", "a"], Some(&a)) && !is_over(&hub, &["a", "b", "c"], Some(&b)));
}

/// The worker is still sending the headers.
#[test]
fn a_held_stream_gets_the_last_event_when_it_opens() {
    let hub = hub();
    let mut early = held(&hub, attach(&["a"], None)).expect("a stream");
    let id = finish(&hub, "a", "1");
    let mut late = held(&hub, attach(&["a"], None)).expect("a stream");
    for reader in [&mut early, &mut late] {
        commit(&reader.client, reader.stream, Framing::Raw);
        reader.expect(format!(":\n\n{}", last(&id, "1")).as_bytes());
        reader.expect_end();
    }
}

#[test]
fn what_is_published_afterwards_begins_the_topic_anew() {
    let hub = hub();
    let mut both = open(&hub, &["a", "b"], None);
    let first = finish(&hub, "a", "1");
    publish(&mut hub.client(), &["a"], "again", "2");
    let b = finish(&hub, "b", "3");
    let mut reader = open(&hub, &["a"], Some(&first));
    reader.expect(b":\n\nid: again\ndata: 2\n\n");
    let second = finish(&hub, "a", "4");
    reader.expect(last(&second, "4").as_bytes());
    reader.expect_end();
    let expected = [last(&first, "1"), "id: again\ndata: 2\n\n".into(), last(&b, "3"), last(&second, "4")].concat();
    both.expect(format!(":\n\n{expected}").as_bytes());
    both.expect_end();
}

/// A PHP process that reads events goes on: a queue's worker watches the next job as well.
#[test]
fn readers_that_do_not_ask_for_it_do_not_end() {
    let hub = hub();
    let mut messages = hub.stream(&["a"], Framing::Message);
    let id = finish(&hub, "a", "1");
    publish(&mut hub.client(), &["a"], "2", "x");
    assert_eq!(messages.message(), format!("event {id} a done 1"));
    assert_eq!(messages.message(), "event 2 a - x");
}

#[test]
fn a_client_that_shares_a_stream_is_told_which_topic_is_finished() {
    let hub = hub();
    let expected = |id: &str| {
        [
            format!("topic: a\nfinished: 1\nid: {id}\nevent: done\ndata: 1\n\n"),
            format!("id: {id}\ndata: {{\"data\":\"1\",\"event\":\"done\",\"topics\":[\"a\"],\"finished\":true}}\n\n"),
        ]
    };
    let streams = [TopicsAs::Field, TopicsAs::Envelope].map(|topics_as| {
        let spec = StreamSpec { finishes: true, topics_as: Some(topics_as), ..StreamSpec::default() };
        let mut reader = held(&hub, Attach { spec, ..attach(&["a"], None) }).expect("a stream");
        commit(&reader.client, reader.stream, Framing::Raw);
        let newest = cursor(&hub);
        let reached = match topics_as {
            TopicsAs::Field => format!(":\n\nheartbeat: 0\ncursor: {newest}\n\nid: {newest}\nreached: {newest}\n\n"),
            TopicsAs::Envelope => {
                format!(
                    ":\n\ndata: {{\"cursor\":\"{newest}\"}}\n\nid: {newest}\ndata: {{\"reached\":\"{newest}\"}}\n\n"
                )
            }
        };
        reader.expect(reached.as_bytes());
        reader
    });
    let id = finish(&hub, "a", "1");
    for (mut reader, expected) in streams.into_iter().zip(expected(&id)) {
        reader.expect(expected.as_bytes());
        reader.expect_end();
    }
}

/// The history has dropped the last event, or keeps none.
#[test]
fn the_last_event_is_kept_apart_from_the_history() {
    let hub = Hub::new();
    let mut client = hub.client();
    publish(&mut client, &["a"], "own", "x");
    let id = finish(&hub, "a", "1");
    let mut late = open(&hub, &["a"], None);
    late.expect(format!(":\n\n{}", last(&id, "1")).as_bytes());
    late.expect_end();
    let mut back = open(&hub, &["a"], Some("own"));
    let gap = "event: gap\ndata: {\"oldest\":null,\"requested\":\"own\"}\n\n";
    back.expect(format!(":\n\n{gap}{}", last(&id, "1")).as_bytes());
    back.expect_end();
    assert!(is_over(&hub, &["a"], Some(&id)));
}

#[test]
fn a_topic_is_forgotten_after_its_time() {
    let hub = Hub::with(json!({ "finished_ttl_ms": 1 }));
    finish(&hub, "a", "1");
    hub.until("it is forgotten", |stats| stats["finished"]["topics"] == json!(0));
    let mut reader = open(&hub, &["a"], None);
    let id = finish(&hub, "a", "2");
    reader.expect(format!(":\n\n{}", last(&id, "2")).as_bytes());
    reader.expect_end();
}

/// The hub has forgotten that the topic was finished, when it begins anew.
#[test]
fn a_topic_that_begins_anew_keeps_its_streams_open_however_long_ago_it_was_finished() {
    let hub = Hub::with(json!({ "finished_ttl_ms": 1 }));
    let mut both = open(&hub, &["a", "b"], None);
    let a = finish(&hub, "a", "1");
    hub.until("it is forgotten", |stats| stats["finished"]["topics"] == json!(0));
    publish(&mut hub.client(), &["a"], "again", "2");
    let b = finish(&hub, "b", "3");
    publish(&mut hub.client(), &["a"], "more", "4");
    let after = "id: again\ndata: 2\n\n";
    both.expect(format!(":\n\n{}{after}{}id: more\ndata: 4\n\n", last(&a, "1"), last(&b, "3")).as_bytes());
    let a = finish(&hub, "a", "5");
    both.expect(last(&a, "5").as_bytes());
    both.expect_end();
}

#[test]
fn an_upgrade_passes_on_what_is_finished() {
    let mut hub = hub();
    let a = finish(&hub, "a", "1");
    let mut both = open(&hub, &["a", "b"], Some(&a));
    let mut opening = held(&hub, attach(&["a"], None)).expect("a stream");
    hub.upgrade(&json!({ "shards": 3 }));
    assert!(is_over(&hub, &["a"], Some(&a)));
    commit(&opening.client, opening.stream, Framing::Raw);
    opening.expect(format!(":\n\n{}", last(&a, "1")).as_bytes());
    opening.expect_end();
    let b = finish(&hub, "b", "2");
    both.expect(format!(":\n\n{}", last(&b, "2")).as_bytes());
    both.expect_end();
}

#[test]
fn processes_that_hold_streams_end_them_as_well() {
    let mut hub = Hub::with(json!({ "history_events": 10, "processes": 2 }));
    let a = finish(&hub, "a", "1");
    let mut readers: Vec<Reader> = (0..4).map(|_| open(&hub, &["a", "b"], Some(&a))).collect();
    hub.upgrade(&json!({}));
    let b = finish(&hub, "b", "2");
    for reader in &mut readers {
        reader.expect(format!(":\n\n{}", last(&b, "2")).as_bytes());
        reader.expect_end();
    }
}

#[test]
fn a_history_on_disk_remembers_it_through_a_crash() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = json!({ "history_events": 10, "history_file": folder.path().join("sse.db") });
    let mut hub = Hub::with(settings.clone());
    publish(&mut hub.client(), &["a", "c"], "own", "x");
    let a = finish(&hub, "a", "1");
    let b = finish(&hub, "b", "2");
    publish(&mut hub.client(), &["b"], "again", "x");
    hub.signal(Signal::KILL);
    hub.ended();
    let hub = Hub::with(settings);
    assert!(is_over(&hub, &["a"], Some(&a)) && !is_over(&hub, &["b"], Some(&b)));
    let mut late = open(&hub, &["a"], Some("own"));
    late.expect(format!(":\n\n{}", last(&a, "1")).as_bytes());
    late.expect_end();
    // What has begun anew is deleted from the file.
    let sqlite = rusqlite::Connection::open(folder.path().join("sse.db")).expect("a file of SQLite's");
    until("one is left", || {
        let count = sqlite.query_row("SELECT count(*) FROM finished", [], |row| row.get::<_, i64>(0));
        count.expect("a number") == 1
    });
}

/// The hub has started without its file, and streams wait for what is finished in it.
#[test]
fn streams_end_when_a_file_that_is_readable_at_last_says_that_their_topics_are_finished() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("sse.db");
    let settings = json!({ "history_events": 10, "history_file": file });
    let mut hub = Hub::with(settings.clone());
    let a = finish(&hub, "a", "1");
    hub.kill();
    let mut other = rusqlite::Connection::open(&file).expect("a file of SQLite's");
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").expect("set");
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive).expect("free");
    let hub = Hub::with(settings);
    let mut waits = open(&hub, &["a"], None);
    let mut both = open(&hub, &["a", "b"], None);
    hub.until("the file is locked", |stats| stats["history"]["file"]["problem"].is_string());
    lock.rollback().expect("nothing was written");
    drop(other);
    waits.expect(b":\n\n");
    waits.expect_end();
    assert!(is_over(&hub, &["a"], Some(&a)));
    let b = finish(&hub, "b", "2");
    both.expect(format!(":\n\n{}", last(&b, "2")).as_bytes());
    both.expect_end();
}

#[test]
fn every_hub_on_a_bus_knows_what_is_finished() {
    let redis = Redis::new();
    let (here, there) = (on_bus(&redis), on_bus(&redis));
    let mut readers = [&here, &there].map(|hub| open(hub, &["a"], None));
    let id = finish(&here, "a", "1");
    for reader in &mut readers {
        reader.expect(format!(":\n\n{}", last(&id, "1")).as_bytes());
        reader.expect_end();
    }
    // One that starts only now reads of it.
    let later = on_bus(&redis);
    until("it has read all", || cursor(&later) == id);
    for hub in [&here, &there, &later] {
        assert!(is_over(hub, &["a"], Some(&id)));
        let mut late = open(hub, &["a"], None);
        late.expect(format!(":\n\n{}", last(&id, "1")).as_bytes());
        late.expect_end();
    }
    give(&there, "a", "again");
    until("the other hub has it as well", || !is_over(&here, &["a"], Some(&id)));
}

/// A stream with a callback ends by what that returns.
#[test]
fn a_script_ends_its_streams_for_good() {
    let hub = Hub::new();
    let server = Server::new();
    let mut client = hub.client();
    let mut stream = server.stream(&hub, "job", Owner::default());
    finish(&hub, "job", "1");
    let asked = server.asked();
    asked.reach(&mut client);
    asked.run(&mut client);
    asked.end(&mut client, "id: end\ndata: x\n\n");
    asked.answer(200);
    expect(&mut stream.socket, b":\n\nid: end\ndata: x\n\n");
    expect_end(&mut stream.socket);
    let mut other = server.stream(&hub, "other", Owner::default());
    publish(&mut client, &["other"], "1", "x");
    let asked = server.asked();
    asked.reach(&mut client);
    refuse(&mut client, &asked.token);
    asked.answer(204);
    expect(&mut other.socket, b":\n\n");
    expect_end(&mut other.socket);
    hub.until("both are counted", |stats| stats["streams"]["closed"]["finished"] == json!(2));
}

/// The script ends without `sse_stream()`, by its own decision.
fn refuse(client: &mut Client, token: &str) {
    let said = client.call(&Request::NotRendered { token, reason: "" }, None, PATIENCE);
    assert!(matches!(said, Ok(Reply::Done)), "{said:?}");
}
