//! Redis is away, comes back, or comes back with less than it had: what is accepted is delivered once and in order, or a
//! gap says that it isn't.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use sse_protocol::event::NewEvent;
use sse_protocol::id::{Id, now_ms};
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Framing, Reply, Request, TopicsAs};

use crate::support::bus::{away, back, cursor, event, give, hub, on, resumed, tried};
use crate::support::redis::{Door, Redis};
use crate::support::{self, Hub, PATIENCE, commit, trigger, until};

const GAP: &str = "trigger **";

/// What survives kill -9.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

#[test]
fn streams_stay_open_and_publishers_wait_while_redis_is_away() {
    let mut redis = Redis::with(&DURABLE);
    let (a, b) = (hub(&redis), hub(&redis));
    let mut readers = [&a, &b].map(|hub| hub.stream(&["t"], Framing::Message));
    let first = give(&a, "t", "1");
    for reader in &mut readers {
        assert_eq!(reader.message(), format!("event {first} t - 1"));
    }
    redis.kill();
    let problem = away(&a)["problem"].take();
    assert!(problem.as_str().is_some_and(|why| !why.is_empty()));
    let second = thread::scope(|scope| {
        let waiting = scope.spawn(|| give(&a, "t", "2"));
        a.until("it waits", |stats| stats["bus"]["waiting"] == json!(1));
        redis.restart();
        waiting.join().expect("published")
    });
    for reader in &mut readers {
        // Another process with the same data can't prove that it is all there was.
        assert_eq!(reader.message(), GAP);
        let mut next = reader.message();
        // The wakes' connection may be back after the tail's.
        while next == GAP {
            next = reader.message();
        }
        assert_eq!(next, format!("event {second} t - 2"));
    }
    let stats = back(&a);
    assert_eq!((&stats["gaps"], &stats["waiting"], &stats["failed"]), (&json!(1), &json!(0), &json!(0)));
}

#[test]
fn a_redis_that_only_paused_has_lost_nothing() {
    let redis = Redis::new();
    let (a, b) = (hub(&redis), hub(&redis));
    let mut reader = b.stream(&["t"], Framing::Raw);
    let first = give(&a, "t", "1");
    redis.signal(Signal::STOP);
    away(&a);
    away(&b);
    let second = thread::scope(|scope| {
        let waiting = scope.spawn(|| give(&a, "t", "2"));
        a.until("it waits", |stats| stats["bus"]["waiting"] == json!(1));
        redis.signal(Signal::CONT);
        waiting.join().expect("published")
    });
    reader.expect(format!(":\n\nid: {first}\ndata: 1\n\nid: {second}\ndata: 2\n\n").as_bytes());
    assert_eq!(back(&b)["gaps"], json!(0));
}

/// What was sent when the connection broke may have been taken or not. It is never sent again.
#[test]
fn an_event_that_was_sent_but_not_answered_comes_at_most_once() {
    let redis = Redis::new();
    let hub = hub(&redis);
    let mut reader = hub.stream(&["t"], Framing::Message);
    for round in 0..5 {
        redis.signal(Signal::STOP);
        // Sent into a connection that nobody reads.
        let data = format!("sent {round}");
        let outcome = thread::scope(|scope| {
            let waiting = scope.spawn(|| tried(&hub, "t", &data));
            away(&hub);
            redis.signal(Signal::CONT);
            waiting.join().expect("answered")
        });
        let mark = give(&hub, "t", "mark");
        let mut seen = Vec::new();
        loop {
            let message = reader.message();
            if message == format!("event {mark} t - mark") {
                break;
            }
            seen.extend((message != GAP).then_some(message));
        }
        match outcome {
            Ok(id) => assert_eq!(seen, [format!("event {id} t - {data}")]),
            Err(error) => {
                assert!(error.contains("it is not known whether the event was taken"), "{error}");
                assert!(seen.len() <= 1, "{seen:?}");
            }
        }
    }
}

