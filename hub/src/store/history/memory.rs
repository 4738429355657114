//! Tests that the memory a history takes matches what it counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::event::Event;
use crate::store::history::{History, HistoryLimits};
use crate::sys::counting;
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;

/// Bytes that an empty history may hold: spare capacity of its lists and tables.
const BASE: isize = 128 << 10;

/// A run of similar publications.
#[derive(Debug, Clone)]
struct PublicationRun {
    count: usize,
    /// Number of topics that the events rotate through, length of a topic's name, and topics per event.
    topics: usize,
    name: usize,
    each: usize,
    data: usize,
    /// Data has a line break, so that the event keeps it beside the frame.
    lines: bool,
    /// Number of publisher-given ids to rotate through; 0 for the hub's ids.
    ids: usize,
    /// Also builds the event's message form, as streams of messages do.
    message: bool,
}

fn any_kind() -> impl Strategy<Value = PublicationRun> {
    let topics = prop_oneof![Just(1), 1..20_usize, 100..3000_usize];
    let data = prop_oneof![0..10_usize, 0..2000_usize];
    let ids = prop_oneof![Just(0), Just(5), Just(10_000)];
    (1..3000_usize, topics, 1..200_usize, 1..30_usize, data, any::<bool>(), ids, any::<bool>()).prop_map(
        |(count, topics, name, each, data, lines, ids, message)| {
            let count = count / each + 1;
            PublicationRun { count, topics, name, each, data, lines, ids, message }
        },
    )
}

fn event(kind: &PublicationRun, nth: usize, stamp: Id) -> Arc<Event> {
    let topic = |place: usize| format!("{:0>width$}", (nth * kind.each + place) % kind.topics, width = kind.name);
    let topics: Vec<String> = (0..kind.each).map(topic).collect();
    let data = "x".repeat(kind.data) + if kind.lines { "\n" } else { "" };
    let id = if kind.ids > 0 { format!("own-{}", nth % kind.ids) } else { stamp.to_string() };
    let topics = topics.iter().map(String::as_str).collect();
    let event = Event::new(&NewEvent { topics, data: data.as_bytes(), ..NewEvent::default() }, &id);
    if kind.message {
        let _ = event.message();
    }
    Arc::new(event)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_history_takes_no_more_than_twice_what_it_counts_whatever_is_published(
        kinds in proptest::collection::vec(any_kind(), 1..6),
        limit in prop_oneof![Just(2_usize), Just(50), Just(1000)],
        bytes in prop_oneof![Just(1_usize << 20), Just(64 << 20)],
    ) {
        let now = Instant::now();
        let ttl = Duration::from_secs(kinds.len() as u64);
        let before = counting::in_use();
        let limits = HistoryLimits { events: limit, ttl, bytes, after_gap: 0 };
        let mut history = History::new(limits, Id::default());
        let check = |history: &History, when: &str| {
            let (taken, counted) = (counting::in_use() - before, history.bytes().cast_signed());
            prop_assert!(taken <= 2 * counted + BASE, "{taken} bytes taken and {counted} counted {when}");
            // An overestimate would evict events for nothing.
            prop_assert!(counted <= 3 * taken + BASE, "{taken} bytes taken and {counted} counted {when}");
            Ok(())
        };
        let mut ms = 0;
        for (nth, kind) in kinds.iter().enumerate() {
            for number in 0..kind.count {
                ms += 1;
                let stamp = Id { ms, seq: 0 };
                history.add(&event(kind, number, stamp), stamp, now + Duration::from_secs(nth as u64));
                if number % 500 == 0 {
                    check(&history, "while events are added")?;
                }
            }
            check(&history, "when all were added")?;
        }
        for nth in 0..=kinds.len() {
            while history.expire(now + ttl + Duration::from_secs(nth as u64), 100) {
                check(&history, "while events are forgotten")?;
            }
            check(&history, "when events were forgotten")?;
        }
        prop_assert_eq!(history.bytes(), 0);
    }
}
