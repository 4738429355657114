//! FPM: finds the FastCGI connection between the web server and the worker.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::net::SocketAddrAny;

use super::obstacle::{Obstacle, ObstacleKind};
use super::{ProvedConnection, Sapi};
use crate::php::descriptor::Descriptor;
use crate::php::fpm::{FpmRequest, request};

/// Finds the worker's FastCGI connection.
pub(super) fn find() -> Result<ProvedConnection, Obstacle> {
    prove(&request().ok_or_else(|| Obstacle::server("FPM has no request"))?)
}

/// The worker's FastCGI descriptor, for operations that are harmless on a wrong one. It is proved only once per process,
/// because every request calls this.
pub(super) fn descriptor() -> Option<Descriptor> {
    static PROVED: AtomicBool = AtomicBool::new(false);
    let request = request()?;
    if !PROVED.load(Ordering::Relaxed) {
        prove(&request).ok()?;
        PROVED.store(true, Ordering::Relaxed);
    }
    request.connection.filter(|_| !request.has_ended)
}

/// Whether FPM has already completed the response.
pub(super) fn has_ended() -> bool {
    request().is_none_or(|request| request.has_ended)
}

fn prove(request: &FpmRequest) -> Result<ProvedConnection, Obstacle> {
    let no = |reason: &str| Err(Obstacle::server(format!("FPM's request is not as expected: {reason}")));
    if request.has_ended {
        return no("it has ended");
    }
    let Some(id) = u16::try_from(request.id).ok().filter(|id| *id > 0) else {
        return no("its id is not between 1 and 65535");
    };
    let (Some(connection), Some(listener)) = (request.connection, request.listener) else {
        return no("it has no descriptors");
    };
    let peer = connection.peer();
    if peer == Err(Errno::NOTCONN) {
        return Err(Obstacle::new(ObstacleKind::Left, "the web server has reset the connection"));
    }
    if !connection.is_stream() || peer.is_err() {
        return no("its descriptor is not a connected stream socket");
    }
    if listener.listens() != Some(true) {
        return no("its listener does not listen");
    }
    let (Ok(local), Ok(listening)) = (connection.name(), listener.name()) else {
        return no("its sockets have no names");
    };
    if !accepted_at(&local, &listening) {
        return no("its connection did not come from its listener");
    }
    ProvedConnection::new(connection, Sapi::Fpm { request: id })
}

/// Whether a listener of this name can have accepted a connection with this local name. The listener may be bound to all
/// addresses.
fn accepted_at(local: &SocketAddrAny, listening: &SocketAddrAny) -> bool {
    let internet = |any: &SocketAddrAny| std::net::SocketAddr::try_from(any.clone()).ok();
    match (internet(local), internet(listening)) {
        (Some(local), Some(listening)) => {
            local.port() == listening.port()
                && (listening.ip().is_unspecified() || listening.ip().to_canonical() == local.ip().to_canonical())
        }
        (None, None) => local == listening,
        _ => false,
    }
}
