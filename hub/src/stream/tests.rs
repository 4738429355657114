//! A stream on a socket pair: order, bytes, limits.

use super::*;
use crate::event::Event;
use proptest::prelude::*;
use sse_protocol::event::NewEvent;
use sse_protocol::framing;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::iter;
use std::os::unix::net::UnixStream;

const LIMIT: usize = usize::MAX;

fn event(len: usize) -> Arc<Event> {
    let data: Vec<u8> = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
    Arc::new(Event::new(&NewEvent { topics: vec!["a"], data: &data, ..Default::default() }, "7-0"))
}

impl Stream {
    fn push_event(&mut self, event: &Arc<Event>, limit: usize, written: &mut WrittenAmounts) -> Push {
        self.push(iter::once(&Payload::Event(Arc::clone(event))), limit, written)
    }
}

fn framed(framing: Framing, payload: &Payload) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = payload.piece(framing, bytes.len()) {
        bytes.extend_from_slice(piece.bytes());
    }
    bytes
}

/// Creates a stream with the smallest socket buffer.
fn pair() -> (Stream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    socket2::SockRef::from(&near).set_send_buffer_size(1).expect("small");
    far.set_nonblocking(true).expect("own socket");
    (Stream::new(1, near.into(), StreamSpec { retry: 500, ..StreamSpec::default() }), far)
}

fn read(far: &mut UnixStream, most: usize, into: &mut Vec<u8>) {
    match far.take(most as u64).read_to_end(into) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
}

#[test]
fn an_idle_stream_is_small_and_has_no_memory_beside() {
    assert!(size_of::<Stream>() <= 184, "{} bytes", size_of::<Stream>());
    let (mut stream, mut far) = pair();
    stream.open(Framing::Raw);
    let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
    stream.push_event(&event(500_000), LIMIT, &mut written);
    while stream.flush(&mut written) != Push::Written {
        read(&mut far, 1 << 20, &mut got);
    }
    assert_eq!((stream.queue.capacity(), stream.behind.is_some()), (0, false));
    assert_eq!((stream.queued(), written.events), (0, 1));
}

#[test]
fn behind_one_event_of_any_size_a_queue_takes_no_more_than_its_bytes() {
    let mut written = WrittenAmounts::default();
    let room_for_two = 2 * event(1).frame().len();
    for first in [1, 5000] {
        let (mut stream, _far) = pair();
        for size in [first, 1, 1] {
            assert_eq!(stream.push_event(&event(size), room_for_two, &mut written), Push::Queued);
        }
        assert_eq!(stream.push_event(&event(1), room_for_two, &mut written), Push::Overflow);
    }
    let (mut stream, _far) = pair();
    assert_eq!(stream.push_event(&event(1), room_for_two, &mut written), Push::Queued);
    assert_eq!(stream.push_event(&event(5000), room_for_two, &mut written), Push::Overflow);
}

/// Otherwise each new event would close a stream that resumes with more than the limit, before it makes progress.
#[test]
fn a_reader_that_comes_back_to_much_is_not_slow_when_an_event_follows() {
    for topics_as in [None, Some(TopicsAs::Field)] {
        let (mut stream, mut far) = pair();
        let mut written = WrittenAmounts::default();
        let missed = Missed { events: vec![event(5000); 100], ..Missed::default() };
        stream.preload(None, missed, &mut written);
        if let Some(topics_as) = topics_as {
            stream.tell_topics(topics_as, "7-0", |_| true);
        }
        let limit = 2 * framing::framed_len(Framing::Chunked, event(1).frame().len());
        assert_eq!(stream.push_event(&event(1), limit, &mut written), Push::Queued, "still held");
        stream.open(Framing::Chunked);
        assert_eq!(stream.flush(&mut written), Push::Queued);
        assert_eq!(stream.push_event(&event(1), limit, &mut written), Push::Queued);
        assert_eq!(stream.push_event(&event(1), limit, &mut written), Push::Overflow, "these do count");
        let mut got = Vec::new();
        while stream.flush(&mut written) != Push::Written {
            read(&mut far, 1 << 20, &mut got);
        }
        assert_eq!((stream.queued(), stream.preloaded), (0, 0));
    }
}

