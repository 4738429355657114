//! Attaches of reconnecting clients: each is done once its history search is complete, which may take several turns.

use std::collections::VecDeque;

use crate::broker::deferred::DeferredRequest;
use crate::store::Ticket;
use crate::store::history::History;
use crate::store::history::resume::{Search, Slice};

/// First budget of a search, in steps. It suffices for most, so that they don't wait behind long searches.
const FIRST: usize = 256;

/// A deferred attach and its search for missed events.
type Waiting = (DeferredRequest, Box<Search>);

/// Result for a deferred attach.
#[derive(Debug)]
pub(crate) enum Found {
    /// The search is complete; the attach can be done.
    Missed(DeferredRequest, Box<Search>),
    /// The worker has gone or given up.
    Gone(Ticket),
}

impl Found {
    /// Ticket of the attach.
    pub(crate) fn ticket(&self) -> Ticket {
        match self {
            Self::Missed(parked, _) => parked.ticket,
            Self::Gone(ticket) => *ticket,
        }
    }
}

/// All attaches with a search. Long searches run one at a time: the others have found little yet, and so use little memory.
#[derive(Debug, Default)]
pub(crate) struct Resuming {
    fresh: VecDeque<Waiting>,
    long: VecDeque<Waiting>,
}

impl Resuming {
    /// Adds an attach and its search.
    pub(crate) fn add(&mut self, parked: DeferredRequest, search: Search) {
        self.fresh.push_back((parked, Box::new(search)));
    }

    /// Drops the attaches of a closed connection; returns their number.
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> usize {
        let before = self.fresh.len() + self.long.len();
        for waiting in [&mut self.fresh, &mut self.long] {
            waiting.retain(|(parked, _)| !parked.ticket.is_of(ticket));
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
        slice: &mut Slice,
        waits: impl Fn(Ticket) -> bool,
    ) -> Option<Found> {
        // New searches leave half of the slice to long ones.
        while !slice.is_over(if self.long.is_empty() { 1 } else { 2 })
            && let Some((parked, mut search)) = self.fresh.pop_front()
        {
            if !waits(parked.ticket) {
                return Some(Found::Gone(parked.ticket));
            }
            let mut part = slice.part(FIRST);
            let found = history.search(&mut search, &mut part);
            slice.take(&part);
            if found {
                return Some(Found::Missed(parked, search));
            }
            self.long.push_back((parked, search));
        }
        let (parked, search) = self.long.front_mut()?;
        let gone = !waits(parked.ticket);
        if !gone && !history.search(search, slice) {
            return None;
        }
        let (parked, search) = self.long.pop_front()?;
        Some(if gone { Found::Gone(parked.ticket) } else { Found::Missed(parked, search) })
    }
}
