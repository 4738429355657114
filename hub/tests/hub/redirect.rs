//! Streams that a web server fetches from the hub by HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_bytes::Bytes;
use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{Attach, ErrorCode, Reply, Request};

use crate::support::{self, Hub, PATIENCE, expect, expect_end, expect_gone, patient, publish};

const HEADERS: [&[u8]; 2] = [b"Content-Type: text/event-stream", b"Set-Cookie: a=b"];

fn headers<'a>(lines: &[&'a [u8]]) -> Vec<&'a Bytes> {
    lines.iter().map(|line| Bytes::new(line)).collect()
}

fn redirect(client: &mut Client, stream: u64, lines: &[&[u8]]) -> Result<String, ClientError> {
    let request = Request::Redirect { stream, address: Some("192.0.2.1"), headers: headers(lines) };
    match client.call(&request, None, PATIENCE)? {
        Reply::Redirect { ticket } => Ok(ticket.to_owned()),
        other => panic!("no ticket: {other:?}"),
    }
}

/// A held stream's client and ticket.
fn ticket(hub: &Hub) -> (Client, String) {
    let (reader, _) = hub.hold(Attach { patterns: vec!["a"], ..Attach::default() });
    let mut client = reader.client;
    let ticket = redirect(&mut client, reader.stream, &HEADERS).expect("a ticket");
    (client, ticket)
}

/// The web server's connection.
fn connect(hub: &Hub) -> UnixStream {
    patient(UnixStream::connect(hub.socket.with_added_extension("http")).expect("the hub listens"))
}

fn fetch(hub: &Hub, ticket: &str, version: &str) -> UnixStream {
    let mut socket = connect(hub);
    write!(socket, "GET /.sse/{ticket} HTTP/{version}\r\nHost: x\r\n\r\n").expect("the hub reads");
    socket
}

const HEAD: &[u8] =
    b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: a=b\r\nConnection: close\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: a=b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

/// Fetches what is not there, and tells nothing of why it is not.
fn expect_nothing(hub: &Hub, ticket: &str) {
    let mut answer = String::new();
    // A test that stands still for longer than the limit is cut off, unanswered and uncounted.
    support::until("the hub answers", || {
        let mut socket = connect(hub);
        let told = write!(socket, "GET /.sse/{ticket} HTTP/1.1\r\nHost: x\r\n\r\n");
        told.and_then(|()| socket.read_to_string(&mut answer)).is_ok_and(|length| length > 0)
    });
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert_eq!((head.lines().next(), body), (Some("HTTP/1.1 410 Gone"), ""), "{answer}");
}

#[test]
fn a_stream_is_fetched_with_its_headers_and_with_what_came_meanwhile() {
    let hub = Hub::new();
    assert!(!hub.socket.with_added_extension("http").exists(), "nothing listens before the first redirect");
    let (mut client, first) = ticket(&hub);
    let mode = std::fs::metadata(hub.socket.with_added_extension("http")).expect("it listens").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (second, second_ticket) = ticket(&hub);
    // The stream is no longer its worker's.
    drop(second);
    publish(&mut client, &["a"], "1", "before");
    let mut raw = fetch(&hub, &first, "1.0");
    expect(&mut raw, HEAD);
    expect(&mut raw, b":\n\nid: 1\ndata: before\n\n");
    let mut chunked = fetch(&hub, &second_ticket, "1.1");
    expect(&mut chunked, CHUNKED);
    expect(&mut chunked, b"3\r\n:\n\n\r\n14\r\nid: 1\ndata: before\n\n\r\n");
    publish(&mut client, &["a"], "2", "after");
    expect(&mut raw, b"id: 2\ndata: after\n\n");
    expect(&mut chunked, b"13\r\nid: 2\ndata: after\n\n\r\n");
    let stats = hub.until("both are open", |stats| stats["streams"]["open"] == json!(2));
    assert_eq!(support::nonzero(&stats["redirects"]), json!({ "issued": 2, "followed": 2 }));
    // The client leaves, and the web server with it.
    drop(raw);
    hub.until("one has ended", |stats| stats["streams"]["closed"]["client"] == json!(1));
}

/// Attack: somebody learns a ticket from a log, or guesses.
#[test]
fn a_ticket_that_is_used_late_or_forged_is_nothing() {
    let hub = Hub::with(json!({ "redirect_timeout_ms": 300 }));
    let (_client, late) = ticket(&hub);
    hub.until("the stream that nobody fetched has ended", |stats| stats["streams"]["closed"]["aborted"] == json!(1));
    expect_nothing(&hub, &late);
    expect_nothing(&hub, &"A".repeat(32));
    expect_nothing(&hub, "");
    assert_eq!(support::nonzero(&hub.stats()["redirects"]), json!({ "issued": 1, "expired": 1, "unknown": 3 }));

    let hub = Hub::new();
    let (_client, used) = ticket(&hub);
    let mut stream = fetch(&hub, &used, "1.0");
    expect(&mut stream, HEAD);
    expect_nothing(&hub, &used);
    expect(&mut stream, b":\n\n");
}

#[test]
fn only_who_holds_a_stream_gets_a_ticket_and_only_for_headers() {
    let hub = Hub::new();
    let (mut reader, _) = hub.hold(Attach { patterns: vec!["a"], ..Attach::default() });
    let mut other = hub.client();
    assert!(matches!(
        redirect(&mut other, reader.stream, &HEADERS),
        Err(ClientError::Hub { code: ErrorCode::Over, .. })
    ));
    let error = support::text(redirect(&mut reader.client, reader.stream, &[b"X: a\r\nY: b"]));
    assert!(error.contains("not valid in HTTP"), "{error}");
    redirect(&mut reader.client, reader.stream, &HEADERS).expect("it is still held");
    assert!(redirect(&mut reader.client, reader.stream, &HEADERS).is_err(), "one ticket for a stream");

    let closed = Hub::with(json!({ "http": "off" }));
    let (mut reader, _) = closed.hold(Attach { patterns: vec!["a"], ..Attach::default() });
    let error = redirect(&mut reader.client, reader.stream, &HEADERS).expect_err("nothing listens");
    assert!(matches!(error, ClientError::Hub { code: ErrorCode::NoRedirect, .. }), "{error}");
    assert!(error.to_string().contains("sse.http is off"), "{error}");
}

