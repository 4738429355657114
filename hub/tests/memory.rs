//! What an idle stream costs. In a binary of its own, as it takes all the descriptors that its process may have.

#[path = "hub/support/mod.rs"]
mod support;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::json;
use sse_protocol::event::NewEvent;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, Attach, Framing, Reply, Request};
use support::{Hub, PATIENCE, commit, publish, read_to_string};

/// Memory of the hub's process that is its own, in KiB.
fn memory(hub: &Hub) -> usize {
    let rollup = read_to_string(format!("/proc/{}/smaps_rollup", hub.pid()).as_ref());
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The bar is 0.6 KiB at 10,000 streams with heartbeats, each with a topic of its own, one that all share, and a pattern.
#[test]
fn an_idle_stream_costs_little_and_gives_it_back() {
    let room = support::raise_descriptor_limit().map_or(10_000, |limit| (limit as usize).saturating_sub(500));
    let count = room.min(10_000);

    for (what, own_topics) in [("one topic", false), ("three topics, one of its own", true)] {
        let hub = Hub::new();
        let mut client = hub.client();
        support::stats(&mut client);
        let before = memory(&hub);
        let mut readers: Vec<UnixStream> = (0..count)
            .map(|number| {
                let (near, far) = UnixStream::pair().expect("a pair");
                let own = format!("user.{number}.changes");
                let patterns = if own_topics { vec![own.as_str(), "news", "chat.*"] } else { vec!["news"] };
                let request = Request::Attach(Attach {
                    patterns,
                    spec: StreamSpec { heartbeat: 15, retry: 2000, ..StreamSpec::default() },
                    ..Default::default()
                });
                let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
                    Ok(Reply::Attached { stream, .. }) => stream,
                    other => panic!("not attached: {other:?}"),
                };
                commit(&client, stream, Framing::FastCgi { request: 1 });
                far
            })
            .collect();
        publish(&mut client, &["news"], "1", "to all");
        for reader in &mut readers {
            support::expect(reader, b"\x01\x06\x00\x01\x00\x0d\x00\x00retry: 2000\n\n");
        }
        hub.until("all is written", |stats| stats["delivered"].as_u64() >= Some(count as u64));
        let bytes = (memory(&hub).saturating_sub(before)) * 1024 / count;
        println!("{count} streams, {what}: {bytes} bytes a stream");
        assert!(bytes <= 614, "{bytes} bytes a stream ({what})");
        drop(readers);
        hub.until("all have gone", |stats| stats["streams"]["open"] == json!(0));
    }
}

/// Memory of the hub's process that is in use, in KiB, without its code, of which more is read in as more of it runs.
fn resident(hub: &Hub) -> usize {
    let status = read_to_string(format!("/proc/{}/status", hub.pid()).as_ref());
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// `SSE_SOAK_EVENTS=1000000` for as many as a busy site has in a day.
#[test]
fn many_events_on_many_topics_take_no_more_than_their_bound_and_give_it_back() {
    const TOPICS: usize = 10_000;
    const BOUND: usize = 8 << 20;
    const BATCH: usize = 500;
    let count: usize = std::env::var("SSE_SOAK_EVENTS").map_or(100_000, |count| count.parse().expect("a number"));
    let hub = Hub::with(json!({"history_events": 1000, "history_bytes": BOUND, "history_ttl_ms": 5000}));
    let mut client = hub.client();
    publish(&mut client, &["first"], "first", "x");
    // For the second one each event is kept in another form besides.
    let readers = [Framing::Raw, Framing::Message].map(|framing| hub.stream(&["t.*"], framing));
    let reading = readers.each_ref().map(|reader| {
        let mut socket = reader.socket.try_clone().expect("own socket");
        std::thread::spawn(move || std::io::copy(&mut socket, &mut std::io::sink()).expect("the end"))
    });
    let before = resident(&hub);

    let mut socket = hub.raw();
    support::send(&mut socket, &support::hello());
    assert!(support::answer(&mut socket).starts_with("Welcome"));
    let data = "x".repeat(200);
    for batch in 0..count / BATCH {
        let topics: Vec<_> = (0..BATCH).map(|nth| format!("t.{}", (batch * BATCH + nth) * 7919 % TOPICS)).collect();
        let requests = topics.iter().flat_map(|topic| {
            let topics = vec![topic.as_str()];
            wire::encode(&Request::Publish {
                event: NewEvent { topics, data: data.as_bytes(), ..NewEvent::default() },
                answer: true,
            })
        });
        support::send(&mut socket, &requests.collect::<Vec<u8>>());
        for _ in 0..BATCH {
            assert!(support::answer(&mut socket).starts_with("Published"));
        }
        if batch % 10 == 9 {
            // A reader that gets no time to read is no slow one here.
            let so_far = 2 * (batch + 1) * BATCH;
            hub.until("the readers keep up", |stats| stats["delivered"] == json!(so_far));
        }
    }
    let stats = hub.until("all is delivered", |stats| stats["delivered"] == json!(2 * (count / BATCH * BATCH)));
    let full = resident(&hub).saturating_sub(before) * 1024;
    assert!(stats["history"]["bytes"].as_u64() <= Some(BOUND as u64), "{}", stats["history"]);
    println!("{count} events: {full} bytes, {}", stats["history"]);
    assert!(full <= 3 * BOUND, "{full} bytes");

    hub.until("all is too old", |stats| stats["history"]["events"] == json!(0));
    let (mut after, mut least) = (0, usize::MAX);
    support::until("the memory is given back", || {
        after = resident(&hub).saturating_sub(before) * 1024;
        if after < least {
            least = after;
            println!("{after} bytes so far");
        }
        after <= BOUND / 2
    });
    println!("{count} events: {after} bytes when they were too old");
    drop(hub);
    for thread in reading {
        thread.join().expect("a reader");
    }
}
