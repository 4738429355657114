//! Clients that read nothing: they end as slow, and what only their queues keep is bounded.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Framing, Reply, Request};

use crate::support::{self, Hub, PATIENCE, commit, publish, read_to_string};

/// A client with the smallest socket buffer there is, which has seen nothing of its topic. It is not read from.
fn resume(hub: &Hub, topic: &str, address: Option<&str>, heartbeat: u32) -> UnixStream {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    socket2::SockRef::from(&near).set_send_buffer_size(1).expect("small");
    let attach = Attach {
        patterns: vec![topic],
        last_event_id: Some("unknown"),
        address,
        spec: StreamSpec { heartbeat, ..StreamSpec::default() },
        ..Default::default()
    };
    match client.call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => commit(&client, stream, Framing::Raw),
        other => panic!("not attached: {other:?}"),
    }
    // Otherwise its worker seems to have gone before that was read.
    support::stats(&mut client);
    far
}

fn number(stats: &Value, path: &str) -> u64 {
    stats.pointer(path).and_then(Value::as_u64).expect("a number")
}

fn is_open(client: &mut UnixStream) -> bool {
    client.set_nonblocking(true).expect("own socket");
    let mut buffer = vec![0; 1 << 20];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// What they had missed is no sign of a slow one, so nothing else would ever end them.
#[test]
fn who_takes_nothing_for_the_stall_timeout_ends_as_slow_and_who_takes_a_little_stays() {
    let hub = Hub::with(json!({"stall_timeout": 4, "history_events": 100, "history_bytes": 64 << 20}));
    let mut publisher = hub.client();
    for _ in 0..30 {
        publish(&mut publisher, &["a"], "x", &"x".repeat(1_000_000));
    }
    let mut little = resume(&hub, "a", None, 1);
    let mut patient = resume(&hub, "a", None, 3600);
    let mut nothing = resume(&hub, "a", None, 1);
    hub.until("one has ended", |stats| {
        // Far less than there is, however often.
        little.read_exact(&mut [0; 512]).expect("there is more");
        number(stats, "/streams/closed/slow") > 0
    });
    assert!(!is_open(&mut nothing));
    assert!(is_open(&mut patient), "twice its heartbeat is longer");
    assert!(is_open(&mut little));
    assert_eq!(number(&hub.stats(), "/streams/closed/slow"), 1);
    drop((little, patient));
    hub.until("nothing is kept", |stats| stats["queued_bytes"] == json!(0) && stats["pinned_bytes"] == json!(0));
}

/// Memory of the hub's process that is its own, in bytes.
fn memory(hub: &Hub) -> u64 {
    let rollup = read_to_string(format!("/proc/{}/smaps_rollup", hub.pid()).as_ref());
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Each of them resumes what nobody else has any more soon after.
#[test]
fn what_only_queues_keep_is_bounded_in_one_process_and_in_several() {
    const LIMIT: u64 = 4 << 20;
    const HISTORY: u64 = 1 << 20;
    for processes in [1, 2] {
        let hub = Hub::with(json!({
            "processes": processes, "queue_bytes": LIMIT, "history_events": 100, "history_bytes": HISTORY,
        }));
        let mut publisher = hub.client();
        let before = memory(&hub);
        let mut clients = Vec::new();
        let mut most = 0;
        for number in 0..40 {
            let topic = format!("a{number}");
            for _ in 0..8 {
                publish(&mut publisher, &[&topic], "x", &"x".repeat(100_000));
            }
            clients.push(resume(&hub, &topic, Some(&format!("192.0.2.{number}")), 0));
            hub.until("there is no more than may be", |stats| self::number(stats, "/pinned_bytes") <= LIMIT);
            most = most.max(memory(&hub).saturating_sub(before));
        }
        let slow = number(&hub.stats(), "/streams/closed/slow");
        println!("{processes} processes: {slow} of 40 ended, {most} bytes at most");
        // Each of them keeps some 800,000 bytes.
        assert!((30..39).contains(&slow), "{slow} of 40");
        if processes == 1 {
            assert!(most <= 2 * (LIMIT + 2 * HISTORY), "{most} bytes");
        }
        drop(clients);
        hub.until("nothing is kept", |stats| stats["queued_bytes"] == json!(0) && stats["pinned_bytes"] == json!(0));
    }
}

/// A burst to many clients that are a little slow is in memory once.
#[test]
fn what_many_queues_share_counts_once() {
    const STREAMS: usize = 200;
    for shards in [1, 2] {
        let hub = Hub::with(json!({"processes": 1, "shards": shards, "queue_bytes": 4 << 20}));
        let mut publisher = hub.client();
        let clients: Vec<_> = (0..STREAMS).map(|_| resume(&hub, "a", Some("192.0.2.7"), 0)).collect();
        for _ in 0..30 {
            publish(&mut publisher, &["a"], "x", &"x".repeat(100_000));
        }
        let stats = hub.until("all is queued", |stats| number(stats, "/queued_bytes") > 2_900_000 * STREAMS as u64);
        let pinned = number(&stats, "/pinned_bytes");
        assert!((3_000_000..4 << 20).contains(&pinned), "{pinned} bytes");
        assert_eq!(number(&stats, "/streams/open"), STREAMS as u64);
        drop(clients);
        hub.until("nothing is kept", |stats| stats["pinned_bytes"] == json!(0));
    }
}

#[test]
fn a_client_that_takes_more_than_its_share_goes_before_one_that_waits_longer() {
    let hub = Hub::with(json!({"queue_bytes": 4 << 20, "history_events": 100, "history_bytes": 1 << 20}));
    let mut publisher = hub.client();
    let mut keep = |topic: &str, address: &str| {
        for _ in 0..4 {
            publish(&mut publisher, &[topic], "x", &"x".repeat(100_000));
        }
        resume(&hub, topic, Some(address), 0)
    };
    let mut modest = keep("m", "192.0.2.1");
    let mut greedy: Vec<UnixStream> = (0..20).map(|number| keep(&format!("g{number}"), "192.0.2.2")).collect();
    for number in 0..4 {
        // Pushes out of the history what the last ones wait for.
        publish(&mut publisher, &[&format!("n{number}")], "x", &"x".repeat(300_000));
    }
    hub.until("there is no more than may be", |stats| {
        number(stats, "/pinned_bytes") <= 4 << 20 && number(stats, "/streams/closed/slow") > 0
    });
    assert!(is_open(&mut modest));
    assert!(greedy.iter_mut().any(|client| !is_open(client)));
}
