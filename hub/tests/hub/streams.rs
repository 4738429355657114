//! The bytes of streams, and when they begin and end.

use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::json;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Framing, Request};

use crate::support::{self, Hub, Reader, attach, commit, nonzero, patient, publish, trigger};

const FASTCGI: Framing = Framing::FastCgi { request: 1 };

/// A held stream with `retry: 2000`.
fn held(hub: &Hub, patterns: &[&str]) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let stream = attach(&mut client, near.into(), patterns, 2000).expect("attached");
    Reader::new(far, stream, client)
}

#[test]
fn a_raw_stream_byte_for_byte() {
    let mut hub = Hub::new();
    let mut reader = held(&hub, &["a"]);
    commit(&reader.client, reader.stream, Framing::Raw);
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "1", "one");
    publish(&mut publisher, &["b"], "2", "for nobody");
    publish(&mut publisher, &["a"], "3", "two\nlines");
    reader.expect(b"retry: 2000\n\nid: 1\ndata: one\n\nid: 3\ndata: two\ndata: lines\n\n");
    hub.signal(Signal::TERM);
    reader.expect(b"retry: 2000\n\n");
    reader.expect_end();
    assert!(hub.ended().success());
}

#[test]
fn a_chunked_stream_byte_for_byte() {
    let mut hub = Hub::new();
    let mut reader = held(&hub, &["a"]);
    commit(&reader.client, reader.stream, Framing::Chunked);
    publish(&mut hub.client(), &["a"], "1", "one");
    reader.expect(b"d\r\nretry: 2000\n\n\r\n11\r\nid: 1\ndata: one\n\n\r\n");
    hub.signal(Signal::TERM);
    reader.expect(b"d\r\nretry: 2000\n\n\r\n0\r\n\r\n");
    reader.expect_end();
    assert!(hub.ended().success());
}

#[test]
fn a_fastcgi_stream_byte_for_byte() {
    let mut hub = Hub::new();
    let mut reader = held(&hub, &["a"]);
    commit(&reader.client, reader.stream, FASTCGI);
    publish(&mut hub.client(), &["a"], "1", "one");
    reader.expect(b"\x01\x06\x00\x01\x00\x0d\x00\x00retry: 2000\n\n");
    reader.expect(b"\x01\x06\x00\x01\x00\x11\x00\x00id: 1\ndata: one\n\n");
    hub.signal(Signal::TERM);
    reader.expect(b"\x01\x06\x00\x01\x00\x0d\x00\x00retry: 2000\n\n");
    reader.expect(b"\x01\x06\x00\x01\x00\x00\x00\x00");
    reader.expect(b"\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00");
    reader.expect_end();
    assert!(hub.ended().success());
}

#[test]
fn a_stream_of_messages() {
    let hub = Hub::new();
    let mut reader = hub.stream(&["a", "c.*"], Framing::Message);
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "1", "one");
    trigger(&publisher, &["x", "c.1", "a"]);
    publish(&mut publisher, &["b", "c.2"], "2", "two\r\nlines");
    trigger(&publisher, &[]);
    assert_eq!(reader.message(), "event 1 a - one");
    assert_eq!(reader.message(), "trigger c.1");
    assert_eq!(reader.message(), "trigger a");
    assert_eq!(reader.message(), r"event 2 b,c.2 - two\r\nlines");
    assert_eq!(reader.message(), "trigger **");
}

#[test]
fn a_stream_of_wakes_says_nothing_but_that_something_happened() {
    let hub = Hub::new();
    let mut reader = hub.stream(&["a", "c.*"], Framing::Wake);
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "1", "one");
    reader.expect(b"W");
    trigger(&publisher, &["x", "c.1"]);
    reader.expect(b"W");
    publish(&mut publisher, &["x"], "2", "for others");
    trigger(&publisher, &[]);
    reader.expect(b"W");
    hub.signal(Signal::TERM);
    reader.expect_end();
}

#[test]
fn what_came_for_held_wakes_is_told_once_at_their_commit() {
    let hub = Hub::new();
    let mut woken = held(&hub, &["a"]);
    let mut quiet = held(&hub, &["b"]);
    publish(&mut hub.client(), &["a"], "1", "one");
    trigger(&woken.client, &["a"]);
    support::stats(&mut woken.client);
    commit(&woken.client, woken.stream, Framing::Wake);
    commit(&quiet.client, quiet.stream, Framing::Wake);
    hub.until("both are open", |stats| stats["streams"]["open"] == json!(2));
    trigger(&quiet.client, &["b"]);
    quiet.expect(b"W");
    hub.signal(Signal::TERM);
    woken.expect(b"W");
    woken.expect_end();
    quiet.expect_end();
}

