//! Three machines on one Redis, and a network that loses everything now and then, without telling anybody.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use sse_protocol::id::Id;
use sse_protocol::wire::{Framing, Reply};

use crate::support::bus::{away, back, event, give, on, resumed};
use crate::support::network::{Cut, Network, address};
use crate::support::redis::Redis;
use crate::support::{Hub, PATIENCE, Reader, until};

const GAP: &str = "trigger **";

/// What PHP waits for a hub by default.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Events that were tried, with their ids where they were accepted.
type Tried = Mutex<HashMap<String, Option<String>>>;

/// Publishes until it is told to stop, and notes what became of each event.
fn publish_on(hub: &Hub, name: usize, tried: &Tried, accepted: &AtomicUsize, stop: &AtomicBool) {
    let mut client = hub.client();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let data = format!("{name}-{number}");
        let id = match client.call(&event("t", &data), None, TIMEOUT) {
            Ok(Reply::Published { id }) => Some(id.to_owned()),
            Ok(other) => panic!("no answer to a publication: {other:?}"),
            Err(_) => None,
        };
        if id.is_some() {
            accepted.fetch_add(1, Ordering::SeqCst);
        } else {
            // As PHP does after an answer that did not come.
            client = hub.client();
        }
        tried.lock().expect("no panic").insert(data, id);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Everything up to the event with this data.
fn read_up_to(mut reader: Reader, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let message = reader.message();
        let end = message.ends_with(last);
        seen.push(message);
        if end {
            return seen;
        }
    }
}

/// A reader that goes from hub to hub, with the last id it has.
fn roam(hubs: &[Hub], stop: &AtomicBool) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let mut last = "0-0".to_owned();
    for hop in 0.. {
        let mut reader = resumed(&hubs[hop % hubs.len()], "t", &last);
        let patience = Duration::from_millis(50 + 37 * (hop as u64 % 5));
        let until = Instant::now() + patience;
        reader.socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        while Instant::now() < until && has_more(&reader, until) {
            let message = reader.message();
            if let Some(id) = message.strip_prefix("event ").and_then(|rest| rest.split(' ').next()) {
                last = id.into();
            }
            seen.push(message);
        }
        if stop.load(Ordering::SeqCst) {
            return seen;
        }
    }
    unreachable!("it hops until it is told to stop")
}

fn has_more(reader: &Reader, until: Instant) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).expect("short");
    let mut watched = [PollFd::new(&reader.socket, PollFlags::IN)];
    rustix::event::poll(&mut watched, Some(&left)).is_ok_and(|ready| ready > 0)
}

#[test]
fn three_machines_deliver_what_was_accepted_once_and_in_one_order_whatever_the_network_loses() {
    let Some(network) = Network::of(3) else { return };
    let redis = Redis::in_namespace(&network.server());
    let hubs: Vec<Hub> = (0..3)
        .map(|machine| {
            let url = format!("redis://{}:{}", address(machine), redis.port);
            let settings = json!({
                "network_namespace": network.machine(machine),
                "history_events": 100_000,
                "history_bytes": 64 << 20,
            });
            on(&url, settings)
        })
        .collect();
    let readers: Vec<Reader> = hubs.iter().map(|hub| hub.stream(&["t"], Framing::Message)).collect();
    let (tried, stop) = (Tried::default(), AtomicBool::new(false));
    let accepted: [AtomicUsize; 3] = Default::default();
    let others_go_on = |cut: usize, count: usize| {
        let others = || (0..3).filter(|hub| *hub != cut).map(|hub| accepted[hub].load(Ordering::SeqCst));
        let before: Vec<usize> = others().collect();
        until("the others go on", || others().zip(&before).all(|(now, before)| now >= before + count));
    };
    let (seen, roamed) = thread::scope(|scope| {
        for (name, hub) in hubs.iter().enumerate() {
            let (tried, accepted, stop) = (&tried, &accepted[name], &stop);
            scope.spawn(move || publish_on(hub, name, tried, accepted, stop));
        }
        let roaming = scope.spawn(|| roam(&hubs, &stop));
        let readers: Vec<_> =
            readers.into_iter().map(|reader| scope.spawn(|| read_up_to(reader, " the end"))).collect();
        others_go_on(3, 50);
        for (machine, cut, is_long) in [
            (0, Cut::Both, true),
            (1, Cut::Answers, true),
            (2, Cut::Both, false),
            (0, Cut::Answers, false),
            (2, Cut::Answers, true),
            (1, Cut::Both, true),
        ] {
            network.cut(machine, cut);
            if is_long {
                away(&hubs[machine]);
            }
            others_go_on(machine, 100);
            network.join();
            back(&hubs[machine]);
            others_go_on(3, 20);
        }
        stop.store(true, Ordering::SeqCst);
        let roamed = roaming.join().expect("no panic");
        give(&hubs[0], "t", "the end");
        let seen: Vec<Vec<String>> = readers.into_iter().map(|reader| reader.join().expect("no panic")).collect();
        (seen, roamed)
    });
    let gaps: Vec<_> = hubs.iter().map(|hub| hub.stats()["bus"]["gaps"].as_u64()).collect();
    assert_eq!(gaps, [Some(0); 3], "Redis has lost nothing");
    // Readers of messages are told of all wakes after an interruption in the same words as of a gap.
    let events = |seen: &[String]| -> Vec<String> { seen.iter().filter(|text| *text != GAP).cloned().collect() };
    let order = events(&seen[0]);
    assert!(events(&seen[1]) == order && events(&seen[2]) == order, "the order is the same on every machine");
    let ids: Vec<Id> =
        order.iter().map(|text| Id::parse(text.split(' ').nth(1).expect("an id")).expect("Redis's")).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "none comes twice");
    let places: HashMap<&str, usize> =
        order.iter().enumerate().map(|(place, text)| (text.rsplit(' ').next().expect("data"), place)).collect();
    let tried = tried.into_inner().expect("no panic");
    let mut unknown = 0;
    for (data, id) in &tried {
        match (id, places.get(data.as_str())) {
            (Some(id), Some(&place)) => assert_eq!(order[place], format!("event {id} t - {data}")),
            (Some(_), None) => panic!("{data} was accepted and never delivered"),
            (None, place) => unknown += usize::from(place.is_some()),
        }
    }
    assert_eq!(places.len(), order.len(), "none was sent twice");
    let failed = tried.values().filter(|id| id.is_none()).count();
    println!("{} events, {failed} not accepted, of which {unknown} were taken all the same", order.len());
    // The roaming reader misses nothing between two gaps.
    let position: HashMap<&String, usize> = order.iter().enumerate().map(|(place, text)| (text, place)).collect();
    let mut last = None;
    let mut told = 0;
    for message in &roamed {
        let Some(&place) = position.get(message) else {
            assert_eq!(message, GAP);
            (last, told) = (None, told + 1);
            continue;
        };
        assert!(last.is_none_or(|last| place == last + 1), "{message} after {last:?}");
        last = Some(place);
    }
    println!("a reader that went from hub to hub: {} messages, {told} gaps or wakes", roamed.len());
}
