//! A history tried with anything: publications, times that pass, and readers that ask for any id, as bytes have it, each
//! checked against a model that forgets nothing. Fuzzing and the tests run it; the hub does not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{History, Limits};
use crate::event::{Event, NewEvent};
use crate::id::Id;
use crate::topic;

const TOPICS: [&str; 4] = ["a", "b", "a.c", "a.d.e"];
const PATTERNS: [&str; 8] = ["a", "b", "a.c", "*", "a.*", "a.**", "never.published", "**"];

/// When the history begins.
const BEGAN: Id = Id { ms: 1000, seq: 0 };

/// An event as it was published.
struct Published {
    stamp: Id,
    event: Arc<Event>,
}

/// What bytes say.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self, below: usize) -> usize {
        usize::from(self.byte().unwrap_or_default()) % below
    }

    /// Those of a list that a byte's bits name.
    fn some_of(&mut self, list: &[&'static str]) -> Vec<&'static str> {
        let bits = self.byte().unwrap_or_default();
        list.iter().enumerate().filter(|(nth, _)| bits & (1 << nth) != 0).map(|(_, item)| *item).collect()
    }

    fn text(&mut self, longest: usize) -> &'a str {
        let (text, rest) = self.0.split_at(self.number(longest + 1).min(self.0.len()));
        self.0 = rest;
        match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

/// A history and the model of it.
struct Trial {
    history: History,
    all: Vec<Published>,
    newest: Id,
    now: Instant,
}

/// Does what the bytes say.
///
/// # Panics
/// If the history is wrong.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let limits = Limits {
        events: input.number(5),
        ttl: Duration::from_millis(1 + input.number(64) as u64),
        bytes: 300 * (1 + input.number(16)),
    };
    let history = History::new(limits, BEGAN);
    let mut trial = Trial { history, all: Vec::new(), newest: BEGAN, now: Instant::now() };
    while let Some(what) = input.byte() {
        match what % 4 {
            0 | 1 => trial.publish(&mut input),
            2 => trial.now += Duration::from_millis(input.number(16) as u64),
            _ => trial.resume(&mut input),
        }
    }
}

impl Trial {
    fn publish(&mut self, input: &mut Input<'_>) {
        let topics = input.some_of(&TOPICS);
        let id = self.id(input);
        let new = NewEvent { topics, id: id.as_deref(), data: b"data", ..NewEvent::default() };
        if new.check(1000, TOPICS.len()).is_err() {
            return;
        }
        let Id { ms, seq } = self.newest;
        let stamp = match input.number(4) {
            0 => Id { ms, seq: seq + 1 },
            pause => Id { ms: ms + pause as u64, seq: 0 },
        };
        self.newest = stamp;
        let event = Arc::new(match &id {
            Some(id) => Event::new(&new, id),
            None => Event::new(&new, &stamp.to_string()),
        });
        self.history.add(&event, stamp, self.now);
        self.all.push(Published { stamp, event });
    }

    /// Any id: none, one that was given before, one of the hub's shape, or any text.
    fn id(&self, input: &mut Input<'_>) -> Option<String> {
        match input.number(6) {
            0 | 1 => None,
            2 if !self.all.is_empty() => Some(self.all[input.number(self.all.len())].event.id().into()),
            3 => Some(Id { ms: BEGAN.ms - 4 + input.number(64) as u64, seq: input.number(3) as u64 }.to_string()),
            _ => Some(input.text(12).into()),
        }
    }

    fn resume(&mut self, input: &mut Input<'_>) {
        let patterns = input.some_of(&PATTERNS);
        let asked = self.id(input).unwrap_or_default();
        if patterns.is_empty() {
            return;
        }
        let (gap, got) = self.missed(&patterns, &asked);
        // No id is "": all that is kept.
        let kept: BTreeSet<usize> = self.missed(&["**"], "").1.into_iter().collect();
        let from = self.places(&asked);
        let matches = |place: &usize| {
            let topics = self.all[*place].event.topics();
            topics.iter().any(|name| patterns.iter().any(|pattern| topic::matches(pattern, name)))
        };
        let wanted = |from: usize| (from..self.all.len()).filter(matches).collect::<Vec<_>>();
        if gap {
            let of_kept =
                |from: usize| wanted(from).into_iter().filter(|place| kept.contains(place)).collect::<Vec<_>>();
            assert!(
                got == of_kept(0) || from.iter().any(|&from| got == of_kept(from)),
                "after {asked:?} of {patterns:?} came {got:?}; {kept:?} are kept"
            );
            // The place of an own id is forgotten with its event.
            let own = self.all.iter().any(|published| published.event.id() == asked);
            if let ([from], false) = (&from[..], own) {
                assert!((*from..self.all.len()).any(|place| !kept.contains(&place)), "a gap where nothing is missing");
            }
        } else {
            let complete = from.iter().any(|&from| got == wanted(from));
            assert!(complete, "after {asked:?} of {patterns:?} came {got:?} and no gap was told; {kept:?} are kept");
        }
    }

    /// Where what comes after an id may begin: after an event that has it, or after its time.
    fn places(&self, id: &str) -> Vec<usize> {
        let own = self.all.iter().enumerate().filter(|(_, published)| published.event.id() == id);
        let mut places: Vec<usize> = own.map(|(place, _)| place + 1).collect();
        if let Some(id) = Id::parse(id).filter(|id| (BEGAN..=self.newest).contains(id)) {
            places.push(self.all.partition_point(|published| published.stamp <= id));
        }
        places
    }

    /// What the history says, with the places of its events, which are in order and none twice.
    fn missed(&mut self, patterns: &[&str], asked: &str) -> (bool, Vec<usize>) {
        let missed = self.history.missed(patterns, asked, self.now);
        let place = |event: &Arc<Event>| self.all.iter().position(|one| Arc::ptr_eq(&one.event, event));
        let places: Vec<usize> = missed.events.iter().map(|event| place(event).expect("an event of ours")).collect();
        assert!(places.is_sorted_by(|one, next| one < next), "{places:?} are not in order");
        if let Some(gap) = &missed.gap {
            let text = std::str::from_utf8(gap).expect("text");
            let data = text.strip_prefix("event: gap\ndata: ").and_then(|text| text.strip_suffix("\n\n"));
            let data: serde_json::Value = serde_json::from_str(data.expect("an event of one line")).expect("JSON");
            assert_eq!(data["requested"], topic::printable(asked));
            assert_eq!(data["oldest"].as_str(), missed.events.first().map(|event| event.id()));
        }
        (missed.gap.is_some(), places)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_not_sent_is_told_whatever_happens(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            super::run(&bytes);
        }
    }
}
