use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};
use sse_protocol::presence::MEMBERS_BYTES;

use crate::event::Event;
use crate::presence::elsewhere::ElsewhereChange;
use crate::presence::events::PresenceTold;
use crate::presence::member::{Elsewhere, Person};
use crate::presence::sharing::{OwnChange, OwnMember};
use crate::presence::{PresenceTable, cost, is_json};
use crate::quota::topics::TopicCharges;
use crate::sys::counting;

const GRACE: Duration = Duration::from_secs(5);

/// A presence whose time the test sets.
struct Site {
    presence: PresenceTable,
    now: Instant,
    next: u64,
    /// Bytes of all events.
    bytes: usize,
    events: usize,
}

impl Site {
    fn new(grace: Duration) -> Self {
        Self { presence: PresenceTable::new(grace), now: Instant::now(), next: 0, bytes: 0, events: 0 }
    }

    fn enter(&mut self, id: &str, topics: &[&str]) -> u64 {
        self.enter_with(id, "{}", topics)
    }

    fn enter_with(&mut self, id: &str, info: &str, topics: &[&str]) -> u64 {
        self.next += 1;
        self.presence.enter(self.next, Some(Person::new(id, info, None)), topics, true, self.now);
        self.next
    }

    fn leave(&mut self, stream: u64) {
        self.presence.leave(stream, self.now);
    }

