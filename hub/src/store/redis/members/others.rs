//! What each other hub has told of its members, and what all of them together say. Owned by the reader; bounded by
//! `sse.presence_bytes`.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;

use crate::presence::elsewhere::ElsewhereChange;
use crate::presence::member::{Elsewhere, Person, PersonKey};
use crate::presence::sharing::OwnPresence;

/// Stands for what is known from before, until the hubs themselves have told it.
pub(crate) const BEFORE: u64 = 0;

/// Bytes charged for a member beside its id and info: here, in the presence of the ordering thread, and on the way there.
const MEMBER: usize = 384;

/// Bytes charged for a topic beside its name.
const TOPIC: usize = 256;

/// What one hub has told of a member.
#[derive(Debug)]
struct HubRecord {
    hub: u64,
    /// The reading in which it was found.
    round: u32,
    told: Arc<Elsewhere>,
}

/// All members of all other hubs.
#[derive(Debug)]
pub(crate) struct OtherMembers {
    topics: HashMap<Arc<str>, BTreeMap<PersonKey, Vec<HubRecord>>>,
    limit: usize,
    bytes: usize,
    members: usize,
    /// What has changed for the ordering thread.
    changes: Vec<ElsewhereChange>,
}

impl OtherMembers {
    /// No members; `limit` bytes of them may be kept.
    pub(crate) fn new(limit: usize) -> Self {
        Self { topics: HashMap::new(), limit, bytes: 0, members: 0, changes: Vec::new() }
    }

    /// Number and bytes of what hubs have told.
    pub(crate) fn figures(&self) -> (usize, usize) {
        (self.members, self.bytes)
    }