/// The rest of a partly written payload doesn't count either, whatever its size.
#[test]
fn a_client_that_reads_a_large_event_is_not_slow_when_another_follows() {
    let (mut stream, _far) = pair();
    stream.open(Framing::Raw);
    let mut written = WrittenAmounts::default();
    assert_eq!(stream.flush(&mut written), Push::Written);
    let opening = written.bytes;
    let large = event(4_000_000);
    assert_eq!(stream.push_event(&large, large.frame().len(), &mut written), Push::Queued);
    assert!(written.bytes > opening && stream.queued() > 0);
    assert_eq!(stream.push_event(&large, large.frame().len(), &mut written), Push::Queued);
    assert_eq!(stream.push_event(&event(1), large.frame().len(), &mut written), Push::Overflow);
}

/// The client would have kept up with the same events one at a time.
#[test]
fn a_client_that_has_made_room_is_not_slow_because_many_events_come_at_once() {
    let (near, mut far) = UnixStream::pair().expect("a pair");
    far.set_nonblocking(true).expect("own socket");
    let mut stream = Stream::new(1, near.into(), StreamSpec { retry: 500, ..StreamSpec::default() });
    stream.open(Framing::Raw);
    let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
    let mut size = 100_000;
    while stream.push_event(&event(size), LIMIT, &mut written) == Push::Written {
        read(&mut far, 1 << 20, &mut got);
        size += 10_000;
    }
    read(&mut far, 1 << 20, &mut got);
    let many: Vec<_> = (0..20).map(|_| Payload::Event(event(100))).collect();
    let limit = 3 * many[0].len();
    assert_eq!(stream.push(many.iter(), limit, &mut written), Push::Written);
    assert_eq!(stream.push(many.iter().cycle(), limit, &mut written), Push::Overflow);
}

#[test]
fn a_client_that_has_left_is_noticed_when_reading_and_when_writing() {
    let (mut stream, far) = pair();
    stream.open(Framing::Raw);
    let mut written = WrittenAmounts::default();
    assert_eq!(stream.flush(&mut written), Push::Written);
    assert_eq!(stream.drain(&mut [0; 16], 4), SocketRead::Empty);
    drop(far);
    assert_ne!(stream.drain(&mut [0; 16], 4), SocketRead::Empty);
    assert_eq!(stream.push_event(&event(1), LIMIT, &mut written), Push::Broken);
}

#[derive(Debug, Clone)]
enum StreamStep {
    Events(Vec<usize>),
    Heartbeat,
    Read(usize),
    Flush,
}

