//! Mercure's updates: who gets them, by selectors and rights.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::client::Client;
use sse_protocol::event::NewEvent;
use sse_protocol::mercure::{self, EARLIEST, MAX_TEMPLATES};
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{Attach, Framing, OriginalRequest, Protocol, Replay, Reply, Request, TopicsAs};

use crate::support::redis::Redis;
use crate::support::{self, Hub, PATIENCE, Reader, attach, bus, commit, patient, text};

/// Mercure's rules, written down from its specification and RFC 6570 for what these tests use of it, without any haste.
mod reference {
    /// "If the topic selector is `*` …; exactly the same …; a valid URI Template, and the string matches".
    fn matches(selector: &str, topic: &str) -> bool {
        selector == "*" || selector == topic || expands(selector, topic)
    }

    /// Whether some values make this text of the template: tries all lengths of each value.
    fn expands(template: &str, text: &str) -> bool {
        let Some((literal, rest)) = template.split_once('{') else { return template == text };
        let Some(text) = text.strip_prefix(literal) else { return false };
        let (expression, rest) = rest.split_once('}').expect("templates of this test are whole");
        let variables = expression.trim_start_matches(['+', '/', '?']).split(',').collect::<Vec<_>>();
        let ends = (0..=text.len()).filter(|&end| match &expression[..1] {
            "+" => text[..end].bytes().all(|byte| is_unreserved(byte) || b":/?#[]@!$&'()*+,;=%".contains(&byte)),
            "/" => is_path(&text[..end], variables.len()),
            "?" => is_query(&text[..end], &variables),
            _ => is_value(&text[..end]),
        });
        ends.into_iter().any(|end| expands(rest, &text[end..]))
    }

    fn is_unreserved(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
    }

    /// The texts of these tests have no percent sign that begins no encoded byte.
    fn is_value(text: &str) -> bool {
        text.bytes().all(|byte| is_unreserved(byte) || byte == b'%' || byte == b',')
    }

    fn is_path(text: &str, most: usize) -> bool {
        let Some(text) = text.strip_prefix('/') else { return text.is_empty() };
        text.split('/').count() <= most && text.split('/').all(is_value)
    }

    fn is_query(text: &str, names: &[&str]) -> bool {
        let Some(text) = text.strip_prefix('?') else { return text.is_empty() };
        let mut names = names.iter();
        text.split('&').all(|pair| {
            let pair = pair.split_once('=').filter(|(_, value)| is_value(value));
            pair.is_some_and(|(name, _)| names.any(|known| *known == name))
        })
    }

    /// Who gets an update.
    pub fn gets(subscribed: &[String], allowed: &[String], topics: &[String], private: bool) -> bool {
        let some = |selectors: &[String]| selectors.iter().any(|one| topics.iter().any(|topic| matches(one, topic)));
        some(subscribed) && (!private || some(allowed))
    }
}

/// The numbers of a test, which are the same each time.
struct Dice(u64);

