//! The log: the life of a stream by its number, and nothing that is nobody's business.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_bytes::Bytes;
use serde_json::{Value, json};
use sse_protocol::client::Client;
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{Attach, Framing, OriginalRequest, Protocol, Replay, Reply, Request, Whose};
use tempfile::TempDir;

use crate::support::{self, Hub, PATIENCE, Reader, commit, publish, read_to_string, server, trigger, until};

/// A hub with a log of this level.
fn hub(folder: &TempDir, level: &str, mut settings: Value) -> (Hub, std::path::PathBuf) {
    let path = folder.path().join("hub.log");
    settings["log"] = json!(path);
    settings["log_level"] = json!(level);
    (Hub::with(settings), path)
}

/// Attaches a stream that has the event with this id, and lets it begin.
fn resume(hub: &Hub, last_event_id: &str) -> Reader {
    let (near, far) = UnixStream::pair().expect("a pair");
    let mut client = hub.client();
    let request =
        Request::Attach(Attach { patterns: vec!["a", "b"], last_event_id: Some(last_event_id), ..Default::default() });
    let Ok(Reply::Attached { stream, .. }) = client.call(&request, Some(near.as_fd()), PATIENCE) else {
        panic!("not attached")
    };
    commit(&client, stream, Framing::Raw);
    Reader::new(far, stream, client)
}

/// What the log says of a stream, without time and level.
fn said(log: &str, stream: u64) -> Vec<String> {
    let number = format!("stream={stream}");
    let of_stream = log.lines().filter(|line| line.split(' ').any(|word| word == number));
    of_stream.filter_map(|line| line.split_once("INFO ").map(|(_, text)| text.to_owned())).collect()
}

#[test]
fn a_stream_can_be_followed_from_its_beginning_to_its_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (hub, path) = hub(&folder, "info", json!({ "history_events": 10, "stream_buffer": 4096 }));
    publish(&mut hub.client(), &["a"], "kept", "x");
    let mut left = resume(&hub, "kept");
    publish(&mut hub.client(), &["b"], "later", "x");
    left.expect(b":\n\nid: later\ndata: x\n\n");
    let strange = format!("forged\nline {}", "y".repeat(300));
    let slow = resume(&hub, &strange);
    let (first, second) = (left.stream, slow.stream);
    drop(left);
    for number in 0.. {
        publish(&mut hub.client(), &["a"], &number.to_string(), &"x".repeat(100_000));
        if hub.stats()["streams"]["closed"]["slow"] == 1 {
            break;
        }
    }
    hub.until("the first has ended", |stats| stats["streams"]["closed"]["client"] == 1);
    until("all is written", || said(&read_to_string(&path), second).len() == 3);
    let log = read_to_string(&path);
    assert_eq!(
        said(&log, first),
        [format!("attached stream={first} topics=2 missed=0"), format!("ended stream={first} why=\"client\""),]
    );
    let lines = said(&log, second);
    assert_eq!(lines[0], format!("attached stream={second} topics=2 missed=2"));
    let requested = format!("forged\\nline {}", "y".repeat(52));
    assert_eq!(lines[1], format!("a gap was told stream={second} requested=\"{requested}\" oldest=\"kept\""));
    assert!(lines[2].starts_with("ended: the client reads too slowly"), "{log}");
    assert!(lines[2].contains(&format!("stream={second} why=\"slow\" queued=")), "{log}");
    assert_eq!(fs::metadata(&path).map(|file| std::os::unix::fs::MetadataExt::mode(&file) & 0o777).ok(), Some(0o600));
}

/// The attack: whoever can read the log, and that is often more people than should, gets sessions or messages from it.
#[test]
fn no_level_tells_data_cookies_headers_bodies_or_tokens() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (hub, path) =
        hub(&folder, "trace", json!({ "history_events": 10, "udp": "127.0.0.1:0", "udp_key": "secret-key" }));
    let mut client = hub.client();
    publish(&mut client, &["a"], "1", "secret-data");
    let refused = Request::Publish {
        event: NewEvent {
            topics: vec!["a"],
            event_type: Some("a\nb"),
            data: b"secret-refused-data",
            ..NewEvent::default()
        },
        answer: false,
    };
    client.post(&refused).expect("sent");
    // A server that answers what a failing script does, and tells the token that it was sent.
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("its address");
    let far = std::net::TcpStream::connect(address).expect("a connection");
    let (near, _) = server.accept().expect("the connection");
    let header = |name: &'static str, value: &'static str| (Bytes::new(name.as_bytes()), Bytes::new(value.as_bytes()));
    let replay = Replay {
        only_changes: true,
        share: Some("secret-share"),
        request: OriginalRequest {
            protocol: Protocol::Http { method: "POST", target: "/stream.php?key=secret-query" },
            fields: vec![header("Cookie", "id=secret-cookie"), header("Authorization", "Bearer secret-header")],
            body: Bytes::new(b"password=secret-body"),
            remote: ("secret-address", "1"),
            ..server::original_request()
        },
        ..server::replay()
    };
    let request = Request::Attach(Attach { patterns: vec!["a"], replay: Some(replay), ..Default::default() });
    let Ok(Reply::Attached { stream, .. }) = client.call(&request, Some(near.as_fd()), PATIENCE) else {
        panic!("not attached")
    };
    drop(near);
    let whose = Whose::Stream(stream);
    let frames = b"data: secret-frame\n\n";
    let rendered = Request::Rendered {
        whose,
        render: true,
        share: None,
        patterns: vec!["a"],
        last_id: None,
        ends: false,
        frames,
        answer: true,
    };
    client.call(&rendered, None, PATIENCE).expect("taken");
    commit(&client, stream, Framing::Raw);
    trigger(&client, &["a"]);
    let (mut asked, _) = server.accept().expect("the hub sends the request again");
    let head = support::http_head(&mut asked);
    support::expect(&mut asked, b"password=secret-body");
    assert!(head.contains("secret-cookie") && head.contains("secret-query"), "{head}");
    let token = head.lines().find_map(|line| line.to_lowercase().strip_prefix("sse-render-token:").map(str::to_owned));
    let token = token.expect("the hub's token").trim().to_owned();
    assert!(matches!(client.call(&Request::Replayed { token: &token }, None, PATIENCE), Ok(Reply::Replayed { .. })));
    asked
        .write_all(b"HTTP/1.1 500 No\r\nX-Secret: secret-answer\r\nConnection: close\r\n\r\nsecret-page")
        .expect("sent");
    drop(asked);
    until("the failure is told", || read_to_string(&path).contains("a render failed"));
    drop(far);
    hub.until("the stream has ended", |stats| stats["streams"]["open"] == 0);
    until("its end is told", || !said(&read_to_string(&path), stream).is_empty());
    let log = read_to_string(&path);
    assert!(log.contains("an event was refused"), "{log}");
    assert!(!log.to_lowercase().contains("secret"), "{log}");
    assert!(!log.to_lowercase().contains(&token), "{log}");
}

