//! Finds a connection by its peer address, where the SAPI does not provide the descriptor.

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use super::obstacle::{Obstacle, ObstacleKind};
use crate::php::descriptor::Descriptor;
use crate::php::variables;

/// Finds the one socket of this process that is connected to the client.
pub(super) fn find() -> Result<Descriptor, Obstacle> {
    let client = client()?;
    let mut found = None;
    let mut reset = false;
    for descriptor in descriptors()? {
        reset |= is_reset(descriptor);
        if peer(descriptor) == Some(client) && found.replace(descriptor).is_some() {
            return Err(Obstacle::server("several descriptors are connected to the client").of(client.to_string()));
        }
    }
    found.ok_or_else(|| {
        let why = "no descriptor is connected to the client by REMOTE_ADDR and REMOTE_PORT";
        Obstacle::new(if reset { ObstacleKind::Left } else { ObstacleKind::Server }, why).of(client.to_string())
    })
}

fn client() -> Result<SocketAddr, Obstacle> {
    let variable = |name| variables::of_server(name).unwrap_or_default();
    let (address, port) = (variable("REMOTE_ADDR"), variable("REMOTE_PORT"));
    let ip = address.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    match (ip, port.parse()) {
        (Some(ip), Ok(port)) => Ok(SocketAddr::new(ip.to_canonical(), port)),
        _ => Err(Obstacle::server("REMOTE_ADDR and REMOTE_PORT are no address").of(format!("{address:?}, {port:?}"))),
    }
}

fn peer(descriptor: Descriptor) -> Option<SocketAddr> {
    let address = SocketAddr::try_from(descriptor.peer().ok()??).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Whether the peer has reset this connection. It keeps its local name, which a socket that was never connected lacks.
fn is_reset(descriptor: Descriptor) -> bool {
    descriptor.peer() == Err(Errno::NOTCONN)
        && descriptor.listens() == Some(false)
        && descriptor.name().is_ok_and(|name| SocketAddr::try_from(name).is_ok_and(|name| name.port() > 0))
}

fn descriptors() -> Result<Vec<Descriptor>, Obstacle> {
    Descriptor::all().map_err(|error| Obstacle::of_system("the process's descriptors can't be listed", &error))
}
