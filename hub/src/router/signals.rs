//! The signals that end the hub.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level;

/// A socket that becomes readable at SIGTERM or SIGINT, as long as this lives.
#[derive(Debug)]
pub(crate) struct Signals {
    socket: UnixStream,
    ids: Vec<SigId>,
}

impl Signals {
    /// Takes the signals over.
    pub(crate) fn watch(token: Token, registry: &Registry) -> io::Result<Self> {
        let (socket, writer) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        let mut signals = Self { socket, ids: Vec::new() };
        for signal in [SIGTERM, SIGINT] {
            signals.ids.push(low_level::pipe::register(signal, writer.try_clone()?)?);
        }
        Ok(signals)
    }

    /// Whether one has come since the last time.
    pub(crate) fn any(&mut self) -> bool {
        matches!(self.socket.read(&mut [0; 16]), Ok(1..))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            low_level::unregister(id);
        }
    }
}
