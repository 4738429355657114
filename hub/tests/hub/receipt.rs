//! Receipts: how many streams an event went to, as `sse_publish(report: true)` says.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use sse_protocol::client::Client;
use sse_protocol::event::NewEvent;
use sse_protocol::mercure;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, Attach, Framing, Reply, Request};

use crate::support::redis::Redis;
use crate::support::server::{Owner, Server};
use crate::support::{self, Hub, PATIENCE, Reader, attach, bus, commit, until};

/// Number of streams, or that it is not known; and whether the key was known.
type Receipt = (Option<u64>, bool);

const NEW: fn(u64) -> Receipt = |streams| (Some(streams), false);

fn sent(client: &mut Client, event: NewEvent<'_>) -> (String, Receipt) {
    match client.call(&Request::PublishReported { event }, None, PATIENCE) {
        Ok(Reply::Receipt { id, watchers, duplicate }) => (id.into(), (watchers, duplicate)),
        other => panic!("no receipt: {other:?}"),
    }
}

fn report(hub: &Hub, topics: &[&str], except: Option<&str>) -> Receipt {
    sent(&mut hub.client(), NewEvent { topics: topics.to_vec(), data: b"x", except, ..NewEvent::default() }).1
}

/// A stream, and its public id.
fn named(hub: &Hub, patterns: &[&str]) -> (Reader, String) {
    let spec = StreamSpec { stream_id: true, ..StreamSpec::default() };
    let (reader, public) = hub.hold(Attach { patterns: patterns.to_vec(), spec, ..Attach::default() });
    commit(&reader.client, reader.stream, Framing::Raw);
    (reader, public)
}

#[test]
fn each_client_counts_once_that_an_event_goes_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let redis = Redis::new();
    for settings in [
        json!({ "shards": 3 }),
        json!({ "processes": 2 }),
        json!({ "history_file": folder.path().join("sse.db"), "history_events": 10 }),
        json!({ "bus": redis.url(""), "history_events": 10 }),
    ] {
        let (hub, server) = (Hub::with(settings), Server::new());
        let _php = [Framing::Message, Framing::Wake].map(|framing| hub.stream(&["a.b"], framing));
        let all = named(&hub, &["**"]);
        let several = named(&hub, &["a.b", "a.*", "b"]);
        let _one = hub.stream(&["a.b"], Framing::Raw);
        let _callbacks =
            ["192.0.2.1", "192.0.2.2"].map(|address| server.stream(&hub, "c", Owner { address, ..Owner::default() }));
        assert_eq!(report(&hub, &["a.b"], None), NEW(3));
        assert_eq!(report(&hub, &["b", "a.b", "a.c"], None), NEW(3));
        assert_eq!(report(&hub, &["d"], None), NEW(1));
        assert_eq!(report(&hub, &["c"], None), NEW(3));
        assert_eq!(report(&hub, &["c", "a.b"], Some(&all.1)), NEW(4));
        assert_eq!(report(&hub, &["a.b"], Some("AAAAAAAAAAAAAAAAAAAAAA")), NEW(3));
        drop((all, several));
        hub.until("they have ended", |stats| stats["streams"]["open"] == 5);
        assert_eq!(["a.b", "d"].map(|topic| report(&hub, &[topic], None)), [NEW(1), NEW(0)]);
    }
}

#[test]
fn streams_of_other_machines_do_not_count() {
    let redis = Redis::new();
    let hubs = [bus::hub(&redis), bus::hub(&redis)];
    let mut readers: Vec<Reader> =
        [0, 1, 1].iter().map(|nth: &usize| hubs[*nth].stream(&["a"], Framing::Message)).collect();
    let _streams = [hubs[0].stream(&["a"], Framing::Raw), hubs[1].stream(&["a"], Framing::Raw)];
    assert_eq!(hubs.each_ref().map(|hub| report(hub, &["a"], None)), [NEW(1), NEW(1)]);
    readers.iter_mut().for_each(|reader| assert!(reader.message().ends_with("a - x")));
}