#[test]
fn an_event_whose_publisher_has_given_up_is_not_sent_later() {
    let mut redis = Redis::with(&DURABLE);
    let hub = hub(&redis);
    redis.kill();
    away(&hub);
    let mut client = hub.client();
    assert!(client.call(&event("t", "abandoned"), None, Duration::from_millis(50)).is_err());
    hub.until("it waits", |stats| stats["bus"]["waiting"] == json!(1));
    drop(client);
    hub.until("it waits no more", |stats| stats["bus"]["waiting"] == json!(0));
    redis.restart();
    give(&hub, "t", "wanted");
    assert_eq!(redis.call::<i64>("XLEN sse"), 1, "{}", redis.stream());
}

#[test]
fn publishers_are_told_at_once_where_they_are_not_to_wait() {
    let mut redis = Redis::with(&DURABLE);
    let hub = on(&redis.url(""), json!({ "bus_outage_ms": 0 }));
    give(&hub, "t", "1");
    redis.kill();
    away(&hub);
    let error = tried(&hub, "t", "2").expect_err("Redis is away");
    assert!(error.starts_with("sse.bus: Redis can't be reached: "), "{error}");
    redis.restart();
    back(&hub);
    give(&hub, "t", "3");
    assert_eq!(redis.call::<i64>("XLEN sse"), 2);
}

#[test]
fn who_waits_is_told_why_before_its_own_time_is_over_and_the_event_is_not_sent() {
    let mut redis = Redis::with(&DURABLE);
    let hub = on(&redis.url(""), json!({ "bus_outage_ms": 300 }));
    give(&hub, "t", "1");
    redis.kill();
    away(&hub);
    let error = tried(&hub, "t", "2").expect_err("Redis is away");
    assert!(error.starts_with("sse.bus: Redis can't be reached: "), "{error}");
    assert!(error.ends_with("; the event was not sent"), "{error}");
    redis.restart();
    back(&hub);
    give(&hub, "t", "3");
    assert_eq!(redis.call::<i64>("XLEN sse"), 2);
}

#[test]
fn no_more_waits_than_the_queue_allows() {
    let redis = Redis::new();
    let hub = on(&redis.url(""), json!({ "bus_queue": 100_000 }));
    redis.signal(Signal::STOP);
    away(&hub);
    let large = "x".repeat(60_000);
    let mut first = hub.client();
    assert!(first.call(&event("t", &large), None, Duration::from_millis(50)).is_err());
    let error = tried(&hub, "t", &large).expect_err("there is no room");
    assert!(error.contains("Redis can't be reached") && error.contains("sse.bus_queue allows 100000 bytes"), "{error}");
    redis.signal(Signal::CONT);
    back(&hub);
    give(&hub, "t", &large);
}

/// Answers to several events that were sent at once come in their order, whatever becomes of each.
#[test]
fn what_one_process_publishes_at_once_is_answered_in_order() {
    use sse_protocol::wire::{Request, encode};
    let redis = Redis::new();
    let hub = hub(&redis);
    let mut socket = hub.raw();
    let mut bytes = support::hello();
    for number in 0..100 {
        let (data, topic) = (number.to_string(), if number % 3 == 0 { "not.*" } else { "t" });
        let id = format!("own-{number}");
        let request = Request::Publish {
            event: NewEvent { topics: vec![topic], id: Some(&id), data: data.as_bytes(), ..NewEvent::default() },
            answer: true,
        };
        bytes.extend(encode(&request));
    }
    support::send(&mut socket, &bytes);
    assert!(support::answer(&mut socket).starts_with("Welcome"));
    for number in 0..100 {
        let answer = support::answer(&mut socket);
        let expected =
            if number % 3 == 0 { "Error { code: Invalid".into() } else { format!("Published {{ id: \"own-{number}\"") };
        assert!(answer.starts_with(&expected), "{number}: {answer}");
    }
}

