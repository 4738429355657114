//! Who is on a topic: joins, leaves and lists, in the order of everything else.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::client::{Client, ClientError};
use sse_protocol::event::NewEvent;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, ErrorCode, Framing, Member, Presence, Reply, Request, TopicsAs, Whose};

use crate::support::{self, Hub, PATIENCE, Reader, commit, publish, server, until};

/// A stream that somebody opens.
pub struct Opening<'a> {
    pub topics: &'a [&'a str],
    pub id: Option<&'a str>,
    pub info: &'a str,
    pub events: bool,
    pub last_event_id: Option<&'a str>,
    pub topics_as: Option<TopicsAs>,
    pub address: Option<&'a str>,
}

pub fn of<'a>(id: &'a str, topics: &'a [&'a str]) -> Opening<'a> {
    let id = Some(id);
    Opening { topics, id, info: "{}", events: false, last_event_id: None, topics_as: None, address: None }
}

pub fn reader<'a>(topics: &'a [&'a str]) -> Opening<'a> {
    Opening { id: None, events: true, ..of("", topics) }
}

/// Attaches a stream with presence; returns the client's end.
pub fn attach(client: &mut Client, opening: &Opening<'_>) -> Result<(u64, UnixStream), ClientError> {
    let (near, far) = UnixStream::pair().expect("a pair");
    let Opening { topics, id, info, events, last_event_id, topics_as, address } = *opening;
    let request = Request::Attach(Attach {
        patterns: topics.to_vec(),
        spec: StreamSpec { topics_as, ..StreamSpec::default() },
        presence: Presence { member: id.map(|id| Member { id, info }), events },
        last_event_id,
        address,
        ..Default::default()
    });
    match client.call(&request, Some(near.as_fd()), PATIENCE)? {
        Reply::Attached { stream, .. } => Ok((stream, far)),
        other => panic!("not attached: {other:?}"),
    }
}

pub fn open(hub: &Hub, opening: &Opening<'_>) -> Reader {
    open_as(hub, opening, Framing::Raw)
}

fn open_as(hub: &Hub, opening: &Opening<'_>, framing: Framing) -> Reader {
    let mut client = hub.client();
    let (stream, far) = attach(&mut client, opening).expect("attached");
    commit(&client, stream, framing);
    let mut reader = Reader::new(far, stream, client);
    if framing == Framing::Raw && opening.topics_as.is_none() {
        reader.expect(b":\n\n");
    }
    reader
}

/// The next event, as type, count and ids.
pub fn told(reader: &mut Reader) -> String {
    said(&reader.frame())
}

fn said(frame: &str) -> String {
    let event = frame.lines().find_map(|line| line.strip_prefix("event: ")).unwrap_or("-");
    let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let Ok(data) = serde_json::from_str::<Value>(data) else { return format!("{event} {data}") };
    assert!(!frame.starts_with("id"), "{frame}");
    let members = data["members"].as_array().expect("a list");
    let ids: Vec<&str> = members.iter().map(|member| member["id"].as_str().expect("a text")).collect();
    format!("{event} {} {} {}", data["topic"].as_str().expect("a topic"), data["count"], ids.join(","))
}

pub fn members(hub: &Hub, topic: &str) -> Vec<String> {
    let found = all(hub, topic);
    found.as_object().expect("an object").keys().cloned().collect()
}

pub fn all(hub: &Hub, topic: &str) -> Value {
    let mut client = hub.client();
    match client.call(&Request::Presence { topic, after: None, limit: 1000 }, None, PATIENCE) {
        Ok(Reply::Members { json, last: None, .. }) => serde_json::from_str(&format!("{{{json}}}")).expect("JSON"),
        other => panic!("no members: {other:?}"),
    }
}

pub fn count(client: &mut Client, topic: &str) -> u64 {
    match client.call(&Request::PresenceCount { topic }, None, PATIENCE) {
        Ok(Reply::MemberCount { count }) => count,
        other => panic!("no count: {other:?}"),
    }
}

#[test]
fn one_user_with_three_streams_joins_once_and_a_reload_is_nothing() {
    // So long that only a leave that should not be would come.
    let hub = Hub::with(json!({ "presence_grace_ms": 3_600_000 }));
    let mut watcher = open(&hub, &reader(&["room"]));
    assert_eq!(told(&mut watcher), "presence.list room 0 ");
    let streams: Vec<Reader> = (0..3).map(|_| open(&hub, &of("u", &["room"]))).collect();
    assert_eq!(told(&mut watcher), "presence.join room 1 u");
    assert_eq!(all(&hub, "room")["u"]["streams"], json!(3));
    drop(streams);
    until("their ends are known", || all(&hub, "room")["u"]["streams"] == json!(0));
    let _again = open(&hub, &of("u", &["room"]));
    publish(&mut hub.client(), &["room"], "x", "after all that");
    assert_eq!(told(&mut watcher), "- after all that");
    let stats = hub.stats();
    assert_eq!(stats["presence"], json!({ "topics": 1, "members": 1, "joins": 1, "leaves": 0 }));
}

#[test]
fn a_user_leaves_after_the_grace_and_everything_is_in_order() {
    let hub = Hub::with(json!({ "presence_grace_ms": 50 }));
    let mut watcher = open(&hub, &Opening { info: r#"{"name":"W"}"#, events: true, ..of("w", &["room", "other.*"]) });
    assert_eq!(told(&mut watcher), "presence.list room 1 w", "the newcomer is there already");
    let stream = open(&hub, &of("u", &["room", "other.x"]));
    publish(&mut hub.client(), &["room"], "1", "hello");
    assert_eq!(told(&mut watcher), "presence.join room 2 u");
    assert_eq!(told(&mut watcher), "- hello");
    let mut late = open(&hub, &reader(&["room", "other.x"]));
    let lists = [told(&mut late), told(&mut late)];
    assert_eq!(lists, ["presence.list other.x 1 u", "presence.list room 2 u,w"]);
    drop(stream);
    assert_eq!(told(&mut watcher), "presence.leave room 1 u");
    assert_eq!([told(&mut late), told(&mut late)].into_iter().min().as_deref(), Some("presence.leave other.x 0 u"));
    assert_eq!((members(&hub, "room"), count(&mut hub.client(), "other.x")), (vec!["w".into()], 0));
    assert_eq!(all(&hub, "room")["w"]["info"], json!({ "name": "W" }));
}

#[test]
fn one_who_comes_back_gets_what_was_missed_and_then_the_list() {
    let hub = Hub::with(json!({ "history_events": 10 }));
    let mut client = hub.client();
    for id in ["one", "two"] {
        publish(&mut client, &["room"], id, id);
    }
    let mut watcher = open(&hub, &Opening { last_event_id: Some("one"), ..reader(&["room"]) });
    assert_eq!([told(&mut watcher), told(&mut watcher)], ["- two", "presence.list room 0 "]);
    for (topics_as, expected) in [
        (TopicsAs::Field, "topic: $presence.room\nevent: presence.list\ndata: {"),
        (TopicsAs::Envelope, "data: {\"data\":\"{\\\"topic\\\":\\\"room\\\""),
    ] {
        let mut watcher = open(&hub, &Opening { topics_as: Some(topics_as), ..reader(&["room"]) });
        let found: Vec<String> = (0..4).map(|_| watcher.frame()).collect();
        assert!(found[3].starts_with(expected), "{found:?}");
    }
}

/// The worker of a stream that it has not handed off yet is killed: nothing holds its user there.
#[test]
fn a_held_stream_whose_worker_dies_is_no_presence() {
    let hub = Hub::with(json!({ "presence_grace_ms": 10 }));
    let mut client = hub.client();
    let held = attach(&mut client, &of("u", &["room"])).expect("attached");
    assert_eq!(members(&hub, "room"), ["u"]);
    drop(client);
    until("nobody is left", || members(&hub, "room").is_empty());
    drop(held);
    assert_eq!(hub.stats()["topic_bytes"], json!(0));
}

#[test]
fn an_upgrade_is_no_leave() {
    let mut hub = Hub::with(json!({ "presence_grace_ms": 200 }));
    let mut watcher = open(&hub, &reader(&["room"]));
    assert_eq!(told(&mut watcher), "presence.list room 0 ");
    let stays = open(&hub, &Opening { info: "[1]", ..of("stays", &["room"]) });
    assert_eq!(told(&mut watcher), "presence.join room 1 stays");
    let goes = open(&hub, &of("goes", &["room"]));
    assert_eq!(told(&mut watcher), "presence.join room 2 goes");
    let before = all(&hub, "room");
    hub.upgrade(&json!({ "shards": 3 }));
    assert_eq!(all(&hub, "room"), before);
    drop(goes);
    assert_eq!(told(&mut watcher), "presence.leave room 1 goes");
    let _again = open(&hub, &of("stays", &["room"]));
    drop(stays);
    hub.upgrade(&json!({}));
    hub.until("its end is known", |stats| stats["streams"]["open"] == json!(2));
    publish(&mut hub.client(), &["room"], "x", "nobody has left");
    assert_eq!(told(&mut watcher), "- nobody has left");
    let stats = hub.stats();
    assert_eq!(stats["presence"], json!({ "topics": 1, "members": 1, "joins": 2, "leaves": 1 }));
}

#[test]
fn php_processes_hear_of_it_by_name_and_wildcards_do_not() {
    let hub = Hub::with(json!({ "presence_grace_ms": 10 }));
    let mut named = hub.stream(&["$presence.room"], Framing::Message);
    let mut all = hub.stream(&["**", "*.room"], Framing::Message);
    let mut of_all = hub.stream(&["$presence.*"], Framing::Message);
    drop(open(&hub, &of("u", &["room"])));
    for reader in [&mut named, &mut of_all] {
        for kind in ["join", "leave"] {
            let message = reader.message();
            assert!(message.starts_with(&format!("event  $presence.room presence.{kind} {{")), "{message}");
        }
    }
    publish(&mut hub.client(), &["room"], "1", "x");
    assert_eq!(all.message(), "event 1 room - x");
    let mut client = hub.client();
    let (event, answer) = (NewEvent { topics: vec!["$presence.room"], ..NewEvent::default() }, true);
    match client.call(&Request::Publish { event, answer }, None, PATIENCE) {
        Err(ClientError::Hub { code: ErrorCode::Invalid, message }) => {
            assert_eq!(
                message,
                "topic '$presence.room' begins with '$'; such topics are the hub's own, nobody else publishes to them"
            );
        }
        other => panic!("published: {other:?}"),
    }
    support::trigger(&client, &["$presence.room"]);
    hub.until("it is refused", |stats| stats["triggers_refused"] == json!(1));
}

#[test]
fn what_is_no_member_is_refused_with_a_sentence() {
    let hub = Hub::new();
    let mut client = hub.client();
    let (long, info, name) = ("x".repeat(256), format!("\"{}\"", "x".repeat(4095)), "x".repeat(250));
    let topic = [name.as_str()];
    let cases = [
        (of("", &["a"]), "must not be empty"),
        (of(&long, &["a"]), "256 bytes long; at most 255"),
        (Opening { info: &info, ..of("u", &["a"]) }, "4097 bytes of JSON long; at most 4096"),
        (Opening { info: "{", ..of("u", &["a"]) }, "not valid JSON"),
        (Opening { info: r#""\ud800""#, ..of("u", &["a"]) }, "not valid JSON"),
        (Opening { info: "1 2", ..of("u", &["a"]) }, "not valid JSON"),
        (of("u", &topic), "presence allows at most 245"),
    ];
    for (opening, expected) in cases {
        match attach(&mut client, &opening) {
            Err(ClientError::Hub { code: ErrorCode::Invalid, message }) => {
                assert!(message.contains(expected), "{message}");
            }
            other => panic!("attached: {other:?}"),
        }
    }
    assert_eq!(hub.stats()["topic_bytes"], json!(0));
}

/// Attack: one client fills the hub with members, of any size and number, and goes; and comes again before its graces are over.
#[test]
fn what_members_keep_is_charged_to_their_client_until_they_have_left() {
    let hub = Hub::with(json!({ "topic_bytes": 1 << 20, "presence_grace_ms": 3_600_000 }));
    let info = format!("\"{}\"", "x".repeat(4000));
    let mut client = hub.client();
    let mut refused = None;
    for nth in 0..1000 {
        let id = format!("u{nth}");
        let opening = Opening { info: &info, address: Some("192.0.2.7"), ..of(&id, &["a"]) };
        match attach(&mut client, &opening) {
            Ok((stream, _)) => client.post(&Request::Abort { stream }).expect("the hub is there"),
            Err(ClientError::Hub { code, message }) => {
                refused = Some((nth, code, message));
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    let (count, code, message) = refused.expect("refused");
    assert_eq!(code, ErrorCode::TooMany);
    assert!(message.starts_with("192.0.2.7 takes the eighth of sse.topic_bytes (131072"), "{message}");
    assert!((20..40).contains(&count), "{count}");
    attach(&mut client, &Opening { address: Some("192.0.2.8"), ..of("other", &["a"]) }).expect("others have room");
}

/// Attack: a reader of many large topics makes the hub write all their lists.
#[test]
fn lists_of_a_new_stream_have_a_limit_together() {
    let hub = Hub::with(json!({ "history_events": 10 }));
    let names: Vec<String> = (0..20).map(|nth| format!("t{nth:02}")).collect();
    let topics: Vec<&str> = names.iter().map(String::as_str).collect();
    let info = format!("\"{}\"", "x".repeat(4000));
    let _streams: Vec<Reader> =
        (0..20).map(|nth| open(&hub, &Opening { info: &info, ..of(&format!("u{nth}"), &topics) })).collect();
    let mut lists = Vec::new();
    // The last of them may be told a moment later.
    until("all are told", || {
        let mut watcher = open(&hub, &reader(&topics));
        lists = topics.iter().map(|_| watcher.frame()).collect();
        lists[19].contains("\"count\":20")
    });
    let bytes: usize = lists.iter().map(String::len).sum();
    assert!(bytes < 400_000, "{bytes}");
    assert!(lists[0].contains("\"more\":true") && lists[19].contains("\"count\":20,\"members\":[],\"more\":true"));
}

#[test]
fn pages_of_members_go_on_after_an_id() {
    let hub = Hub::new();
    let ids: Vec<String> = (0..25).map(|nth| format!("u{nth:02}")).collect();
    let _streams: Vec<Reader> = ids.iter().map(|id| open(&hub, &of(id, &["room"]))).collect();
    let (mut client, mut after, mut found) = (hub.client(), None::<String>, Vec::new());
    loop {
        let request = Request::Presence { topic: "room", after: after.as_deref(), limit: 10 };
        let Ok(Reply::Members { json, count, last }) = client.call(&request, None, PATIENCE) else { panic!("a page") };
        let page: Value = serde_json::from_str(&format!("{{{json}}}")).expect("JSON");
        found.extend(page.as_object().expect("an object").keys().cloned());
        assert!(count <= 10);
        match last.map(str::to_owned) {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    assert_eq!(found, ids);
}

#[test]
fn streams_in_other_processes_have_it_all() {
    let mut hub = Hub::with(json!({ "processes": 2, "presence_grace_ms": 50 }));
    let mut watchers: Vec<Reader> = (0..2).map(|_| open(&hub, &reader(&["room"]))).collect();
    let mut message = open_as(&hub, &reader(&["room"]), Framing::Message);
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.list room 0 "));
    assert!(message.message().starts_with("event  $presence.room presence.list"));
    let stream = open(&hub, &of("u", &["room"]));
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.join room 1 u"));
    hub.upgrade(&json!({}));
    drop(stream);
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.leave room 0 u"));
}

/// Not only what comes from the extension: any process of the hub's user may send this.
#[test]
fn a_question_about_what_is_no_topic_is_refused() {
    let hub = Hub::new();
    let mut client = hub.client();
    for topic in ["", "a.*", "$presence.a"] {
        for request in [Request::Presence { topic, after: None, limit: 0 }, Request::PresenceCount { topic }] {
            let refused = client.call(&request, None, PATIENCE).map(|reply| format!("{reply:?}"));
            assert!(matches!(refused, Err(ClientError::Hub { code: ErrorCode::Invalid, .. })), "{refused:?}");
        }
    }
}

/// A script names the hub's topic by itself, as one with a callback has to, and asks for its events too.
#[test]
fn a_topic_of_the_hubs_that_a_script_names_itself_is_watched_once() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes, "presence_grace_ms": 10 }));
        let mut both = open(&hub, &reader(&["$presence.room", "room"]));
        assert_eq!(told(&mut both), "presence.list room 0 ");
        let mut stays = open(&hub, &reader(&["room"]));
        assert_eq!(told(&mut stays), "presence.list room 0 ");
        let someone = open(&hub, &of("u", &["room"]));
        assert_eq!(told(&mut both), "presence.join room 1 u");
        drop(both);
        hub.until("it has ended", |stats| stats["streams"]["open"] == json!(2));
        drop(someone);
        assert_eq!([told(&mut stays), told(&mut stays)], ["presence.join room 1 u", "presence.leave room 0 u"]);
        hub.until("it has ended", |stats| stats["streams"]["open"] == json!(1));
        drop(stays);
        hub.until("all have ended", |stats| stats["streams"]["open"] == json!(0));
        assert_eq!(hub.stats()["topic_bytes"], json!(0));
    }
}

/// The topics of a callback change from one run to the next.
#[test]
fn the_user_of_a_stream_with_a_callback_is_on_what_the_callback_watches() {
    let hub = Hub::with(json!({ "presence_grace_ms": 0 }));
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let _client = TcpStream::connect(server.local_addr().expect("its address")).expect("a connection");
    let (near, _) = server.accept().expect("the connection");
    let replay = server::replay();
    let presence = Presence { member: Some(Member { id: "u", info: "{}" }), events: false };
    let attach = Attach { patterns: vec!["a", "b"], replay: Some(replay), presence, ..Default::default() };
    let mut client = hub.client();
    let Ok(Reply::Attached { stream, .. }) = client.call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE) else {
        panic!("not attached")
    };
    commit(&client, stream, Framing::Raw);
    support::trigger(&client, &["a"]);
    let (mut asked, _) = server.accept().expect("the hub sends the request again");
    let head = support::http_head(&mut asked);
    let token = head.lines().find_map(|line| line.to_lowercase().strip_prefix("sse-render-token:").map(str::to_owned));
    let token = token.expect("the hub's token").trim().to_owned();
    let mut worker = hub.client();
    worker.call(&Request::Replayed { token: &token }, None, PATIENCE).expect("known");
    let patterns = vec!["b", "c"];
    worker.call(&Request::Render { token: &token, patterns: patterns.clone() }, None, PATIENCE).expect("known");
    let rendered = Request::Rendered {
        whose: Whose::Token(&token),
        render: true,
        share: None,
        patterns,
        last_id: None,
        ends: false,
        frames: b"data: x\n\n",
        answer: true,
    };
    worker.call(&rendered, None, PATIENCE).expect("taken");
    assert_eq!(["a", "b", "c"].map(|topic| members(&hub, topic).len()), [0, 1, 1]);
}
