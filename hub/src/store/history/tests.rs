//! Tests of the history: what is kept, and what readers are told of.

use super::evict::HOLES;
use super::*;
use proptest::prelude::*;

const START: Id = Id { ms: 1000, seq: 0 };
const HOUR: Duration = Duration::from_secs(3600);

fn history(events: usize) -> History {
    History::new(HistoryLimits { events, ttl: HOUR, bytes: 1 << 20, after_gap: 1 << 20 }, START)
}

fn add(history: &mut History, number: u64, topics: &[&str], id: Option<&str>, now: Instant) -> String {
    let stamp = Id { ms: 1000 + number, seq: 0 };
    let id = id.map_or_else(|| stamp.to_string(), Into::into);
    let new = NewEvent { topics: topics.to_vec(), data: b"x", ..Default::default() };
    history.add(&Arc::new(Event::new(&new, &id)), stamp, now);
    id
}

fn missed(history: &mut History, patterns: &[&str], since: &str, now: Instant) -> (bool, Vec<String>) {
    let missed = history.missed(patterns, since, now);
    (missed.gap.is_some(), missed.events.iter().map(|event| event.id().into()).collect())
}

/// The file's first event exceeds the limit: it is evicted before the other topic's events are read.
#[test]
fn what_topics_had_forgotten_is_known_whatever_is_too_large_when_a_file_is_read() {
    let at = |ms| Id { ms, seq: 0 };
    let event = |topic, id: Id, size: usize| {
        let data = "x".repeat(size);
        let new = NewEvent { topics: vec![topic], data: data.as_bytes(), ..Default::default() };
        (id, Arc::new(Event::new(&new, &id.to_string())))
    };
    let topics = HashMap::from([("b".into(), at(1050))]);
    let watermarks =
        Watermarks { began: START, forgotten: at(1010), topics, newest: at(1060), ..Watermarks::default() };
    let events = [event("a", at(1020), 5000), event("b", at(1060), 1)];
    let limits = HistoryLimits { events: 10, ttl: HOUR, bytes: 2000, after_gap: 1000 };
    let now = Instant::now();
    let mut history = History::restore(limits, watermarks, events, now, 1060);
    assert_eq!(missed(&mut history, &["b"], "1040-0", now), (true, vec!["1060-0".into()]));
    assert_eq!(missed(&mut history, &["b"], "1050-0", now), (false, vec!["1060-0".into()]));
}

#[test]
fn a_reader_gets_what_came_after_its_id_on_its_topics() {
    let (mut history, now) = (history(10), Instant::now());
    let first = add(&mut history, 1, &["a"], None, now);
    add(&mut history, 2, &["b"], None, now);
    add(&mut history, 3, &["a", "b"], Some("own"), now);
    let last = add(&mut history, 4, &["a.c"], None, now);
    assert_eq!(missed(&mut history, &["a"], &first, now), (false, vec!["own".into()]));
    assert_eq!(missed(&mut history, &["a", "b"], &first, now), (false, vec!["1002-0".into(), "own".into()]));
    assert_eq!(missed(&mut history, &["**"], "own", now), (false, vec![last.clone()]));
    assert_eq!(missed(&mut history, &["a"], &START.to_string(), now).1.len(), 2);
    assert_eq!(missed(&mut history, &["a"], &last, now), (false, vec![]));
}

#[test]
fn ids_that_are_not_known_are_a_gap_before_all_that_is_kept() {
    let (mut history, now) = (history(10), Instant::now());
    let only = add(&mut history, 1, &["a"], None, now);
    for unknown in ["999-0", "2000-0", "somebody's own", ""] {
        assert_eq!(missed(&mut history, &["a"], unknown, now), (true, vec![only.clone()]), "{unknown}");
    }
    let gap = history.missed(&["a"], "a\nb", now).gap.expect("a gap");
    assert_eq!(&*gap, b"event: gap\ndata: {\"oldest\":\"1001-0\",\"requested\":\"a\\\\nb\"}\n\n");
}

