//! Streams that tell the topics of their events.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::json;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Framing, Reply, Request, TopicsAs};

use crate::support::{Hub, PATIENCE, Reader, commit, publish, until};

/// A held stream that tells its topics.
fn held(hub: &Hub, patterns: &[&str], topics_as: TopicsAs, last_event_id: Option<&str>) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let topics_as = Some(topics_as);
    let attach = Attach {
        patterns: patterns.to_vec(),
        last_event_id,
        spec: StreamSpec { topics_as, heartbeat: 30, ..StreamSpec::default() },
        ..Default::default()
    };
    let request = Request::Attach(attach);
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("not attached: {other:?}"),
    };
    Reader::new(far, stream, client)
}

fn begin(reader: &Reader) {
    commit(&reader.client, reader.stream, Framing::Raw);
}

/// Reads up to the cursor, which is the hub's own id whatever the events' are.
fn cursor(reader: &mut Reader) -> String {
    reader.expect(b":\n\nheartbeat: 30000\ncursor: ");
    let mut id = Vec::new();
    while !id.ends_with(b"\n\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut reader.socket, &mut byte).expect("a line");
        id.extend(byte);
    }
    let id = String::from_utf8(id).expect("text").trim_end().to_owned();
    assert!(sse_protocol::id::Id::parse(&id).is_some(), "{id}");
    id
}

#[test]
fn topics_are_told_by_a_field_and_no_other_than_those_that_are_watched() {
    let hub = Hub::with(json!({ "history_events": 10 }));
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "1", "seen");
    publish(&mut publisher, &["b.x", "a", "secret"], "2", "missed");
    let mut reader = held(&hub, &["a", "b.*"], TopicsAs::Field, Some("1"));
    begin(&reader);
    let cursor = cursor(&mut reader);
    reader.expect(b"topic: b.x\ntopic: a\nid: 2\ndata: missed\n\n");
    reader.expect(format!("id: {cursor}\nreached: {cursor}\n\n").as_bytes());
    publish(&mut publisher, &["a"], "3", "one");
    publish(&mut publisher, &["secret", "b.y"], "4", "two\nlines");
    publish(&mut publisher, &["secret"], "5", "for nobody");
    publish(&mut publisher, &["b.z", "a"], "6", "both");
    reader.expect(b"topic: a\nid: 3\ndata: one\n\ntopic: b.y\nid: 4\ndata: two\ndata: lines\n\n");
    reader.expect(b"topic: b.z\ntopic: a\nid: 6\ndata: both\n\n");
}

#[test]
fn topics_are_told_by_an_envelope() {
    let hub = Hub::new();
    let mut reader = held(&hub, &["a", "b"], TopicsAs::Envelope, None);
    begin(&reader);
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "3", "x\ry\"");
    // Before the first event, the cursor is one that no other test knows.
    let mut start = [0; 512];
    let mut text = String::new();
    until("the event has come", || {
        let count = std::io::Read::read(&mut reader.socket, &mut start).expect("bytes");
        text.push_str(std::str::from_utf8(&start[..count]).expect("text"));
        text.ends_with("\"]}\n\n")
    });
    let cursor =
        text.strip_prefix(":\n\ndata: {\"cursor\":\"").and_then(|rest| rest.split('"').next()).expect("a cursor");
    assert_eq!(
        text,
        format!(
            ":\n\ndata: {{\"cursor\":\"{cursor}\"}}\n\nid: {cursor}\ndata: {{\"reached\":\"{cursor}\"}}\n\n\
             id: 3\ndata: {{\"data\":\"x\\ry\\\"\",\"event\":null,\"topics\":[\"a\"]}}\n\n"
        )
    );
}

/// What came while the worker still had the connection is told as what comes later.
#[test]
fn what_came_while_the_stream_was_held_is_told_too() {
    let hub = Hub::new();
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "1", "before");
    let mut reader = held(&hub, &["a", "b"], TopicsAs::Field, None);
    publish(&mut publisher, &["b"], "2", "meanwhile");
    begin(&reader);
    let cursor = cursor(&mut reader);
    reader.expect(format!("id: {cursor}\nreached: {cursor}\n\n").as_bytes());
    reader.expect(b"topic: b\nid: 2\ndata: meanwhile\n\n");
}

#[test]
fn a_stream_that_tells_no_topics_tells_rarer_heartbeats_than_usual() {
    let hub = Hub::new();
    let mut client = hub.client();
    for (heartbeat, retry, first) in [
        (3600, 500, "retry: 500\nheartbeat: 3600000\n\n"),
        (16, 0, ":\nheartbeat: 16000\n\n"),
        (15, 500, "retry: 500\n\n"),
        (1, 0, ":\n\n"),
    ] {
        let (near, far) = UnixStream::pair().expect("a pair");
        let spec = StreamSpec { heartbeat, retry, ..StreamSpec::default() };
        let request = Request::Attach(Attach { patterns: vec!["a"], spec, ..Default::default() });
        let Ok(Reply::Attached { stream, .. }) = client.call(&request, Some(near.as_fd()), PATIENCE) else {
            panic!("not attached")
        };
        let mut reader = Reader::new(far, stream, hub.client());
        commit(&client, stream, Framing::Raw);
        publish(&mut hub.client(), &["a"], "1", "x");
        reader.expect(format!("{first}id: 1\ndata: x\n\n").as_bytes());
    }
}