fn any_step() -> impl Strategy<Value = StreamStep> {
    prop_oneof![
        (0..2000_usize).prop_map(|len| StreamStep::Events(vec![len])),
        proptest::collection::vec(0..500_usize, 0..2 * PIECES).prop_map(StreamStep::Events),
        proptest::collection::vec(60_000..140_000_usize, 1..3).prop_map(StreamStep::Events),
        Just(StreamStep::Heartbeat),
        (1..50_000_usize).prop_map(StreamStep::Read),
        Just(StreamStep::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn however_the_socket_takes_it_the_bytes_are_the_same(
        steps in proptest::collection::vec(any_step(), 1..30),
        opened in 0..10_usize,
        framing in prop_oneof![Just(Framing::Raw), Just(Framing::Chunked), Just(Framing::FastCgi { request: 9 }), Just(Framing::Message)],
    ) {
        let (mut stream, mut far) = pair();
        let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
        let mut events = Vec::new();
        let mut expected = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            if number == opened {
                stream.open(framing);
                if framing != Framing::Message {
                    expected.extend(framed(framing, &Payload::Lines("retry: 500\n\n".into())));
                }
                events.drain(..).for_each(|event| expected.extend(framed(framing, &event)));
                prop_assert_ne!(stream.flush(&mut written), Push::Broken);
            }
            let pushed = match step {
                StreamStep::Events(sizes) => {
                    let events: Vec<_> = sizes.into_iter().map(|len| Payload::Event(event(len))).collect();
                    prop_assert!(matches!(stream.push(events.iter(), LIMIT, &mut written), Push::Written | Push::Queued));
                    events
                }
                StreamStep::Heartbeat => {
                    let idle = !stream.is_held() && stream.queue.is_empty();
                    stream.push_heartbeat(&mut written);
                    idle.then_some(Payload::Heartbeat).into_iter().collect()
                }
                StreamStep::Read(most) => {
                    read(&mut far, most, &mut got);
                    Vec::new()
                }
                StreamStep::Flush => {
                    stream.flush(&mut written);
                    Vec::new()
                }
            };
            if stream.is_held() {
                events.extend(pushed);
            } else {
                pushed.iter().for_each(|payload| expected.extend(framed(framing, payload)));
            }
            if !stream.is_held() {
                prop_assert_eq!(stream.queued() + written.bytes, expected.len());
            }
        }
        if stream.is_held() {
            return Ok(());
        }
        expected.extend(framed(framing, &Payload::End));
        stream.push_end(&mut written);
        while stream.flush(&mut written) != Push::Written {
            read(&mut far, 1 << 20, &mut got);
        }
        read(&mut far, 1 << 20, &mut got);
        prop_assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
    }
}

/// Publishes on the topic of this number, so that a newer one of it replaces it, or on one of its own.
fn numbered(id: usize, topic: Option<usize>, len: usize) -> Payload {
    let (topic, data) = (topic.map_or_else(|| "plain".into(), |topic| format!("t{topic}")), vec![b'x'; len]);
    let new = NewEvent { topics: vec![&topic], data: &data, latest: topic != "plain", ..Default::default() };
    Payload::Event(Arc::new(Event::new(&new, &format!("n{id}"))))
}

/// How many places of the queue come before the first one with something to write, if there is one.
fn before_the_first(stream: &Stream) -> usize {
    stream.queue.iter().position(|queued| queued.is_something()).unwrap_or_default()
}

/// When the first event that waits behind a pause will be told, for each list of topics of which only the newest matters.
fn moments(stream: &Stream) -> BTreeMap<Arc<str>, u64> {
    let (mut paused, mut moments) = (0, BTreeMap::new());
    for queued in &stream.queue {
        if let Payload::Pause(until) = **queued {
            paused = until;
        } else if let Some(topics) = queued.latest() {
            moments.entry(Arc::clone(topics)).or_insert(paused);
        }
    }
    moments.retain(|_, moment| *moment > 0);
    moments
}

#[derive(Debug, Clone)]
enum TickerStep {
    Pause(u64),
    Due,
    Later(Option<usize>, u64),
    Events(Vec<(Option<usize>, usize)>),
    Read(usize),
    Flush,
}

fn any_ticker_step() -> impl Strategy<Value = TickerStep> {
    let topic = prop_oneof![Just(None), (0..4_usize).prop_map(Some)];
    let event = (topic, prop_oneof![0..50_usize, 0..3000_usize, Just(100_000)]);
    prop_oneof![
        4 => proptest::collection::vec(event, 1..60).prop_map(TickerStep::Events),
        1 => (1..50_000_usize).prop_map(TickerStep::Read),
        1 => Just(TickerStep::Flush),
        1 => (1..100_u64).prop_map(TickerStep::Pause),
        2 => (prop_oneof![Just(None), (0..4_usize).prop_map(Some)], 1..100_u64)
            .prop_map(|(topic, until)| TickerStep::Later(topic, until)),
        1 => Just(TickerStep::Due),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// A client gets all other events, and of each topic the newest; each whole, and in their order. No event makes it wait
    /// longer for one of a topic.
    #[test]
    fn a_newer_event_replaces_one_that_waits_and_nothing_else(
        steps in proptest::collection::vec(any_ticker_step(), 1..25),
        opened in 0..10_usize,
        framing in prop_oneof![Just(Framing::Raw), Just(Framing::Chunked), Just(Framing::FastCgi { request: 1 })],
    ) {
        let (mut stream, mut far) = pair();
        let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
        let mut all: Vec<(Option<usize>, Payload)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            if number == opened {
                stream.open(framing);
                prop_assert_ne!(stream.flush(&mut written), Push::Broken);
            }
            let (promised, told) = (moments(&stream), written.events);
            match step {
                TickerStep::Events(events) => {
                    let begin = all.len();
                    all.extend(events.into_iter().zip(begin..).map(|((topic, len), id)| (topic, numbered(id, topic, len))));
                    let payloads = all[begin..].iter().map(|(_, payload)| payload);
                    prop_assert!(matches!(stream.push(payloads, LIMIT, &mut written), Push::Written | Push::Queued));
                }
                TickerStep::Read(most) => read(&mut far, most, &mut got),
                TickerStep::Flush => drop(stream.flush(&mut written)),
                TickerStep::Pause(until) => stream.pause(until),
                TickerStep::Later(topic, until) => {
                    all.push((topic, numbered(all.len(), topic, 10)));
                    let (_, payload) = &all[all.len() - 1];
                    let is_pause = |queued: &&Queued| matches!(***queued, Payload::Pause(_));
                    let pauses = |stream: &Stream| stream.queue.iter().filter(is_pause).count();
                    let (before, replaces) = (pauses(&stream), stream.replaces_behind_pause(payload));
                    let mut paused = stream.queue.iter().skip_while(|queued| !is_pause(queued));
                    let waits = payload.latest().is_some() && paused.any(|queued| queued.latest() == payload.latest());
                    prop_assert_eq!(replaces, waits);
                    let pushed = stream.push_later(payload, until, LIMIT, &mut written);
                    prop_assert!(matches!(pushed, Push::Written | Push::Queued));
                    prop_assert!(!replaces || pauses(&stream) == before);
                }
                TickerStep::Due => {
                    stream.end_pause();
                    prop_assert_ne!(stream.flush(&mut written), Push::Broken);
                }
            }
            let moments = moments(&stream);
            for (topics, moment) in promised.into_iter().filter(|_| written.events == told) {
                let now = moments.get(&topics);
                prop_assert!(now.is_none_or(|now| *now <= moment), "{topics}: {now:?} instead of {moment}");
            }
            let waiting: usize = stream.queue.iter().map(|p| p.framed_len(stream.framing.unwrap_or(Framing::Raw))).sum();
            prop_assert_eq!(stream.queued(), waiting - stream.offset);
            let is_empty = |queued: &&Queued| matches!(***queued, Payload::Superseded);
            prop_assert!(before_the_first(&stream) <= 1);
            prop_assert!(stream.queue.iter().filter(is_empty).count() <= 17 + stream.queue.len() / 2);
        }
        if stream.is_held() {
            stream.open(framing);
        }
        stream.push_end(&mut written);
        while stream.flush(&mut written) != Push::Written {
            read(&mut far, 1 << 20, &mut got);
        }
        read(&mut far, 1 << 20, &mut got);
        let text = String::from_utf8_lossy(&got);
        let sent: Vec<usize> = text.split("id: n").skip(1).map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|id| id.parse().ok()).expect("an id")
        }).collect();
        let mut expected = framed(framing, &Payload::Lines("retry: 500\n\n".into()));
        sent.iter().for_each(|id| expected.extend(framed(framing, &all[*id].1)));
        expected.extend(framed(framing, &Payload::End));
        prop_assert!(got == expected, "each whole: {} bytes of {}", got.len(), expected.len());
        prop_assert!(sent.is_sorted());
        prop_assert_eq!(all.len() - sent.len(), written.superseded);
        for (id, (topic, _)) in all.iter().enumerate() {
            let newer = all[id + 1..].iter().any(|(other, _)| topic.is_some() && other == topic);
            prop_assert!(newer || sent.contains(&id), "{id} is missing");
        }
    }
}

