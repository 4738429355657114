//! A hub takes over from another one, and no client notices.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::framing;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, Attach, Framing, Reply, Request, User};

use crate::support::{self, Hub, PATIENCE, Reader, attach, commit, publish};

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
    // Counted by their shards, after they are written.
    let stats = hub.until("all deliveries are counted", |stats| stats["delivered"] == json!(16));
    assert_eq!(stats["upgrades"], json!(3));
    assert_eq!(stats["pid"], json!(hub.pid()));
    assert_eq!(stats["streams"]["open"], json!(4));
    assert_eq!(stats["streams"]["opened"], json!(4));
    assert_eq!(stats["published"], json!(4));
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
    let before = cursor(&hub);
    hub.upgrade(&json!({}));
    assert_eq!(cursor(&hub), before);
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
    let request = Request::Attach(Attach { patterns: vec!["a"], last_event_id: Some(since), ..Attach::default() });
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

/// Answers that nobody has read yet, and requests behind them that wait for that.
#[test]
fn peers_get_every_answer_once() {
    let mut hub = Hub::new();
    let mut peer = hub.raw();
    peer.set_nonblocking(true).expect("own socket");
    support::send(&mut peer, &support::hello());
    let request = wire::encode(&Request::Stats);
    let mut bytes = Vec::new();
    let mut sent = 0;
    // Until both sockets' buffers are full, perhaps in the middle of a request.
    loop {
        match std::io::Write::write(&mut peer, if bytes.is_empty() { &request } else { &bytes }) {
            Ok(count) => {
                let whole = if bytes.is_empty() { request.clone() } else { bytes };
                bytes = whole[count..].to_vec();
                sent += usize::from(bytes.is_empty());
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && sent > 500 => break,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    hub.upgrade(&json!({}));
    hub.upgrade(&json!({}));
    peer.set_nonblocking(false).expect("own socket");
    assert!(support::answer(&mut peer).starts_with("Welcome"));
    for _ in 0..sent {
        assert!(support::answer(&mut peer).starts_with("Stats"));
    }
    support::send(&mut peer, &bytes);
    if !bytes.is_empty() {
        assert!(support::answer(&mut peer).starts_with("Stats"));
    }
    support::send(&mut peer, &wire::encode(&Request::Cursor));
    assert!(support::answer(&mut peer).starts_with("Cursor"));
}

/// The connection came with the first half of its request.
#[test]
fn half_a_request_and_its_descriptor_are_passed_on() {
    let mut hub = Hub::new();
    let mut peer = hub.raw();
    support::send(&mut peer, &support::hello());
    assert!(support::answer(&mut peer).starts_with("Welcome"));
    let (near, far) = UnixStream::pair().expect("a pair");
    let request = Request::Attach(Attach { patterns: vec!["a"], ..Attach::default() });
    let bytes = wire::encode(&request);
    support::send_with(&peer, &bytes[..5], near.as_fd());
    drop(near);
    hub.upgrade(&json!({}));
    support::send(&mut peer, &bytes[5..]);
    assert_eq!(
        support::answer(&mut peer),
        "Attached { stream: 1, rendered: false, opening: \"\", public: \"\", resumed: false }"
    );
    support::send(&mut peer, &wire::encode(&Request::Commit { stream: 1, framing: Framing::Raw }));
    let mut far = support::patient(far);
    support::expect(&mut far, b":\n\n");
}

#[test]
fn wakes_go_on_and_those_that_came_meanwhile_are_not_lost() {
    let mut hub = Hub::with(json!({ "udp": "127.0.0.1:0", "udp_rate": 10_000 }));
    let address = hub.stats()["udp"]["listening"].as_str().expect("it listens").to_string();
    let mut reader = hub.stream(&["**"], Framing::Message);
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let wake = |topic: &str| sender.send_to(format!("WAKEUP {topic}").as_bytes(), &address).expect("loopback");
    wake("before");
    assert_eq!(reader.message(), "trigger before");
    for round in 0..5 {
        let mut successor = hub.successor(&json!({}));
        let mut expected = Vec::new();
        for nth in 0..200 {
            wake(&format!("t{round}.n{nth}"));
            expected.push(format!("trigger t{round}.n{nth}"));
            std::thread::yield_now();
        }
        for expected in expected {
            assert_eq!(reader.message(), expected);
        }
        assert_eq!(successor.report()["streams"], json!(1));
        hub.replace(successor);
    }
    assert_eq!(hub.stats()["udp"]["listening"], json!(address));
    assert_eq!(hub.stats()["udp"]["wakes"], json!(1001));
}

#[test]
fn a_history_on_disk_goes_on_and_so_do_its_publishers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("history.db");
    let mut hub = Hub::with(json!({ "history_events": 1000, "history_file": file }));
    let mut reader = hub.stream(&["a"], Framing::Raw);
    reader.expect(b":\n\n");
    let mut client = hub.client();
    let mut nth = 0;
    let mut published = |client: &mut sse_protocol::client::Client, count: usize| {
        (0..count).for_each(|_| {
            nth += 1;
            publish(client, &["a"], &nth.to_string(), "x");
        });
    };
    for _ in 0..5 {
        published(&mut client, 20);
        hub.upgrade(&json!({}));
        published(&mut client, 1);
    }
    for nth in 1..=105 {
        reader.expect(&frame(&nth.to_string(), "x"));
    }
    let file = &hub.stats()["history"]["file"];
    assert_eq!((&file["written"], &file["waiting"]), (&json!(105), &json!(0)), "{file}");
    // What the last one has not written, nobody has.
    hub.signal(rustix::process::Signal::KILL);
    hub.ended();
    let mut fresh = hub.successor(&json!({}));
    assert_eq!(fresh.report()["pause_us"], Value::Null);
    assert_eq!(hub.stats()["history"]["events"], json!(105));
}

#[test]
fn it_ends_with_the_owner_that_another_hub_has_watched() {
    let mut owner = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep runs");
    let mut hub = Hub::new();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    let mut client = hub.client_of(Some(owner.id()));
    client.call(&Request::Cursor, None, PATIENCE).expect("answered");
    hub.upgrade(&json!({}));
    hub.upgrade(&json!({}));
    reader.expect(b":\n\n");
    owner.kill().expect("own child");
    owner.wait().expect("own child");
    assert!(hub.ended().success());
    reader.expect_end();
    assert!(!hub.socket.exists());
}

#[test]
fn heartbeats_go_on_and_settings_change() {
    let mut hub = Hub::with(json!({ "max_streams": 1 }));
    let (near, far) = UnixStream::pair().expect("a pair");
    let mut client = hub.client();
    let request = Request::Attach(Attach {
        patterns: vec!["a"],
        spec: StreamSpec { heartbeat: 1, ..StreamSpec::default() },
        ..Attach::default()
    });
    let Ok(Reply::Attached { stream, .. }) = client.call(&request, Some(near.as_fd()), PATIENCE) else {
        panic!("not attached")
    };
    drop(near);
    commit(&client, stream, Framing::Raw);
    let refused = attach(&mut client, UnixStream::pair().expect("a pair").0.into(), &["a"], 0);
    assert!(support::text(refused).contains("sse.max_streams allows no more"));
    hub.upgrade(&json!({ "max_streams": 2, "socket_mode": 0o660 }));
    let mut reader = Reader::new(far, stream, client);
    reader.expect(b":\n\n:\n\n:\n\n");
    attach(&mut reader.client, UnixStream::pair().expect("a pair").0.into(), &["a"], 0).expect("there is room");
    let mode = std::os::unix::fs::PermissionsExt::mode(&hub.socket.metadata().expect("it stands").permissions());
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn limits_and_lifetimes_go_on() {
    let mut hub = Hub::with(json!({ "max_streams_per_ip": 1 }));
    let mut client = hub.client();
    let mut open = |hub: &Hub, wanted: Attach<'_>| {
        let (near, far) = UnixStream::pair().expect("a pair");
        match client.call(&Request::Attach(wanted), Some(near.as_fd()), PATIENCE) {
            Ok(Reply::Attached { stream, .. }) => {
                commit(&client, stream, Framing::Chunked);
                Ok(Reader::new(far, stream, hub.client()))
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    let patterns = vec!["a"];
    let alice = Some(User { key: "alice", limit: 1, replace: false });
    let lasting = Attach { patterns: patterns.clone(), user: alice, ..Attach::default() };
    let passing = Attach {
        patterns,
        address: Some("192.0.2.7"),
        spec: StreamSpec { max_lifetime: 5, ..StreamSpec::default() },
        ..Attach::default()
    };
    let _lasting = open(&hub, lasting.clone()).expect("the first");
    let mut ending = open(&hub, passing.clone()).expect("the first");
    hub.upgrade(&json!({}));
    assert!(open(&hub, lasting).err().expect("one too many").contains("a user has as many"));
    assert!(open(&hub, passing.clone()).err().expect("one too many").contains("192.0.2.7 has as many"));
    ending.expect(b"3\r\n:\n\n\r\n0\r\n\r\n");
    ending.expect_end();
    // A shard ends a stream a moment before the ordering thread hears of it.
    support::until("there is room again", || open(&hub, passing.clone()).is_ok());
}

/// 5,000 streams, more than one message's worth of descriptors, some of them with something to write.
#[test]
fn many_streams_are_passed_on() {
    let mut hub = Hub::new();
    let mut client = hub.client();
    let mut readers: Vec<UnixStream> = Vec::new();
    for nth in 0..5000 {
        let (near, far) = UnixStream::pair().expect("a pair");
        let stream = attach(&mut client, near.into(), &["all", &format!("t{nth}")], 0).expect("attached");
        commit(&client, stream, Framing::Raw);
        readers.push(support::patient(far));
    }
    publish(&mut client, &["all"], "1", "x");
    let report = hub.upgrade(&json!({}));
    println!("5,000 streams passed on; nothing was delivered for {} µs", report["pause_us"]);
    publish(&mut client, &["all"], "2", "y");
    publish(&mut client, &["t4999"], "3", "z");
    for reader in &mut readers {
        support::expect(reader, b":\n\nid: 1\ndata: x\n\nid: 2\ndata: y\n\n");
    }
    support::expect(&mut readers[4999], b"id: 3\ndata: z\n\n");
    assert_eq!(report["streams"], json!(5000));
}
