//! Streams that the hub ends by itself: their time is over, or the hub's.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::json;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Framing, Reply, Request};

use crate::support::{self, Hub, PATIENCE, Reader, commit, publish};

/// A held stream with a reconnection time of two seconds.
fn held(hub: &Hub, max_lifetime: u32) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let request = Request::Attach(Attach {
        patterns: vec!["a"],
        spec: StreamSpec { retry: 2000, max_lifetime, ..StreamSpec::default() },
        ..Default::default()
    });
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("not attached: {other:?}"),
    };
    Reader::new(far, stream, client)
}

fn open(hub: &Hub, max_lifetime: u32, framing: Framing) -> Reader {
    let reader = held(hub, max_lifetime);
    commit(&reader.client, reader.stream, framing);
    reader
}

#[test]
fn a_stream_ends_in_good_order_when_its_time_is_over_and_one_without_an_end_does_not() {
    let hub = Hub::new();
    let mut endless = open(&hub, 0, Framing::Raw);
    let mut raw = open(&hub, 1, Framing::Raw);
    let mut chunked = open(&hub, 1, Framing::Chunked);
    let mut fastcgi = open(&hub, 1, Framing::FastCgi { request: 1 });
    let mut messages = open(&hub, 1, Framing::Message);
    raw.expect(b"retry: 2000\n\n");
    raw.expect_end();
    chunked.expect(b"d\r\nretry: 2000\n\n\r\n0\r\n\r\n");
    chunked.expect_end();
    fastcgi.expect(b"\x01\x06\0\x01\0\x0d\0\0retry: 2000\n\n");
    fastcgi.expect(b"\x01\x06\0\x01\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
    fastcgi.expect_end();
    messages.expect_end();
    let stats = hub.until("all but one have ended", |stats| stats["streams"]["open"] == json!(1));
    assert_eq!(stats["streams"]["closed"]["lifetime"], json!(4));
    publish(&mut hub.client(), &["a"], "1", "x");
    endless.expect(b"retry: 2000\n\nid: 1\ndata: x\n\n");
}

/// The callback's first run may take longer than that.
#[test]
fn a_stream_that_is_still_held_when_its_time_is_over_ends_once_it_has_begun() {
    let hub = Hub::new();
    let mut late = held(&hub, 1);
    let mut other = open(&hub, 1, Framing::Raw);
    other.expect(b"retry: 2000\n\n");
    other.expect_end();
    publish(&mut hub.client(), &["a"], "1", "x");
    commit(&late.client, late.stream, Framing::Raw);
    late.expect(b"retry: 2000\n\nid: 1\ndata: x\n\n");
    late.expect_end();
}

/// A held long-poll that goes on from an id, if there is one.
fn long_poll(hub: &Hub, last_event_id: Option<&str>) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let request = Request::Attach(Attach {
        patterns: vec!["a"],
        spec: StreamSpec { retry: 500, long_poll: true, ..StreamSpec::default() },
        last_event_id,
        ..Default::default()
    });
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("not attached: {other:?}"),
    };
    Reader::new(far, stream, client)
}

#[test]
fn a_long_poll_ends_with_the_first_events() {
    let hub = Hub::with(json!({ "history_events": 3 }));
    publish(&mut hub.client(), &["a"], "1", "before");
    let mut waiting: Vec<Reader> = [Framing::Raw, Framing::Chunked, Framing::Message]
        .map(|framing| {
            let reader = long_poll(&hub, Some("1"));
            commit(&reader.client, reader.stream, framing);
            reader
        })
        .into();
    // One that has events before its worker has let go of the connection.
    let mut held = long_poll(&hub, Some("1"));
    hub.until("all are there", |stats| stats["streams"]["open"] == json!(3));
    publish(&mut hub.client(), &["a"], "2", "x");
    waiting[0].expect(b"retry: 500\n\nid: 2\ndata: x\n\n");
    waiting[1].expect(b"c\r\nretry: 500\n\n\r\nf\r\nid: 2\ndata: x\n\n\r\n0\r\n\r\n");
    for reader in &mut waiting {
        reader.socket.read_to_end(&mut Vec::new()).expect("the end");
    }
    commit(&held.client, held.stream, Framing::Raw);
    held.expect(b"retry: 500\n\nid: 2\ndata: x\n\n");
    held.expect_end();
    let stats = hub.until("all have ended", |stats| stats["streams"]["open"] == json!(0));
    assert_eq!(stats["streams"]["closed"]["lifetime"], json!(4));
}