/// Attack: a client that reads nothing watches tickers. They must neither close its stream nor take more memory.
#[test]
fn tickers_never_fill_a_queue() {
    let (mut stream, mut far) = pair();
    stream.open(Framing::Raw);
    let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
    let large = numbered(0, None, 500_000);
    assert_eq!(stream.push(iter::once(&large), LIMIT, &mut written), Push::Queued);
    let limit = 4 * numbered(10_000, Some(0), 100).len();
    for id in 1..10_000 {
        let tick = numbered(id, Some(id % 4), 100);
        assert_eq!(stream.push(iter::once(&tick), limit, &mut written), Push::Queued);
        assert!(stream.queue.len() < 48, "{} places", stream.queue.len());
    }
    assert_eq!(written.superseded, 9_999 - 4);
    while stream.flush(&mut written) != Push::Written {
        read(&mut far, 1 << 20, &mut got);
    }
    read(&mut far, 1 << 20, &mut got);
    let ticks: Vec<u8> =
        (9_996..10_000).flat_map(|id| numbered(id, Some(id % 4), 100).bytes(Framing::Raw).to_vec()).collect();
    assert!(got.ends_with(&[large.bytes(Framing::Raw), &ticks].concat()));
    assert!(stream.behind.is_none());
}

#[test]
fn what_comes_after_a_pause_waits_with_it_and_heartbeats_do_not() {
    let (mut stream, mut far) = pair();
    stream.open(Framing::Raw);
    let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
    assert_eq!(stream.flush(&mut written), Push::Written);
    for (until, paused) in [(10, Some(10)), (5, Some(10)), (20, Some(10))] {
        stream.pause(until);
        assert_eq!(stream.push_event(&event(1), LIMIT, &mut written), Push::Queued);
        assert_eq!(stream.paused(), paused);
    }
    assert_eq!(stream.push_heartbeat(&mut written), Push::Queued);
    read(&mut far, 1 << 20, &mut got);
    assert_eq!(got, b"retry: 500\n\n:\n\n");
    stream.end_pause();
    assert_eq!((stream.flush(&mut written), stream.paused()), (Push::Queued, Some(20)));
    read(&mut far, 1 << 20, &mut got);
    assert!(got.ends_with(&[b":\n\n", event(1).frame(), event(1).frame()].concat()));
    stream.end_pause();
    assert_eq!((stream.flush(&mut written), stream.queued(), stream.behind.is_some()), (Push::Written, 0, false));
    assert_eq!(written.events, 3);
}

