//! Requests that change or end open streams.

use std::io::Read;

use serde_json::json;
use sse_protocol::client::ClientError;
use sse_protocol::event::NewEvent;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, ErrorCode, Framing, Member, Presence, Reply, Request, TopicsAs, User, Whom};

use crate::support::redis::{Door, Redis};
use crate::support::{Hub, PATIENCE, Reader, bus, commit, publish};

/// An open stream that knows its public id. Its client has been told it.
fn stream(hub: &Hub, patterns: &[&str], user: Option<&str>, framing: Framing) -> (Reader, String) {
    let (reader, public) = held(hub, patterns, user);
    commit(&reader.client, reader.stream, framing);
    let mut reader = reader;
    if framing == Framing::Raw {
        reader.expect(format!(":\nevent: stream\ndata: {{\"stream\":\"{public}\"}}\n\n").as_bytes());
    }
    (reader, public)
}

fn held(hub: &Hub, patterns: &[&str], user: Option<&str>) -> (Reader, String) {
    hub.hold(Attach { user: user.map(|key| User { key, limit: 0, replace: false }), ..wanted(patterns) })
}

fn wanted<'a>(patterns: &[&'a str]) -> Attach<'a> {
    Attach {
        patterns: patterns.to_vec(),
        spec: StreamSpec { stream_id: true, finishes: true, ..StreamSpec::default() },
        address: Some("192.0.2.1"),
        ..Attach::default()
    }
}

fn disconnect(hub: &Hub, whom: Whom<'_>, retry: Option<u32>) -> Option<u64> {
    match hub.client().call(&Request::Disconnect { whom, retry }, None, PATIENCE) {
        Ok(Reply::Disconnected { streams }) => streams,
        other => panic!("nothing was disconnected: {other:?}"),
    }
}

fn retopic(hub: &Hub, stream: &str, add: &[&str], remove: &[&str], user: Option<&str>) -> Result<String, ClientError> {
    let request = Request::Retopic { stream, add: add.to_vec(), remove: remove.to_vec(), user };
    match hub.client().call(&request, None, PATIENCE)? {
        Reply::Cursor { id } => Ok(id.to_owned()),
        other => panic!("no answer to a change of topics: {other:?}"),
    }
}

fn is_unknown(result: &Result<String, ClientError>) -> bool {
    matches!(result, Err(ClientError::Hub { code: ErrorCode::Unknown, .. }))
}

#[test]
fn a_users_streams_end_in_good_order_and_no_others() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes }));
        let chunked = |user| stream(&hub, &["a"], Some(user), Framing::Chunked);
        let (alices, mut bobs) =
            ([chunked("alice"), chunked("alice")], stream(&hub, &["a"], Some("bob"), Framing::Raw));
        publish(&mut hub.client(), &["a"], "1", "last");
        assert_eq!(disconnect(&hub, Whom::User("alice"), Some(7000)), Some(2));
        for (mut reader, public) in alices {
            let told = format!(":\nevent: stream\ndata: {{\"stream\":\"{public}\"}}\n\n");
            reader.expect(format!("{:x}\r\n{told}\r\n", told.len()).as_bytes());
            reader.expect(b"12\r\nid: 1\ndata: last\n\n\r\n");
            reader.expect(b"d\r\nretry: 7000\n\n\r\n0\r\n\r\n");
            reader.expect_end();
        }
        let stats = hub.until("they have ended", |stats| stats["streams"]["open"] == 1);
        assert_eq!(stats["streams"]["closed"]["disconnected"], 2);
        publish(&mut hub.client(), &["a"], "2", "x");
        bobs.0.expect(b"id: 1\ndata: last\n\nid: 2\ndata: x\n\n");
        assert_eq!(disconnect(&hub, Whom::User("alice"), None), Some(0));
    }
}

#[test]
fn one_stream_ends_by_its_public_id() {
    let hub = Hub::new();
    let (mut ends, public) = stream(&hub, &["a"], None, Framing::Raw);
    let (mut stays, _) = stream(&hub, &["a"], None, Framing::Raw);
    assert_eq!(disconnect(&hub, Whom::Stream("no such id"), None), Some(0));
    assert_eq!(disconnect(&hub, Whom::Stream(&public), None), Some(1));
    ends.expect_end();
    publish(&mut hub.client(), &["a"], "1", "x");
    stays.expect(b"id: 1\ndata: x\n\n");
    // The shard counts the end a moment before the ordering thread hears of it.
    hub.until("it has ended", |_| disconnect(&hub, Whom::Stream(&public), None) == Some(0));
}

