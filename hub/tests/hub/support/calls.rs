//! Requests to a hub, by the client and as bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::SendFlags;
use serde_json::Value;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::event::NewEvent;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, Attach, Framing, PREFIX, Reply, Request};

use super::PATIENCE;

pub fn stats(client: &mut Client) -> Value {
    match client.call(&Request::Stats, None, PATIENCE) {
        Ok(Reply::Stats { json }) => serde_json::from_str(json).expect("JSON"),
        other => panic!("no counters: {other:?}"),
    }
}

/// Reads a request's head, as the server that gets it.
pub fn http_head(socket: &mut TcpStream) -> String {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the rest of the head");
        bytes.extend(byte);
    }
    String::from_utf8(bytes).expect("text")
}

/// The hub's metrics, as lines.
pub fn metrics(client: &mut Client) -> Vec<String> {
    match client.call(&Request::Metrics, None, PATIENCE) {
        Ok(Reply::Metrics { text }) => text.lines().map(str::to_owned).collect(),
        other => panic!("no metrics: {other:?}"),
    }
}

/// Attaches without a heartbeat and with `retry` milliseconds. The test's own descriptor is closed.
#[allow(clippy::needless_pass_by_value, reason = "the hub's descriptor shall be the only one")]
pub fn attach(client: &mut Client, socket: OwnedFd, patterns: &[&str], retry: u32) -> Result<u64, ClientError> {
    let request = Request::Attach(Attach {
        patterns: patterns.to_vec(),
        spec: StreamSpec { retry, ..StreamSpec::default() },
        ..Default::default()
    });
    match client.call(&request, Some(socket.as_fd()), PATIENCE)? {
        Reply::Attached { stream, .. } => Ok(stream),
        other => panic!("not attached: {other:?}"),
    }
}

/// Attaches one end of a pair for a reader that has this event already; the other end is the reader's.
pub fn attach_after(client: &mut Client, patterns: &[&str], last_event_id: &str) -> (u64, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    let request = Request::Attach(Attach {
        patterns: patterns.to_vec(),
        last_event_id: Some(last_event_id),
        ..Default::default()
    });
    match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => (stream, far),
        other => panic!("not attached: {other:?}"),
    }
}

pub fn commit(client: &Client, stream: u64, framing: Framing) {
    client.post(&Request::Commit { stream, framing }).expect("the hub is there");
}

/// Publishes with an id of our own, so that the bytes are known.
pub fn publish(client: &mut Client, topics: &[&str], id: &str, data: &str) {
    let request = Request::Publish {
        event: NewEvent { topics: topics.to_vec(), id: Some(id), data: data.as_bytes(), ..NewEvent::default() },
        answer: true,
    };
    match client.call(&request, None, PATIENCE) {
        Ok(Reply::Published { id: given }) => assert_eq!(given, id),
        other => panic!("not published: {other:?}"),
    }
}

pub fn trigger(client: &Client, topics: &[&str]) {
    client.post(&Request::Trigger { topics: topics.to_vec() }).expect("the hub is there");
}

/// Sends bytes as they are.
pub fn send(socket: &mut UnixStream, bytes: &[u8]) {
    socket.write_all(bytes).expect("the hub reads");
}

/// The same, with a descriptor.
pub fn send_with(socket: &UnixStream, bytes: &[u8], descriptor: BorrowedFd<'_>) {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    assert!(ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = rustix::net::sendmsg(socket, &[std::io::IoSlice::new(bytes)], &mut ancillary, SendFlags::empty());
    assert_eq!(sent.expect("the hub reads"), bytes.len());
}

/// The next answer on a connection without a [`Client`], as text.
pub fn answer(socket: &mut UnixStream) -> String {
    format!("{:?}", wire::decode::<Reply<'_>>(&content(socket)).expect("an answer"))
}

/// The next request of a [`Client`], as text.
pub fn request(socket: &mut UnixStream) -> String {
    format!("{:?}", wire::decode::<Request<'_>>(&content(socket)).expect("a request"))
}

fn content(socket: &mut UnixStream) -> Vec<u8> {
    let mut prefix = [0; PREFIX];
    socket.read_exact(&mut prefix).expect("a message");
    let mut content = vec![0; u32::from_le_bytes(prefix) as usize];
    socket.read_exact(&mut content).expect("all of it");
    content
}

/// The greeting of this version.
pub fn hello() -> Vec<u8> {
    wire::encode(&Request::Hello { magic: wire::MAGIC, protocol: wire::PROTOCOL, version: "test", owner: None })
}
