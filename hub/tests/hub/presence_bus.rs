//! Who is on a topic at any of several hubs on one Redis.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};
use sse_protocol::wire::{Framing, Request};

use crate::presence::{Opening, all, attach, count, members, of, open, reader, told};
use crate::support::bus::on;
use crate::support::redis::{Door, Redis};
use crate::support::{Hub, Reader, publish, until};

/// A time that is not over before the test.
const LONG: u64 = 3_600_000;

/// A hub that is told of all others, with these times in milliseconds.
fn hub(url: &str, grace: u64, ttl: u64) -> Hub {
    with(url, grace, ttl, json!({}))
}

fn with(url: &str, grace: u64, ttl: u64, more: Value) -> Hub {
    let mut settings = json!({ "presence_grace_ms": grace, "presence_ttl_ms": ttl });
    if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
        settings.extend(more);
    }
    let hub = on(url, settings);
    hub.until("presence is there", |stats| stats["bus"]["presence"]["state"] == "connected");
    hub
}

/// A reader of a room that has nobody in it yet.
fn watcher(hub: &Hub) -> Reader {
    let mut watcher = open(hub, &reader(&["room"]));
    assert_eq!(told(&mut watcher), "presence.list room 0 ");
    watcher
}

/// What readers are told next is an event that is published now.
fn nothing_more(hub: &Hub, watchers: &mut [Reader]) {
    publish(&mut hub.client(), &["room"], "x", "nothing more");
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "- nothing more"));
}