/// Attack: one client has PHP ask for many streams that its web server never fetches.
#[test]
fn tickets_have_a_limit_for_one_client_and_for_all() {
    let hub = Hub::with(json!({ "redirect_bytes": 64 << 10 }));
    let long = [b"X-Long: ".as_slice(), &[b'x'; 2000]].concat();
    let (first, _) = hub.hold(Attach { patterns: vec!["a"], ..Attach::default() });
    let mut client = first.client;
    let mut streams = vec![first.stream];
    let refused = loop {
        let stream = *streams.last().expect("one");
        match redirect(&mut client, stream, &[&long]) {
            Ok(_) => {}
            Err(error) => break error,
        }
        let (near, _far) = UnixStream::pair().expect("a pair");
        streams.push(support::attach(&mut client, near.into(), &["a"], 0).expect("attached"));
    };
    assert_eq!(streams.len(), 4, "an eighth of 64 KiB");
    assert!(matches!(refused, ClientError::Hub { code: ErrorCode::TooMany, .. }), "{refused}");
    assert!(refused.to_string().contains("sse.redirect_bytes"), "{refused}");
    assert_eq!(support::nonzero(&hub.stats()["refused"]), json!({ "redirect_bytes": 1 }));
}

/// Attack: a neighbour that may connect opens connections and sends nothing, or sends without an end.
#[test]
fn requests_that_do_not_come_neither_hold_places_nor_stop_others() {
    let hub = Hub::with(json!({ "http_connections": 4, "redirect_timeout_ms": 500 }));
    let _ticket = ticket(&hub);
    let mut idle: Vec<UnixStream> = (0..8).map(|_| connect(&hub)).collect();
    let mut endless = connect(&hub);
    idle.iter_mut().for_each(expect_gone);
    // The hub may have ended it meanwhile.
    let _ = endless.write_all(&[b"GET /a HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 64 << 10]].concat());
    let mut answer = Vec::new();
    let _ = endless.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", answer.escape_ascii());
    // A test that stands still for longer than the limit is cut off, too.
    support::until("the hub tells of its health", || {
        let (mut health, mut answer) = (connect(&hub), String::new());
        let told = health.write_all(b"GET /health HTTP/1.1\r\n\r\n").and_then(|()| health.read_to_string(&mut answer));
        told.is_ok() && answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n")
    });
}

/// Attack: a neighbour that may connect takes all places, and opens a new connection for each that ends.
#[test]
fn a_web_server_gets_a_place_at_once_however_many_connections_send_nothing() {
    // They may wait for an hour.
    let hub = Hub::with(json!({ "http_connections": 4 }));
    let (_client, ticket) = ticket(&hub);
    let mut idle: Vec<UnixStream> = (0..20).map(|_| connect(&hub)).collect();
    let mut stream = fetch(&hub, &ticket, "1.0");
    expect(&mut stream, HEAD);
    idle.iter_mut().take(16).for_each(expect_gone);
}

#[test]
fn tickets_and_half_a_request_outlive_an_upgrade() {
    let mut hub = Hub::new();
    let (_client, early) = ticket(&hub);
    let (_other, later) = ticket(&hub);
    let mut half = connect(&hub);
    write!(half, "GET /.sse/{early} HT").expect("the hub reads");
    publish(&mut hub.client(), &["a"], "1", "before");
    hub.upgrade(&json!({}));
    write!(half, "TP/1.0\r\n\r\n").expect("the hub reads");
    expect(&mut half, HEAD);
    let mut whole = fetch(&hub, &later, "1.0");
    expect(&mut whole, HEAD);
    publish(&mut hub.client(), &["a"], "2", "after");
    for socket in [&mut half, &mut whole] {
        expect(socket, b":\n\nid: 1\ndata: before\n\nid: 2\ndata: after\n\n");
    }
    hub.upgrade(&json!({}));
    publish(&mut hub.client(), &["a"], "3", "x");
    expect(&mut half, b"id: 3\ndata: x\n\n");
    expect_nothing(&hub, &early);
}

#[test]
fn streams_of_several_processes_and_by_tcp_are_fetched_alike() {
    let port = support::free_port();
    let hub = Hub::with(json!({ "processes": 2, "http": format!("127.0.0.1:{port}") }));
    let mut client = hub.client();
    let mut sockets: Vec<TcpStream> = (0..4)
        .map(|_| {
            let (_client, ticket) = ticket(&hub);
            let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the hub listens");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            write!(socket, "GET /{ticket} HTTP/1.0\r\n\r\n").expect("the hub reads");
            socket
        })
        .collect();
    for socket in &mut sockets {
        expect(socket, HEAD);
        expect(socket, b":\n\n");
    }
    publish(&mut client, &["a"], "1", "x");
    sockets.iter_mut().for_each(|socket| expect(socket, b"id: 1\ndata: x\n\n"));
    match client.call(&Request::Disconnect { whom: sse_protocol::wire::Whom::Topic("a"), retry: None }, None, PATIENCE)
    {
        Ok(Reply::Disconnected { .. }) => {}
        other => panic!("{other:?}"),
    }
    sockets.iter_mut().for_each(expect_end);
}
