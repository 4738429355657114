//! Matchers of Mercure 1.0, and what a delivery by a selector costs.

use std::io::Read;

use serde_json::{Value, json};
use sse_protocol::mercure;
use sse_protocol::wire::Framing;

use crate::mercure::{borrowed, frames, update};
use crate::support::{self, Hub, Reader, commit};

#[test]
fn url_patterns_and_exact_topics_are_found_live_and_in_the_history_and_an_upgrade_keeps_them() {
    let mut hub = Hub::with(json!({ "history_events": 100 }));
    let matching = |kind: &str, text: &str| mercure::subscription_of(kind, text).expect("a type");
    let patterns = [matching("urlpattern", "/books/:id"), matching("exact", "/a/{b}"), matching("exact", "/a/:b")];
    let right = "$mercure.allow_urlpattern.%2Fusers%2F%3Aid%2F%2A".to_owned();
    let all = [patterns.as_slice(), &[right]].concat();
    update(&mut hub.client(), &["first"], false, "first");
    let mut without_right = hub.stream(&borrowed(&patterns), Framing::Raw);
    let mut open = hub.stream(&borrowed(&all), Framing::Raw);
    [&mut open, &mut without_right].into_iter().for_each(|reader| reader.expect(b":\n\n"));
    hub.upgrade(&Value::Null);
    let mut client = hub.client();
    for (id, topics, private) in [
        ("1", &["/books/1"][..], false),
        ("2", &["/books/1/2"], false),
        ("3", &["/books/1"], true),
        ("4", &["/books/1", "/users/7/books"], true),
        ("5", &["/a/1"], false),
        ("6", &["/a/{b}"], false),
        ("7", &["/a/:b"], false),
    ] {
        update(&mut client, topics, private, id);
    }
    let ids = |all: &[&str]| frames(&all.iter().map(|&id| id.to_owned()).collect::<Vec<_>>());
    without_right.expect(ids(&["1", "6", "7"]).as_bytes());
    open.expect(ids(&["1", "4", "6", "7"]).as_bytes());
    let (stream, far) = support::attach_after(&mut client, &borrowed(&all), "first");
    commit(&client, stream, Framing::Raw);
    let mut back = Reader::new(far, stream, client);
    back.expect(format!(":\n\n{}", ids(&["1", "4", "6", "7"])).as_bytes());
}

/// CPU time of a process and its threads, in clock ticks.
fn ticks(pid: u32) -> u64 {
    let stat = support::read_to_string(format!("/proc/{pid}/stat").as_ref());
    let (_, rest) = stat.rsplit_once(") ").expect("a name");
    rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// `cargo test --release -p sse-hub --test hub what_a_delivery_costs -- --ignored --nocapture`
#[test]
#[ignore = "not a test: a measurement"]
fn what_a_delivery_costs_by_a_template_and_by_a_topic() {
    const STREAMS: usize = 500;
    const UPDATES: usize = 2000;
    let run = |selectors: &dyn Fn(usize) -> String, allowed: &[&str]| {
        let hub = Hub::with(json!({ "history_events": 0, "topic_bytes": 1 << 30 }));
        let rights = allowed.iter().map(|right| mercure::right(right)).collect::<Vec<_>>();
        let readers: Vec<_> = (0..STREAMS)
            .map(|nth| {
                let patterns = [&[selectors(nth)][..], &rights].concat();
                let mut reader = hub.stream(&borrowed(&patterns), Framing::Raw);
                reader.expect(b":\n\n");
                std::thread::spawn(move || {
                    let mut bytes = vec![0; 1 << 16];
                    let end = b"id: end\ndata: x\n\n";
                    let mut kept = Vec::new();
                    while !kept.ends_with(end) {
                        let count = reader.socket.read(&mut bytes).expect("bytes");
                        kept = [&kept[kept.len().saturating_sub(64)..], &bytes[..count]].concat();
                    }
                })
            })
            .collect();
        let mut client = hub.client();
        let patterns = [&[selectors(STREAMS)][..], &rights].concat();
        let mut pace = hub.stream(&borrowed(&patterns), Framing::Raw);
        pace.expect(b":\n\n");
        let before = ticks(hub.pid());
        for nth in 0..UPDATES {
            let id = format!("u{nth}");
            update(&mut client, &["https://example.com/books/1"], !allowed.is_empty(), &id);
            // Each by itself: several that wait would be one write.
            pace.expect(frames(&[id]).as_bytes());
        }
        update(&mut client, &["https://example.com/books/1"], !allowed.is_empty(), "end");
        readers.into_iter().for_each(|reader| reader.join().expect("all"));
        (ticks(hub.pid()) - before) as f64 * 1e4 / (STREAMS * UPDATES) as f64
    };
    let topic = |_: usize| mercure::subscription("https://example.com/books/1");
    let template = |_: usize| mercure::subscription("https://example.com/books/{id}");
    let pattern = |_: usize| mercure::subscription_of("urlpattern", "https://example.com/books/:id").expect("a type");
    let least = |selectors: &dyn Fn(usize) -> String, allowed: &[&str]| {
        (0..3).map(|_| run(selectors, allowed)).fold(f64::INFINITY, f64::min)
    };
    let [exact, shared, url] = [least(&topic, &[]), least(&template, &[]), least(&pattern, &[])];
    let private = least(&template, &["https://example.com/{kind}/1"]);
    println!(
        "{STREAMS} streams, CPU a delivery: exact topic {exact:.2} µs, one template {shared:.2} µs ({:.2}), one URL pattern \
         {url:.2} µs ({:.2}), template and right {private:.2} µs ({:.2})",
        shared / exact,
        url / exact,
        private / exact
    );
}
