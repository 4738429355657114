//! A hub whose streams are in several processes: nobody can tell, but for one that is killed.

use std::io::Read;
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use sse_protocol::client::ClientError;
use sse_protocol::wire::{Attach, ErrorCode, Framing, Reply, Request};

use crate::support::server::{Owner, Server};
use crate::support::{self, Hub, PATIENCE, Reader, attach, attach_after, commit, publish, trigger, until};

/// The processes that hold streams.
fn processes(hub: &Hub) -> Vec<u32> {
    each(&hub.stats(), "pid").into_iter().map(|pid| u32::try_from(pid).expect("a process")).collect()
}

/// A number of each of them.
fn each(stats: &Value, number: &str) -> Vec<u64> {
    let processes = stats["processes"]["each"].as_array().expect("several processes");
    processes.iter().map(|process| process[number].as_u64().expect("a number")).collect()
}

fn kill(process: u32) {
    rustix::process::kill_process(Pid::from_raw(process as i32).expect("a process"), Signal::KILL).expect("there");
}

fn is_alive(process: u32) -> bool {
    let status = support::read_to_string(format!("/proc/{process}/status").as_ref());
    // Where nobody takes orphans in, they stay what they are.
    !status.is_empty() && !status.contains("State:\tZ")
}

fn frame(id: usize) -> Vec<u8> {
    format!("id: {id}\ndata: x\n\n").into_bytes()
}

fn open(hub: &Hub, count: usize) -> Vec<Reader> {
    let mut readers: Vec<Reader> = (0..count).map(|_| hub.stream(&["a"], Framing::Raw)).collect();
    readers.iter_mut().for_each(|reader| reader.expect(b":\n\n"));
    readers
}

#[test]
fn each_process_has_its_part_of_the_streams_and_each_stream_gets_everything_in_order() {
    let hub = Hub::with(json!({ "processes": 3 }));
    let mut readers = open(&hub, 9);
    let stats = hub.stats();
    assert_eq!((each(&stats, "streams"), &stats["shards"]), (vec![3; 3], &json!(3)));
    let mut client = hub.client();
    for id in 0..200 {
        publish(&mut client, &["a", "b"], &id.to_string(), "x");
    }
    for reader in &mut readers {
        (0..200).for_each(|id| reader.expect(&frame(id)));
    }
    let stats = hub.until("all deliveries are counted", |stats| stats["delivered"] == json!(9 * 200));
    assert_eq!(stats["streams"]["opened"], json!(9));
    // Each has a name of its own in the list of processes.
    for (nth, process) in processes(&hub).into_iter().enumerate() {
        let command = support::read_to_string(format!("/proc/{process}/cmdline").as_ref());
        assert_eq!(command.trim_end_matches('\0'), format!("sse-hub: streams {}", nth + 1));
    }
    // A new stream comes to where the fewest are.
    readers.retain(|reader| reader.stream % 3 != 1);
    hub.until("they have left", |stats| each(stats, "streams") == [3, 0, 3]);
    readers.extend(open(&hub, 3));
    assert_eq!(each(&hub.stats(), "streams"), [3; 3]);
    drop(readers);
    hub.until("all have left", |stats| stats["streams"]["open"] == json!(0) && stats["topics"] == json!(0));
}

#[test]
fn an_event_of_any_size_comes_whole() {
    let hub = Hub::with(json!({ "processes": 2, "max_event_size": 8 << 20, "stream_buffer": 32 << 20 }));
    let mut readers = open(&hub, 2);
    for (id, size) in [1, 100_000, 8 << 20, 3].into_iter().enumerate() {
        publish(&mut hub.client(), &["a"], &id.to_string(), &"y".repeat(size));
    }
    for reader in &mut readers {
        for (id, size) in [1, 100_000, 8 << 20, 3].into_iter().enumerate() {
            reader.expect(format!("id: {id}\ndata: {}\n\n", "y".repeat(size)).as_bytes());
        }
    }
}

