//! Finding a connection by the address of its other end, where the SAPI doesn't tell the descriptor.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, RawFd};

use super::NoHandOff;
use crate::variables;

/// The one socket of this process that is connected to the client.
pub(super) fn find() -> Result<RawFd, NoHandOff> {
    let client = client()?;
    let mut found = None;
    for descriptor in descriptors()? {
        if peer(descriptor) == Some(client) && found.replace(descriptor).is_some() {
            return Err(NoHandOff::unproved(format!("several descriptors are connected to {client}")));
        }
    }
    found.ok_or_else(|| {
        NoHandOff::unproved(format!(
            "no descriptor is connected to {client}, the client by REMOTE_ADDR and REMOTE_PORT"
        ))
    })
}

fn client() -> Result<SocketAddr, NoHandOff> {
    let variable = |name| variables::of_server(name).unwrap_or_default();
    let (address, port) = (variable("REMOTE_ADDR"), variable("REMOTE_PORT"));
    let ip = address.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    match (ip, port.parse()) {
        (Some(ip), Ok(port)) => Ok(SocketAddr::new(ip.to_canonical(), port)),
        _ => Err(NoHandOff::unproved(format!("REMOTE_ADDR '{address}' and REMOTE_PORT '{port}' are no address"))),
    }
}

fn peer(descriptor: RawFd) -> Option<SocketAddr> {
    // SAFETY: the kernel is only asked what this number is connected to, and says so if it is no descriptor.
    let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let address = SocketAddr::try_from(rustix::net::getpeername(socket).ok()??).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn descriptors() -> Result<Vec<RawFd>, NoHandOff> {
    let folder = std::fs::read_dir("/proc/self/fd")
        .map_err(|error| NoHandOff::unproved(format!("the process's descriptors can't be listed: {error}")))?;
    Ok(folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect())
}
