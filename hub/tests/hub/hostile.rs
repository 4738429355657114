//! Clients and peers that mean no good: each costs a bounded amount, and nobody else notices.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use sse_protocol::client::{Client, ClientError};
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{ErrorCode, Framing, Request};

use crate::support::{self, Hub, PATIENCE, commit, publish, read_to_string};

/// Memory of the hub's process that is in use, in bytes.
fn resident(hub: &Hub) -> usize {
    let status = read_to_string(format!("/proc/{}/status", hub.pid()).as_ref());
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// A stream of a reader that has this event already.
fn resumed(client: &mut Client, patterns: &[&str], last_event_id: &str) -> UnixStream {
    let (stream, far) = support::attach_after(client, patterns, last_event_id);
    commit(client, stream, Framing::Raw);
    support::patient(far)
}

/// The ids of all complete events in these bytes.
fn ids(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let (complete, _) = text.rsplit_once("\n\n").unwrap_or_default();
    complete.split('\n').filter_map(|line| line.strip_prefix("id: ")).map(Into::into).collect()
}

/// They would fill the memory, or miss something for good.
#[test]
fn clients_that_never_read_cost_their_buffers_and_can_make_up_for_all_of_it() {
    const CLIENTS: usize = 20;
    const EVENTS: usize = 4000;
    const BUFFER: usize = 1 << 20;
    let hub =
        Hub::with(json!({"stream_buffer": BUFFER, "history_events": EVENTS, "history_bytes": 64 << 20, "shards": 1}));
    let mut client = hub.client();
    let mut lazy: Vec<(TcpStream, Client)> = (0..CLIENTS).map(|_| hub.tcp_stream(&["a"], Framing::Raw)).collect();
    let before = resident(&hub);
    let data = "x".repeat(4000);
    let mut most = 0;
    for number in 0..EVENTS {
        publish(&mut client, &["a"], &number.to_string(), &data);
        if number % 50 == 0 {
            most = most.max(support::stats(&mut client)["queued_bytes"].as_u64().expect("a number") as usize);
        }
    }
    hub.until("all are closed", |stats| stats["streams"]["closed"]["slow"] == json!(CLIENTS));
    assert!(most > BUFFER && most <= CLIENTS * (BUFFER + 2 * data.len()), "{most} bytes were queued");
    // Events are shared with the history, so that each is there once: 16 MB, whoever else waits for them.
    let grown = resident(&hub).saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more");

    for (socket, _) in &mut lazy {
        let mut got = Vec::new();
        socket.read_to_end(&mut got).expect("the end");
        let mut all = ids(&got);
        let last = all.last().expect("some have come").clone();
        assert!(all.len() < EVENTS);
        let mut rest = resumed(&mut client, &["a"], &last);
        let mut missed = Vec::new();
        let end = format!("id: {}\ndata: {data}\n\n", EVENTS - 1);
        let mut piece = [0; 65_536];
        while !missed.ends_with(end.as_bytes()) {
            let count = rest.read(&mut piece).expect("what was missed");
            assert!(count > 0, "the stream goes on");
            missed.extend_from_slice(&piece[..count]);
        }
        all.extend(ids(&missed));
        assert_eq!(all, (0..EVENTS).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

/// It would keep its shard busy, and all other streams waiting.
#[test]
fn a_client_that_sends_without_end_costs_no_memory_and_holds_up_nobody() {
    let hub = Hub::with(json!({"shards": 1}));
    let mut flooding = hub.stream(&["a"], Framing::Raw);
    let mut quiet = hub.stream(&["a"], Framing::Raw);
    for reader in [&mut flooding, &mut quiet] {
        reader.expect(b":\n\n");
    }
    let before = resident(&hub);
    let mut socket = flooding.socket.try_clone().expect("own socket");
    let sending = std::thread::spawn(move || {
        let junk = vec![b'j'; 1 << 16];
        let mut sent = 0_usize;
        while socket.write_all(&junk).is_ok() {
            sent += junk.len();
        }
        sent
    });
    let mut client = hub.client();
    for number in 0..500 {
        publish(&mut client, &["a"], &number.to_string(), "x");
        for reader in [&mut flooding, &mut quiet] {
            reader.expect(format!("id: {number}\ndata: x\n\n").as_bytes());
        }
    }
    let grown = resident(&hub).saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
    flooding.socket.shutdown(Shutdown::Both).expect("own socket");
    let sent = sending.join().expect("no panic");
    assert!(sent > 1 << 20, "only {sent} bytes were sent meanwhile");
    hub.until("it has left", |stats| stats["streams"]["closed"]["client"] == json!(1));
    publish(&mut client, &["a"], "last", "x");
    quiet.expect(b"id: last\ndata: x\n\n");
}

/// Each would stay in the hub's tables.
#[test]
fn connections_that_are_reset_at_once_leave_nothing_behind() {
    let hub = Hub::with(json!({"history_events": 10}));
    let mut client = hub.client();
    publish(&mut client, &["a"], "1", "x");
    for _ in 0..3000 {
        let (socket, _) = hub.tcp_stream(&["a"], Framing::Raw);
        // Closed with a reset, as with unread data.
        socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).expect("own socket");
    }
    let stats = hub.until("all have come and gone", |stats| {
        stats["streams"]["opened"] == json!(3000) && stats["streams"]["open"] == json!(0)
    });
    assert_eq!(stats["topics"], json!(0));
    assert_eq!(stats["queued_bytes"], json!(0));
    support::until("its descriptors are closed", || hub.descriptors() < 60);
}

/// What it asks for would be searched again and again, or be kept.
#[test]
fn a_reader_that_resumes_again_and_again_with_the_longest_ids_gets_what_it_missed_each_time() {
    let id = |number: usize| format!("{number:0>255}");
    let hub = Hub::with(json!({"history_events": 20, "history_bytes": 1 << 20}));
    let mut client = hub.client();
    for number in 0..40 {
        publish(&mut client, &["a"], &id(number), "x");
    }
    let frames = |from: usize| -> String { (from..40).map(|n| format!("id: {}\ndata: x\n\n", id(n))).collect() };
    let before = resident(&hub);
    let mut streams = VecDeque::new();
    for turn in 0..2000 {
        let (last, expected) = match turn % 3 {
            0 => (id(30), format!(":\n\n{}", frames(31))),
            // Forgotten, and never known: told as a gap.
            1 => (id(3), String::new()),
            _ => ("\u{fc}".repeat(127), String::new()),
        };
        let mut reader = resumed(&mut client, &["a"], &last);
        if expected.is_empty() {
            let gap = json!({"requested": last, "oldest": id(20)});
            let mut start = vec![0; b":\n\nevent: gap\ndata: ".len()];
            reader.read_exact(&mut start).expect("a gap");
            assert_eq!(start, b":\n\nevent: gap\ndata: ");
            let mut data = vec![0; gap.to_string().len()];
            reader.read_exact(&mut data).expect("its data");
            assert_eq!(serde_json::from_slice::<Value>(&data).expect("JSON"), gap);
            support::expect(&mut reader, format!("\n\n{}", frames(20)).as_bytes());
        } else {
            support::expect(&mut reader, expected.as_bytes());
        }
        streams.push_back(reader);
        if streams.len() > 50 {
            streams.pop_front();
        }
    }
    let stats = hub.stats();
    assert_eq!((&stats["history"]["resumed"], &stats["history"]["gaps"]), (&json!(2000), &json!(1333)));
    let grown = resident(&hub).saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
}

/// They would hold memory that was only announced, and keep others out.
#[test]
fn peers_that_send_half_a_message_and_stay_cost_that_half_and_hold_up_nobody() {
    const PEERS: usize = 30;
    let hub = Hub::with(json!({"max_event_size": 1 << 20}));
    let mut client = hub.client();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    reader.expect(b":\n\n");
    let before = resident(&hub);
    let data = vec![b'x'; 1 << 20];
    let publish_request =
        Request::Publish { event: NewEvent { topics: vec!["a"], data: &data, ..NewEvent::default() }, answer: true };
    let whole = sse_protocol::wire::encode(&publish_request);
    let half = &whole[..whole.len() / 2];
    let mut peers: Vec<UnixStream> = (0..PEERS)
        .map(|_| {
            let mut peer = hub.raw();
            support::send(&mut peer, &support::hello());
            support::send(&mut peer, half);
            peer
        })
        .collect();
    for number in 0..100 {
        publish(&mut client, &["a"], &number.to_string(), "x");
        reader.expect(format!("id: {number}\ndata: x\n\n").as_bytes());
    }
    let grown = resident(&hub).saturating_sub(before);
    assert!(grown < 2 * PEERS * whole.len(), "{grown} bytes more");
    // One that goes on after all is not forgotten.
    let mut late = peers.pop().expect("one of them");
    assert!(support::answer(&mut late).starts_with("Welcome"));
    support::send(&mut late, &whole[half.len()..]);
    assert!(support::answer(&mut late).starts_with("Published"));
    drop(peers);
    hub.until("all others have gone", |stats| stats["connections"].as_u64() <= Some(4));
}

/// The attack: the form of a client names a stream by megabytes. The worker took the hub for one that was ending, and sent them
/// again and again for the whole of `sse.timeout`.
#[test]
fn a_request_that_is_too_long_is_refused_and_not_taken_for_the_end_of_the_hub() {
    let hub = Hub::new();
    let long = "x".repeat(32 << 20);
    let request = Request::Retopic { stream: &long, add: vec!["a"], remove: Vec::new(), user: None };
    let mut welcomed = hub.client();
    publish(&mut welcomed, &["a"], "1", "x");
    for mut client in [hub.client(), welcomed] {
        match client.call(&request, None, PATIENCE) {
            Err(ClientError::Hub { code: ErrorCode::Invalid, message }) => {
                assert!(message.contains("at most"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Attack: processes of the host that connect all the time, so that the hub would never have accepted them all.
#[test]
fn whoever_connects_all_the_time_keeps_nobody_waiting() {
    let hub = Hub::new();
    let mut client = hub.client();
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let connected = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE / 4 {
                    drop(UnixStream::connect(&hub.socket));
                    connected.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        support::until("they connect", || connected.load(Ordering::Relaxed) > 10_000);
        let before = connected.load(Ordering::Relaxed);
        for number in 0..100 {
            publish(&mut client, &["a"], &number.to_string(), "x");
        }
        let meanwhile = connected.load(Ordering::Relaxed) - before;
        assert!(begun.elapsed() < PATIENCE / 4, "nothing was answered before the attack was over");
        println!("{meanwhile} connections meanwhile");
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(hub.stats()["published"], json!(100));
}