impl Dice {
    fn number(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn topic(&mut self) -> String {
        let (kind, one, other) = (["books", "users", "a.b"][self.number(3)], self.number(8), self.number(4));
        match self.number(6) {
            0 => format!("urn:{kind}:{one}"),
            1 => format!("https://example.com/{kind}/{one}/{other}"),
            2 => format!("https://example.com/users/{other}/?topic=https%3A%2F%2Fexample.com%2F{kind}%2F{one}"),
            3 => format!("https://example.com/{kind}?page={other}"),
            _ => format!("https://example.com/{kind}/{one}"),
        }
    }

    fn selector(&mut self) -> String {
        let (kind, one) = (["books", "users", "a.b"][self.number(3)], self.number(8));
        match self.number(14) {
            0 => "*".into(),
            1 => "{+any}".into(),
            2 => format!("https://example.com/{{kind}}/{one}"),
            3 => format!("https://example.com/{kind}{{/id,part}}"),
            4 => format!("https://example.com/{kind}/{{id}}/{}", self.number(4)),
            5 => format!("https://example.com/{kind}{{?sort,page}}"),
            6 | 7 => format!("https://example.com/users/{}/{{?topic}}", self.number(4)),
            8 => format!("urn:{{kind}}:{one}"),
            9 => format!("https://example.com/{kind}/{{id}}"),
            _ => self.topic(),
        }
    }

    fn some(&mut self, least: usize, more: usize, mut of: impl FnMut(&mut Self) -> String) -> Vec<String> {
        (0..least + self.number(more)).map(|_| of(self)).collect()
    }
}

fn patterns(subscribed: &[String], allowed: &[String]) -> Vec<String> {
    let subscribed = subscribed.iter().map(|selector| mercure::subscription(selector));
    subscribed.chain(allowed.iter().map(|selector| mercure::right(selector))).collect()
}

pub fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

pub fn update(client: &mut Client, topics: &[&str], private: bool, id: &str) {
    let topics: Vec<String> = topics.iter().map(|topic| mercure::topic(topic, private)).collect();
    support::publish(client, &borrowed(&topics), id, "x");
}

pub fn frames(ids: &[String]) -> String {
    ids.iter().map(|id| format!("id: {id}\ndata: x\n\n")).collect()
}

/// A stream that begins after this event.
pub fn resumed(hub: &Hub, subscribed: &[&str], allowed: &[&str], since: &str) -> Reader {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let mut client = hub.client();
    let patterns = patterns(&owned(subscribed), &owned(allowed));
    let (stream, far) = support::attach_after(&mut client, &borrowed(&patterns), since);
    commit(&client, stream, Framing::Raw);
    Reader::new(far, stream, client)
}

pub fn stream(hub: &Hub, subscribed: &[&str], allowed: &[&str]) -> Reader {
    let patterns = subscribed.iter().map(|selector| mercure::subscription(selector));
    let patterns: Vec<String> = patterns.chain(allowed.iter().map(|selector| mercure::right(selector))).collect();
    let mut reader = hub.stream(&borrowed(&patterns), Framing::Raw);
    reader.expect(b":\n\n");
    reader
}

/// Subscribers, each with other selectors and rights, and the updates of each.
struct Crowd {
    subscribers: Vec<(Vec<String>, Vec<String>)>,
    updates: Vec<(Vec<String>, bool)>,
}

impl Crowd {
    fn new(count: usize, updates: usize) -> Self {
        let mut dice = Dice(7);
        let mut different = BTreeSet::new();
        while different.len() < count {
            let mut subscribed = dice.some(1, 3, Dice::selector);
            subscribed.push("end".into());
            different.insert((subscribed, dice.some(0, 3, Dice::selector)));
        }
        let mut updates: Vec<_> = (0..updates).map(|nth| (dice.some(1, 3, Dice::topic), nth % 2 == 1)).collect();
        updates.push((vec!["end".into()], false));
        Self { subscribers: different.into_iter().collect(), updates }
    }

