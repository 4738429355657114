//! What a peer can say, and get wrong.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{self, Attach, ErrorCode, Framing, MAGIC, PROTOCOL, Reply, Request};

use crate::support::{self, Hub, PATIENCE, answer, attach, expect_end, hello, publish, send, text};

#[test]
fn a_greeting_is_answered_with_the_hubs_version() {
    let hub = Hub::new();
    let mut socket = hub.raw();
    send(&mut socket, &hello());
    let expected = Reply::Welcome { protocol: PROTOCOL, version: wire::VERSION, pid: hub.pid() };
    assert_eq!(answer(&mut socket), format!("{expected:?}"));
}

#[test]
fn another_version_is_refused_with_a_sentence_that_says_so() {
    let hub = Hub::new();
    let mut socket = hub.raw();
    send(&mut socket, &wire::encode(&Request::Hello { magic: MAGIC, protocol: 999, version: "9.9.9", owner: None }));
    let reason = format!(
        "this process is php-sse 9.9.9 (protocol 999), the hub that runs is php-sse {} (protocol {PROTOCOL}); restart PHP so \
         that both come from one sse.so",
        wire::VERSION
    );
    assert_eq!(answer(&mut socket), format!("{:?}", Reply::Refused { reason: &reason }));
    expect_end(&mut socket);
    assert_eq!(hub.stats()["refused"]["protocol"], json!(1));
}

#[test]
fn who_does_not_greet_is_refused() {
    let hub = Hub::new();
    let wrong = [
        wire::encode(&Request::Hello { magic: MAGIC + 1, protocol: PROTOCOL, version: "x", owner: None }),
        wire::encode(&Request::Cursor),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0; 100],
        vec![0xff; 100],
        wire::encode(&Request::Hello { magic: MAGIC, protocol: PROTOCOL, version: &"x".repeat(5000), owner: None }),
    ];
    let count = wrong.len();
    for bytes in wrong {
        let mut socket = hub.raw();
        send(&mut socket, &bytes);
        let reply = answer(&mut socket);
        assert!(reply.starts_with("Refused") && reply.contains("no php-sse greeting"), "{reply}");
        support::expect_gone(&mut socket);
    }
    assert_eq!(hub.stats()["refused"]["protocol"], json!(count));
}

#[test]
fn nonsense_after_the_greeting_closes_the_connection_and_nothing_else() {
    let hub = Hub::with(json!({"max_event_size": 100}));
    let mut reader = hub.stream(&["a"], Framing::Raw);
    let announced = (wire::max_message(100, 100) as u32 + 1).to_le_bytes().to_vec();
    for bytes in [vec![1, 0, 0, 0, 99], announced, vec![0xff; 64]] {
        let mut socket = hub.raw();
        send(&mut socket, &[hello(), bytes].concat());
        assert!(answer(&mut socket).starts_with("Welcome"));
        let reply = answer(&mut socket);
        assert!(reply.starts_with("Error { code: Invalid"), "{reply}");
        support::expect_gone(&mut socket);
    }
    publish(&mut hub.client(), &["a"], "1", "one");
    reader.expect(b":\n\nid: 1\ndata: one\n\n");
}

#[test]
fn a_second_greeting_is_an_error() {
    let hub = Hub::new();
    let mut socket = hub.raw();
    send(&mut socket, &hello().repeat(2));
    assert!(answer(&mut socket).starts_with("Welcome"));
    assert!(answer(&mut socket).contains("greeted already"));
}

/// Every row of bytes a peer could send, more or less: the hub is there afterwards.
#[test]
fn garbage_does_no_harm() {
    let hub = Hub::with(json!({"max_event_size": 1000}));
    // A generator of its own: the same bytes every time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..500 {
        let mut socket = hub.raw();
        let mut bytes = if round % 3 == 0 { Vec::new() } else { hello() };
        for _ in 0..next() % 20 {
            let length = next() % 40;
            let announced = if next() % 4 == 0 { next() as u32 % 3000 } else { length as u32 };
            bytes.extend(announced.to_le_bytes());
            bytes.push((next() % 10) as u8);
            bytes.extend((1..length).map(|_| next() as u8));
        }
        let _ = std::io::Write::write_all(&mut socket, &bytes);
    }
    let stats = hub.until("all have gone", |stats| stats["connections"] == json!(1));
    assert_eq!(stats["streams"]["held"], json!(0));
}

