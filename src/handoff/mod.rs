//! Takes the client's connection from the worker: finds it, proves that it is the right one, and replaces it.
//!
//! Nothing here touches a connection before the proof, and the worker keeps it until [`Connection::release`].

mod apache;
mod cli_server;
mod fpm;
pub mod obstacle;
mod peer;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use sse_protocol::wire::Framing;

use self::obstacle::{Kind, Obstacle};
use crate::php::engine::Engine;
use crate::zend;

/// The proved connection of the current request.
#[derive(Debug)]
pub struct Connection {
    descriptor: RawFd,
    /// The replacement. Opened early, so that `release` can't fail for lack of a descriptor.
    stand_in: BorrowedFd<'static>,
    sapi: Sapi,
}

/// The SAPI that the connection belongs to.
#[derive(Debug, Clone, Copy)]
enum Sapi {
    Fpm { request: u16 },
    CliServer,
    Apache,
}

/// Finds the connection of the current request.
///
/// # Errors
/// [`Obstacle`] if there is none, or if it can't be identified with certainty.
pub fn find(engine: &mut Engine) -> Result<Connection, Obstacle> {
    if cfg!(php_zts) {
        return Err(Obstacle::new(Kind::Expected, "a thread-safe PHP has no connection to hand over"));
    }
    match zend::sapi_name().to_bytes() {
        b"fpm-fcgi" => fpm::find(),
        b"cli-server" => cli_server::find(),
        b"apache2handler" => apache::find(engine),
        other => {
            let sapi = String::from_utf8_lossy(other);
            Err(Obstacle::new(Kind::Expected, format!("the {sapi} SAPI has no connection to hand over")))
        }
    }
}

/// The socket whose hang-up shows that the client of a stream in this worker has left, if any. It is only polled, never
/// read or written.
pub fn hang_up_source() -> Option<BorrowedFd<'static>> {
    let descriptor = match zend::sapi_name().to_bytes() {
        b"fpm-fcgi" => fpm::find().ok()?.descriptor,
        b"cli-server" | b"apache2handler" => peer::find().ok()?,
        b"cli" | b"cgi-fcgi" | b"phpdbg" => libc::STDOUT_FILENO,
        _ => return None,
    };
    // SAFETY: the SAPI keeps this descriptor open as long as the request runs, and its use ends before that.
    Some(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// Closes the current request's connection in programs that its script starts. A background program would keep it open
/// after its stream has ended or the hub was killed. Apache does this itself.
pub fn close_on_exec() {
    let descriptor = match zend::sapi_name().to_bytes() {
        b"fpm-fcgi" => fpm::descriptor(),
        b"cli-server" => peer::find().ok(),
        _ => None,
    };
    if let Some(descriptor) = descriptor {
        // SAFETY: no pointers are involved, and FPM and `php -S` start no program themselves while a request runs.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Whether the response is complete while the script continues: after `fastcgi_finish_request()`.
pub fn is_complete() -> bool {
    zend::sapi_name() == c"fpm-fcgi" && fpm::has_ended()
}

/// `/dev/null`, opened once per process. Forked children inherit it.
fn stand_in() -> Result<BorrowedFd<'static>, Obstacle> {
    static NOTHING: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(nothing) = NOTHING.get() {
        return Ok(nothing.as_fd());
    }
    let nothing = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Obstacle::of_errno("/dev/null can't be opened", error))?;
    Ok(NOTHING.get_or_init(|| nothing).as_fd())
}

impl Connection {
    fn new(descriptor: RawFd, sapi: Sapi) -> Result<Self, Obstacle> {
        Ok(Self { descriptor, stand_in: stand_in()?, sapi })
    }

    /// The descriptor to send to the hub.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: the SAPI keeps this descriptor open as long as the request runs.
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }

    /// How the server frames the body. Call it after the headers are sent, because the choice is open until then.
    ///
    /// # Errors
    /// [`Obstacle`] if the hub can't continue the server's framing.
    pub fn framing(&self, engine: &mut Engine) -> Result<Framing, Obstacle> {
        match self.sapi {
            Sapi::Fpm { request } => Ok(Framing::FastCgi { request }),
            Sapi::CliServer => Ok(Framing::Raw),
            Sapi::Apache => apache::framing(engine),
        }
    }

    /// Whether the worker sends the stream's first lines. Not under Apache: its filters are slower than the hub.
    pub fn opens(&self) -> bool {
        !matches!(self.sapi, Sapi::Apache)
    }

    /// The header line, if any, that stops the server from reusing the connection.
    pub fn extra_header(&self) -> Option<&'static str> {
        matches!(self.sapi, Sapi::Apache).then_some("Connection: close")
    }

    /// Replaces the worker's descriptor with `/dev/null`, so that later writes, reads or a shutdown by the worker do not
    /// reach the client. Closing it would be worse: errors would count as an aborted connection, and another file could
    /// get the number.
    ///
    /// # Errors
    /// The system's error; the worker then still has the connection.
    pub fn release(&self) -> std::io::Result<()> {
        // SAFETY: dup3 atomically replaces a descriptor that the SAPI owns; the SAPI keeps owning the number.
        let replaced = unsafe { libc::dup3(self.stand_in.as_raw_fd(), self.descriptor, libc::O_CLOEXEC) };
        if replaced < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }
}
