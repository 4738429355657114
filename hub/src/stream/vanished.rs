//! Detection of clients that vanish without closing: lost radio, forgotten address translation.
//!
//! Over TCP, the kernel breaks the connection when its client acknowledges neither data (heartbeats included) nor, on an idle
//! connection, keepalive probes; then the shard closes the stream. Behind a FastCGI web server on a Unix socket, the web server
//! detects this.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;

/// Number of unanswered probes that break the connection.
const PROBES: u32 = 4;

/// Has the kernel watch the client for about `seconds`. Fails on sockets other than TCP, which need no watch.
pub(crate) fn watch(socket: BorrowedFd<'_>, seconds: u32) -> Result<(), Errno> {
    // Each write is complete, so there is nothing to wait for.
    sockopt::set_tcp_nodelay(socket, true)?;
    // The first probe comes after half of the time, the others within the rest.
    let (idle, between) = ((seconds / 2).max(1), (seconds / 2 / PROBES).max(1));
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(idle.min(MOST).into()))?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(between.min(MOST).into()))?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    sockopt::set_tcp_user_timeout(socket, seconds.saturating_mul(1000).min(i32::MAX as u32))?;
    sockopt::set_socket_keepalive(socket, true)
}

/// Maximum of each keepalive time in seconds.
const MOST: u32 = 32_767;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_tcp_is_watched_and_for_any_time() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("loopback");
        for (seconds, idle, between) in [(1, 1, 1), (30, 15, 3), (u32::MAX, MOST, MOST)] {
            assert_eq!(watch(client.as_fd(), seconds), Ok(()));
            let found = (sockopt::tcp_keepidle(&client), sockopt::tcp_keepintvl(&client));
            assert_eq!(found, (Ok(Duration::from_secs(idle.into())), Ok(Duration::from_secs(between.into()))));
            assert_eq!(sockopt::socket_keepalive(&client), Ok(true));
        }
        let (near, _far) = UnixStream::pair().expect("a pair");
        assert!(watch(near.as_fd(), 30).is_err());
    }
}