#[test]
fn an_attach_is_checked() {
    let hub = Hub::with(json!({"max_topics": 2}));
    let mut client = hub.client();
    let (near, _far) = UnixStream::pair().expect("a pair");
    let mut refused = |patterns: &[&str]| {
        let near = near.try_clone().expect("a descriptor");
        text(attach(&mut client, near.into(), patterns, 0))
    };
    assert_eq!(refused(&[]), "no topic given; name at least one topic or pattern to watch");
    assert_eq!(refused(&["a", "b", "c"]), "3 topics given; sse.max_topics allows 2 for one stream");
    assert_eq!(refused(&["**.a"]), "pattern '**.a': '**' may only be the last segment, as in 'orders.**'");
    attach(&mut client, near.into(), &["a", "a", "b", "b"], 0).expect("two different topics");
}

#[test]
fn an_attach_needs_a_stream_socket() {
    let hub = Hub::new();
    let mut client = hub.client();
    let request = Request::Attach(Attach { patterns: vec!["a"], ..Default::default() });
    assert_eq!(text(client.call(&request, None, PATIENCE)), "no connection came with the request");
    let file = std::fs::File::open("/dev/null").expect("there is one");
    let error = text(client.call(&request, Some(file.as_fd()), PATIENCE));
    assert_eq!(error, "what came with the request is not a stream socket");
    // A listening socket is one, but nobody is at the other end.
    let (listener, _folder) = listener();
    match client.call(&request, Some(listener.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => support::commit(&client, stream, Framing::Raw),
        other => panic!("not attached: {other:?}"),
    }
    hub.until("it has ended", |stats| stats["streams"]["closed"]["client"] == json!(1));
}

fn listener() -> (UnixListener, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (UnixListener::bind(folder.path().join("x")).expect("a new socket"), folder)
}

/// Attack: descriptors with requests that need none use up the hub's.
#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let hub = Hub::new();
    let mut client = hub.client();
    support::stats(&mut client);
    let before = hub.descriptors();
    let file = std::fs::File::open("/dev/null").expect("there is one");
    for _ in 0..100 {
        client.call(&Request::Cursor, Some(file.as_fd()), PATIENCE).expect("answered all the same");
    }
    assert_eq!(hub.descriptors(), before);
}

#[test]
fn the_client_passes_on_what_a_refusing_hub_says() {
    let hub = Hub::with(json!({"descriptors": 40}));
    // Until there is no descriptor left for one more.
    let mut clients = Vec::new();
    let error = loop {
        assert!(clients.len() < 40, "the limit is 40");
        let mut client = hub.client();
        match client.call(&Request::Cursor, None, PATIENCE) {
            Ok(_) => clients.push(client),
            Err(error) => break error,
        }
    };
    // Not that it won't talk to this process at any time: a stream's client is told to come back later.
    assert!(matches!(error, ClientError::Hub { code: ErrorCode::Full, .. }), "{error:?}");
    assert!(error.to_string().starts_with("the hub has no descriptor left of the 40"), "{error}");
    // And so often, without spinning, until one is free again.
    for _ in 0..20 {
        let error = hub.client().call(&Request::Cursor, None, PATIENCE).expect_err("still none");
        assert!(matches!(error, ClientError::Hub { code: ErrorCode::Full, .. }), "{error:?}");
    }
    clients.pop();
    let mut last = None;
    support::until("there is room again", || {
        let mut client = hub.client();
        let answered = client.call(&Request::Cursor, None, PATIENCE).is_ok();
        last = Some(client);
        answered
    });
    let stats = support::stats(&mut last.expect("answered"));
    assert!(stats["refused"]["descriptors"].as_u64() >= Some(21));
}

