//! What publishers are told of their events: nothing, the id, or a receipt that says how many streams the event went to.
//!
//! The shards count for a receipt right after they have got the event. A publisher that wants none causes no question.

use crate::broker::Broker;
use crate::broker::inquiry::{Asker, Findings};
use crate::connection::ProcessSession;
use crate::event::Event;
use crate::store::report::Ticket;
use sse_protocol::wire::Reply;

/// What a publisher is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishAnswer {
    /// It does not wait.
    Nothing,
    /// The event's id.
    Id,
    /// The id, and how many streams the event went to.
    Receipt,
}

impl PublishAnswer {
    /// Takes a ticket for the answer, if there is to be one.
    pub(crate) fn wait(self, session: &mut ProcessSession) -> Option<Ticket> {
        (self != Self::Nothing).then(|| Ticket { reports: self == Self::Receipt, ..session.wait() })
    }

    /// The ticket that [`wait`](Self::wait) takes next.
    pub(crate) fn next_ticket(self, session: &ProcessSession) -> Option<Ticket> {
        (self != Self::Nothing).then(|| Ticket { reports: self == Self::Receipt, ..session.next_ticket() })
    }
}

/// The answer to a publisher whose key was known: its event was dropped, and went to nobody.
pub(crate) fn repeated(ticket: Ticket, id: &str) -> Reply<'_> {
    if ticket.reports { Reply::Receipt { id, watchers: Some(0), duplicate: true } } else { Reply::Published { id } }
}

/// The answer to a publisher whose event is kept, and not delivered by itself.
pub(crate) fn kept(ticket: Ticket, id: &str) -> Reply<'_> {
    if ticket.reports { Reply::Receipt { id, watchers: None, duplicate: false } } else { Reply::Published { id } }
}

impl Broker {
    /// Tells a publisher that its event is delivered. For a receipt the shards are asked first, unless none can have a stream that
    /// the event went to.
    pub(crate) fn tell_delivered(
        &mut self,
        ticket: Ticket,
        event: &Event,
        answer: &mut impl FnMut(Ticket, &Reply<'_>),
    ) {
        let id = event.id();
        if !ticket.reports {
            answer(ticket, &Reply::Published { id });
            return;
        }
        let number = self.inquiries.number();
        let except = self.excepted(event);
        let (shards, streams) = self.count_watchers(number, event.topics(), except);
        if shards.is_empty() {
            answer(ticket, &Reply::Receipt { id, watchers: Some(streams), duplicate: false });
        } else {
            let found = Findings::Delivered { id: id.into(), streams: Some(streams) };
            self.inquiries.add(number, Asker::Script(ticket), shards, None, found);
        }
    }
}
