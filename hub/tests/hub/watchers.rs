//! How many streams watch a topic: `sse_watchers()`.

use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal};
use serde_json::json;
use sse_protocol::client::ClientError;
use sse_protocol::wire::{self, ErrorCode, Framing, Reply, Request, Whom};

use crate::support::redis::Redis;
use crate::support::server::{Owner, Server};
use crate::support::{self, Hub, PATIENCE, Reader, bus, publish};

fn asked(hub: &Hub, topic: &str, local: bool) -> Result<u64, ClientError> {
    match hub.client().call(&Request::Watchers { topic, local }, None, PATIENCE)? {
        Reply::Watchers { streams } => Ok(streams),
        other => panic!("no number of watchers: {other:?}"),
    }
}

fn watchers(hub: &Hub, topic: &str) -> u64 {
    asked(hub, topic, false).expect("counted")
}

fn stream(hub: &Hub, patterns: &[&str]) -> Reader {
    hub.stream(patterns, Framing::Raw)
}

#[test]
fn each_stream_counts_that_would_get_an_event() {
    for processes in [1, 2] {
        let mut hub = Hub::with(json!({ "processes": processes }));
        let all = stream(&hub, &["**"]);
        let mut streams = vec![stream(&hub, &["a.b", "a.*", "b"]), stream(&hub, &["a.b"]), stream(&hub, &["b"])];
        let php = [Framing::Message, Framing::Wake].map(|framing| hub.stream(&["a.b"], framing));
        for _ in 0..2 {
            assert_eq!(["a.b", "a.c", "b", "c"].map(|topic| watchers(&hub, topic)), [3, 2, 3, 1]);
            hub.upgrade(&json!({}));
        }
        drop((all, streams.pop(), php));
        hub.until("they have ended", |stats| stats["streams"]["open"] == 2);
        assert_eq!(["a.b", "a.c", "b", "c"].map(|topic| watchers(&hub, topic)), [2, 1, 1, 0]);
        // Each event goes to the streams that were counted, and is not taken for one that was seen already.
        publish(&mut hub.client(), &["b", "a.b"], "1", "x");
        streams[0].expect(b":\n\nid: 1\ndata: x\n\n");
        streams[1].expect(b":\n\nid: 1\ndata: x\n\n");
    }
}

#[test]
fn a_stream_that_ends_or_watches_other_topics_counts_no_longer() {
    let hub = Hub::new();
    let mut reader = stream(&hub, &["a"]);
    let (near, _far) = UnixStream::pair().expect("a pair");
    let mut worker = hub.client();
    support::attach(&mut worker, near.into(), &["a"], 0).expect("attached");
    assert_eq!(watchers(&hub, "a"), 2, "one whose worker has not handed it off yet gets events, too");
    let disconnect = Request::Disconnect { whom: Whom::Topic("a"), retry: None };
    hub.client().call(&disconnect, None, PATIENCE).expect("ended");
    assert_eq!(watchers(&hub, "a"), 0);
    reader.expect(b":\n\n");
    reader.expect_end();
}

#[test]
fn a_callback_watches_for_its_stream() {
    let (hub, server) = (Hub::new(), Server::new());
    let _streams =
        ["192.0.2.1", "192.0.2.2"].map(|address| server.stream(&hub, "a", Owner { address, ..Owner::default() }));
    let _plain = server.stream(&hub, "a", Owner { render: false, reauthorize: 1000, ..Owner::default() });
    let _other = server.stream(&hub, "b", Owner::default());
    assert_eq!(watchers(&hub, "a"), 3);
    // The ordering thread counts what it looks at for that.
    let steps = |stats: &serde_json::Value| stats["turns"]["steps"].as_u64().expect("a number");
    for (request, each) in [
        // Two jobs.
        (Request::Watchers { topic: "a", local: false }, 2),
        // And three streams.
        (Request::Streams { whose: Some(Whom::Topic("a")), after: None, limit: 10 }, 2 + 3),
    ] {
        let before = steps(&hub.stats());
        (0..100).for_each(|_| drop(hub.client().call(&request, None, PATIENCE).expect("answered")));
        hub.until("all that was looked at counts", |stats| steps(stats) >= before + 100 * each);
    }
}