/// Pushes a tick a millisecond, each to be told as late as `spread` allows, and something before it. Returns the ticks that were
/// told at the end of each pause, with the newest one then.
fn told_ticks(
    spread: u64,
    count: usize,
    before: impl Fn(&mut Stream, u64, &mut WrittenAmounts),
) -> Vec<(Vec<usize>, usize)> {
    let (mut stream, mut far) = pair();
    stream.open(Framing::Raw);
    let mut written = WrittenAmounts::default();
    assert_eq!(stream.flush(&mut written), Push::Written);
    let mut told = Vec::new();
    for (now, id) in (1..).zip(0..count) {
        while stream.paused().is_some_and(|until| until <= now) {
            stream.end_pause();
            assert_ne!(stream.flush(&mut written), Push::Broken);
            let mut got = Vec::new();
            read(&mut far, 1 << 20, &mut got);
            let ids = String::from_utf8_lossy(&got)
                .split("id: n")
                .skip(1)
                .map(|rest| rest.split('\n').next().and_then(|id| id.parse().ok()).expect("an id"))
                .filter(|id| *id < count)
                .collect();
            told.push((ids, id - 1));
        }
        before(&mut stream, now, &mut written);
        let tick = numbered(id, Some(0), 10);
        assert_eq!(stream.push_later(&tick, now + spread, LIMIT, &mut written), Push::Queued);
        assert!(stream.queue.len() < 40, "{} places", stream.queue.len());
    }
    told
}

#[test]
fn a_ticker_faster_than_its_spread_is_told_at_the_end_of_each_pause() {
    let told = told_ticks(20, 2000, |_, _, _| {});
    assert!(told.len() >= 2000 / 21, "{}", told.len());
    for (ids, newest) in told {
        assert_eq!(ids, [newest]);
    }
}

/// Each of them would be told later than the tick that waits, so all ticks would have to be behind one of them.
#[test]
fn a_ticker_is_told_within_its_spread_whatever_else_has_one() {
    for topics in [None].into_iter().chain((1..4).map(Some)) {
        let told = told_ticks(20, 2000, |stream, now, written| {
            if now % 3 == 0 {
                let topic = topics.map(|topics| 1 + now as usize / 3 % topics);
                let other = numbered(2000, topic, 10);
                assert_eq!(stream.push_later(&other, now + 20, LIMIT, written), Push::Queued);
            }
        });
        let told: Vec<(usize, usize)> =
            told.iter().flat_map(|(ids, newest)| ids.iter().map(|id| (*id, *newest))).collect();
        assert!(told.len() >= 2000 / 21 && told.is_sorted(), "{topics:?}: {told:?}");
        assert!(told.iter().all(|(id, newest)| newest - id <= 20), "{topics:?}: {told:?}");
        assert!(told.windows(2).all(|two| two[1].1 - two[0].1 <= 21), "{topics:?}: {told:?}");
    }
}

