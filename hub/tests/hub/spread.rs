//! Events that each client is told at a moment of its own. A test that waits for the longest time there is has failed.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::client::{Client, ClientError};
use sse_protocol::event::{MAX_SPREAD, NewEvent};
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, ErrorCode, Framing, Reply, Request, TopicsAs, Whom};

use crate::support::redis::Redis;
use crate::support::{Hub, PATIENCE, Reader, bus, commit, publish, read_to_string};

fn spread(client: &mut Client, topics: &[&str], id: &str, spread: u32) -> Result<(), ClientError> {
    let event = NewEvent { topics: topics.to_vec(), id: Some(id), data: b"x", spread, ..NewEvent::default() };
    match client.call(&Request::Publish { event, answer: true }, None, PATIENCE)? {
        Reply::Published { id: given } => assert_eq!(given, id),
        other => panic!("not published: {other:?}"),
    }
    Ok(())
}

/// An open stream of a client's, whose beginning was read.
fn stream(hub: &Hub, spec: StreamSpec) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let request =
        Request::Attach(Attach { patterns: vec!["t", "u"], spec, address: Some("192.0.2.1"), ..Default::default() });
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("not attached: {other:?}"),
    };
    drop(near);
    commit(&client, stream, Framing::Raw);
    let mut reader = Reader::new(far, stream, client);
    if spec.topics_as.is_none() {
        reader.expect(b":\n\n");
    }
    reader
}

fn streams(hub: &Hub, count: usize) -> Vec<Reader> {
    (0..count).map(|_| stream(hub, StreamSpec::default())).collect()
}

/// The most memory that a process ever had, in bytes.
fn most_memory(pid: u64) -> u64 {
    let status = read_to_string(format!("/proc/{pid}/status").as_ref());
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Ends all streams in good order.
fn disconnect(hub: &Hub) {
    let request = Request::Disconnect { whom: Whom::Topic("t"), retry: None };
    hub.client().call(&request, None, PATIENCE).expect("disconnected");
}

fn waits(hub: &Hub) {
    hub.until("the event waits", |stats| stats["queued_bytes"].as_u64() > Some(0));
}

#[test]
fn some_clients_are_told_before_others_and_later_events_wait_behind() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "shards": 2, "processes": processes }));
        let readers = streams(&hub, 100);
        let mut client = hub.client();
        spread(&mut client, &["t", "u"], "1", MAX_SPREAD).expect("published");
        let told = |stats: &Value| stats["delivered"].as_u64().expect("a number");
        let stats = hub.until("some are told", |stats| told(stats) > 0);
        assert!(told(&stats) < 100, "each at its own moment");
        publish(&mut client, &["t"], "2", "y");
        waits(&hub);
        disconnect(&hub);
        for mut reader in readers {
            reader.expect(b"id: 1\ndata: x\n\nid: 2\ndata: y\n\n");
            reader.expect_end();
        }
        assert_eq!(told(&hub.stats()), 200);
    }
}

#[test]
fn all_are_told_in_the_end_in_order() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes }));
        let readers = streams(&hub, 20);
        let mut field = stream(&hub, StreamSpec { topics_as: Some(TopicsAs::Field), ..StreamSpec::default() });
        let mut client = hub.client();
        publish(&mut client, &["t"], "0", "before");
        for (id, topics, ms) in [("1", &["t"][..], 300), ("2", &["u", "t"], 50), ("3", &["t"], 500), ("4", &["t"], 0)] {
            spread(&mut client, topics, id, ms).expect("published");
        }
        let all = b"id: 0\ndata: before\n\nid: 1\ndata: x\n\nid: 2\ndata: x\n\nid: 3\ndata: x\n\nid: 4\ndata: x\n\n";
        for mut reader in readers {
            reader.expect(all);
        }
        let told = "topic: t\nid: 1\ndata: x\n\ntopic: u\ntopic: t\nid: 2\ndata: x\n\ntopic: t\nid: 3";
        let mut got = String::new();
        while !got.contains("id: 4\n") {
            let mut part = [0; 4096];
            let count = std::io::Read::read(&mut field.socket, &mut part).expect("more");
            got += std::str::from_utf8(&part[..count]).expect("text");
        }
        assert!(got.contains(told), "{got}");
        hub.until("nothing waits", |stats| stats["queued_bytes"] == json!(0));
    }
}

