//! The history's part of an upgrade.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::event::Event;
use crate::store::history::{History, HistoryLimits, Watermarks};
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::part::PartKind;
use serde::{Deserialize, Serialize};
use sse_protocol::id::{Id, now_ms};

/// State of the history beside its events.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HistoryState<'a> {
    pub(crate) began: Id,
    pub(crate) whole: bool,
    pub(crate) forgotten: Id,
    pub(crate) own_forgotten: Id,
    pub(crate) newest: Id,
    #[serde(borrow)]
    pub(crate) topics: Vec<(&'a str, Id)>,
    pub(crate) gaps: u64,
    pub(crate) resumed: u64,
}

impl History {
    /// The state to pass to the new hub, without the events.
    pub(crate) fn state(&self) -> HistoryState<'_> {
        let Self {
            limits: _,
            log: _,
            holes: _,
            topics,
            ids: _,
            bytes: _,
            own,
            forgotten,
            newest_forgotten: _,
            epoch: _,
            expired: _,
            began,
            whole,
            newest,
            gaps,
            resumed,
            // The file has them already, or there is no file.
            evictions: _,
        } = self;
        HistoryState {
            began: *began,
            whole: *whole,
            forgotten: *forgotten,
            own_forgotten: own.forgotten,
            newest: *newest,
            topics: topics.iter().map(|(name, topic)| (&**name, topic.forgotten)).collect(),
            gaps: *gaps,
            resumed: *resumed,
        }
    }

    /// Sends the events to the new hub.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let kept: Vec<_> =
            self.log.iter().filter_map(|entry| Some((entry.stamp, Arc::clone(entry.event.as_ref()?)))).collect();
        for group in kept.chunks(100 * ITEMS) {
            let part: Vec<_> = group.iter().map(|(stamp, event)| (*stamp, outgoing.event(event))).collect();
            outgoing.part(PartKind::Stored, &part, &[])?;
        }
        Ok(())
    }

    /// Rebuilds the history in the new hub, within its own limits. `on_disk`: a file mirrors the evictions.
    pub(crate) fn inherit(
        limits: HistoryLimits,
        state: &HistoryState<'_>,
        events: Vec<(Id, Arc<Event>)>,
        on_disk: bool,
    ) -> Self {
        let HistoryState { began, whole, forgotten, own_forgotten, newest, topics, gaps, resumed } = state;
        let topics = topics.iter().map(|&(name, forgotten)| (name.into(), forgotten)).collect();
        let watermarks =
            Watermarks { began: *began, forgotten: *forgotten, own_forgotten: *own_forgotten, topics, newest: *newest };
        let mut history = Self::restore(limits, watermarks, events, Instant::now(), now_ms());
        if !on_disk {
            history.evictions = None;
        }
        (history.whole, history.gaps, history.resumed) = (*whole, *gaps, *resumed);
        history
    }
}
