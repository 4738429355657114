//! Connects to upstreams, and checks who listens before anything is sent: requests carry their clients' cookies.
//!
//! A path is only a name. Anyone who may write to a folder above it can put another socket there, or a link to one that the
//! hub may connect to and he may not. So the hub first opens the file itself, then connects to this very file, and asks the
//! system who listens there.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;

use crate::sys;
use sse_protocol::cause::Cause;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ConnectError {
    /// The system reported an error.
    #[error("{}", std::io::Error::from(*.0))]
    System(#[from] Errno),
    /// The file or its listener is not to be trusted.
    #[error("{0}")]
    Distrusted(String),
    /// Without /proc the hub can't check the file.
    #[error("/proc, by which the hub connects to it, is not mounted")]
    NoProc,
}

impl ConnectError {
    /// The cause of the error. A false listener, put there by another user, must not keep a stream in its worker.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::System(error) => Cause::of_errno(*error),
            Self::Distrusted(_) => Cause::Load,
            Self::NoProc => Cause::Server,
        }
    }
}

/// Opens a connection to a Unix socket whose listener runs as this user or root.
///
/// # Errors
/// `System` if no process listens or this user may not connect; `Distrusted` if the path is no socket, or the listener is
/// another user's; `NoProc` without /proc.
pub(crate) fn unix(path: &Path) -> Result<OwnedFd, ConnectError> {
    let distrusted = |why: String| Err(ConnectError::Distrusted(why));
    // With `NOFOLLOW`, a link is opened itself.
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::Socket => {}
        FileType::Symlink => return distrusted("it is a symbolic link now, and no socket".into()),
        _ => return distrusted("it is no socket any more".into()),
    }
    let same_file = SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let socket = match open(AddressFamily::UNIX, &same_file.into()) {
        Err(Errno::NOENT) => return Err(ConnectError::NoProc),
        other => other?,
    };
    let upstream =
        sys::peer_credentials(socket.as_fd()).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let own = rustix::process::geteuid().as_raw();
    if upstream.uid != own && upstream.uid != 0 {
        return distrusted(format!("user {} listens there, and not root or user {own}", upstream.uid));
    }
    Ok(socket)
}

/// Starts a connection over TCP.
///
/// # Errors
/// `System` if the connection fails at once.
pub(crate) fn internet(address: SocketAddr) -> Result<OwnedFd, ConnectError> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(open(family, &address.into())?)
}

fn open(family: AddressFamily, name: &SocketAddrAny) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, name) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_of_this_user_is_connected_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fpm.sock");
        assert_eq!(unix(&path).expect_err("nobody"), ConnectError::System(Errno::NOENT));
        let upstream = UnixListener::bind(&path).expect("bound");
        unix(&path).expect("connected");
        drop(upstream);
        assert_eq!(unix(&path).expect_err("nobody any more"), ConnectError::System(Errno::CONNREFUSED));
    }

    /// Attack: someone replaces the socket by a link to one that only the hub may connect to, which would get the requests.
    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real.sock"), folder.path().join("fpm.sock"));
        let _listener = UnixListener::bind(&real).expect("bound");
        std::os::unix::fs::symlink(&real, &link).expect("own folder");
        let error = unix(&link).expect_err("a link");
        assert_eq!(error.to_string(), "it is a symbolic link now, and no socket");
    }

    #[test]
    fn another_file_is_not_a_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fpm.sock");
        std::fs::write(&path, "").expect("own folder");
        assert_eq!(unix(&path).expect_err("a file").to_string(), "it is no socket any more");
    }
}