#[test]
fn without_a_reconnection_time_a_comment_opens_the_stream() {
    let hub = Hub::new();
    hub.stream(&["a"], Framing::Raw).expect(b":\n\n");
    hub.stream(&["a"], Framing::Chunked).expect(b"3\r\n:\n\n\r\n");
}

#[test]
fn a_held_stream_gets_what_was_published_meanwhile_and_only_after_its_commit() {
    let hub = Hub::new();
    let mut reader = held(&hub, &["a"]);
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "1", "one");
    publish(&mut publisher, &["a"], "2", "two");
    hub.until("both are queued", |stats| stats["queued_bytes"] == json!(34));
    // Whatever the worker writes before its commit comes first.
    reader.socket.set_nonblocking(true).expect("own socket");
    assert!(std::io::Read::read(&mut reader.socket, &mut [0]).is_err(), "the hub wrote to a held stream");
    reader.socket.set_nonblocking(false).expect("own socket");
    commit(&reader.client, reader.stream, Framing::Raw);
    reader.expect(b"retry: 2000\n\nid: 1\ndata: one\n\nid: 2\ndata: two\n\n");
    publish(&mut publisher, &["a"], "3", "three");
    reader.expect(b"id: 3\ndata: three\n\n");
}

#[test]
fn a_trigger_for_a_held_stream_is_not_lost() {
    let hub = Hub::new();
    let mut reader = held(&hub, &["a"]);
    trigger(&reader.client, &["a"]);
    trigger(&reader.client, &["a"]);
    commit(&reader.client, reader.stream, Framing::Message);
    publish(&mut hub.client(), &["a"], "1", "one");
    assert_eq!(reader.message(), "trigger a");
    assert_eq!(reader.message(), "event 1 a - one");
}

#[test]
fn an_aborted_stream_is_let_go_untouched() {
    let hub = Hub::new();
    let mut reader = held(&hub, &["a"]);
    reader.client.post(&Request::Abort { stream: reader.stream }).expect("the hub is there");
    reader.expect_end();
    let stats = hub.until("it is counted", |stats| stats["streams"]["closed"]["aborted"] == json!(1));
    assert_eq!((&stats["streams"]["held"], &stats["streams"]["open"]), (&json!(0), &json!(0)));
    // A commit that comes too late changes nothing.
    commit(&reader.client, reader.stream, Framing::Raw);
    publish(&mut reader.client, &["a"], "1", "one");
}

#[test]
fn a_worker_that_dies_takes_its_held_streams_along_but_not_its_open_ones() {
    let hub = Hub::new();
    let mut client = hub.client();
    let pairs = [(); 3].map(|()| UnixStream::pair().expect("a pair"));
    let [first, mut second, mut third] = pairs.map(|(near, far)| {
        let stream = attach(&mut client, near.into(), &["a"], 0).expect("attached");
        (patient(far), stream)
    });
    commit(&client, first.1, Framing::Raw);
    drop(client);
    support::expect_end(&mut second.0);
    support::expect_end(&mut third.0);
    publish(&mut hub.client(), &["a"], "1", "one");
    let mut first = first.0;
    support::expect(&mut first, b":\n\nid: 1\ndata: one\n\n");
}

/// Attack: a process that may use the hub commits or aborts a stream that another one is about to hand over.
#[test]
fn only_who_attached_a_stream_may_commit_it() {
    let hub = Hub::new();
    let mut reader = held(&hub, &["a"]);
    let mut other = hub.client();
    commit(&other, reader.stream, FASTCGI);
    other.post(&Request::Abort { stream: reader.stream }).expect("the hub is there");
    publish(&mut other, &["a"], "1", "one");
    commit(&reader.client, reader.stream, Framing::Raw);
    reader.expect(b"retry: 2000\n\nid: 1\ndata: one\n\n");
}

#[test]
fn a_client_that_leaves_is_noticed_at_once() {
    let hub = Hub::with(json!({ "processes": 1 }));
    let keep = hub.stream(&["a"], Framing::Raw);
    let leave = hub.stream(&["a", "b"], FASTCGI);
    hub.until("both are open", |stats| stats["streams"]["open"] == json!(2) && stats["topics"] == json!(2));
    drop(leave);
    let stats = hub.until("one has left", |stats| stats["streams"]["closed"]["client"] == json!(1));
    assert_eq!(stats["streams"]["open"], json!(1));
    assert_eq!(stats["topics"], json!(1));
    drop(keep);
    hub.until("all have left", |stats| stats["streams"]["open"] == json!(0));
}

