//! Inquiries: requests that only the shards can answer, and with redis the other hubs.
//!
//! The ordering thread asks, does other work, and answers once all have reported. A hub that is dead but still connected to Redis
//! makes an inquiry wait no longer than [`TIMEOUT`]; the script is told then, and gets no number that is too small.

use std::collections::BTreeMap;
use std::mem;
use std::time::{Duration, Instant};

use crate::shard::command::ShardQuestion;
use crate::shard::report::ListedStream;
use crate::store::report::Ticket;

/// Maximum wait, which must be well below `sse.timeout`.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(800);

/// Most inquiries of other hubs at a time; those beyond go without an answer. Each script has one at a time.
const OF_HUBS: usize = 1000;

/// Most lists of streams at a time, as their bytes wait in the hub until all shards have answered.
const LISTS: usize = 8;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A script, by its request.
    Script(Ticket),
    /// Another hub on the bus, by its own number of the inquiry.
    Hub { hub: u64, question: u64 },
}

/// The hubs on the bus that are asked.
#[derive(Debug, Default)]
struct AskedHubs {
    /// How many Redis has passed the question to, this one included; `None`: it was not passed on yet.
    receivers: Option<usize>,
    /// Those that have answered.
    answered: Vec<u64>,
}

impl AskedHubs {
    /// Whether all have answered. This hub hears its own question, which proves that it would hear the answers of others.
    fn is_complete(&self, own: u64) -> bool {
        self.answered.contains(&own) && self.receivers.is_some_and(|receivers| self.answered.len() >= receivers)
    }
}

/// What was found so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Findings {
    /// Number of streams.
    Watchers(u64),
    /// The event with this id went to so many streams; `None`: not known.
    Delivered { id: Box<str>, streams: Option<u64> },
    /// Streams.
    Streams(FoundStreams),
}

impl Findings {
    fn add(&mut self, more: u64) {
        if let Self::Watchers(streams) | Self::Delivered { streams: Some(streams), .. } = self {
            *streams = streams.saturating_add(more);
        }
    }

    /// What is answered if some have not told theirs in time. That an event was delivered is known in any case: its publisher would
    /// publish it again after an error.
    fn cut_short(self, why: String) -> Result<Self, String> {
        match self {
            Self::Delivered { id, .. } => Ok(Self::Delivered { id, streams: None }),
            Self::Watchers(_) | Self::Streams(_) => Err(why),
        }
    }
}

/// Streams that the shards have described.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundStreams {
    /// The streams.
    pub(crate) streams: Vec<ListedStream>,
    /// A shard has left out some with ids beyond this one.
    pub(crate) complete_to: u64,
    /// Most streams in the answer.
    pub(crate) limit: usize,
}

/// What is asked, and the answers so far.
#[derive(Debug)]
struct Inquiry {
    asker: Asker,
    /// Shards that have not answered yet.
    shards: Vec<u32>,
    /// `None`: no other hub is asked.
    hubs: Option<AskedHubs>,
    found: Findings,
    until: Instant,
}

/// An inquiry that is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Who waits for it.
    pub(crate) asker: Asker,
    /// What all have found, or who has not answered in time.
    pub(crate) found: Result<Findings, String>,
}

/// All inquiries that wait for answers.
#[derive(Debug, Default)]
pub(crate) struct Inquiries {
    last: u64,
    /// By number, and so by age.
    waiting: BTreeMap<u64, Inquiry>,
    /// How many of them are of other hubs.
    of_hubs: usize,
    /// This hub's number on the bus.
    own: u64,
    answered: Vec<Answered>,
}

impl Inquiries {
    /// The number of the next inquiry.
    pub(crate) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Whether another hub may ask now.
    pub(crate) fn has_room(&self) -> bool {
        self.of_hubs < OF_HUBS
    }

    /// Whether one more list may be asked for.
    pub(crate) fn has_room_for_list(&self) -> bool {
        self.waiting.values().filter(|inquiry| matches!(inquiry.found, Findings::Streams(_))).count() < LISTS
    }

