//! The stores: where the hub keeps an accepted event before it delivers it, and the requests that wait for that.

pub(crate) mod finished;
pub(crate) mod history;
pub(crate) mod redis;
pub(crate) mod report;
pub(crate) mod retained;
pub(crate) mod slice;
pub(crate) mod sqlite;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use mio::Waker;

use crate::config::Config;
use crate::store::history::{History, HistoryLimits, Watermarks};
use crate::store::redis::members::PresenceStart;
use crate::store::redis::{Bus, TailPosition};
use crate::store::report::{KnownKey, Restored, StoreEvent};
use crate::store::retained::LastValue;
use crate::store::sqlite::{Disk, SqliteCounts};
use sse_protocol::id::{Id, IdClock, now_ms};

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

/// A store that was opened, and what it has kept.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) store: Store,
    pub(crate) history: History,
    /// Keys of publications, by age.
    pub(crate) keys: Vec<KnownKey>,
    pub(crate) finished: Vec<finished::Topic>,
    pub(crate) retained: Vec<LastValue>,
}

impl Started {
    fn empty(store: Store, history: History) -> Self {
        Self { store, history, keys: Vec::new(), finished: Vec::new(), retained: Vec::new() }
    }
}

impl Store {
    /// Opens the store that the settings ask for, and loads what it has kept.
    pub(crate) fn start(
        config: &Config,
        presence: PresenceStart,
        clock: &mut IdClock,
        reports: Sender<StoreEvent>,
        ordering_thread: Arc<Waker>,
    ) -> io::Result<Started> {
        let limits = HistoryLimits::of(config);
        if let Some(bus) = &config.bus {
            let bus = Bus::start(bus, config, limits, None, presence, reports, ordering_thread)?;
            return Ok(Started::empty(Self::Bus(bus), History::new(limits, clock.last())));
        }
        let Some(path) = &config.history_file else {
            return Ok(Started::empty(Self::Memory, History::new(limits, clock.last())));
        };
        let (disk, restored) = Disk::start(path, config.history_fsync, clock.last(), reports, ordering_thread)?;
        let nothing = || Restored {
            watermarks: Watermarks { began: clock.last(), newest: clock.last(), ..Watermarks::default() },
            events: Vec::new(),
            keys: Vec::new(),
            finished: Vec::new(),
            retained: Vec::new(),
        };
        let Restored { watermarks, events, keys, finished, retained } = restored.unwrap_or_else(nothing);
        clock.pass(watermarks.newest);
        let history = History::restore(limits, watermarks, events, Instant::now(), now_ms());
        Ok(Started { store: Self::Disk(disk), history, keys, finished, retained })
    }

    /// Reopens the store after an upgrade without reading it again. `newest` is the last stamp in the file, `place` the
    /// position in the bus's stream.
    pub(crate) fn resume(
        config: &Config,
        newest: Id,
        before: SqliteCounts,
        place: Option<TailPosition>,
        presence: PresenceStart,
        reports: Sender<StoreEvent>,
        ordering_thread: Arc<Waker>,
    ) -> io::Result<Self> {
        if let Some(bus) = &config.bus {
            let limits = HistoryLimits::of(config);
            return Ok(Self::Bus(Bus::start(bus, config, limits, place, presence, reports, ordering_thread)?));
        }
        let Some(path) = &config.history_file else { return Ok(Self::Memory) };
        Ok(Self::Disk(Disk::resume(path, config.history_fsync, newest, before, reports, ordering_thread)?))
    }

    /// Whether the write backlog is so large that publishers must wait.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Memory | Self::Bus(_) => false,
            Self::Disk(disk) => disk.is_behind(),
        }
    }
}