#[test]
fn the_option_of_a_stream_spreads_its_events_and_no_others() {
    let hub = Hub::new();
    let mut slow = stream(&hub, StreamSpec { spread: MAX_SPREAD as u16, ..StreamSpec::default() });
    let mut usual = stream(&hub, StreamSpec::default());
    publish(&mut hub.client(), &["t"], "1", "x");
    usual.expect(b"id: 1\ndata: x\n\n");
    waits(&hub);
    disconnect(&hub);
    slow.expect(b"id: 1\ndata: x\n\n");
    slow.expect_end();
}

#[test]
fn processes_of_php_and_those_who_come_back_are_told_at_once() {
    let hub = Hub::with(json!({ "history_events": 10 }));
    let mut php = hub.stream(&["t"], Framing::Message);
    let mut wake = hub.stream(&["t"], Framing::Wake);
    // The hub does not know yet what will read it.
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let held = crate::support::attach(&mut client, near.into(), &["t"], 0).expect("attached");
    publish(&mut client, &["other"], "0", "x");
    spread(&mut client, &["t"], "1", MAX_SPREAD).expect("published");
    assert_eq!(php.message(), "event 1 t - x");
    wake.expect(b"W");
    commit(&client, held, Framing::Message);
    assert_eq!(Reader::new(far, held, client).message(), "event 1 t - x");
    let mut resumed = bus::resumed(&hub, "t", "0");
    assert_eq!(resumed.message(), "event 1 t - x");
}

/// Attack: a publisher floods those who wait for their moment.
#[test]
fn a_pause_never_costs_a_client_its_stream() {
    let hub = Hub::with(json!({ "stream_buffer": 1000, "shards": 1 }));
    let mut reader = stream(&hub, StreamSpec::default());
    let mut client = hub.client();
    spread(&mut client, &["t"], "1", MAX_SPREAD).expect("published");
    waits(&hub);
    let data = "y".repeat(400);
    for id in ["2", "3", "4", "5"] {
        publish(&mut client, &["t"], id, &data);
    }
    reader.expect(b"id: 1\ndata: x\n\n");
    for id in ["2", "3", "4", "5"] {
        reader.expect(format!("id: {id}\ndata: {data}\n\n").as_bytes());
    }

    // Nor do queues that keep too much, and no stall: the client does read.
    let hub = Hub::with(json!({ "queue_bytes": 20_000, "stall_timeout": 1, "shards": 1 }));
    let mut reader = stream(&hub, StreamSpec::default());
    let mut client = hub.client();
    let mut stuck = hub.tcp_stream(&["stuck"], Framing::Raw);
    spread(&mut client, &["t"], "1", MAX_SPREAD).expect("published");
    publish(&mut client, &["stuck"], "large", &"z".repeat(1 << 20));
    reader.expect(b"id: 1\ndata: x\n\n");
    spread(&mut client, &["t"], "2", MAX_SPREAD).expect("published");
    publish(&mut client, &["stuck"], "small", "z");
    let stats = hub.until("one client is too slow", |stats| stats["streams"]["closed"]["slow"] == json!(1));
    assert_eq!(stats["streams"]["open"], json!(1));
    crate::support::send(&mut reader.socket, b"garbage");
    disconnect(&hub);
    reader.expect(b"id: 2\ndata: x\n\n");
    let _ = std::io::Read::read(&mut stuck.0, &mut [0; 16]);
}