#[test]
fn the_streams_that_watch_a_topic_end_but_no_php_process_is_cut_off() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes }));
        let mut watching = [stream(&hub, &["a.*", "a.b"], None, Framing::Raw).0, hub.stream(&["**"], Framing::Raw)];
        watching[1].expect(b":\n\n");
        let mut other = stream(&hub, &["b"], None, Framing::Raw).0;
        let mut php = hub.stream(&["a.b"], Framing::Message);
        assert_eq!(disconnect(&hub, Whom::Topic("a.b"), Some(9)), None);
        for reader in &mut watching {
            reader.expect(b"retry: 9\n\n");
            reader.expect_end();
        }
        publish(&mut hub.client(), &["a.b", "b"], "1", "x");
        other.expect(b"id: 1\ndata: x\n\n");
        assert_eq!(php.message(), "event 1 a.b,b - x");
    }
}

/// Its worker still writes to the connection, so the hub must not end the response before the commit.
#[test]
fn a_held_stream_ends_after_its_commit() {
    let hub = Hub::new();
    let (mut reader, public) = held(&hub, &["a"], Some("alice"));
    assert_eq!(disconnect(&hub, Whom::User("alice"), None), Some(1));
    commit(&reader.client, reader.stream, Framing::Raw);
    reader.expect(format!(":\nevent: stream\ndata: {{\"stream\":\"{public}\"}}\n\n").as_bytes());
    reader.expect_end();
}

#[test]
fn a_worker_that_serves_a_stream_is_told_the_reconnection_time() {
    let hub = Hub::new();
    let (mut reader, public) = stream(&hub, &["a"], None, Framing::Message);
    assert_eq!(disconnect(&hub, Whom::Stream(&public), Some(4)), Some(1));
    assert_eq!(reader.message(), "retry 4");
    reader.expect_end();
}

#[test]
fn what_names_no_streams_is_refused() {
    let hub = Hub::new();
    let refused = |whom, retry| {
        let error = hub.client().call(&Request::Disconnect { whom, retry }, None, PATIENCE).expect_err("refused");
        assert!(matches!(error, ClientError::Hub { code: ErrorCode::Invalid, .. }), "{error}");
        error.to_string()
    };
    assert!(refused(Whom::User(""), None).contains("must not be empty"));
    let long = "k".repeat(256);
    assert!(refused(Whom::User(&long), None).contains("256 bytes long"));
    assert!(refused(Whom::Topic("a.*"), None).contains("wildcards are for watching only"));
    assert!(refused(Whom::User("a"), Some(86_400_001)).contains("86400001 given"));
}

#[test]
fn streams_end_on_all_machines() {
    let redis = Redis::new();
    let hubs = [bus::hub(&redis), bus::hub(&redis)];
    let mut readers: Vec<_> = hubs.iter().map(|hub| stream(hub, &["a"], Some("alice"), Framing::Raw)).collect();
    assert_eq!(disconnect(&hubs[0], Whom::User("alice"), Some(5)), Some(1));
    for (reader, _) in &mut readers {
        reader.expect(b"retry: 5\n\n");
        reader.expect_end();
    }
    // By its public id, too, wherever the request comes to.
    let (mut reader, public) = stream(&hubs[1], &["a"], None, Framing::Raw);
    assert_eq!(disconnect(&hubs[0], Whom::Stream(&public), None), Some(0));
    reader.expect_end();
    let (mut reader, _) = stream(&hubs[1], &["a"], None, Framing::Raw);
    assert_eq!(disconnect(&hubs[0], Whom::Topic("a"), None), None);
    reader.expect_end();
}

