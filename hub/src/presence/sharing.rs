//! What other hubs are to be told of this hub's users: what has changed, and all of it where they have nothing yet.

use std::collections::VecDeque;
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use crate::presence::PresenceTable;
use crate::presence::member::{Person, PersonKey, TopicMember};

/// Changes beyond which all is told anew instead, as many times the number of members: those who have come and gone. Nothing says
/// then who has left, so what other hubs were told before must not count any more: [`OwnChange::Anew`].
const CHANGES_A_MEMBER: usize = 2;

/// Changes that may wait whatever the number of members.
const CHANGES: usize = 10_000;

/// A user of this hub on one topic.
#[derive(Debug, Clone)]
pub(crate) struct OwnMember {
    pub(crate) topic: Arc<str>,
    pub(crate) person: Arc<Person>,
    /// `None`: they have left this hub.
    pub(crate) here: Option<OwnPresence>,
}

/// What other hubs are told of a user who is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnPresence {
    pub(crate) since: u64,
    pub(crate) newest: u64,
    pub(crate) streams: u32,
}

/// Part of what other hubs are to be told.
#[derive(Debug)]
pub(crate) enum OwnChange {
    Member(OwnMember),
    /// What was told so far does not count any more; all members follow.
    Anew,
    /// All members were told.
    Whole,
}

/// How far other hubs were told.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    /// The number of the connection that wants to hear; `None`: there is none.
    wanted: Option<u64>,
    /// How far all members were told; `None`: completely.
    walk: Option<SharingWalk>,
    /// They are told anew, and the connection does not know that yet.
    anew: bool,
    /// Members that have changed.
    changed: VecDeque<(Arc<str>, PersonKey)>,
}

/// The last member that was told.
#[derive(Debug, Default)]
struct SharingWalk {
    after: Option<(Arc<str>, PersonKey)>,
}

fn own(topic: &Arc<str>, key: &PersonKey, member: &TopicMember) -> OwnMember {
    let TopicMember { since, newest, streams, .. } = *member;
    let here = member.is_here().then_some(OwnPresence { since, newest, streams });
    OwnMember { topic: Arc::clone(topic), person: Arc::clone(&key.0), here }
}

impl PresenceTable {
    /// A connection that begins wants to hear of all members, and then of all changes.
    pub(crate) fn share_all(&mut self, wanted: u64) {
        self.sharing = Sharing { wanted: Some(wanted), walk: Some(SharingWalk::default()), ..Sharing::default() };
    }

    /// Nobody wants to hear of members until [`share_all`](Self::share_all).
    pub(crate) fn share_nothing(&mut self) {
        self.sharing = Sharing::default();
    }

    /// The number of the connection that is to be told something.
    pub(crate) fn shares(&self) -> Option<u64> {
        let Sharing { wanted, walk, changed, .. } = &self.sharing;
        wanted.filter(|_| walk.is_some() || !changed.is_empty())
    }

    /// A member of this hub has changed.
    pub(super) fn share(&mut self, topic: &Arc<str>, id: &str) {
        let Self { topics, sharing, members, .. } = self;
        if sharing.wanted.is_none() {
            return;
        }
        let Some(found) = topics.get_mut(topic) else { return };
        let Some(key) = found.members.get_key_value(id).map(|(key, _)| key.clone()) else { return };
        let Some(member) = found.members.get_mut(id).filter(|member| !member.unshared) else { return };
        member.unshared = true;
        sharing.changed.push_back((Arc::clone(topic), key));
        if sharing.changed.len() > CHANGES + CHANGES_A_MEMBER * *members {
            let wanted = sharing.wanted;
            *sharing = Sharing { wanted, walk: Some(SharingWalk::default()), anew: true, changed: VecDeque::new() };
        }
    }

    /// Adds what is to be told now, after looking at `limit` members at most.
    pub(crate) fn take_shared(&mut self, limit: usize, told: &mut Vec<OwnChange>) {
        let Self { topics, sharing, .. } = self;
        let mut steps = 0;
        if limit > 0 && mem::take(&mut sharing.anew) {
            told.push(OwnChange::Anew);
        }
        while let Some(walk) = &mut sharing.walk
            && steps < limit
        {
            let from = walk.after.as_ref().map_or(Bound::Unbounded, |(topic, _)| Bound::Included(&**topic));
            let mut over = true;
            let mut last = None;
            'topics: for (topic, found) in topics.range_mut::<str, _>((from, Bound::Unbounded)) {
                let after = walk.after.as_ref().filter(|(before, _)| before == topic);
                let from = after.map_or(Bound::Unbounded, |(_, key)| Bound::Excluded(&*key.0.id));
                for (key, member) in found.members.range_mut::<str, _>((from, Bound::Unbounded)) {
                    if steps == limit {
                        over = false;
                        break 'topics;
                    }
                    steps += 1;
                    last = Some((Arc::clone(topic), key.clone()));
                    member.unshared = false;
                    if member.is_here() {
                        told.push(OwnChange::Member(own(topic, key, member)));
                    }
                }
            }
            walk.after = last.or(walk.after.take());
            if over {
                sharing.walk = None;
                told.push(OwnChange::Whole);
            }
        }
        while steps < limit
            && let Some((topic, key)) = sharing.changed.pop_front()
        {
            steps += 1;
            let found = topics.get_mut(&topic);
            let found = found.and_then(|found| {
                found.members.get_mut(&key)?.unshared = false;
                found.members.get_key_value(&key)
            });
            told.push(OwnChange::Member(match found {
                Some((key, member)) => own(&topic, key, member),
                None => OwnMember { topic, person: key.0, here: None },
            }));
        }
        if sharing.changed.is_empty() {
            sharing.changed = VecDeque::new();
        }
    }
}
