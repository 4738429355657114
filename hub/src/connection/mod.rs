//! The connection of a PHP process: its socket, its decoder and its session.

pub mod decoder;
pub(crate) mod rights;
pub(crate) mod snapshot;
pub(crate) mod token;

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags};

use crate::connection::decoder::RequestDecoder;
use crate::connection::rights::Role;
use crate::store::report::Ticket;
use crate::sys::Credentials;
use sse_protocol::wire::{self, ErrorCode, Reply};

/// Bytes of unread answers after which a connection's next requests wait. This bounds the memory for a process that sends
/// without ever reading, and makes it block in the end.
const ENOUGH: usize = 64 << 10;

/// The connection of a PHP process.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// Decodes what the process sent.
    pub(crate) decoder: RequestDecoder,
    /// The connection's progress and pending answers.
    pub(crate) session: ProcessSession,
    /// The connection is in the server's list of ready ones.
    pub(crate) queued: bool,
    /// Requests wait until the process reads its answers.
    pub(crate) stalled: bool,
    /// The process has closed its sending side; received bytes may still be unread.
    pub(crate) is_closed: bool,
    /// The socket is registered for writing, because it took only a part of the answers.
    awaits_room: bool,
}

/// How far a connection is, and the answers it still gets.
#[derive(Debug)]
pub(crate) struct ProcessSession {
    /// Credentials of the process, from the kernel.
    pub(crate) credentials: Credentials,
    /// The role that its rights follow from.
    pub(crate) role: Role,
    /// The greeting succeeded.
    pub(crate) greeted: bool,
    /// The hub closes the connection after the pending answers.
    pub(crate) refused: bool,
    /// Streams that the process attached and has neither committed nor aborted.
    pub(crate) held: Vec<u64>,
    /// Number of requests whose answers aren't known yet. Only publish requests may follow them.
    pub(crate) waiting: usize,
    /// An attach is deferred; no other request of this connection is done before its answer.
    pub(crate) resuming: bool,
    /// Ticket of the last request that had to wait.
    ticket: Ticket,
    /// The connection is a new hub that asks for an upgrade.
    pub(crate) takes_over: bool,
    /// Number of the ticket to answer next; `early` has answers to later ones.
    due: u64,
    early: BTreeMap<u64, Vec<u8>>,
    early_bytes: usize,
    outbox: Vec<u8>,
}

/// Result of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionRead {
    /// Some bytes, and maybe more to come.
    Some,
    /// All the bytes there were.
    Last,
    /// No bytes yet.
    Nothing,
    /// End of stream, or an error.
    End,
}

impl ProcessSession {
    /// The session of a connection before its greeting.
    fn new(credentials: Credentials, ticket: Ticket) -> Self {
        Self {
            credentials,
            role: Role::of(credentials, rustix::process::geteuid().as_raw()),
            greeted: false,
            refused: false,
            held: Vec::new(),
            waiting: 0,
            resuming: false,
            ticket,
            takes_over: false,
            due: ticket.number + 1,
            early: BTreeMap::new(),
            early_bytes: 0,
            outbox: Vec::new(),
        }
    }

    /// The system user whose process it is, where that is a member only.
    pub(crate) fn member(&self) -> Option<u32> {
        (self.role == Role::Member).then_some(self.credentials.uid)
    }

    /// Tells it from all others, also in the hub that takes over.
    pub(crate) fn connection(&self) -> u64 {
        self.ticket.serial
    }

    /// Takes a ticket for a request whose answer isn't known yet.
    pub(crate) fn wait(&mut self) -> Ticket {
        self.waiting += 1;
        self.ticket.number += 1;
        self.ticket
    }

    /// The ticket that [`wait`](Self::wait) gives next.
    pub(crate) fn next_ticket(&self) -> Ticket {
        Ticket { number: self.ticket.number + 1, ..self.ticket }
    }

    /// The last ticket, if any answer is outstanding.
    pub(crate) fn waits(&self) -> Option<Ticket> {
        (self.waiting > 0).then_some(self.ticket)
    }

    /// Whether the answer to this ticket is for this connection.
    pub(crate) fn waits_for(&self, ticket: Ticket) -> bool {
        self.waiting > 0 && self.ticket.is_of(ticket)
    }

    /// Answers this ticket, once the tickets before it are answered.
    pub(crate) fn answer(&mut self, ticket: Ticket, reply: &Reply<'_>) {
        self.settle(ticket, wire::encode(reply));
    }

    /// Closes the ticket of a request whose answer is already in the outbox; it must be the next ticket.
    pub(crate) fn answered(&mut self, ticket: Ticket) {
        self.resuming = false;
        self.settle(ticket, Vec::new());
    }

    fn settle(&mut self, ticket: Ticket, answer: Vec<u8>) {
        self.waiting -= 1;
        self.early_bytes += memory(&answer);
        self.early.insert(ticket.number, answer);
        while let Some(answer) = self.early.remove(&self.due) {
            self.early_bytes -= memory(&answer);
            self.outbox.extend_from_slice(&answer);
            self.due += 1;
        }
    }

    /// Appends the answer to the current request.
    pub(crate) fn reply(&mut self, reply: &Reply<'_>) {
        wire::append(&mut self.outbox, reply);
    }