#[test]
fn a_private_update_counts_for_those_who_may_get_it() {
    let hub = Hub::new();
    let matched = mercure::subscription("x");
    let right = mercure::right("*");
    let _streams = [hub.stream(&[&matched], Framing::Raw), hub.stream(&[&matched, &right], Framing::Raw)];
    let topics = [false, true].map(|private| mercure::topic("x", private));
    assert_eq!(topics.each_ref().map(|topic| report(&hub, &[topic], None)), [NEW(2), NEW(1)]);
    let several = ["x", "y"].map(|topic| mercure::topic(topic, true));
    assert_eq!(report(&hub, &several.each_ref().map(|topic| &**topic), None), NEW(1));
}

/// One that waits with a part of the event has it; one that is ended because of it has not.
#[test]
fn a_slow_client_counts_until_it_is_too_slow() {
    for settings in [json!({ "shards": 1 }), json!({ "processes": 2 })] {
        let mut settings = settings;
        settings["stream_buffer"] = json!(100_000);
        let hub = Hub::with(settings);
        let (near, far) = UnixStream::pair().expect("a pair");
        socket2::SockRef::from(&near).set_send_buffer_size(1).expect("small");
        let mut client = hub.client();
        let stream = attach(&mut client, near.into(), &["a"], 0).expect("attached");
        commit(&client, stream, Framing::Raw);
        let mut lazy = Reader::new(far, stream, client);
        let mut eager = hub.stream(&["a"], Framing::Raw);
        eager.expect(b":\n\n");
        let data = "x".repeat(20_000);
        let mut counts = Vec::new();
        for number in 0..12 {
            let id = number.to_string();
            let event = NewEvent { topics: vec!["a"], id: Some(&id), data: data.as_bytes(), ..NewEvent::default() };
            let (Some(count), false) = sent(&mut hub.client(), event).1 else { panic!("counted") };
            eager.expect(format!("id: {id}\ndata: {data}\n\n").as_bytes());
            // The count is that of this moment: the end of the slow one was reported before it.
            assert_eq!(hub.stats()["streams"]["open"], json!(count));
            counts.push(count);
        }
        assert_eq!((counts[0], counts[counts.len() - 1]), (2, 1));
        assert!(counts.is_sorted_by(|before, after| before >= after), "{counts:?}");
        // What it got before is whole, as far as it goes.
        let mut got = Vec::new();
        lazy.socket.read_to_end(&mut got).expect("the end");
        let whole: String = (0..12).map(|id| format!("id: {id}\ndata: {data}\n\n")).collect();
        assert!(format!(":\n\n{whole}").as_bytes().starts_with(&got));
    }
}

#[test]
fn a_repeated_publication_is_a_duplicate_that_went_to_nobody() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let redis = Redis::new();
    for settings in [
        json!({}),
        json!({ "history_file": folder.path().join("sse.db"), "history_events": 10 }),
        json!({ "bus": redis.url(""), "history_events": 10 }),
    ] {
        let hub = Hub::with(settings);
        let _streams = [hub.stream(&["t"], Framing::Raw), hub.stream(&["t"], Framing::Raw)];
        let keyed = NewEvent { topics: vec!["t"], data: b"x", key: Some("k"), ..NewEvent::default() };
        // All at once: some wait for the first one.
        let receipts: Vec<_> = thread::scope(|scope| {
            let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| sent(&mut hub.client(), keyed.clone()))).collect();
            calls.into_iter().map(|call| call.join().expect("published")).collect()
        });
        assert!(receipts.iter().all(|(id, _)| *id == receipts[0].0), "{receipts:?}");
        let mut receipts: Vec<Receipt> = receipts.into_iter().map(|(_, receipt)| receipt).collect();
        receipts.sort_unstable();
        assert_eq!(receipts, [(Some(0), true), (Some(0), true), (Some(0), true), (Some(2), false)]);
        assert_eq!(hub.stats()["published"], json!(1));
    }
}

#[test]
fn what_is_refused_has_no_receipt() {
    let event = NewEvent { topics: vec!["a.*"], data: b"x", ..NewEvent::default() };
    let refused = support::text(Hub::new().client().call(&Request::PublishReported { event }, None, PATIENCE));
    assert!(refused.contains("'a.*'"), "{refused}");
}

