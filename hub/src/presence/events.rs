//! The events that tell readers who is on a topic, who joins and who leaves.
//!
//! They have no id, because no history keeps them: a client that comes back gets the list anew.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::event::Event;
use crate::presence::member::Person;
use sse_protocol::event::NewEvent;
use sse_protocol::presence::{self, MEMBERS_BYTES};

/// Members in JSON.
#[derive(Debug, Default)]
pub(crate) struct MembersJson(String);

impl MembersJson {
    /// Adds a member.
    pub(crate) fn add(&mut self, person: &Person, since: u64) {
        let Self(json) = self;
        if !json.is_empty() {
            json.push(',');
        }
        let id = quoted(&person.id);
        let _ = write!(json, "{{\"id\":{id},\"info\":{},\"since\":{since}}}", person.info);
    }

    /// Whether the event has as many as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MEMBERS_BYTES
    }

    /// Bytes of them.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the readers of a topic are to be told.
#[derive(Debug)]
pub(crate) struct PresenceTold {
    pub(crate) topic: Box<str>,
    /// Number of members after that.
    pub(crate) count: usize,
    /// Number of members that were looked at.
    pub(crate) changes: usize,
    pub(crate) joins: MembersJson,
    pub(crate) leaves: MembersJson,
}

impl PresenceTold {
    /// The events: of leaves, and of joins.
    pub(crate) fn events(&self) -> impl Iterator<Item = Arc<Event>> {
        let kinds = [(presence::LEAVE, &self.leaves), (presence::JOIN, &self.joins)];
        let some = kinds.into_iter().filter(|(_, members)| !members.is_empty());
        some.map(|(kind, members)| event(&self.topic, kind, self.count, members, false))
    }
}

/// The event with those of `count` members that fit.
pub(crate) fn list<'a>(topic: &str, count: usize, mut known: impl Iterator<Item = (&'a Person, u64)>) -> Arc<Event> {
    let mut members = MembersJson::default();
    while !members.is_full()
        && let Some((person, since)) = known.next()
    {
        members.add(person, since);
    }
    event(topic, presence::LIST, count, &members, known.next().is_some())
}

/// The event without those members, who are to be asked for.
pub(crate) fn brief(topic: &str, count: usize) -> Arc<Event> {
    event(topic, presence::LIST, count, &MembersJson::default(), count > 0)
}

fn event(topic: &str, kind: &str, count: usize, members: &MembersJson, more: bool) -> Arc<Event> {
    let more = if more { ",\"more\":true" } else { "" };
    let data = format!("{{\"topic\":{},\"count\":{count},\"members\":[{}]{more}}}", quoted(topic), members.0);
    let name = presence::topic_of(topic);
    let new = NewEvent { topics: vec![&name], event_type: Some(kind), data: data.as_bytes(), ..NewEvent::default() };
    Arc::new(Event::unnumbered(&new))
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