/// FPM leaves an empty FCGI_STDIN record unread, and a browser may send anything.
#[test]
fn what_the_client_sends_is_ignored() {
    let hub = Hub::new();
    let mut reader = held(&hub, &["a"]);
    let chatter = vec![b'x'; 300_000];
    let mut writer = reader.socket.try_clone().expect("own socket");
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &chatter).expect("it is read"));
    commit(&reader.client, reader.stream, Framing::Raw);
    writing.join().expect("all was read");
    publish(&mut hub.client(), &["a"], "1", "one");
    reader.expect(b"retry: 2000\n\nid: 1\ndata: one\n\n");
}

#[test]
fn patterns_match_whole_segments_and_no_event_comes_twice() {
    let hub = Hub::new();
    let mut reader = hub.stream(&["orders.*", "orders.**", "orders.1", "users.*.name", "orders.*"], Framing::Raw);
    let mut publisher = hub.client();
    publish(&mut publisher, &["orders"], "0", "no");
    publish(&mut publisher, &["orders.1", "orders.2"], "1", "once");
    publish(&mut publisher, &["users.7.email"], "2", "no");
    publish(&mut publisher, &["users.7.name", "orders.1.x"], "3", "once");
    publish(&mut publisher, &["orders.1"], "4", "end");
    reader.expect(b":\n\nid: 1\ndata: once\n\nid: 3\ndata: once\n\nid: 4\ndata: end\n\n");
    assert_eq!(hub.stats()["topics"], json!(4));
}

#[test]
fn heartbeats_come_in_silence_in_the_streams_framing() {
    let hub = Hub::new();
    let mut client = hub.client();
    let framings = [Framing::Raw, Framing::Chunked, FASTCGI, Framing::Message, Framing::Wake];
    let mut readers = framings.map(|_| {
        let (near, far) = UnixStream::pair().expect("a pair");
        let request = Request::Attach(Attach {
            patterns: vec!["a"],
            spec: StreamSpec { heartbeat: 1, ..StreamSpec::default() },
            ..Default::default()
        });
        let fd = std::os::fd::AsFd::as_fd(&near);
        client.call(&request, Some(fd), support::PATIENCE).expect("attached");
        patient(far)
    });
    for (stream, framing) in (1..).zip(framings) {
        commit(&client, stream, framing);
    }
    support::expect(&mut readers[0], b":\n\n:\n\n:\n\n");
    support::expect(&mut readers[1], b"3\r\n:\n\n\r\n3\r\n:\n\n\r\n");
    support::expect(&mut readers[2], &b"\x01\x06\x00\x01\x00\x03\x00\x00:\n\n".repeat(2));
    support::expect(&mut readers[3], &[1, 0, 0, 0, 2]);
    hub.until("they are counted", |stats| stats["heartbeats"].as_u64() >= Some(5));
    // Of wakes, every byte means that something happened.
    trigger(&client, &["a"]);
    hub.signal(Signal::TERM);
    support::expect(&mut readers[4], b"W");
    support::expect_end(&mut readers[4]);
}

#[test]
fn the_counters_add_up() {
    let hub = Hub::with(json!({ "processes": 1 }));
    let mut reader = hub.stream(&["a"], Framing::Raw);
    let held = held(&hub, &["b", "a"]);
    publish(&mut hub.client(), &["a"], "1", "one");
    reader.expect(b":\n\nid: 1\ndata: one\n\n");
    let stats = hub.until("all is counted", |s| s["delivered"] == json!(1) && s["queued_bytes"] == json!(17));
    assert_eq!(nonzero(&stats["streams"])["open"], json!(1));
    assert_eq!(stats["streams"]["held"], json!(1));
    assert_eq!(stats["streams"]["opened"], json!(1));
    assert_eq!(stats["topics"], json!(2));
    assert_eq!(stats["published"], json!(1));
    assert_eq!(stats["published_bytes"], json!(3));
    assert_eq!(stats["delivered_bytes"], json!(20));
    assert_eq!(stats["pid"], json!(hub.pid()));
    assert_eq!(stats["shards"], json!(2));
    drop((reader, held));
    let stats = hub.until("all have gone", |s| {
        s["streams"]["open"] == json!(0) && s["streams"]["held"] == json!(0) && s["connections"] == json!(1)
    });
    assert_eq!(nonzero(&stats["streams"]["closed"]), json!({"client": 1, "aborted": 1}));
    assert_eq!((&stats["queued_bytes"], &stats["topics"]), (&json!(0), &json!(0)));
}
