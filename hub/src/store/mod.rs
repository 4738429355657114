//! Where an accepted event is kept before it is delivered, and who waits for that.

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

/// A publisher that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Its place among the connections.
    pub(crate) connection: usize,
    /// Tells it from others that have had that place.
    pub(crate) serial: u64,
    /// Tells its requests apart, and in which order they came.
    pub(crate) number: u64,
}

impl Ticket {
    /// Whether both are one publisher's.
    pub(crate) fn is_of(self, other: Self) -> bool {
        (self.connection, self.serial) == (other.connection, other.serial)
    }
}

/// An event that is kept, and now to be delivered.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Larger than those of all events before it.
    pub(crate) stamp: Id,
    /// The event.
    pub(crate) event: Arc<Event>,
    /// Who is to be told; `None`: nobody waits.
    pub(crate) ticket: Option<Ticket>,
}

/// What a store's thread tells the router, in order.
#[derive(Debug)]
pub(crate) enum StoreEvent {
    /// These are kept.
    Stored(Vec<Stored>),
    /// The events of these publishers are not, and will not be delivered.
    Failed {
        /// Who is to be told.
        tickets: Vec<Ticket>,
        /// Why, and what to do.
        reason: String,
    },
    /// What the bus had when it was read for the first time.
    Loaded(Loaded),
    /// What has come over the bus.
    Read {
        /// In their order; the stamps are Redis's ids.
        events: Vec<Stored>,
        /// For [`Bus::digested`].
        bytes: usize,
        /// All up to here was read.
        position: Id,
    },
    /// Events of the bus are missing here, or may be.
    Gap {
        /// Reading goes on after this one.
        position: Id,
    },
    /// The answer to [`Bus::ask`].
    Newest {
        /// Which question, or all up to it.
        question: u64,
        /// The newest id on the bus.
        id: Id,
    },
    /// These topics changed, another hub says.
    Wakes(Vec<Box<str>>),
    /// From here on such wakes are heard; what came before may not have been.
    Listening,
    /// What is in a file that could not be read when the hub began. Nothing could be published until now.
    Restored(Restored),
    /// There is an event that is newer than the clock.
    Found {
        /// Its stamp.
        newest: Id,
    },
}

/// The newest part of what a bus keeps.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What came before is not known.
    pub(crate) began: Id,
    /// Nothing has ever come before.
    pub(crate) whole: bool,
    /// The newest id that was given.
    pub(crate) newest: Id,
    /// In their order.
    pub(crate) events: Vec<Stored>,
}

/// Where events are kept.
#[derive(Debug)]
pub(crate) enum Store {
    /// In memory, or not at all: they are delivered at once.
    Memory,
    /// In a file.
    Disk(Disk),
    /// In Redis, and in the memory of each hub.
    Bus(Bus),
}

impl Store {
    /// What the settings ask for, and what it has kept already.
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

    /// The same as before, of which nothing is to be read again: `newest` is the stamp of the last event of a file, and `place`
    /// how far a bus was read.
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

    /// Whether so much waits to be kept that publishers should wait.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Memory | Self::Bus(_) => false,
            Self::Disk(disk) => disk.is_behind(),
        }
    }
}