#[test]
fn a_slow_client_is_sent_away_and_the_others_go_on() {
    let hub = Hub::with(json!({ "processes": 2, "stream_buffer": 100_000 }));
    let mut readers = open(&hub, 2);
    let (mut slow, _client) = hub.tcp_stream(&["a"], Framing::Raw);
    let mut client = hub.client();
    let data = "z".repeat(50_000);
    let mut id = 0;
    hub.until("the slow one is sent away", |stats| {
        publish(&mut client, &["a"], &id.to_string(), &data);
        readers.iter_mut().for_each(|reader| reader.expect(format!("id: {id}\ndata: {data}\n\n").as_bytes()));
        id += 1;
        stats["streams"]["closed"]["slow"] == json!(1)
    });
    let mut got = Vec::new();
    slow.read_to_end(&mut got).expect("the end");
    assert!(got.starts_with(b":\n\nid: 0\n"));
    hub.until("nothing is queued", |stats| stats["queued_bytes"] == json!(0));
}

#[test]
fn wakes_reach_the_streams_of_all_processes() {
    let hub = Hub::with(json!({ "processes": 2 }));
    let mut messages: Vec<Reader> = (0..2).map(|_| hub.stream(&["a.*"], Framing::Message)).collect();
    let mut wakes: Vec<Reader> = (0..2).map(|_| hub.stream(&["b"], Framing::Wake)).collect();
    assert_eq!(each(&hub.stats(), "streams"), [2, 2]);
    let client = hub.client();
    for (topics, told) in [(&["a.1"][..], "trigger a.1"), (&[], "trigger **")] {
        trigger(&client, topics);
        messages.iter_mut().for_each(|reader| assert_eq!(reader.message(), told));
    }
    wakes.iter_mut().for_each(|reader| reader.expect(b"W"));
    trigger(&client, &["b"]);
    wakes.iter_mut().for_each(|reader| reader.expect(b"W"));
}

/// They are sent to each process once, and forgotten there when the hub forgets them.
#[test]
fn readers_that_come_back_get_what_they_have_missed() {
    let hub = Hub::with(json!({ "processes": 2, "history_events": 50 }));
    let mut client = hub.client();
    for id in 0..40 {
        publish(&mut client, &["a"], &format!("{id}"), "x");
    }
    for since in [0, 0, 0, 20, 20, 38] {
        let (stream, far) = attach_after(&mut client, &["a"], &since.to_string());
        commit(&client, stream, Framing::Raw);
        let mut reader = Reader::new(far, stream, hub.client());
        reader.expect(b":\n\n");
        (since + 1..40).for_each(|id| reader.expect(&frame(id)));
    }
    // More than the history keeps, so that some are no more.
    for id in 40..120 {
        publish(&mut client, &["a"], &id.to_string(), "x");
    }
    let (stream, far) = attach_after(&mut client, &["a"], "70");
    commit(&client, stream, Framing::Raw);
    let mut reader = Reader::new(far, stream, hub.client());
    reader.expect(b":\n\n");
    (71..120).for_each(|id| reader.expect(&frame(id)));
    let (stream, far) = attach_after(&mut client, &["a"], "1");
    commit(&client, stream, Framing::Raw);
    let mut reader = Reader::new(far, stream, client);
    reader.expect(b":\n\nevent: gap\n");
}

#[test]
fn held_streams_can_be_taken_back() {
    let hub = Hub::with(json!({ "processes": 2 }));
    let mut client = hub.client();
    let pairs: Vec<(UnixStream, UnixStream)> = (0..4).map(|_| UnixStream::pair().expect("a pair")).collect();
    for (near, _) in &pairs {
        let own = near.try_clone().expect("a descriptor");
        let stream = attach(&mut client, own.into(), &["a"], 0).expect("attached");
        client.post(&Request::Abort { stream }).expect("the hub is there");
    }
    let stats = hub.until("all were taken back", |stats| stats["streams"]["closed"]["aborted"] == json!(4));
    assert_eq!((each(&stats, "streams"), &stats["streams"]["held"]), (vec![0, 0], &json!(0)));
}

