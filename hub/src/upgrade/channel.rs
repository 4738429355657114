//! The connection between the old and the new hub: sends and receives messages with descriptors, and single bytes.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::Serialize;

use sse_protocol::wire::{self, PREFIX};

/// Maximum number of descriptors in a message (SCM_MAX_FD).
pub(crate) const DESCRIPTORS: usize = 253;

/// Maximum length of a message, in bytes: parts are much smaller, except one with a single large event.
const LONGEST: usize = 1 << 30;

/// One end of the connection.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
    /// How long to wait for each step of the other end.
    timeout: Duration,
}

impl Channel {
    /// Creates a channel over a connected stream socket.
    pub(crate) fn new(socket: OwnedFd, timeout: Duration) -> Self {
        Self { socket, timeout }
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether there is something to receive, or the connection has ended.
    pub(crate) fn is_readable(&self) -> bool {
        let now = Timespec::default();
        matches!(rustix::event::poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&now)), Ok(1..))
    }

    /// Sends a message with its descriptors, at most [`DESCRIPTORS`].
    pub(crate) fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let message = wire::encode(message);
        let mut bytes = message.as_slice();
        let mut rest = Some(descriptors).filter(|descriptors| !descriptors.is_empty());
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        while !bytes.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if let Some(descriptors) = rest
                && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
            {
                return Err(io::Error::other("too many descriptors for one message"));
            }
            match rustix::net::sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut ancillary, flags) {
                Ok(sent) => {
                    bytes = &bytes[sent..];
                    rest = None;
                }
                Err(Errno::AGAIN) => self.wait(self.socket.as_fd(), PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives the next message into `bytes`, still encoded, and returns its descriptors.
    pub(crate) fn receive(&self, bytes: &mut Vec<u8>) -> io::Result<Vec<OwnedFd>> {
        let mut descriptors = Vec::new();
        let mut prefix = Vec::with_capacity(PREFIX);
        self.fill(&mut prefix, PREFIX, &mut descriptors)?;
        let size = wire::announced(&prefix, LONGEST).map_err(io::Error::other)?.unwrap_or_default();
        bytes.clear();
        self.fill(bytes, size, &mut descriptors)?;
        Ok(descriptors)
    }

    /// Reads until `bytes` has `size` bytes, and nothing beyond them.
    fn fill(&self, bytes: &mut Vec<u8>, size: usize, descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
        let mut scratch = vec![0; size.min(256 << 10)];
        while bytes.len() < size {
            let room = scratch.len().min(size - bytes.len());
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let slices = &mut [IoSliceMut::new(&mut scratch[..room])];
            let received = match rustix::net::recvmsg(&self.socket, slices, &mut control, flags) {
                Ok(received) if received.bytes == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => received,
                Err(Errno::AGAIN) => {
                    self.wait(self.socket.as_fd(), PollFlags::IN)?;
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    descriptors.extend(received);
                }
            }
            if received.flags.contains(ReturnFlags::CTRUNC) {
                return Err(io::Error::other(
                    "no descriptor is left for a stream; raise the limit (ulimit -n, or LimitNOFILE in a systemd unit)",
                ));
            }
            bytes.extend_from_slice(&scratch[..received.bytes]);
        }
        Ok(())
    }

    /// Sends a byte that reports this end's progress.
    pub(crate) fn say(&self, byte: u8) -> io::Result<()> {
        loop {
            match rustix::net::send(&self.socket, &[byte], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => self.wait(self.socket.as_fd(), PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for this byte from the other end.
    pub(crate) fn expect(&self, byte: u8) -> io::Result<()> {
        match self.hear(self.socket.as_fd())? {
            Some(heard) if heard == byte => Ok(()),
            Some(heard) => Err(io::Error::other(format!("{:?} came instead of {:?}", heard as char, byte as char))),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads the next byte of another descriptor; `None` at its end.
    pub(crate) fn hear_from(&self, other: &OwnedFd) -> io::Result<Option<u8>> {
        self.hear(other.as_fd())
    }

    fn hear(&self, from: BorrowedFd<'_>) -> io::Result<Option<u8>> {
        let mut byte = [0; 1];
        loop {
            self.wait(from, PollFlags::IN)?;
            match rustix::io::read(from, &mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&self, on: BorrowedFd<'_>, what: PollFlags) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match rustix::event::poll(&mut [PollFd::new(&on, what)], Some(&timeout)) {
                Ok(0) if left.is_zero() => {
                    let text = format!("the other hub did nothing for {:?}", self.timeout);
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn pair(timeout: Duration) -> (Channel, Channel) {
        let (near, far) = UnixStream::pair().expect("a pair");
        (Channel::new(near.into(), timeout), Channel::new(far.into(), timeout))
    }

    #[test]
    fn messages_come_whole_and_with_their_own_descriptors() {
        let (near, far) = pair(Duration::from_secs(60));
        let file = std::fs::File::open("/dev/null").expect("there is a /dev/null");
        let large = "x".repeat(3 << 20);
        let sender = std::thread::spawn(move || {
            near.send(&"one", &[file.as_fd(), file.as_fd()]).expect("sent");
            near.send(&large, &[file.as_fd(); DESCRIPTORS]).expect("sent");
            near.expect(b'+').expect("heard");
            drop(near);
        });
        let mut bytes = Vec::new();
        let descriptors = far.receive(&mut bytes).expect("the first");
        assert_eq!((wire::decode(&bytes), descriptors.len()), (Ok("one"), 2));
        let descriptors = far.receive(&mut bytes).expect("the second");
        assert_eq!((wire::decode(&bytes).map(str::len), descriptors.len()), (Ok(3 << 20), DESCRIPTORS));
        far.say(b'+').expect("said");
        sender.join().expect("no panic");
        assert_eq!(far.receive(&mut bytes).expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_end_that_does_nothing_is_not_waited_for_for_ever() {
        let (near, _far) = pair(Duration::from_millis(20));
        assert_eq!(near.receive(&mut Vec::new()).expect_err("silence").kind(), io::ErrorKind::TimedOut);
        assert_eq!(near.send(&vec![0_u8; 10 << 20], &[]).expect_err("nobody reads").kind(), io::ErrorKind::TimedOut);
    }
}
