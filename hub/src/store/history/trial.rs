//! A randomized test of the history, for the fuzzer and the tests: input bytes choose publications, delays and resuming clients
//! with arbitrary ids. A model that forgets nothing checks each result.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::store::history::resume::Search;
use crate::store::history::{History, HistoryLimits};
use crate::store::slice::Slice;
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;
use sse_protocol::topic;

const TOPICS: [&str; 4] = ["a", "b", "a.c", "a.d.e"];
const PATTERNS: [&str; 8] = ["a", "b", "a.c", "*", "a.*", "a.**", "never.published", "**"];

/// Stamp at which the history begins.
const BEGAN: Id = Id { ms: 1_763_000_000_000, seq: 0 };

/// An event as published.
struct Published {
    stamp: Id,
    event: Arc<Event>,
}

/// The input bytes, as a source of choices.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self, below: usize) -> usize {
        usize::from(self.byte().unwrap_or_default()) % below
    }

    /// The items of a list that the bits of one byte select.
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

/// A history and its model.
struct Trial {
    history: History,
    all: Vec<Published>,
    newest: Id,
    now: Instant,
    /// A search that runs in slices between other steps.
    slow: Option<Slow>,
}

/// An unfinished search.
struct Slow {
    search: Search,
    patterns: Vec<&'static str>,
    /// Possible start indexes of what the client missed. If `known`, each must give the same result.
    from: Vec<usize>,
    known: bool,
}

/// Runs the steps that the bytes encode.
///
/// # Panics
/// If the history contradicts the model.
pub fn run(bytes: &[u8]) {
    let mut input = Choices(bytes);
    let limits = HistoryLimits {
        events: input.number(5),
        ttl: Duration::from_millis(1 + input.number(64) as u64),
        bytes: 1000 * (1 + input.number(16)),
        after_gap: 20 * (1 + input.number(16)),
    };
    let history = History::new(limits, BEGAN);
    let mut trial = Trial { history, all: Vec::new(), newest: BEGAN, now: Instant::now(), slow: None };
    while let Some(what) = input.byte() {
        match what % 5 {
            0 | 1 => trial.publish(&mut input),
            2 => trial.now += Duration::from_millis(input.number(16) as u64),
            3 => trial.resume(&mut input),
            _ => trial.resume_slowly(&mut input),
        }
    }
}

