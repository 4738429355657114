//! Presence in an upgrade: an upgrade is no leave, and running graces go on.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::presence::member::{Elsewhere, Person, PersonKey};
use crate::presence::{Holding, PresenceTable, cost};
use crate::quota::topics::TopicCharges;

/// A user as one stream named them, and what is charged for it: the client and bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PersonState<'a> {
    pub(crate) id: &'a str,
    pub(crate) info: &'a str,
    pub(crate) charge: Option<(Option<IpAddr>, u64)>,
}

/// A user at other hubs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ElsewhereState<'a> {
    pub(crate) info: &'a str,
    pub(crate) since: u64,
    pub(crate) newest: u64,
    pub(crate) streams: u32,
}

/// Part of the state. All streams come first, and subscriptions to be told of last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PresenceState<'a> {
    /// What a stream has to do with presence.
    Stream {
        id: u64,
        #[serde(borrow)]
        person: Option<PersonState<'a>>,
        topics: Vec<&'a str>,
        events: bool,
    },
    /// A member of a topic.
    Member {
        topic: &'a str,
        person: PersonState<'a>,
        since: u64,
        newest: u64,
        #[serde(borrow)]
        elsewhere: Option<ElsewhereState<'a>>,
        /// Time left until they leave, if they have no stream.
        leaves: Option<Duration>,
        told: bool,
    },
    /// A subscription of Mercure's that is still to be told of.
    Subscription { pattern: &'a str, person: PersonState<'a>, active: bool },
}

impl<'a> PersonState<'a> {
    fn of(person: &'a Person) -> Self {
        let charge = person.charge.as_ref().map(|charge| (charge.client(), charge.bytes() as u64));
        Self { id: &person.id, info: &person.info, charge }
    }

    fn restore(&self, topics: &TopicCharges) -> Person {
        let charge = self.charge.map(|(client, bytes)| topics.take_bytes(client, bytes));
        Person::new(self.id, self.info, charge)
    }
}

impl<'a> ElsewhereState<'a> {
    fn of(Elsewhere { person, since, newest, streams }: &'a Elsewhere) -> Self {
        Self { info: &person.info, since: *since, newest: *newest, streams: *streams }
    }

    fn restore(&self, id: &str) -> Arc<Elsewhere> {
        let Self { info, since, newest, streams } = *self;
        Arc::new(Elsewhere { person: Arc::new(Person::new(id, info, None)), since, newest, streams })
    }
}

impl PresenceTable {
    /// State to pass to the new hub.
    pub(crate) fn state(&self, now: Instant) -> impl Iterator<Item = PresenceState<'_>> {
        let streams = self.streams.iter().map(|(&id, Holding { person, topics, events })| {
            let topics: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
            let mut person = person.as_deref().map(PersonState::of);
            if let Some(PersonState { id, info, charge: Some((_, bytes)) }) = &mut person {
                // Where the stream has changed its topics, several have been charged for.
                *bytes = (*bytes).max(cost(id, info, &topics) as u64);
            }
            PresenceState::Stream { id, person, topics, events: *events }
        });
        let members =
            self.topics.iter().flat_map(|(topic, found)| found.members.iter().map(move |entry| (topic, entry)));
        let members = members.map(move |(topic, (key, member))| PresenceState::Member {
            topic,
            person: PersonState::of(&key.0),
            since: member.since,
            newest: member.newest,
            elsewhere: member.elsewhere().map(|elsewhere| ElsewhereState::of(elsewhere)),
            leaves: member.leaves().map(|at| at.saturating_duration_since(now)),
            told: member.told,
        });
        let subscriptions = self.subscriptions.iter().map(|change| PresenceState::Subscription {
            pattern: &change.pattern,
            person: PersonState::of(&change.person),
            active: change.active,
        });
        streams.chain(members).chain(subscriptions)
    }

    /// Restores a part of the old hub's state.
    pub(crate) fn restore(&mut self, state: &PresenceState<'_>, charges: &TopicCharges, now: Instant) {
        match state {
            PresenceState::Stream { id, person, topics, events } => {
                let person = person.as_ref().map(|person| person.restore(charges));
                self.enter(*id, person, topics, *events, now);
                // What the old hub has not told of yet comes last.
                self.subscriptions.clear();
            }
            PresenceState::Member { topic, person, since, newest, elsewhere, leaves, told } => {
                let topic = self.name(topic);
                let found = self.topics.entry(Arc::clone(&topic)).or_insert_with(|| super::PresenceTopic::new(now));
                let streams = found.members.get_key_value(person.id);
                let kept = streams.map(|(key, _)| Arc::clone(&key.0));
                let same = kept.as_ref().filter(|known| *known.info == *person.info);
                let named = same.map_or_else(|| Arc::new(person.restore(charges)), Arc::clone);
                let (member, came) = found.come(&named);
                (member.since, member.newest, member.told) = (*since, *newest, *told);
                member.set_elsewhere(elsewhere.as_ref().map(|elsewhere| elsewhere.restore(person.id)));
                let is_away = member.streams == 0 && leaves.is_none() && elsewhere.is_none();
                found.told += usize::from(*told);
                found.present -= usize::from(is_away);
                self.members += usize::from(came && !is_away);
                if let Some(left) = leaves.filter(|_| kept.is_none()) {
                    self.start_grace(&topic, &PersonKey(named), now + left);
                }
                if is_away || !*told {
                    self.touch(&topic, person.id, now);
                }
            }
            PresenceState::Subscription { pattern, person, active } => {
                let (pattern, person) = (self.name(pattern), Arc::new(person.restore(charges)));
                self.subscribed(&pattern, &person, *active);
            }
        }
    }
}
