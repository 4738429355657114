//! A part of the state in an upgrade. What is in it is known to the module that it belongs to, by its snapshot.

use std::io;

use serde::{Deserialize, Serialize};
use sse_protocol::wire;

/// What a part contains. What it refers to by number came in an earlier part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PartKind {
    /// Instead of all others: why this hub refuses an upgrade, a string.
    No,
    /// The first part, of the server. Descriptors: the lifeline, the listening socket; the UDP socket; the notification
    /// socket; the link to the foreground process and that one's standard error.
    Hub,
    /// Ids of processes whose end is the end of the hub. Descriptors: a pidfd each.
    Owners,
    /// Events that other parts refer to, numbered from 0 over all these parts.
    Events,
    /// Blobs that other parts refer to, numbered as well.
    Blobs,
    /// Events of the history in order: stamp and number.
    Stored,
    /// Finished topics: name, and stamp and number of the last event.
    Finished,
    /// Last values: stamp, number of the event, and those of its topics whose last value it is.
    Retained,
    /// Streams. Descriptors: a connection each.
    Streams,
    /// Streams that count for a quota, with their keys.
    Quota,
    /// Streams, their clients, and the bytes charged for each subscription.
    Charges,
    /// Streams that have to do with presence, then members.
    Presence,
    /// Connections of PHP processes. Descriptors: of each its socket, then those of its arrivals.
    Connections,
    /// Upstreams, numbered in this order.
    Servers,
    /// Render jobs.
    Jobs,
    /// Attempts under way. Descriptors: a connection each.
    Runs,
    /// The listener for requests by HTTP. Descriptors: it, if there is one.
    Http,
    /// Beginnings of requests by HTTP. Descriptors: a connection each.
    Requests,
    /// Unused tickets.
    Tickets,
    /// The last part, empty.
    End,
}

/// A received part, not decoded yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpgradePart<'a> {
    /// What it contains.
    pub(crate) kind: PartKind,
    content: &'a [u8],
}

impl<'a> UpgradePart<'a> {
    /// Tells the parts apart, by their first byte.
    pub(crate) fn of(message: &'a [u8]) -> io::Result<Self> {
        let (kind, content) = message.split_at(message.len().min(1));
        Ok(Self { kind: wire::decode(kind).map_err(io::Error::other)?, content })
    }

    /// The content, as the type that its sender gave to [`Outgoing::part`](super::outgoing::Outgoing::part).
    pub(crate) fn read<T: Deserialize<'a>>(&self) -> io::Result<T> {
        wire::decode(self.content).map_err(io::Error::other)
    }
}