/// A newer tick comes behind another event with a later moment: the one that waits keeps its own. The first one has none.
#[test]
fn a_tick_that_waits_for_its_moment_is_dropped_only_for_one_that_has_the_same() {
    let (mut stream, _far) = pair();
    let mut written = WrittenAmounts::default();
    let tick = |id| numbered(id, Some(0), 10);
    let events = vec![Arc::new(Event::new(&NewEvent { topics: vec!["t0"], latest: true, ..Default::default() }, "n0"))];
    stream.preload(None, Missed { events, ..Missed::default() }, &mut written);
    stream.tell_topics(TopicsAs::Field, "n0", |_| true);
    for (id, pause, superseded) in [(1, 10, 1), (2, 0, 2), (3, 20, 2), (4, 0, 3), (5, 30, 4), (6, 40, 5)] {
        stream.pause(pause);
        assert_eq!(stream.push(iter::once(&tick(id)), LIMIT, &mut written), Push::Queued);
        assert_eq!(written.superseded, superseded, "tick {id}");
    }
    let waiting: Vec<_> = stream.queue.iter().filter(|queued| queued.latest().is_some()).collect();
    assert_eq!(waiting.len(), 2);
    assert_eq!(waiting[0].bytes(Framing::Raw), tick(2).bytes(Framing::Raw));
    assert_eq!(waiting[1].bytes(Framing::Raw), tick(6).bytes(Framing::Raw));
}

/// Attack: many tickers during a pause. Each event needs the first payload of the queue, and no search for it among the places of
/// those that were replaced.
#[test]
fn the_first_payload_of_a_queue_is_found_at_once_whatever_was_replaced() {
    let (mut stream, mut far) = pair();
    stream.open(Framing::Raw);
    let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
    assert_eq!(stream.flush(&mut written), Push::Written);
    stream.pause(5);
    stream.pause(10);
    for id in 0..3000 {
        let tick = numbered(id, Some(id % 1000), 10);
        assert_eq!(stream.push(iter::once(&tick), LIMIT, &mut written), Push::Queued);
        assert_eq!((before_the_first(&stream), stream.paused()), (1, Some(10)), "event {id}");
    }
    assert_eq!((written.superseded, stream.queue.len()), (2000, 1001));
    stream.end_pause();
    assert_eq!(before_the_first(&stream), 0);
    while stream.flush(&mut written) != Push::Written {
        read(&mut far, 1 << 20, &mut got);
    }
    assert_eq!(written.events, 1000);
}

/// A socket that takes only a part of a heartbeat, or nothing of it, during a pause.
#[test]
fn a_heartbeat_during_a_pause_is_completed_before_anything_else() {
    let (mut stream, mut far) = pair();
    stream.open(Framing::Raw);
    let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
    while rustix::net::send(stream.socket(), b"x", rustix::net::SendFlags::DONTWAIT).is_ok() {}
    stream.flush(&mut written);
    read(&mut far, 1 << 20, &mut got);
    assert_eq!(stream.flush(&mut written), Push::Written);
    while rustix::net::send(stream.socket(), b"x", rustix::net::SendFlags::DONTWAIT).is_ok() {}
    stream.pause(10);
    assert_eq!(stream.push_event(&event(1), LIMIT, &mut written), Push::Queued);
    assert_eq!(stream.push_heartbeat(&mut written), Push::Queued);
    assert_eq!((stream.paused(), stream.queued()), (None, 3 + event(1).frame().len()));
    assert_eq!(stream.push_heartbeat(&mut written), Push::Queued);
    read(&mut far, 1 << 20, &mut got);
    assert_eq!((stream.flush(&mut written), stream.paused()), (Push::Queued, Some(10)));
    stream.push_end(&mut written);
    read(&mut far, 1 << 20, &mut got);
    assert!(got.ends_with(&[b"x:\n\n", event(1).frame()].concat()));
}

/// Attack: much is published while a client waits for its moment. That is no reason to end its stream.
#[test]
fn a_queue_that_would_be_too_long_ends_a_pause() {
    let (mut stream, mut far) = pair();
    stream.open(Framing::Raw);
    let (mut written, mut got) = (WrittenAmounts::default(), Vec::new());
    assert_eq!(stream.flush(&mut written), Push::Written);
    let limit = 3 * event(10).frame().len();
    stream.pause(10);
    for _ in 0..4 {
        assert_eq!(stream.push_event(&event(10), limit, &mut written), Push::Queued);
    }
    assert_eq!(stream.push_event(&event(10), limit, &mut written), Push::Written);
    assert_eq!((written.events, stream.paused()), (5, None));
    stream.pause(5);
    assert_eq!(stream.push_event(&event(10), limit, &mut written), Push::Queued, "there may be another one");
    read(&mut far, 1 << 20, &mut got);
    assert_eq!(got, [b"retry: 500\n\n".to_vec(), event(10).frame().repeat(5)].concat());
}
