//! Events that are published on two hubs and read on both, while something happens to their Redis.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::bus::{give, tried};
use super::redis::Redis;
use super::{Hub, Reader, until};
use sse_protocol::wire::Framing;

/// A gap, as a stream of messages is told of it.
pub const GAP: &str = "trigger **";

/// Events that each publisher publishes before and after.
const SOME: usize = 50;

/// What was published and read.
pub struct Flow {
    /// The id of the event before the first one.
    began: String,
    /// Data and ids of events that were acknowledged.
    acknowledged: Vec<(String, String)>,
    /// Errors that publishers were told.
    pub errors: Vec<String>,
    /// What each reader was told.
    told: Vec<Vec<String>>,
}

impl Flow {
    /// Publishes and reads while `happen` does something; ends some events later.
    pub fn through(hubs: [&Hub; 2], happen: impl FnOnce()) -> Self {
        let (over, counts) = (AtomicBool::new(false), [AtomicUsize::new(0), AtomicUsize::new(0)]);
        let publish = |nth: usize| {
            let mut outcomes = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let data = format!("{nth}-{}", outcomes.len());
                let outcome = tried(hubs[nth], "t", &data);
                counts[nth].fetch_add(usize::from(outcome.is_ok()), Ordering::SeqCst);
                outcomes.push((data, outcome));
            }
            outcomes
        };
        let some_more = || {
            let before = [0, 1].map(|nth: usize| counts[nth].load(Ordering::SeqCst));
            until("both hubs publish", || {
                before.iter().zip(&counts).all(|(before, count)| count.load(Ordering::SeqCst) >= before + SOME)
            });
        };
        let began = give(hubs[0], "t", "begin");
        until("both hubs have it", || hubs.iter().all(|hub| hub.stats()["bus"]["last_id"] == *began));
        let mut readers = hubs.map(|hub| hub.stream(&["t"], Framing::Message));
        thread::scope(|scope| {
            let publishers = [0, 1].map(|nth| scope.spawn(move || publish(nth)));
            let readers = readers.each_mut().map(|reader| scope.spawn(move || read(reader)));
            some_more();
            happen();
            some_more();
            over.store(true, Ordering::SeqCst);
            let (mut acknowledged, mut errors) = (Vec::new(), Vec::new());
            for (data, outcome) in publishers.into_iter().flat_map(|publisher| publisher.join().expect("published")) {
                match outcome {
                    Ok(id) => acknowledged.push((data, id)),
                    Err(error) => errors.push(error),
                }
            }
            give(hubs[0], "t", "end");
            Self { began, acknowledged, errors, told: readers.map(|reader| reader.join().expect("read")).into() }
        })
    }

    /// Each event that Redis has was read once on both hubs, in its order; no other one was read twice. Returns how many of those
    /// that were acknowledged Redis has lost.
    pub fn check(&self, redis: &Redis, stream: &str) -> usize {
        let entries: Vec<(String, Vec<String>)> = redis.call(&format!("XRANGE {stream} ({} +", self.began));
        let kept: Vec<String> = entries.iter().map(|(id, fields)| format!("event {id} t - {}", data(fields))).collect();
        let kept_too: HashSet<&String> = kept.iter().collect();
        for told in &self.told {
            let events: Vec<&String> = told.iter().filter(|message| *message != GAP).collect();
            let different: HashSet<&String> = events.iter().copied().collect();
            assert_eq!(events.len(), different.len(), "none is doubled");
            let of_redis: Vec<&String> = events.iter().copied().filter(|event| kept_too.contains(event)).collect();
            let differs = of_redis.iter().zip(&kept).find(|(read, kept)| *read != kept);
            assert_eq!(differs, None, "all that Redis has, in its order");
            assert_eq!(of_redis.len(), kept.len(), "all that Redis has");
            for nth in ["0-", "1-"] {
                let numbers =
                    events.iter().filter_map(|event| event.split(" - ").nth(1)?.strip_prefix(nth)?.parse().ok());
                let numbers: Vec<usize> = numbers.collect();
                assert!(numbers.is_sorted(), "a publisher's order");
            }
        }
        let lost = |(data, id): &&(String, String)| !kept_too.contains(&format!("event {id} t - {data}"));
        self.acknowledged.iter().filter(lost).count()
    }

    /// How often each reader was told of a gap.
    pub fn gaps(&self) -> Vec<usize> {
        self.told.iter().map(|told| told.iter().filter(|message| *message == GAP).count()).collect()
    }
}

fn data(fields: &[String]) -> &str {
    fields.chunks(2).find(|pair| pair[0] == "data").map_or("", |pair| &pair[1])
}

fn read(reader: &mut Reader) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let message = reader.message();
        let is_last = message.ends_with(" t - end");
        told.push(message);
        if is_last {
            return told;
        }
    }
}