#[test]
fn a_redis_that_comes_back_empty_is_a_gap() {
    let mut redis = Redis::new();
    let (a, b) = (hub(&redis), hub(&redis));
    let mut reader = b.stream(&["t"], Framing::Raw);
    let first = give(&a, "t", "1");
    reader.expect(format!(":\n\nid: {first}\ndata: 1\n\n").as_bytes());
    redis.kill();
    away(&b);
    redis.restart_empty();
    back(&a);
    back(&b);
    let second = give(&a, "t", "2");
    let gap = "event: gap\ndata: {\"oldest\":null,\"requested\":null}\n\n";
    reader.expect(format!("{gap}id: {second}\ndata: 2\n\n").as_bytes());
    // Nobody resumes over it without being told, on any hub.
    for hub in [&a, &b, &self::hub(&redis)] {
        let mut reader = resumed(hub, "t", &first);
        assert_eq!(reader.message(), GAP);
    }
}

/// Ids of a stream that was deleted are given again in the same millisecond only.
fn later_than(id: &str) {
    let id = Id::parse(id).expect("an id of Redis");
    until("the next millisecond", || now_ms() > id.ms);
}

#[test]
fn a_stream_that_was_deleted_or_trimmed_below_what_was_read_is_a_gap() {
    let redis = Redis::new();
    let (a, b) = (hub(&redis), hub(&redis));
    for command in ["DEL sse", "FLUSHALL", "RENAME sse other", "UNLINK sse"] {
        let mut readers = [&a, &b].map(|hub| hub.stream(&["t"], Framing::Message));
        let before = give(&a, "t", "before");
        let _: redis::Value = redis.call(command);
        later_than(&before);
        let after = give(&b, "t", "after");
        for reader in &mut readers {
            assert_eq!(reader.message(), format!("event {before} t - before"));
            assert_eq!(reader.message(), GAP, "{command}");
            assert_eq!(reader.message(), format!("event {after} t - after"));
        }
        let _: redis::Value = redis.call("DEL other");
        drop(readers);
        assert_eq!(resumed(&a, "t", &before).message(), GAP);
        let page = cursor(&a);
        assert_eq!(page, after);
    }
    // Without an event that follows, it is noticed as well; and a page that is loaded then starts anew.
    let mut reader = a.stream(&["t"], Framing::Message);
    let _: i64 = redis.call("DEL sse");
    assert_eq!(reader.message(), GAP);
    let page = cursor(&a);
    let mut anew = resumed(&a, "t", &page);
    let id = give(&a, "t", "x");
    assert_eq!(anew.message(), format!("event {id} t - x"));
    assert_eq!(reader.message(), format!("event {id} t - x"));
    // What everybody has read may go.
    let _: i64 = redis.call("XTRIM sse MAXLEN 0");
    let id = give(&b, "t", "y");
    for reader in [&mut anew, &mut reader] {
        assert_eq!(reader.message(), format!("event {id} t - y"));
    }
}

#[test]
fn a_stream_that_was_evicted_is_a_gap() {
    let redis = Redis::with(&["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random"]);
    let hub = hub(&redis);
    let mut reader = hub.stream(&["t"], Framing::Message);
    let before = give(&hub, "t", "before");
    assert_eq!(reader.message(), format!("event {before} t - before"));
    let mut number = 0;
    until("the stream is evicted", || {
        number += 1;
        let _: String = redis.call(&format!("SET key-{number} {}", "x".repeat(10_000)));
        redis.call::<i64>("EXISTS sse") == 0
    });
    let _: String = redis.call("CONFIG SET maxmemory 0");
    assert_eq!(reader.message(), GAP);
    let after = give(&hub, "t", "after");
    assert_eq!(reader.message(), format!("event {after} t - after"));
}

