//! Presence: which users are on which topics, and who is told of it. Owned by the ordering thread.
//!
//! A user is a member of a topic while at least one stream of theirs watches it, and for `sse.presence_grace` longer, so that a
//! reload is no leave. Readers of `$presence.TOPIC` are told of joins and leaves by events without an id, at most one of each
//! kind in a time that grows with the number of members ([`topic::gathering`]): what all readers get in a second has a limit.
//! What they are told is the difference between what is and what they were told before, so joins and leaves of a user
//! alternate.
//!
//! Where several hubs share a bus, a user is present while they are at any of them: [`elsewhere`] is what this hub hears from the
//! others, [`sharing`] what it tells them.

pub(crate) mod elsewhere;
pub(crate) mod events;
pub(crate) mod member;
pub(crate) mod page;
pub(crate) mod sharing;
pub(crate) mod snapshot;
pub(crate) mod subscription;
#[cfg(test)]
mod tests;
pub(crate) mod topic;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::presence::events::PresenceTold;
use crate::presence::member::{Person, PersonKey};
use crate::presence::sharing::Sharing;
use crate::presence::subscription::SubscriptionChange;
use crate::presence::topic::PresenceTopic;
use crate::quota::budget::Reservation;
use sse_protocol::mercure;
use sse_protocol::presence::MEMBERS_BYTES;

/// Most members whose grace is over that leave in a turn.
const LEAVES_A_TURN: usize = 256;

/// Most topics whose readers are told something in a turn, or at once because of a new stream.
const TOPICS_A_TURN: usize = 32;

/// Changes, and bytes of what is told of them, after which no further topic's readers are told anything in this turn. One topic
/// has up to as many again.
const CHANGES_A_TURN: usize = 1024;
const BYTES_A_TURN: usize = MEMBERS_BYTES;

/// Bytes charged for a stream with a member, beside id and info: its entry, and those of the member.
const STREAM: usize = 192;

/// Bytes charged for each topic of it, beside the name. A topic with one member takes over 800, a further
/// member 60.
const TOPIC: usize = 640;

/// Whether a text is JSON that every reader of JSON takes, however deep it is.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok() && has_whole_surrogates(text)
}

/// Whether JSON has no half of a surrogate pair, at which PHP refuses all members of a topic: what ignores values does not look.
fn has_whole_surrogates(json: &str) -> bool {
    // Four digits, as it is JSON.
    let unit = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        let len = match unit(escape) {
            Some(0xD800..=0xDBFF) if matches!(unit(&escape[6..]), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => return false,
            Some(_) => 6,
            None => 2,
        };
        rest = &escape[len..];
    }
    true
}

/// Bytes charged for what a stream has to do with presence.
pub(crate) fn cost(id: &str, info: &str, topics: &[&str]) -> usize {
    STREAM + id.len() + info.len() + topics.iter().map(|topic| TOPIC + topic.len()).sum::<usize>()
}

/// Whether a topic is among sorted ones.
fn has(topics: &[Arc<str>], topic: &str) -> bool {
    topics.binary_search_by(|known| (**known).cmp(topic)).is_ok()
}

/// Joins and leaves since the first hub.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct PresenceCounts {
    pub(crate) joins: u64,
    pub(crate) leaves: u64,
}

/// All members of all topics.
#[derive(Debug)]
pub(crate) struct PresenceTable {
    grace: Duration,
    topics: BTreeMap<Arc<str>, PresenceTopic>,
    /// What streams have to do with presence; streams that have nothing to do with it aren't kept.
    streams: HashMap<u64, Holding>,
    /// Members without a stream, by the time at which their grace may be over.
    leaving: BinaryHeap<Reverse<(Instant, Arc<str>, PersonKey)>>,
    /// Topics whose readers are to be told something, by the time from which on they may.
    due: BTreeSet<(Instant, Arc<str>)>,
    /// Number of members over all topics.
    members: usize,
    /// What other hubs are to be told.
    sharing: Sharing,
    /// Subscriptions of Mercure's that have begun or ended, to be published.
    subscriptions: VecDeque<SubscriptionChange>,
    pub(crate) counts: PresenceCounts,
}