/// Attack: a client says that its stream has a very long id, again and again.
#[test]
fn other_machines_do_not_hear_of_what_is_no_id() {
    let redis = Redis::new();
    let hubs = [bus::hub(&redis), bus::hub(&redis)];
    let (mut reader, public) = stream(&hubs[1], &["a"], None, Framing::Raw);
    for text in [&*"x".repeat(3000), "", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA\u{1}"] {
        assert_eq!(disconnect(&hubs[0], Whom::Stream(text), None), Some(0));
    }
    assert_eq!(disconnect(&hubs[0], Whom::Stream(&public), None), Some(0));
    reader.expect_end();
    assert_eq!(hubs[1].stats()["disconnects"], 1);
}

#[test]
fn a_stream_watches_other_topics_from_the_answer_on() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes, "history_events": 10 }));
        let mut publisher = hub.client();
        let (mut reader, public) = stream(&hub, &["a", "b.*"], None, Framing::Raw);
        publish(&mut publisher, &["c"], "1", "before");
        let cursor = retopic(&hub, &public, &["c", "a"], &["b.*", "d"], None).expect("changed");
        assert_eq!(cursor, bus::cursor(&hub));
        publish(&mut publisher, &["b.x"], "2", "removed");
        publish(&mut publisher, &["c"], "3", "added");
        publish(&mut publisher, &["a"], "4", "kept");
        reader.expect(b"id: 3\ndata: added\n\nid: 4\ndata: kept\n\n");
        assert_eq!(hub.stats()["retopics"], 1);
        let mut hub = hub;
        hub.upgrade(&json!({}));
        retopic(&hub, &public, &["b.*"], &["a"], None).expect("changed");
        let mut publisher = hub.client();
        publish(&mut publisher, &["a"], "5", "removed");
        publish(&mut publisher, &["b.x", "c"], "6", "both");
        reader.expect(b"id: 6\ndata: both\n\n");
    }
}

/// Attack: a client names a stream of somebody else, whose id it has seen.
#[test]
fn only_the_streams_of_the_user_are_changed() {
    let hub = Hub::new();
    let (_alices, of_alice) = stream(&hub, &["a"], Some("alice"), Framing::Raw);
    let (_nobodys, of_nobody) = stream(&hub, &["a"], None, Framing::Raw);
    for (public, user) in [
        (&*of_alice, None),
        (&of_alice, Some("bob")),
        (&of_nobody, Some("bob")),
        ("forged", None),
        ("AAAAAAAAAAAAAAAAAAAAAA", None),
        ("", None),
    ] {
        assert!(is_unknown(&retopic(&hub, public, &["b"], &[], user)), "{public} {user:?}");
    }
    retopic(&hub, &of_alice, &["b"], &[], Some("alice")).expect("her own");
    retopic(&hub, &of_nobody, &["b"], &[], None).expect("nobody's");
}

#[test]
fn a_stream_watches_no_more_than_it_may() {
    let hub = Hub::with(json!({ "max_topics": 3, "topic_bytes": 8 * 1000 }));
    let (mut reader, public) = stream(&hub, &["a", "b"], None, Framing::Raw);
    let refused =
        |add: &[&str], remove: &[&str]| retopic(&hub, &public, add, remove, None).expect_err("refused").to_string();
    assert!(refused(&["c", "d"], &[]).contains("4 topics given; sse.max_topics allows 3"));
    assert!(refused(&["c", "d", "e", "f"], &[]).contains("4 topics given"));
    assert!(refused(&[], &["a", "b"]).contains("would watch no topic any more"));
    assert!(refused(&["x*"], &[]).contains("must be a whole segment"));
    // An eighth of the bytes for one address.
    let before = hub.stats()["topic_bytes"].clone();
    assert!(refused(&[&"c".repeat(255)], &[]).contains("sse.topic_bytes"));
    assert_eq!(hub.stats()["topic_bytes"], before);
    publish(&mut hub.client(), &["b"], "1", "as before");
    reader.expect(b"id: 1\ndata: as before\n\n");
    retopic(&hub, &public, &["c", "d"], &["a"], None).expect("three");
    drop(reader);
    hub.until("nothing is charged", |stats| stats["topic_bytes"] == 0);
}

