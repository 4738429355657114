//! The ordering thread's end of the socket pair to one shard process: queues messages and receives reports. Only
//! [`CommandSender::wait`] blocks.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::Serialize;

use crate::shard::command::Command;
use crate::shard::process::message::{self, CommandPart, ProcessControl, ProcessMessage, ProcessReport, SentCommand};
use crate::shard::process::parts::SentParts;
use crate::upgrade::channel::DESCRIPTORS;
use crate::util::backlog::HIGH;
use sse_protocol::wire;

/// Bytes of reports that one read takes at most.
const READ: usize = 4 << 10;

/// Bytes after which the next message starts a new chunk.
const CHUNK: usize = 64 << 10;

/// Queued descriptors above which the ordering thread takes no more requests.
const WAITING: usize = 512;

/// Maximum number of descriptors in flight to all shard processes. The kernel counts those of all processes of a user, and
/// refuses more (ETOOMANYREFS) above the sender's own limit of open files: PHP's is often 1024.
const ON_THEIR_WAY: usize = 512;

/// Queue and socket to one shard process.
#[derive(Debug)]
pub(crate) struct CommandSender {
    socket: OwnedFd,
    chunks: VecDeque<Chunk>,
    /// Bytes and descriptors in the queue.
    bytes: usize,
    descriptors: usize,
    /// Maximum number of descriptors per chunk.
    most: usize,
    /// Descriptors in flight: sent, but not yet reported as received.
    on_their_way: usize,
    /// The kernel had no room, and epoll won't report when it has.
    stuck: bool,
    /// Received reports that are not handled yet; the last one may be incomplete.
    reports: Vec<u8>,
    pub(crate) parts: SentParts,
}

/// Messages that one call sends, if the socket has room.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    sent: usize,
    /// Descriptors, sent with the chunk's first byte.
    descriptors: Vec<OwnedFd>,
}

impl CommandSender {
    /// Creates the sender for one of `processes` shard processes.
    pub(crate) fn new(socket: OwnedFd, processes: usize) -> Self {
        Self {
            socket,
            chunks: VecDeque::new(),
            bytes: 0,
            descriptors: 0,
            most: (ON_THEIR_WAY / processes.max(1)).clamp(1, DESCRIPTORS / 2),
            on_their_way: 0,
            stuck: false,
            reports: Vec::new(),
            parts: SentParts::default(),
        }
    }

    /// The socket, for epoll.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Queues a command, after those of its parts that the shard process does not have yet.
    pub(crate) fn command(&mut self, command: Command) {
        let Ok(command) = command.convert(self);
        let socket = self.parts.socket.take();
        self.add(&ProcessMessage::Command::<SentCommand>(command), socket);
    }

    /// Queues a part of later commands.
    pub(crate) fn part(&mut self, part: CommandPart<'_>) {
        self.add(&ProcessMessage::Part::<SentCommand>(part), None);
    }

    /// Queues a message for the process around the shard.
    pub(crate) fn control(&mut self, control: ProcessControl<'_>) {
        self.add(&ProcessMessage::Control::<SentCommand>(control), None);
    }

    /// Has the shard process drop interned events that no longer exist here.
    pub(crate) fn forget(&mut self) {
        let gone = self.parts.interned.forget();
        if !gone.is_empty() {
            self.part(CommandPart::Forget(gone));
        }
    }

    fn add(&mut self, message: &impl Serialize, descriptor: Option<OwnedFd>) {
        self.append(descriptor, |bytes| wire::append(bytes, message));
    }

    /// Queues an encoded message.
    pub(crate) fn add_encoded(&mut self, message: &[u8], descriptor: Option<OwnedFd>) {
        self.append(descriptor, |bytes| bytes.extend_from_slice(message));
    }

