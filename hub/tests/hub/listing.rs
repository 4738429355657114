//! Which streams are open: `sse_streams()`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sse_protocol::client::{Client, ClientError};
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, ErrorCode, Framing, Reply, Request, User, Whom};

use crate::support::server::{Owner, Server};
use crate::support::{self, Hub, PATIENCE, Reader, commit, publish};

/// A page: ids and descriptions, in their order, and where the next one begins.
type Page = (Vec<(String, Value)>, Option<String>);

fn tried(client: &mut Client, whose: Option<Whom<'_>>, after: Option<&str>, limit: u32) -> Result<Page, ClientError> {
    match client.call(&Request::Streams { whose, after, limit }, None, PATIENCE)? {
        Reply::Streams { json, count, last } => {
            assert!(count <= 500 && json.len() <= 2 * (64 << 10), "{count} streams, {} bytes", json.len());
            // Objects of serde_json are sorted, and this one's order counts.
            let parts: Vec<&str> = json.split("\":{").collect();
            let keys = parts[..parts.len() - 1].iter().filter_map(|part| part.rsplit_once('"'));
            let ids: Vec<String> = keys.map(|(_, id)| id.to_owned()).collect();
            let all: Value = serde_json::from_str(&format!("{{{json}}}")).expect("JSON");
            assert_eq!((ids.len(), all.as_object().map(serde_json::Map::len)), (count as usize, Some(count as usize)));
            Ok((ids.into_iter().map(|id| (id.clone(), all[&id].clone())).collect(), last.map(str::to_owned)))
        }
        other => panic!("no streams: {other:?}"),
    }
}

fn page(hub: &Hub, whose: Option<Whom<'_>>, after: Option<&str>, limit: u32) -> Page {
    tried(&mut hub.client(), whose, after, limit).expect("listed")
}

/// All ids, page by page.
fn ids(hub: &Hub, whose: Option<Whom<'_>>, limit: u32) -> Vec<String> {
    let mut client = hub.client();
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let (page, last) = tried(&mut client, whose, after.as_deref(), limit).expect("listed");
        assert!(page.len() <= limit as usize);
        ids.extend(page.into_iter().map(|(id, _)| id));
        if last.is_none() {
            return ids;
        }
        assert_eq!(last.as_ref(), ids.last());
        after = last;
    }
}

fn stream(hub: &Hub, patterns: &[&str], user: Option<&str>) -> (Reader, String) {
    let wanted = Attach {
        patterns: patterns.to_vec(),
        spec: StreamSpec { stream_id: true, ..StreamSpec::default() },
        address: Some("2001:db8:1:2:3::4"),
        user: user.map(|key| User { key, limit: 0, replace: false }),
        ..Attach::default()
    };
    let (reader, public) = hub.hold(wanted);
    commit(&reader.client, reader.stream, Framing::Raw);
    (reader, public)
}

#[test]
fn a_stream_is_described_also_by_the_hub_that_takes_over() {
    for processes in [1, 2] {
        let mut hub = Hub::with(json!({ "processes": processes }));
        let (mut reader, public) = stream(&hub, &["b", "a.*"], Some("alice"));
        let told = format!(":\nevent: stream\ndata: {{\"stream\":\"{public}\"}}\n\n");
        reader.expect(told.as_bytes());
        publish(&mut hub.client(), &["b"], "1", "x");
        let event = b"id: 1\ndata: x\n\n";
        reader.expect(event);
        let mut since = None;
        for _ in 0..2 {
            let (page, last) = page(&hub, None, None, 10);
            let [(id, described)] = &page[..] else { panic!("{page:?}") };
            assert_eq!((id, last), (&public, None));
            let now = described["since"].as_u64().expect("a time");
            assert!(now.abs_diff(*since.get_or_insert(now)) <= 2, "{described}");
            let mut rest = described.clone();
            rest["since"].take();
            assert_eq!(
                rest,
                json!({
                    "topics": ["a.*", "b"], "topic_count": 2, "user": "alice", "address": "2001:db8:1:2::/64", "since": null,
                    "bytes": told.len() + event.len(), "queue": 0, "callback": false, "framing": "raw",
                })
            );
            hub.upgrade(&json!({}));
        }
    }
}

#[test]
fn streams_are_found_by_topic_user_and_id() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes }));
        let streams = [
            stream(&hub, &["a.b", "a.*"], Some("alice")),
            stream(&hub, &["a.c"], Some("bob")),
            stream(&hub, &["b"], None),
        ];
        let [one, two, three] = streams.each_ref().map(|(_, public)| public.as_str());
        let again = stream(&hub, &["**"], Some("alice"));
        let four = again.1.as_str();
        let found = |whose| ids(&hub, Some(whose), 1);
        assert_eq!(found(Whom::Topic("a.b")), [one, four]);
        assert_eq!(found(Whom::Topic("a.c")), [one, two, four]);
        assert_eq!(found(Whom::User("alice")), [one, four]);
        assert_eq!(found(Whom::User("nobody")), [""; 0]);
        assert_eq!(found(Whom::Stream(three)), [three]);
        assert_eq!(found(Whom::Stream("forged")), [""; 0]);
        assert_eq!(ids(&hub, None, 3), [one, two, three, four]);
        drop(again);
        hub.until("it has ended", |stats| stats["streams"]["open"] == 3);
        // It goes on after one that has ended.
        let (rest, last) = page(&hub, None, Some(two), 10);
        assert_eq!((rest.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), last), (vec![three], None));
    }
}

