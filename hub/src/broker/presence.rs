//! Presence in the order of everything else: who enters with a stream, what readers are told, and questions of scripts.

use std::time::Instant;

use crate::broker::Broker;
use crate::broker::refusal::StreamRefusal;
use crate::connection::ProcessSession;
use crate::presence;
use crate::presence::elsewhere::ElsewhereChange;
use crate::presence::events::PresenceTold;
use crate::presence::member::Person;
use crate::quota::budget::Reservation;
use crate::quota::topics;
use crate::render::Renders;
use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::store::Store;
use crate::store::redis::members::PresenceStart;
use sse_protocol::mercure;
use sse_protocol::presence::{MEMBERS_BYTES, PresenceError, check_member, check_patterns, exact, topic_of};
use sse_protocol::topic;
use sse_protocol::wire::{self, ErrorCode, Reply};

/// Bytes of lists after which a new stream gets those of further topics without members, to be asked for.
const LISTS: usize = 4 * MEMBERS_BYTES;

/// Most members that are looked at in a turn for what other hubs are to be told.
const SHARED: usize = 256;

/// What a new stream has to do with presence, checked and charged for.
#[derive(Debug, Default)]
pub(crate) struct PresenceEntry<'a> {
    person: Option<Person>,
    /// Plain topics of the stream.
    topics: Vec<&'a str>,
    /// Whether its client is told of joins and leaves.
    events: bool,
    /// Topics on which it is, but for those that its script names itself.
    readings: Vec<String>,
}

/// What becomes of a stream's presence when its topics change.
#[derive(Debug)]
pub(crate) struct Following<'a> {
    /// Plain topics of the stream.
    topics: Vec<&'a str>,
    /// Those of them whose lists its client gets, as it is told of joins and leaves on them from now on.
    lists: Vec<&'a str>,
    /// What is charged for those that are new to its user.
    pub(crate) charge: Option<Reservation>,
    /// Topics on which its client is told of joins and leaves, but for those that the stream watches anyway.
    pub(crate) readings: Vec<Box<str>>,
}

impl<'a> PresenceEntry<'a> {
    /// The patterns that the stream watches besides.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &str> {
        self.readings.iter().map(String::as_str)
    }

    fn is_empty(&self) -> bool {
        self.person.is_none() && !self.events
    }
}

