//! A hub takes over from another one, and no client notices.

mod support;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_hub::framing;
use sse_hub::wire::{Framing, Reply, Request};
use support::{Hub, PATIENCE, Reader, attach, commit, publish};

/// A payload as it is on a connection.
fn framed(framing: Framing, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = framing::piece(framing, payload, bytes.len()) {
        bytes.extend_from_slice(piece.bytes());
    }
    bytes
}

fn frame(id: &str, data: &str) -> Vec<u8> {
    format!("id: {id}\ndata: {data}\n\n").into_bytes()
}

const FRAMINGS: [Framing; 3] = [Framing::Raw, Framing::Chunked, Framing::FastCgi { request: 7 }];

#[test]
fn open_streams_go_on_whatever_their_framing() {
    let mut hub = Hub::new();
    let mut readers: Vec<Reader> = FRAMINGS.iter().map(|framing| hub.stream(&["a"], *framing)).collect();
    let mut messages = hub.stream(&["a"], Framing::Message);
    publish(&mut hub.client(), &["a"], "1", "before");
    let old = hub.pid();
    for round in 0..3 {
        let report = hub.upgrade(&json!({ "shards": round + 1 }));
        assert_eq!(report["streams"], json!(4));
        publish(&mut hub.client(), &["a"], &format!("after {round}"), "after");
    }
    assert_ne!(hub.pid(), old);
    for (reader, framing) in readers.iter_mut().zip(FRAMINGS) {
        reader.expect(&framed(framing, b":\n\n"));
        reader.expect(&framed(framing, &frame("1", "before")));
        for round in 0..3 {
            reader.expect(&framed(framing, &frame(&format!("after {round}"), "after")));
        }
    }
    assert_eq!(messages.message(), "event 1 a - before");
    assert_eq!(messages.message(), "event after 0 a - after");
    let stats = hub.stats();
    assert_eq!(stats["upgrades"], json!(3));
    assert_eq!(stats["pid"], json!(hub.pid()));
    assert_eq!(stats["streams"]["open"], json!(4));
    assert_eq!(stats["streams"]["opened"], json!(4));
    assert_eq!(stats["published"], json!(4));
    assert_eq!(stats["delivered"], json!(16));
}

/// What a client had not read when its hub was passed on comes exactly once, from the very byte.
#[test]
fn a_queue_that_is_written_in_part_goes_on_at_its_byte() {
    let mut hub = Hub::with(json!({ "max_event_size": 4 << 20, "stream_buffer": 16 << 20 }));
    let mut readers: Vec<Reader> = FRAMINGS.iter().map(|framing| hub.stream(&["a"], *framing)).collect();
    let data: Vec<String> = (0..5).map(|nth| format!("{nth}").repeat(700_001)).collect();
    for (nth, data) in data.iter().enumerate() {
        publish(&mut hub.client(), &["a"], &nth.to_string(), data);
        hub.upgrade(&json!({}));
    }
    hub.until("all is queued", |stats| stats["queued_bytes"].as_u64() > Some(9_000_000));
    for (reader, framing) in readers.iter_mut().zip(FRAMINGS) {
        reader.expect(&framed(framing, b":\n\n"));
        for (nth, data) in data.iter().enumerate() {
            reader.expect(&framed(framing, &frame(&nth.to_string(), data)));
            if nth == 2 {
                hub.upgrade(&json!({}));
            }
        }
    }
    hub.until("nothing is queued", |stats| stats["queued_bytes"] == json!(0));
}

#[test]
fn held_streams_and_their_peers_go_on() {
    let mut hub = Hub::new();
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let stream = attach(&mut client, near.into(), &["a"], 0).expect("attached");
    publish(&mut hub.client(), &["a"], "1", "while it is held");
    hub.upgrade(&json!({}));
    publish(&mut client, &["a"], "2", "by the peer that was passed on");
    commit(&client, stream, Framing::Raw);
    let mut reader = Reader::new(far, stream, client);
    reader.expect(b":\n\nid: 1\ndata: while it is held\n\nid: 2\ndata: by the peer that was passed on\n\n");
    let next = attach(&mut reader.client, UnixStream::pair().expect("a pair").0.into(), &["a"], 0).expect("attached");
    assert!(next > stream, "ids are never given twice");
    assert!(reader.client.is_open());
}

#[test]
fn history_goes_on() {
    let mut hub = Hub::with(json!({ "history_events": 3 }));
    for id in ["1", "2", "3", "4"] {
        publish(&mut hub.client(), &["a"], id, "x");
    }
    let cursor = |hub: &Hub| match hub.client().call(&Request::Cursor, None, PATIENCE) {
        Ok(Reply::Cursor { id }) => id.to_owned(),
        other => panic!("{other:?}"),
    };
    hub.upgrade(&json!({}));
    assert_eq!(cursor(&hub), "4");
    assert_eq!(resumed(&hub, "2"), "id: 3\ndata: x\n\nid: 4\ndata: x\n\n");
    let gap = resumed(&hub, "1");
    assert!(gap.starts_with("event: gap\ndata: {\"oldest\":\"2\",\"requested\":\"1\"}"), "{gap}");
    hub.upgrade(&json!({ "history_events": 2 }));
    assert_eq!(resumed(&hub, "3"), "id: 4\ndata: x\n\n");
    assert!(resumed(&hub, "2").starts_with("event: gap\n"));
    assert_eq!(hub.stats()["history"]["gaps"], json!(2));
}

/// What a stream begins with that goes on after an id; it is ended by its own worker.
fn resumed(hub: &Hub, since: &str) -> String {
    let (near, far) = UnixStream::pair().expect("a pair");
    let mut client = hub.client();
    let request =
        Request::Attach { patterns: vec!["a"], heartbeat: 0, retry: 0, last_event_id: Some(since), replay: None };
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("{other:?}"),
    };
    drop(near);
    commit(&client, stream, Framing::Raw);
    // The end of what it has is where something comes that is known.
    let mut reader = Reader::new(far, stream, client);
    let mut text = String::new();
    while !text.ends_with("id: 4\ndata: x\n\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut reader.socket, &mut byte).expect("more");
        text.push(byte[0] as char);
    }
    text.strip_prefix(":\n\n").expect("the opening").into()
}

#[test]
fn where_no_hub_runs_one_begins() {
    let mut hub = Hub::new();
    hub.signal(rustix::process::Signal::KILL);
    hub.ended();
    let mut successor = hub.successor(&json!({}));
    assert_eq!(successor.report(), json!({ "streams": 0, "pause_us": Value::Null }));
    assert_eq!(hub.stats()["pid"], json!(successor.pid()));
}
