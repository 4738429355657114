//! Clients that read slowly or not at all, and events larger than a socket's buffer.

use std::io::Read;
use std::os::unix::net::UnixStream;

use serde_json::json;
use sse_hub::event::Event;
use sse_protocol::event::NewEvent;
use sse_protocol::framing;
use sse_protocol::wire::{Framing, Request};

use crate::support::{self, Hub, Reader, attach, commit, publish, trigger};

/// A stream whose near end has the smallest buffer there is.
fn narrow(hub: &Hub, framing: Framing) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    socket2::SockRef::from(&near).set_send_buffer_size(1).expect("small");
    let stream = attach(&mut client, near.into(), &["a"], 0).expect("attached");
    commit(&client, stream, framing);
    Reader::new(far, stream, client)
}

fn framed(framing: Framing, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = framing::piece(framing, payload, bytes.len()) {
        let part = piece.bytes().to_vec();
        bytes.extend(part);
    }
    bytes
}

/// What a stream has to carry: its opening, the large event, a small one.
fn expected(framing: Framing, data: &str) -> Vec<u8> {
    let opening: &[u8] = if framing == Framing::Message { b"" } else { b":\n\n" };
    let mut bytes = framed(framing, opening);
    for (id, data) in [("1", data), ("2", "end")] {
        let event = Event::new(&NewEvent { topics: vec!["a"], data: data.as_bytes(), ..Default::default() }, id);
        let payload = if framing == Framing::Message { event.message() } else { event.frame() };
        bytes.extend(framed(framing, payload));
    }
    bytes
}

#[test]
fn a_large_event_goes_through_small_buffers_in_every_framing() {
    let hub = Hub::new();
    let framings = [Framing::Raw, Framing::Chunked, Framing::FastCgi { request: 7 }, Framing::Message];
    let mut readers = framings.map(|framing| narrow(&hub, framing));
    let mut tcp = framings.map(|framing| hub.tcp_stream(&["a"], framing).0);
    let data: String = (0..1 << 20).map(|i| char::from(b'!' + (i % 89) as u8)).collect();
    let mut publisher = hub.client();
    publish(&mut publisher, &["a"], "1", &data);
    publish(&mut publisher, &["a"], "2", "end");
    for ((framing, reader), tcp) in framings.into_iter().zip(&mut readers).zip(&mut tcp) {
        let expected = expected(framing, &data);
        reader.expect(&expected);
        support::expect(tcp, &expected);
    }
    hub.until("nothing is queued", |stats| stats["queued_bytes"] == json!(0) && stats["delivered"] == json!(16));
}

#[test]
fn who_does_not_read_is_closed_and_nobody_else_is_held_up() {
    let hub = Hub::with(json!({"stream_buffer": 100_000, "shards": 1}));
    let mut lazy = narrow(&hub, Framing::Raw);
    let mut eager = narrow(&hub, Framing::Raw);
    let data = "x".repeat(20_000);
    let mut publisher = hub.client();
    eager.expect(b":\n\n");
    for number in 0..50 {
        let id = number.to_string();
        publish(&mut publisher, &["a"], &id, &data);
        eager.expect(format!("id: {id}\ndata: {data}\n\n").as_bytes());
    }
    let stats = hub.until("the lazy one is closed", |stats| stats["streams"]["closed"]["slow"] == json!(1));
    assert_eq!(stats["streams"]["open"], json!(1));
    assert_eq!(stats["queued_bytes"], json!(0));
    let mut got = Vec::new();
    lazy.socket.read_to_end(&mut got).expect("the end");
    assert!(got.starts_with(b":\n\nid: 0\n") && got.len() < 200_000, "{} bytes", got.len());
}

#[test]
fn an_event_larger_than_the_buffer_is_taken_by_an_empty_queue() {
    let hub = Hub::with(json!({"stream_buffer": 1000}));
    let mut reader = narrow(&hub, Framing::Raw);
    let data = "x".repeat(500_000);
    publish(&mut hub.client(), &["a"], "1", &data);
    reader.expect(format!(":\n\nid: 1\ndata: {data}\n\n").as_bytes());
}

#[test]
fn a_held_stream_that_overflows_is_closed() {
    let hub = Hub::with(json!({"stream_buffer": 1000}));
    let mut client = hub.client();
    let (near, mut far) = UnixStream::pair().expect("a pair");
    let stream = attach(&mut client, near.into(), &["a"], 0).expect("attached");
    // The first doesn't count, and behind it there is room for one.
    for id in ["1", "2", "3"] {
        publish(&mut client, &["a"], id, &"x".repeat(600));
    }
    support::expect_end(&mut far);
    commit(&client, stream, Framing::Raw);
    let stats = hub.until("it is counted", |stats| stats["streams"]["closed"]["slow"] == json!(1));
    assert_eq!((&stats["streams"]["held"], &stats["streams"]["open"]), (&json!(0), &json!(0)));
}

#[test]
fn triggers_for_a_reader_that_is_behind_are_merged_and_not_lost() {
    let hub = Hub::with(json!({"stream_buffer": 1000}));
    let mut reader = narrow(&hub, Framing::Message);
    let mut client = hub.client();
    publish(&mut client, &["a"], "1", &"x".repeat(500_000));
    hub.until("the reader is behind", |stats| stats["queued_bytes"].as_u64() > Some(0));
    for _ in 0..10 {
        for _ in 0..100 {
            trigger(&client, &["a"]);
        }
        // They have no answer: this is how to know that the hub has done them.
        support::stats(&mut client);
    }
    assert!(reader.message().starts_with("event 1 a - xxx"));
    assert_eq!(reader.message(), "trigger a");
    trigger(&client, &["a"]);
    assert_eq!(reader.message(), "trigger a");
}

