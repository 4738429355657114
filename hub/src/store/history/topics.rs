//! What each topic keeps, and the topics in the order of their names.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::util::heap::allocated;
use sse_protocol::id::Id;

/// Places of a list or a table that is not shrunk, however few of them are in use.
const FEW: usize = 64;

/// What a topic takes beside its name: its places in the table (of which as many may be free), in the order of the names, and
/// its list's first room.
const TOPIC: usize = 2 * (size_of::<(Arc<str>, Topic)>() + 1) + 2 * size_of::<Arc<str>>() + 80;

/// All topics that keep an event.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: HashMap<Arc<str>, Topic>,
    /// The same, so that a pattern's are found without a look at all others.
    names: BTreeSet<Arc<str>>,
}

/// What a topic keeps, by stamps.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    /// Its newest events, as many as it may have.
    own: VecDeque<Id>,
    /// Older ones, which other topics of theirs keep.
    others: BTreeSet<Id>,
    /// The newest of its events that is not kept any more.
    pub(crate) forgotten: Id,
}

impl Topics {
    /// Topics that keep nothing yet, with what each has forgotten.
    pub(crate) fn new(topics: impl IntoIterator<Item = (Box<str>, Id)>) -> Self {
        let mut all = Self::default();
        for (name, forgotten) in topics {
            all.add(&name, forgotten);
        }
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    /// Adds a topic that is not there, with what it may have had once and has forgotten; false if it is there.
    pub(crate) fn add(&mut self, name: &str, forgotten: Id) -> bool {
        if self.by_name.contains_key(name) {
            return false;
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        self.by_name.insert(name, Topic { forgotten, ..Topic::default() });
        true
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
        self.names.remove(name);
        shrink_table(&mut self.by_name);
    }

    /// Each with its name, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Topic)> {
        self.by_name.iter()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Topic> {
        self.by_name.values_mut()
    }

    /// Forgets those that keep nothing; returns the newest stamp that they have forgotten. `removed` is told of each.
    pub(crate) fn remove_empty(&mut self, mut removed: impl FnMut(&str)) -> Id {
        let mut forgotten = Id::default();
        let Self { by_name, names } = self;
        by_name.retain(|name, topic| {
            if topic.is_empty() {
                forgotten = forgotten.max(topic.forgotten);
                names.remove(name);
                removed(name);
            }
            !topic.is_empty()
        });
        forgotten
    }

    /// The names that begin like this, in order, after one of them if that is given.
    pub(crate) fn names<'a>(&'a self, prefix: &'a str, after: Option<&str>) -> impl Iterator<Item = &'a Arc<str>> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let names = self.names.range::<str, _>((from, Bound::Unbounded));
        names.take_while(move |name| name.starts_with(prefix))
    }

    /// What a topic takes beside what it keeps.
    pub(crate) fn cost(name: &str) -> usize {
        TOPIC + allocated(2 * size_of::<usize>() + name.len())
    }
}

impl Topic {
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.others.is_empty()
    }

    /// Keeps an event that is newer than all others; false if it has that already. As it keeps `limit` itself, it may let the
    /// oldest of them go to the other topics of that one, which is returned.
    pub(crate) fn push(&mut self, stamp: Id, limit: usize) -> (bool, Option<Id>) {
        if self.own.back() == Some(&stamp) {
            return (false, None);
        }
        self.own.push_back(stamp);
        let over = if self.own.len() > limit { self.own.pop_front() } else { None };
        self.others.extend(over);
        (true, over)
    }

    /// An event that it had is not kept any more.
    pub(crate) fn forget(&mut self, stamp: Id) {
        self.forgotten = self.forgotten.max(stamp);
        if !self.others.remove(&stamp) && self.own.front() == Some(&stamp) {
            self.own.pop_front();
            shrink(&mut self.own);
        }
    }

    /// The newest event that is no newer than this.
    pub(crate) fn newest(&self, until: Id) -> Option<Id> {
        let own = self.own.partition_point(|stamp| *stamp <= until).checked_sub(1).map(|place| self.own[place]);
        own.or_else(|| self.others.range(..=until).next_back().copied())
    }
}

/// Gives back what a list has not used for long.
pub(crate) fn shrink<T>(list: &mut VecDeque<T>) {
    if list.capacity() > FEW && list.len() < list.capacity() / 4 {
        list.shrink_to(2 * list.len());
    }
}

/// Gives back what a table does not use. A table has a power of two of places, so it is made smaller when about a third of
/// them is in use, and then grows again when a quarter more are.
pub(crate) fn shrink_table<K: Eq + std::hash::Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > FEW && table.len() < table.capacity() / 2 {
        table.shrink_to(table.len() + table.len() / 4);
    }
}