#[test]
fn a_process_that_is_killed_takes_its_own_streams_along_and_is_replaced() {
    let hub = Hub::with(json!({ "processes": 2, "max_streams_per_ip": 4 }));
    let attach_from = |client: &mut sse_protocol::client::Client| {
        let (near, far) = UnixStream::pair().expect("a pair");
        let request = Request::Attach(Attach { patterns: vec!["a"], address: Some("192.0.2.7"), ..Attach::default() });
        use std::os::fd::AsFd;
        match client.call(&request, Some(near.as_fd()), PATIENCE) {
            Ok(Reply::Attached { stream, .. }) => Ok((stream, far)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    };
    let mut readers: Vec<Reader> = (0..4)
        .map(|_| {
            let mut client = hub.client();
            let (stream, far) = attach_from(&mut client).expect("room");
            commit(&client, stream, Framing::Raw);
            Reader::new(far, stream, client)
        })
        .collect();
    readers.iter_mut().for_each(|reader| reader.expect(b":\n\n"));
    assert!(matches!(attach_from(&mut hub.client()), Err(ClientError::Hub { code: ErrorCode::TooMany, .. })));
    // One that is held goes along as well.
    let mut client = hub.client();
    let held = (0..2).map(|_| {
        let (near, far) = UnixStream::pair().expect("a pair");
        (attach(&mut client, near.into(), &["a"], 0).expect("attached"), far)
    });
    let held: Vec<(u64, UnixStream)> = held.collect();
    let before = processes(&hub);
    kill(before[1]);
    let (mut lost, mut left): (Vec<Reader>, Vec<Reader>) =
        readers.into_iter().partition(|reader| reader.stream % 2 == 1);
    lost.iter_mut().for_each(Reader::expect_end);
    let stats = hub.until("it is replaced", |stats| stats["processes"]["lost"] == json!(1));
    assert_eq!(each(&stats, "streams"), [3, 0]);
    assert_eq!((&stats["streams"]["open"], &stats["streams"]["held"]), (&json!(2), &json!(1)));
    assert_eq!((&stats["streams"]["closed"]["error"], &stats["quota_keys"]), (&json!(3), &json!(1)));
    let after = processes(&hub);
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
    // Those two may come back, to the new process.
    for _ in 0..2 {
        let mut client = hub.client();
        let (stream, far) = attach_from(&mut client).expect("room again");
        assert_eq!(stream % 2, 1);
        commit(&client, stream, Framing::Raw);
        left.push(Reader::new(far, stream, client));
    }
    left[2].expect(b":\n\n");
    left[3].expect(b":\n\n");
    for (stream, _) in &held {
        commit(&client, *stream, Framing::Raw);
    }
    publish(&mut hub.client(), &["a"], "1", "x");
    left.iter_mut().for_each(|reader| reader.expect(&frame(1)));
    for (stream, far) in held {
        let mut reader = Reader::new(far, stream, hub.client());
        if stream % 2 == 1 {
            reader.expect_end();
        } else {
            reader.expect(b":\n\nid: 1\ndata: x\n\n");
        }
    }
}

/// The ordering thread has done with such a stream in part already: its quota is given back at once.
#[test]
fn a_process_that_is_killed_before_it_has_dropped_a_stream_leaves_no_callback_of_it() {
    let hub = Hub::with(json!({ "processes": 2 }));
    for process in processes(&hub) {
        rustix::process::kill_process(Pid::from_raw(process as i32).expect("a process"), Signal::STOP).expect("there");
    }
    let held = Server::new().held(&hub, "a", Owner::default());
    assert_eq!(hub.stats()["renders"]["streams"], 1);
    held.client.post(&Request::Abort { stream: held.stream }).expect("the hub is there");
    hub.until("the worker has taken it back", |stats| stats["topic_bytes"] == 0);
    processes(&hub).into_iter().for_each(kill);
    hub.until("they are replaced", |stats| stats["processes"]["lost"] == 2);
    assert_eq!(hub.stats()["renders"]["streams"], 0);
}

#[test]
fn a_hub_that_is_killed_takes_its_processes_along() {
    let mut hub = Hub::with(json!({ "processes": 3 }));
    let mut readers = open(&hub, 3);
    let holders = processes(&hub);
    assert_eq!(holders.len(), 3);
    // Its last words and its end may come together.
    let client = hub.client();
    for _ in 0..1000 {
        trigger(&client, &["a"]);
    }
    hub.kill();
    readers.iter_mut().for_each(Reader::expect_end);
    until("they have ended", || !holders.iter().any(|process| is_alive(*process)));
}

#[test]
fn a_hub_that_ends_lets_all_processes_end_their_streams_in_good_order() {
    let mut hub = Hub::with(json!({ "processes": 3 }));
    let mut readers: Vec<Reader> = (0..6).map(|_| hub.stream(&["a"], Framing::Chunked)).collect();
    readers.iter_mut().for_each(|reader| reader.expect(b"3\r\n:\n\n\r\n"));
    let holders = processes(&hub);
    publish(&mut hub.client(), &["a"], "1", "x");
    hub.signal(Signal::TERM);
    for reader in &mut readers {
        reader.expect(b"f\r\nid: 1\ndata: x\n\n\r\n0\r\n\r\n");
        reader.expect_end();
    }
    assert!(hub.ended().success());
    until("they have ended", || !holders.iter().any(|process| is_alive(*process)));
}

/// A signal for all of them, as systemd and a terminal send it, is for the hub alone.
#[test]
fn a_process_leaves_signals_to_the_hub() {
    let hub = Hub::with(json!({ "processes": 2 }));
    let mut readers = open(&hub, 2);
    for process in processes(&hub) {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            rustix::process::kill_process(Pid::from_raw(process as i32).expect("a process"), signal).expect("there");
        }
    }
    publish(&mut hub.client(), &["a"], "1", "x");
    readers.iter_mut().for_each(|reader| reader.expect(&frame(1)));
}

#[test]
fn without_the_process_that_starts_others_a_hub_that_loses_one_ends() {
    let mut hub = Hub::with(json!({ "processes": 2 }));
    let mut readers: Vec<Reader> = (0..2).map(|_| hub.stream(&["a"], Framing::Chunked)).collect();
    readers.iter_mut().for_each(|reader| reader.expect(b"3\r\n:\n\n\r\n"));
    let status = |process: u32| support::read_to_string(format!("/proc/{process}/status").as_ref());
    let holders = processes(&hub);
    let parent = status(holders[0]).lines().find_map(|line| line.strip_prefix("PPid:\t")?.parse().ok());
    kill(parent.expect("a parent"));
    publish(&mut hub.client(), &["a"], "1", "x");
    readers.iter_mut().for_each(|reader| reader.expect(b"f\r\nid: 1\ndata: x\n\n\r\n"));
    kill(holders[0]);
    let (mut lost, mut left): (Vec<Reader>, Vec<Reader>) =
        readers.into_iter().partition(|reader| reader.stream % 2 == 0);
    lost[0].expect_end();
    left[0].expect(b"0\r\n\r\n");
    left[0].expect_end();
    assert!(hub.ended().success());
}

#[test]
fn many_processes_have_more_streams_than_one_may_have_descriptors() {
    let hub = Hub::with(json!({ "processes": 4, "descriptors": 100 }));
    let mut client = hub.client();
    let mut readers = Vec::new();
    let refused = loop {
        let (near, far) = UnixStream::pair().expect("a pair");
        match attach(&mut client, near.into(), &["a"], 0) {
            Ok(stream) => {
                commit(&client, stream, Framing::Raw);
                readers.push(support::patient(far));
            }
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(readers.len(), 4 * (100 - 32), "{refused}");
    assert!(refused.contains("the limit of 100 descriptors of each of 4 processes allows no more"), "{refused}");
    publish(&mut client, &["a"], "1", "x");
    for reader in &mut readers {
        support::expect(reader, b":\n\nid: 1\ndata: x\n\n");
    }
    readers.truncate(100);
    hub.until("some have left", |stats| stats["streams"]["open"] == json!(100));
    open(&hub, 20);
}

#[test]
fn as_many_processes_as_the_streams_need_are_started() {
    let hub = Hub::with(json!({ "processes": "auto", "descriptors": 200, "max_streams": 600 }));
    assert!(processes(&hub).len() >= 4);
    let hub = Hub::with(json!({ "processes": "auto", "descriptors": 200, "max_streams": 72 }));
    assert_eq!(hub.stats()["processes"], Value::Null);
}

/// What a client had not read comes exactly once, from the very byte, whatever the number of processes is before and after.
#[test]
fn streams_go_on_when_a_hub_with_other_processes_takes_over() {
    let settings = json!({ "max_event_size": 4 << 20, "stream_buffer": 32 << 20, "history_events": 10 });
    let mut hub = Hub::with(settings);
    let framings = [Framing::Raw, Framing::Chunked, Framing::FastCgi { request: 7 }];
    let mut readers: Vec<(Framing, Reader)> =
        framings.iter().cycle().take(9).map(|framing| (*framing, hub.stream(&["a", "b.*"], *framing))).collect();
    let mut messages = hub.stream(&["a"], Framing::Message);
    let mut client = hub.client();
    let (near, held) = UnixStream::pair().expect("a pair");
    let mut held = (attach(&mut client, near.into(), &["a"], 0).expect("attached"), support::patient(held));
    let data: Vec<String> = (0..7).map(|nth| format!("{nth}").repeat(300_001)).collect();
    for (nth, processes) in [1, 3, 3, 2, 4, 1, 2].into_iter().enumerate() {
        publish(&mut hub.client(), &["a", "b.c"], &nth.to_string(), &data[nth]);
        let report = hub.upgrade(&json!({ "processes": processes }));
        assert_eq!(report["streams"], json!(11));
        let stats = hub.stats();
        assert_eq!((&stats["streams"]["open"], &stats["streams"]["held"]), (&json!(10), &json!(1)));
        if processes > 1 {
            let streams = each(&stats, "streams");
            assert_eq!((streams.len() as u64, streams.iter().sum::<u64>()), (processes, 11));
        }
    }
    commit(&client, held.0, Framing::Raw);
    publish(&mut hub.client(), &["a"], "last", "x");
    let framed = |framing: Framing, payload: &[u8]| {
        let mut bytes = Vec::new();
        while let Some(piece) = sse_protocol::framing::piece(framing, payload, bytes.len()) {
            bytes.extend_from_slice(piece.bytes());
        }
        bytes
    };
    for (framing, reader) in &mut readers {
        reader.expect(&framed(*framing, b":\n\n"));
        for (nth, data) in data.iter().enumerate() {
            reader.expect(&framed(*framing, format!("id: {nth}\ndata: {data}\n\n").as_bytes()));
        }
        reader.expect(&framed(*framing, b"id: last\ndata: x\n\n"));
    }
    support::expect(&mut held.1, b":\n\n");
    for (nth, data) in data.iter().enumerate() {
        assert_eq!(messages.message(), format!("event {nth} a,b.c - {data}"));
        support::expect(&mut held.1, format!("id: {nth}\ndata: {data}\n\n").as_bytes());
    }
    let stats = hub.until("all deliveries are counted", |stats| stats["delivered"] == json!(11 * 8));
    assert_eq!((&stats["upgrades"], &stats["queued_bytes"]), (&json!(7), &json!(0)));
    // The counters of streams that were adopted are right also when their process is killed.
    let streams = each(&stats, "streams");
    kill(processes(&hub)[0]);
    let stats = hub.until("it is replaced", |stats| stats["processes"]["lost"] == json!(1));
    assert_eq!((&stats["streams"]["open"], &stats["streams"]["held"]), (&json!(streams[1]), &json!(0)));
}
