//! The ordering thread's end of the socket pair to one shard process: queues orders and receives reports. Only
//! [`CommandSender::wait`] blocks.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::shard::command::HIGH;
use crate::shard::process::order::{Order, WORD, Word};
use crate::upgrade::channel::DESCRIPTORS;
use sse_protocol::wire;

/// Bytes after which the next order starts a new chunk.
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
    /// Bytes of an incomplete report.
    rest: Vec<u8>,
}

/// Orders that one call sends, if the socket has room.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    sent: usize,
    /// Descriptors, sent with the chunk's first byte.
    descriptors: Vec<OwnedFd>,
}

impl CommandSender {
    /// Creates the sender for one of `holders` shard processes.
    pub(crate) fn new(socket: OwnedFd, holders: usize) -> Self {
        Self {
            socket,
            chunks: VecDeque::new(),
            bytes: 0,
            descriptors: 0,
            most: (ON_THEIR_WAY / holders.max(1)).clamp(1, DESCRIPTORS / 2),
            on_their_way: 0,
            stuck: false,
            rest: Vec::new(),
        }
    }

    /// The socket, for epoll.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Queues an order.
    pub(crate) fn add(&mut self, order: &Order<'_>, descriptor: Option<OwnedFd>) {
        self.append(descriptor, |bytes| wire::append(bytes, order));
    }

    /// Queues an encoded order.
    pub(crate) fn add_encoded(&mut self, order: &[u8], descriptor: Option<OwnedFd>) {
        self.append(descriptor, |bytes| bytes.extend_from_slice(order));
    }

    fn append(&mut self, descriptor: Option<OwnedFd>, order: impl FnOnce(&mut Vec<u8>)) {
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
        order(&mut chunk.bytes);
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
    pub(crate) fn hear(&mut self, mut each: impl FnMut(Word)) -> io::Result<()> {
        let mut scratch = [0; 512 * WORD];
        loop {
            match rustix::net::recv(&self.socket, &mut scratch[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => {
                    self.rest.extend_from_slice(&scratch[..count]);
                    let (words, rest) = self.rest.as_chunks::<WORD>();
                    for word in words.iter().copied().map(Word::from_bytes) {
                        if let Word::Taken(count) = word {
                            self.on_their_way = self.on_their_way.saturating_sub(count as usize);
                        }
                        each(word);
                    }
                    self.rest = rest.to_vec();
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the socket has a report, or room for queued orders.
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
    use std::time::Duration;

    use crate::shard::process::receiver::{CommandReceiver, first};

    fn socket() -> OwnedFd {
        UnixStream::pair().expect("a pair").0.into()
    }

    #[test]
    fn orders_come_in_order_and_descriptors_a_few_at_a_time() {
        let (near, far) = UnixStream::pair().expect("a pair");
        let mut line = CommandSender::new(near.into(), 128);
        let mut intake = CommandReceiver::new(far.into());
        assert_eq!(line.most, 4);
        let large = "x".repeat(1 << 20);
        for nth in 0..10 {
            line.add(&Order::Abort { stream: nth }, Some(socket()));
        }
        line.add(&Order::Trigger(&large), None);
        line.flush().expect("the other end is there");
        assert_eq!((line.on_their_way, line.descriptors), (4, 6));
        let (mut streams, mut all, mut taken) = (Vec::new(), false, 0);
        while !all {
            let count = intake.receive().expect("the other end is there").descriptors;
            let bytes = std::mem::take(&mut intake.bytes);
            let mut done = 0;
            while let Some((order, size)) = first(&bytes[done..]).expect("orders") {
                match order {
                    Order::Abort { stream } => streams.push(stream),
                    Order::Trigger(topic) => all = topic == large,
                    other => panic!("{other:?}"),
                }
                done += size;
            }
            intake.bytes = bytes[done..].to_vec();
            if count > 0 {
                taken += count;
                rustix::net::send(intake.socket(), &Word::Taken(count as u32).to_bytes(), SendFlags::empty())
                    .expect("room");
            }
            line.hear(|word| assert!(matches!(word, Word::Taken(1..=4)))).expect("the other end is there");
            line.flush().expect("the other end is there");
        }
        assert_eq!((streams, taken), ((0..10).collect(), 10));
        assert!((0..10).all(|_| intake.descriptor().is_some()) && intake.descriptor().is_none());
        assert!(line.is_empty() && line.bytes == 0 && line.descriptors == 0);
        drop(intake);
        assert!(line.hear(|_| {}).is_err());
        let late = line.wait(Instant::now() + Duration::from_secs(60));
        assert!(late.is_ok(), "the end is something, too");
    }
}
