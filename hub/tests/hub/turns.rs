//! Nothing that a client or a publisher chooses makes a turn of the ordering thread long, however much the hub has: everything is filled
//! to its default limits, and each kind of request done. What is asserted is the work, which is counted; the times are printed.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::client::Client;
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{self, Attach, Framing, Member, Presence, Replay, Reply, Request};

use crate::support::{self, Hub, PATIENCE, commit, publish, server};

/// Steps that one turn does: of searches, and of events that are forgotten.
const A_TURN: u64 = 4096 + 1024;

/// Topics that the kept events are of.
const TOPICS: usize = 20_000;

/// More events than the history has room for.
const EVENTS: usize = 200_000;

fn defaults(more: &Value) -> Hub {
    let mut settings = json!({ "history_events": 1000, "history_bytes": 64 << 20, "history_ttl_ms": 3_600_000 });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    Hub::with(settings)
}

/// Publishes so many small events.
fn fill(hub: &Hub, count: usize) {
    const BATCH: usize = 500;
    let mut socket = hub.raw();
    support::send(&mut socket, &support::hello());
    assert!(support::answer(&mut socket).starts_with("Welcome"));
    for batch in 0..count / BATCH {
        let topics: Vec<_> = (0..BATCH).map(|nth| format!("room{}.news", (batch * BATCH + nth) % TOPICS)).collect();
        let requests = topics.iter().flat_map(|topic| {
            let topics = vec![topic.as_str()];
            wire::encode(&Request::Publish {
                event: NewEvent { topics, data: b"x", ..NewEvent::default() },
                answer: true,
            })
        });
        support::send(&mut socket, &requests.collect::<Vec<u8>>());
        for _ in 0..BATCH {
            assert!(support::answer(&mut socket).starts_with("Published"));
        }
    }
}

/// The counters before something is done.
struct Meter<'a> {
    hub: &'a Hub,
    before: Value,
}

impl<'a> Meter<'a> {
    fn new(hub: &'a Hub) -> Self {
        Self { hub, before: hub.stats() }
    }

    /// The steps that were done since then. They are printed, and a bound of the longest turn.
    fn read(self, what: &str) -> u64 {
        let after = self.hub.stats();
        let (old, new) = (&self.before["turns"], &after["turns"]);
        let count = |turns: &Value, bound: &str| turns["seconds"]["buckets"][bound].as_u64().expect("a number");
        let bounds = new["seconds"]["buckets"].as_object().expect("bounds").keys();
        let reached = bounds.filter(|bound| count(new, bound) > count(old, bound));
        let longest = reached.map(|bound| bound.parse::<f64>().expect("a number")).fold(0.0, f64::max);
        let steps = new["steps"].as_u64().expect("a number") - old["steps"].as_u64().expect("a number");
        println!("{what}: {steps} steps, turns up to {} ms", longest * 1000.0);
        steps
    }
}

/// Attaches a reader that comes back; returns its end of the stream.
fn come_back(client: &mut Client, patterns: &[String], id: &str) -> UnixStream {
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    support::attach_after(client, &patterns, id).1
}

fn some(count: usize, name: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(name).collect()
}

