//! Limits for one client address and for one user.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{Attach, ErrorCode, Framing, Reply, Request, User};

use crate::support::{self, Hub, PATIENCE, commit, nonzero, read_to_string};

/// A stream of this client, held; and the client's end of it.
fn offer(client: &mut Client, address: Option<&str>, user: Option<User<'_>>) -> Result<(u64, UnixStream), String> {
    let (near, far) = UnixStream::pair().expect("a pair");
    let request = Request::Attach(Attach { patterns: vec!["a"], address, user, ..Default::default() });
    match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => Ok((stream, far)),
        Err(ClientError::Hub { code: ErrorCode::TooMany, message }) => Err(message),
        other => panic!("neither attached nor too many: {other:?}"),
    }
}

fn open(client: &mut Client, address: Option<&str>, user: Option<User<'_>>) -> Result<UnixStream, String> {
    let (stream, far) = offer(client, address, user)?;
    commit(client, stream, Framing::Raw);
    Ok(far)
}

#[test]
fn an_address_has_so_many_streams_and_others_have_theirs() {
    let hub = Hub::with(json!({"max_streams_per_ip": 2}));
    let mut client = hub.client();
    let first = open(&mut client, Some("192.0.2.7"), None).expect("room");
    let _second = open(&mut client, Some("192.0.2.7"), None).expect("room");
    assert_eq!(
        open(&mut client, Some("192.0.2.7"), None).expect_err("full"),
        "192.0.2.7 has as many streams open as sse.max_streams_per_ip allows (2)"
    );
    let _other = open(&mut client, Some("192.0.2.8"), None).expect("room for others");
    let _local: Vec<_> = (0..3).map(|_| open(&mut client, None, None).expect("a PHP process is no client")).collect();
    assert_eq!(nonzero(&hub.stats()["refused"]), json!({"per_ip": 1}));

    drop(first);
    // The counter is a moment earlier than the ordering thread, which counts the address's streams.
    let mut third = None;
    support::until("there is room again", || {
        third = open(&mut client, Some("192.0.2.7"), None).ok();
        third.is_some()
    });
    assert!(open(&mut client, Some("192.0.2.7"), None).is_err());
}

#[test]
fn one_who_has_a_network_of_ipv6_is_one_client() {
    let hub = Hub::with(json!({"max_streams_per_ip": 1}));
    let mut client = hub.client();
    let _first = open(&mut client, Some("2001:db8:1:2::1"), None).expect("room");
    assert_eq!(
        open(&mut client, Some("2001:db8:1:2:ffff::2"), None).expect_err("full"),
        "2001:db8:1:2::/64 has as many streams open as sse.max_streams_per_ip allows (1)"
    );
    let _next = open(&mut client, Some("2001:db8:1:3::1"), None).expect("another network");
}

#[test]
fn a_users_streams_count_together_wherever_they_come_from() {
    let hub = Hub::new();
    let mut client = hub.client();
    let alice = Some(User { key: "alice", limit: 2, replace: false });
    let _first = open(&mut client, Some("192.0.2.7"), alice).expect("room");
    let _second = open(&mut hub.client(), Some("192.0.2.8"), alice).expect("room");
    let refused = open(&mut client, Some("192.0.2.9"), alice).expect_err("full");
    assert_eq!(refused, "a user has as many streams open as max_per_user or sse.max_streams_per_user allows (2)");
    let _bob = open(&mut client, Some("192.0.2.7"), Some(User { key: "bob", limit: 2, replace: false }))
        .expect("room for others");
    let _more = open(&mut client, None, Some(User { key: "alice", limit: 3, replace: false }))
        .expect("another script allows more");
    assert_eq!(nonzero(&hub.stats()["refused"]), json!({"per_user": 1}));
    assert_eq!(hub.stats()["quota_keys"], json!(2), "addresses are counted only where they are limited");
}

/// A worker whose hand-over fails at the last moment offers the stream a second time, at once.
#[test]
fn a_stream_that_is_taken_back_makes_room_at_once() {
    let hub = Hub::with(json!({"max_streams_per_ip": 1}));
    let mut client = hub.client();
    for _ in 0..100 {
        let (stream, _far) = offer(&mut client, Some("192.0.2.7"), None).expect("room");
        client.post(&Request::Abort { stream }).expect("the hub is there");
    }
    let (_, _far) = offer(&mut client, Some("192.0.2.7"), None).expect("room");
    // So does one whose worker dies.
    drop(client);
    hub.until("the worker is gone", |stats| stats["streams"]["closed"]["aborted"] == json!(101));
    assert_eq!(hub.stats()["quota_keys"], json!(0));
    open(&mut hub.client(), Some("192.0.2.7"), None).expect("room");
}