/// Events flow all the time while the topics change: none of a topic that stays is lost or doubled, and none of a topic that was
/// removed comes once the change was answered.
#[test]
fn events_flow_while_the_topics_change() {
    const ROUNDS: usize = 200;
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes }));
        let (reader, public) = stream(&hub, &["stays"], None, Framing::Raw);
        std::thread::scope(|scope| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let flow = scope.spawn(|| {
                let stopped = stopped;
                let mut publisher = hub.client();
                let mut count = 0;
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    count += 1;
                    publish(&mut publisher, &["stays"], &format!("s{count}"), "x");
                    publish(&mut publisher, &["goes"], &format!("g{count}"), "x");
                }
                publish(&mut publisher, &["stays"], "end", "x");
                count
            });
            let read = scope.spawn(|| {
                use std::io::BufRead;
                let lines = std::io::BufReader::new(reader.socket.try_clone().expect("a descriptor")).lines();
                let ids = lines
                    .map(|line| line.expect("events"))
                    .filter_map(|line| Some(line.strip_prefix("id: ")?.to_owned()));
                ids.take_while(|id| id != "end").collect::<Vec<_>>()
            });
            let mut publisher = hub.client();
            for round in 0..ROUNDS {
                retopic(&hub, &public, &["goes"], &[], None).expect("added");
                publish(&mut publisher, &["goes"], &format!("in{round}"), "x");
                retopic(&hub, &public, &[], &["goes"], None).expect("removed");
                publish(&mut publisher, &["goes"], &format!("out{round}"), "x");
            }
            drop(stop);
            let count: usize = flow.join().expect("published");
            let ids = read.join().expect("read");
            let of = |prefix: &str| ids.iter().filter(|id| id.starts_with(prefix)).cloned().collect::<Vec<_>>();
            assert_eq!(of("s"), (1..=count).map(|nth| format!("s{nth}")).collect::<Vec<_>>());
            assert_eq!(of("in"), (0..ROUNDS).map(|nth| format!("in{nth}")).collect::<Vec<_>>());
            assert_eq!(of("out"), [""; 0]);
        });
    }
}

fn publish_except(hub: &Hub, id: &str, except: &str) {
    let event = NewEvent { topics: vec!["a"], id: Some(id), data: b"x", except: Some(except), ..NewEvent::default() };
    let published = hub.client().call(&Request::Publish { event, answer: true }, None, PATIENCE).map(|_| ());
    published.expect("published");
}

#[test]
fn all_get_an_event_but_the_stream_that_it_excepts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("history.db");
    for settings in [json!({}), json!({ "processes": 2 }), json!({ "history_file": file })] {
        let mut settings = settings;
        settings["history_events"] = json!(10);
        let hub = Hub::with(settings);
        let (mut sender, public) = stream(&hub, &["a"], None, Framing::Raw);
        let (mut other, _) = stream(&hub, &["a", "*"], None, Framing::Raw);
        publish_except(&hub, "1", &public);
        publish_except(&hub, "2", "AAAAAAAAAAAAAAAAAAAAAA");
        sender.expect(b"id: 2\ndata: x\n\n");
        other.expect(b"id: 1\ndata: x\n\nid: 2\ndata: x\n\n");
    }
}

#[test]
fn all_machines_streams_get_an_event_but_the_one_that_it_excepts() {
    let redis = Redis::new();
    let hubs = [bus::hub(&redis), bus::hub(&redis)];
    let mut readers: Vec<_> = hubs.iter().map(|hub| stream(hub, &["a"], None, Framing::Raw)).collect();
    let public = readers[1].1.clone();
    publish_except(&hubs[0], "1", &public);
    publish(&mut hubs[0].client(), &["a"], "2", "x");
    readers[0].0.expect(b"id: 1\ndata: x\n\nid: 2\ndata: x\n\n");
    readers[1].0.expect(b"id: 2\ndata: x\n\n");
}

fn present(hub: &Hub, topic: &str) -> u64 {
    match hub.client().call(&Request::PresenceCount { topic }, None, PATIENCE) {
        Ok(Reply::MemberCount { count }) => count,
        other => panic!("no count: {other:?}"),
    }
}

fn of(id: &str) -> Presence<'_> {
    Presence { member: Some(Member { id, info: "{}" }), events: false }
}

fn present_at<'a>(patterns: &[&'a str], events: bool) -> Attach<'a> {
    Attach { presence: Presence { member: Some(Member { id: "u", info: "{}" }), events }, ..wanted(patterns) }
}