#[test]
fn the_work_of_coming_back_follows_what_was_missed_and_not_what_is_kept() {
    let hub = defaults(&json!({}));
    let mut client = hub.client();
    let filling = Meter::new(&hub);
    let first = match client.call(&Request::Cursor, None, PATIENCE) {
        Ok(Reply::Cursor { id }) => id.to_owned(),
        other => panic!("no cursor: {other:?}"),
    };
    fill(&hub, EVENTS);
    filling.read("publishing into a history that is full");
    let kept = hub.stats()["history"]["events"].as_u64().expect("a number");
    println!("{kept} events of {TOPICS} topics are kept");
    assert!(kept > 50_000, "{kept}");
    let newest = match client.call(&Request::Cursor, None, PATIENCE) {
        Ok(Reply::Cursor { id }) => id.to_owned(),
        other => panic!("no cursor: {other:?}"),
    };

    let cases: [(&str, Vec<String>, &str, u64); 8] = [
        ("one quiet topic, unknown id", some(1, |_| "quiet".into()), "x", 10),
        ("100 quiet topics, unknown id", some(100, |nth| format!("quiet{nth}")), "x", 1000),
        ("100 quiet patterns, unknown id", some(100, |nth| format!("quiet{nth}.*")), "x", 1000),
        ("100 topics, no event missed", some(100, |nth| format!("room{nth}.news")), &newest, 1000),
        ("100 patterns, no event missed", some(100, |nth| format!("room{nth}.**")), &newest, 1000),
        ("100 topics, unknown id", some(100, |nth| format!("room{nth}.news")), "x", 3000),
        // Each name is looked at once, whatever the number of patterns.
        ("100 patterns of any first segment, unknown id", some(100, |nth| format!("*.quiet{nth}")), "x", 21_000),
        ("everything, unknown id", some(1, |_| "**".into()), "x", 22_000),
    ];
    for (what, patterns, id, most) in cases {
        let meter = Meter::new(&hub);
        come_back(&mut client, &patterns, id);
        let steps = meter.read(what);
        assert!(steps <= most, "{steps} steps, and {kept} events are kept");
    }
    let meter = Meter::new(&hub);
    come_back(&mut client, &some(1, |_| "**".into()), &first);
    let steps = meter.read("everything from before the oldest");
    assert!(steps < 25_000, "{steps} steps, but what follows a gap has a bound");
    let stats = hub.stats();
    assert!(stats["turns"]["most_steps"].as_u64() <= Some(A_TURN), "{}", stats["turns"]);
    println!("the longest of all turns: {} us", stats["turns"]["longest_us"]);
}

/// All that is kept is what it has missed; publishers are served all the while.
#[test]
fn a_reader_of_everything_that_has_missed_everything_holds_up_nobody() {
    let hub = defaults(&json!({ "history_events": 1_000_000, "stream_buffer": 64 << 20 }));
    let mut client = hub.client();
    publish(&mut client, &["room0.news"], "first", "x");
    const COUNT: usize = 50_000;
    fill(&hub, COUNT);
    let meter = Meter::new(&hub);
    // Sent, and not waited for: the publisher comes in between.
    let (near, far) = UnixStream::pair().expect("a pair");
    let reader = std::thread::spawn({
        let mut client = hub.client();
        move || {
            let attach = Attach { patterns: vec!["**"], last_event_id: Some("first"), ..Default::default() };
            match client.call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE) {
                Ok(Reply::Attached { stream, .. }) => (stream, client),
                other => panic!("not attached: {other:?}"),
            }
        }
    });
    let mut later = 0;
    while !reader.is_finished() {
        publish(&mut client, &["room1.news"], &format!("later{later}"), "x");
        later += 1;
    }
    let (stream, owner) = reader.join().expect("attached");
    publish(&mut client, &["end"], "end", "x");
    let steps = meter.read("a reader of everything, with a publisher beside it");
    println!("{later} events were published meanwhile");
    assert!(steps >= COUNT as u64, "{steps} steps");
    let stats = hub.stats();
    assert!(stats["turns"]["most_steps"].as_u64() <= Some(A_TURN), "{}", stats["turns"]);
    assert_eq!(stats["history"]["gaps"], json!(0));

    commit(&owner, stream, Framing::Raw);
    let mut ids = Vec::new();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(support::patient(far)));
    while ids.last().is_none_or(|id| id != "end") {
        let line = lines.next().expect("the stream goes on").expect("text");
        ids.extend(line.strip_prefix("id: ").map(str::to_owned));
    }
    assert_eq!(ids.len(), COUNT + later + 1, "all that was missed, and all that came meanwhile");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each once");
}

#[test]
fn what_has_become_too_old_is_forgotten_in_slices() {
    const COUNT: usize = 100_000;
    let hub = defaults(&json!({ "history_ttl_ms": 4000 }));
    let meter = Meter::new(&hub);
    fill(&hub, COUNT);
    hub.until("all is too old", |stats| stats["history"]["events"] == json!(0));
    assert_eq!(meter.read("events that become too old"), COUNT as u64);
    let stats = hub.stats();
    assert!(stats["turns"]["most_steps"].as_u64() <= Some(A_TURN), "{}", stats["turns"]);
    println!("the longest of all turns: {} us", stats["turns"]["longest_us"]);
}

