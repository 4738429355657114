//! The new hub's end: finds the old hub, and receives its state.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::config::Config;
use crate::error::HubError;
use crate::server::Server;
use crate::server::upgrade::adopt::{AdoptedParts, Inherited};
use crate::server::upgrade::state::{HubState, StateRequest};
use crate::upgrade::channel::Channel;
use crate::upgrade::incoming::wrong;
use crate::upgrade::part::{PartKind, UpgradePart};
use crate::upgrade::{FORMAT, GOT, LEAVE, RECEIVER_TIMEOUT, TAKE_OVER, TAKEN, YOURS};
use sse_protocol::client;
use sse_protocol::wire::{self, PROTOCOL, Reply, Request, VERSION};

/// Result of an upgrade.
#[derive(Debug)]
pub(crate) enum Succession {
    /// There is no old hub, or it has ended.
    Nobody,
    /// The state is here, and the old hub waits for the confirmation.
    Ready(Box<Successor>),
}

/// A new hub that can serve at once.
#[derive(Debug)]
pub(crate) struct Successor {
    server: Server,
    channel: Channel,
    lifeline: OwnedFd,
    /// When the old hub stopped, by the system's monotonic clock.
    pub(crate) stopped: Duration,
    /// The old hub's version.
    pub(crate) version: String,
}

/// Upgrades from the hub at the socket. `prepare` gets the standard error of the foreground process, if there is one; it may
/// change the settings, and installs the log.
pub(crate) fn take_over(
    config: Config,
    descriptors: usize,
    prepare: impl FnOnce(&mut Config, Option<OwnedFd>) -> Result<(), HubError>,
) -> Result<Succession, HubError> {
    let failed = |error: io::Error| HubError::NotTakenOver(explain(&error));
    let Some(channel) = connect(&config.socket).map_err(failed)? else { return Ok(Succession::Nobody) };
    if greet(&channel, TAKE_OVER).map_err(failed)? != FORMAT {
        drop(channel);
        leave(&config.socket).map_err(failed)?;
        return Ok(Succession::Nobody);
    }
    let kept = config.kept_in();
    channel.send(&StateRequest { protocol: PROTOCOL, kept: &kept }, &[]).map_err(failed)?;
    receive(channel, config, descriptors, prepare).map(|successor| Succession::Ready(Box::new(successor)))
}

/// Connects to the hub at the socket; `None` if there is none.
fn connect(path: &Path) -> io::Result<Option<Channel>> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let address = SocketAddrUnix::new(path)?;
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    client::trust(&socket, path).map_err(io::Error::other)?;
    Ok(Some(Channel::new(socket, RECEIVER_TIMEOUT)))
}

/// Greets the hub, and returns the format that it writes.
fn greet(channel: &Channel, magic: u32) -> io::Result<u16> {
    channel.send(&Request::Hello { magic, protocol: FORMAT, version: VERSION, owner: None }, &[])?;
    let mut bytes = Vec::new();
    channel.receive(&mut bytes)?;
    match wire::decode(&bytes) {
        Ok(Reply::Welcome { protocol, .. }) => Ok(protocol),
        Ok(Reply::Refused { reason }) => Err(io::Error::other(reason)),
        _ => Err(wrong("the hub's answer")),
    }
}

/// Asks the hub to end, and waits until it has.
fn leave(path: &Path) -> io::Result<()> {
    let Some(channel) = connect(path)? else { return Ok(()) };
    greet(&channel, LEAVE)?;
    match channel.receive(&mut Vec::new()) {
        Err(error) if is_end(&error) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(wrong("the hub's answer")),
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn explain(error: &io::Error) -> String {
    if is_end(error) { "the hub that runs closed the connection; its log says why".into() } else { error.to_string() }
}

/// Receives all parts, and makes a hub of them.
fn receive(
    channel: Channel,
    mut config: Config,
    descriptors: usize,
    prepare: impl FnOnce(&mut Config, Option<OwnedFd>) -> Result<(), HubError>,
) -> Result<Successor, HubError> {
    let failed = |error: io::Error| HubError::NotTakenOver(explain(&error));
    let mut first = Vec::new();
    let mut came = channel.receive(&mut first).map_err(failed)?.into_iter();
    let part = UpgradePart::of(&first).map_err(failed)?;
    let hub: HubState<'_> = match part.kind {
        PartKind::Hub => part.read().map_err(failed)?,
        PartKind::No => return Err(HubError::NotTakenOver(part.read().map_err(failed)?)),
        _ => return Err(failed(wrong("the first part"))),
    };
    channel.say(GOT).map_err(failed)?;
    let mut next = || came.next().ok_or_else(|| failed(wrong("the number of descriptors")));
    let (lifeline, listener) = (next()?, UnixListener::from(next()?));
    let udp = hub.udp.as_ref().map(|_| next()).transpose()?;
    let notify = hub.notify.map(|_| next()).transpose()?;
    let (link, errors) = if hub.foreground { (Some(next()?), Some(next()?)) } else { (None, None) };
    prepare(&mut config, errors)?;
    let mut inherited = Inherited::new(&hub, udp, notify, link);
    let mut server = Server::new(config, listener, descriptors, Some(&mut inherited))?;
    let mut received = AdoptedParts::default();
    let mut bytes = Vec::new();
    loop {
        let sockets = channel.receive(&mut bytes).map_err(failed)?;
        channel.say(GOT).map_err(failed)?;
        let part = UpgradePart::of(&bytes).map_err(failed)?;
        if part.kind == PartKind::End {
            break;
        }
        server.adopt(part, sockets, &mut received).map_err(failed)?;
    }
    server.inherit(&hub, received).map_err(failed)?;
    Ok(Successor { server, channel, lifeline, stopped: hub.stopped, version: hub.version.into() })
}

impl Successor {
    /// Confirms to the old hub that the state is here, and waits until it has stopped for good.
    pub(crate) fn confirm(self) -> Result<Server, HubError> {
        // This fails if the old hub was killed meanwhile, which its lifeline shows as well.
        let told = self.channel.say(TAKEN);
        match self.channel.hear_from(&self.lifeline) {
            Ok(Some(YOURS) | None) => Ok(self.server),
            Ok(Some(_)) => Err(HubError::NotTakenOver(match told {
                Ok(()) => "the hub that runs goes on; its log says why".into(),
                Err(error) => explain(&error),
            })),
            Err(error) => Err(HubError::NotTakenOver(explain(&error))),
        }
    }
}
