//! A hub that can't be taken over from goes on as if nothing had happened, whatever the other one does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sse_protocol::client::Client;
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{self, Framing, PROTOCOL, Request};

use crate::support::{self, Hub, Reader, answer, attach, commit, publish, until};

/// As in the greeting of a hub that takes over ("SSEU"), and of one that asks this one to leave ("SSEL").
const TAKE_OVER: u32 = 0x5353_4555;
const LEAVE: u32 = 0x5353_454c;

/// The format of what is passed on.
const FORMAT: u16 = 26;

fn greeting(magic: u32, format: u16) -> Vec<u8> {
    wire::encode(&Request::Hello { magic, protocol: format, version: "test", owner: None })
}

/// A hub that begins to take over: greeted, and everything wanted.
fn successor(hub: &Hub, protocol: u16) -> UnixStream {
    let mut socket = hub.raw();
    support::send(&mut socket, &greeting(TAKE_OVER, FORMAT));
    let welcome = answer(&mut socket);
    assert!(welcome.starts_with(&format!("Welcome {{ protocol: {FORMAT}")), "{welcome}");
    support::send(&mut socket, &wire::encode(&(protocol, "memory")));
    socket
}

/// Reads a part. Its descriptors are closed by the kernel, as nobody takes them.
fn part(socket: &mut UnixStream) -> Vec<u8> {
    let mut prefix = [0; 4];
    socket.read_exact(&mut prefix).expect("a part");
    let mut content = vec![0; u32::from_le_bytes(prefix) as usize];
    socket.read_exact(&mut content).expect("all of it");
    content
}

/// Postcard's number of the variant `End`.
const END: u8 = 16;

/// A hub with a stream that has got an event, one that is held, and a peer.
struct Scene {
    hub: Hub,
    reader: Reader,
    held: UnixStream,
    stream: u64,
    client: Client,
    published: u32,
}

impl Scene {
    fn new(settings: Value) -> Self {
        let hub = Hub::with(settings);
        let mut reader = hub.stream(&["a"], Framing::Chunked);
        let mut client = hub.client();
        let (near, held) = UnixStream::pair().expect("a pair");
        let stream = attach(&mut client, near.into(), &["a"], 0).expect("attached");
        reader.expect(b"3\r\n:\n\n\r\n");
        Self { hub, reader, held: support::patient(held), stream, client, published: 0 }
    }

    /// An event is published by a peer that was there before, and reaches the stream.
    fn goes_on(&mut self) {
        self.published += 1;
        let id = format!("{:03}", self.published);
        publish(&mut self.client, &["a"], &id, "x");
        self.reader.expect(format!("11\r\nid: {id}\ndata: x\n\n\r\n").as_bytes());
    }

    /// The stream that was held all the time begins, with all that came meanwhile.
    fn ends(mut self) {
        self.goes_on();
        commit(&self.client, self.stream, Framing::Raw);
        support::expect(&mut self.held, b":\n\n");
        for nth in 1..=self.published {
            support::expect(&mut self.held, format!("id: {nth:03}\ndata: x\n\n").as_bytes());
        }
        assert_eq!(self.hub.stats()["upgrades"], json!(0));
    }
}

/// Attack, or accident: the new hub goes away at every single step.
#[test]
fn a_new_hub_that_goes_away_before_it_has_everything_changes_nothing() {
    let mut scene = Scene::new(json!({ "history_events": 10 }));
    scene.goes_on();
    drop(hub_greeted(&scene.hub));
    scene.goes_on();
    for parts in 0.. {
        let mut socket = successor(&scene.hub, PROTOCOL);
        let mut last = false;
        for _ in 0..parts {
            last = part(&mut socket)[0] == END;
            socket.write_all(b"+").expect("the hub reads");
        }
        drop(socket);
        scene.goes_on();
        if last {
            break;
        }
    }
    scene.ends();
}

/// One that said that it has everything, and was killed, or gave up, before it heard that it is the hub now.
#[test]
fn a_new_hub_that_is_gone_when_it_is_its_turn_changes_nothing() {
    let mut scene = Scene::new(json!({ "history_events": 10 }));
    scene.goes_on();
    let mut socket = successor(&scene.hub, PROTOCOL);
    while part(&mut socket)[0] != END {
        socket.write_all(b"+").expect("the hub reads");
    }
    socket.write_all(b"+T").expect("the hub reads");
    scene.goes_on();
    scene.ends();
}

