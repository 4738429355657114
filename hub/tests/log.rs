//! The log: the life of a stream by its number, and nothing that is nobody's business.

mod support;

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_bytes::Bytes;
use serde_json::{Value, json};
use sse_protocol::wire::{Attach, Framing, OriginalRequest, Protocol, Replay, Reply, Request, Whose};
use support::{Hub, PATIENCE, Reader, commit, publish, read_to_string, trigger, until};
use tempfile::TempDir;

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
        topics: vec!["a"],
        name: Some("a\nb"),
        id: None,
        retry: None,
        data: b"secret-refused-data",
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
        render: true,
        only_changes: true,
        poll: 0,
        reauthorize: 0,
        share: Some("secret-share"),
        request: OriginalRequest {
            script: "/srv/stream.php",
            protocol: Protocol::Http { method: "POST", target: "/stream.php?key=secret-query" },
            fields: vec![header("Cookie", "id=secret-cookie"), header("Authorization", "Bearer secret-header")],
            body: Bytes::new(b"password=secret-body"),
            remote: ("secret-address", "1"),
            last_event_id: None,
            session: None,
        },
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
