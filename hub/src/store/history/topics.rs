//! The topics of a history: the stamps that each one keeps, and an index by name.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::sys::heap::allocated;
use sse_protocol::id::Id;

/// Capacity below which a list or table is never shrunk.
const FEW: usize = 64;

/// Bytes of a topic beside its name: its slot in the table (of which up to half may be unused), its place in the sorted index,
/// and its list's first capacity.
const TOPIC: usize = 2 * (size_of::<(Arc<str>, HistoryTopic)>() + 1) + 2 * size_of::<Arc<str>>() + 80;

/// All topics that keep an event.
#[derive(Debug, Default)]
pub(crate) struct HistoryTopics {
    by_name: HashMap<Arc<str>, HistoryTopic>,
    /// The same topics sorted by name, so that a pattern need not be compared with all of them.
    names: BTreeSet<Arc<str>>,
}

/// The stamps that a topic keeps.
#[derive(Debug, Default)]
pub(crate) struct HistoryTopic {
    /// Its newest events, up to the limit per topic.
    own: VecDeque<Id>,
    /// Older events, which other topics of theirs keep.
    others: BTreeSet<Id>,
    /// The newest evicted stamp of this topic.
    pub(crate) forgotten: Id,
}

impl HistoryTopics {
    /// Creates topics without events, each with its newest evicted stamp.
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

    pub(crate) fn get(&self, name: &str) -> Option<&HistoryTopic> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut HistoryTopic> {
        self.by_name.get_mut(name)
    }

    /// Adds a topic with its newest evicted stamp; false if the topic exists.
    pub(crate) fn add(&mut self, name: &str, forgotten: Id) -> bool {
        if self.by_name.contains_key(name) {
            return false;
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        self.by_name.insert(name, HistoryTopic { forgotten, ..HistoryTopic::default() });
        true
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
        self.names.remove(name);
        shrink_table(&mut self.by_name);
    }

    /// All topics with their names, unordered.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &HistoryTopic)> {
        self.by_name.iter()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut HistoryTopic> {
        self.by_name.values_mut()
    }

    /// Removes topics without events; returns each with its newest evicted stamp.
    pub(crate) fn remove_empty(&mut self) -> Vec<(Arc<str>, Id)> {
        let mut removed = Vec::new();
        let Self { by_name, names } = self;
        by_name.retain(|name, topic| {
            if topic.is_empty() {
                names.remove(name);
                removed.push((Arc::clone(name), topic.forgotten));
            }
            !topic.is_empty()
        });
        removed
    }

    /// The names with this prefix, sorted; if `after` is given, only those after it.
    pub(crate) fn names<'a>(&'a self, prefix: &'a str, after: Option<&str>) -> impl Iterator<Item = &'a Arc<str>> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let names = self.names.range::<str, _>((from, Bound::Unbounded));
        names.take_while(move |name| name.starts_with(prefix))
    }

    /// Bytes of a topic beside its stamps.
    pub(crate) fn cost(name: &str) -> usize {
        TOPIC + allocated(2 * size_of::<usize>() + name.len())
    }
}

impl HistoryTopic {
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.others.is_empty()
    }

    /// Adds an event newer than all others; false if the topic has it. Beyond `limit`, the oldest of `own` moves to `others`:
    /// the topic's claim to it ends, and its stamp is returned.
    pub(crate) fn push(&mut self, stamp: Id, limit: usize) -> (bool, Option<Id>) {
        if self.own.back() == Some(&stamp) {
            return (false, None);
        }
        self.own.push_back(stamp);
        let over = if self.own.len() > limit { self.own.pop_front() } else { None };
        self.others.extend(over);
        (true, over)
    }

    /// Removes an evicted event.
    pub(crate) fn forget(&mut self, stamp: Id) {
        self.forgotten = self.forgotten.max(stamp);
        // Mostly the first one; another one only where the hub's own events share a topic with others.
        if !self.others.remove(&stamp)
            && let Ok(place) = self.own.binary_search(&stamp)
        {
            self.own.remove(place);
            shrink(&mut self.own);
        }
    }

    /// The newest event not newer than `until`.
    pub(crate) fn newest(&self, until: Id) -> Option<Id> {
        let own = self.own.partition_point(|stamp| *stamp <= until).checked_sub(1).map(|place| self.own[place]);
        own.or_else(|| self.others.range(..=until).next_back().copied())
    }
}

/// Gives back capacity of a list that is less than a quarter full.
pub(crate) fn shrink<T>(list: &mut VecDeque<T>) {
    if list.capacity() > FEW && list.len() < list.capacity() / 4 {
        list.shrink_to(2 * list.len());
    }
}

/// Gives back unused capacity of a table. Tables have a power of two of slots: this one shrinks when about a third of them is
/// in use, and grows again after a quarter more.
pub(crate) fn shrink_table<K: Eq + std::hash::Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > FEW && table.len() < table.capacity() / 2 {
        table.shrink_to(table.len() + table.len() / 4);
    }
}