impl Trial {
    fn publish(&mut self, input: &mut Choices<'_>) {
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

    /// An arbitrary id: none, an existing one, one of the hub's format, or any text.
    fn id(&self, input: &mut Choices<'_>) -> Option<String> {
        match input.number(6) {
            0 | 1 => None,
            2 if !self.all.is_empty() => Some(self.all[input.number(self.all.len())].event.id().into()),
            3 => Some(Id { ms: BEGAN.ms - 4 + input.number(64) as u64, seq: input.number(3) as u64 }.to_string()),
            _ => Some(input.text(12).into()),
        }
    }

    fn resume(&mut self, input: &mut Choices<'_>) {
        let patterns = input.some_of(&PATTERNS);
        let asked = self.id(input).unwrap_or_default();
        if patterns.is_empty() {
            return;
        }
        let (gap, got) = self.missed(&patterns, &asked);
        let kept: BTreeSet<usize> = self.kept();
        let from = self.places(&asked);
        let matches = |place: &usize| {
            let topics = self.all[*place].event.topics();
            topics.iter().any(|name| patterns.iter().any(|pattern| topic::matches(pattern, name)))
        };
        let wanted = |from: usize| (from..self.all.len()).filter(matches).collect::<Vec<_>>();
        if gap {
            let of_kept =
                |from: usize| wanted(from).into_iter().filter(|place| kept.contains(place)).collect::<Vec<_>>();
            let newest = |from: usize| self.after_gap(of_kept(from));
            assert!(
                got == newest(0) || from.iter().any(|&from| got == newest(from)),
                "after {asked:?} of {patterns:?} came {got:?}; {kept:?} are kept"
            );
            // The history forgets a publisher's id with its event.
            let own = self.all.iter().any(|published| published.event.id() == asked);
            if let ([from], false) = (&from[..], own) {
                assert!((*from..self.all.len()).any(|place| !kept.contains(&place)), "a gap where nothing is missing");
            }
        } else {
            // If several events share the id, the client may have any of them, unless all but one are evicted.
            let of_asked = |place: &&usize| self.all[**place].event.id() == asked;
            let known: Vec<usize> = kept.iter().filter(of_asked).map(|place| place + 1).collect();
            let complete = match &known[..] {
                [] => from.iter().any(|&from| got == wanted(from)),
                known => known.iter().all(|&from| got == wanted(from)),
            };
            assert!(complete, "after {asked:?} of {patterns:?} came {got:?} and no gap was told; {kept:?} are kept");
        }
    }

    /// Starts a search, or continues it by a few steps. Its result must be complete, or have a gap.
    fn resume_slowly(&mut self, input: &mut Choices<'_>) {
        let Some(mut slow) = self.slow.take() else {
            let mut patterns = input.some_of(&PATTERNS);
            let asked = self.id(input).unwrap_or_default();
            patterns.sort_unstable();
            let mut search = Search::new(&patterns, &asked);
            // The search starts with its first step.
            let done = self.history.search(&mut search, &mut Slice::steps(1));
            if !done {
                let kept = self.kept();
                let of_asked = kept.iter().filter(|place| self.all[**place].event.id() == asked);
                let known: Vec<usize> = of_asked.map(|place| place + 1).collect();
                let from = if known.is_empty() { self.places(&asked) } else { known.clone() };
                self.slow = Some(Slow { search, patterns, from, known: !known.is_empty() });
            }
            return;
        };
        if !self.history.search(&mut slow.search, &mut Slice::steps(1 + input.number(4))) {
            self.slow = Some(slow);
            return;
        }
        let Slow { search, patterns, from, known } = slow;
        let missed = self.history.conclude(search);
        let got = self.places_of(&missed.events);
        let matches = |place: &usize| {
            let topics = self.all[*place].event.topics();
            topics.iter().any(|name| patterns.iter().any(|pattern| topic::matches(pattern, name)))
        };
        assert!(got.iter().all(matches), "{patterns:?} came {got:?}");
        if missed.gap.is_some() {
            assert_eq!(got, self.after_gap(got.clone()), "more than follows a gap");
        } else {
            let mut complete =
                from.iter().map(|&from| got == (from..self.all.len()).filter(matches).collect::<Vec<_>>());
            let complete = if known { complete.all(|complete| complete) } else { complete.any(|complete| complete) };
            assert!(complete, "of {patterns:?} after {from:?} came {got:?} in slices, and no gap was told");
        }
    }

    /// Indexes in `all` of the events that the history keeps.
    fn kept(&self) -> BTreeSet<usize> {
        let kept = self.history.log.iter().filter(|entry| entry.event.is_some());
        kept.map(|entry| self.all.partition_point(|published| published.stamp < entry.stamp)).collect()
    }

    /// Those of the events that fit the limits after a gap.
    fn after_gap(&self, mut places: Vec<usize>) -> Vec<usize> {
        let HistoryLimits { events, after_gap, .. } = self.history.limits;
        let bytes = |places: &[usize]| places.iter().map(|&place| self.all[place].event.frame().len()).sum::<usize>();
        while places.len() > 1 && (places.len() > events || bytes(&places) > after_gap) {
            places.remove(0);
        }
        places
    }

    /// Possible start indexes after an id: after each event that has it, or after its stamp.
    fn places(&self, id: &str) -> Vec<usize> {
        let own = self.all.iter().enumerate().filter(|(_, published)| published.event.id() == id);
        let mut places: Vec<usize> = own.map(|(place, _)| place + 1).collect();
        if let Some(id) = Id::parse(id).filter(|id| (BEGAN..=self.newest).contains(id)) {
            places.push(self.all.partition_point(|published| published.stamp <= id));
        }
        places
    }

    /// Indexes of the events; panics unless they ascend.
    fn places_of(&self, events: &[Arc<Event>]) -> Vec<usize> {
        let place = |event: &Arc<Event>| self.all.iter().position(|one| Arc::ptr_eq(&one.event, event));
        let places: Vec<usize> = events.iter().map(|event| place(event).expect("an event of ours")).collect();
        assert!(places.is_sorted_by(|one, next| one < next), "{places:?} are not in order");
        places
    }

    /// The history's answer as (gap, indexes of events). Also checks the `gap` event.
    fn missed(&mut self, patterns: &[&str], asked: &str) -> (bool, Vec<usize>) {
        let missed = self.history.missed(patterns, asked, self.now);
        let places = self.places_of(&missed.events);
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
            crate::store::history::trial::run(&bytes);
        }
    }
}