/// The topics may be the client's choice, the hub's own among them.
#[test]
fn presence_follows_a_stream_that_watches_other_topics() {
    for processes in [1, 2] {
        let mut hub = Hub::with(json!({ "processes": processes, "presence_grace_ms": 0, "max_topics": 3 }));
        let (reader, public) = hub.hold(present_at(&["a", "b"], true));
        retopic(&hub, &public, &["$presence.c", "c"], &["a"], None)
            .expect("the hub's patterns are no topics of its own");
        assert_eq!(["a", "b", "c"].map(|topic| present(&hub, topic)), [0, 1, 1]);
        let error = retopic(&hub, &public, &["d"], &[], None).expect_err("three already").to_string();
        assert!(error.contains("4 topics given; sse.max_topics allows 3"), "{error}");
        hub.upgrade(&json!({}));
        retopic(&hub, &public, &["a"], &["c", "$presence.c"], None).expect("changed");
        assert_eq!(["a", "b", "c"].map(|topic| present(&hub, topic)), [1, 1, 0]);
        let before = hub.stats()["topic_bytes"].clone();
        for (add, remove) in [("c", "a"), ("a", "c")].repeat(20) {
            retopic(&hub, &public, &[add], &[remove], None).expect("changed");
        }
        assert_eq!(hub.stats()["topic_bytes"], before);
        drop(reader);
        hub.until("all is given back", |stats| stats["topic_bytes"] == 0);
    }
}

#[test]
fn a_stream_gets_the_list_of_an_added_topic_in_order_with_everything() {
    for (processes, topics_as) in [(1, None), (2, None), (1, Some(TopicsAs::Field))] {
        let hub = Hub::with(json!({ "processes": processes, "presence_grace_ms": 0 }));
        let other = hub.hold(Attach { presence: of("other"), ..wanted(&["b"]) });
        let mut wanted = present_at(&["a"], true);
        wanted.spec.topics_as = topics_as;
        let (mut reader, public) = hub.hold(wanted);
        commit(&reader.client, reader.stream, Framing::Raw);
        let mut next = |event: &str, members: &[&str]| {
            let mut text = reader.frame();
            while topics_as.is_some() && !text.contains("data: ") || text.contains("event: stream\n") {
                text = reader.frame();
            }
            assert!(text.contains(event), "{text}");
            assert_eq!(text.matches("\"id\":").count(), members.len(), "{text}");
            members.iter().for_each(|id| assert!(text.contains(&format!("\"id\":\"{id}\"")), "{text}"));
        };
        next("event: presence.list\ndata: {\"topic\":\"a\",\"count\":1,", &["u"]);
        // What is there already has no list once more, also if it is added again.
        for add in [&["b"], &["a"]] {
            retopic(&hub, &public, add, &[], None).expect("changed");
        }
        publish(&mut hub.client(), &["b"], "1", "after the list");
        drop(other);
        next("event: presence.list\ndata: {\"topic\":\"b\",\"count\":2,", &["other", "u"]);
        next("id: 1\n", &[]);
        next("event: presence.leave\ndata: {\"topic\":\"b\",\"count\":1,", &["other"]);
        // One that comes back to a topic has missed what was told meanwhile.
        retopic(&hub, &public, &["c"], &["b"], None).expect("changed");
        retopic(&hub, &public, &["b"], &["c"], None).expect("changed");
        next("event: presence.list\ndata: {\"topic\":\"c\",\"count\":1,", &["u"]);
        next("event: presence.list\ndata: {\"topic\":\"b\",\"count\":1,", &["u"]);
    }
}

#[test]
fn a_topic_of_the_hubs_that_a_script_has_named_is_watched_after_an_upgrade_too() {
    let mut hub = Hub::new();
    let (mut reader, public) = stream(&hub, &["$presence.a", "a"], None, Framing::Raw);
    hub.upgrade(&json!({}));
    retopic(&hub, &public, &["b"], &["a"], None).expect("changed");
    let _present = hub.hold(present_at(&["a"], false));
    reader.expect(b"event: presence.join\n");
}

