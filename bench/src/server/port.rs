//! Ports of loopback for servers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A TCP port that nobody uses.
///
/// # Errors
/// When there is none.
pub fn free() -> io::Result<u16> {
    Ok(several(1)?[0])
}

/// So many different ones.
///
/// # Errors
/// When there are not as many.
pub fn several(count: usize) -> io::Result<Vec<u16>> {
    // All are held until the last is found, so that none is found twice.
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Whether somebody accepts connections there.
#[must_use]
pub fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}