#[test]
fn everybody_is_there_on_all_machines() {
    let redis = Redis::new();
    let hubs = [hub(&redis.url(""), 50, LONG), hub(&redis.url(""), 50, LONG)];
    let mut watchers = [watcher(&hubs[0]), watcher(&hubs[1])];
    let mut php = hubs[1].stream(&["$presence.room"], Framing::Message);
    let ann = open(&hubs[0], &Opening { info: r#"{"name":"Ann"}"#, ..of("ann", &["room", "other"]) });
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.join room 1 ann"));
    assert!(php.message().starts_with("event  $presence.room presence.join {"));
    let there = all(&hubs[1], "room");
    assert_eq!(there, all(&hubs[0], "room"));
    assert_eq!((&there["ann"]["info"], &there["ann"]["streams"]), (&json!({ "name": "Ann" }), &json!(1)));
    // The newest stream's info counts, whatever the hub.
    let again = open(&hubs[1], &Opening { info: r#"{"name":"Anna"}"#, ..of("ann", &["room"]) });
    for hub in &hubs {
        until("both streams count", || all(hub, "room")["ann"]["streams"] == json!(2));
        let ann = all(hub, "room")["ann"].clone();
        assert_eq!((&ann["info"], &ann["since"]), (&json!({ "name": "Anna" }), &there["ann"]["since"]));
    }
    // Who comes later has the same list, and so has a hub that starts later, from its first answer on.
    let late = hub(&redis.url(""), 50, LONG);
    for hub in [&hubs[0], &hubs[1], &late] {
        assert_eq!(told(&mut open(hub, &reader(&["room"]))), "presence.list room 1 ann");
        assert_eq!((members(hub, "room"), count(&mut hub.client(), "other")), (vec!["ann".into()], 1));
    }
    drop(ann);
    for hub in [&hubs[0], &hubs[1], &late] {
        until("one is left", || all(hub, "room")["ann"]["streams"] == json!(1));
        until("they have left the other topic", || count(&mut hub.client(), "other") == 0);
    }
    nothing_more(&hubs[0], &mut watchers);
    drop(again);
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.leave room 0 ann"));
    let stats = hubs[0].stats();
    assert_eq!(stats["presence"], json!({ "topics": 0, "members": 0, "joins": 2, "leaves": 2 }));
    assert_eq!(stats["bus"]["presence"]["left_out"], json!(0));
}

#[test]
fn who_moves_to_another_machine_neither_leaves_nor_joins() {
    let redis = Redis::new();
    let hubs = [hub(&redis.url(""), 400, LONG), hub(&redis.url(""), 400, LONG)];
    let mut watchers = [watcher(&hubs[0]), watcher(&hubs[1])];
    let mut stream = open(&hubs[0], &of("ann", &["room"]));
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.join room 1 ann"));
    let since = all(&hubs[0], "room")["ann"]["since"].clone();
    for round in 1..4 {
        drop(stream);
        let (from, to) = (&hubs[(round + 1) % 2], &hubs[round % 2]);
        stream = open(to, &of("ann", &["room"]));
        from.until("it has ended", |stats| stats["streams"]["open"] == json!(1));
        // The first hub has nobody any more, once the grace is over there.
        to.until("they have left the first one", |stats| stats["bus"]["presence"]["members"] == json!(0));
        from.until("they are at the other", |stats| stats["bus"]["presence"]["members"] == json!(1));
    }
    nothing_more(&hubs[0], &mut watchers);
    assert_eq!(all(&hubs[0], "room")["ann"]["since"], since);
    let stats = hubs.iter().map(|hub| hub.stats()["presence"].clone());
    stats.for_each(|stats| assert_eq!((&stats["joins"], &stats["leaves"]), (&json!(1), &json!(0))));
}

#[test]
fn the_members_of_a_hub_that_was_killed_leave_and_those_who_are_elsewhere_stay() {
    let redis = Redis::new();
    let (mut killed, other) = (hub(&redis.url(""), 10, 1500), hub(&redis.url(""), 10, 1500));
    let mut watchers = [watcher(&other)];
    let _streams = ["ann", "bob"].map(|id| {
        let stream = open(&killed, &of(id, &["room"]));
        assert!(told(&mut watchers[0]).ends_with(id));
        stream
    });
    // Bob comes back to the other one before anybody knows that the first is gone.
    killed.kill();
    let _bob = open(&other, &of("bob", &["room"]));
    assert_eq!(told(&mut watchers[0]), "presence.leave room 1 ann");
    nothing_more(&other, &mut watchers);
    assert_eq!(members(&other, "room"), ["bob"]);
    // A hub that starts now does not hear of it any more.
    let late = hub(&redis.url(""), 10, 1500);
    assert_eq!(members(&late, "room"), ["bob"]);
}

#[test]
fn a_hub_that_ends_in_good_order_leaves_its_users_the_grace() {
    let redis = Redis::new();
    let (mut ends, other) = (hub(&redis.url(""), 300, LONG), hub(&redis.url(""), 300, LONG));
    let mut watchers = [watcher(&other)];
    let _streams = ["ann", "bob"].map(|id| {
        let stream = open(&ends, &of(id, &["room"]));
        assert!(told(&mut watchers[0]).ends_with(id));
        stream
    });
    ends.signal(Signal::TERM);
    assert!(ends.ended().success());
    let _bob = open(&other, &of("bob", &["room"]));
    assert_eq!(told(&mut watchers[0]), "presence.leave room 1 ann");
    nothing_more(&other, &mut watchers);
}

#[test]
fn an_upgrade_is_no_leave_on_any_machine() {
    let redis = Redis::new();
    let (mut first, other) = (hub(&redis.url(""), 50, LONG), hub(&redis.url(""), 50, LONG));
    let mut watchers = [watcher(&first), watcher(&other)];
    let ann = open(&first, &of("ann", &["room"]));
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.join room 1 ann"));
    let bob = open(&other, &Opening { info: "[1]", ..of("bob", &["room"]) });
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.join room 2 bob"));
    let before = all(&first, "room");
    for _ in 0..2 {
        first.upgrade(&json!({}));
        assert_eq!(all(&first, "room"), before);
    }
    for hub in [&first, &other] {
        hub.until("they hear each other", |stats| {
            let presence = &stats["bus"]["presence"];
            presence["state"] == "connected" && presence["hubs"] == json!(1) && presence["members"] == json!(1)
        });
    }
    nothing_more(&first, &mut watchers);
    assert_eq!(all(&other, "room"), before);
    drop(ann);
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.leave room 1 ann"));
    drop(bob);
    watchers.iter_mut().for_each(|watcher| assert_eq!(told(watcher), "presence.leave room 0 bob"));
}

/// Only one hub is cut off, and Redis goes on.
#[test]
fn a_hub_that_is_cut_off_keeps_what_it_knows_and_tells_all_when_it_is_back() {
    let redis = Redis::new();
    let door = Door::to(redis.port);
    let (cut, other) = (hub(&door.url(""), 10, LONG), hub(&redis.url(""), 10, LONG));
    let streams = ["ann", "bob"].map(|id| open(&cut, &of(id, &["room"])));
    let eve = open(&other, &of("eve", &["room"]));
    for hub in [&cut, &other] {
        until("all are known", || members(hub, "room") == ["ann", "bob", "eve"]);
    }
    let mut watchers = [open(&other, &reader(&["room"]))];
    assert_eq!(told(&mut watchers[0]), "presence.list room 3 ann,bob,eve");
    // Where nobody listens.
    door.lead_to(1);
    cut.until("it is noticed", |stats| stats["bus"]["presence"]["state"] == "away");
    drop((streams, eve));
    let _ann = open(&cut, &of("ann", &["room"]));
    let _joe = open(&cut, &of("joe", &["room"]));
    until("its own users come and go", || members(&cut, "room") == ["ann", "eve", "joe"]);
    assert_eq!(told(&mut watchers[0]), "presence.leave room 2 eve");
    let _max = open(&other, &of("max", &["room"]));
    assert_eq!(told(&mut watchers[0]), "presence.join room 3 max");
    door.lead_to(redis.port);
    for hub in [&cut, &other] {
        until("they agree", || members(hub, "room") == ["ann", "joe", "max"]);
    }
    let mut seen = [told(&mut watchers[0]), told(&mut watchers[0])];
    seen.sort();
    assert_eq!(
        seen.map(|text| text.split(' ').next().map(str::to_owned)),
        ["presence.join", "presence.leave"].map(|kind| Some(kind.to_owned()))
    );
    // The publisher's connection may take a moment longer.
    cut.until("the bus is back", |stats| stats["bus"]["state"] == "connected");
    nothing_more(&cut, &mut watchers);
}

/// Redis has lost all that hubs have written, and nobody has left.
#[test]
fn a_redis_that_starts_anew_without_data_is_told_everything_again() {
    let mut redis = Redis::new();
    let hubs = [hub(&redis.url(""), 10, 5000), hub(&redis.url(""), 10, 5000)];
    let _streams = [open(&hubs[0], &of("ann", &["room"])), open(&hubs[1], &of("bob", &["room"]))];
    for hub in &hubs {
        until("all are known", || members(hub, "room") == ["ann", "bob"]);
    }
    let before = hubs.each_ref().map(|hub| hub.stats()["presence"].clone());
    redis.kill();
    hubs[0].until("it is noticed", |stats| stats["bus"]["presence"]["state"] == "away");
    redis.restart_empty();
    until("all is written again", || {
        let hashes: Vec<String> = redis.call("KEYS sse:presence:*");
        hashes.iter().filter(|name| !name.ends_with(":new")).count() == 2
    });
    for hub in &hubs {
        hub.until("they hear each other", |stats| stats["bus"]["presence"]["state"] == "connected");
        assert_eq!(members(hub, "room"), ["ann", "bob"]);
    }
    assert_eq!(hubs.each_ref().map(|hub| hub.stats()["presence"].clone()), before);
    // Only what is deleted while nobody looks is found by who writes next.
    let _: i64 = redis.call(&format!("DEL {}", redis.call::<Vec<String>>("KEYS sse:presence:*").join(" ")));
    let _joe = open(&hubs[0], &of("joe", &["room"]));
    until("it is told", || members(&hubs[1], "room") == ["ann", "bob", "joe"]);
}

/// The numbers of the hubs' connections to Redis.
fn connections(redis: &Redis) -> BTreeSet<String> {
    let list: String = redis.call("CLIENT LIST");
    let of_hubs = list.lines().filter(|line| line.contains(" addr=127.0.0.1:"));
    of_hubs.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Attack: while Redis is slow, so many come and go at one machine that it does not know any more who of them has left.
#[test]
fn who_leaves_while_too_much_changes_for_a_slow_redis_is_gone_everywhere() {
    let redis = Redis::new();
    let hubs = [hub(&redis.url(""), 0, LONG), hub(&redis.url(""), 0, LONG)];
    let topics: Vec<String> = (0..100).map(|nth| format!("r{nth}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let (mut client, mut visitors) = (hubs[0].client(), 0);
    let mut come_and_go = |times: usize| {
        for _ in 0..times {
            visitors += 1;
            let (stream, _) = attach(&mut client, &of(&format!("v{visitors}"), &topics)).expect("attached");
            client.post(&Request::Abort { stream }).expect("the hub is there");
        }
        assert_eq!(count(&mut client, "r0"), 0);
    };
    let mut rounds = 0..20;
    loop {
        let round = rounds.next().expect("the machine is fast enough once");
        let (leaves, stays) = (format!("leaves{round}"), format!("stays{round}"));
        let leaver = open(&hubs[0], &of(&leaves, &["room"]));
        until("they are known", || members(&hubs[1], "room") == [leaves.as_str()]);
        let before = connections(&redis);
        redis.signal(Signal::STOP);
        // So much that what follows waits as a list of who has changed; and then more than that list may have.
        come_and_go(30);
        drop(leaver);
        until("they have left", || members(&hubs[0], "room").is_empty());
        come_and_go(110);
        redis.signal(Signal::CONT);
        let stayer = open(&hubs[0], &of(&stays, &["room"]));
        until("who came later is known", || members(&hubs[1], "room").contains(&stays));
        until("who has left is gone", || members(&hubs[1], "room") == [stays.as_str()]);
        let hash: Vec<String> = redis.call("KEYS sse:presence:*");
        let fields = |hash: &String| redis.call::<Vec<String>>(&format!("HKEYS {hash}"));
        until("nothing is left of them in Redis", || {
            hash.iter().flat_map(fields).filter(|field| field != " ").eq([format!("room {stays}")])
        });
        drop(stayer);
        until("all have left", || members(&hubs[1], "room").is_empty());
        // A connection that has broken tells all anew in any case.
        if before.is_subset(&connections(&redis)) {
            break;
        }
    }
}

/// Attack: the clients of one machine fill the memory of all others.
#[test]
fn what_other_hubs_tell_has_a_limit_and_the_rest_is_counted() {
    let redis = Redis::new();
    let (many, other) =
        (hub(&redis.url(""), 0, LONG), with(&redis.url(""), 0, LONG, json!({ "presence_bytes": 1 << 16 })));
    let info = format!("\"{}\"", "x".repeat(1000));
    let ids: Vec<String> = (0..100).map(|nth| format!("u{nth:02}")).collect();
    let mut streams: Vec<Reader> =
        ids.iter().map(|id| open(&many, &Opening { info: &info, ..of(id, &["room"]) })).collect();
    let presence = |hub: &Hub| hub.stats()["bus"]["presence"].clone();
    other.until("the rest is counted", |stats| {
        let presence = &stats["bus"]["presence"];
        presence["members"].as_u64().zip(presence["left_out"].as_u64()).is_some_and(|(known, rest)| known + rest >= 100)
    });
    let known = presence(&other)["members"].as_u64().expect("a number");
    assert!((30..60).contains(&known) && presence(&other)["bytes"].as_u64() <= Some(1 << 16), "{known}");
    assert_eq!((count(&mut other.client(), "room"), count(&mut many.client(), "room")), (known, 100));
    // Its own users are not others'.
    let _own = open(&other, &of("own", &["room"]));
    assert_eq!(count(&mut other.client(), "room"), known + 1);
    streams.truncate(10);
    other.until("the rest is known now", |stats| stats["bus"]["presence"]["left_out"] == json!(0));
    until("all are there", || count(&mut other.client(), "room") == 11);
}

/// Attack: another program writes nonsense.
#[test]
fn what_makes_no_sense_is_no_member() {
    let redis = Redis::new();
    let hub = hub(&redis.url(""), 0, LONG);
    let write = |command: &str| drop(redis.call::<redis::Value>(command));
    write("SADD sse:presence nonsense 00000000000000ab 00000000000000ac");
    write(r#"HSET sse:presence:00000000000000ab x 1 a.*\x20u 1"#);
    let mut connection = redis.try_connection().expect("Redis is there");
    let mut set = redis::cmd("HSET");
    set.arg("sse:presence:00000000000000ac").arg(" ").arg("0000000000000001-5");
    for (field, value) in [("a.* u", r#"["1",1,1,1]"#), ("room u", r#"["{",1,1,1]"#), ("room v", "no"), ("room", "1")] {
        set.arg(field).arg(value);
    }
    set.arg("room w").arg(r#"["1",1,1,1]"#).query::<i64>(&mut connection).expect("an answer");
    for text in [
        "",
        "{}",
        "x",
        r#"{"from":"ac"}"#,
        r#"{"from":"00000000000000ac"}"#,
        r#"{"from":"00000000000000ad","at":"1-1"}"#,
        r#"{"from":"00000000000000ac","at":"1-6","set":[["a"]]}"#,
    ] {
        redis::cmd("PUBLISH").arg("sse:presence").arg(text).query::<i64>(&mut connection).expect("an answer");
    }
    let mut last = redis::cmd("HSET");
    last.arg("sse:presence:00000000000000ae").arg(" ").arg(format!("0000000000000001-{}", u64::MAX));
    last.query::<i64>(&mut connection).expect("an answer");
    for number in [u64::MAX, 0] {
        let told = format!(r#"{{"from":"00000000000000ae","at":"0000000000000001-{number}"}}"#);
        redis::cmd("PUBLISH").arg("sse:presence").arg(told).query::<i64>(&mut connection).expect("an answer");
    }
    let told = r#"{"from":"00000000000000ac","at":"0000000000000001-5"}"#;
    redis::cmd("PUBLISH").arg("sse:presence").arg(told).query::<i64>(&mut connection).expect("an answer");
    until("what makes sense is known", || members(&hub, "room") == ["w"]);
    assert_eq!(hub.stats()["bus"]["presence"]["state"], json!("connected"));
}

/// What a stream costs the ordering thread, in microseconds of its CPU time, with the turns that it causes.
fn cost(hub: &Hub, count: usize, opening: impl Fn(usize) -> Opening<'static>) -> f64 {
    let spent = || hub.stats()["turns"]["seconds"]["sum"].as_f64().expect("a number");
    let mut client = hub.client();
    let before = spent();
    let streams: Vec<_> = (0..count).map(|nth| attach(&mut client, &opening(nth)).expect("attached")).collect();
    let cost = (spent() - before) * 1e6 / count as f64;
    for (stream, _) in streams {
        client.post(&Request::Abort { stream }).expect("the hub is there");
    }
    hub.until("all have ended", |stats| stats["streams"]["held"] == json!(0));
    cost
}

/// `cargo test --release -p sse-hub --test hub what_a_join_costs -- --ignored --nocapture`
#[test]
#[ignore = "not a test: a measurement"]
fn what_a_join_costs_on_a_topic_with_many_members() {
    const MEMBERS: usize = 10_000;
    const TIMES: usize = 1000;
    let redis = Redis::new();
    for (name, hub) in [
        ("one machine", Hub::with(json!({ "presence_grace_ms": LONG, "topic_bytes": 1 << 30 }))),
        ("over Redis", with(&redis.url(""), LONG, LONG, json!({ "topic_bytes": 1 << 30 }))),
    ] {
        let id = |prefix: &str, nth: usize| -> &'static str { Box::leak(format!("{prefix}{nth}").into_boxed_str()) };
        let plain = |_| Opening { id: None, ..of("", &["room"]) };
        let _watcher = watcher(&hub);
        cost(&hub, TIMES, plain);
        let attach = cost(&hub, TIMES, plain);
        let first = cost(&hub, TIMES, |nth| of(id("first", nth), &["alone"]));
        for some in 0..MEMBERS / TIMES {
            cost(&hub, TIMES, |nth| of(id("member", some * TIMES + nth), &["room"]));
        }
        let join = cost(&hub, TIMES, |nth| of(id("joins", nth), &["room"]));
        let told = cost(&hub, TIMES / 10, |nth| Opening { events: true, ..of(id("told", nth), &["room"]) });
        println!(
            "{name}: attach {attach:.1} µs; a member of a topic with none {first:.1} µs, with {MEMBERS} {join:.1} µs ({:.2} \
             attaches); with a list of 64 KiB {told:.1} µs",
            join / attach
        );
    }
}
