//! Readers that were away get what they have missed, or are told that they can't.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::json;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, Attach, Delivery, Framing, Reply, Request};

use crate::support::{self, Hub, PATIENCE, Reader, commit, nonzero, publish};

fn hub() -> Hub {
    Hub::with(json!({ "history_events": 3 }))
}

/// A stream of a reader that has this event already, held until it is committed.
fn held(hub: &Hub, patterns: &[&str], last_event_id: &str) -> Reader {
    let mut client = hub.client();
    let (stream, far) = support::attach_after(&mut client, patterns, last_event_id);
    Reader::new(far, stream, client)
}

fn resumed(hub: &Hub, patterns: &[&str], last_event_id: &str, framing: Framing) -> Reader {
    let reader = held(hub, patterns, last_event_id);
    commit(&reader.client, reader.stream, framing);
    reader
}

#[test]
fn a_reader_gets_exactly_what_came_after_its_id_and_then_what_comes() {
    let hub = hub();
    let mut client = hub.client();
    for (topic, id) in [("a", "1"), ("b", "2"), ("a", "3"), ("a.b", "4")] {
        publish(&mut client, &[topic], id, "x");
    }
    let mut reader = held(&hub, &["a", "a.*"], "1");
    publish(&mut client, &["a"], "5", "x");
    commit(&reader.client, reader.stream, Framing::Raw);
    publish(&mut client, &["a"], "6", "x");
    reader.expect(b":\n\nid: 3\ndata: x\n\nid: 4\ndata: x\n\nid: 5\ndata: x\n\nid: 6\ndata: x\n\n");
    let kept = &hub.stats()["history"];
    assert_eq!(
        (&kept["events"], &kept["topics"], &kept["resumed"], &kept["gaps"]),
        (&json!(5), &json!(3), &json!(1), &json!(0))
    );
}

#[test]
fn a_reader_is_told_of_what_is_not_kept() {
    let hub = hub();
    let mut client = hub.client();
    for id in ["1", "2", "3", "4", "5"] {
        publish(&mut client, &["a"], id, "x");
    }
    let gap = |requested: &str| {
        format!(":\n\nevent: gap\ndata: {{\"oldest\":\"3\",\"requested\":\"{requested}\"}}\n\nid: 3\ndata: x\n\n")
    };
    for unknown in ["1", "never given"] {
        resumed(&hub, &["a"], unknown, Framing::Raw).expect(gap(unknown).as_bytes());
    }
    let anything = wire::encode(&Delivery::Trigger { topic: "**" });
    resumed(&hub, &["a"], "1", Framing::Message).expect(&anything);
    assert_eq!(nonzero(&hub.stats()["history"])["gaps"], json!(3));
}

#[test]
fn a_hub_that_began_after_the_readers_event_says_so() {
    let hub = hub();
    let mut reader = resumed(&hub, &["a"], "1-0", Framing::Raw);
    publish(&mut hub.client(), &["a"], "own", "x");
    reader.expect(b":\n\nevent: gap\ndata: {\"oldest\":null,\"requested\":\"1-0\"}\n\nid: own\ndata: x\n\n");
}

#[test]
fn the_cursor_closes_the_gap_between_a_page_and_its_stream() {
    let hub = hub();
    let mut client = hub.client();
    for data in ["before", "after"] {
        let cursor = match client.call(&Request::Cursor, None, PATIENCE) {
            Ok(Reply::Cursor { id }) => id.to_owned(),
            other => panic!("no cursor: {other:?}"),
        };
        publish(&mut client, &["a"], data, data);
        let expected = format!(":\n\nid: {data}\ndata: {data}\n\n");
        resumed(&hub, &["a"], &cursor, Framing::Raw).expect(expected.as_bytes());
    }
}

/// A client that comes back goes on from there though it got no event at first.
#[test]
fn a_reader_that_gets_no_event_is_told_where_it_is() {
    let hub = hub();
    let mut client = hub.client();
    let cursor = |hub: &Hub| match hub.client().call(&Request::Cursor, None, PATIENCE) {
        Ok(Reply::Cursor { id }) => id.to_owned(),
        other => panic!("no cursor: {other:?}"),
    };
    let open = |last_event_id: Option<&str>, framing: Framing| {
        let mut client = hub.client();
        let (near, far) = UnixStream::pair().expect("a pair");
        let attach = Attach {
            patterns: vec!["a"],
            last_event_id,
            spec: StreamSpec { retry: 500, cursor: true, ..StreamSpec::default() },
            ..Attach::default()
        };
        let stream = match client.call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE) {
            Ok(Reply::Attached { stream, .. }) => stream,
            other => panic!("not attached: {other:?}"),
        };
        commit(&client, stream, framing);
        Reader::new(far, stream, client)
    };
    publish(&mut client, &["other"], "own", "x");
    let begin = cursor(&hub);
    let begun = format!("retry: 500\nid: {begin}\n\n");
    open(None, Framing::Raw).expect(begun.as_bytes());
    open(Some("own"), Framing::Raw).expect(begun.as_bytes());
    let gap = "event: gap\ndata: {\"oldest\":null,\"requested\":\"never given\"}\n\n";
    open(Some("never given"), Framing::Raw).expect(format!("retry: 500\n\n{gap}id: {begin}\n\n").as_bytes());
    let mut messages = open(None, Framing::Message);
    publish(&mut client, &["a"], "1", "x");
    assert_eq!(messages.message(), "event 1 a - x");
    // With an event of its own it needs no more.
    open(Some(&begin), Framing::Raw).expect(b"retry: 500\n\nid: 1\ndata: x\n\n");
}