impl Broker {
    /// Checks what a new stream with these checked patterns has to do with presence, and reserves memory for it. `forwarded`:
    /// the stream gets events, and not a callback's output.
    pub(crate) fn presence_of<'a>(
        &self,
        wanted: wire::Presence<'_>,
        patterns: &[&'a str],
        address: Option<&str>,
        forwarded: bool,
    ) -> Result<PresenceEntry<'a>, StreamRefusal> {
        let events = wanted.events && forwarded;
        if wanted.member.is_none() && !events {
            return Ok(PresenceEntry::default());
        }
        check_patterns(patterns.iter().copied())?;
        let topics: Vec<&str> = exact(patterns).collect();
        let person = match wanted.member {
            Some(wire::Member { id, info }) => {
                check_member(id, info)?;
                mercure::check_subscriber(topics.iter().copied(), id).map_err(PresenceError::from)?;
                if !presence::is_json(info) {
                    return Err(PresenceError::NoJson.into());
                }
                let charge = self.topics.reserve_bytes(address, presence::cost(id, info, &topics))?;
                Some(Person::new(id, info, Some(charge)))
            }
            None => None,
        };
        let readings = if events { readings(&topics, patterns).collect() } else { Vec::new() };
        Ok(PresenceEntry { person, topics, events, readings })
    }

    /// Lets a new stream's user in, and tells readers. Call it before the stream watches anything. Returns the topics whose lists
    /// the stream gets.
    pub(crate) fn enter<'a>(&mut self, stream: u64, entry: PresenceEntry<'a>) -> Vec<&'a str> {
        if entry.is_empty() {
            return Vec::new();
        }
        let PresenceEntry { person, topics, events, readings: _ } = entry;
        let now = Instant::now();
        self.presence.enter(stream, person, &topics, events, now);
        if !events {
            return Vec::new();
        }
        self.hurry(&topics, now);
        topics
    }

    /// Tells readers of these topics what they may be told now, so that lists of them have it already.
    fn hurry(&mut self, topics: &[&str], now: Instant) {
        let mut told = Vec::new();
        let Self { presence, shards, renders, .. } = self;
        let reads = |topic: &str| is_read(shards, renders, topic);
        let steps = presence.hurry(topics, now, &reads, &mut told);
        self.turns.step(steps);
        self.tell_all(&told);
    }

    /// Sends a stream the lists of these topics, after the command by which it watches them.
    pub(crate) fn send_lists(&mut self, stream: u64, topics: &[&str]) {
        let mut bytes = 0;
        for topic in topics {
            let event = self.presence.list(topic, bytes >= LISTS);
            bytes += event.frame().len();
            self.shard(stream).send_ahead(Command::Tell { stream, event });
        }
    }

    /// What becomes of a stream's presence when it watches these sorted patterns; `None`: it has nothing to do with presence.
    /// The bytes that its user's new topics need are charged, whatever the limit.
    pub(crate) fn following<'b>(&self, stream: u64, patterns: &'b [Box<str>]) -> Option<Following<'b>> {
        let events = self.presence.is_told(stream)?;
        let plain: Vec<&str> = patterns.iter().map(AsRef::as_ref).collect();
        // Topics that are too long have no members.
        let topics: Vec<&str> = exact(&plain).filter(|topic| check_patterns([*topic]).is_ok()).collect();
        let charge = self.topics.take_for(stream, self.presence.growth(stream, &topics));
        let readings = if events { readings(&topics, &plain).map(Into::into).collect() } else { Vec::new() };
        let lists = topics.iter().copied().filter(|topic| events && !self.presence.tells(stream, topic)).collect();
        Some(Following { topics, lists, charge, readings })
    }

    /// Moves a stream's user to these topics, and tells readers. Call it before the stream watches them. Returns the topics whose
    /// lists the stream gets.
    pub(crate) fn follow<'b>(&mut self, stream: u64, following: Following<'b>) -> Vec<&'b str> {
        let Following { topics, lists, charge, readings: _ } = following;
        let now = Instant::now();
        self.presence.follow(stream, &topics, charge, now);
        if !lists.is_empty() {
            self.hurry(&lists, now);
        }
        lists
    }

    /// Bytes of the patterns by which a stream's client is told of joins and leaves.
    pub(crate) fn reading_bytes(&self, stream: u64) -> usize {
        self.presence.told_topics(stream).map(|topic| topics::cost(&topic_of(topic))).sum()
    }

    /// Lets those leave whose grace is over, and tells readers of all changes that they may be told now.
    pub(crate) fn tell_presence(&mut self) {
        let now = Instant::now();
        if self.presence.deadline().is_none_or(|at| at > now) {
            return;
        }
        let mut told = Vec::new();
        let Self { presence, shards, renders, .. } = self;
        let steps = presence.turn(now, &|topic| is_read(shards, renders, topic), &mut told);
        self.turns.step(steps);
        self.tell_all(&told);
    }

    /// What a bus begins with.
    pub(crate) fn presence_start(&self) -> PresenceStart {
        PresenceStart { hub: self.hub, known: self.presence.elsewhere() }
    }

    /// Learns what has become of members at other hubs.
    pub(crate) fn learn_members(&mut self, changes: &[ElsewhereChange], bytes: usize) {
        let now = Instant::now();
        for change in changes {
            self.presence.learn_elsewhere(change, now);
        }
        self.turns.step(changes.len());
        if let Store::Bus(bus) = &self.store {
            bus.members_digested(bytes);
        }
    }

    /// Passes to the bus what other hubs are to be told, a part of it in a turn.
    pub(crate) fn share_presence(&mut self) {
        let (Store::Bus(bus), Some(connection)) = (&self.store, self.presence.shares()) else { return };
        let Some(room) = bus.members_room(connection) else {
            self.presence.share_nothing();
            return;
        };
        let mut changes = Vec::new();
        self.presence.take_shared(room.min(SHARED), &mut changes);
        self.turns.step(changes.len());
        if !changes.is_empty() {
            bus.tell_members(connection, changes);
        }
    }

    /// Whether [`share_presence`](Self::share_presence) has more to do now. The bus wakes the ordering thread when it has room.
    pub(crate) fn shares_more(&self) -> bool {
        let (Store::Bus(bus), Some(connection)) = (&self.store, self.presence.shares()) else { return false };
        bus.members_room(connection) != Some(0)
    }

    fn tell_all(&mut self, told: &[PresenceTold]) {
        for event in told.iter().flat_map(PresenceTold::events) {
            self.pass_notifications();
            self.send_to_shards(&event, 0);
            self.renders.event(&event, 0);
        }
    }

    /// Answers a script that asks who is on a topic.
    pub(crate) fn members(&self, session: &mut ProcessSession, name: &str, after: Option<&str>, limit: u32) {
        if let Err(error) = topic::check_topic(name) {
            session.error(ErrorCode::Invalid, &error.to_string());
            return;
        }
        let page = self.presence.page(name, after, limit as usize);
        session.reply(&Reply::Members { json: &page.json, count: page.count, last: page.last.as_deref() });
    }

    /// Answers a script that asks how many are on a topic.
    pub(crate) fn member_count(&self, session: &mut ProcessSession, name: &str) {
        match topic::check_topic(name) {
            Ok(()) => session.reply(&Reply::MemberCount { count: self.presence.count(name) as u64 }),
            Err(error) => session.error(ErrorCode::Invalid, &error.to_string()),
        }
    }
}

/// The hub's topics about these, without those among the sorted patterns: a stream watches each pattern once.
fn readings<'b>(topics: &'b [&str], patterns: &'b [&str]) -> impl Iterator<Item = String> + 'b {
    let readable = topics.iter().filter(|topic| !mercure::is_mercure(topic));
    readable.map(|topic| topic_of(topic)).filter(|name| patterns.binary_search(&name.as_str()).is_err())
}

/// Whether anybody may be told of joins and leaves on a topic.
fn is_read(shards: &[ShardHandle], renders: &Renders, topic: &str) -> bool {
    let name = topic_of(topic);
    shards.iter().any(|shard| shard.may_watch(&name)) || renders.watches(&name)
}
