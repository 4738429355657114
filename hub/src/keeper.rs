//! Where an accepted event is kept before it is delivered, and who waits for that.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use mio::Waker;

use crate::config::Config;
use crate::event::Event;
use crate::history::disk::{Disk, Restored, Written};
use crate::history::{History, Limits, Marks};
use crate::id::{Id, IdClock, now_ms};

/// A publisher that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Its place among the peers.
    pub(crate) peer: usize,
    /// Tells it from others that have had that place.
    pub(crate) serial: u64,
}

/// An event that is kept, and now to be delivered.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Larger than those of all events before it.
    pub(crate) stamp: Id,
    /// The event.
    pub(crate) event: Arc<Event>,
    /// Who is to be told; `None`: nobody waits.
    pub(crate) ticket: Option<Ticket>,
}

/// What a keeper's thread tells the router, in order.
#[derive(Debug)]
pub(crate) enum News {
    /// These are kept.
    Kept(Vec<Kept>),
    /// The events of these publishers are not, and will not be delivered.
    Failed {
        /// Who is to be told.
        tickets: Vec<Ticket>,
        /// Why, and what to do.
        reason: String,
    },
    /// There is an event that is newer than the clock.
    Found {
        /// Its stamp.
        newest: Id,
    },
}

/// Where events are kept.
#[derive(Debug)]
pub(crate) enum Keeper {
    /// In memory, or not at all: they are delivered at once.
    Memory,
    /// In a file.
    Disk(Disk),
}

impl Keeper {
    /// What the settings ask for, and what it has kept already.
    pub(crate) fn start(
        config: &Config,
        clock: &mut IdClock,
        news: Sender<News>,
        router: Arc<Waker>,
    ) -> io::Result<(Self, History)> {
        let limits = Limits::of(config);
        let Some(path) = &config.history_file else {
            return Ok((Self::Memory, History::new(limits, clock.last())));
        };
        let (disk, restored) = Disk::start(path, config.history_fsync, clock.last(), news, router)?;
        let nothing = || Restored {
            marks: Marks { began: clock.last(), newest: clock.last(), ..Marks::default() },
            events: Vec::new(),
        };
        let Restored { marks, events } = restored.unwrap_or_else(nothing);
        clock.pass(marks.newest);
        Ok((Self::Disk(disk), History::restore(limits, marks, events, Instant::now(), now_ms())))
    }

    /// The same as before, of which nothing is to be read: `newest` is the stamp of the last event.
    pub(crate) fn resume(
        config: &Config,
        newest: Id,
        before: Written,
        news: Sender<News>,
        router: Arc<Waker>,
    ) -> io::Result<Self> {
        let Some(path) = &config.history_file else { return Ok(Self::Memory) };
        Ok(Self::Disk(Disk::resume(path, config.history_fsync, newest, before, news, router)?))
    }

    /// Whether so much waits to be kept that publishers should wait.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Memory => false,
            Self::Disk(disk) => disk.is_behind(),
        }
    }
}
