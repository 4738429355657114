//! Taking the client's connection away from the worker: find it, prove that it is the right one, replace it.
//!
//! Nothing here touches a connection before it is proved, and until [`Connection::release`] the worker keeps it.

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

/// The connection of the current request, proved to be so.
#[derive(Debug)]
pub struct Connection {
    descriptor: RawFd,
    /// What takes its place; opened first, so that letting go can't fail for want of a descriptor.
    stand_in: BorrowedFd<'static>,
    sapi: Sapi,
}

/// The SAPI that the connection was found in.
#[derive(Debug, Clone, Copy)]
enum Sapi {
    Fpm { request: u16 },
    CliServer,
    Apache,
}

/// Finds the connection of the current request.
///
/// # Errors
/// [`Obstacle`] if there is none, or if it is not certain which it is.
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

/// The socket whose hang-up tells that the client of a stream served in this worker has left, if there is one. It is
/// only polled, never read or written.
pub fn hang_up_source() -> Option<BorrowedFd<'static>> {
    let descriptor = match zend::sapi_name().to_bytes() {
        b"fpm-fcgi" => fpm::find().ok()?.descriptor,
        b"cli-server" | b"apache2handler" => peer::find().ok()?,
        b"cli" | b"cgi-fcgi" | b"phpdbg" => libc::STDOUT_FILENO,
        _ => return None,
    };
    // SAFETY: the SAPI keeps this descriptor open for as long as the request runs, and it is used for no longer.
    Some(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// Keeps the connection of the current request from the programs that its script starts: one that goes on in the background
/// would keep it open after its stream has ended, or after the hub was killed. Apache does that itself.
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

/// Whether the response is complete although the script goes on: after `fastcgi_finish_request()`.
pub fn is_complete() -> bool {
    zend::sapi_name() == c"fpm-fcgi" && fpm::has_ended()
}

/// `/dev/null`, opened once a process: a child has it as well.
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

    /// The connection, to be sent to the hub.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: the SAPI keeps this descriptor open for as long as the request runs.
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }

    /// How the server wraps what follows the headers. To be asked once the headers are sent: only then is it settled.
    ///
    /// # Errors
    /// [`Obstacle`] if the server has chosen something that the hub can't continue.
    pub fn framing(&self, engine: &mut Engine) -> Result<Framing, Obstacle> {
        match self.sapi {
            Sapi::Fpm { request } => Ok(Framing::FastCgi { request }),
            Sapi::CliServer => Ok(Framing::Raw),
            Sapi::Apache => apache::framing(engine),
        }
    }

    /// Whether the worker had better send the stream's first lines itself. Apache's filters take longer for them than the hub.
    pub fn opens(&self) -> bool {
        !matches!(self.sapi, Sapi::Apache)
    }

    /// The header line that this server needs so that it doesn't use the connection again.
    pub fn extra_header(&self) -> Option<&'static str> {
        matches!(self.sapi, Sapi::Apache).then_some("Connection: close")
    }

    /// Lets go: the worker's descriptor becomes `/dev/null`, so that whatever the worker still writes, reads or shuts
    /// down at the end of the request does not reach the client. A closed descriptor would do worse: errors would count
    /// as an aborted connection, and the number could be given to another file.
    ///
    /// # Errors
    /// What the system says; the worker then still has the connection.
    pub fn release(&self) -> std::io::Result<()> {
        // SAFETY: dup3 atomically replaces a descriptor that the SAPI owns; the SAPI keeps owning the number.
        let replaced = unsafe { libc::dup3(self.stand_in.as_raw_fd(), self.descriptor, libc::O_CLOEXEC) };
        if replaced < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }
}