#[test]
fn a_hub_that_was_stopped_catches_up_or_tells_what_was_trimmed_meanwhile() {
    let redis = Redis::new();
    let url = redis.url("maxlen=100");
    let (a, b) = (on(&url, json!({})), on(&url, json!({})));
    let mut reader = b.stream(&["t"], Framing::Message);
    let mut read = |expected: &[String]| {
        for id in expected {
            assert!(reader.message().starts_with(&format!("event {id} ")));
        }
    };
    let many = |count: usize| -> Vec<String> { (0..count).map(|_| give(&a, "t", "x")).collect() };
    read(&many(1));
    b.signal(Signal::STOP);
    let ids = many(80);
    b.signal(Signal::CONT);
    read(&ids);
    b.signal(Signal::STOP);
    let ids = many(1000);
    b.signal(Signal::CONT);
    // Redis has answered the question for the next ones before they were trimmed.
    let mut early = ids.iter();
    let mut first = reader.message();
    while first != GAP {
        assert!(early.next().is_some_and(|id| first.starts_with(&format!("event {id} "))), "{first}");
        first = reader.message();
    }
    let first = reader.message();
    let place = ids.iter().position(|id| first.starts_with(&format!("event {id} "))).expect("one of them");
    assert!(place > 700, "{place}");
    for id in &ids[place + 1..] {
        assert!(reader.message().starts_with(&format!("event {id} ")));
    }
    assert_eq!((&a.stats()["bus"]["gaps"], &b.stats()["bus"]["gaps"]), (&json!(0), &json!(1)));
}

/// Trimming to less than a batch is no gap where everything was read before.
#[test]
fn a_stream_that_is_always_trimmed_is_no_gap_for_who_keeps_up() {
    let redis = Redis::new();
    let hub = hub(&redis);
    let mut reader = hub.stream(&["t"], Framing::Message);
    for _ in 0..100 {
        let id: String = redis.call("XADD sse MAXLEN 1 * topic t data x");
        assert_eq!(reader.message(), format!("event {id} t - x"));
    }
    assert_eq!(hub.stats()["bus"]["gaps"], json!(0));
}