    fn append(&mut self, descriptor: Option<OwnedFd>, message: impl FnOnce(&mut Vec<u8>)) {
        let most = self.most;
        let fits = |chunk: &&mut Chunk| {
            let room = chunk.bytes.len() < CHUNK;
            // A partly sent chunk has sent its descriptors.
            room && (descriptor.is_none() || chunk.sent == 0 && chunk.descriptors.len() < most)
        };
        if self.chunks.back_mut().filter(fits).is_none() {
            self.chunks.push_back(Chunk::default());
        }
        let Some(chunk) = self.chunks.back_mut() else { return };
        let before = chunk.bytes.len();
        message(&mut chunk.bytes);
        self.bytes += chunk.bytes.len() - before;
        self.descriptors += usize::from(descriptor.is_some());
        chunk.descriptors.extend(descriptor);
    }

    /// Sends as much as possible without blocking.
    ///
    /// # Errors
    /// The shard process has gone.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stuck = false;
        while let Some(chunk) = self.chunks.front_mut() {
            let count = chunk.descriptors.len();
            // Wait until the earlier descriptors are reported as received.
            if count > 0 && self.on_their_way > 0 {
                return Ok(());
            }
            let descriptors: Vec<_> = chunk.descriptors.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if count > 0 && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
                return Err(io::Error::other("too many descriptors for one message"));
            }
            let bytes = IoSlice::new(&chunk.bytes[chunk.sent..]);
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::sendmsg(&self.socket, &[bytes], &mut ancillary, flags) {
                Ok(sent) => {
                    self.bytes -= sent;
                    self.descriptors -= count;
                    self.on_their_way += count;
                    // Close ours: the shard process has its own.
                    chunk.descriptors = Vec::new();
                    chunk.sent += sent;
                    if chunk.sent == chunk.bytes.len() {
                        self.chunks.pop_front();
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM) => {
                    self.stuck = true;
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives reports and calls `each` for every one.
    ///
    /// # Errors
    /// The shard process has gone.
    pub(crate) fn hear(&mut self, mut each: impl FnMut(ProcessReport)) -> io::Result<()> {
        let mut scratch = [0; READ];
        loop {
            match rustix::net::recv(&self.socket, &mut scratch[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => {
                    self.reports.extend_from_slice(&scratch[..count]);
                    let mut done = 0;
                    while let Some((report, size)) = message::first(&self.reports[done..])? {
                        if let ProcessReport::Received(count) = report {
                            self.on_their_way = self.on_their_way.saturating_sub(count as usize);
                        }
                        each(report);
                        done += size;
                    }
                    self.reports.drain(..done);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the socket has a report, or room for queued messages.
    ///
    /// # Errors
    /// `TimedOut` at the deadline.
    pub(crate) fn wait(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "a process of the hub that holds streams does nothing",
            ));
        }
        let left = if self.stuck { left.min(crate::shard::process::remote::AGAIN) } else { left };
        let held_back = self.on_their_way > 0 && self.chunks.front().is_some_and(|chunk| !chunk.descriptors.is_empty());
        let out = if self.is_empty() || self.stuck || held_back { PollFlags::empty() } else { PollFlags::OUT };
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match rustix::event::poll(&mut [PollFd::new(&self.socket, PollFlags::IN | out)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether the queue is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Returns whether the queue is above a limit.
    pub(crate) fn is_behind(&self) -> bool {
        self.bytes > HIGH || self.descriptors > WAITING
    }

    /// Returns whether the queue must be flushed again later without readiness of the socket.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::event::Event;
    use crate::shard::command::NewStream;
    use crate::shard::process::message::ReceivedCommand;
    use crate::shard::process::receiver::CommandReceiver;
    use crate::shard::report::ShardReport;
    use crate::store::history::Missed;
    use sse_protocol::event::NewEvent;
    use sse_protocol::stream::StreamSpec;

    fn attach(id: u64, missed: &Arc<Event>) -> Command {
        Command::Attach(NewStream {
            id,
            client: 0,
            socket: UnixStream::pair().expect("a pair").0.into(),
            patterns: vec!["a".into()],
            spec: StreamSpec::default(),
            first: None,
            missed: Missed { events: vec![Arc::clone(missed)], ..Missed::default() },
            newest: None,
            followed: false,
        })
    }

    #[test]
    fn commands_come_in_order_and_descriptors_a_few_at_a_time() {
        let (near, far) = UnixStream::pair().expect("a pair");
        let mut sender = CommandSender::new(near.into(), 128);
        let mut receiver = CommandReceiver::new(far.into());
        assert_eq!(sender.most, 4);
        let event = Arc::new(Event::new(&NewEvent { topics: vec!["a"], ..Default::default() }, "1-0"));
        (0..10).for_each(|id| sender.command(attach(id, &event)));
        let large: Arc<[u8]> = vec![b'x'; 1 << 20].into();
        sender.command(Command::Gap(Arc::clone(&large)));
        sender.flush().expect("the other end is there");
        assert_eq!((sender.on_their_way, sender.descriptors), (4, 6));
        let (mut streams, mut interned, mut all, mut taken) = (Vec::new(), 0, false, 0);
        while !all {
            let count = receiver.receive().expect("the other end is there").descriptors;
            let bytes = std::mem::take(&mut receiver.bytes);
            let mut done = 0;
            while let Some((message, size)) =
                message::first::<ProcessMessage<'_, ReceivedCommand<'_>>>(&bytes[done..]).expect("messages")
            {
                match message {
                    ProcessMessage::Part(CommandPart::Event(0, state)) => interned += usize::from(state.id == "1-0"),
                    ProcessMessage::Command(Command::Attach(attach)) => {
                        assert_eq!(attach.missed.events, [0]);
                        streams.push(attach.id);
                    }
                    ProcessMessage::Command(Command::Gap(frame)) => all = frame == large,
                    other => panic!("{other:?}"),
                }
                done += size;
            }
            receiver.bytes = bytes[done..].to_vec();
            if count > 0 {
                taken += count;
                let report = wire::encode(&ProcessReport::Received(count as u32));
                rustix::net::send(receiver.socket(), &report, SendFlags::empty()).expect("room");
            }
            sender
                .hear(|report| assert!(matches!(report, ProcessReport::Received(1..=4))))
                .expect("the other end is there");
            sender.flush().expect("the other end is there");
        }
        assert_eq!((streams, interned, taken), ((0..10).collect(), 1, 10));
        assert!((0..10).all(|_| receiver.descriptor().is_ok()) && receiver.descriptor().is_err());
        assert!(sender.is_empty() && sender.bytes == 0 && sender.descriptors == 0);
        drop(receiver);
        assert!(sender.hear(|_| {}).is_err());
        let late = sender.wait(Instant::now() + Duration::from_secs(60));
        assert!(late.is_ok(), "the end is something, too");
    }

    #[test]
    fn a_report_that_comes_in_pieces_is_heard_once_it_is_complete() {
        let (near, far) = UnixStream::pair().expect("a pair");
        near.set_nonblocking(true).expect("a socket");
        let mut sender = CommandSender::new(near.into(), 1);
        let mut heard = Vec::new();
        let reports =
            [ProcessReport::Shard(ShardReport::Ended(u64::MAX)), ProcessReport::Notice, ProcessReport::Paused];
        let bytes: Vec<u8> = reports.iter().flat_map(wire::encode).collect();
        for byte in bytes {
            rustix::net::send(&far, &[byte], SendFlags::empty()).expect("room");
            sender.hear(|report| heard.push(report)).expect("the other end is there");
        }
        assert_eq!(heard, reports);
        rustix::net::send(&far, &[1, 0, 0, 0, 99], SendFlags::empty()).expect("room");
        assert!(sender.hear(|report| heard.push(report)).is_err(), "no report: {heard:?}");
    }
}
