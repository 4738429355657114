//! The members of one topic, and what its readers were told of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::presence::events::{self, MembersJson, PresenceTold};
use crate::presence::member::{Elsewhere, Person, PersonKey, TopicMember};

/// Most members whose changes are looked at for one event of each kind.
const CHANGES: usize = 1024;

/// Number of members that makes readers wait a millisecond from one event to the next.
const MEMBERS_A_MS: usize = 10;

/// Longest time between two events of a topic.
const LONGEST: Duration = Duration::from_secs(1);

/// Shortest time between two events of a topic with so many members: each event goes to all of them, if all are readers.
pub(crate) fn gathering(members: usize) -> Duration {
    Duration::from_millis((members / MEMBERS_A_MS) as u64).min(LONGEST)
}

/// A topic with members.
#[derive(Debug)]
pub(crate) struct PresenceTopic {
    /// All that are present, and those whose leave is not told yet.
    pub(crate) members: BTreeMap<PersonKey, TopicMember>,
    /// Number of those that are present.
    pub(crate) present: usize,
    /// Number of those that readers know of.
    pub(crate) told: usize,
    /// Members that may not be what readers were told.
    pub(crate) touched: VecDeque<PersonKey>,
    /// When readers may be told something again.
    pub(crate) next: Instant,
    /// When readers are told what is to be told.
    pub(crate) due: Option<Instant>,
    /// The list for new readers, until it changes. Only those who get it keep it: its bytes are charged to no member.
    list: Weak<Event>,
}

impl PresenceTopic {
    /// A topic without members.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            members: BTreeMap::new(),
            present: 0,
            told: 0,
            touched: VecDeque::new(),
            next: now,
            due: None,
            list: Weak::new(),
        }
    }

    /// The member for one more stream of a user, whose info is the newest; also whether they were away.
    pub(crate) fn come(&mut self, person: &Arc<Person>) -> (&mut TopicMember, bool) {
        let before = self.members.remove(&*person.id);
        let was_present = before.as_ref().is_some_and(TopicMember::is_present);
        let member = self.members.entry(PersonKey(Arc::clone(person))).or_insert_with(TopicMember::new);
        if let Some(before) = before {
            let since = if was_present { before.since() } else { member.since };
            *member = TopicMember { since, newest: member.newest, ..before };
            member.set_leaves(None);
        }
        self.present += usize::from(!was_present);
        (member, !was_present)
    }

    /// Notes what other hubs tell of a user who is there; returns whether they were nowhere before.
    pub(crate) fn learn(&mut self, elsewhere: &Arc<Elsewhere>) -> bool {
        let id = &*elsewhere.person.id;
        let was_present = self.members.get(id).is_some_and(TopicMember::is_present);
        if !self.members.get(id).is_some_and(TopicMember::is_here) {
            self.name_anew(&elsewhere.person);
        }
        let member = self.members.entry(PersonKey(Arc::clone(&elsewhere.person))).or_insert_with(TopicMember::new);
        member.set_elsewhere(Some(Arc::clone(elsewhere)));
        self.present += usize::from(!was_present);
        !was_present
    }

    /// Keeps a member, if there is one, under what another hub has said, so that what is charged to clients of this hub is
    /// released.
    pub(crate) fn name_anew(&mut self, person: &Arc<Person>) {
        if let Some(member) = self.members.remove(&*person.id) {
            self.members.insert(PersonKey(Arc::clone(person)), member);
        }
    }

    /// Notes that a member may not be what readers were told; returns whether it was not noted before.
    pub(crate) fn touch(&mut self, id: &str) -> bool {
        let Some((key, _)) = self.members.get_key_value(id) else { return false };
        let key = key.clone();
        let Some(member) = self.members.get_mut(id) else { return false };
        let fresh = !std::mem::replace(&mut member.touched, true);
        if fresh {
            self.touched.push_back(key);
        }
        fresh
    }

    /// Takes what readers are to be told now: as much as one event of each kind may have. Without readers nothing is written.
    pub(crate) fn changes(&mut self, topic: &str, now: Instant, reads: bool) -> PresenceTold {
        let (mut joins, mut leaves) = (MembersJson::default(), MembersJson::default());
        let mut changes = 0;
        while changes < CHANGES {
            if joins.is_full() || leaves.is_full() {
                break;
            }
            let Some(key) = self.touched.pop_front() else { break };
            changes += 1;
            let Some((key, member)) =
                self.members.get_key_value(&key).map(|(key, member)| (key.clone(), member.clone()))
            else {
                continue;
            };
            match (member.is_present(), member.told) {
                (true, false) => self.told += 1,
                (false, true) => self.told -= 1,
                (true, true) | (false, false) => {}
            }
            if reads && member.is_present() != member.told {
                let members = if member.told { &mut leaves } else { &mut joins };
                members.add(member.person(&key), member.since());
            }
            if !member.is_present() {
                self.members.remove(&key);
            } else if let Some(member) = self.members.get_mut(&key) {
                (member.told, member.touched) = (true, false);
            }
        }
        if self.touched.is_empty() {
            self.touched = VecDeque::new();
        }
        self.list = Weak::new();
        self.next = now + gathering(self.told);
        PresenceTold { topic: topic.into(), count: self.told, changes, joins, leaves }
    }

    /// The event with the members that readers know of, as many as fit.
    pub(crate) fn list(&mut self, topic: &str) -> Arc<Event> {
        if let Some(list) = self.list.upgrade() {
            return list;
        }
        let known = self.members.iter().filter(|(_, member)| member.told);
        let known = known.map(|(key, member)| (member.person(key), member.since()));
        let list = events::list(topic, self.told, known);
        self.list = Arc::downgrade(&list);
        list
    }
}