/// A failover to a replica that was not up to date: some that were accepted are lost, and everybody is told.
#[test]
fn a_replica_that_is_behind_and_takes_over_is_a_gap() {
    let (mut master, replica) = (Redis::new(), Redis::new());
    let _: String = replica.call(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    until("the replica follows", || replica.call::<String>("INFO replication").contains("master_link_status:up"));
    let door = Door::to(master.port);
    let (a, b) = (on(&door.url(""), json!({})), on(&door.url(""), json!({})));
    let mut readers = [&a, &b].map(|hub| hub.stream(&["t"], Framing::Message));
    let both = give(&a, "t", "both");
    until("the replica has it", || replica.call::<i64>("XLEN sse") == 1);
    replica.signal(Signal::STOP);
    let lost = give(&a, "t", "lost");
    for reader in &mut readers {
        assert_eq!(reader.message(), format!("event {both} t - both"));
        assert_eq!(reader.message(), format!("event {lost} t - lost"));
    }
    master.kill();
    away(&a);
    replica.signal(Signal::CONT);
    until("the replica has noticed", || replica.call::<String>("INFO replication").contains("master_link_status:down"));
    door.lead_to(replica.port);
    // It is there, and reads only: publishers wait until it is the master.
    let after = thread::scope(|scope| {
        let waiting = scope.spawn(|| give(&b, "t", "after"));
        a.until("the replica is seen", |stats| stats["bus"]["gaps"] != json!(0));
        let _: String = replica.call("REPLICAOF NO ONE");
        waiting.join().expect("published")
    });
    for reader in &mut readers {
        let mut gaps = 0;
        let next = loop {
            let message = reader.message();
            if message != GAP {
                break message;
            }
            gaps += 1;
        };
        assert!(gaps > 0);
        assert_eq!(next, format!("event {after} t - after"));
    }
    for id in [&both, &lost] {
        assert_eq!(resumed(&a, "t", id).message(), GAP);
    }
    let mut reader = resumed(&b, "t", &after);
    let next = give(&a, "t", "next");
    // A hub that was there before the replica became the master tells of that as well.
    let messages = std::iter::from_fn(|| Some(reader.message())).find(|message| message != GAP);
    assert_eq!(messages, Some(format!("event {next} t - next")));
}

#[test]
fn wakes_are_kept_while_redis_is_away_and_told_when_it_is_back() {
    let redis = Redis::new();
    let (a, b) = (hub(&redis), hub(&redis));
    let (mut near, mut far) = (a.stream(&["t.*"], Framing::Message), b.stream(&["t.*"], Framing::Message));
    redis.signal(Signal::STOP);
    away(&a);
    away(&b);
    trigger(&a.client(), &["t.1"]);
    assert_eq!(near.message(), "trigger t.1", "not later than without a bus");
    redis.signal(Signal::CONT);
    back(&a);
    back(&b);
    a.until("it is sent", |stats| stats["bus"]["wakes_sent"] == json!(1));
    // A hub that had to listen anew wakes everything then, as it can't know what it has missed.
    let told = far.message();
    assert!(told == GAP || told == "trigger t.1", "{told}");
}

#[test]
fn a_hub_starts_without_redis_and_loads_when_it_comes() {
    let mut redis = Redis::with(&DURABLE);
    let before = redis.add("t", "before");
    redis.kill();
    let hub = Hub::with(json!({ "bus": redis.url(""), "history_events": 100 }));
    away(&hub);
    let page = cursor(&hub);
    let mut readers = [resumed(&hub, "t", &page), hub.stream(&["t"], Framing::Message)];
    assert_eq!(resumed(&hub, "t", &before).message(), GAP);
    let id = thread::scope(|scope| {
        let waiting = scope.spawn(|| give(&hub, "t", "waited"));
        hub.until("it waits", |stats| stats["bus"]["waiting"] == json!(1));
        redis.restart();
        waiting.join().expect("published")
    });
    let mark = give(&hub, "t", "mark");
    for reader in &mut readers {
        assert_eq!(reader.message(), GAP);
        let mut last = String::new();
        while last != format!("event {mark} t - mark") {
            last = reader.message();
            assert!(!last.contains("before"));
        }
    }
    // The cursor of that time is worth nothing any more, and the history is that of Redis.
    assert_eq!(resumed(&hub, "t", &page).message(), GAP);
    assert_eq!(resumed(&hub, "t", &before).message(), format!("event {id} t - waited"));
}

/// The hub's clock may be ahead of Redis's: from an id of its own a client would skip what Redis gets next.
#[test]
fn a_client_is_told_no_id_of_a_bus_that_was_never_read() {
    let mut redis = Redis::with(&DURABLE);
    let before = redis.add("t", "before");
    redis.kill();
    let hub = Hub::with(json!({ "bus": redis.url(""), "history_events": 100 }));
    away(&hub);
    for topics_as in [None, Some(TopicsAs::Field)] {
        let mut client = hub.client();
        let (near, far) = UnixStream::pair().expect("a pair");
        let wanted = Attach {
            patterns: vec!["t"],
            last_event_id: Some(&before),
            spec: StreamSpec { topics_as, cursor: topics_as.is_none(), ..StreamSpec::default() },
            ..Default::default()
        };
        let stream = match client.call(&Request::Attach(wanted), Some(near.as_fd()), PATIENCE) {
            Ok(Reply::Attached { stream, .. }) => stream,
            other => panic!("not attached: {other:?}"),
        };
        commit(&client, stream, Framing::Raw);
        hub.until("it is open", |stats| stats["queued_bytes"] == json!(0) && stats["delivered_bytes"] != json!(0));
        let mut got = vec![0; 4096];
        let count = (&far).read(&mut got).expect("its beginning");
        let got = String::from_utf8_lossy(&got[..count]).into_owned();
        let ids: Vec<_> = got.lines().filter_map(|line| line.strip_prefix("id: ")).filter_map(Id::parse).collect();
        assert!(ids.is_empty(), "{got}");
        assert!(got.contains("event: gap"), "{got}");
    }
}

#[test]
fn a_hub_ends_at_once_with_or_without_redis() {
    let redis = Redis::new();
    for stopped in [false, true] {
        let mut hub = hub(&redis);
        let mut client = hub.client();
        if stopped {
            redis.signal(Signal::STOP);
            away(&hub);
            assert!(client.call(&event("t", "x"), None, Duration::from_millis(20)).is_err());
        } else {
            client.call(&event("t", "x"), None, PATIENCE).expect("published");
        }
        hub.signal(Signal::TERM);
        // Within the tests' patience, that is; publishers wait an hour for Redis here.
        assert!(hub.ended().success());
    }
    redis.signal(Signal::CONT);
}
