//! The work of the publisher thread: events and notifications to send to Redis.

use std::collections::HashSet;
use std::time::Instant;

use crate::store::redis::control_queue::QueuedControl;
use crate::store::report::Ticket;
use sse_protocol::id::Id;
use sse_protocol::topic;

/// Number of waiting topics beyond which a notification means "all topics".
pub(crate) const WAKES: usize = 1024;

/// An event to be sent.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) number: u64,
    pub(crate) fields: Vec<(&'static str, Vec<u8>)>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) key: Option<Box<str>>,
    /// The event as a last value, see `last_values.rs`; `None`: it is none.
    pub(crate) retained: Option<Vec<u8>>,
    pub(crate) bytes: usize,
    pub(crate) since: Instant,
}

/// Publishers to be told of a failure; `None` stands for one that doesn't wait.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FailedPublishers {
    /// Their events were not sent, and will not be.
    pub(crate) unsent: Vec<Option<Ticket>>,
    /// The fate of their events is unknown.
    pub(crate) unknown: Vec<Option<Ticket>>,
}

/// Notifications to send, without duplicates.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct QueuedNotifications {
    pub(crate) all: bool,
    pub(crate) topics: HashSet<Box<str>>,
}

/// The publisher thread's next batch.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) publications: Vec<Publication>,
    pub(crate) wakes: QueuedNotifications,
    /// Messages for the channel by which hubs tell each other to do something.
    pub(crate) controls: Vec<QueuedControl>,
    /// Topics whose last value, of this id, was dropped.
    pub(crate) gone: Vec<(Box<str>, Id)>,
    /// Number of the question for the newest id, if one was asked.
    pub(crate) question: Option<u64>,
}

impl QueuedNotifications {
    pub(crate) fn add(&mut self, topic: &str) {
        if topic == topic::ALL || self.topics.len() >= WAKES {
            (self.all, self.topics) = (true, HashSet::new());
        }
        if !self.all && !self.topics.contains(topic) {
            self.topics.insert(topic.into());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.topics.is_empty()
    }
}

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        self.publications.is_empty()
            && self.wakes.is_empty()
            && self.controls.is_empty()
            && self.gone.is_empty()
            && self.question.is_none()
    }
}
