//! What streams watch is charged to `sse.topic_bytes`, and what it really takes is no more than twice that.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::client::{Client, ClientError};
use sse_protocol::mercure;
use sse_protocol::wire::{Attach, ErrorCode, Framing, Reply, Request};

use crate::support::{Hub, PATIENCE, commit, nonzero, read_to_string};

/// An open stream of this client; or why there is none.
fn open(client: &mut Client, address: Option<&str>, patterns: &[String]) -> Result<UnixStream, String> {
    let (near, far) = UnixStream::pair().expect("a pair");
    let patterns = patterns.iter().map(String::as_str).collect();
    let request = Request::Attach(Attach { patterns, address, ..Default::default() });
    match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => {
            commit(client, stream, Framing::Raw);
            Ok(far)
        }
        Err(ClientError::Hub { code: ErrorCode::Full | ErrorCode::TooMany, message }) => Err(message),
        other => panic!("neither attached nor full: {other:?}"),
    }
}

/// Memory of the hub's process that is its own, in bytes.
fn memory(hub: &Hub) -> usize {
    let rollup = read_to_string(format!("/proc/{}/smaps_rollup", hub.pid()).as_ref());
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

fn charged(stats: &Value) -> usize {
    usize::try_from(stats["topic_bytes"].as_u64().expect("a number")).expect("small")
}

/// A stream's nth pattern.
type Pattern<'a> = &'a dyn Fn(usize, usize) -> String;

/// A client can choose any of these by an URL of 8 KiB or less, where the application lets it.
#[test]
fn what_a_stream_watches_takes_no_more_than_twice_what_is_charged() {
    const STREAMS: usize = 300;
    let deep = |stream: usize, nth: usize| format!("u.{stream}.{nth}.a.b.c.d.e.f.g.h.i.j.k.l.*");
    // Each two have all but their last segment in common.
    let twins = |stream: usize, nth: usize| {
        let (pair, last) = (nth / 2, ["*", "**"][nth % 2]);
        format!("u.{stream}.{pair}.a.b.c.d.e.f.g.h.i.j.k.l.{last}")
    };
    let starred = |stream: usize, nth: usize| format!("u{stream}.*.n{nth}.*.a.*.b.*.c.*.d.*.e.*.f.*");
    let short = |stream: usize, nth: usize| format!("{stream}.{nth}.*");
    let plain = |stream: usize, nth: usize| format!("{stream}.{nth}");
    let long = |stream: usize, nth: usize| format!("{stream:0>120}.{nth:0>120}");
    let same = |_: usize, nth: usize| format!("news.{nth}");
    let template =
        |stream: usize, nth: usize| mercure::subscription(&format!("https://example.com/{stream}/{nth}/{{id}}"));
    // All in one list, as they begin alike.
    let variables =
        |stream: usize, nth: usize| mercure::right(&format!("/books{{?s{stream}n{nth},a,b,c,d,e,f,g,h,i,j,k,l,m,n}}"));
    let shapes: [(&str, usize, Pattern<'_>); 9] = [
        ("templates of Mercure's", 32, &template),
        ("templates with one beginning", 32, &variables),
        ("deep patterns", 64, &deep),
        ("patterns with beginnings in common", 64, &twins),
        ("patterns of many wildcards", 64, &starred),
        ("short patterns", 100, &short),
        ("short topics", 100, &plain),
        ("long topics", 30, &long),
        ("topics that all watch", 100, &same),
    ];
    for (what, count, pattern) in shapes {
        let hub = Hub::with(json!({
            "topic_bytes": 1 << 30, "template_steps": 1 << 30, "shards": 1, "processes": 1,
        }));
        let mut client = hub.client();
        // What the first one takes is the hub's own.
        drop(open(&mut client, None, &topics(100, "first")).expect("room"));
        hub.until("it has left", |stats| stats["streams"]["closed"]["client"] == json!(1));
        let before = (memory(&hub), charged(&hub.stats()));
        let streams: Vec<_> = (0..STREAMS)
            .map(|stream| {
                let patterns: Vec<String> = (0..count).map(|nth| pattern(stream, nth)).collect();
                let far = open(&mut client, Some("192.0.2.7"), &patterns).expect("room");
                // What waits for a shard that gets no time is no stream's.
                hub.until("it has begun", |stats| stats["streams"]["opened"] == json!(stream + 2));
                far
            })
            .collect();
        let stats = hub.until("all have begun", |stats| stats["streams"]["open"] == json!(STREAMS));
        let (real, charge) = (memory(&hub).saturating_sub(before.0), charged(&stats) - before.1);
        println!("{what}: {} bytes a stream charged, {} real", charge / STREAMS, real / STREAMS);
        assert!(real <= 2 * charge, "{what}: {real} bytes, {charge} charged");
        drop(streams);
        hub.until("nothing is charged", |stats| charged(stats) == 0 && stats["streams"]["open"] == json!(0));
    }
}

fn topics(count: usize, name: &str) -> Vec<String> {
    (0..count).map(|nth| format!("{name}.{nth}")).collect()
}

#[test]
fn one_client_gets_an_eighth_and_the_others_go_on() {
    let mut hub = Hub::with(json!({"topic_bytes": 256 << 10}));
    let mut client = hub.client();
    let many = topics(100, "some.topic");
    let mut first = vec![open(&mut client, Some("192.0.2.7"), &many).expect("room")];
    let message = open(&mut client, Some("192.0.2.7"), &many).expect_err("more than an eighth");
    assert!(message.starts_with("192.0.2.7 takes the eighth of sse.topic_bytes (32768 of its bytes)"), "{message}");
    let few = topics(1, "a");
    let _small = open(&mut client, Some("192.0.2.7"), &few).expect("what is left of it");
    let _other = open(&mut client, Some("192.0.2.8"), &many).expect("room for others");
    assert_eq!(nonzero(&hub.stats()["refused"]), json!({"topic_bytes": 1}));

    // Another hub knows as well.
    drop(client);
    let before = charged(&hub.stats());
    hub.upgrade(&json!({}));
    assert_eq!(charged(&hub.stats()), before);
    let mut client = hub.client();
    open(&mut client, Some("192.0.2.7"), &many).expect_err("still more than an eighth");
    first.clear();
    hub.until("the first has left", |stats| charged(stats) < before);
    open(&mut client, Some("192.0.2.7"), &many).expect("room again");
}

#[test]
fn what_all_have_together_is_bounded_and_said_in_the_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("hub.log");
    let hub = Hub::in_folder(folder, json!({"topic_bytes": 64 << 10, "log": log, "log_level": "warn"}));
    let mut client = hub.client();
    let mut streams = Vec::new();
    let message = loop {
        assert!(streams.len() < 64);
        match open(&mut client, None, &topics(10, &format!("t{}", streams.len()))) {
            Ok(stream) => streams.push(stream),
            Err(message) => break message,
        }
    };
    assert_eq!(message, "sse.topic_bytes (65536) is used up by all clients together; raise it");
    assert!(charged(&hub.stats()) <= 64 << 10);
    assert!(read_to_string(&log).contains(&message));
    drop(streams);
    hub.until("nothing is charged", |stats| charged(stats) == 0);
    open(&mut client, None, &topics(10, "t")).expect("room again");
}