/// Attack: clients read nothing, and each event waits for a moment of each of them, while thousands of events wait for the shard.
#[test]
fn what_waits_for_its_moment_is_bounded_however_fast_it_comes() {
    const LIMIT: u64 = 1 << 20;
    const EVENTS: usize = 2000;
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "queue_bytes": LIMIT, "shards": 2, "processes": processes }));
        let attackers: Vec<_> = (0..200).map(|_| hub.stream(&["t"], Framing::Raw)).collect();
        let mut honest = hub.stream(&["u"], Framing::Raw);
        honest.expect(b":\n\n");
        let stats = hub.stats();
        let pid = |process: &Value| process["pid"].as_u64().expect("a process");
        let each = stats["processes"]["each"].as_array();
        let pids: Vec<u64> = each.map_or_else(|| vec![pid(&stats)], |each| each.iter().map(pid).collect());
        let peak = || -> u64 { pids.iter().map(|&pid| most_memory(pid)).sum() };
        let before = peak();
        let reading = std::thread::spawn(move || {
            let mut all = String::new();
            std::io::Read::read_to_string(&mut honest.socket, &mut all).expect("the end");
            all
        });
        let client = hub.client();
        for number in 0..EVENTS {
            let id = number.to_string();
            let topics = if number % 100 == 0 { vec!["t", "u"] } else { vec!["t"] };
            let event = NewEvent { topics, id: Some(&id), data: b"x", spread: MAX_SPREAD, ..NewEvent::default() };
            client.post_whole(&Request::Publish { event, answer: false }, PATIENCE).expect("sent");
        }
        hub.until("all is published", |stats| stats["published"].as_u64() == Some(EVENTS as u64));
        let request = Request::Disconnect { whom: Whom::Topic("u"), retry: None };
        hub.client().call(&request, None, PATIENCE).expect("disconnected");
        let told: String = (0..EVENTS).step_by(100).map(|number| format!("id: {number}\ndata: x\n\n")).collect();
        assert!(reading.join().expect("reads") == told, "the honest client is told all");
        let most = peak() - before;
        println!("{processes} processes: {most} bytes at most");
        assert!(most <= 8 * LIMIT, "{most} bytes");
        drop(attackers);
    }
}

/// Where memory is short, only as many are told early as that takes: all at once would hold up everybody else's events.
#[test]
fn a_full_memory_does_not_tell_everybody_at_once() {
    let hub = Hub::with(json!({ "queue_bytes": 2 << 20, "shards": 1 }));
    let readers: Vec<_> = (0..100).map(|_| hub.stream(&["t"], Framing::Raw)).collect();
    let client = hub.client();
    for number in 0..400 {
        let id = number.to_string();
        let event =
            NewEvent { topics: vec!["t"], id: Some(&id), data: b"x", spread: MAX_SPREAD, ..NewEvent::default() };
        client.post_whole(&Request::Publish { event, answer: false }, PATIENCE).expect("sent");
    }
    let stats = hub.until("all have got their moments", |stats| stats["spread"] == json!(40_000));
    let told = stats["delivered"].as_u64().expect("a number");
    assert!((1..20_000).contains(&told), "{told}");
    drop(readers);
}

#[test]
fn heartbeats_go_on_meanwhile() {
    let hub = Hub::new();
    let mut reader = stream(&hub, StreamSpec { heartbeat: 1, ..StreamSpec::default() });
    spread(&mut hub.client(), &["t"], "1", MAX_SPREAD).expect("published");
    reader.expect(b":\n\n");
    waits(&hub);
    disconnect(&hub);
    reader.expect(b"id: 1\ndata: x\n\n");
}

#[test]
fn an_upgrade_keeps_who_waits_waiting_and_no_longer() {
    for processes in [1, 2] {
        let mut hub = Hub::with(json!({ "processes": processes }));
        let long = streams(&hub, 5);
        spread(&mut hub.client(), &["t"], "1", MAX_SPREAD).expect("published");
        waits(&hub);
        hub.upgrade(&Value::Null);
        waits(&hub);
        disconnect(&hub);
        for mut reader in long {
            reader.expect(b"id: 1\ndata: x\n\n");
            reader.expect_end();
        }
        let short = streams(&hub, 5);
        spread(&mut hub.client(), &["t"], "2", 2000).expect("published");
        hub.upgrade(&Value::Null);
        for mut reader in short {
            reader.expect(b"id: 2\ndata: x\n\n");
        }
    }
}

#[test]
fn all_machines_spread_it() {
    let redis = Redis::new();
    let (a, b) = (bus::hub(&redis), bus::hub(&redis));
    let mut reader = stream(&b, StreamSpec::default());
    spread(&mut a.client(), &["t"], "1", MAX_SPREAD).expect("published");
    b.until("it waits", |stats| stats["queued_bytes"].as_u64() > Some(0));
    let entries: Vec<(String, Vec<String>)> = redis.call("XRANGE sse - +");
    assert!(entries[0].1.join(" ").contains("spread 60000"), "{entries:?}");
    disconnect(&b);
    reader.expect(b"id: 1\ndata: x\n\n");
}

#[test]
fn longer_than_a_minute_is_refused() {
    let hub = Hub::new();
    let refused = spread(&mut hub.client(), &["t"], "1", MAX_SPREAD + 1);
    assert!(matches!(refused, Err(ClientError::Hub { code: ErrorCode::Invalid, .. })), "{refused:?}");
}
