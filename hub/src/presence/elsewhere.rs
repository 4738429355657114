//! What other hubs tell of their users. The threads of the bus have put it together; the ordering thread applies it.

use std::sync::Arc;
use std::time::Instant;

use crate::presence::PresenceTable;
use crate::presence::member::{Elsewhere, Person};
use crate::presence::topic::PresenceTopic;

/// What has become of a user at the other hubs, all of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ElsewhereChange {
    pub(crate) topic: Arc<str>,
    /// The user; only the id counts.
    pub(crate) person: Arc<Person>,
    /// `None`: they are at none of them any more.
    pub(crate) elsewhere: Option<Arc<Elsewhere>>,
}

impl PresenceTable {
    /// Notes what has become of a user at the other hubs.
    pub(crate) fn learn_elsewhere(&mut self, change: &ElsewhereChange, now: Instant) {
        let topic = self.name(&change.topic);
        let id = &*change.person.id;
        let Some(elsewhere) = &change.elsewhere else {
            let Some(found) = self.topics.get_mut(&topic) else { return };
            let Some(member) = found.members.get_mut(id) else { return };
            let was_there = member.elsewhere().is_some();
            member.set_elsewhere(None);
            if !was_there || member.is_here() {
                return;
            }
            found.present -= 1;
            self.members -= 1;
            self.counts.leaves += 1;
            self.touch(&topic, id, now);
            return;
        };
        let found = self.topics.entry(Arc::clone(&topic)).or_insert_with(|| PresenceTopic::new(now));
        let came = found.learn(elsewhere);
        self.members += usize::from(came);
        self.counts.joins += u64::from(came);
        self.touch(&topic, id, now);
    }

    /// All that other hubs have told, for a bus that begins anew.
    pub(crate) fn elsewhere(&self) -> Vec<(Arc<str>, Arc<Elsewhere>)> {
        let members = self.topics.iter().flat_map(|(topic, found)| found.members.values().map(move |one| (topic, one)));
        members.filter_map(|(topic, member)| Some((Arc::clone(topic), member.elsewhere().cloned()?))).collect()
    }
}
