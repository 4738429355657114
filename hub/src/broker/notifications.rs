//! The notifications of one turn, merged.

use std::collections::HashSet;
use std::sync::Arc;

use crate::stream::Trigger;
use sse_protocol::topic;

/// Maximum number of different topics per turn; more become a notification of all topics.
pub(crate) const MAX_TOPICS: usize = 1024;

/// Notifications not passed on yet. A topic notified many times in a turn is passed on once.
#[derive(Debug, Default)]
pub(crate) struct Notifications {
    all: bool,
    /// Topics in order of their first notification.
    topics: Vec<Arc<str>>,
    known: HashSet<Arc<str>>,
}

impl Notifications {
    /// Adds a checked topic.
    pub(crate) fn add(&mut self, topic: &str) {
        if self.all || self.known.contains(topic) {
            return;
        }
        if self.topics.len() >= MAX_TOPICS {
            self.add_all();
            return;
        }
        let topic: Arc<str> = topic.into();
        self.topics.push(Arc::clone(&topic));
        self.known.insert(topic);
    }

    /// Adds all topics.
    pub(crate) fn add_all(&mut self) {
        *self = Self { all: true, ..Self::default() };
    }

    /// Whether there is nothing to pass on.
    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.topics.is_empty()
    }

    /// Takes out the merged notifications.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Trigger> + use<> {
        let Self { all, topics, .. } = std::mem::take(self);
        let all = all.then(|| Trigger::new(topic::ALL));
        topics.into_iter().map(|topic| Trigger::new(&topic)).chain(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(notifications: &mut Notifications) -> Vec<String> {
        notifications.take().map(|trigger| trigger.topic().to_string()).collect()
    }

    #[test]
    fn the_same_topic_is_passed_on_once() {
        let mut notifications = Notifications::default();
        for topic in ["b", "a", "b"] {
            notifications.add(topic);
        }
        assert_eq!(taken(&mut notifications), ["b", "a"]);
        assert_eq!(taken(&mut notifications), [""; 0]);
    }

    #[test]
    fn all_includes_every_topic_and_too_many_become_all() {
        let mut notifications = Notifications::default();
        notifications.add("a");
        notifications.add_all();
        notifications.add("b");
        assert_eq!(taken(&mut notifications), ["**"]);
        for number in 0..=MAX_TOPICS {
            notifications.add(&number.to_string());
        }
        assert_eq!(taken(&mut notifications), ["**"]);
    }
}