    /// What each one gets: ids of updates.
    fn expected(&self) -> Vec<Vec<String>> {
        let of = |(subscribed, allowed): &(Vec<String>, Vec<String>)| {
            let updates = self.updates.iter().enumerate();
            updates
                .filter(|(_, (topics, private))| reference::gets(subscribed, allowed, topics, *private))
                .map(|(nth, _)| format!("u{nth}"))
                .collect()
        };
        self.subscribers.iter().map(of).collect()
    }
}

#[test]
fn a_thousand_subscribers_get_what_mercures_rules_give_them_at_once_and_when_they_come_back() {
    let crowd = Crowd::new(1000, 200);
    let expected = crowd.expected();
    let got: usize = expected.iter().map(Vec::len).sum();
    let rare = expected.iter().filter(|ids| ids.len() < 20).count();
    assert!(got > 20_000 && rare > 100, "the crowd is worth it: {got}, {rare}");
    for processes in [1, 2] {
        let hub = Hub::with(json!({
            "processes": processes, "history_events": 10_000, "history_bytes": 64 << 20, "topic_bytes": 256 << 20,
        }));
        let mut client = hub.client();
        let subscribe = |client: &mut Client, since: Option<&str>| -> Vec<UnixStream> {
            let all = crowd.subscribers.iter().map(|(subscribed, allowed)| {
                let patterns = patterns(subscribed, allowed);
                let (stream, far) = match since {
                    Some(since) => support::attach_after(client, &borrowed(&patterns), since),
                    None => {
                        let (near, far) = UnixStream::pair().expect("a pair");
                        (attach(client, near.into(), &borrowed(&patterns), 0).expect("attached"), far)
                    }
                };
                commit(client, stream, Framing::Raw);
                patient(far)
            });
            all.collect()
        };
        update(&mut client, &["before"], false, "before");
        let mut live = subscribe(&mut client, None);
        for (nth, (topics, private)) in crowd.updates.iter().enumerate() {
            update(&mut client, &borrowed(topics), *private, &format!("u{nth}"));
        }
        for (far, ids) in live.iter_mut().zip(&expected) {
            support::expect(far, format!(":\n\n{}", frames(ids)).as_bytes());
        }
        drop(live);
        let mut back = subscribe(&mut client, Some("before"));
        for (far, ids) in back.iter_mut().zip(&expected) {
            support::expect(far, format!(":\n\n{}", frames(ids)).as_bytes());
        }
        assert_eq!(hub.stats()["history"]["gaps"], 0);
    }
}

#[test]
fn a_private_update_needs_a_right_to_some_topic_of_it() {
    let hub = Hub::new();
    let (book, mine) = ("https://example.com/books/1", "https://example.com/users/foo/?topic=1");
    let books: &[&str] = &["https://example.com/books/{id}"];
    let mut foo = stream(&hub, books, &["https://example.com/users/foo/{?topic}"]);
    let mut bar = stream(&hub, books, &["https://example.com/users/bar/{?topic}"]);
    let mut nobody = stream(&hub, books, &[]);
    let mut only_allowed = stream(&hub, &["end"], &["*"]);
    let mut client = hub.client();
    update(&mut client, &[book, mine], true, "1");
    update(&mut client, &[book], true, "2");
    update(&mut client, &[book, "end"], false, "3");
    foo.expect(b"id: 1\ndata: x\n\nid: 3\ndata: x\n\n");
    for reader in [&mut bar, &mut nobody, &mut only_allowed] {
        reader.expect(b"id: 3\ndata: x\n\n");
    }
}

/// Attack: whoever watches everything, or a topic by its name, gets what is private.
#[test]
fn no_other_pattern_finds_an_update() {
    let hub = Hub::with(json!({ "history_events": 10, "max_topics": 5 }));
    let mut client = hub.client();
    let mut all = hub.stream(&["**", "*.*.*"], Framing::Raw);
    all.expect(b":\n\n");
    for private in [true, false] {
        update(&mut client, &["a"], private, if private { "1" } else { "2" });
    }
    support::publish(&mut client, &["a.b.c"], "3", "x");
    all.expect(b"id: 3\ndata: x\n\n");
    for pattern in ["$mercure.**", "$mercure.private.a", "$mercure.public.*", "$mercure.private.**"] {
        let (near, _far) = UnixStream::pair().expect("a pair");
        let refused = attach(&mut client, near.into(), &[pattern], 0);
        assert!(text(refused).contains("no name in Mercure's namespace"), "{pattern}");
    }
    let publish = |client: &mut Client, event: NewEvent<'_>| {
        text(client.call(&Request::Publish { event, answer: true }, None, PATIENCE).map(|reply| format!("{reply:?}")))
    };
    let (public, private) = (mercure::topic("a", false), mercure::topic("a", true));
    let mixed =
        |topics: &[&str]| publish(&mut hub.client(), NewEvent { topics: topics.to_vec(), ..NewEvent::default() });
    assert!(mixed(&[&public, &private]).contains("all public or all private"));
    assert!(mixed(&[&public, "a"]).contains("no name in Mercure's namespace"));
    let kept = |event| publish(&mut hub.client(), event).contains("neither a last value");
    assert!(kept(NewEvent { topics: vec![&public], retain: true, ..NewEvent::default() }));
    assert!(kept(NewEvent { topics: vec![&private], finishes: true, ..NewEvent::default() }));
}

