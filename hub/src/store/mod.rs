//! The stores: where the hub keeps an accepted event before it delivers it, and the requests that wait for that.

pub(crate) mod history;
pub(crate) mod redis;
pub(crate) mod sqlite;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use mio::Waker;

use crate::config::Config;
use crate::event::Event;
use crate::store::history::{History, Limits, Watermarks};
use crate::store::redis::{Bus, Place};
use crate::store::sqlite::{Disk, Restored, Written};
use sse_protocol::id::{Id, IdClock, now_ms};

/// A request of a connection whose answer is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Index of the connection in the connection table.
    pub(crate) connection: usize,
    /// Distinguishes the connections that had this index.
    pub(crate) serial: u64,
    /// Number of the request on its connection; it only grows.
    pub(crate) number: u64,
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
        /// Cause and remedy, for the answers.
        reason: String,
    },
    /// The bus's contents at its first read.
    Loaded(Loaded),
    /// Events that arrived over the bus.
    Read {
        /// In stream order; the stamps are Redis's entry ids.
        events: Vec<Stored>,
        /// Size of the entries, to pass to [`Bus::digested`].
        bytes: usize,
        /// Id of the last entry read.
        position: Id,
    },
    /// The bus lost events on the way to this hub, or may have.
    Gap {
        /// Reading continues after this entry id.
        position: Id,
    },
    /// The answer to [`Bus::ask`].
    Newest {
        /// Number of the question; this also answers all earlier ones.
        question: u64,
        /// The newest id on the bus.
        id: Id,
    },
    /// Notifications of another hub: these topics changed.
    Wakes(Vec<Box<str>>),
    /// Notifications arrive from here on; earlier ones may be lost.
    Listening,
    /// Contents of a file that was unreadable at startup. Until now the hub could not publish anything.
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
}

/// Where events are kept.
#[derive(Debug)]
pub(crate) enum Store {
    /// In memory or nowhere: the hub delivers each event at once.
    Memory,
    /// In an SQLite file.
    Disk(Disk),
    /// In a Redis stream, and in the memory of each hub.
    Bus(Bus),
}

impl Store {
    /// Opens the store that the settings ask for, and loads the history that it has kept.
    pub(crate) fn start(
        config: &Config,
        clock: &mut IdClock,
        news: Sender<StoreEvent>,
        router: Arc<Waker>,
    ) -> io::Result<(Self, History)> {
        let limits = Limits::of(config);
        if let Some(bus) = &config.bus {
            let bus = Bus::start(bus, config, limits, None, news, router)?;
            return Ok((Self::Bus(bus), History::new(limits, clock.last())));
        }
        let Some(path) = &config.history_file else {
            return Ok((Self::Memory, History::new(limits, clock.last())));
        };
        let (disk, restored) = Disk::start(path, config.history_fsync, clock.last(), news, router)?;
        let nothing = || Restored {
            watermarks: Watermarks { began: clock.last(), newest: clock.last(), ..Watermarks::default() },
            events: Vec::new(),
        };
        let Restored { watermarks, events } = restored.unwrap_or_else(nothing);
        clock.pass(watermarks.newest);
        Ok((Self::Disk(disk), History::restore(limits, watermarks, events, Instant::now(), now_ms())))
    }

    /// Reopens the store after an upgrade without reading it again. `newest` is the last stamp in the file, `place` the
    /// position in the bus's stream.
    pub(crate) fn resume(
        config: &Config,
        newest: Id,
        before: Written,
        place: Option<Place>,
        news: Sender<StoreEvent>,
        router: Arc<Waker>,
    ) -> io::Result<Self> {
        if let Some(bus) = &config.bus {
            return Ok(Self::Bus(Bus::start(bus, config, Limits::of(config), place, news, router)?));
        }
        let Some(path) = &config.history_file else { return Ok(Self::Memory) };
        Ok(Self::Disk(Disk::resume(path, config.history_fsync, newest, before, news, router)?))
    }

    /// Whether the write backlog is so large that publishers must wait.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Memory | Self::Bus(_) => false,
            Self::Disk(disk) => disk.is_behind(),
        }
    }
}
