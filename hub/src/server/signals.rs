//! The signals that end or upgrade the hub.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level;

/// Socket pairs that the signal handlers write to; dropping this removes the handlers.
#[derive(Debug)]
pub(crate) struct Signals {
    end: UnixStream,
    hangup: UnixStream,
    ids: Vec<SigId>,
}

impl Signals {
    /// Installs the signal handlers and registers their sockets.
    pub(crate) fn watch(token: Token, registry: &Registry) -> io::Result<Self> {
        let (end, end_writer) = UnixStream::pair()?;
        let (hangup, hangup_writer) = UnixStream::pair()?;
        let mut signals = Self { end, hangup, ids: Vec::new() };
        for socket in [&signals.end, &signals.hangup] {
            socket.set_nonblocking(true)?;
            registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        }
        for (signal, writer) in [(SIGTERM, &end_writer), (SIGINT, &end_writer), (SIGHUP, &hangup_writer)] {
            signals.ids.push(low_level::pipe::register(signal, writer.try_clone()?)?);
        }
        Ok(signals)
    }

    /// Registers the sockets with another poll.
    pub(crate) fn move_to(&self, token: Token, registry: &Registry) -> io::Result<()> {
        for socket in [&self.end, &self.hangup] {
            registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Whether SIGTERM or SIGINT arrived since the last call.
    pub(crate) fn any(&mut self) -> bool {
        matches!(self.end.read(&mut [0; 16]), Ok(1..))
    }

    /// Whether SIGHUP arrived since the last call.
    pub(crate) fn hangup(&mut self) -> bool {
        matches!(self.hangup.read(&mut [0; 16]), Ok(1..))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            low_level::unregister(id);
        }
    }
}
