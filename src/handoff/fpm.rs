//! FPM: finds the FastCGI connection between the web server and the worker.

use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketType, sockopt};

use super::obstacle::{Kind, Obstacle};
use super::{Connection, Sapi};
use crate::zend;

/// The start of `struct _fcgi_request` (`main/fastcgi.c`), the same in PHP 8.1–8.6. [`prove`] checks its values with the
/// kernel before they are used.
#[repr(C)]
struct FcgiRequest {
    listen_socket: i32,
    tcp: i32,
    fd: i32,
    id: i32,
    keep: i32,
    nodelay: i32,
    ended: i32,
}

/// Finds the worker's FastCGI connection.
pub(super) fn find() -> Result<Connection, Obstacle> {
    prove(&request().ok_or_else(|| Obstacle::server("FPM has no request"))?)
}

/// The worker's FastCGI descriptor, for operations that are harmless on a wrong one. It is proved only once per process,
/// because every request calls this.
pub(super) fn descriptor() -> Option<RawFd> {
    static PROVED: AtomicBool = AtomicBool::new(false);
    let request = request()?;
    if !PROVED.load(Ordering::Relaxed) {
        prove(&request).ok()?;
        PROVED.store(true, Ordering::Relaxed);
    }
    (request.ended == 0 && request.fd > libc::STDERR_FILENO).then_some(request.fd)
}

/// Whether FPM has already completed the response.
pub(super) fn has_ended() -> bool {
    request().is_none_or(|request| request.ended != 0)
}

fn request() -> Option<FcgiRequest> {
    let context = zend::sapi_globals(|globals| globals.server_context).cast::<FcgiRequest>();
    // SAFETY: under the SAPI `fpm-fcgi` the server context is a `fcgi_request`, which starts as declared above and lives
    // until the request ends.
    if context.is_null() || !context.is_aligned() { None } else { Some(unsafe { context.read() }) }
}

fn prove(request: &FcgiRequest) -> Result<Connection, Obstacle> {
    let no = |reason: &str| Err(Obstacle::server(format!("FPM's request is not as expected: {reason}")));
    if request.ended != 0 {
        return no("it has ended");
    }
    let Some(id) = u16::try_from(request.id).ok().filter(|id| *id > 0) else {
        return no("its id is not between 1 and 65535");
    };
    if request.fd < 3 || request.listen_socket < 0 {
        return no("it has no descriptors");
    }
    // SAFETY: these numbers are only used for queries below; the kernel reports those that are no descriptors.
    let (connection, listener) =
        unsafe { (BorrowedFd::borrow_raw(request.fd), BorrowedFd::borrow_raw(request.listen_socket)) };
    let peer = rustix::net::getpeername(connection);
    if peer == Err(Errno::NOTCONN) {
        return Err(Obstacle::new(Kind::Left, "the web server has reset the connection"));
    }
    if sockopt::socket_type(connection) != Ok(SocketType::STREAM) || peer.is_err() {
        return no("its descriptor is not a connected stream socket");
    }
    if sockopt::socket_acceptconn(listener) != Ok(true) {
        return no("its listener does not listen");
    }
    let (Ok(local), Ok(listening)) = (rustix::net::getsockname(connection), rustix::net::getsockname(listener)) else {
        return no("its sockets have no names");
    };
    if !accepted_at(&local, &listening) {
        return no("its connection did not come from its listener");
    }
    Connection::new(request.fd, Sapi::Fpm { request: id })
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