    /// What readers are told until so many milliseconds later, as `+id` and `-id`.
    fn told(&mut self, ms: u64) -> Vec<String> {
        let until = self.now + Duration::from_millis(ms);
        let mut said = Vec::new();
        loop {
            let mut told = Vec::new();
            self.presence.turn(self.now, &|_| true, &mut told);
            for event in told.iter().flat_map(PresenceTold::events) {
                self.bytes += event.data().len();
                self.events += 1;
                let sign = if event.event_type() == Some("presence.join") { '+' } else { '-' };
                said.extend(ids(&event).iter().map(|id| format!("{sign}{id}")));
            }
            match self.presence.deadline().filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = until;
        said
    }

    fn ids(&self, topic: &str) -> Vec<String> {
        let page = self.presence.page(topic, None, 1000);
        let members: Value = serde_json::from_str(&format!("{{{}}}", page.json)).expect("JSON");
        members.as_object().expect("an object").keys().cloned().collect()
    }
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(event.data()).expect("JSON")
}

fn ids(event: &Event) -> Vec<String> {
    let data = data(event);
    let members = data["members"].as_array().expect("a list");
    members.iter().map(|member| member["id"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_user_joins_with_the_first_stream_and_leaves_after_the_last() {
    let mut site = Site::new(GRACE);
    let streams = [site.enter("u", &["a"]), site.enter("u", &["a", "b"]), site.enter("u", &["a"])];
    assert_eq!(site.told(0), ["+u", "+u"], "one of each topic");
    site.leave(streams[0]);
    site.leave(streams[2]);
    assert_eq!(site.told(6000), [""; 0]);
    assert_eq!((site.ids("a"), site.presence.count("b")), (vec!["u".into()], 1));
    site.leave(streams[1]);
    assert_eq!(site.told(4999), [""; 0]);
    assert_eq!(site.ids("a"), ["u"], "for the grace");
    assert_eq!(site.told(1), ["-u", "-u"]);
    assert_eq!((site.ids("a").len(), site.presence.len()), (0, (0, 0)));
    assert_eq!((site.presence.counts.joins, site.presence.counts.leaves), (2, 2));
}

#[test]
fn a_reload_is_neither_a_leave_nor_a_join() {
    let mut site = Site::new(GRACE);
    let mut stream = site.enter("u", &["a"]);
    assert_eq!(site.told(0), ["+u"]);
    for _ in 0..10 {
        site.leave(stream);
        assert_eq!(site.told(3000), [""; 0]);
        stream = site.enter("u", &["a"]);
        assert_eq!(site.told(4000), [""; 0]);
    }
    assert_eq!(site.presence.leaving.len(), 0, "nobody may leave");
    site.leave(stream);
    assert_eq!(site.told(5000), ["-u"]);
}

/// Attack: a client reconnects all the time, and each time makes the hub keep a little more.
#[test]
fn one_who_comes_and_goes_is_noted_once() {
    let mut site = Site::new(GRACE);
    for _ in 0..1000 {
        let stream = site.enter("u", &["a"]);
        site.leave(stream);
    }
    assert_eq!((site.presence.leaving.len(), site.presence.due.len()), (1, 1));
    assert_eq!(site.told(5000), ["+u", "-u"]);
    assert_eq!((site.presence.leaving.len(), site.presence.due.len(), site.presence.len()), (0, 0, (0, 0)));
}

#[test]
fn joins_and_leaves_of_a_user_alternate_whatever_readers_have_to_wait() {
    let mut site = Site::new(Duration::ZERO);
    let crowd: Vec<u64> = (0..5000).map(|nth| site.enter(&format!("m{nth}"), &["a"])).collect();
    site.told(20_000);
    let mut before = '-';
    for round in 0..100 {
        let stream = site.enter("u", &["a"]);
        site.told(round * 7 % 40).iter().filter(|said| said.ends_with('u')).for_each(|said| {
            let sign = said.chars().next().expect("a sign");
            assert_ne!(sign, before);
            before = sign;
        });
        site.leave(stream);
        for said in site.told(round * 11 % 300).iter().filter(|said| said.ends_with('u')) {
            let sign = said.chars().next().expect("a sign");
            assert_ne!(sign, before);
            before = sign;
        }
    }
    site.told(20_000);
    crowd.into_iter().for_each(|stream| site.leave(stream));
    site.told(20_000);
    assert_eq!(site.presence.len(), (0, 0));
}

#[test]
fn the_list_is_what_readers_were_told_and_later_events_are_the_rest() {
    let mut site = Site::new(GRACE);
    site.enter_with("b", "{\"n\":\"B\"}", &["a"]);
    site.told(0);
    site.enter("c", &["a"]);
    let list = site.presence.list("a", false);
    assert_eq!((list.id(), list.event_type(), list.topics()), ("", Some("presence.list"), &["$presence.a".into()][..]));
    assert!(!list.frame().starts_with(b"id"), "Last-Event-ID stays");
    let mut found = data(&list);
    assert!(found["members"][0]["since"].take().as_u64() > Some(1_600_000_000_000));
    let member = json!({ "id": "b", "info": { "n": "B" }, "since": null });
    assert_eq!(found, json!({ "topic": "a", "count": 1, "members": [member] }));
    assert_eq!(site.told(0), ["+c"]);
    let list = site.presence.list("a", false);
    assert_eq!((ids(&list), data(&list)["count"].as_u64()), (vec!["b".into(), "c".into()], Some(2)));
    assert!(Arc::ptr_eq(&list, &site.presence.list("a", false)), "it is made once");
    let brief = data(&site.presence.list("a", true));
    assert_eq!(brief, json!({ "topic": "a", "count": 2, "members": [], "more": true }));
}

#[test]
fn the_newest_info_counts() {
    let mut site = Site::new(GRACE);
    site.enter_with("u", "1", &["a"]);
    site.told(0);
    site.enter_with("u", "[2,\n3]", &["a"]);
    assert_eq!(site.told(10), [""; 0]);
    assert_eq!(data(&site.presence.list("a", false))["members"][0]["info"], json!([2, 3]));
    assert!(site.presence.page("a", None, 1).json.contains("\"info\":[2, 3],"));
}

#[test]
fn a_list_has_as_many_members_as_fit() {
    let mut site = Site::new(GRACE);
    let info = format!("\"{}\"", "x".repeat(4000));
    (0..100).for_each(|nth| _ = site.enter_with(&format!("u{nth:02}"), &info, &["a"]));
    assert_eq!(site.told(10_000).len(), 100, "all joins are told, in several events");
    let list = site.presence.list("a", false);
    assert!(list.data().len() < MEMBERS_BYTES + 5000);
    assert_eq!((data(&list)["count"].as_u64(), data(&list)["more"].as_bool()), (Some(100), Some(true)));
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = site.presence.page("a", after.as_deref(), 7);
        let members: Value = serde_json::from_str(&format!("{{{}}}", page.json)).expect("JSON");
        assert_eq!(members.as_object().expect("an object").len(), page.count as usize);
        all.extend(members.as_object().expect("an object").keys().cloned());
        after = page.last;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..100).map(|nth| format!("u{nth:02}")).collect();
    assert_eq!(all, expected);
}

/// Attack: one member of many topics, with a long info, makes the hub keep a list of each.
#[test]
fn lists_are_kept_by_those_who_get_them_only() {
    let mut site = Site::new(GRACE);
    let names: Vec<String> = (0..100).map(|nth| format!("t{nth}")).collect();
    let topics: Vec<&str> = names.iter().map(String::as_str).collect();
    let info = format!("\"{}\"", "x".repeat(4000));
    site.enter_with("u", &info, &topics);
    assert_eq!(site.told(1000).len(), topics.len());
    let before = counting::in_use();
    let lists: Vec<_> = topics.iter().map(|topic| site.presence.list(topic, false)).collect();
    assert!(lists.iter().all(|list| ids(list) == ["u"]));
    drop(lists);
    let kept = counting::in_use() - before;
    assert!(kept < cost("u", &info, &topics) as isize, "{kept} bytes");
}

/// The bar of many joins: what each reader gets follows the number of members, not its square.
#[test]
fn ten_thousand_members_who_join_are_told_of_in_few_events() {
    const MEMBERS: usize = 10_000;
    let mut site = Site::new(GRACE);
    for nth in 0..MEMBERS {
        site.enter(&format!("user-{nth}"), &["a"]);
        // A thousand a second.
        let _ = site.told(1);
    }
    let _ = site.told(30_000);
    assert_eq!(site.presence.topics["a"].told, MEMBERS);
    println!("{} events, {} bytes", site.events, site.bytes);
    assert!(site.events < 500, "{} events", site.events);
    assert!(site.bytes < MEMBERS * 80, "{} bytes", site.bytes);
}

/// Attack: many users join many topics at once, or have long infos, and readers of all of these may be told at the same time.
#[test]
fn what_is_told_in_a_turn_has_one_bound_for_all_topics_together() {
    let names: Vec<String> = (0..30).map(|nth| format!("t{nth:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let long = format!("\"{}\"", "x".repeat(1000));
    for (members, info) in [(400, "1"), (20, &long[..])] {
        for hurried in [false, true] {
            let mut site = Site::new(GRACE);
            for nth in 0..members {
                site.enter_with(&format!("u{nth:03}"), info, &names);
            }
            let (mut turns, mut joins, mut all) = (0, 0, 0);
            while site.presence.deadline().is_some() {
                let mut told = Vec::new();
                let steps = match hurried && turns == 0 {
                    true => site.presence.hurry(&names, site.now, &|_| true, &mut told),
                    false => site.presence.turn(site.now, &|_| true, &mut told),
                };
                let events: Vec<_> = told.iter().flat_map(PresenceTold::events).collect();
                let bytes: usize = events.iter().map(|event| event.data().len()).sum();
                // The last topic may go over the bound by as much again.
                assert!(steps <= 2048 && bytes <= 3 * MEMBERS_BYTES, "{steps} changes, {bytes} bytes");
                joins += events.iter().map(|event| ids(event).len()).sum::<usize>();
                all += steps;
                turns += 1;
                let at = site.presence.deadline().unwrap_or(site.now);
                site.now = site.now.max(at);
            }
            assert_eq!((joins, all), (members * names.len(), members * names.len()), "the rest is told in later turns");
            assert!(turns > 2, "{turns}");
        }
    }
}

/// The bar: 300 bytes beside id and info, of a user with a stream and a topic that others have too. No more than is charged.
#[test]
fn a_member_costs_little_and_a_stream_without_one_nothing() {
    const STREAMS: u64 = 10_000;
    let topics = TopicCharges::new(1 << 30);
    let mut presence = PresenceTable::new(GRACE);
    let now = Instant::now();
    let before = counting::in_use();
    for stream in 0..STREAMS {
        let (id, info) = (format!("user-{stream:011}"), "{\"name\":\"0123456789\"}.".replace('.', " "));
        let charge = topics.reserve_bytes(None, cost(&id, &info, &["a"])).expect("room");
        presence.enter(stream, Some(Person::new(&id, &info, Some(charge))), &["a"], false, now);
    }
    let mut told = Vec::new();
    let mut at = now;
    while let Some(next) = presence.deadline() {
        at = at.max(next);
        presence.turn(at, &|_| false, &mut told);
    }
    drop(told);
    let bytes = (counting::in_use() - before) as usize / STREAMS as usize;
    let own = 16 + 22;
    println!("{bytes} bytes a stream, {} charged", topics.used() / STREAMS as usize);
    assert!(bytes - own <= 300, "{bytes}");
    assert!(bytes <= topics.used() / STREAMS as usize + own, "{bytes}");
    (0..STREAMS).for_each(|stream| presence.leave(stream, at));
    while let Some(next) = presence.deadline() {
        at = at.max(next);
        presence.turn(at, &|_| false, &mut Vec::new());
    }
    assert_eq!((presence.len(), topics.used()), ((0, 0), 0));
    assert!(counting::in_use() - before < 4096);
}

/// The promise of `sse.topic_bytes`, where each stream names topics that nobody else has.
#[test]
fn topics_of_ones_own_take_no_more_than_twice_what_is_charged() {
    let topics = TopicCharges::new(1 << 30);
    let mut presence = PresenceTable::new(GRACE);
    let now = Instant::now();
    let before = counting::in_use();
    for stream in 0..200 {
        let names: Vec<String> = (0..50).map(|nth| format!("t.{stream}.{nth}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let charge = topics.reserve_bytes(None, cost("u", "1", &names)).expect("room");
        presence.enter(stream, Some(Person::new("u", "1", Some(charge))), &names, false, now);
    }
    let bytes = (counting::in_use() - before) as usize;
    println!("{} bytes a topic, {} charged", bytes / 10_000, topics.used() / 10_000);
    assert!(bytes <= 2 * topics.used(), "{bytes} bytes, {} charged", topics.used());
}

/// A user who was never told of and is gone is forgotten by the next hub too.
#[test]
fn an_upgrade_keeps_nobody_who_has_left() {
    let topics = TopicCharges::new(1 << 20);
    let mut site = Site::new(Duration::ZERO);
    let charge = topics.reserve_bytes(None, 500).ok();
    site.presence.enter(7, Some(Person::new("u", "1", charge)), &["a"], false, site.now);
    site.leave(7);
    let state: Vec<_> = site.presence.state(site.now).collect();
    let fresh = TopicCharges::new(1 << 20);
    let mut next = Site::new(Duration::ZERO);
    state.iter().for_each(|state| next.presence.restore(state, &fresh, next.now));
    assert_eq!(next.told(5000), [""; 0]);
    assert_eq!((next.presence.len(), fresh.used()), ((0, 0), 0));
}

/// Attack: a stream changes its topics all the time, and each time its user has left others that are kept for the grace.
#[test]
fn the_topics_of_a_stream_that_changes_them_are_charged_until_its_user_has_left_them() {
    let topics = TopicCharges::new(1 << 20);
    let mut site = Site::new(GRACE);
    let bytes = cost("u", "1", &["a0"]);
    let charge = |bytes| topics.reserve_bytes(None, bytes).ok();
    site.presence.enter(7, Some(Person::new("u", "1", charge(bytes))), &["a0"], false, site.now);
    for nth in 1..10 {
        let name = format!("a{nth}");
        let growth = site.presence.growth(7, &[&name]);
        assert_eq!(growth, bytes);
        site.presence.follow(7, &[&name], charge(growth), site.now);
        assert_eq!(site.presence.growth(7, &[&name]), 0);
    }
    site.told(0);
    assert_eq!((site.presence.len(), topics.used()), ((10, 10), 10 * bytes));
    site.told(5000);
    assert_eq!((site.presence.len(), topics.used(), site.ids("a9")), ((1, 1), bytes, vec!["u".into()]));
    site.leave(7);
    site.told(5000);
    assert_eq!((site.presence.len(), topics.used()), ((0, 0), 0));
}

#[test]
fn an_upgrade_is_no_leave_and_graces_go_on() {
    let topics = TopicCharges::new(1 << 20);
    let mut site = Site::new(GRACE);
    site.enter_with("old", "1", &["a"]);
    let charged = cost("old", "2", &["a", "b"]);
    let charge = topics.reserve_bytes(Some("192.0.2.7"), charged).ok();
    site.presence.enter(70, Some(Person::new("old", "2", charge)), &["a", "b"], false, site.now);
    let gone = site.enter("gone", &["a"]);
    let mut said = site.told(1000);
    said.sort();
    assert_eq!(said, ["+gone", "+old", "+old"]);
    site.leave(gone);
    assert_eq!(site.told(1000), [""; 0]);
    let state: Vec<_> = site.presence.state(site.now).collect();
    let bytes = sse_protocol::wire::encode(&state);
    let state: Vec<super::snapshot::PresenceState<'_>> = sse_protocol::wire::decode(&bytes[4..]).expect("as written");
    let fresh = TopicCharges::new(1 << 20);
    let mut next = Site::new(GRACE);
    next.next = 1000;
    state.iter().for_each(|state| next.presence.restore(state, &fresh, next.now));
    // Twice, if the stream with the older info was restored last.
    assert!([charged, 2 * charged].contains(&fresh.used()), "{}", fresh.used());
    assert_eq!(next.told(3999), [""; 0]);
    assert_eq!((next.ids("a"), next.presence.len()), (vec!["gone".into(), "old".into()], (2, 3)));
    assert_eq!(next.presence.page("a", None, 9).json, site.presence.page("a", None, 9).json);
    assert_eq!(next.told(1), ["-gone"]);
    next.leave(1);
    assert_eq!(next.told(6000), [""; 0]);
    next.leave(70);
    assert_eq!(next.told(5000).len(), 2);
    assert_eq!((next.presence.len(), fresh.used()), ((0, 0), 0));
}

/// What other hubs are told, as `id` with its number of streams, or `-id`, `anew` before and `.` after all members.
fn shared(site: &mut Site, limit: usize) -> Vec<String> {
    let mut told = Vec::new();
    site.presence.take_shared(limit, &mut told);
    let text = |change: OwnChange| match change {
        OwnChange::Member(OwnMember { topic, person, here: Some(here) }) => {
            format!("{topic}.{}={}", person.id, here.streams)
        }
        OwnChange::Member(OwnMember { topic, person, here: None }) => format!("-{topic}.{}", person.id),
        OwnChange::Anew => "anew".into(),
        OwnChange::Whole => ".".into(),
    };
    told.into_iter().map(text).collect()
}

#[test]
fn other_hubs_are_told_all_members_in_parts_and_then_what_changes() {
    let mut site = Site::new(GRACE);
    let streams = ["a", "b", "c"].map(|id| site.enter(id, &["x", "y"]));
    assert_eq!((site.presence.shares(), shared(&mut site, 100)), (None, Vec::new()), "nobody wants to hear");
    site.presence.share_all(7);
    assert_eq!(site.presence.shares(), Some(7));
    assert_eq!(shared(&mut site, 2), ["x.a=1", "x.b=1"]);
    // What changes meanwhile is told once, also if the rest of all members has it already.
    site.enter("c", &["x"]);
    site.enter("a", &["y"]);
    site.leave(streams[1]);
    assert_eq!(shared(&mut site, 2), ["x.c=2", "y.a=2"]);
    assert_eq!(shared(&mut site, 100)[..3], ["y.b=0", "y.c=1", "."]);
    assert_eq!((site.presence.shares(), shared(&mut site, 100)), (None, Vec::new()));
    site.told(5000);
    let mut left = shared(&mut site, 100);
    left.sort();
    assert_eq!(left, ["-x.b", "-y.b"]);
    // Who comes and goes all the time is no more than all members.
    for _ in 0..110 {
        let streams: Vec<u64> = (0..100).map(|nth| site.enter(&format!("u{nth}"), &["x"])).collect();
        streams.into_iter().for_each(|stream| site.leave(stream));
        site.told(5000);
    }
    let all = shared(&mut site, 20_000);
    assert_eq!(all[..6], ["anew", "x.a=1", "x.c=2", "y.a=2", "y.c=1", "."]);
    assert!(all.len() < 2000, "{}", all.len());
    site.presence.share_nothing();
    site.enter("d", &["x"]);
    assert_eq!(site.presence.shares(), None);
}

/// Attack: so many come and go that nobody knows any more who has left; one of them was told before.
#[test]
fn who_has_left_while_too_much_changed_is_not_told_as_here_for_ever() {
    let mut site = Site::new(Duration::ZERO);
    let [stays, leaves] = ["s", "u"].map(|id| site.enter(id, &["x"]));
    site.presence.share_all(7);
    assert_eq!(shared(&mut site, 100), ["x.s=1", "x.u=1", "."]);
    site.leave(leaves);
    let mut come_and_go = || {
        for nth in 0..10_100 {
            let stream = site.enter(&format!("v{nth}"), &["x"]);
            site.leave(stream);
        }
        site.told(5000);
    };
    come_and_go();
    // Once more, before that was told.
    come_and_go();
    assert_eq!(shared(&mut site, 0), [""; 0]);
    let told: Vec<String> = [1, 1, 20_000].into_iter().flat_map(|limit| shared(&mut site, limit)).collect();
    assert_eq!(told[..3], ["anew", "x.s=1", "."]);
    assert!(told[3..].iter().all(|change| change.starts_with("-x.v")), "what came after it");
    site.leave(stays);
    assert_eq!(shared(&mut site, 100), ["-x.s"]);
}

fn elsewhere(topic: &str, id: &str, there: Option<(&str, u64)>) -> ElsewhereChange {
    let person = Arc::new(Person::new(id, there.map_or("", |(info, _)| info), None));
    let elsewhere =
        there.map(|(_, newest)| Arc::new(Elsewhere { person: Arc::clone(&person), since: 1000, newest, streams: 2 }));
    ElsewhereChange { topic: topic.into(), person, elsewhere }
}

#[test]
fn a_user_is_there_while_they_are_at_any_hub() {
    let topics = TopicCharges::new(1 << 20);
    let mut site = Site::new(GRACE);
    let learn = |site: &mut Site, change| site.presence.learn_elsewhere(&change, site.now);
    learn(&mut site, elsewhere("a", "u", Some(("1", u64::MAX))));
    assert_eq!(site.told(0), ["+u"]);
    let charge = topics.reserve_bytes(None, 100).ok();
    site.presence.enter(70, Some(Person::new("u", "2", charge)), &["a"], false, site.now);
    let page = |site: &Site| site.presence.page("a", None, 9).json;
    assert_eq!(page(&site), r#""u":{"info":1,"since":1.000,"streams":3}"#);
    learn(&mut site, elsewhere("a", "u", Some(("1", 0))));
    assert_eq!(page(&site), r#""u":{"info":2,"since":1.000,"streams":3}"#);
    // What their client has kept here is released, however long they stay elsewhere.
    site.leave(70);
    assert_eq!((site.told(5000), topics.used()), (Vec::new(), 0));
    assert_eq!(page(&site), r#""u":{"info":1,"since":1.000,"streams":2}"#);
    let here = site.enter("u", &["a"]);
    learn(&mut site, elsewhere("a", "u", None));
    assert_eq!((site.told(1000), site.presence.len()), (Vec::new(), (1, 1)));
    // They come elsewhere within the grace.
    site.leave(here);
    learn(&mut site, elsewhere("a", "u", Some(("1", 0))));
    assert_eq!((site.told(5000), site.presence.len()), (Vec::new(), (1, 1)));
    learn(&mut site, elsewhere("a", "u", None));
    learn(&mut site, elsewhere("b", "u", None));
    assert_eq!((site.told(1000), site.presence.len()), (vec!["-u".to_owned()], (0, 0)));
    // Before readers were told, nothing has happened.
    learn(&mut site, elsewhere("a", "u", Some(("1", 0))));
    learn(&mut site, elsewhere("a", "u", None));
    assert_eq!((site.told(1000), site.presence.len()), (Vec::new(), (0, 0)));
    assert_eq!((site.presence.counts.joins, site.presence.counts.leaves), (2, 2));
}

proptest! {
    #[test]
    fn what_is_json_is_so_for_whoever_reads_the_values(
        parts in proptest::collection::vec(r#"[ aé]|\\(u[dD][89bcfBCF]00|ud83d\\ude00|u0041|[nu"\\])"#, 0..8)
    ) {
        let text = format!("[\"{}\"]", parts.concat());
        prop_assert_eq!(is_json(&text), serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
    }
}

#[test]
fn json_may_be_as_deep_as_php_makes_it() {
    assert!(is_json(&["[".repeat(512), "]".repeat(512)].concat()));
    assert!(!is_json(&["[".repeat(512), r#""\udc00""#.to_owned(), "]".repeat(512)].concat()));
}