/// Attack: a client has its stream watch more and more, and its user be there as well.
#[test]
fn what_presence_keeps_for_other_topics_is_charged() {
    let names: Vec<String> = (0..20).map(|nth| format!("t{nth:02}")).collect();
    let topics: Vec<&str> = names.iter().map(String::as_str).collect();
    let hub = Hub::with(json!({ "topic_bytes": 1 << 20 }));
    let used = |presence: Attach<'static>| {
        let (reader, public) = hub.hold(presence);
        retopic(&hub, &public, &topics, &[], None).expect("changed");
        let used = hub.stats()["topic_bytes"].as_u64().expect("a number");
        drop(reader);
        hub.until("its end is known", |stats| stats["streams"]["open"] == 0);
        used
    };
    let (plain, member, told) = (used(wanted(&["a"])), used(present_at(&["a"], false)), used(present_at(&["a"], true)));
    assert!(member > plain + 20 * 160, "{member} {plain}");
    assert!(told > member + 20 * 200, "{told} {member}");

    let hub = Hub::with(json!({ "topic_bytes": 8 * 7000 }));
    let (_reader, public) = hub.hold(present_at(&["a"], false));
    let before = hub.stats()["topic_bytes"].clone();
    let error = retopic(&hub, &public, &topics, &[], None).expect_err("too much").to_string();
    assert!(error.contains("sse.topic_bytes"), "{error}");
    assert_eq!((hub.stats()["topic_bytes"].clone(), present(&hub, "t00")), (before, 0));
}

fn finish(hub: &Hub, topic: &str) {
    let event = NewEvent { topics: vec![topic], finishes: true, ..NewEvent::default() };
    hub.client().call(&Request::Publish { event, answer: true }, None, PATIENCE).map(|_| ()).expect("finished");
}

#[test]
fn a_stream_ends_once_all_that_it_watches_instead_is_finished() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes }));
        finish(&hub, "a");
        finish(&hub, "b");
        let (mut ends, public) = stream(&hub, &["c"], None, Framing::Raw);
        retopic(&hub, &public, &["a", "b"], &["c"], None).expect("changed");
        ends.expect_end();
        // What has been finished before is known for good.
        let (mut ends, public) = stream(&hub, &["a", "c"], None, Framing::Raw);
        retopic(&hub, &public, &["b", "d"], &["c"], None).expect("changed");
        finish(&hub, "d");
        ends.socket.read_to_end(&mut Vec::new()).expect("the end");
    }
}

/// Somebody logs out while Redis is away, and in again: what was ended then is not what runs now.
#[test]
fn an_order_that_has_waited_for_redis_ends_no_stream_that_began_meanwhile() {
    let redis = Redis::new();
    let (a, b) = (bus::hub(&redis), bus::hub(&redis));
    let (mut before, _) = stream(&b, &["t"], Some("alice"), Framing::Raw);
    redis.signal(rustix::process::Signal::STOP);
    bus::away(&a);
    assert_eq!(disconnect(&a, Whom::User("alice"), None), Some(0));
    let uptime = |stats: &serde_json::Value| stats["uptime"].as_u64().expect("seconds");
    let then = uptime(&b.stats());
    // Shards count in seconds.
    b.until("some time has passed", |stats| uptime(stats) > then + 2);
    let (mut after, _) = stream(&b, &["t"], Some("alice"), Framing::Raw);
    redis.signal(rustix::process::Signal::CONT);
    before.expect_end();
    let id = bus::give(&a, "t", "x");
    after.expect(format!("id: {id}\ndata: x\n\n").as_bytes());
}

/// After an outage hubs come back one after the other, and Redis keeps no order for those that do not listen yet.
#[test]
fn an_order_reaches_a_hub_that_comes_back_to_redis_later_than_the_one_that_sends_it() {
    let redis = Redis::new();
    let doors = [Door::to(redis.port), Door::to(redis.port)];
    let [a, b] = doors.each_ref().map(|door| bus::on(&door.url(""), json!({})));
    let (mut before, _) = stream(&b, &["t"], Some("alice"), Framing::Raw);
    doors.iter().for_each(|door| door.lead_to(1));
    for hub in [&a, &b] {
        bus::away(hub);
    }
    assert_eq!(disconnect(&a, Whom::User("alice"), None), Some(0));
    doors[0].lead_to(redis.port);
    bus::back(&a);
    // It has been sent before this.
    bus::give(&a, "other", "x");
    doors[1].lead_to(redis.port);
    before.expect_end();
}
