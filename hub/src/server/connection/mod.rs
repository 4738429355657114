//! A PHP process that is connected to the hub.

pub(crate) mod snapshot;

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags};

use crate::server::decoder::RequestDecoder;
use crate::server::rights::Role;
use crate::store::Ticket;
use crate::sys::Credentials;
use sse_protocol::wire::{self, ErrorCode, Reply};

/// Bytes of answers after which the connection's next requests wait until it has read some: one that sends without ever
/// reading costs no more memory than this, and in the end waits itself.
const ENOUGH: usize = 64 << 10;

/// A connection from a PHP process.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// What it has sent.
    pub(crate) decoder: RequestDecoder,
    /// What it is to the hub.
    pub(crate) session: Session,
    /// In the list of those that may have sent something.
    pub(crate) queued: bool,
    /// Has requests that wait until it reads its answers.
    pub(crate) stalled: bool,
    /// It will send no more than what is there.
    pub(crate) is_closed: bool,
    /// Its socket is watched for room, as it took only a part of what is owed.
    awaits_room: bool,
}

/// How far a connection is, and what it is owed.
#[derive(Debug)]
pub(crate) struct Session {
    /// Who it is.
    pub(crate) credentials: Credentials,
    /// What it may ask for follows from this.
    pub(crate) role: Role,
    /// It speaks this protocol.
    pub(crate) greeted: bool,
    /// It gets what it is owed, and is closed.
    pub(crate) refused: bool,
    /// The streams it attached and has neither committed nor aborted.
    pub(crate) held: Vec<u64>,
    /// Its publications whose answers are not known yet. Requests of other kinds wait for them.
    pub(crate) waiting: usize,
    /// It waits for an answer before which no other request of it is done.
    pub(crate) resuming: bool,
    /// The ticket of the last one.
    ticket: Ticket,
    /// It is another hub, which takes over.
    pub(crate) takes_over: bool,
    /// The one that is to be answered next, and answers to those after it.
    due: u64,
    early: BTreeMap<u64, Vec<u8>>,
    outbox: Vec<u8>,
}

/// What reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Something, and there may be more.
    Some,
    /// Something, which was all there is for now.
    Last,
    /// Nothing for now.
    Nothing,
    /// The end.
    End,
}

impl Session {
    /// A connection that has said nothing yet.
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
            outbox: Vec::new(),
        }
    }

    /// Tells it from all others, also in the hub that takes over.
    pub(crate) fn connection(&self) -> u64 {
        self.ticket.serial
    }

    /// Makes it wait for an answer that is not known yet.
    pub(crate) fn wait(&mut self) -> Ticket {
        self.waiting += 1;
        self.ticket.number += 1;
        self.ticket
    }

    /// Whether it waits, and by which ticket last.
    pub(crate) fn waits(&self) -> Option<Ticket> {
        (self.waiting > 0).then_some(self.ticket)
    }

    /// Whether an answer to this ticket is for it.
    pub(crate) fn waits_for(&self, ticket: Ticket) -> bool {
        self.waiting > 0 && self.ticket.is_of(ticket)
    }

    /// Gives the answer to this ticket, after those to the tickets before it.
    pub(crate) fn answer(&mut self, ticket: Ticket, reply: &Reply<'_>) {
        self.settle(ticket, wire::encode(reply));
    }

    /// The request of this ticket, which is the next one, was answered just now.
    pub(crate) fn answered(&mut self, ticket: Ticket) {
        self.resuming = false;
        self.settle(ticket, Vec::new());
    }

    fn settle(&mut self, ticket: Ticket, answer: Vec<u8>) {
        self.waiting -= 1;
        self.early.insert(ticket.number, answer);
        while let Some(answer) = self.early.remove(&self.due) {
            self.outbox.extend_from_slice(&answer);
            self.due += 1;
        }
    }

    /// Answers its next request.
    pub(crate) fn reply(&mut self, reply: &Reply<'_>) {
        wire::append(&mut self.outbox, reply);
    }

    /// Answers that the request was not done.
    pub(crate) fn error(&mut self, code: ErrorCode, message: &str) {
        self.reply(&Reply::Error { code, message });
    }

    /// Tells it why the hub doesn't talk to it.
    pub(crate) fn refuse(&mut self, reason: &str) {
        self.reply(&Reply::Refused { reason });
        self.refused = true;
    }

    /// Whether it should read before it gets more.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.len() >= ENOUGH
    }

    /// Whether it is owed anything.
    pub(crate) fn is_owed(&self) -> bool {
        !self.outbox.is_empty()
    }
}

impl Connection {
    /// A new connection.
    pub(crate) fn new(socket: OwnedFd, credentials: Credentials, ticket: Ticket) -> Self {
        let session = Session::new(credentials, ticket);
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

    /// Whether it has closed its end and nothing of it is left to read; asks the kernel only.
    pub(crate) fn has_left(&self) -> bool {
        let mut byte = [0; 1];
        match rustix::net::recv(&self.socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((read, _)) => read == 0,
            Err(error) => !matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }

    /// Whether it waits for no answer any more: a process that has gone, or has waited for too long, closes its connection.
    pub(crate) fn has_given_up(&self) -> bool {
        self.is_closed || self.has_left()
    }

    /// Watches its socket for requests. Not for room: a connection that reads an answer makes some each time, and would wake the
    /// router by it.
    pub(crate) fn register(&mut self, token: Token, registry: &Registry) -> io::Result<()> {
        self.awaits_room = self.session.is_owed();
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, self.interest())
    }

    /// Watches it for room as long as something is owed that it did not take.
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

    /// The opposite.
    pub(crate) fn deregister(&self, registry: &Registry) {
        let _ = registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
    }

    /// Takes what has come, as much as fits into `scratch`, into the decoder.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> Read {
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
            Ok(received) if received.bytes == 0 => Read::End,
            Ok(received) => {
                let descriptors = control.drain().filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                    _ => None,
                });
                let truncated = received.flags.contains(ReturnFlags::CTRUNC);
                let descriptors: Vec<OwnedFd> = descriptors.flatten().collect();
                // The system ends a read at a message with descriptors, whatever is behind it. And it tells of the connection's end
                // once, maybe together with these bytes.
                let more = received.bytes == scratch.len() || truncated || !descriptors.is_empty() || self.is_closed;
                self.decoder.feed(&scratch[..received.bytes], descriptors, truncated);
                if more { Read::Some } else { Read::Last }
            }
            Err(Errno::AGAIN) => Read::Nothing,
            Err(_) => Read::End,
        }
    }

    /// Writes what it is owed, as much as it takes; false when there is nothing more to say and to hear. One that has gone may
    /// have sent more than was read yet.
    pub(crate) fn flush(&mut self) -> bool {
        let Session { outbox, refused, .. } = &mut self.session;
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
