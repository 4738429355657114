//! Limits, and that nothing is left behind.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{ErrorCode, Framing};

use crate::support::{self, Hub, attach, commit, publish, read_to_string};

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair")
}

#[test]
fn a_full_hub_has_room_again_when_a_stream_ends() {
    let hub = Hub::with(json!({"max_streams": 2}));
    let first = hub.stream(&["a"], Framing::Raw);
    let mut client = hub.client();
    let (near, held) = pair();
    attach(&mut client, near.into(), &["a"], 0).expect("held streams count as well");
    let refused = |client: &mut Client| match attach(client, pair().0.into(), &["a"], 0) {
        Err(ClientError::Hub { code: ErrorCode::Full, .. }) => {}
        other => panic!("not refused: {other:?}"),
    };
    refused(&mut client);
    drop(first);
    hub.until("it has left", |stats| stats["streams"]["closed"]["client"] == json!(1));
    attach(&mut client, pair().0.into(), &["a"], 0).expect("room for one");
    refused(&mut client);
    assert_eq!(hub.stats()["refused"]["full"], json!(2));
    drop(held);
}

#[test]
fn the_log_says_why_streams_were_refused_but_not_each_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("hub.log");
    let hub = Hub::in_folder(folder, json!({"max_streams": 1, "log": log, "log_level": "warn"}));
    let _first = hub.stream(&["a"], Framing::Raw);
    for _ in 0..10 {
        attach(&mut hub.client(), pair().0.into(), &["a"], 0).expect_err("full");
    }
    let text = read_to_string(&log);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains("WARN a stream was refused reason=\"1 streams are open, and sse.max_streams allows no more\""),
        "{text}"
    );
}

#[test]
fn without_a_descriptor_for_a_stream_the_answer_names_the_limit() {
    let hub = Hub::with(json!({"processes": 1, "descriptors": 64, "max_streams": 1000}));
    let mut client = hub.client();
    let mut streams = Vec::new();
    let message = loop {
        assert!(streams.len() < 64, "the limit is 64");
        let (near, far) = pair();
        match attach(&mut client, near.into(), &["a"], 0) {
            Ok(stream) => streams.push((stream, far)),
            Err(ClientError::Hub { code: ErrorCode::Full, message }) => break message,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(message.starts_with("the hub has no descriptor left of the 64 that its limit allows"), "{message}");
    // Those that it has are as good as ever.
    let (stream, mut far) = streams.pop().expect("some");
    commit(&client, stream, Framing::Raw);
    publish(&mut client, &["a"], "1", "one");
    support::expect(&mut far, b":\n\nid: 1\ndata: one\n\n");
    for (stream, _) in &streams {
        client.post(&sse_protocol::wire::Request::Abort { stream: *stream }).expect("the hub is there");
    }
    drop((streams, far));
    support::until("all have gone", || {
        let stats = support::stats(&mut client);
        stats["streams"]["held"] == json!(0) && stats["streams"]["open"] == json!(0)
    });
}

#[test]
fn without_a_setting_the_descriptor_limit_decides() {
    let hub = Hub::with(json!({"processes": 1, "descriptors": 130}));
    let mut client = hub.client();
    let _far = [(); 2].map(|()| {
        let (near, far) = pair();
        attach(&mut client, near.into(), &["a"], 0).expect("attached");
        far
    });
    match attach(&mut client, pair().0.into(), &["a"], 0) {
        Err(ClientError::Hub { code: ErrorCode::Full, message }) => assert_eq!(
            message,
            "2 streams are open, and the limit of 130 descriptors allows no more; raise it (ulimit -n, or LimitNOFILE in \
             a systemd unit), or set sse.max_streams to what is needed, which the hub then spreads over several processes"
        ),
        other => panic!("not refused: {other:?}"),
    }
}

/// Attack: a neighbour that may connect by HTTP sends nothing on many connections, and they take the descriptors of streams.
#[test]
fn connections_by_http_take_no_descriptors_of_streams() {
    let address = format!("127.0.0.1:{}", support::free_port());
    let hub = Hub::with(json!({"processes": 1, "descriptors": 400, "http": address, "http_connections": 10_000}));
    // It listens once it answers.
    let mut client = hub.client();
    support::stats(&mut client);
    let before = hub.descriptors();
    let _idle: Vec<_> = (0..200).map(|_| TcpStream::connect(&address).expect("the hub listens")).collect();
    hub.until("a quarter of the descriptors is theirs", |_| hub.descriptors() >= before + 100);
    let mut streams = Vec::new();
    let message = loop {
        let (near, far) = pair();
        match attach(&mut client, near.into(), &["a"], 0) {
            Ok(_) => streams.push(far),
            Err(ClientError::Hub { code: ErrorCode::Full, message }) => break message,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(message.starts_with("172 streams are open, and the limit of 400 descriptors allows no more"), "{message}");
    assert!(hub.descriptors() >= before + 272, "the others wait all the time");
}

#[test]
fn thousands_of_streams_leave_nothing_behind() {
    let hub = Hub::new();
    let mut client = hub.client();
    let mut open_and_close = |count: usize| {
        let mut far = Vec::new();
        for number in 0..count {
            let (near, end) = pair();
            let topic = format!("t.{}", number % 100);
            let stream = attach(&mut client, near.into(), &[&topic, "all", "t.*"], 0).expect("attached");
            match number % 5 {
                0 => {}
                1 => commit(&client, stream, Framing::Chunked),
                2 => commit(&client, stream, Framing::FastCgi { request: 1 }),
                3 => commit(&client, stream, Framing::Message),
                _ => commit(&client, stream, Framing::Wake),
            }
            if number % 5 == 0 {
                client.post(&sse_protocol::wire::Request::Abort { stream }).expect("the hub is there");
            }
            far.push(end);
        }
        publish(&mut client, &["all", "t.1"], "1", "one");
        far.clear();
        hub.until("all have gone", |stats| stats["streams"]["open"] == json!(0) && stats["streams"]["held"] == json!(0))
    };
    open_and_close(100);
    let before = settled(&hub);
    for _ in 0..4 {
        open_and_close(500);
    }
    // A stream is counted as gone a moment before its socket is closed.
    support::until("no descriptor is left behind", || settled(&hub) <= before);
    assert_eq!(hub.stats()["topics"], json!(0));
    assert_eq!(hub.stats()["queued_bytes"], json!(0));
}

/// Open descriptors of the hub's process when nobody but this test's two clients is connected.
fn settled(hub: &Hub) -> usize {
    let mut client = hub.client();
    support::until("all others have gone", || support::stats(&mut client)["connections"] == json!(2));
    hub.descriptors()
}