    /// Answers the current request with an error.
    pub(crate) fn error(&mut self, code: ErrorCode, message: &str) {
        self.reply(&Reply::Error { code, message });
    }

    /// Answers why the hub doesn't serve this process, and closes the connection after that.
    pub(crate) fn refuse(&mut self, reason: &str) {
        self.reply(&Reply::Refused { reason });
        self.refused = true;
    }

    /// Whether the process must read answers before its next request is done, or the hub must first give those that come
    /// before the ones it has.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.len() + self.early_bytes >= ENOUGH
    }

    /// Whether answers are pending.
    pub(crate) fn is_owed(&self) -> bool {
        !self.outbox.is_empty()
    }
}

/// Memory of an answer that can't be given yet.
fn memory(answer: &[u8]) -> usize {
    size_of::<(u64, Vec<u8>)>() + answer.len()
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(socket: OwnedFd, credentials: Credentials, ticket: Ticket) -> Self {
        let session = ProcessSession::new(credentials, ticket);
        Self {
            socket,
            decoder: RequestDecoder::default(),
            session,
            queued: false,
            stalled: false,
            is_closed: false,
            awaits_room: false,
        }
    }

    /// Whether the process has closed its side and all its bytes are read; asks only the kernel.
    pub(crate) fn has_left(&self) -> bool {
        let mut byte = [0; 1];
        match rustix::net::recv(&self.socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((read, _)) => read == 0,
            Err(error) => !matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }

    /// Whether the process no longer waits for an answer: one that ends or times out closes its connection.
    pub(crate) fn has_given_up(&self) -> bool {
        self.is_closed || self.has_left()
    }

    /// Registers the socket for reading. Not for writing: each answer that the process reads would make the socket writable,
    /// and wake the ordering thread.
    pub(crate) fn register(&mut self, token: Token, registry: &Registry) -> io::Result<()> {
        self.awaits_room = self.session.is_owed();
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, self.interest())
    }

    /// Registers the socket for writing as well, as long as answers are pending.
    pub(crate) fn await_room(&mut self, token: Token, registry: &Registry) -> io::Result<()> {
        if self.awaits_room == self.session.is_owed() {
            return Ok(());
        }
        self.awaits_room = self.session.is_owed();
        registry.reregister(&mut SourceFd(&self.socket.as_raw_fd()), token, self.interest())
    }

    fn interest(&self) -> Interest {
        if self.awaits_room { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
    }

    /// Removes the socket from the poll.
    pub(crate) fn deregister(&self, registry: &Registry) {
        let _ = registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
    }

    /// Reads once, at most `scratch.len()` bytes, and feeds the decoder.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> ConnectionRead {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            match rustix::net::recvmsg(&self.socket, &mut [IoSliceMut::new(scratch)], &mut control, flags) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        match received {
            Ok(received) if received.bytes == 0 => ConnectionRead::End,
            Ok(received) => {
                let descriptors = control.drain().filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                    _ => None,
                });
                let truncated = received.flags.contains(ReturnFlags::CTRUNC);
                let descriptors: Vec<OwnedFd> = descriptors.flatten().collect();
                // The kernel ends a read after a message with descriptors, even if more bytes follow. It also reports the end
                // of a connection only once, perhaps together with these bytes.
                let more = received.bytes == scratch.len() || truncated || !descriptors.is_empty() || self.is_closed;
                self.decoder.feed(&scratch[..received.bytes], descriptors, truncated);
                if more { ConnectionRead::Some } else { ConnectionRead::Last }
            }
            Err(Errno::AGAIN) => ConnectionRead::Nothing,
            Err(_) => ConnectionRead::End,
        }
    }

    /// Writes pending answers until the socket is full; returns false if the connection can be closed. One that has closed may
    /// still have unread requests.
    pub(crate) fn flush(&mut self) -> bool {
        let ProcessSession { outbox, refused, .. } = &mut self.session;
        while !outbox.is_empty() {
            match rustix::net::send(&self.socket, outbox, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => {
                    outbox.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => {
                    outbox.clear();
                    self.is_closed = true;
                }
            }
        }
        if outbox.capacity() > ENOUGH {
            *outbox = Vec::new();
        }
        !*refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attack: refused events behind one that the store does not answer would fill the hub's memory with their answers.
    #[test]
    fn answers_that_must_wait_for_another_are_bounded() {
        let refused = Reply::Error { code: ErrorCode::Invalid, message: "no" };
        let mut session = ProcessSession::new(
            Credentials { pid: 1, uid: 2, gid: 3 },
            Ticket { connection: 0, serial: 1, number: 0, reports: false },
        );
        let first = session.wait();
        let mut count = 0;
        while !session.is_full() {
            let ticket = session.wait();
            session.answer(ticket, &refused);
            count += 1;
            assert!(count <= ENOUGH / size_of::<Vec<u8>>(), "each takes memory");
        }
        assert!(!session.is_owed(), "the first one's answer comes first");
        session.answer(first, &Reply::Published { id: "1" });
        let expected = [vec![Reply::Published { id: "1" }], vec![refused; count]].concat();
        assert_eq!(session.outbox, expected.iter().flat_map(wire::encode).collect::<Vec<u8>>());
        session.outbox.clear();
        assert!(!session.is_full(), "what is given counts no longer");
    }
}