#[test]
fn a_client_notices_that_its_hub_has_gone() {
    let mut hub = Hub::new();
    let mut client = hub.client();
    client.call(&Request::Cursor, None, PATIENCE).expect("answered");
    assert!(client.is_open());
    hub.signal(rustix::process::Signal::KILL);
    hub.ended();
    assert!(!client.is_open());
    assert!(matches!(client.call(&Request::Cursor, None, PATIENCE), Err(ClientError::Closed)));
    assert!(matches!(client.post(&Request::Trigger { topics: vec![] }), Err(ClientError::Closed)));
    assert!(matches!(Client::connect(&hub.socket, None, support::BRIEFLY), Err(ClientError::NotRunning { .. })));
}

#[test]
fn a_hub_that_does_not_answer_costs_no_more_than_the_timeout() {
    let (listener, folder) = listener();
    let mut client = Client::connect(&folder.path().join("x"), None, support::PATIENCE).expect("somebody listens");
    let timeout = std::time::Duration::from_millis(20);
    assert!(matches!(client.call(&Request::Cursor, None, timeout), Err(ClientError::Late(t)) if t == timeout));
    drop(listener);
}

#[test]
fn what_has_no_answer_is_refused_or_waits_where_the_hub_does_not_read() {
    let (listener, folder) = listener();
    let client = Client::connect(&folder.path().join("x"), None, support::BRIEFLY).expect("somebody listens");
    let (mut far, _) = listener.accept().expect("it has connected");
    let trigger = |number: usize| number.to_string();
    let mut sent = 0;
    let full = loop {
        match client.post(&Request::Trigger { topics: vec![&trigger(sent)] }) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, ClientError::Behind), "{full:?}");
    let timeout = std::time::Duration::from_millis(20);
    let refused = client.post_whole(&Request::Trigger { topics: vec!["refused"] }, timeout);
    assert!(matches!(refused, Err(ClientError::Behind)), "{refused:?}");

    let reading = std::thread::spawn(move || {
        let _greeting = support::request(&mut far);
        (0..=sent).map(|_| support::request(&mut far)).collect::<Vec<_>>()
    });
    let last = trigger(sent);
    client.post_whole(&Request::Trigger { topics: vec![&last] }, PATIENCE).expect("there is room soon");
    let expected = (0..=sent).map(|number| format!("{:?}", Request::Trigger { topics: vec![&trigger(number)] }));
    assert_eq!(reading.join().expect("all came"), expected.collect::<Vec<_>>());
}

/// A hub that is busy must not be taken for none: whoever finds none puts another in its place.
#[test]
fn a_hub_with_many_waiting_connections_is_not_taken_for_none() {
    let (listener, folder) = listener();
    rustix::net::listen(&listener, 0).expect("it listens already");
    let path = folder.path().join("x");
    let _first = Client::connect(&path, None, support::PATIENCE).expect("the one that may wait");
    assert!(matches!(Client::connect(&path, None, support::BRIEFLY), Err(ClientError::Timeout(_))));
}

#[test]
fn the_hubs_errors_keep_their_kind() {
    let hub = Hub::with(json!({"max_streams": 1}));
    let mut client = hub.client();
    let pairs = [(); 2].map(|()| UnixStream::pair().expect("a pair"));
    let [(first, _far), (second, _other)] = pairs;
    attach(&mut client, first.into(), &["a"], 0).expect("attached");
    match attach(&mut client, second.into(), &["a"], 0) {
        Err(ClientError::Hub { code: ErrorCode::Full, message }) => {
            assert_eq!(message, "1 streams are open, and sse.max_streams allows no more");
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// A shell script that pipes its requests in, for one.
#[test]
fn who_says_all_at_once_and_closes_its_side_gets_its_answers() {
    let hub = Hub::new();
    let mut socket = hub.raw();
    send(&mut socket, &[hello(), wire::encode(&Request::Cursor)].concat());
    socket.shutdown(std::net::Shutdown::Write).expect("own socket");
    assert!(answer(&mut socket).starts_with("Welcome"));
    assert!(answer(&mut socket).starts_with("Cursor"));
    expect_end(&mut socket);
}