#[test]
fn an_id_that_was_given_twice_is_a_gap_as_long_as_one_of_them_is_kept() {
    let (mut history, now) = (history(2), Instant::now());
    let quiet = add(&mut history, 1, &["quiet"], Some("again"), now);
    let between = add(&mut history, 2, &["busy"], None, now);
    add(&mut history, 3, &["busy"], Some("again"), now);
    assert!(missed(&mut history, &["busy"], &quiet, now).0);
    assert!(!missed(&mut history, &["busy"], &between, now).0);
    (4..6).for_each(|number| drop(add(&mut history, number, &["busy"], None, now)));
    add(&mut history, 6, &["busy"], Some("again"), now);
    assert!(missed(&mut history, &["busy"], &quiet, now).0);
}

#[test]
fn a_gap_is_told_to_those_only_who_missed_something() {
    let (mut history, now) = (history(2), Instant::now());
    let before = add(&mut history, 1, &["quiet"], None, now);
    let ids: Vec<String> = (2..6).map(|number| add(&mut history, number, &["busy"], None, now)).collect();
    assert_eq!(missed(&mut history, &["quiet"], &before, now), (false, vec![]));
    assert_eq!(missed(&mut history, &["busy"], &ids[0], now), (true, ids[2..].to_vec()));
    assert_eq!(missed(&mut history, &["busy"], &ids[1], now), (false, ids[2..].to_vec()));
    assert_eq!(missed(&mut history, &["*"], &ids[0], now), (true, ids[2..].to_vec()));
    assert!(!missed(&mut history, &["quiet", "other.*"], &ids[0], now).0);
}

#[test]
fn what_is_too_old_or_too_much_is_forgotten() {
    let (mut history, now) = (history(10), Instant::now());
    let first = add(&mut history, 1, &["a"], None, now);
    let second = add(&mut history, 2, &["a"], None, now + HOUR / 2);
    assert_eq!(missed(&mut history, &["a"], &first, now + HOUR), (false, vec![second.clone()]));
    assert_eq!(missed(&mut history, &["a"], &first, now + HOUR * 2), (true, vec![]));
    assert_eq!(missed(&mut history, &["a"], &second, now + HOUR * 2), (false, vec![]));
    assert_eq!((history.bytes, history.topics.len(), history.ids.len()), (0, 0, 0));

    let limits = HistoryLimits { events: 100, ttl: HOUR, bytes: 4000, after_gap: 4000 };
    let mut history = History::new(limits, START);
    let ids: Vec<String> = (1..10).map(|number| add(&mut history, number, &["a", "b"], None, now)).collect();
    let (gap, kept) = missed(&mut history, &["a"], &ids[0], now);
    assert!(gap && (1..9).contains(&kept.len()) && kept.last() == ids.last(), "{kept:?}");
}

#[test]
fn one_old_event_does_not_keep_the_places_of_a_million_newer_ones() {
    let (mut history, now) = (history(5), Instant::now());
    let old = add(&mut history, 1, &["quiet"], None, now);
    for number in 2..100_000 {
        add(&mut history, number, &["busy"], None, now);
    }
    assert!(history.log.len() < 3 * HOLES, "{} entries", history.log.len());
    assert_eq!(missed(&mut history, &["quiet"], &START.to_string(), now), (false, vec![old]));
}

#[test]
fn what_a_topic_has_forgotten_is_told_after_it_has_kept_nothing_for_a_while() {
    let (mut history, now) = (history(10), Instant::now());
    let seen = add(&mut history, 1, &["a"], None, now);
    add(&mut history, 2, &["a"], None, now);
    let later = now + HOUR * 2;
    history.expire(later, usize::MAX);
    let newest = add(&mut history, 3, &["a"], None, later);
    assert_eq!(missed(&mut history, &["a"], &seen, later), (true, vec![newest.clone()]));
    assert_eq!(missed(&mut history, &["a"], &newest, later), (false, vec![]));
}

#[test]
fn without_a_history_every_reader_that_missed_something_is_told_of_a_gap() {
    let (mut history, now) = (history(0), Instant::now());
    let id = add(&mut history, 1, &["a"], None, now);
    assert_eq!(missed(&mut history, &["a"], &START.to_string(), now), (true, vec![]));
    assert_eq!(missed(&mut history, &["a"], &id, now), (false, vec![]));
}