#[test]
fn what_is_no_topic_is_refused() {
    let hub = Hub::new();
    for topic in ["", "a.*"] {
        assert!(matches!(asked(&hub, topic, false), Err(ClientError::Hub { code: ErrorCode::Invalid, .. })));
    }
}

#[test]
fn the_streams_of_all_machines_count() {
    let redis = Redis::new();
    let hubs = [bus::hub(&redis), bus::hub(&redis), bus::hub(&redis)];
    let _streams =
        [stream(&hubs[0], &["a"]), stream(&hubs[1], &["*"]), stream(&hubs[1], &["a"]), stream(&hubs[2], &["b"])];
    assert_eq!(hubs.each_ref().map(|hub| watchers(hub, "a")), [3; 3]);
    assert_eq!(hubs.each_ref().map(|hub| asked(hub, "a", true).expect("counted")), [1, 2, 0]);
    assert_eq!(watchers(&hubs[2], "c.d"), 0);
    // A hub that takes over is another one for the others.
    let [one, mut two, three] = hubs;
    two.upgrade(&json!({}));
    bus::back(&two);
    assert_eq!([&one, &two, &three].map(|hub| watchers(hub, "a")), [3; 3]);
}

/// A number that is too small would be worse than none. Meanwhile this hub does everything else.
#[test]
fn a_machine_that_does_not_answer_is_told_of_and_waited_for_only_a_moment() {
    let redis = Redis::new();
    let hubs = [bus::hub(&redis), bus::hub(&redis)];
    let _streams = hubs.each_ref().map(|hub| stream(hub, &["a"]));
    hubs[1].signal(Signal::STOP);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| asked(&hubs[0], "a", false).expect_err("one is missing"));
        while !late.is_finished() {
            bus::give(&hubs[0], "other", "x");
            assert_eq!(asked(&hubs[0], "a", true).expect("counted"), 1);
        }
        let late = late.join().expect("asked");
        assert!(matches!(late, ClientError::Hub { code: ErrorCode::Busy, .. }), "{late}");
        let late = late.to_string();
        assert!(
            late.contains("1 of the 2 hubs that listen to Redis") && late.contains("1 streams are known"),
            "{late}"
        );
    });
    hubs[1].signal(Signal::CONT);
    assert_eq!(watchers(&hubs[0], "a"), 2);
}

#[test]
fn without_redis_the_other_machines_are_not_waited_for() {
    let redis = Redis::new();
    let hub = bus::hub(&redis);
    let _stream = stream(&hub, &["a"]);
    drop(redis);
    support::until("the hub knows that it can't ask", || {
        let refused = asked(&hub, "a", false).expect_err("not asked").to_string();
        refused.contains("the other machines can't be asked now: Redis can't be reached")
    });
    assert_eq!(asked(&hub, "a", true).expect("counted"), 1);
}

/// The ordering thread goes on while a shard counts, and waits for none that is lost.
#[test]
fn a_shard_that_is_lost_takes_its_streams_with_it() {
    let hub = Hub::with(json!({ "processes": 2 }));
    let _streams = [stream(&hub, &["a"]), stream(&hub, &["a"])];
    let each = hub.stats()["processes"]["each"].clone();
    let pid = Pid::from_raw(each[0]["pid"].as_i64().expect("a process") as i32).expect("a process");
    let signal = |signal| rustix::process::kill_process(pid, signal).expect("it is there");
    signal(Signal::STOP);
    std::thread::scope(|scope| {
        let mut client = hub.client();
        let request = wire::encode(&Request::Watchers { topic: "a", local: false });
        let mut raw = hub.raw();
        support::send(&mut raw, &support::hello());
        assert!(support::answer(&mut raw).starts_with("Welcome"));
        support::send(&mut raw, &request);
        let counted = scope.spawn(move || support::answer(&mut raw));
        publish(&mut client, &["b"], "1", "x");
        signal(Signal::KILL);
        assert_eq!(counted.join().expect("answered"), "Watchers { streams: 1 }");
    });
    hub.until("another one is there", |stats| stats["processes"]["lost"] == 1);
    assert_eq!(watchers(&hub, "a"), 1);
}
