//! Comments that fill up what is written, for a web server that passes output on only once it has enough of it.

use std::io::Read;

use serde_json::json;
use sse_protocol::event::NewEvent;
use sse_protocol::padding::comment;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Framing, Request};

use crate::support::{Hub, PATIENCE, Reader, commit, publish};

const THRESHOLD: u16 = 4096;

/// An open stream that is filled up, whose opening was read.
fn stream(hub: &Hub, framing: Framing, spec: StreamSpec) -> Reader {
    let spec = StreamSpec { pad: THRESHOLD, ..spec };
    let (mut reader, _) = hub.hold(Attach { patterns: vec!["t"], spec, ..Default::default() });
    commit(&reader.client, reader.stream, framing);
    if framing == Framing::Raw {
        expect_filled(&mut reader, ":\n\n");
    }
    reader
}

/// Reads bytes, and the comment that fills them up.
fn expect_filled(reader: &mut Reader, bytes: &str) {
    let missing = usize::from(THRESHOLD).checked_sub(bytes.len()).filter(|missing| *missing > 0);
    reader.expect(bytes.as_bytes());
    reader.expect(comment(missing.unwrap_or(THRESHOLD.into())));
}

fn frame(id: &str, data: &str) -> String {
    format!("id: {id}\ndata: {data}\n\n")
}

#[test]
fn each_write_is_filled_up_once_and_counted_and_other_streams_get_the_same_event_without() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes, "shards": 2 }));
        let mut filled = stream(&hub, Framing::Raw, StreamSpec::default());
        let mut plain = hub.stream(&["t"], Framing::Raw);
        plain.expect(b":\n\n");
        let mut client = hub.client();
        let large = "x".repeat(900_000);
        for (id, data) in [("1", "a"), ("2", "b"), ("3", &*large)] {
            publish(&mut client, &["t"], id, data);
            expect_filled(&mut filled, &frame(id, data));
            plain.expect(frame(id, data).as_bytes());
        }
        let small = frame("1", "a").len();
        let padding = 4 * 4096 - 3 - 2 * small;
        hub.until("all is counted", |stats| stats["padding_bytes"] == json!(padding) && stats["delivered"] == json!(6));
    }
}

#[test]
fn heartbeats_are_filled_up_and_nothing_comes_after_the_end() {
    let mut hub = Hub::new();
    let mut reader = stream(&hub, Framing::Raw, StreamSpec { heartbeat: 1, ..StreamSpec::default() });
    expect_filled(&mut reader, ":\n\n");
    hub.signal(rustix::process::Signal::TERM);
    hub.ended();
    let mut rest = Vec::new();
    reader.socket.read_to_end(&mut rest).expect("the end");
    // Heartbeats may have come in between.
    let beat = [b":\n\n", comment(usize::from(THRESHOLD) - 3)].concat();
    assert_eq!(rest, beat.repeat(rest.len() / beat.len()));
}

#[test]
fn an_event_that_waits_for_its_moment_is_filled_up_then_and_heartbeats_before_it() {
    let hub = Hub::new();
    let mut reader = stream(&hub, Framing::Raw, StreamSpec { heartbeat: 1, ..StreamSpec::default() });
    let event = NewEvent { topics: vec!["t"], id: Some("1"), data: b"a", spread: 3000, ..NewEvent::default() };
    hub.client().call(&Request::Publish { event, answer: true }, None, PATIENCE).expect("published");
    let beat = [b":\n\n", comment(usize::from(THRESHOLD) - 3)].concat();
    let mut first = [0; 3];
    loop {
        reader.socket.read_exact(&mut first).expect("a heartbeat or the event");
        if first != *b":\n\n" {
            break;
        }
        reader.expect(&beat[3..]);
    }
    assert_eq!(&first, b"id:");
    reader.expect(&frame("1", "a").as_bytes()[3..]);
    reader.expect(comment(usize::from(THRESHOLD) - frame("1", "a").len()));
}

#[test]
fn a_stream_is_filled_up_by_the_next_hub_too() {
    let mut hub = Hub::new();
    let mut reader = stream(&hub, Framing::Raw, StreamSpec::default());
    let opening = 4096 - ":\n\n".len();
    hub.until("the opening is counted", |stats| stats["padding_bytes"] == json!(opening));
    hub.upgrade(&json!({}));
    publish(&mut hub.client(), &["t"], "1", "a");
    expect_filled(&mut reader, &frame("1", "a"));
    let padding = 4096 - frame("1", "a").len();
    hub.until("it counts on", |stats| stats["padding_bytes"] == json!(opening + padding));
}

/// Neither a comment nor its bytes mean anything to a PHP process that reads messages.
#[test]
fn streams_of_php_processes_are_not_filled_up() {
    let hub = Hub::new();
    let mut reader = stream(&hub, Framing::Message, StreamSpec::default());
    publish(&mut hub.client(), &["t"], "1", "a");
    assert_eq!(reader.message(), "event 1 t - a");
    hub.until("it is delivered", |stats| stats["delivered"] == json!(1));
    assert_eq!(hub.stats()["padding_bytes"], json!(0));
}
