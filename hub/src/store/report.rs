//! What the threads of the stores report to the ordering thread, and whose requests that answers.

use std::sync::Arc;

use crate::event::Event;
use crate::presence::elsewhere::ElsewhereChange;
use crate::store::finished::Topic;
use crate::store::history::Watermarks;
use crate::store::redis::control::BusControl;
use crate::store::retained::LastValue;
use sse_protocol::id::Id;

/// A request of a connection whose answer is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Index of the connection in the connection table.
    pub(crate) connection: usize,
    /// Distinguishes the connections that had this index.
    pub(crate) serial: u64,
    /// Number of the request on its connection; it only grows.
    pub(crate) number: u64,
    /// Whether the publisher is told how many streams its event went to.
    pub(crate) reports: bool,
}

impl Ticket {
    /// Whether both tickets belong to the same connection.
    pub(crate) fn is_of(self, other: Self) -> bool {
        (self.connection, self.serial) == (other.connection, other.serial)
    }
}

/// An event that the store has kept, ready for delivery.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The hub's id for the event, larger than all before it.
    pub(crate) stamp: Id,
    /// The event.
    pub(crate) event: Arc<Event>,
    /// The publish request to answer; `None` if nobody waits.
    pub(crate) ticket: Option<Ticket>,
    /// The key of the publication; always `None` from the bus.
    pub(crate) key: Option<Box<str>>,
    /// Whether it becomes the last value of its topics.
    pub(crate) retain: bool,
}

/// What a store's thread reports to the ordering thread, in order.
#[derive(Debug)]
pub(crate) enum StoreEvent {
    /// The store has kept these events.
    Stored(Vec<Stored>),
    /// The store could not keep the events of these requests; the hub does not deliver them.
    Failed {
        /// The requests to answer.
        tickets: Vec<Ticket>,
        /// The keys of these publications, which may be published again.
        keys: Vec<Box<str>>,
        /// Cause and remedy, for the answers.
        reason: String,
    },
    /// Another hub, or this one before, has published with the same key: nothing was published.
    Repeated {
        /// The request to answer; `None` if nobody waits.
        ticket: Option<Ticket>,
        /// Id of the event that was published.
        id: Box<str>,
    },
    /// The bus's contents at its first read.
    Loaded(Loaded),
    /// Events that arrived over the bus.
    Read {
        /// In stream order; the stamps are Redis's entry ids.
        events: Vec<Stored>,
        /// Size of the entries, to pass to `Bus::digested`.
        bytes: usize,
        /// Id of the last entry read.
        position: Id,
    },
    /// The bus lost events on the way to this hub, or may have.
    Gap {
        /// Reading continues after this entry id.
        position: Id,
    },
    /// The last values that Redis has, after a gap; none newer than its position.
    Retained(Vec<LastValue>),
    /// The answer to `Bus::ask`.
    Newest {
        /// Number of the question; this also answers all earlier ones.
        question: u64,
        /// The newest id on the bus.
        id: Id,
    },
    /// Redis has passed an inquiry on.
    Asked {
        /// Number of the inquiry.
        question: u64,
        /// How many hubs listen, this one included.
        receivers: usize,
    },
    /// Other hubs have notified topics, which `Bus::take_heard` tells.
    Wakes,
    /// What another hub, or another program, tells all hubs to do.
    Control(BusControl),
    /// Notifications arrive from here on; earlier ones may be lost.
    Listening,
    /// A connection to Redis wants to tell other hubs of all members.
    MembersWanted {
        /// Its number, for `Bus::tell_members`.
        connection: u64,
    },
    /// What has become of members at other hubs.
    Members {
        changes: Vec<ElsewhereChange>,
        /// For `Bus::members_digested`.
        bytes: usize,
    },
    /// What other hubs have told is known, or can't be read now.
    MembersRead,
    /// Contents of SQLite's file, which was unreadable at startup. Until now the hub could not publish anything.
    Restored(Restored),
    /// The file has an event that is newer than the clock.
    Found {
        /// Stamp of that event.
        newest: Id,
    },
}

/// The newest part of what a bus keeps.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Stamp before the oldest loaded event; earlier events are unknown.
    pub(crate) began: Id,
    /// Whether no event ever came before `began`.
    pub(crate) whole: bool,
    /// The newest id that Redis gave out.
    pub(crate) newest: Id,
    /// In stream order.
    pub(crate) events: Vec<Stored>,
    /// The last values, none newer than `newest`.
    pub(crate) retained: Vec<LastValue>,
}

/// Contents of SQLite's file when it was opened.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) watermarks: Watermarks,
    pub(crate) events: Vec<(Id, Arc<Event>)>,
    /// By age.
    pub(crate) keys: Vec<KnownKey>,
    pub(crate) finished: Vec<Topic>,
    pub(crate) retained: Vec<LastValue>,
}

/// The key of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownKey {
    pub(crate) key: Box<str>,
    /// Stamp of the event.
    pub(crate) stamp: Id,
    /// Id of the event.
    pub(crate) id: Box<str>,
}
