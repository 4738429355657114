//! The foreground process after an upgrade: systemd or a container still takes it for the hub. So it stays while there is a
//! hub, and forwards signals to it.
//!
//! Each new hub announces itself over a link, with a descriptor of its process, and the last hub reports its end.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::process::{PidfdFlags, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use crate::error::HubError;
use crate::server::signals::Signals;
use crate::upgrade::channel::Channel;
use sse_protocol::wire;

const LINK: Token = Token(0);
const SIGNALS: Token = Token(1);

/// How long to wait for a busy link.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the first process of a container reaps orphans.
const REAP_INTERVAL: Duration = Duration::from_secs(60);

/// A message over the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Word {
    /// The sender is the hub now. A pidfd comes along.
    Here,
    /// The hub has ended in good order.
    Ended,
}

/// A hub's end of the link.
#[derive(Debug)]
pub(crate) struct UpgradeLink(Channel);

impl UpgradeLink {
    /// Creates a link from the socket that the old hub passed on.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(Channel::new(socket, TIMEOUT))
    }

    /// The socket, to pass it on.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.0.socket()
    }

    /// Announces that this process is the hub now.
    pub(crate) fn announce(&self) {
        let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
        let told = own.map_err(io::Error::from).and_then(|own| self.0.send(&Word::Here, &[own.as_fd()]));
        if let Err(error) = told {
            warn!(%error, "the process in the foreground can't be told of this hub");
        }
    }

    /// Reports that this hub ends without a successor.
    pub(crate) fn part(&self) {
        if let Err(error) = self.0.send(&Word::Ended, &[]) {
            debug!(%error, "the process in the foreground has gone");
        }
    }
}

/// The foreground process: its end of the link, and a pidfd of the hub.
#[derive(Debug)]
pub(crate) struct ForegroundProxy {
    link: Channel,
    hub: Option<OwnedFd>,
}

impl ForegroundProxy {
    /// Creates the foreground process's end and the hub's end of a link.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let (near, far) = UnixStream::pair()?;
        Ok((Self { link: Channel::new(near.into(), TIMEOUT), hub: None }, far.into()))
    }

    /// Runs until the hub ends, and forwards signals to it.
    pub(crate) fn run(mut self, mut signals: Signals) -> Result<(), HubError> {
        let failed = HubError::system("watching the hub");
        let mut poll = Poll::new().map_err(&failed)?;
        let link = self.link.socket().as_raw_fd();
        poll.registry().register(&mut SourceFd(&link), LINK, Interest::READABLE).map_err(&failed)?;
        signals.move_to(SIGNALS, poll.registry()).map_err(&failed)?;
        let first = rustix::process::getpid().is_init();
        let mut events = Events::with_capacity(4);
        loop {
            while self.link.is_readable() {
                let mut bytes = Vec::new();
                let came = self.link.receive(&mut bytes).and_then(|descriptors| {
                    let word = wire::decode(&bytes).map_err(io::Error::other)?;
                    Ok((word, descriptors))
                });
                match came {
                    Ok((Word::Here, descriptors)) => self.hub = descriptors.into_iter().next(),
                    Ok((Word::Ended, _)) => {
                        info!("the hub has ended");
                        return Ok(());
                    }
                    Err(_) => return Err(HubError::Lost),
                }
            }
            if signals.any() {
                self.tell(Signal::TERM);
            }
            if signals.hangup() {
                self.tell(Signal::HUP);
            }
            if first {
                while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
            }
            match poll.poll(&mut events, first.then_some(REAP_INTERVAL)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(failed(error)),
                _ => {}
            }
        }
    }

    fn tell(&self, signal: Signal) {
        let Some(hub) = &self.hub else { return };
        if let Err(error) = rustix::process::pidfd_send_signal(hub, signal) {
            debug!(%error, "the hub has gone");
        }
    }
}
