//! Attaches of readers that have missed something: each is done once that is found, which may take several turns.

use std::collections::VecDeque;

use crate::broker::deferred::DeferredRequest;
use crate::store::Ticket;
use crate::store::history::History;
use crate::store::history::resume::{Search, Slice};

/// Steps that each search gets at first: most need no more, and are not behind those that need many.
const FIRST: usize = 256;

/// An attach that waits, and the search for what its reader has missed.
type Waiting = (DeferredRequest, Box<Search>);

/// What became of an attach.
#[derive(Debug)]
pub(crate) enum Found {
    /// It can be done now, with this.
    Missed(DeferredRequest, Box<Search>),
    /// Nobody waits for it any more: its worker has gone, or has given it up.
    Gone(Ticket),
}

impl Found {
    /// Whose attach it is.
    pub(crate) fn ticket(&self) -> Ticket {
        match self {
            Self::Missed(parked, _) => parked.ticket,
            Self::Gone(ticket) => *ticket,
        }
    }
}

/// All that wait. Of the searches that take long one is worked on at a time: another one has found little yet, and so keeps little
/// in memory.
#[derive(Debug, Default)]
pub(crate) struct Resuming {
    fresh: VecDeque<Waiting>,
    long: VecDeque<Waiting>,
}

impl Resuming {
    /// Lets an attach wait.
    pub(crate) fn add(&mut self, parked: DeferredRequest, search: Search) {
        self.fresh.push_back((parked, Box::new(search)));
    }

    /// Whose connection has gone waits for nothing; how many have waited.
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> usize {
        let before = self.fresh.len() + self.long.len();
        for waiting in [&mut self.fresh, &mut self.long] {
            waiting.retain(|(parked, _)| !parked.ticket.is_of(ticket));
        }
        before - self.fresh.len() - self.long.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.long.is_empty()
    }

    /// Goes on with the searches; the next one that is complete, or that nobody waits for. `waits` tells whether somebody does.
    pub(crate) fn next(
        &mut self,
        history: &History,
        slice: &mut Slice,
        waits: impl Fn(Ticket) -> bool,
    ) -> Option<Found> {
        // Those that have just come are not to take what is left from those that wait longer.
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