/// What a stream has to do with presence.
#[derive(Debug)]
struct Holding {
    /// The member; `None`: the stream only reads.
    person: Option<Arc<Person>>,
    /// Plain topics, sorted.
    topics: Box<[Arc<str>]>,
    /// Whether the client is told of joins and leaves.
    events: bool,
}

/// What a turn has told readers so far.
#[derive(Debug, Default)]
struct TurnShare {
    topics: usize,
    changes: usize,
    bytes: usize,
}

impl TurnShare {
    fn take(&mut self, told: &PresenceTold) {
        self.topics += 1;
        self.changes += told.changes;
        self.bytes += told.joins.bytes() + told.leaves.bytes();
    }

    fn is_over(&self) -> bool {
        self.topics >= TOPICS_A_TURN || self.changes >= CHANGES_A_TURN || self.bytes >= BYTES_A_TURN
    }
}

impl PresenceTable {
    /// No members.
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            grace,
            topics: BTreeMap::new(),
            streams: HashMap::new(),
            leaving: BinaryHeap::new(),
            due: BTreeSet::new(),
            members: 0,
            sharing: Sharing::default(),
            subscriptions: VecDeque::new(),
            counts: PresenceCounts::default(),
        }
    }

    /// Adds a stream: `person` is present on these topics from now on. Once for each stream.
    pub(crate) fn enter(&mut self, stream: u64, person: Option<Person>, topics: &[&str], events: bool, now: Instant) {
        let person = person.map(Arc::new);
        let topics: Box<[Arc<str>]> = topics.iter().map(|topic| self.name(topic)).collect();
        if let Some(person) = &person {
            for topic in &topics {
                self.come(topic, person, now);
            }
        }
        self.streams.insert(stream, Holding { person, topics, events });
    }

    /// Removes a stream that has ended, or is bound to. Its user leaves after the grace, if no other stream is theirs.
    pub(crate) fn leave(&mut self, stream: u64, now: Instant) {
        let Some(Holding { person, topics, events: _ }) = self.streams.remove(&stream) else { return };
        if self.streams.is_empty() {
            // Frees the memory of the busiest hour.
            self.streams = HashMap::new();
        }
        if let Some(person) = person {
            for topic in &topics {
                self.go(topic, &person, now);
            }
        }
    }

    /// Whether a stream has to do with presence, and its client is told of joins and leaves; `None`: it has not.
    pub(crate) fn is_told(&self, stream: u64) -> Option<bool> {
        self.streams.get(&stream).map(|holding| holding.events)
    }

    /// Bytes to charge when the subscription of a stream changes to these sorted plain topics: those of its user's new ones.
    pub(crate) fn growth(&self, stream: u64, topics: &[&str]) -> usize {
        let Some(Holding { person: Some(person), topics: before, .. }) = self.streams.get(&stream) else { return 0 };
        let new: Vec<&str> = topics.iter().copied().filter(|topic| !has(before, topic)).collect();
        if new.is_empty() { 0 } else { cost(&person.id, &person.info, &new) }
    }

    /// Follows a stream whose subscription changes to these sorted plain topics. `charge`: that of the [`growth`](Self::growth).
    pub(crate) fn follow(&mut self, stream: u64, topics: &[&str], charge: Option<Reservation>, now: Instant) {
        let Some(holding) = self.streams.get_mut(&stream) else { return };
        if let Some(person) = holding.person.as_mut().filter(|_| charge.is_some()) {
            // What was charged before is for the other topics, as long as they have this user.
            *person = Arc::new(Person::new(&person.id, &person.info, charge));
        }
        let person = holding.person.clone();
        let before = mem::take(&mut holding.topics);
        let after: Box<[Arc<str>]> = topics.iter().map(|topic| self.name(topic)).collect();
        if let Some(person) = &person {
            for topic in after.iter().filter(|topic| !has(&before, topic)) {
                self.come(topic, person, now);
            }
            for topic in before.iter().filter(|topic| !has(&after, topic)) {
                self.go(topic, person, now);
            }
        }
        if let Some(holding) = self.streams.get_mut(&stream) {
            holding.topics = after;
        }
    }

    /// Whether a stream's client is told of joins and leaves on a topic.
    pub(crate) fn tells(&self, stream: u64, topic: &str) -> bool {
        self.streams.get(&stream).is_some_and(|holding| holding.events && has(&holding.topics, topic))
    }

    /// The topics on which a stream's client is told of joins and leaves.
    pub(crate) fn told_topics(&self, stream: u64) -> impl Iterator<Item = &str> {
        let told = self.streams.get(&stream).filter(|holding| holding.events);
        told.into_iter().flat_map(|holding| holding.topics.iter().map(AsRef::as_ref))
    }

    /// Lets those leave whose grace is over, and adds to `told` what readers are to be told. `reads` says whether a topic has
    /// readers. Bounded; [`deadline`](Self::deadline) says when there is more to do. Returns the number of leaves and changes.
    pub(crate) fn turn(&mut self, now: Instant, reads: &dyn Fn(&str) -> bool, told: &mut Vec<PresenceTold>) -> usize {
        let mut leaves = 0;
        for _ in 0..LEAVES_A_TURN {
            if self.leaving.peek().is_none_or(|Reverse((at, ..))| *at > now) {
                break;
            }
            let Some(Reverse((_, topic, person))) = self.leaving.pop() else { break };
            self.expire(&topic, person, now);
            leaves += 1;
        }
        let mut share = TurnShare::default();
        while !share.is_over() {
            let Some((at, topic)) = self.due.first().filter(|(at, _)| *at <= now) else { break };
            let (at, topic) = (*at, Arc::clone(topic));
            self.due.remove(&(at, Arc::clone(&topic)));
            told.extend(self.tell(&topic, now, reads).inspect(|told| share.take(told)));
        }
        leaves + share.changes
    }

    /// Tells readers of a new reader's topics what they may be told now, so that its lists have it already. Those of further
    /// topics than a turn has room for are told a turn later. Returns the number of changes.
    pub(crate) fn hurry(
        &mut self,
        topics: &[&str],
        now: Instant,
        reads: &dyn Fn(&str) -> bool,
        told: &mut Vec<PresenceTold>,
    ) -> usize {
        let mut share = TurnShare::default();
        for topic in topics.iter().take(TOPICS_A_TURN) {
            if share.is_over() {
                break;
            }
            let Some((name, found)) = self.topics.get_key_value(*topic) else { continue };
            if let Some(at) = found.due.filter(|at| *at <= now) {
                let name = Arc::clone(name);
                self.due.remove(&(at, Arc::clone(&name)));
                told.extend(self.tell(&name, now, reads).inspect(|told| share.take(told)));
            }
        }
        share.changes
    }

    /// The event with the members that readers of a topic know of; `brief`: with their number only.
    pub(crate) fn list(&mut self, topic: &str, brief: bool) -> Arc<Event> {
        match self.topics.get_mut(topic) {
            Some(found) if brief => events::brief(topic, found.told),
            Some(found) => found.list(topic),
            None => events::list(topic, 0, std::iter::empty()),
        }
    }

    /// When [`turn`](Self::turn) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.peek().map(|Reverse((at, ..))| *at);
        let due = self.due.first().map(|(at, _)| *at);
        leaving.into_iter().chain(due).min()
    }

    /// Number of topics with members, and of members over all topics.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.topics.len(), self.members)
    }

    /// The kept name of a topic, if it is known.
    fn name(&self, topic: &str) -> Arc<str> {
        self.topics.get_key_value(topic).map_or_else(|| topic.into(), |(name, _)| Arc::clone(name))
    }

    /// One more stream of a user watches a topic.
    fn come(&mut self, topic: &Arc<str>, person: &Arc<Person>, now: Instant) {
        let found = self.topics.entry(Arc::clone(topic)).or_insert_with(|| PresenceTopic::new(now));
        let (member, came) = found.come(person);
        member.streams += 1;
        let first = member.streams == 1;
        self.members += usize::from(came);
        self.counts.joins += u64::from(came);
        if first {
            self.subscribed(topic, person, true);
        }
        self.touch(topic, &person.id, now);
        self.share(topic, &person.id);
    }

    /// One stream less of a user watches a topic.
    fn go(&mut self, topic: &Arc<str>, person: &Arc<Person>, now: Instant) {
        let Some(member) = self.topics.get_mut(topic).and_then(|found| found.members.get_mut(&*person.id)) else {
            return;
        };
        member.streams = member.streams.saturating_sub(1);
        let streams = member.streams;
        self.share(topic, &person.id);
        if streams > 0 {
            return;
        }
        self.subscribed(topic, person, false);
        // Mercure's subscribers have another id each time, so none comes back.
        if self.grace.is_zero() || mercure::is_mercure(topic) {
            self.depart(topic, &person.id, now);
            return;
        }
        self.start_grace(topic, &PersonKey(Arc::clone(person)), now + self.grace);
    }

    /// Has a member without streams leave at this time.
    fn start_grace(&mut self, topic: &Arc<str>, person: &PersonKey, at: Instant) {
        let Some(member) = self.topics.get_mut(topic).and_then(|found| found.members.get_mut(person)) else { return };
        member.set_leaves(Some(at));
        // One entry for each member, however often their streams end: it moves on when it is due.
        if !mem::replace(&mut member.timed, true) {
            self.leaving.push(Reverse((at, Arc::clone(topic), person.clone())));
        }
    }

    fn expire(&mut self, topic: &Arc<str>, person: PersonKey, now: Instant) {
        let Some(member) = self.topics.get_mut(topic).and_then(|found| found.members.get_mut(&person)) else { return };
        match member.leaves() {
            Some(at) if at > now => self.leaving.push(Reverse((at, Arc::clone(topic), person))),
            leaves => {
                member.timed = false;
                if leaves.is_some() {
                    self.depart(topic, &person.0.id, now);
                }
            }
        }
        if self.leaving.is_empty() {
            self.leaving = BinaryHeap::new();
        }
    }

    /// A member without streams leaves.
    fn depart(&mut self, topic: &Arc<str>, id: &str, now: Instant) {
        let Some(found) = self.topics.get_mut(topic) else { return };
        if let Some(member) = found.members.get_mut(id) {
            member.set_leaves(None);
            if let Some(elsewhere) = member.elsewhere().cloned() {
                found.name_anew(&elsewhere.person);
            } else {
                found.present -= 1;
                self.members -= 1;
                self.counts.leaves += 1;
            }
        }
        self.touch(topic, id, now);
        self.share(topic, id);
    }

    /// A member is not any more what readers were told.
    fn touch(&mut self, topic: &Arc<str>, id: &str, now: Instant) {
        let Some(found) = self.topics.get_mut(topic) else { return };
        if found.touch(id) && found.due.is_none() {
            let at = found.next.max(now);
            found.due = Some(at);
            self.due.insert((at, Arc::clone(topic)));
        }
    }

    fn tell(&mut self, topic: &Arc<str>, now: Instant, reads: &dyn Fn(&str) -> bool) -> Option<PresenceTold> {
        let found = self.topics.get_mut(topic)?;
        let told = found.changes(topic, now, reads(topic));
        found.due = (!found.touched.is_empty()).then_some(found.next);
        if let Some(at) = found.due {
            self.due.insert((at, Arc::clone(topic)));
        } else if found.members.is_empty() {
            self.topics.remove(topic);
        }
        Some(told)
    }
}