#[test]
fn a_stream_with_a_callback_has_the_topics_that_its_callback_watches() {
    let (hub, server) = (Hub::new(), Server::new());
    let _streams = ["a", "b"].map(|topic| server.stream(&hub, topic, Owner::default()));
    let (page, _) = page(&hub, Some(Whom::Topic("a")), None, 10);
    let [(_, described)] = &page[..] else { panic!("{page:?}") };
    assert_eq!((&described["topics"], &described["callback"]), (&json!(["a"]), &json!(true)));
    assert_eq!(described["address"], "192.0.2.1");
}

/// An administrator sees the ids of all streams, also of those whose scripts have not asked for theirs.
#[test]
fn each_stream_that_is_listed_can_be_ended() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes }));
        let mut readers = [hub.stream(&["a"], Framing::Raw), hub.stream(&["a"], Framing::Raw)];
        let all = ids(&hub, None, 10);
        assert_eq!(ids(&hub, Some(Whom::Stream(&all[1])), 1), [all[1].as_str()]);
        let disconnect = Request::Disconnect { whom: Whom::Stream(&all[1]), retry: Some(7) };
        for streams in [Some(1), Some(0)] {
            match hub.client().call(&disconnect, None, PATIENCE) {
                Ok(Reply::Disconnected { streams: ended }) => assert_eq!(ended, streams),
                other => panic!("not ended: {other:?}"),
            }
            readers[1].expect(if streams == Some(1) { b":\n\nretry: 7\n\n" } else { b"" });
            readers[1].expect_end();
            hub.until("it has ended", |stats| stats["streams"]["open"] == 1);
        }
        publish(&mut hub.client(), &["a"], "1", "x");
        readers[0].expect(b":\n\nid: 1\ndata: x\n\n");
        assert_eq!(ids(&hub, None, 10), [all[0].as_str()]);
    }
}

#[test]
fn what_names_no_streams_is_refused() {
    let hub = Hub::new();
    let refused = |whose, after| match tried(&mut hub.client(), whose, after, 1) {
        Err(ClientError::Hub { code: ErrorCode::Invalid, message }) => message,
        other => panic!("not refused: {other:?}"),
    };
    assert!(refused(Some(Whom::User("")), None).contains("must not be empty"));
    assert!(refused(Some(Whom::Topic("a.*")), None).contains("wildcards are for watching only"));
    assert!(refused(None, Some("forged")).contains("begin the list anew"));
}

/// Attack: streams with many long topics, and one that reads nothing. A page has few of them then, and each only some of its topics.
#[test]
fn a_page_is_small_whatever_the_streams_watch() {
    let hub = Hub::with(json!({ "max_topics": 1000, "topic_bytes": 1 << 30 }));
    let names: Vec<String> = (0..1000).map(|nth| format!("{}{nth:03}", "t".repeat(250))).collect();
    let patterns: Vec<&str> = names.iter().map(String::as_str).collect();
    let streams: Vec<_> = (0..12).map(|_| stream(&hub, &patterns, None)).collect();
    let (first, last) = page(&hub, None, None, 1_000_000);
    assert!((1..12).contains(&first.len()), "{}", first.len());
    assert_eq!(last.as_ref(), Some(&first[first.len() - 1].0));
    assert_eq!((&first[0].1["topic_count"], first[0].1["topics"].as_array().map(Vec::len)), (&json!(1000), Some(100)));
    assert_eq!((&first[0].1["topics"][0], &first[0].1["topics"][99]), (&json!(names[0]), &json!(names[99])));
    let all: Vec<&str> = streams.iter().map(|(_, public)| public.as_str()).collect();
    assert_eq!(ids(&hub, None, 1_000_000), all);
}

/// Streams come and go all the time; those that stay are in each list, once.
#[test]
fn a_stream_that_stays_is_listed_once() {
    for processes in [1, 2] {
        let hub = Hub::with(json!({ "processes": processes }));
        let mut stay = BTreeSet::new();
        let mut kept = Vec::new();
        std::thread::scope(|scope| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let hub = &hub;
            for nth in 0..40 {
                let (reader, public) = stream(hub, &["a"], None);
                // In between, so that slots of the slab are free and used again.
                if nth % 2 == 0 {
                    stay.insert(public);
                    kept.push(reader);
                }
            }
            let coming = scope.spawn(move || {
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    let mut some: Vec<_> = (0..5).map(|_| stream(hub, &["a"], None)).collect();
                    some.remove(2);
                }
            });
            for whose in [None, Some(Whom::Topic("a"))].into_iter().cycle().take(20) {
                let listed = ids(hub, whose, 3);
                let distinct: BTreeSet<&String> = listed.iter().collect();
                assert_eq!(distinct.len(), listed.len());
                assert!(stay.iter().all(|id| distinct.contains(id)));
            }
            drop(stop);
            coming.join().expect("streams");
        });
    }
}

/// Attack: many processes list a hub's streams in a loop. Publishing goes on: no turn does more than a page.
#[test]
fn lists_do_not_hold_up_what_else_there_is_to_do() {
    let hub = Hub::new();
    let readers: Vec<_> = (0..700).map(|_| hub.stream(&["a"], Framing::Raw)).collect();
    let mut publisher = hub.client();
    std::thread::scope(|scope| {
        let listing: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..5).map(|_| ids(&hub, None, 1000).len()).max())).collect();
        let mut count = 0;
        while !listing.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            count += 1;
            publish(&mut publisher, &["b"], &count.to_string(), "x");
        }
        for listed in listing {
            assert_eq!(listed.join().expect("listed"), Some(700));
        }
    });
    let most = hub.stats()["turns"]["most_steps"].as_u64();
    assert!(most.is_some_and(|most| most <= 8 * 500), "{most:?}");
    drop(readers);
    support::until("all have gone", || hub.stats()["streams"]["open"] == json!(0));
}