/// It would go on for each of them, though nobody waits.
#[test]
fn nothing_is_searched_for_a_worker_that_has_gone() {
    let hub = defaults(&json!({}));
    fill(&hub, EVENTS);
    let meter = Meter::new(&hub);
    let attach = Attach { patterns: vec!["*.quiet"], last_event_id: Some("x"), ..Default::default() };
    let attach = wire::encode(&Request::Attach(attach));
    const GONE: u64 = 200;
    for _ in 0..GONE {
        let mut socket = hub.raw();
        let (near, _far) = UnixStream::pair().expect("a pair");
        support::send(&mut socket, &support::hello());
        support::send_with(&socket, &attach, near.as_fd());
        drop(socket);
    }
    let stats = hub.until("all are given up", |stats| {
        let history = &stats["history"];
        history["given_up"].as_u64().zip(history["resumed"].as_u64()).is_some_and(|(up, done)| up + done == GONE)
    });
    let steps = meter.read("readers whose workers have gone");
    println!("{}", stats["history"]);
    assert!(stats["history"]["given_up"].as_u64() > Some(GONE / 2), "{}", stats["history"]);
    assert!(steps < GONE * TOPICS as u64 / 2, "{steps} steps");
    assert_eq!(stats["streams"]["open"], json!(0));
}

/// 400 streams with callbacks, and 1,000 topics that all of them watch.
#[test]
fn a_burst_of_notifications_costs_each_callback_little() {
    const JOBS: usize = 400;
    let hub = defaults(&json!({}));
    let mut client = hub.client();
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("its address");
    let mut far = Vec::new();
    for _ in 0..JOBS {
        far.push(std::net::TcpStream::connect(address).expect("a connection"));
        let (near, _) = server.accept().expect("the connection");
        let replay = Replay { only_changes: true, ..server::replay() };
        let attach = Attach { patterns: vec!["t.*"], replay: Some(replay), ..Default::default() };
        let Ok(Reply::Attached { stream, .. }) = client.call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE)
        else {
            panic!("not attached")
        };
        commit(&client, stream, Framing::Raw);
    }
    let work = |what: &str, topics: usize, from: usize| {
        let names: Vec<String> = (from..from + topics).map(|nth| format!("t.{nth}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let meter = Meter::new(&hub);
        support::trigger(&client, &names);
        meter.read(what)
    };
    assert!(work("one topic", 1, 0) >= JOBS as u64);
    assert!(work("1,000 topics at once", 1000, 1) <= 2 * JOBS as u64);
    // Each is told that anything may have changed by now.
    work("64 topics", 64, 5000);
    println!("the longest of all turns: {} us", hub.stats()["turns"]["longest_us"]);
}

/// A client gets presence's changes in turns that have one bound for all topics, and the changes count as steps.
#[test]
fn what_readers_are_told_of_members_counts_as_steps_and_has_a_bound() {
    const MEMBERS: usize = 200;
    const ROOMS: usize = 50;
    let hub = defaults(&json!({ "topic_bytes": 64 << 20 }));
    let names: Vec<String> = (0..ROOMS).map(|nth| format!("room{nth}")).collect();
    let mut client = hub.client();
    let meter = Meter::new(&hub);
    let mut far = Vec::new();
    for nth in 0..MEMBERS {
        let (near, own) = UnixStream::pair().expect("a pair");
        far.push(own);
        let id = format!("u{nth}");
        let member = Some(Member { id: &id, info: "1" });
        let patterns = names.iter().map(String::as_str).collect();
        let attach = Attach { patterns, presence: Presence { member, events: true }, ..Default::default() };
        let Ok(Reply::Attached { stream, .. }) = client.call(&Request::Attach(attach), Some(near.as_fd()), PATIENCE)
        else {
            panic!("not attached")
        };
        commit(&client, stream, Framing::Raw);
    }
    let joins = (MEMBERS * ROOMS) as u64;
    assert_eq!(hub.stats()["presence"]["joins"], json!(joins));
    support::until("all are told", || {
        let turns = hub.stats()["turns"].clone();
        let before = meter.before["turns"]["steps"].as_u64().expect("a number");
        turns["steps"].as_u64() >= Some(before + joins)
    });
    meter.read("200 members of 50 topics");
    let stats = hub.stats();
    assert!(stats["turns"]["most_steps"].as_u64() <= Some(A_TURN), "{}", stats["turns"]);
}
