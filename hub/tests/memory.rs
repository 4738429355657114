//! What an idle stream costs.

mod support;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit};
use serde_json::json;
use sse_hub::wire::{Attach, Framing, Reply, Request};
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
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("up to the hard one");
    let room = limit.maximum.map_or(10_000, |limit| (limit as usize).saturating_sub(500));
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
                let request = Request::Attach(Attach { patterns, heartbeat: 15, retry: 2000, ..Default::default() });
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