fn hub_greeted(hub: &Hub) -> UnixStream {
    let mut socket = hub.raw();
    support::send(&mut socket, &greeting(TAKE_OVER, FORMAT));
    answer(&mut socket);
    socket
}

#[test]
fn a_new_hub_that_talks_nonsense_changes_nothing() {
    let mut scene = Scene::new(json!({}));
    for nonsense in [&b"?"[..], b"TTTT", &[0xff; 100]] {
        let mut socket = successor(&scene.hub, PROTOCOL);
        part(&mut socket);
        socket.write_all(nonsense).expect("the hub reads");
        scene.goes_on();
        let mut socket = hub_greeted(&scene.hub);
        socket.write_all(nonsense).expect("the hub reads");
        drop(socket);
        scene.goes_on();
    }
    scene.ends();
}

#[test]
fn a_new_hub_that_does_nothing_is_waited_for_for_seconds_only() {
    let mut scene = Scene::new(json!({}));
    let mut socket = successor(&scene.hub, PROTOCOL);
    part(&mut socket);
    scene.goes_on();
    // It has not got the rest, and never will.
    socket.read_to_end(&mut Vec::new()).expect("the end");
    scene.ends();
}

#[test]
fn a_history_on_disk_is_written_again_after_a_failure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("history.db");
    let mut scene = Scene::new(json!({ "history_events": 10, "history_file": file }));
    scene.goes_on();
    let mut socket = hub_greeted(&scene.hub);
    support::send(&mut socket, &wire::encode(&(PROTOCOL, format!("sqlite:{}", file.display()))));
    part(&mut socket);
    drop(socket);
    scene.goes_on();
    // Another history is not taken over, and the reason is said.
    let mut other = scene.hub.successor(&json!({ "history_file": Value::Null }));
    let reason = other.report()["error"].as_str().expect("refused").to_owned();
    assert!(
        reason.contains("events are to be kept in memory, and the hub that runs keeps them in sqlite:"),
        "{reason}"
    );
    scene.goes_on();
    assert_eq!(scene.hub.stats()["history"]["events"], json!(3));
    scene.ends();
}

#[test]
fn a_new_hub_without_room_for_all_descriptors_says_so_and_changes_nothing() {
    let mut scene = Scene::new(json!({}));
    let others: Vec<Reader> = (0..300).map(|_| scene.hub.stream(&["b"], Framing::Raw)).collect();
    let mut small = scene.hub.successor(&json!({ "descriptors": 200 }));
    let reason = small.report()["error"].as_str().expect("refused").to_owned();
    assert!(reason.contains("no descriptor is left for a stream"), "{reason}");
    assert_eq!(scene.hub.stats()["streams"]["open"], json!(301));
    drop(others);
    scene.goes_on();
    scene.ends();
}

#[test]
fn a_signal_to_end_comes_before_a_new_hub() {
    let mut scene = Scene::new(json!({}));
    let mut socket = successor(&scene.hub, PROTOCOL);
    while part(&mut socket)[0] != END {
        socket.write_all(b"+").expect("the hub reads");
    }
    scene.hub.signal(Signal::TERM);
    until("the signal was delivered", || {
        let status = support::read_to_string(format!("/proc/{}/status", scene.hub.pid()).as_ref());
        status.lines().any(|line| line.starts_with("ShdPnd:") && line.trim_end().ends_with("0000000000000000"))
    });
    socket.write_all(b"+T").expect("the hub reads");
    assert!(scene.hub.ended().success());
    scene.reader.expect(b"0\r\n\r\n");
    scene.reader.expect_end();
}

#[test]
fn another_format_is_told_and_the_hub_leaves_in_good_order_when_it_is_asked_to() {
    let mut scene = Scene::new(json!({}));
    let mut socket = scene.hub.raw();
    support::send(&mut socket, &greeting(TAKE_OVER, 999));
    assert!(answer(&mut socket).starts_with(&format!("Welcome {{ protocol: {FORMAT}")));
    scene.goes_on();
    let mut socket = scene.hub.raw();
    support::send(&mut socket, &greeting(LEAVE, 999));
    answer(&mut socket);
    scene.reader.expect(b"0\r\n\r\n");
    scene.reader.expect_end();
    assert!(scene.hub.ended().success());
    support::expect_end(&mut socket);
}

