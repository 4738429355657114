//! What of streams with callbacks is refused, and as whose doing: a worker keeps its stream only where the server itself can't
//! hand over.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use serde_bytes::Bytes;
use serde_json::json;
use sse_protocol::cause::Cause;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{Attach, ErrorCode, OriginalRequest, Protocol, Replay, Reply, Request};

use crate::support::{self, Hub, PATIENCE, server};

const KIB: usize = 1 << 10;

/// A server at all addresses of this machine, which are the clients' to choose from.
struct Server(TcpListener);

impl Server {
    fn new() -> Self {
        Self(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port"))
    }

    /// A connection to this address of it, and the client's end.
    fn accept(&self, address: Ipv4Addr) -> (OwnedFd, TcpStream) {
        let port = self.0.local_addr().expect("bound").port();
        let far = TcpStream::connect((address, port)).expect("loopback");
        let (near, _) = self.0.accept().expect("connected");
        (near.into(), far)
    }
}

/// Offers a stream whose request has a body of so many bytes, and is for a client of this address.
fn offer(hub: &mut Client, connection: &OwnedFd, address: &str, body: usize) -> Result<u64, ClientError> {
    let body = vec![b'x'; body];
    let request = OriginalRequest {
        script: "/a.php",
        protocol: Protocol::Http { method: "POST", target: "/a.php" },
        body: Bytes::new(&body),
        remote: (address, "5000"),
        ..server::original_request()
    };
    let replay = Replay { only_changes: true, request, ..server::replay() };
    let wanted = Attach { patterns: vec!["a"], address: Some(address), replay: Some(replay), ..Default::default() };
    match hub.call(&Request::Attach(wanted), Some(connection.as_fd()), PATIENCE)? {
        Reply::Attached { stream, .. } => Ok(stream),
        other => panic!("neither attached nor refused: {other:?}"),
    }
}

fn refusal(offered: Result<u64, ClientError>) -> (ErrorCode, Option<Cause>, String) {
    match offered {
        Err(error @ ClientError::Hub { code, .. }) => (code, error.cause(), error.to_string()),
        other => panic!("not refused: {other:?}"),
    }
}

/// One client must not be able to take what is kept for the streams of all: their workers would have to serve them.
#[test]
fn an_address_gets_an_eighth_of_what_is_kept_for_renders_and_others_the_rest() {
    let (hub, server) = (Hub::with(json!({"render_bytes": 1024 * KIB})), Server::new());
    let mut client = hub.client();
    let (connection, _far) = server.accept(Ipv4Addr::LOCALHOST);
    let mut held = vec![
        offer(&mut client, &connection, "192.0.2.7", 60 * KIB).expect("room"),
        offer(&mut client, &connection, "192.0.2.7", 60 * KIB).expect("room"),
    ];
    let (code, cause, message) = refusal(offer(&mut client, &connection, "192.0.2.7", 60 * KIB));
    assert_eq!((code, cause), (ErrorCode::TooMany, Some(Cause::Client)), "{message}");
    assert!(message.contains("192.0.2.7 takes the eighth of sse.render_bytes (131072 "), "{message}");

    let others = ["192.0.2.8", "192.0.2.9", "2001:db8:1:2::1", "2001:db8:1:3::1", "unix:", "192.0.2.10", "192.0.2.11"];
    for address in others {
        for _ in 0..2 {
            held.push(offer(&mut client, &connection, address, 60 * KIB).expect("a share of its own"));
        }
    }
    let (code, cause, message) = refusal(offer(&mut client, &connection, "2001:db8:1:2::2", 60 * KIB));
    assert_eq!((code, cause), (ErrorCode::TooMany, Some(Cause::Client)), "{message}");
    held.push(offer(&mut client, &connection, "192.0.2.12", 60 * KIB).expect("the last"));
    let (code, cause, message) = refusal(offer(&mut client, &connection, "192.0.2.13", 60 * KIB));
    assert_eq!((code, cause), (ErrorCode::Busy, Some(Cause::Load)), "{message}");
    assert!(message.contains("sse.render_bytes (1048576) is used up by all clients together"), "{message}");

    for stream in held {
        client.post(&Request::Abort { stream }).expect("the hub is there");
    }
    let stats = hub.until("nothing is kept", |stats| stats["renders"]["bytes"] == json!(0));
    assert_eq!(stats["renders"]["refused"], json!(3));
    offer(&mut client, &connection, "192.0.2.7", 60 * KIB).expect("room again");
}

/// What the whole of a budget counts goes on counting for whom it did.
#[test]
fn what_an_address_has_taken_is_known_to_the_next_hub() {
    let (mut hub, server) = (Hub::with(json!({"render_bytes": 1024 * KIB})), Server::new());
    let mut client = hub.client();
    let (connection, _far) = server.accept(Ipv4Addr::LOCALHOST);
    for _ in 0..2 {
        let stream = offer(&mut client, &connection, "192.0.2.7", 60 * KIB).expect("room");
        support::commit(&client, stream, sse_protocol::wire::Framing::Raw);
    }
    hub.until("both are open", |stats| stats["streams"]["open"] == json!(2));
    let bytes = hub.stats()["renders"]["bytes"].clone();

    hub.upgrade(&json!({}));

    assert_eq!(hub.stats()["renders"]["bytes"], bytes);
    let mut client = hub.client();
    let (code, ..) = refusal(offer(&mut client, &connection, "192.0.2.7", 60 * KIB));
    assert_eq!(code, ErrorCode::TooMany);
    offer(&mut client, &connection, "192.0.2.8", 60 * KIB).expect("another client");
}

/// A client may choose among the addresses of a machine, which are many where one is a whole network's.
#[test]
fn servers_without_streams_are_forgotten() {
    let (hub, server) = (Hub::new(), Server::new());
    let mut client = hub.client();
    let (first, _far) = server.accept(Ipv4Addr::LOCALHOST);
    offer(&mut client, &first, "192.0.2.7", 0).expect("the first server");
    for number in 0..1100_u16 {
        let [high, low] = number.to_be_bytes();
        let (connection, _far) = server.accept(Ipv4Addr::new(127, 1, high, low));
        let stream = offer(&mut client, &connection, "192.0.2.7", 0).expect("room for one more server");
        client.post(&Request::Abort { stream }).expect("the hub is there");
    }
    hub.until("the first one's stream is left", |stats| stats["renders"]["streams"] == json!(1));
}
