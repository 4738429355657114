//! The state of a connection in an upgrade.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde_bytes::Bytes;

use crate::connection::decoder::RequestDecoder;
use crate::connection::{Connection, ProcessSession};
use crate::store::report::Ticket;
use crate::sys::Credentials;
use crate::upgrade::incoming::wrong;
use serde::{Deserialize, Serialize};

/// A connection of a PHP process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ConnectionState<'a> {
    /// Unique number of the connection.
    pub(crate) serial: u64,
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) greeted: bool,
    pub(crate) refused: bool,
    pub(crate) held: Vec<u64>,
    #[serde(borrow)]
    pub(crate) outbox: &'a Bytes,
    pub(crate) decoder: &'a Bytes,
    /// Byte range within `decoder` that a descriptor came with; false: it could not be received.
    pub(crate) arrivals: Vec<(u64, u64, bool)>,
}

impl Connection {
    /// The connection's state and descriptors for the new hub. Fails while the connection waits for an answer, which could not
    /// be delivered there.
    pub(crate) fn state<'a>(&'a self, descriptors: &mut Vec<BorrowedFd<'a>>) -> io::Result<ConnectionState<'a>> {
        let Self { socket, decoder, session, queued: _, stalled: _, is_closed: _, awaits_room: _ } = self;
        let ProcessSession {
            credentials,
            role: _,
            greeted,
            refused,
            held,
            waiting,
            resuming: _,
            ticket,
            due: _,
            early: _,
            early_bytes: _,
            takes_over: _,
            outbox,
        } = session;
        if *waiting > 0 {
            return Err(io::Error::other("a publisher still waits for its answer"));
        }
        descriptors.push(socket.as_fd());
        let arrivals = decoder.arrivals().map(|((from, to), descriptor)| {
            descriptors.extend(descriptor);
            (from, to, descriptor.is_some())
        });
        let Credentials { pid, uid, gid } = *credentials;
        Ok(ConnectionState {
            serial: ticket.serial,
            pid,
            uid,
            gid,
            greeted: *greeted,
            refused: *refused,
            held: held.clone(),
            outbox: Bytes::new(outbox),
            arrivals: arrivals.collect(),
            decoder: Bytes::new(decoder.unread()),
        })
    }

    /// Rebuilds a connection from its state, at key `place`.
    pub(crate) fn restore(
        state: &ConnectionState<'_>,
        place: usize,
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Self> {
        let ConnectionState { serial, pid, uid, gid, greeted, refused, held, outbox, decoder, arrivals } = state;
        let mut next = || descriptors.next().ok_or_else(|| wrong("the number of descriptors"));
        let ticket = Ticket { connection: place, serial: *serial, number: 0, reports: false };
        let mut connection = Self::new(next()?, Credentials { pid: *pid, uid: *uid, gid: *gid }, ticket);
        let mut waiting = Vec::new();
        for &(from, to, received) in arrivals {
            waiting.push(((from, to), received.then(&mut next).transpose()?));
        }
        connection.decoder = RequestDecoder::restore(decoder, waiting);
        let session = &mut connection.session;
        (session.greeted, session.refused) = (*greeted, *refused);
        session.held.clone_from(held);
        session.outbox = outbox.to_vec();
        Ok(connection)
    }

    /// The socket, which the caller uses for the upgrade.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Shuts the receiving side down: only requests sent so far will be done.
    pub(crate) fn dismiss(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Read);
    }
}