#[test]
fn what_was_missed_comes_in_order_and_all_of_it_if_asked_for_the_earliest() {
    let hub = Hub::with(json!({ "history_events": 100 }));
    let mut client = hub.client();
    for (id, topic, private) in
        [("1", "/a/1", false), ("2", "/a/2", true), ("3", "/b/1", true), ("4", "/a/1", true), ("5", "/b/2", false)]
    {
        update(&mut client, &[topic], private, id);
    }
    for (subscribed, allowed, since, ids) in [
        (&["/a/{id}"][..], &[][..], EARLIEST, &["1"][..]),
        (&["/a/{id}"], &["/a/1"], EARLIEST, &["1", "4"]),
        (&["*"], &["{+all}"], EARLIEST, &["1", "2", "3", "4", "5"]),
        (&["*"], &["/b/{id}"], "1", &["3", "5"]),
        (&["/a/1", "/a/{id}", "/b/2"], &["*"], "1", &["2", "4", "5"]),
        (&["/a/1"], &[], "1", &[]),
        (&["/none"], &["*"], EARLIEST, &[]),
    ] {
        let mut reader = resumed(&hub, &[subscribed, &["end"]].concat(), allowed, since);
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        reader.expect(format!(":\n\n{}", frames(&ids)).as_bytes());
        support::publish(&mut client, &[&mercure::topic("end", false)], "end", "x");
        reader.expect(frames(&["end".into()]).as_bytes());
    }
    let mut reader = resumed(&hub, &["/a/{id}"], &["*"], "unknown");
    reader.expect(b":\n\nevent: gap\ndata: {\"oldest\":\"1\",\"requested\":\"unknown\"}\n\nid: 1\n");
}

#[test]
fn updates_are_in_the_file_and_on_the_bus_and_rights_are_passed_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = || json!({ "history_events": 100, "history_file": folder.path().join("sse.db") });
    let mut hub = Hub::with(settings());
    let updates = |hub: &Hub, first: usize| {
        let mut client = hub.client();
        let long = format!("/a/{}", "x.".repeat(500));
        for (nth, (topic, private)) in [("/a/1", false), ("/a/2", true), (&long, true)].into_iter().enumerate() {
            update(&mut client, &[topic], private, &format!("u{}", first + nth));
        }
    };
    updates(&hub, 0);
    let mut open = [stream(&hub, &["/a/{id}"], &["/a/2"]), stream(&hub, &["/a/{id}"], &["*"])];
    hub.upgrade(&Value::Null);
    updates(&hub, 3);
    open[0].expect(b"id: u3\ndata: x\n\nid: u4\ndata: x\n\n");
    open[1].expect(b"id: u3\ndata: x\n\nid: u4\ndata: x\n\nid: u5\ndata: x\n\n");
    hub.kill();
    let hub = Hub::with(settings());
    let ids: Vec<String> = [1, 4].iter().map(|nth| format!("u{nth}")).collect();
    resumed(&hub, &["/a/2"], &["/a/{id}"], "u0").expect(format!(":\n\n{}", frames(&ids)).as_bytes());
    let ids: Vec<String> = (1..6).map(|nth| format!("u{nth}")).collect();
    resumed(&hub, &["*"], &["*"], "u0").expect(format!(":\n\n{}", frames(&ids)).as_bytes());

    let redis = Redis::new();
    let (one, other) = (bus::hub(&redis), bus::hub(&redis));
    let mut reader = stream(&other, &["/a/{id}"], &["/a/2"]);
    updates(&one, 0);
    reader.expect(b"id: u0\ndata: x\n\nid: u1\ndata: x\n\n");
    resumed(&other, &["/a/{id}"], &["/a/2"], "u0").expect(b":\n\nid: u1\ndata: x\n\n");
}

