//! Public ids of streams: what a client is told, and when.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::json;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Delivery, Framing, Reply, Request, TopicsAs};

use crate::support::{Hub, PATIENCE, Reader, attach_after, commit, publish};

/// A held stream whose client is told its public id, and that id.
fn held(hub: &Hub, spec: StreamSpec, last_event_id: Option<&str>) -> (Reader, String, String) {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let spec = StreamSpec { stream_id: true, retry: 500, ..spec };
    let request = Request::Attach(Attach { patterns: vec!["a"], spec, last_event_id, ..Default::default() });
    let (stream, opening, public) = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, opening, public, .. }) => (stream, opening.to_owned(), public.to_owned()),
        other => panic!("not attached: {other:?}"),
    };
    assert!(public.len() == 22 && public.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    (Reader::new(far, stream, client), public, opening)
}

fn told(public: &str) -> String {
    format!("event: stream\ndata: {{\"stream\":\"{public}\"}}\n\n")
}

#[test]
fn a_client_is_told_the_id_of_its_stream_before_what_it_has_missed() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "history_events": 10, "processes": processes }));
        let mut publisher = hub.client();
        publish(&mut publisher, &["a"], "1", "seen");
        publish(&mut publisher, &["a"], "2", "missed");
        let (mut reader, public, _) = held(&hub, StreamSpec::default(), Some("1"));
        commit(&reader.client, reader.stream, Framing::Raw);
        publish(&mut publisher, &["a"], "3", "later");
        reader.expect(format!("retry: 500\n{}id: 2\ndata: missed\n\n", told(&public)).as_bytes());
        reader.expect(b"id: 3\ndata: later\n\n");
        let (_, other, _) = held(&hub, StreamSpec::default(), Some("3"));
        assert_ne!(public, other, "a client that comes back has another stream");
    }
}

#[test]
fn a_worker_that_sends_the_first_lines_sends_the_id_with_them() {
    let hub = Hub::with(json!({ "history_events": 10 }));
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "1", "seen");
    let (_, public, opening) = held(&hub, StreamSpec { opens: true, ..StreamSpec::default() }, None);
    assert_eq!(opening, format!("retry: 500\n{}", told(&public)));
    let spec = StreamSpec { opens: true, cursor: true, ..StreamSpec::default() };
    let (_, public, opening) = held(&hub, spec, None);
    let cursor = opening.strip_prefix(&format!("retry: 500\n{}id: ", told(&public))).expect("the id first");
    assert!(cursor.trim_end().parse::<u8>().is_err() && cursor.ends_with("\n\n"), "{cursor}");
}

#[test]
fn a_stream_that_tells_topics_tells_its_id_before_its_cursor() {
    let hub = Hub::with(json!({ "history_events": 10 }));
    let spec = StreamSpec { topics_as: Some(TopicsAs::Field), ..StreamSpec::default() };
    let (mut reader, public, _) = held(&hub, spec, None);
    commit(&reader.client, reader.stream, Framing::Raw);
    reader.expect(format!("retry: 500\n{}heartbeat: 0\ncursor: ", told(&public)).as_bytes());
}

#[test]
fn a_php_process_that_reads_messages_is_told_by_the_answer_only() {
    let hub = Hub::new();
    let mut publisher = hub.client();
    let (mut reader, _, opening) = held(&hub, StreamSpec::default(), None);
    assert_eq!(opening, "");
    commit(&reader.client, reader.stream, Framing::Message);
    publish(&mut publisher, &["a"], "1", "x");
    let event = Delivery::Event { id: "1", topics: vec!["a"], event_type: None, data: b"x", traceparent: None };
    reader.expect(&sse_protocol::wire::encode(&event));
}

#[test]
fn who_does_not_ask_is_not_told() {
    let hub = Hub::new();
    let mut client = hub.client();
    let (stream, far) = attach_after(&mut client, &["a"], "1");
    commit(&client, stream, Framing::Raw);
    publish(&mut client, &["a"], "2", "x");
    let mut reader = Reader::new(far, stream, client);
    let mut gap = Vec::new();
    while !gap.ends_with(b"\n\nid: 2\ndata: x\n\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut reader.socket, &mut byte).expect("events");
        gap.extend(byte);
    }
    assert!(!String::from_utf8(gap).expect("text").contains("event: stream"));
}

/// The key goes to the new hub, and a waiting stream goes with what it is told first.
#[test]
fn an_id_outlives_an_upgrade() {
    let mut hub = Hub::new();
    let (mut reader, public, _) = held(&hub, StreamSpec::default(), None);
    assert_eq!(hub.upgrade(&json!({}))["streams"], 1);
    commit(&reader.client, reader.stream, Framing::Raw);
    reader.expect(format!("retry: 500\n{}", told(&public)).as_bytes());
}
