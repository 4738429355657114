//! Publishing: ids, order, completeness, and what is refused.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;

use serde_json::json;
use sse_hub::event::Event;
use sse_protocol::event::NewEvent;
use sse_protocol::framing;
use sse_protocol::id::Id;
use sse_protocol::wire::{Attach, Framing, Reply, Request};

use crate::support::{self, Hub, PATIENCE, publish, text, trigger};

fn event<'a>(topics: Vec<&'a str>, data: &'a [u8]) -> Request<'a> {
    Request::Publish { event: NewEvent { topics, data, ..NewEvent::default() }, answer: true }
}

fn cursor(client: &mut sse_protocol::client::Client) -> String {
    match client.call(&Request::Cursor, None, PATIENCE) {
        Ok(Reply::Cursor { id }) => id.into(),
        other => panic!("no cursor: {other:?}"),
    }
}

#[test]
fn ids_grow_and_the_cursor_is_the_newest() {
    let hub = Hub::new();
    let mut client = hub.client();
    let mut last = Id::parse(&cursor(&mut client)).expect("our own shape");
    for _ in 0..100 {
        let id = match client.call(&event(vec!["a"], b"x"), None, PATIENCE) {
            Ok(Reply::Published { id }) => Id::parse(id).expect("our own shape"),
            other => panic!("not published: {other:?}"),
        };
        assert!(id > last);
        last = id;
    }
    assert_eq!(cursor(&mut client), last.to_string());
    publish(&mut client, &["a"], "order-7", "x");
    // The hub's own: an id of a publisher's has no order, and is forgotten with its event.
    assert!(Id::parse(&cursor(&mut client)).expect("our own shape") > last);
}

#[test]
fn an_event_has_all_its_fields() {
    let hub = Hub::new();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    let request = Request::Publish {
        event: NewEvent {
            topics: vec!["a"],
            event_type: Some("greeting"),
            id: Some("é"),
            retry: Some(7),
            data: "ü".as_bytes(),
            ..NewEvent::default()
        },
        answer: true,
    };
    hub.client().call(&request, None, PATIENCE).expect("published");
    reader.expect(":\n\nid: é\nevent: greeting\nretry: 7\ndata: ü\n\n".as_bytes());
}

#[test]
fn what_several_publishers_send_arrives_complete_and_in_one_order() {
    const PUBLISHERS: usize = 4;
    const EVENTS: usize = 1000;
    const READERS: usize = 12;
    let hub = Hub::new();
    let readers: Vec<_> = (0..READERS).map(|_| hub.stream(&["a.**"], Framing::Raw)).collect();
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let mut client = hub.client();
            scope.spawn(move || {
                for number in 0..EVENTS {
                    let topic = format!("a.{}", number % 7);
                    let data = format!("{publisher} {number}");
                    client.call(&event(vec![&topic], data.as_bytes()), None, PATIENCE).expect("published");
                }
            });
        }
        let reading: Vec<_> =
            readers.into_iter().map(|reader| scope.spawn(move || received(reader, PUBLISHERS * EVENTS))).collect();
        let mut all = reading.into_iter().map(|reading| reading.join().expect("a reader"));
        let first = all.next().expect("a reader");
        assert!(first.is_sorted_by_key(|(id, _)| *id), "ids in order");
        for publisher in 0..PUBLISHERS {
            let own = first.iter().filter_map(|(_, data)| data.strip_prefix(&format!("{publisher} ")));
            let numbers: Vec<usize> = own.map(|number| number.parse().expect("a number")).collect();
            assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>(), "of publisher {publisher}");
        }
        for other in all {
            assert!(other == first, "all streams have the same order");
        }
    });
    hub.until("all is counted", |stats| stats["delivered"] == json!(READERS * PUBLISHERS * EVENTS));
}