#[test]
fn what_a_client_asks_for_is_limited_and_charged() {
    let hub = Hub::with(json!({ "max_topics": 40, "topic_bytes": 1 << 17 }));
    let mut client = hub.client();
    let mut refused = |patterns: &[String], replay| {
        let (near, _far) = UnixStream::pair().expect("a pair");
        let (address, patterns) = (Some("192.0.2.1"), borrowed(patterns));
        let request = Request::Attach(Attach { patterns, address, replay, ..Attach::default() });
        let reply = client.call(&request, Some(near.as_fd()), PATIENCE);
        text(reply.map(|reply| format!("{reply:?}")))
    };
    let templates =
        |count: usize| (0..count).map(|nth| mercure::subscription(&format!("/{nth}/{{a}}"))).collect::<Vec<_>>();
    let limit = format!("{} URI templates given; a stream may have {MAX_TEMPLATES}", MAX_TEMPLATES + 1);
    assert!(refused(&templates(MAX_TEMPLATES + 1), None).contains(&limit));
    assert!(refused(&[mercure::right(&"{a}".repeat(17))], None).contains("more than 16 variables"));
    let long: Vec<String> = (0..12).map(|nth| mercure::right(&format!("{nth}{}", "/".repeat(300)))).collect();
    assert!(refused(&long, None).contains("sse.max_topics times 255"));
    // A share of the whole for each address.
    assert!(refused(&templates(MAX_TEMPLATES), None).contains("sse.topic_bytes"));
    let replay = Replay {
        render: true,
        only_changes: false,
        poll: 0,
        reauthorize: 0,
        share: None,
        request: OriginalRequest {
            script: "/a.php",
            protocol: Protocol::FastCgi,
            fields: Vec::new(),
            body: serde_bytes::Bytes::new(b""),
            remote: ("", ""),
            last_event_id: None,
            session: None,
        },
    };
    assert!(refused(&templates(1), Some(replay)).contains("for streams without a callback"));
    let charged = |selector: &str| {
        let open = stream(&hub, &[selector], &[]);
        let charged = hub.stats()["topic_bytes"].as_u64().expect("a number");
        drop(open);
        hub.until("it is not charged any more", |stats| stats["topic_bytes"] == 0);
        charged
    };
    assert!(charged("/{a}") > charged("/a") + 512);
}

