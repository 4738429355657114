//! Attaches of reconnecting clients: each is done once its history search is complete, which may take several turns.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::deferred::DeferredRequest;
use crate::event::Event;
use crate::store::history::resume::Search;
use crate::store::history::{History, Missed};
use crate::store::report::Ticket;
use crate::store::retained::{Retained, RetainedSearch};
use crate::store::slice::Slice;

/// First budget of a search, in steps. It suffices for most, so that they don't wait behind long searches.
const FIRST: usize = 256;

/// A deferred attach and its searches.
type SearchingAttach = (DeferredRequest, Searches);

/// What an attach searches first.
#[derive(Debug)]
pub(crate) struct Searches {
    /// The events that the client has missed.
    pub(crate) missed: Option<Box<Search>>,
    /// The last values of its topics.
    pub(crate) retained: Option<RetainedSearch>,
}

/// What both searches have found.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    /// `None`: there was no search.
    pub(crate) missed: Option<Missed>,
    /// Last values, by age.
    pub(crate) retained: Vec<Arc<Event>>,
}

impl Searches {
    /// Continues both; true if they are complete. They end in one turn, so that no event is missing in between.
    fn go_on(&mut self, history: &History, retained: &Retained, slice: &mut Slice) -> bool {
        let missed = self.missed.as_mut().is_none_or(|search| history.search(search, slice));
        missed && self.retained.as_mut().is_none_or(|search| retained.search(search, slice))
    }
}

/// Result for a deferred attach.
#[derive(Debug)]
pub(crate) enum Found {
    /// The search is complete; the attach can be done.
    Missed(DeferredRequest, Searches),
    /// The worker has gone or given up.
    Gone(Ticket),
}

impl Found {
    /// Ticket of the attach.
    pub(crate) fn ticket(&self) -> Ticket {
        match self {
            Self::Missed(deferred, _) => deferred.ticket,
            Self::Gone(ticket) => *ticket,
        }
    }
}

/// All attaches with a search. Long searches run one at a time: the others have found little yet, and so use little memory.
#[derive(Debug, Default)]
pub(crate) struct Resuming {
    fresh: VecDeque<SearchingAttach>,
    long: VecDeque<SearchingAttach>,
}

impl Resuming {
    /// Adds an attach and its search.
    pub(crate) fn add(&mut self, deferred: DeferredRequest, search: Searches) {
        self.fresh.push_back((deferred, search));
    }

    /// Drops the attaches of a closed connection; returns their number.
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> usize {
        let before = self.fresh.len() + self.long.len();
        for waiting in [&mut self.fresh, &mut self.long] {
            waiting.retain(|(deferred, _)| !deferred.ticket.is_of(ticket));
        }
        before - self.fresh.len() - self.long.len()
    }

    /// Whether no attach waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.long.is_empty()
    }

    /// Continues the searches; returns the next attach that is complete or abandoned. `waits`: a worker still waits for it.
    pub(crate) fn next(
        &mut self,
        history: &History,
        retained: &Retained,
        slice: &mut Slice,
        waits: impl Fn(Ticket) -> bool,
    ) -> Option<Found> {
        // New searches leave half of the slice to long ones.
        while !slice.is_over(if self.long.is_empty() { 1 } else { 2 })
            && let Some((deferred, mut search)) = self.fresh.pop_front()
        {
            if !waits(deferred.ticket) {
                return Some(Found::Gone(deferred.ticket));
            }
            let mut part = slice.part(FIRST);
            let found = search.go_on(history, retained, &mut part);
            slice.take(&part);
            if found {
                return Some(Found::Missed(deferred, search));
            }
            self.long.push_back((deferred, search));
        }
        let (deferred, search) = self.long.front_mut()?;
        let gone = !waits(deferred.ticket);
        if !gone && !search.go_on(history, retained, slice) {
            return None;
        }
        let (deferred, search) = self.long.pop_front()?;
        Some(if gone { Found::Gone(deferred.ticket) } else { Found::Missed(deferred, search) })
    }
}
