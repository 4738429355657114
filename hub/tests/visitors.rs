//! Limits for one client address and for one user.

mod support;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::json;
use sse_hub::client::{Client, ClientError};
use sse_hub::wire::{Attach, ErrorCode, Framing, Reply, Request, User};
use support::{Hub, PATIENCE, commit, nonzero, read_to_string};

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
    hub.until("it has left", |stats| stats["streams"]["closed"]["client"] == json!(1));
    let _third = open(&mut client, Some("192.0.2.7"), None).expect("room again");
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
    let alice = Some(User { key: "alice", limit: 2 });
    let _first = open(&mut client, Some("192.0.2.7"), alice).expect("room");
    let _second = open(&mut hub.client(), Some("192.0.2.8"), alice).expect("room");
    let refused = open(&mut client, Some("192.0.2.9"), alice).expect_err("full");
    assert_eq!(refused, "a user has as many streams open as max_per_user or sse.max_streams_per_user allows (2)");
    let _bob = open(&mut client, Some("192.0.2.7"), Some(User { key: "bob", limit: 2 })).expect("room for others");
    let _more = open(&mut client, None, Some(User { key: "alice", limit: 3 })).expect("another script allows more");
    assert_eq!(nonzero(&hub.stats()["refused"]), json!({"per_user": 1}));
    assert_eq!(hub.stats()["visitors"], json!(2), "addresses are counted only where they are limited");
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
    assert_eq!(hub.stats()["visitors"], json!(0));
    open(&mut hub.client(), Some("192.0.2.7"), None).expect("room");
}

#[test]
fn the_log_names_the_address_and_not_the_user() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let hub = Hub::with(json!({"max_streams_per_ip": 1, "log": log.path(), "log_level": "warn"}));
    let mut client = hub.client();
    let alice = Some(User { key: "alice@example.org", limit: 1 });
    let _first = open(&mut client, Some("192.0.2.7"), alice).expect("room");
    assert!(open(&mut client, Some("192.0.2.7"), None).is_err());
    assert!(open(&mut client, None, alice).is_err());
    let text = read_to_string(log.path());
    assert!(text.contains("192.0.2.7 has as many streams open"), "{text}");
    assert!(!text.contains("alice"), "{text}");
}