#[test]
fn a_long_poll_waits_for_nothing_where_its_client_has_missed_something_or_has_no_place() {
    let hub = Hub::with(json!({ "history_events": 3 }));
    publish(&mut hub.client(), &["a"], "1", "one");
    publish(&mut hub.client(), &["a"], "2", "two");
    for (from, brings) in [
        (None, "retry: 500\n\n"),
        (Some("1"), "retry: 500\n\nid: 2\ndata: two\n\n"),
        (Some("unknown"), "retry: 500\n\nevent: gap\n"),
    ] {
        let mut reader = long_poll(&hub, from);
        commit(&reader.client, reader.stream, Framing::Raw);
        let mut all = String::new();
        reader.socket.read_to_string(&mut all).expect("the end");
        assert!(all.starts_with(brings), "{all:?}");
    }
}

/// A program that the script has started in the background has inherited the connection, and goes on.
#[test]
fn a_connection_that_somebody_else_has_as_well_ends_with_its_stream() {
    let hub = Hub::new();
    let mut inherited = Vec::new();
    for framing in [Framing::Raw, Framing::Chunked, Framing::FastCgi { request: 1 }, Framing::Message] {
        let mut client = hub.client();
        let (near, far) = UnixStream::pair().expect("a pair");
        let request = Request::Attach(Attach {
            patterns: vec!["a"],
            spec: StreamSpec { max_lifetime: 1, ..StreamSpec::default() },
            ..Default::default()
        });
        let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
            Ok(Reply::Attached { stream, .. }) => stream,
            other => panic!("not attached: {other:?}"),
        };
        commit(&client, stream, framing);
        inherited.push((near, Reader::new(far, stream, client)));
    }
    for (_near, reader) in &mut inherited {
        reader.socket.read_to_end(&mut Vec::new()).expect("the end");
    }
}

/// The worker still has the connection of a stream that it takes back, and answers its client itself.
#[test]
fn a_connection_that_is_given_back_stays_open() {
    let hub = Hub::new();
    let mut client = hub.client();
    let (mut near, far) = UnixStream::pair().expect("a pair");
    let stream = support::attach(&mut client, near.try_clone().expect("one more").into(), &["a"], 0).expect("attached");
    client.post(&Request::Abort { stream }).expect("sent");
    hub.until("it has ended", |stats| stats["streams"]["closed"]["aborted"] == json!(1));
    near.write_all(b"own answer").expect("still open");
    let mut reader = Reader::new(far, stream, client);
    reader.expect(b"own answer");
}

/// It would keep its place for ever.
#[test]
fn a_client_that_reads_nothing_is_let_go_all_the_same() {
    let hub = Hub::new();
    let mut client = hub.client();
    let (near, mut far) = UnixStream::pair().expect("a pair");
    socket2::SockRef::from(&near).set_send_buffer_size(1).expect("small");
    let request = Request::Attach(Attach {
        patterns: vec!["a"],
        spec: StreamSpec { max_lifetime: 1, ..StreamSpec::default() },
        ..Default::default()
    });
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("not attached: {other:?}"),
    };
    drop(near);
    commit(&client, stream, Framing::Raw);
    let data = "x".repeat(1_000_000);
    publish(&mut client, &["a"], "1", &data);
    let stats = hub.until("it is closed", |stats| stats["streams"]["open"] == json!(0));
    assert_eq!((&stats["streams"]["closed"]["lifetime"], &stats["queued_bytes"]), (&json!(1), &json!(0)));
    let mut got = Vec::new();
    far.read_to_end(&mut got).expect("the end");
    assert!(got.starts_with(b":\n\nid: 1\n") && got.len() < data.len(), "{} bytes", got.len());
}

#[test]
fn clients_of_a_hub_that_ends_are_told_to_come_back_one_after_the_other() {
    const COUNT: u32 = 400;
    let mut hub = Hub::new();
    let mut readers: Vec<_> = (0..COUNT).map(|_| open(&hub, 0, Framing::Raw)).collect();
    let mut silent = hub.stream(&["a"], Framing::Raw);
    let mut messages = open(&hub, 0, Framing::Message);
    hub.until("all are open", |stats| stats["streams"]["open"] == json!(COUNT + 2));
    hub.signal(Signal::TERM);
    silent.expect(b":\n\n");
    silent.expect_end();
    messages.expect_end();
    let mut told = BTreeSet::new();
    for reader in &mut readers {
        reader.expect(b"retry: 2000\n\nretry: ");
        let mut rest = String::new();
        reader.socket.read_to_string(&mut rest).expect("the end");
        let retry: u32 = rest.strip_suffix("\n\n").and_then(|digits| digits.parse().ok()).expect("a number");
        // Two milliseconds for each of the others.
        assert!((2000..=2000 + 2 * (COUNT + 1)).contains(&retry), "{retry}");
        told.insert(retry);
    }
    // 400 numbers of 803: about 315 different ones, and from all of the range.
    assert!(told.len() > 200, "{} different ones", told.len());
    assert!(told.first() < Some(&2100) && told.last() > Some(&2700), "{:?} to {:?}", told.first(), told.last());
    assert!(hub.ended().success());
}
