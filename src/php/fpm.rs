//! PHP-FPM's own record of the running request.

use super::descriptor::Descriptor;
use super::zend;

/// The start of `struct _fcgi_request` (`main/fastcgi.c`), the same in PHP 8.1–8.6.
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

/// What the record says. It is to be checked with the kernel before it is relied on.
#[derive(Debug, Clone, Copy)]
pub struct FpmRequest {
    /// The connection from the web server. `None` if its number is none.
    pub connection: Option<Descriptor>,
    /// The socket that it came from. `None` if its number is none.
    pub listener: Option<Descriptor>,
    /// FastCGI's id of the request.
    pub id: i32,
    /// Whether the response is complete.
    pub has_ended: bool,
}

/// The running request. `None` under another SAPI, or without a request.
pub fn request() -> Option<FpmRequest> {
    if zend::sapi_name() != c"fpm-fcgi" {
        return None;
    }
    let context = zend::sapi_globals(|globals| globals.server_context).cast::<FcgiRequest>();
    if context.is_null() || !context.is_aligned() {
        return None;
    }
    // SAFETY: under the SAPI `fpm-fcgi` the server context is a `fcgi_request`, which starts as declared above and lives
    // until the request ends.
    let FcgiRequest { listen_socket, fd, id, ended, .. } = unsafe { context.read() };
    Some(FpmRequest {
        connection: Descriptor::of_sapi(fd),
        listener: Descriptor::of_listener(listen_socket),
        id,
        has_ended: ended != 0,
    })
}