    /// Adds an inquiry that waits for these shards and, with this hub's number on the bus, for the hubs there. `found`: what is
    /// known already.
    pub(crate) fn add(&mut self, number: u64, asker: Asker, shards: Vec<u32>, bus: Option<u64>, found: Findings) {
        self.own = bus.unwrap_or(self.own);
        self.of_hubs += usize::from(matches!(asker, Asker::Hub { .. }));
        let (hubs, until) = (bus.map(|_| AskedHubs::default()), Instant::now() + TIMEOUT);
        self.waiting.insert(number, Inquiry { asker, shards, hubs, found, until });
        self.check(number);
    }

    /// Adds what a shard has counted.
    pub(crate) fn counted(&mut self, question: ShardQuestion, streams: u64) {
        self.learn(question, |found| found.add(streams));
    }

    /// Adds the streams that a shard has described; `more`: it has left out some with larger ids.
    pub(crate) fn listed(&mut self, question: ShardQuestion, streams: Vec<ListedStream>, more: bool) {
        self.learn(question, |found| {
            if let Findings::Streams(found) = found {
                if let Some(last) = streams.last().filter(|_| more) {
                    found.complete_to = found.complete_to.min(last.id);
                }
                found.streams.extend(streams);
            }
        });
    }

    fn learn(&mut self, question: ShardQuestion, add: impl FnOnce(&mut Findings)) {
        let Some(inquiry) = self.waiting.get_mut(&question.inquiry) else { return };
        let before = inquiry.shards.len();
        inquiry.shards.retain(|shard| *shard != question.shard);
        if inquiry.shards.len() < before {
            add(&mut inquiry.found);
            self.check(question.inquiry);
        }
    }

    /// Waits no longer for a shard that was lost, and its streams with it.
    pub(crate) fn lost(&mut self, shard: u32) {
        let all: Vec<u64> = self.waiting.keys().copied().collect();
        for inquiry in all {
            self.learn(ShardQuestion { inquiry, shard }, |_| {});
        }
    }

    /// Learns how many hubs Redis has passed a question to.
    pub(crate) fn asked(&mut self, number: u64, receivers: usize) {
        if let Some(hubs) = self.waiting.get_mut(&number).and_then(|inquiry| inquiry.hubs.as_mut()) {
            hubs.receivers = Some(receivers);
            self.check(number);
        }
    }

    /// Adds what a hub on the bus has counted; this one hears its own question, and counts its streams otherwise.
    pub(crate) fn told(&mut self, number: u64, hub: u64, streams: u64) {
        let Some(inquiry) = self.waiting.get_mut(&number) else { return };
        let Some(hubs) = inquiry.hubs.as_mut() else { return };
        // Redis may have got the question twice, where the connection broke.
        if !hubs.answered.contains(&hub) {
            hubs.answered.push(hub);
            inquiry.found.add(streams);
            self.check(number);
        }
    }

    fn check(&mut self, number: u64) {
        let own = self.own;
        let Some(inquiry) = self.waiting.get(&number) else { return };
        if inquiry.shards.is_empty() && inquiry.hubs.as_ref().is_none_or(|hubs| hubs.is_complete(own)) {
            self.end(number, None);
        }
    }

    fn end(&mut self, number: u64, late: Option<String>) {
        let Some(Inquiry { asker, found, .. }) = self.waiting.remove(&number) else { return };
        self.of_hubs -= usize::from(matches!(asker, Asker::Hub { .. }));
        let found = match late {
            None => Ok(found),
            Some(why) => found.cut_short(why),
        };
        self.answered.push(Answered { asker, found });
    }

    /// Waits no longer for what only tells where a delivered event went to.
    pub(crate) fn give_up_receipts(&mut self) {
        let receipts = self.waiting.iter().filter(|(_, inquiry)| matches!(inquiry.found, Findings::Delivered { .. }));
        let receipts: Vec<u64> = receipts.map(|(number, _)| *number).collect();
        receipts.into_iter().for_each(|number| self.end(number, Some(String::new())));
    }