    /// Whether there is room for more than a little.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < self.limit / 4 * 3
    }

    /// Takes what has changed.
    pub(crate) fn take_changes(&mut self) -> Vec<ElsewhereChange> {
        mem::take(&mut self.changes)
    }

    /// Number of changes that [`take_changes`](Self::take_changes) would return.
    pub(crate) fn changes(&self) -> usize {
        self.changes.len()
    }

    /// Keeps what the ordering thread knows already.
    pub(crate) fn know(&mut self, known: Vec<(Arc<str>, Arc<Elsewhere>)>) {
        for (topic, told) in known {
            self.bytes += cost(&told.person);
            self.members += 1;
            self.records(&topic, Arc::clone(&told.person)).push(HubRecord { hub: BEFORE, round: 0, told });
        }
    }

    /// A hub says that a user is there; `round` is the number of the reading. False: there is no room for them, or for their new info.
    pub(crate) fn set(&mut self, hub: u64, round: u32, topic: &str, person: Person, here: OwnPresence) -> bool {
        let OwnPresence { since, newest, streams } = here;
        let records = self.topics.get_mut(topic).and_then(|members| members.get_mut(&*person.id));
        let known = records.and_then(|records| records.iter_mut().find(|record| record.hub == hub));
        let bytes = cost(&person);
        if let Some(record) = known {
            record.round = round;
            let same = *record.told.person == person
                && (record.told.since, record.told.newest, record.told.streams) == (since, newest, streams);
            if same {
                return true;
            }
            let before = cost(&record.told.person);
            let has_room = bytes <= before || self.bytes - before + bytes <= self.limit;
            let id = person.id.clone();
            let person = if has_room {
                self.bytes = self.bytes - before + bytes;
                Arc::new(person)
            } else {
                Arc::clone(&record.told.person)
            };
            record.told = Arc::new(Elsewhere { person, since, newest, streams });
            self.changed(topic, &id);
            return has_room;
        }
        if self.bytes + bytes > self.limit {
            return false;
        }
        self.bytes += bytes;
        self.members += 1;
        let id = person.id.clone();
        let person = Arc::new(person);
        let told = Arc::new(Elsewhere { person: Arc::clone(&person), since, newest, streams });
        let name = self.topics.get_key_value(topic).map_or_else(|| topic.into(), |(name, _)| Arc::clone(name));
        self.records(&name, person).push(HubRecord { hub, round, told });
        self.changed(topic, &id);
        true
    }

    /// A hub says that a user has left it.
    pub(crate) fn gone(&mut self, hub: u64, topic: &str, id: &str) {
        let Some(records) = self.topics.get_mut(topic).and_then(|members| members.get_mut(id)) else { return };
        let before = records.len();
        let mut freed = 0;
        records.retain(|record| {
            record.hub != hub || {
                freed += cost(&record.told.person);
                false
            }
        });
        if records.len() < before {
            self.bytes -= freed;
            self.members -= before - records.len();
            self.changed(topic, id);
        }
    }

    /// Forgets what a hub has told in other readings than this one; `None`: all that it has told.
    pub(crate) fn forget(&mut self, hub: u64, but: Option<u32>) {
        let is_old = |record: &HubRecord| record.hub == hub && but.is_none_or(|round| record.round != round);
        let members = self.topics.iter().flat_map(|(topic, members)| members.iter().map(move |one| (topic, one)));
        let old = members.filter(|(_, (_, records))| records.iter().any(is_old));
        let old: Vec<_> = old.map(|(topic, (key, _))| (Arc::clone(topic), key.clone())).collect();
        for (topic, key) in old {
            self.gone(hub, &topic, &key.0.id);
        }
    }

    /// What hubs have told of a user, who is added if need be.
    fn records(&mut self, topic: &Arc<str>, person: Arc<Person>) -> &mut Vec<HubRecord> {
        let Self { topics, bytes, .. } = self;
        let new = || {
            *bytes += TOPIC + topic.len();
            BTreeMap::new()
        };
        topics.entry(Arc::clone(topic)).or_insert_with(new).entry(PersonKey(person)).or_default()
    }

    /// Notes what the ordering thread is to know of a member, and drops what is empty.
    fn changed(&mut self, topic: &str, id: &str) {
        let Some((name, members)) = self.topics.get_key_value(topic) else { return };
        let Some((key, records)) = members.get_key_value(id) else { return };
        let change =
            ElsewhereChange { topic: Arc::clone(name), person: Arc::clone(&key.0), elsewhere: together(records) };
        let is_gone = change.elsewhere.is_none();
        // An info that no hub says any more is not charged.
        let is_said = records.iter().any(|record| Arc::ptr_eq(&record.told.person, &key.0));
        self.changes.push(change);
        let Some(members) = self.topics.get_mut(topic) else { return };
        if !is_gone {
            if !is_said
                && let Some(records) = members.remove(id)
                && let Some(first) = records.first()
            {
                members.insert(PersonKey(Arc::clone(&first.told.person)), records);
            }
            return;
        }
        members.remove(id);
        if members.is_empty() {
            self.topics.remove(topic);
            self.bytes -= TOPIC + topic.len();
        }
    }
}

fn cost(person: &Person) -> usize {
    MEMBER + person.id.len() + person.info.len()
}

