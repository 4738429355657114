//! Serves the connections of PHP processes: accepts them, does their requests, and writes the answers.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::broker::Broker;
use crate::connection::rights::Role;
use crate::connection::token::Of;
use crate::connection::{Connection, ConnectionRead};
use crate::server::acceptor::{self, Candidate};
use crate::server::{PART, Server, trust};
use crate::store::report::Ticket;
use crate::store::slice::Slice;
use crate::sys::Credentials;

/// Connections accepted per turn, so that whoever connects all the time keeps nobody else waiting.
const ACCEPTS_A_TURN: usize = 64;

/// Pause of the acceptor when even its reserve descriptor is gone.
const ACCEPTOR_PAUSE: Duration = Duration::from_secs(1);

/// Maximum size of a greeting, in bytes.
const MAX_GREETING: usize = 1024;

/// Reads from one connection per turn, so that the others get theirs.
const READS_A_TURN: usize = 4;

impl Server {
    /// Accepts waiting connections; the rest comes in the next turn.
    pub(crate) fn accept_waiting(&mut self) {
        for _ in 0..ACCEPTS_A_TURN {
            match self.acceptor.open() {
                Candidate::Nobody => return,
                Candidate::NoDescriptor(refused) => {
                    let reason = self.broker.no_descriptor();
                    let Some(socket) = refused else {
                        self.acceptor.retry = Some(Instant::now() + ACCEPTOR_PAUSE);
                        return;
                    };
                    acceptor::no_room(&socket, &reason);
                    drop(socket);
                    self.acceptor.refill();
                }
                Candidate::Connection(socket) => match trust::check(&self.broker.config, socket.as_fd()) {
                    Ok(credentials) if self.has_members_share(credentials) => {
                        let reason = self.broker.too_many_members();
                        acceptor::no_room(&socket, &reason);
                    }
                    Ok(credentials) => {
                        let entry = self.connections.vacant_entry();
                        self.serial += 1;
                        let ticket = Ticket { connection: entry.key(), serial: self.serial, number: 0, reports: false };
                        let mut connection = Connection::new(socket, credentials, ticket);
                        match connection.register(Of::Connection(entry.key()).into(), self.poll.registry()) {
                            Ok(()) => {
                                self.members += usize::from(connection.session.member().is_some());
                                entry.insert(connection);
                                self.broker.connections += 1;
                            }
                            Err(error) => warn!(%error, "a connection can't be watched"),
                        }
                    }
                    Err(untrusted) => {
                        let reason = untrusted.to_string();
                        self.broker.distrusted(&reason);
                        acceptor::turn_away(&socket, &reason);
                    }
                },
            }
        }
    }

    /// Whether this is a process of a member, and members have all the connections that they may have together.
    pub(crate) fn has_members_share(&self, credentials: Credentials) -> bool {
        let role = Role::of(credentials, rustix::process::geteuid().as_raw());
        role == Role::Member && self.members >= self.broker.members_share()
    }

    pub(crate) fn queue(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.ready.push(key);
        }
    }

    /// Does the requests of the ready connections; returns these connections.
    pub(crate) fn serve(&mut self) -> Vec<usize> {
        let served = std::mem::take(&mut self.ready);
        let mut slice = Slice::new(usize::MAX, PART);
        for (nth, &key) in served.iter().enumerate() {
            if slice.is_over(1) {
                // The rest comes first in the next turn.
                self.ready.splice(0..0, served[nth..].iter().copied());
                break;
            }
            if let Some(connection) = self.connections.get_mut(key) {
                connection.queued = false;
                let served = serve_connection(connection, &mut self.broker, &mut self.scratch, &mut slice);
                if connection.session.takes_over {
                    self.successor.get_or_insert(key);
                }
                match served {
                    Served::All => {}
                    Served::Some => self.queue(key),
                    Served::Gone => {
                        // The process may have closed only its sending side.
                        connection.flush();
                        self.close(key);
                    }
                }
            }
        }
        served
    }

    /// Writes the pending answers of these connections.
    pub(crate) fn answer(&mut self, keys: &[usize]) {
        for &key in keys {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if (connection.session.is_owed() || connection.session.refused) && !connection.flush() {
                self.close(key);
                continue;
            }
            if let Err(error) = connection.await_room(Of::Connection(key).into(), self.poll.registry()) {
                warn!(%error, "a connection can't be watched");
                self.close(key);
            } else if connection.is_closed || (connection.stalled && !connection.session.is_full()) {
                // A closed connection is still read to its end.
                connection.stalled = false;
                self.queue(key);
            }
        }
    }

    pub(crate) fn close(&mut self, key: usize) {
        let Some(connection) = self.connections.try_remove(key) else { return };
        connection.deregister(self.poll.registry());
        self.broker.abandon(&connection.session.held);
        if let Some(ticket) = connection.session.waits() {
            self.broker.abandon_ticket(ticket);
        }
        self.broker.wake_shards();
        self.broker.connections -= 1;
        self.members -= usize::from(connection.session.member().is_some());
    }
}

/// How far a connection's requests were done.
enum Served {
    /// All that it sent is done, or waits.
    All,
    /// More requests may be ready.
    Some,
    /// The connection is closed.
    Gone,
}

fn serve_connection(connection: &mut Connection, broker: &mut Broker, scratch: &mut [u8], slice: &mut Slice) -> Served {
    let mut read_all = false;
    for _ in 0..READS_A_TURN {
        // Requests left from the last turn come first.
        loop {
            let Connection { decoder, session, stalled, .. } = &mut *connection;
            if session.refused {
                return Served::All;
            }
            if session.is_full() {
                *stalled = true;
                return Served::All;
            }
            if broker.is_behind() {
                return Served::Some;
            }
            let limit = if session.greeted { broker.config.max_message() } else { MAX_GREETING };
            let may_follow = || decoder.peek(limit).is_ok_and(|next| next.is_none_or(|next| Broker::may_follow(&next)));
            if session.resuming || session.waiting > 0 && !may_follow() {
                return if connection.has_left() { Served::Gone } else { Served::All };
            }
            if !slice.spend() {
                return Served::Some;
            }
            match decoder.next(limit) {
                Ok(Some(incoming)) => broker.handle(session, incoming),
                Ok(None) => break,
                Err(error) => broker.malformed(session, &error),
            }
        }
        if read_all {
            return Served::All;
        }
        match connection.read(scratch) {
            ConnectionRead::Some => {}
            ConnectionRead::Last => read_all = true,
            ConnectionRead::Nothing => return Served::All,
            ConnectionRead::End => return Served::Gone,
        }
    }
    Served::Some
}