#[test]
fn an_interruption_is_a_gap_for_those_who_have_not_got_what_came_after() {
    let (mut history, now) = (history(10), Instant::now());
    let before = add(&mut history, 1, &["a"], None, now);
    let newest = add(&mut history, 2, &["a"], None, now);
    history.interrupt();
    let cursor = history.newest().to_string();
    assert!(!missed(&mut history, &["a"], &cursor, now).0, "a page that is loaded after it has all");
    let after = add(&mut history, 3, &["a"], None, now);
    for id in [&before, &newest] {
        let (gap, kept) = missed(&mut history, &["a"], id, now);
        assert!(gap && kept.contains(&after), "{id}");
    }
    assert!(missed(&mut history, &["quiet"], &newest, now).0);
    assert_eq!(missed(&mut history, &["a"], &cursor, now), (false, vec![after.clone()]));
    assert_eq!(missed(&mut history, &["a"], &after, now), (false, vec![]));
}

#[test]
fn what_a_bus_has_kept_begins_where_it_was_read_from() {
    let now = Instant::now();
    let new = NewEvent { topics: vec!["a"], data: b"x", ..Default::default() };
    let stamp = |ms| Id { ms, seq: 0 };
    let events: Vec<_> = [1000, 1001].map(|ms| (stamp(ms), Arc::new(Event::new(&new, &format!("{ms}-0"))))).into();
    let limits = HistoryLimits { events: 10, ttl: HOUR, bytes: 1 << 20, after_gap: 1 << 20 };
    let load = |whole, began: Id, newest, count| {
        let events = events.iter().take(count).map(|(stamp, event)| (*stamp, event));
        History::load(limits, began, whole, newest, events, now, 1001)
    };
    let mut trimmed = load(false, stamp(1000).before(), stamp(1001), 2);
    assert_eq!(missed(&mut trimmed, &["a"], "1000-0", now), (false, vec!["1001-0".into()]));
    for unknown in ["0-0", "999-0", "1002-0"] {
        assert!(missed(&mut trimmed, &["a"], unknown, now).0, "{unknown}");
    }
    let mut whole = load(true, stamp(1000).before(), stamp(1001), 2);
    assert_eq!(missed(&mut whole, &["a"], "0-0", now), (false, vec!["1000-0".into(), "1001-0".into()]));
    assert!(missed(&mut whole, &["a"], "999-0", now).0, "it can only be of another stream");
    let mut empty = load(true, Id::default(), Id::default(), 0);
    assert_eq!(empty.newest().to_string(), "0-0");
    assert!(!missed(&mut empty, &["a"], "0-0", now).0 && missed(&mut empty, &["a"], "1-0", now).0);
    add(&mut empty, 1, &["a"], None, now);
    assert!(!missed(&mut empty, &["a"], "0-0", now).0 && missed(&mut empty, &["a"], "999-0", now).0);
    assert!(empty.may_come("2000-0") && empty.may_come("own") && !trimmed.may_come("999-0"));
}

proptest! {
    /// Compares with a model that keeps everything: no event is missing without a gap, none comes twice or unasked, and no
    /// gap comes where nothing is missing.
    #[test]
    fn what_is_not_sent_is_told(
        limit in 1..6_usize,
        events in proptest::collection::vec((proptest::sample::subsequence(vec!["a", "b", "c.d"], 1..3), any::<bool>()), 1..60),
        patterns in proptest::sample::subsequence(vec!["a", "b", "c.*", "**"], 1..3),
        since in 0..60_usize,
    ) {
        let (mut history, now) = (history(limit), Instant::now());
        let mut all = Vec::new();
        for (number, (topics, own)) in events.iter().enumerate() {
            let own = own.then(|| format!("own-{number}"));
            let id = add(&mut history, number as u64 + 1, topics, own.as_deref(), now);
            all.push((id, topics.clone()));
        }
        let since = since % all.len();
        let matches = |topics: &[&str]| topics.iter().any(|t| patterns.iter().any(|p| topic::matches(p, t)));
        let expected: Vec<String> = all[since + 1..].iter().filter(|(_, t)| matches(t)).map(|(id, _)| id.clone()).collect();
        let (gap, got) = missed(&mut history, &patterns, &all[since].0, now);
        if gap {
            // The history does not know the position of an evicted id, and sends all that it keeps.
            prop_assert!(got.len() <= all.len());
            if history.stamp(&all[since].0).is_some() {
                let mut rest = expected.iter();
                prop_assert!(got.len() < expected.len() && got.iter().all(|id| rest.any(|other| other == id)));
            }
        } else {
            prop_assert_eq!(got, expected);
        }
    }
}