/// Ids and data of the next events.
#[allow(clippy::needless_pass_by_value, reason = "the stream ends with its reader")]
fn received(reader: support::Reader, count: usize) -> Vec<(Id, String)> {
    let mut lines = BufReader::new(&reader.socket).lines().map(|line| line.expect("text"));
    let mut events = Vec::new();
    let mut id = None;
    while events.len() < count {
        let line = lines.next().expect("more events");
        if let Some(value) = line.strip_prefix("id: ") {
            id = Id::parse(value);
        } else if let Some(value) = line.strip_prefix("data: ") {
            events.push((id.take().expect("an id first"), value.to_string()));
        }
    }
    events
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let hub = Hub::new();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    let mut socket = hub.raw();
    let mut bytes = support::hello();
    let mut expected = b":\n\n".to_vec();
    for number in 0..2000 {
        let id = number.to_string();
        let request = Request::Publish {
            event: NewEvent { topics: vec!["a"], id: Some(&id), data: b"x", ..NewEvent::default() },
            answer: true,
        };
        bytes.extend(sse_protocol::wire::encode(&request));
        expected.extend(format!("id: {id}\ndata: x\n\n").bytes());
    }
    let mut writer = socket.try_clone().expect("own socket");
    let writing = std::thread::spawn(move || support::send(&mut writer, &bytes));
    assert!(support::answer(&mut socket).starts_with("Welcome"));
    for number in 0..2000 {
        assert_eq!(support::answer(&mut socket), format!("Published {{ id: \"{number}\" }}"));
    }
    writing.join().expect("written");
    reader.expect(&expected);
}

/// More than the hub reads of one peer in a turn, and the publisher has not even read the greeting's answer.
#[test]
fn what_a_publisher_has_sent_before_it_ended_is_published() {
    let hub = Hub::new();
    let client = hub.client();
    hub.signal(rustix::process::Signal::STOP);
    let data = vec![b'x'; 30_000];
    let request =
        Request::Publish { event: NewEvent { topics: vec!["a"], data: &data, ..NewEvent::default() }, answer: false };
    let mut sent = 0;
    while sent < 40 && client.post(&request).is_ok() {
        sent += 1;
    }
    drop(client);
    hub.signal(rustix::process::Signal::CONT);
    hub.until("all is published", |stats| stats["published"] == json!(sent));
}

/// As many at a time as the hub reads, so that most of them are written together.
#[test]
fn events_that_come_many_at_a_time_reach_each_reader_whole_and_in_order() {
    const EVENTS: usize = 3000;
    const TOPICS: [&str; 3] = ["a", "b", "c.d"];
    let hub = Hub::with(json!({"shards": 1}));
    let framings = [
        Framing::Raw,
        Framing::Chunked,
        Framing::FastCgi { request: 1 },
        Framing::FastCgi { request: 7 },
        Framing::Message,
    ];
    let watched: [(&[&str], _); 3] = [(&["a"], 1), (&["a", "c.*"], 2), (&["**", "b"], 3)];
    let readers: Vec<_> = framings
        .into_iter()
        .flat_map(|framing| watched.map(|watched| (framing, watched)))
        .map(|(framing, (patterns, which))| (hub.stream(patterns, framing), framing, which))
        .collect();
    let mut bytes = support::hello();
    let mut expected = vec![Vec::new(); readers.len()];
    let opening = |framing| if framing == Framing::Message { b"".as_slice() } else { b":\n\n" };
    let extend = |bytes: &mut Vec<u8>, framing, payload: &[u8]| {
        let mut offset = 0;
        while let Some(piece) = framing::piece(framing, payload, offset) {
            bytes.extend_from_slice(piece.bytes());
            offset += piece.bytes().len();
        }
    };
    for ((_, framing, _), expected) in readers.iter().zip(&mut expected) {
        extend(expected, *framing, opening(*framing));
    }
    for number in 0..EVENTS {
        let (id, data) = (format!("n{number}"), "x".repeat(number % 300));
        let topics = if number % 10 == 9 { vec!["b", "a"] } else { vec![TOPICS[number % 3]] };
        let new = NewEvent { topics: topics.clone(), data: data.as_bytes(), ..Default::default() };
        let event = Event::new(&new, &id);
        for ((_, framing, which), expected) in readers.iter().zip(&mut expected) {
            let watches = match which {
                1 => topics.contains(&"a"),
                2 => topics.contains(&"a") || topics == ["c.d"],
                _ => true,
            };
            if watches {
                let payload = if *framing == Framing::Message { event.message() } else { event.frame() };
                extend(expected, *framing, payload);
            }
        }
        let data = data.as_bytes();
        let request =
            Request::Publish { event: NewEvent { topics, id: Some(&id), data, ..NewEvent::default() }, answer: false };
        bytes.extend(sse_protocol::wire::encode(&request));
    }
    let mut socket = hub.raw();
    std::thread::scope(|scope| {
        for ((mut reader, ..), expected) in readers.into_iter().zip(expected) {
            scope.spawn(move || reader.expect(&expected));
        }
        support::send(&mut socket, &bytes);
    });
}