/// What the hubs say together.
fn together(records: &[HubRecord]) -> Option<Arc<Elsewhere>> {
    // What is known from before is what these hubs have said as well.
    let are_several = records.len() > 1;
    let mut hubs = records.iter().filter(|record| !are_several || record.hub != BEFORE);
    let first = hubs.next()?;
    let (mut newest, mut since, mut streams) = (first, first.told.since, first.told.streams);
    let mut one = true;
    for record in hubs {
        one = false;
        since = since.min(record.told.since);
        streams = streams.saturating_add(record.told.streams);
        if (record.told.newest, record.hub) > (newest.told.newest, newest.hub) {
            newest = record;
        }
    }
    if one {
        return Some(Arc::clone(&first.told));
    }
    let person = Arc::clone(&newest.told.person);
    Some(Arc::new(Elsewhere { person, since, newest: newest.told.newest, streams }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(since: u64, newest: u64, streams: u32) -> OwnPresence {
        OwnPresence { since, newest, streams }
    }

    fn person(id: &str, info: &str) -> Person {
        Person::new(id, info, None)
    }

    /// Changes as topic, id, and info, since and streams of who is there.
    fn said(others: &mut OtherMembers) -> Vec<String> {
        let text = |change: ElsewhereChange| {
            let there = change.elsewhere.map_or_else(String::new, |one| {
                format!("{} since {} with {}", one.person.info, one.since, one.streams)
            });
            format!("{} {} {there}", change.topic, change.person.id)
        };
        others.take_changes().into_iter().map(text).collect()
    }

    #[test]
    fn hubs_say_together_who_is_there() {
        let mut others = OtherMembers::new(1 << 20);
        assert!(others.set(1, 0, "a", person("u", "1"), here(10, 11, 1)));
        assert!(others.set(2, 0, "a", person("u", "2"), here(20, 21, 2)));
        assert_eq!(said(&mut others), ["a u 1 since 10 with 1", "a u 2 since 10 with 3"]);
        others.set(2, 1, "a", person("u", "2"), here(20, 21, 2));
        assert_eq!(said(&mut others), [""; 0], "it is what was said before");
        others.gone(1, "a", "u");
        others.gone(1, "a", "u");
        others.gone(3, "b", "u");
        assert_eq!(said(&mut others), ["a u 2 since 20 with 2"]);
        others.forget(2, Some(1));
        assert_eq!(said(&mut others), [""; 0]);
        others.forget(2, Some(2));
        assert_eq!((said(&mut others), others.figures()), (vec!["a u ".to_owned()], (0, 0)));
    }

    #[test]
    fn what_is_known_from_before_stays_until_the_hubs_have_told_it() {
        let mut others = OtherMembers::new(1 << 20);
        let told =
            |id: &str| Arc::new(Elsewhere { person: Arc::new(person(id, "1")), since: 5, newest: 5, streams: 1 });
        others.know(vec![("a".into(), told("u")), ("a".into(), told("v"))]);
        others.set(1, 0, "a", person("u", "1"), here(5, 5, 1));
        assert_eq!(said(&mut others), ["a u 1 since 5 with 1"]);
        others.forget(BEFORE, None);
        let mut left = said(&mut others);
        left.sort();
        assert_eq!(left, ["a u 1 since 5 with 1", "a v "]);
    }

    /// Attack: a large info at first, and then a small one, which is charged.
    #[test]
    fn an_info_that_no_hub_says_any_more_is_not_kept() {
        let mut others = OtherMembers::new(1 << 20);
        let mut learned = |hub, info: &str| {
            assert!(others.set(hub, 0, "a", person("u", info), here(1, 1, 1)));
            let [ElsewhereChange { elsewhere: Some(elsewhere), .. }] = &others.take_changes()[..] else {
                panic!("one is there");
            };
            Arc::downgrade(&elsewhere.person)
        };
        let large = learned(1, "1");
        assert!(large.upgrade().is_some());
        let small = learned(1, "2");
        assert!(large.upgrade().is_none() && small.upgrade().is_some());
        learned(2, "3");
        others.gone(1, "a", "u");
        assert_eq!(said(&mut others), ["a u 3 since 1 with 1"]);
        assert!(small.upgrade().is_none());
    }

    #[test]
    fn there_is_a_limit() {
        let mut others = OtherMembers::new(2000);
        let taken = |others: &mut OtherMembers, id: &str| others.set(1, 0, "a", person(id, "1"), here(1, 1, 1));
        let count = (0..100).take_while(|nth| taken(&mut others, &format!("u{nth}"))).count();
        assert!((2..6).contains(&count) && !others.has_room(), "{count}");
        // Who is known may still change.
        assert!(taken(&mut others, "u0"));
        said(&mut others);
        assert!(others.set(1, 0, "a", person("u0", "2"), here(1, 2, 3)));
        assert_eq!(said(&mut others), ["a u0 2 since 1 with 3"]);
        // Attack: a small info at first, and then a large one.
        let before = others.figures();
        for nth in 0..count {
            assert!(!others.set(1, 0, "a", person(&format!("u{nth}"), &"9".repeat(2000)), here(1, 5, 7)));
        }
        assert_eq!(others.figures(), before);
        let told = said(&mut others);
        assert_eq!(
            (told.len(), &*told[0]),
            (count, "a u0 2 since 1 with 7"),
            "the figures are new, the info is the old one"
        );
        others.forget(1, None);
        assert!(others.has_room() && others.figures() == (0, 0));
    }
}