    /// Drops the inquiry of a closed connection.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        let is_of = |asker: Asker| matches!(asker, Asker::Script(other) if other.is_of(ticket));
        self.waiting.retain(|_, inquiry| !is_of(inquiry.asker));
    }

    /// Drops the inquiries of other hubs, which ask again.
    pub(crate) fn abandon_hubs(&mut self) {
        self.waiting.retain(|_, inquiry| matches!(inquiry.asker, Asker::Script(_)));
        self.of_hubs = 0;
    }

    /// Takes out those that are over, because all have answered or the time is up.
    pub(crate) fn take_answered(&mut self, now: Instant) -> Vec<Answered> {
        while let Some((&number, inquiry)) = self.waiting.first_key_value()
            && inquiry.until <= now
        {
            let late = late(inquiry);
            self.end(number, Some(late));
        }
        mem::take(&mut self.answered)
    }

    /// Whether a script waits for an answer.
    pub(crate) fn have_askers(&self) -> bool {
        !self.answered.is_empty() || self.waiting.len() > self.of_hubs
    }

    /// When the oldest one's time is up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.answered.is_empty() {
            self.waiting.values().next().map(|inquiry| inquiry.until)
        } else {
            Some(Instant::now())
        }
    }
}

/// Says who has not answered in time.
fn late(inquiry: &Inquiry) -> String {
    let limit = TIMEOUT.as_millis();
    let Findings::Watchers(known) = &inquiry.found else {
        return format!("the hub is too busy to list its streams within {limit} ms");
    };
    match &inquiry.hubs {
        Some(AskedHubs { receivers: None, .. }) => {
            format!("Redis has not passed the question on within {limit} ms; {known} streams are known so far")
        }
        Some(AskedHubs { receivers: Some(receivers), answered }) => format!(
            "{} of the {receivers} hubs that listen to Redis have answered within {limit} ms; {known} streams are known so far",
            answered.len()
        ),
        None => format!("the hub is too busy to count its streams within {limit} ms; {known} are known so far"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u64 = 7;

    fn ticket(connection: usize) -> Ticket {
        Ticket { connection, serial: 1, number: 1, reports: false }
    }

    fn add(inquiries: &mut Inquiries, connection: usize, shards: &[u32], bus: bool) -> u64 {
        let number = inquiries.number();
        inquiries.add(
            number,
            Asker::Script(ticket(connection)),
            shards.to_vec(),
            bus.then_some(OWN),
            Findings::Watchers(1),
        );
        number
    }

    fn answers(inquiries: &mut Inquiries) -> Vec<(usize, Option<u64>)> {
        let answered = inquiries.take_answered(Instant::now()).into_iter();
        answered
            .map(|answered| match answered {
                Answered { asker: Asker::Script(ticket), found: Ok(Findings::Watchers(count)) } => {
                    (ticket.connection, Some(count))
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn each_shard_counts_once_and_a_lost_one_is_not_waited_for() {
        let mut inquiries = Inquiries::default();
        let [one, two] = [add(&mut inquiries, 1, &[0, 1], false), add(&mut inquiries, 2, &[1], false)];
        for (inquiry, shard) in [(one, 0), (one, 0), (9, 1), (two, 0)] {
            inquiries.counted(ShardQuestion { inquiry, shard }, 5);
        }
        assert_eq!(answers(&mut inquiries), []);
        inquiries.lost(1);
        assert_eq!(answers(&mut inquiries), [(1, Some(6)), (2, Some(1))]);
        assert!(!inquiries.have_askers() && inquiries.deadline().is_none());
    }

    #[test]
    fn a_hub_is_counted_once_and_in_whatever_order_the_answers_come() {
        let mut inquiries = Inquiries::default();
        let number = add(&mut inquiries, 1, &[], true);
        inquiries.told(number, 8, 10);
        inquiries.told(number, 8, 10);
        inquiries.asked(number, 2);
        assert_eq!(answers(&mut inquiries), [], "what this hub does not hear, it may miss of others");
        inquiries.told(number, OWN, 0);
        assert_eq!(answers(&mut inquiries), [(1, Some(11))]);
    }

    /// Attack: a program that may write to Redis answers with whatever number.
    #[test]
    fn a_number_that_is_too_large_is_the_largest() {
        let mut inquiries = Inquiries::default();
        let number = add(&mut inquiries, 1, &[0], true);
        [8, 9].into_iter().for_each(|hub| inquiries.told(number, hub, u64::MAX));
        inquiries.counted(ShardQuestion { inquiry: number, shard: 0 }, 1);
        inquiries.told(number, OWN, 0);
        inquiries.asked(number, 3);
        assert_eq!(answers(&mut inquiries), [(1, Some(u64::MAX))]);
    }

    #[test]
    fn whoever_has_gone_gets_no_answer_and_nobody_waits_for_ever() {
        let mut inquiries = Inquiries::default();
        add(&mut inquiries, 1, &[0], false);
        let number = add(&mut inquiries, 2, &[], true);
        inquiries.asked(number, 3);
        inquiries.told(number, OWN, 0);
        inquiries.abandon(Ticket { number: 9, ..ticket(1) });
        let late = inquiries.take_answered(Instant::now() + TIMEOUT);
        let [Answered { found: Err(why), .. }] = &late[..] else { panic!("{late:?}") };
        assert_eq!(
            *why,
            "1 of the 3 hubs that listen to Redis have answered within 800 ms; 1 streams are known so far"
        );
    }

    /// Attack: many workers ask for all streams at once; what they get would wait in the hub together.
    #[test]
    fn so_many_lists_wait_at_a_time_and_are_known_as_far_as_all_shards_have_told() {
        let mut inquiries = Inquiries::default();
        let nothing = || Findings::Streams(FoundStreams { streams: Vec::new(), complete_to: u64::MAX, limit: 5 });
        while inquiries.has_room_for_list() {
            let number = inquiries.number();
            inquiries.add(number, Asker::Script(ticket(1)), vec![0, 1], None, nothing());
        }
        assert_eq!(inquiries.waiting.len(), LISTS);
        let stream = |id| ListedStream { id, patterns: (Vec::new(), 0), age: 1, sent: 2, queued: 3, framing: None };
        inquiries.listed(ShardQuestion { inquiry: 1, shard: 0 }, vec![stream(2), stream(4)], true);
        inquiries.listed(ShardQuestion { inquiry: 1, shard: 1 }, vec![stream(7)], false);
        let answered = inquiries.take_answered(Instant::now());
        let [Answered { found: Ok(Findings::Streams(found)), .. }] = &answered[..] else { panic!("{answered:?}") };
        assert_eq!((found.streams.len(), found.complete_to), (3, 4));
        assert!(inquiries.has_room_for_list());
    }

    /// Attack: a program that may write to Redis asks all the time, while the shards are busy.
    #[test]
    fn other_hubs_ask_so_much_and_no_more() {
        let mut inquiries = Inquiries::default();
        while inquiries.has_room() {
            let number = inquiries.number();
            inquiries.add(number, Asker::Hub { hub: 1, question: number }, vec![0], None, Findings::Watchers(0));
        }
        assert_eq!(inquiries.waiting.len(), OF_HUBS);
        assert!(!inquiries.have_askers());
        inquiries.counted(ShardQuestion { inquiry: 1, shard: 0 }, 3);
        assert!(inquiries.has_room());
        let answered = Answered { asker: Asker::Hub { hub: 1, question: 1 }, found: Ok(Findings::Watchers(3)) };
        assert_eq!(inquiries.take_answered(Instant::now()), [answered]);
        inquiries.abandon_hubs();
        assert!(inquiries.waiting.is_empty() && inquiries.has_room());
    }
}
