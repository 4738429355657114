//! Clients that vanish without a word, over a cable that is cut without anybody being told.

use std::net::TcpStream;
use std::os::fd::AsFd;

use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, ErrorCode, Framing, Reply, Request, User};

use crate::support::network::{Cut, Network};
use crate::support::{self, Hub, PATIENCE, commit};

/// Alice's only stream; false: she has one.
fn open(client: &mut Client, near: &TcpStream, heartbeat: u32) -> bool {
    let user = Some(User { key: "alice", limit: 1, replace: false });
    let attach = Attach {
        patterns: vec!["a"],
        user,
        spec: StreamSpec { heartbeat, ..StreamSpec::default() },
        ..Default::default()
    };
    match client.call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => {
            commit(client, stream, Framing::Raw);
            true
        }
        Err(ClientError::Hub { code: ErrorCode::TooMany, .. }) => false,
        other => panic!("neither attached nor too many: {other:?}"),
    }
}

/// With heartbeats, which are not acknowledged, and without anything that could be.
#[test]
fn a_client_that_has_vanished_has_no_stream_any_more_and_its_user_may_have_another() {
    let Some(network) = Network::of(1) else { return };
    a_client_that_is_silent_stays(&network);
    for heartbeat in [1, 0] {
        let hub = Hub::with(json!({"stall_timeout": 2}));
        let mut client = hub.client();
        let ((near, mut far), (again, _far)) = (network.connection(0), network.connection(0));
        assert!(open(&mut client, &near, heartbeat));
        support::expect(&mut far, b":\n\n");
        assert!(!open(&mut client, &network.connection(0).0, heartbeat));
        network.cut(0, Cut::Both);
        let stats = hub.until("it is noticed", |stats| stats["streams"]["open"] == json!(0));
        assert_eq!(stats["streams"]["closed"]["client"], json!(1), "{stats}");
        network.join();
        assert!(open(&mut client, &again, heartbeat));
    }
}

/// It answers the probes. A stream that ends by itself says when enough time has passed for some of them.
fn a_client_that_is_silent_stays(network: &Network) {
    let hub = Hub::with(json!({"stall_timeout": 1}));
    let mut client = hub.client();
    let ((near, mut far), (other, _other)) = (network.connection(0), network.connection(0));
    assert!(open(&mut client, &near, 0));
    support::expect(&mut far, b":\n\n");
    let attach = Attach {
        patterns: vec!["a"],
        spec: StreamSpec { heartbeat: 1, max_lifetime: 4, ..StreamSpec::default() },
        ..Default::default()
    };
    match client.call(&Request::Attach(attach), Some(other.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => commit(&client, stream, Framing::Raw),
        other => panic!("not attached: {other:?}"),
    }
    // An end is counted a moment before the stream is not open any more.
    let stats = hub.until("its time is over", |stats| {
        stats["streams"]["closed"]["lifetime"] == json!(1) && stats["streams"]["open"] != json!(2)
    });
    assert_eq!(stats["streams"]["open"], json!(1));
}
