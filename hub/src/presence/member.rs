//! A member of a topic, and the user that it stands for.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use crate::quota::budget::Reservation;
use sse_protocol::id::now_ms;

/// A user as one stream named them.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) id: Box<str>,
    /// Valid JSON in one line.
    pub(crate) info: Box<str>,
    /// What is charged for it; `None`: nobody of this hub keeps it.
    pub(crate) charge: Option<Reservation>,
}

impl Person {
    pub(crate) fn new(id: &str, info: &str, charge: Option<Reservation>) -> Self {
        // In JSON, a line break stands between values only.
        let info = if info.contains(['\r', '\n']) { info.replace(['\r', '\n'], " ").into() } else { info.into() };
        Self { id: id.into(), info, charge }
    }
}

/// A user, ordered and found by their id.
#[derive(Debug, Clone)]
pub(crate) struct PersonKey(pub(crate) Arc<Person>);

impl Borrow<str> for PersonKey {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl PartialEq for Person {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.info) == (&other.id, &other.info)
    }
}

impl Eq for Person {}

impl PartialEq for PersonKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for PersonKey {}

impl PartialOrd for PersonKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PersonKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

/// A user's presence on one topic at other hubs, all of them together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// As the newest of their streams there names them.
    pub(crate) person: Arc<Person>,
    /// Since when, in milliseconds since 1970.
    pub(crate) since: u64,
    /// When the newest of their streams there began.
    pub(crate) newest: u64,
    /// Number of their streams there.
    pub(crate) streams: u32,
}

/// What only those members have who are away for a moment, or at other hubs.
#[derive(Debug, Clone, Default)]
pub(super) struct MemberExtras {
    /// When they leave, as they have no stream any more.
    leaves: Option<Instant>,
    /// At other hubs; `None`: at none.
    elsewhere: Option<Arc<Elsewhere>>,
}

/// A user's presence on one topic.
#[derive(Debug, Clone)]
pub(crate) struct TopicMember {
    /// Since when they are here, in milliseconds since 1970.
    pub(crate) since: u64,
    /// When the newest of their streams here began.
    pub(crate) newest: u64,
    /// What few members have.
    pub(super) more: Option<Box<MemberExtras>>,
    /// Number of their streams here.
    pub(crate) streams: u32,
    /// Whether readers were told that they are here.
    pub(crate) told: bool,
    /// They are in the topic's list of changes.
    pub(crate) touched: bool,
    /// They are in the list of those that may leave.
    pub(crate) timed: bool,
    /// They are in the list of what other hubs are to be told.
    pub(crate) unshared: bool,
}

impl TopicMember {
    /// A member without a stream yet.
    pub(crate) fn new() -> Self {
        let now = now_ms();
        Self {
            since: now,
            newest: now,
            more: None,
            streams: 0,
            told: false,
            touched: false,
            timed: false,
            unshared: false,
        }
    }

    /// When they leave this hub, as they have no stream here any more.
    pub(crate) fn leaves(&self) -> Option<Instant> {
        self.more.as_ref()?.leaves
    }

    /// Sets when they leave this hub; `None`: they don't, or have left.
    pub(crate) fn set_leaves(&mut self, leaves: Option<Instant>) {
        self.change(|more| more.leaves = leaves);
    }

    /// At other hubs; `None`: at none.
    pub(crate) fn elsewhere(&self) -> Option<&Arc<Elsewhere>> {
        self.more.as_ref()?.elsewhere.as_ref()
    }

    /// Sets where they are besides.
    pub(crate) fn set_elsewhere(&mut self, elsewhere: Option<Arc<Elsewhere>>) {
        self.change(|more| more.elsewhere = elsewhere);
    }

    fn change(&mut self, change: impl FnOnce(&mut MemberExtras)) {
        let mut more = self.more.take().unwrap_or_default();
        change(&mut more);
        self.more = Some(more).filter(|more| more.leaves.is_some() || more.elsewhere.is_some());
    }

    /// Whether they are at this hub, be it for the time of the grace.
    pub(crate) fn is_here(&self) -> bool {
        self.streams > 0 || self.leaves().is_some()
    }

    /// Whether they are at any hub.
    pub(crate) fn is_present(&self) -> bool {
        self.is_here() || self.elsewhere().is_some()
    }

    /// Since when they are, at any hub.
    pub(crate) fn since(&self) -> u64 {
        match self.elsewhere() {
            Some(elsewhere) if self.is_here() => elsewhere.since.min(self.since),
            Some(elsewhere) => elsewhere.since,
            None => self.since,
        }
    }

    /// Number of their streams at all hubs.
    pub(crate) fn all_streams(&self) -> u32 {
        self.elsewhere().map_or(0, |elsewhere| elsewhere.streams).saturating_add(self.streams)
    }

    /// As their newest stream names them; `key`: the newest one here.
    pub(crate) fn person<'a>(&'a self, key: &'a PersonKey) -> &'a Person {
        let newer = |elsewhere: &&'a Arc<Elsewhere>| !self.is_here() || elsewhere.newest > self.newest;
        self.elsewhere().filter(newer).map_or(&key.0, |elsewhere| &elsewhere.person)
    }
}