/// Whoever publishes meanwhile is told in any case, if not how many streams it were.
#[test]
fn an_upgrade_leaves_no_publisher_without_its_receipt() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for settings in [
        json!({ "history_events": 10_000 }),
        json!({ "history_file": folder.path().join("sse.db"), "history_events": 10_000, "processes": 2 }),
    ] {
        let mut hub = Hub::with(settings);
        let mut reader = hub.stream(&["a"], Framing::Message);
        let _stream = hub.stream(&["a"], Framing::Raw);
        let (ends, publishers) = (&AtomicBool::new(false), [hub.client(), hub.client()]);
        let published = thread::scope(|scope| {
            let calls = publishers.map(|mut client| {
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    while !ends.load(Ordering::Relaxed) {
                        let (id, receipt) =
                            sent(&mut client, NewEvent { topics: vec!["a"], data: b"x", ..NewEvent::default() });
                        assert!(matches!(receipt, (Some(1) | None, false)), "{receipt:?}");
                        ids.push(id);
                    }
                    ids
                })
            });
            for _ in 0..3 {
                hub.upgrade(&json!({}));
            }
            ends.store(true, Ordering::Relaxed);
            calls.map(|call| call.join().expect("all were published")).concat()
        });
        let mut got: Vec<String> = published.iter().map(|_| reader.message()).collect();
        let mut expected: Vec<String> = published.iter().map(|id| format!("event {id} a - x")).collect();
        got.sort_unstable();
        expected.sort_unstable();
        assert_eq!(got, expected);
    }
}

/// The first of the hub's processes that hold streams.
fn process(stats: &Value) -> Pid {
    let pid = stats["processes"]["each"][0]["pid"].as_i64().expect("a process");
    Pid::from_raw(pid as i32).expect("a process")
}

/// An error would have the publisher publish the event again. The publication after it waits for its turn.
#[test]
fn a_shard_that_does_not_count_in_time_leaves_the_number_open() {
    let hub = Hub::with(json!({ "processes": 2 }));
    let _streams = [hub.stream(&["a"], Framing::Raw), hub.stream(&["a"], Framing::Raw)];
    let stopped = process(&hub.stats());
    rustix::process::kill_process(stopped, Signal::STOP).expect("it is there");
    let event = |id| NewEvent { topics: vec!["a"], id: Some(id), data: b"x", ..NewEvent::default() };
    let requests = [
        wire::encode(&Request::PublishReported { event: event("one") }),
        wire::encode(&Request::Publish { event: event("two"), answer: true }),
    ];
    let mut answers = Vec::new();
    hub.client().call_all(&requests, PATIENCE, |reply| answers.push(format!("{reply:?}"))).expect("answered");
    let expected =
        [r#"Receipt { id: "one", watchers: None, duplicate: false }"#, r#"Published { id: "two" }"#].map(str::to_owned);
    assert_eq!(answers, expected);
    rustix::process::kill_process(stopped, Signal::CONT).expect("it is there");
    assert_eq!(report(&hub, &["a"], None), NEW(2));
}

#[test]
fn a_hub_that_ends_says_that_it_has_published() {
    let mut hub = Hub::with(json!({ "processes": 2 }));
    let _streams = [hub.stream(&["a"], Framing::Raw), hub.stream(&["a"], Framing::Raw)];
    let stopped = process(&hub.stats());
    rustix::process::kill_process(stopped, Signal::STOP).expect("it is there");
    let mut raw = hub.raw();
    support::send(&mut raw, &support::hello());
    assert!(support::answer(&mut raw).starts_with("Welcome"));
    let event = NewEvent { topics: vec!["a"], id: Some("one"), data: b"x", ..NewEvent::default() };
    support::send(&mut raw, &wire::encode(&Request::PublishReported { event }));
    let mut client = hub.client();
    until("it is published", || support::stats(&mut client)["published"] == json!(1));
    hub.signal(Signal::TERM);
    assert_eq!(support::answer(&mut raw), r#"Receipt { id: "one", watchers: None, duplicate: false }"#);
    rustix::process::kill_process(stopped, Signal::CONT).expect("it is there");
    assert!(hub.ended().success());
}
