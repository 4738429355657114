//! Clients that vanish without a word: a radio that is lost, an address translation that was forgotten.
//!
//! Over TCP the kernel notices that nothing is acknowledged: of what was sent, heartbeats included, and, where nothing is, of
//! probes. The connection fails then, and its stream ends. Behind a web server that speaks FastCGI over a Unix socket, that
//! is the web server's part.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;

/// Probes that must go unanswered.
const PROBES: u32 = 4;

/// Has the kernel watch the client of a connection that has begun, for about so many seconds. Other sockets than TCP's have
/// none of that, and need none.
pub(crate) fn watch(socket: BorrowedFd<'_>, seconds: u32) -> Result<(), Errno> {
    // There is nothing to be delayed for: each write is all there is.
    sockopt::set_tcp_nodelay(socket, true)?;
    // The first one after half of the time, the others in the rest.
    let (idle, between) = ((seconds / 2).max(1), (seconds / 2 / PROBES).max(1));
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(idle.min(MOST).into()))?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(between.min(MOST).into()))?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    sockopt::set_tcp_user_timeout(socket, seconds.saturating_mul(1000).min(i32::MAX as u32))?;
    sockopt::set_socket_keepalive(socket, true)
}

/// Longest time that TCP takes for each, in seconds.
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