/// What they had asked is answered, then they are closed; they connect again by themselves.
#[test]
fn peers_of_another_protocol_are_answered_and_closed() {
    let mut scene = Scene::new(json!({}));
    let mut peer = scene.hub.raw();
    support::send(&mut peer, &support::hello());
    for nth in 0..100 {
        let id = format!("p{nth}");
        let event = Request::Publish {
            event: NewEvent { topics: vec!["b"], id: Some(&id), data: b"x", ..NewEvent::default() },
            answer: true,
        };
        support::send(&mut peer, &wire::encode(&event));
    }
    let mut socket = successor(&scene.hub, PROTOCOL + 1);
    part(&mut socket);
    assert!(answer(&mut peer).starts_with("Welcome"));
    for nth in 0..100 {
        assert_eq!(answer(&mut peer), format!("Published {{ id: \"p{nth}\" }}"));
    }
    support::expect_end(&mut peer);
    drop(socket);
    // The worker of the held stream keeps it, as its connection has ended.
    support::expect_end(&mut scene.held);
    scene.client = scene.hub.client();
    scene.goes_on();
}

#[test]
fn only_the_hubs_own_user_may_take_over() {
    if !rustix::process::geteuid().is_root() {
        support::skipped("root: only root can become other users");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("own folder");
    let hub = Hub::in_folder(folder, json!({ "user": 33 }));
    for magic in [TAKE_OVER, LEAVE] {
        let mut socket = hub.raw();
        support::send(&mut socket, &greeting(magic, FORMAT));
        let refused = answer(&mut socket);
        assert!(refused.contains("this hub belongs to user 33; user 0 can't"), "{refused}");
        support::expect_end(&mut socket);
    }
    assert_eq!(hub.stats()["refused"]["protocol"], json!(2));
}

fn answers(hub: &Hub) -> bool {
    let client = Client::connect(&hub.socket, None, support::PATIENCE);
    client.is_ok_and(|mut client| client.call(&Request::Cursor, None, support::PATIENCE).is_ok())
}

/// One of the two is killed at any moment. Either hub goes on with everything, or the stream has ended: it never gets an
/// event twice, and never misses one that it has got a later one of.
#[test]
fn whichever_is_killed_when_the_stream_is_whole() {
    let mut outcomes = [0; 3];
    for round in 0..60_u64 {
        let mut hub = Hub::new();
        let mut reader = hub.stream(&["a"], Framing::Raw);
        publish(&mut hub.client(), &["a"], "1", &"x".repeat(500_000));
        // So that passing on takes a while.
        let others: Vec<Reader> = (0..200).map(|_| hub.stream(&["b"], Framing::Raw)).collect();
        let mut successor = hub.successor(&json!({}));
        // Some of the time of a start and a hand-over, in steps that fall between each other.
        std::thread::sleep(Duration::from_micros(2_000 + round * 7_919 % 12_000));
        let kill_old = round % 2 == 0;
        if kill_old {
            hub.kill();
        } else {
            successor.kill();
        }
        let took_over = successor.report()["pause_us"].is_u64();
        // An old hub that answers after the new one's end has seen that end, or is about to.
        let serves = if kill_old { took_over } else { answers(&hub) };
        let mut expected = format!(":\n\nid: 1\ndata: {}\n\n", "x".repeat(500_000));
        if serves {
            publish(&mut hub.client(), &["a"], "2", "y");
            expected += "id: 2\ndata: y\n\n";
            reader.expect(expected.as_bytes());
        } else {
            let mut got = Vec::new();
            reader.socket.read_to_end(&mut got).expect("the end");
            assert!(expected.as_bytes().starts_with(&got), "{} bytes", got.len());
        }
        drop(others);
        outcomes[if serves { usize::from(took_over) } else { 2 }] += 1;
    }
    println!("the old hub went on, the new one did, neither: {outcomes:?}");
}
