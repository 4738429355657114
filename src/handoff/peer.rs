//! Finds a connection by its peer address, where the SAPI does not provide the descriptor.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::Errno;
use rustix::net::sockopt;

use super::obstacle::{Kind, Obstacle};
use crate::variables;

/// Finds the one socket of this process that is connected to the client.
pub(super) fn find() -> Result<RawFd, Obstacle> {
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
        Obstacle::new(if reset { Kind::Left } else { Kind::Server }, why).of(client.to_string())
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

fn peer(descriptor: RawFd) -> Option<SocketAddr> {
    // SAFETY: only queries the peer of this number; the kernel reports a number that is no descriptor.
    let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let address = SocketAddr::try_from(rustix::net::getpeername(socket).ok()??).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Whether the peer has reset this connection. It keeps its local name, which a socket that was never connected lacks.
fn is_reset(descriptor: RawFd) -> bool {
    // SAFETY: as in `peer`.
    let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
    rustix::net::getpeername(socket) == Err(Errno::NOTCONN)
        && sockopt::socket_acceptconn(socket) == Ok(false)
        && rustix::net::getsockname(socket)
            .is_ok_and(|name| SocketAddr::try_from(name).is_ok_and(|name| name.port() > 0))
}

fn descriptors() -> Result<Vec<RawFd>, Obstacle> {
    let folder = std::fs::read_dir("/proc/self/fd")
        .map_err(|error| Obstacle::of_system("the process's descriptors can't be listed", &error))?;
    Ok(folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect())
}
