//! Listens at the address of `sse.http`.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::config::{HttpAddress, HttpConfig};
use crate::socket::file::SocketFile;
use crate::socket::{self, Folder};

/// Where a listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// At a socket file.
    Unix(PathBuf),
    /// At a loopback address.
    Tcp(SocketAddr),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

impl Place {
    /// Where the hub at the socket `hub` listens by the settings; `None`: nowhere.
    pub(crate) fn of(config: &HttpConfig, hub: &Path) -> Option<Self> {
        match &config.address {
            HttpAddress::Auto => Some(Self::Unix(hub.with_added_extension("http"))),
            HttpAddress::Off => None,
            HttpAddress::Unix(path) => Some(Self::Unix(path.clone())),
            HttpAddress::Tcp(address) => Some(Self::Tcp(*address)),
        }
    }

    /// Listens there; members of the group, if there is one, may connect to a socket file.
    pub(crate) fn listen(&self, group: Option<u32>) -> io::Result<OwnedFd> {
        match self {
            Self::Unix(path) => unix(path, group),
            Self::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(listener.into())
            }
        }
    }

    /// The socket file that is there now; `None`: the address has none.
    pub(crate) fn file(&self) -> Option<SocketFile> {
        let Self::Unix(path) = self else { return None };
        Some(SocketFile::at(path))
    }
}

fn unix(path: &Path, group: Option<u32>) -> io::Result<OwnedFd> {
    socket::check_folder(path, Folder::Chosen).map_err(io::Error::other)?;
    match rustix::fs::lstat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Socket => {
            return Err(io::Error::other("this file is not a socket; remove it, or set sse.http to another path"));
        }
        Ok(_) if answers(path)? => {
            return Err(io::Error::other(
                "another process answers there, perhaps the hub of another user or namespace; set sse.http to another path",
            ));
        }
        Ok(_) => fs::remove_file(path)?,
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    Ok(socket::listen(path, mode, group, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?)
}

/// Whether a process listens there, even if it does nothing else: a connect that waits would wait for as long as its queue is full.
fn answers(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(matches!(rustix::net::connect(&socket, &SocketAddrUnix::new(path)?), Ok(()) | Err(Errno::AGAIN)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_socket_is_its_owners_and_a_stale_one_is_replaced_but_no_other() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("hub.sock.http");
        let place = Place::Unix(path.clone());
        let mode = || fs::metadata(&path).expect("bound").permissions().mode() & 0o777;
        drop(place.listen(None).expect("nothing is there"));
        assert_eq!(mode(), 0o600);
        let own = rustix::process::getegid().as_raw();
        let listener = place.listen(Some(own)).expect("nobody answers there");
        assert_eq!(mode(), 0o660);
        let error = place.listen(None).expect_err("taken").to_string();
        assert!(error.contains("another process answers there"), "{error}");
        place.file().expect("a socket's").remove().expect("removed");
        drop(listener);
        fs::write(&path, "precious").expect("ours");
        assert!(place.listen(None).expect_err("a file").to_string().contains("not a socket"));
    }

    /// The attack: a process that has stopped keeps the address with a full queue, and the ordering thread waits for it.
    #[test]
    fn a_process_that_does_not_answer_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("hub.sock.http");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            || rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket");
        let (stopped, name) = (socket(), SocketAddrUnix::new(&path).expect("a path"));
        rustix::net::bind(&stopped, &name).expect("nothing is there");
        rustix::net::listen(&stopped, 0).expect("a listener");
        let mut queue = vec![socket()];
        while rustix::net::connect(&queue[queue.len() - 1], &name).is_ok() {
            queue.push(socket());
        }
        let (sender, told) = mpsc::channel();
        thread::spawn(move || sender.send(Place::Unix(path).listen(None).map_err(|error| error.to_string())));
        let error = told.recv_timeout(Duration::from_secs(60)).expect("it is waited for").expect_err("taken");
        assert!(error.contains("another process answers there"), "{error}");
    }
}
