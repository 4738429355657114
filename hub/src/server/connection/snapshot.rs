//! Connections, as they are passed from hub to hub.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde_bytes::Bytes;

use crate::server::connection::{Connection, Session};
use crate::server::decoder::RequestDecoder;
use crate::store::Ticket;
use crate::sys::Credentials;
use crate::upgrade::incoming::wrong;
use crate::upgrade::state::ConnectionState;

impl Connection {
    /// As it is passed on, with its descriptors. One that waits for an answer is not: the answer would not find it.
    pub(crate) fn state<'a>(&'a self, descriptors: &mut Vec<BorrowedFd<'a>>) -> io::Result<ConnectionState<'a>> {
        let Self { socket, decoder, session, queued: _, stalled: _, is_closed: _, awaits_room: _ } = self;
        let Session {
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

    /// The same connection in another hub, at this place.
    pub(crate) fn restore(
        state: &ConnectionState<'_>,
        place: usize,
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Self> {
        let ConnectionState { serial, pid, uid, gid, greeted, refused, held, outbox, decoder, arrivals } = state;
        let mut next = || descriptors.next().ok_or_else(|| wrong("the number of descriptors"));
        let ticket = Ticket { connection: place, serial: *serial, number: 0 };
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

    /// Its socket, which is this process's own from now on.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Takes no more requests from it but those that it has sent already.
    pub(crate) fn dismiss(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Read);
    }
}