/// Attack: one address opens hundreds of streams with templates that begin alike, each of which every update is compared with; or
/// changes what a stream watches, or waits for a new hub, to have more of them than it may.
#[test]
fn the_templates_of_one_address_take_a_share_of_what_an_update_may() {
    for processes in [1, 2] {
        // 104 steps for an address: 8 templates of 13.
        let mut hub = Hub::with(json!({ "template_steps": 8 * 8 * 13, "processes": processes }));
        let some = |of: &str, count: usize| -> Vec<String> {
            (0..count)
                .map(|nth| mercure::subscription(&format!("https://example.com/books/{{a}}{of}{nth}{{b}}")))
                .collect()
        };
        let open = |hub: &Hub, address: &str, patterns: &[String]| {
            let mut client = hub.client();
            let (near, far) = UnixStream::pair().expect("a pair");
            let spec = StreamSpec { stream_id: true, ..StreamSpec::default() };
            let wanted = Attach { patterns: borrowed(patterns), address: Some(address), spec, ..Attach::default() };
            let reply = client.call(&Request::Attach(wanted), Some(near.as_fd()), PATIENCE);
            let (stream, public) = match reply.map_err(|error| error.to_string())? {
                Reply::Attached { stream, public, .. } => (stream, public.to_owned()),
                other => panic!("neither attached nor refused: {other:?}"),
            };
            commit(&client, stream, Framing::Raw);
            let mut reader = Reader::new(far, stream, client);
            reader.expect(format!(":\nevent: stream\ndata: {{\"stream\":\"{public}\"}}\n\n").as_bytes());
            Ok::<_, String>((reader, public))
        };
        let (greedy, other) = ("192.0.2.7", "192.0.2.8");
        let (mut first, public) = open(&hub, greedy, &some("01", 8)).expect("its share");
        let refused = |hub: &Hub| open(hub, greedy, &some("02", 1)).err().expect("more than its share");
        let why = "192.0.2.7 takes the eighth of sse.template_steps (104 of its steps) that one address may";
        assert!(refused(&hub).contains(why));
        assert_eq!(hub.stats()["refused"]["template_steps"], 1);
        let retopic = |hub: &Hub, add: &[String], remove: &[String]| {
            let request =
                Request::Retopic { stream: &public, add: borrowed(add), remove: borrowed(remove), user: None };
            hub.client().call(&request, None, PATIENCE).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(retopic(&hub, &some("03", 1), &[]).expect_err("too many").contains(why));
        assert_eq!(retopic(&hub, &some("03", 1), &some("01", 1)), Ok(()));
        // Others go on, and so does this one with what it has already, or what no such topic is compared with.
        let mut others = [
            open(&hub, other, &some("04", 8)).expect("another address").0,
            open(&hub, greedy, &some("03", 1)).expect("the same").0,
            open(&hub, greedy, &[mercure::subscription("https://example.com/users/7{?topic}")]).expect("others").0,
        ];
        hub.upgrade(&Value::Null);
        assert!(refused(&hub).contains(why));
        assert_eq!(hub.stats()["template_steps"], 2 * 104);
        update(&mut hub.client(), &["https://example.com/books/01703-042"], false, "1");
        update(&mut hub.client(), &["https://example.com/users/7"], false, "2");
        first.expect(b"id: 1\ndata: x\n\n");
        others[0].expect(b"id: 1\ndata: x\n\n");
        others[2].expect(b"id: 2\ndata: x\n\n");
        drop((first, others));
        hub.until("nothing is compared", |stats| stats["template_steps"] == 0);
        open(&hub, greedy, &some("02", 8)).expect("room again");
    }
}

/// Attack: a search for who watches, while another one is under way, ends the thread.
#[test]
fn a_stream_that_is_told_its_topics_is_told_those_that_its_selectors_match() {
    let hub = Hub::new();
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let pattern = [mercure::subscription("/{a}"), mercure::subscription("b")];
    let spec = StreamSpec { topics_as: Some(TopicsAs::Field), ..StreamSpec::default() };
    let request = Request::Attach(Attach { patterns: borrowed(&pattern), spec, ..Attach::default() });
    let Ok(Reply::Attached { stream, .. }) = client.call(&request, Some(near.as_fd()), PATIENCE) else {
        panic!("not attached");
    };
    commit(&client, stream, Framing::Raw);
    let mut far = patient(far);
    update(&mut hub.client(), &["/a", "c", "b"], false, "1");
    update(&mut hub.client(), &["c", "/d/e", "/f"], false, "2");
    let mut text = String::new();
    while !text.ends_with("id: 2\ndata: x\n\n") {
        let mut byte = [0];
        far.read_exact(&mut byte).expect("the rest");
        text.push(byte[0].into());
    }
    let events = text.split("\n\n").filter(|event| event.starts_with("topic: ")).collect::<Vec<_>>();
    let first = "topic: $mercure.public.%2Fa\ntopic: $mercure.public.b\nid: 1\ndata: x";
    assert_eq!(events, [first, "topic: $mercure.public.%2Ff\nid: 2\ndata: x"]);
}

/// What a PHP process reads has the names of the topics.
#[test]
fn a_php_process_watches_as_well() {
    let hub = Hub::new();
    let pattern = [mercure::subscription("/{a}"), mercure::right("*")];
    let mut reader = hub.stream(&borrowed(&pattern), Framing::Message);
    update(&mut hub.client(), &["/a", "b"], true, "1");
    assert_eq!(reader.message(), "event 1 $mercure.private.%2Fa,$mercure.private.b - x");
    let topic = mercure::topic("/a", false);
    match hub.client().call(&Request::Retained { topic: &topic }, None, PATIENCE) {
        Ok(Reply::Events { events }) => assert!(events.is_empty()),
        other => panic!("no answer: {other:?}"),
    }
}