#[test]
fn wakes_for_a_reader_that_is_behind_become_one() {
    let hub = Hub::with(json!({"stream_buffer": 1000, "shards": 1}));
    let mut other = hub.stream(&["done"], Framing::Raw);
    other.expect(b":\n\n");
    let mut reader = narrow(&hub, Framing::Wake);
    let mut client = hub.client();
    let mut last = 0;
    hub.until("one waits for the reader", |stats| {
        publish(&mut client, &["a"], &format!("{last}"), "x");
        last += 1;
        stats["queued_bytes"] == json!(1)
    });
    for _ in 0..100 {
        trigger(&client, &["a"]);
        publish(&mut client, &["a"], "again", "x");
    }
    // The shard does one after the other.
    publish(&mut client, &["done"], "done", "x");
    other.expect(b"id: done\ndata: x\n\n");
    assert_eq!(hub.stats()["queued_bytes"], json!(1));
    let mut found = Vec::new();
    reader.socket.set_nonblocking(true).expect("own socket");
    support::until("the reader has caught up", || {
        let _ = reader.socket.read_to_end(&mut found);
        hub.stats()["queued_bytes"] == json!(0)
    });
    let _ = reader.socket.read_to_end(&mut found);
    assert!(found.len() <= last + 1 && found.iter().all(|byte| *byte == b'W'), "{} of {last}", found.len());
    reader.socket.set_nonblocking(false).expect("own socket");
    trigger(&client, &["a"]);
    reader.expect(b"W");
}

#[test]
fn too_many_different_triggers_become_one_for_all() {
    let hub = Hub::new();
    let mut reader = {
        let mut client = hub.client();
        let (near, far) = UnixStream::pair().expect("a pair");
        socket2::SockRef::from(&near).set_send_buffer_size(1).expect("small");
        let stream = attach(&mut client, near.into(), &["**"], 0).expect("attached");
        commit(&client, stream, Framing::Message);
        Reader::new(far, stream, client)
    };
    let mut client = hub.client();
    publish(&mut client, &["a"], "1", &"x".repeat(500_000));
    hub.until("the reader is behind", |stats| stats["queued_bytes"].as_u64() > Some(0));
    for number in 0..100 {
        trigger(&client, &[&format!("t.{number}")]);
    }
    support::stats(&mut client);
    // One more turn of the shard, so that none of the triggers is still on its way.
    publish(&mut client, &["b"], "2", "x");
    assert!(reader.message().starts_with("event 1 a - xxx"));
    assert_eq!(reader.message(), "event 2 b - x");
    assert_eq!(reader.message(), "trigger **");
}

#[test]
fn a_flood_of_events_faster_than_the_shards_does_not_fill_the_memory() {
    let hub = Hub::with(json!({"shards": 1, "stream_buffer": 1 << 30}));
    let mut readers: Vec<_> = (0..10).map(|_| hub.stream(&["a"], Framing::Raw)).collect();
    let threads: Vec<_> = readers
        .iter()
        .map(|reader| {
            let mut socket = reader.socket.try_clone().expect("own socket");
            std::thread::spawn(move || std::io::copy(&mut socket, &mut std::io::sink()).expect("the end"))
        })
        .collect();
    let data = vec![b'x'; 1 << 20];
    let mut socket = hub.raw();
    support::send(&mut socket, &support::hello());
    let request =
        Request::Publish { event: NewEvent { topics: vec!["a"], data: &data, ..NewEvent::default() }, answer: true };
    let bytes = sse_protocol::wire::encode(&request);
    let mut writer = socket.try_clone().expect("own socket");
    let writing = std::thread::spawn(move || (0..100).for_each(|_| support::send(&mut writer, &bytes)));
    assert!(support::answer(&mut socket).starts_with("Welcome"));
    for _ in 0..100 {
        assert!(support::answer(&mut socket).starts_with("Published"));
    }
    writing.join().expect("written");
    hub.until("all is delivered", |stats| stats["delivered"] == json!(100 * 10));
    readers.clear();
    drop(hub);
    for thread in threads {
        assert!(thread.join().expect("a reader") > 100 << 20);
    }
}

#[test]
fn who_does_not_read_answers_waits_and_holds_up_nobody() {
    let hub = Hub::new();
    let mut socket = hub.raw();
    support::send(&mut socket, &support::hello());
    let request = sse_protocol::wire::encode(&Request::Stats);
    socket.set_nonblocking(true).expect("own socket");
    let mut sent = 0;
    let mut lately = 0;
    // Until the hub has read nothing more for several answers to somebody else.
    while lately < 20 {
        match std::io::Write::write(&mut socket, &request.repeat(1000)) {
            Ok(count) => (sent, lately) = (sent + count, 0),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        hub.stats();
        lately += 1;
    }
    // It gets them all once it reads.
    let mut socket = patient_again(socket);
    let mut reader = socket.try_clone().expect("own socket");
    let request_len = request.len();
    let rest = (request.len() - sent % request.len()) % request.len();
    let writing = std::thread::spawn(move || support::send(&mut socket, &request[request.len() - rest..]));
    assert!(support::answer(&mut reader).starts_with("Welcome"));
    for _ in 0..sent.div_ceil(request_len) {
        assert!(support::answer(&mut reader).starts_with("Stats"));
    }
    writing.join().expect("written");
}

fn patient_again(socket: UnixStream) -> UnixStream {
    socket.set_nonblocking(false).expect("own socket");
    support::patient(socket)
}