#[test]
fn what_breaks_a_rule_is_refused_with_the_rule() {
    let hub = Hub::with(json!({"max_event_size": 10}));
    let mut client = hub.client();
    let mut refused = |request: Request<'_>| text(client.call(&request, None, PATIENCE));
    assert_eq!(refused(event(vec![], b"x")), "no topic given; name at least one topic to publish to");
    assert_eq!(
        refused(event(vec!["a.*"], b"x")),
        "topic 'a.*' contains '*'; wildcards are for watching only, give a full topic"
    );
    assert_eq!(
        refused(event(vec!["a"], &[b'x'; 11])),
        "data is 11 bytes long; sse.max_event_size allows 10; raise it, or publish where the client can fetch the rest"
    );
    assert!(refused(event(vec!["a"], b"\xff")).starts_with("data is not valid UTF-8"));
    let name = Request::Publish {
        event: NewEvent { topics: vec!["a"], event_type: Some("a\nb"), data: b"x", ..NewEvent::default() },
        answer: true,
    };
    assert!(refused(name).starts_with("event type 'a\\nb' contains a line break"));
    // The connection is as good as before.
    client.call(&event(vec!["a"], b"x"), None, PATIENCE).expect("published");
    assert_eq!(hub.stats()["published"], json!(1));
}

/// A mistyped topic looks like a quiet site; this is what tells them apart.
#[test]
fn what_nobody_watches_is_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("hub.log");
    let hub = Hub::with(json!({ "processes": 1, "log": log, "log_level": "debug" }));
    let mut client = hub.client();
    let unwatched = || hub.stats()["published_unwatched"].clone();
    publish(&mut client, &["chat.general"], "before", "x");
    assert_eq!(unwatched(), json!(1));
    let mut reader = hub.stream(&["chat.general", "users.*"], Framing::Raw);
    publish(&mut client, &["chat.general"], "1", "secret");
    publish(&mut client, &["chat/general"], "2", "x");
    publish(&mut client, &["elsewhere", "users.5"], "3", "x");
    reader.expect(b":\n\nid: 1\ndata: secret\n\nid: 3\ndata: x\n\n");
    assert_eq!(unwatched(), json!(2));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let far = std::net::TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    let (near, _) = listener.accept().expect("the connection");
    let attach = Attach { patterns: vec!["rendered"], replay: Some(support::server::replay()), ..Attach::default() };
    let held =
        hub.client().call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE).map(|reply| format!("{reply:?}"));
    assert!(held.is_ok(), "{held:?}");
    publish(&mut client, &["rendered"], "4", "x");
    assert_eq!(unwatched(), json!(2), "a callback watches it");
    drop(far);

    let said = support::read_to_string(&log);
    for line in [
        r#"published id="1" topics=["chat.general"] is_watched=true"#,
        r#"published id="2" topics=["chat/general"] is_watched=false"#,
        r#"topics=["chat.general", "users.*"]"#,
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn triggers_are_counted_and_bad_ones_dropped() {
    let hub = Hub::new();
    let mut reader = hub.stream(&["**"], Framing::Message);
    let client = hub.client();
    trigger(&client, &["a", "", "b.*", "c"]);
    assert_eq!(reader.message(), "trigger a");
    assert_eq!(reader.message(), "trigger c");
    let stats = hub.stats();
    assert_eq!((&stats["triggers"], &stats["triggers_refused"]), (&json!(2), &json!(2)));
}

#[test]
fn triggers_do_not_reach_event_streams() {
    let hub = Hub::new();
    let mut reader = hub.stream(&["**"], Framing::Raw);
    let mut client = hub.client();
    trigger(&client, &["a"]);
    trigger(&client, &[]);
    publish(&mut client, &["a"], "1", "one");
    reader.expect(b":\n\nid: 1\ndata: one\n\n");
}