/// The attack: whoever fills the disk that the log is on, and it need not be a client of the hub's, ends all streams.
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    for log in [json!("/dev/full"), Value::Null] {
        for processes in [1, 2] {
            let settings = json!({ "log": log, "log_level": "debug", "stderr": "/dev/full", "processes": processes });
            let mut hub = Hub::with(settings);
            let mut reader = hub.stream(&["a"], Framing::Raw);
            reader.expect(b":\n\n");
            publish(&mut hub.client(), &["a"], "1", "x");
            reader.expect(b"id: 1\ndata: x\n\n");
            hub.signal(rustix::process::Signal::TERM);
            assert!(hub.ended().success(), "{log} {processes}");
            reader.expect_end();
        }
    }
}

/// Who published an event is told to PHP processes and to the log, through other processes and to who comes back; not to clients.
#[test]
fn a_trace_goes_with_its_event() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for processes in [1, 2] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (hub, path) = hub(&folder, "debug", json!({ "history_events": 10, "processes": processes }));
        let mut client = hub.client();
        let mut page = hub.stream(&["a"], Framing::Raw);
        page.expect(b":\n\n");
        let mut subscription = hub.stream(&["a"], Framing::Message);
        let publish = |client: &mut Client, trace| {
            let event =
                NewEvent { topics: vec!["a"], id: Some("1"), data: b"x", traceparent: trace, ..NewEvent::default() };
            client.call(&Request::Publish { event, answer: true }, None, PATIENCE).map(|_| ())
        };
        publish(&mut client, Some(TRACE)).expect("published");
        assert_eq!(subscription.message(), format!("event 1 a - x {TRACE}"));
        page.expect(b"id: 1\ndata: x\n\n");
        publish(&mut client, Some("00-x\n")).expect_err("no trace");
        publish(&mut client, None).expect("published");
        assert_eq!(subscription.message(), "event 1 a - x");
        until("both are told", || read_to_string(&path).matches(" published ").count() == 2);
        let log = read_to_string(&path);
        assert_eq!(log.matches(&format!("traceparent=\"{TRACE}\"")).count(), 1, "{log}");
        assert_eq!(log.matches("traceparent=").count(), 1, "{log}");
    }
}

/// The attack: who chooses a name that is logged writes lines of their own into the log, or steers the terminal that shows it.
#[test]
fn what_others_choose_stays_in_its_line() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (hub, path) = hub(&folder, "debug", json!({ "history_events": 10, "log_format": format }));
        let mut client = hub.client();
        let script = "/srv/x.php\n2026-01-01T00:00:00.000000Z ERROR forged\r\u{1b}[2J\u{85}\u{202e}\"}";
        let replay = Replay { request: OriginalRequest { script, ..server::original_request() }, ..server::replay() };
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let _far = std::net::TcpStream::connect(server.local_addr().expect("its address")).expect("a connection");
        let (near, _) = server.accept().expect("the connection");
        let request = Request::Attach(Attach { patterns: vec!["a.b"], replay: Some(replay), ..Default::default() });
        client.call(&request, Some(near.as_fd()), PATIENCE).expect("an answer");
        publish(&mut client, &["a.b"], "1\u{9b}\u{2028}", "x");
        until("the event is told", || read_to_string(&path).contains("published"));
        let log = read_to_string(&path);
        assert!(!log.contains(|c: char| c != '\n' && c.is_control()), "{log:?}");
        assert!(!log.contains(['\u{2028}', '\u{202e}']), "{log:?}");
        let begin = if format == "json" { "{\"timestamp\":\"20" } else { "20" };
        assert!(log.lines().all(|line| line.starts_with(begin) && !line.starts_with("2026-01-01T")), "{log}");
        assert!(log.contains("forged"), "{log}");
        if format == "json" {
            let lines: Vec<Value> =
                log.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
            let line = |message: &str| lines.iter().find(|line| line["message"] == message).expect(message);
            let attached = line("attached");
            assert_eq!((&attached["level"], &attached["script"]), (&json!("INFO"), &json!(script)));
            assert!(attached["stream"].is_u64(), "{attached}");
            let published = line("published");
            assert_eq!((&published["level"], &published["topics"]), (&json!("DEBUG"), &json!("[\"a.b\"]")));
            let time = published["timestamp"].as_str().expect("a time");
            assert!(time.len() == 27 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        }
    }
}