#[test]
fn the_log_names_the_address_and_not_the_user() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let hub = Hub::with(json!({"max_streams_per_ip": 1, "log": log.path(), "log_level": "warn"}));
    let mut client = hub.client();
    let alice = Some(User { key: "alice@example.org", limit: 1, replace: false });
    let _first = open(&mut client, Some("192.0.2.7"), alice).expect("room");
    assert!(open(&mut client, Some("192.0.2.7"), None).is_err());
    assert!(open(&mut client, None, alice).is_err());
    let text = read_to_string(log.path());
    assert!(text.contains("192.0.2.7 has as many streams open"), "{text}");
    assert!(!text.contains("alice"), "{text}");
}

/// What its client is told: two of them don't replace each other over and over.
const REPLACED: &[u8] = b"retry: 30000\nevent: replaced\ndata: {\"retry\":30000}\n\n";

#[test]
fn a_user_who_comes_back_replaces_the_oldest_stream_where_that_is_wanted() {
    for processes in [1, 2] {
        let mut hub = Hub::with(json!({"processes": processes}));
        let mut client = hub.client();
        let refusing = Some(User { key: "alice", limit: 2, replace: false });
        let replacing = Some(User { key: "alice", limit: 2, replace: true });
        let mut first = open(&mut client, None, refusing).expect("room");
        let mut second = open(&mut client, None, replacing).expect("room");
        assert!(open(&mut client, None, refusing).is_err());
        let mut third = open(&mut client, None, replacing).expect("in place of the first");
        support::expect(&mut first, &[b":\n\n", REPLACED].concat());
        support::expect_end(&mut first);
        let stats = hub.until("it is counted", |stats| {
            stats["streams"]["closed"]["replaced"] == json!(1) && stats["streams"]["open"] == json!(2)
        });
        assert_eq!(stats["quota_keys"], json!(1));
        assert!(open(&mut client, None, refusing).is_err());
        let _other = open(&mut client, None, Some(User { key: "bob", limit: 1, replace: true })).expect("his first");

        // Another hub knows the order as well, and one that allows less ends more.
        drop(client);
        hub.upgrade(&json!({}));
        let mut client = hub.client();
        let _last =
            open(&mut client, None, Some(User { key: "alice", limit: 1, replace: true })).expect("the only one");
        for stream in [&mut second, &mut third] {
            support::expect(stream, &[b":\n\n", REPLACED].concat());
            support::expect_end(stream);
        }
        assert_eq!(nonzero(&hub.stats()["refused"]), json!({"per_user": 2}));
    }
}

/// He may have vanished, and can't have more streams than he may by not reading.
#[test]
fn a_stream_that_is_replaced_does_not_wait_for_its_client() {
    let hub = Hub::with(json!({"history_events": 10}));
    let mut client = hub.client();
    let alice = Some(User { key: "alice", limit: 1, replace: true });
    let mut streams = vec![open(&mut client, None, alice).expect("room")];
    support::publish(&mut client, &["a"], "1", &"x".repeat(2 << 20));
    hub.until("it is behind", |stats| stats["queued_bytes"].as_u64() > Some(0));
    for _ in 0..10 {
        streams.push(open(&mut client, None, alice).expect("in place of the one before"));
    }
    hub.until("they have ended", |stats| {
        stats["streams"]["closed"]["replaced"] == json!(10) && stats["streams"]["open"] == json!(1)
    });
    assert_eq!(hub.stats()["queued_bytes"], json!(0));
}

/// Its worker may have sent the first lines, and not be heard of yet.
#[test]
fn a_stream_that_is_replaced_before_it_has_begun_is_told_when_it_does() {
    let hub = Hub::new();
    let mut client = hub.client();
    let alice = Some(User { key: "alice", limit: 1, replace: true });
    let (stream, mut held) = offer(&mut client, None, alice).expect("room");
    let (_, mut aborted) = offer(&mut client, None, alice).expect("in place of the first");
    let _new = open(&mut hub.client(), None, alice).expect("in place of the second");
    commit(&client, stream, Framing::Raw);
    support::expect(&mut held, &[b":\n\n", REPLACED].concat());
    support::expect_end(&mut held);
    // The other one's worker dies.
    drop(client);
    support::expect_end(&mut aborted);
    hub.until("there is one", |stats| {
        let (closed, streams) = (&stats["streams"]["closed"], &stats["streams"]);
        closed["replaced"] == json!(1)
            && closed["aborted"] == json!(1)
            && streams["open"] == json!(1)
            && streams["held"] == json!(0)
    });
}
