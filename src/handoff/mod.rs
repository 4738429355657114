//! Takes the client's connection from the worker: finds it, proves that it is the right one, and replaces it.
//!
//! Nothing here touches a connection before the proof, and the worker keeps it until [`ProvedConnection::release`].

mod apache;
mod cli_server;
mod fpm;
pub mod obstacle;
mod peer;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use sse_protocol::wire::Framing;

use self::obstacle::{Obstacle, ObstacleKind};
use crate::api::exceptions::Problem;
use crate::php::descriptor::Descriptor;
use crate::php::{fork, zend};

/// The proved connection of the current request.
#[derive(Debug)]
pub struct ProvedConnection {
    descriptor: Descriptor,
    /// The replacement. Opened early, so that `release` can't fail for lack of a descriptor.
    stand_in: BorrowedFd<'static>,
    sapi: Sapi,
}

/// The SAPI that the connection belongs to.
#[derive(Debug, Clone, Copy)]
enum Sapi {
    Fpm {
        request: u16,
    },
    CliServer,
    /// With what was written to the connection before the stream.
    Apache {
        before: apache::WrittenBytes,
    },
}

/// Finds the connection of the current request.
///
/// # Errors
/// [`Obstacle`] if there is none, or if it can't be identified with certainty.
pub fn find() -> Result<ProvedConnection, Obstacle> {
    match zend::sapi_name().to_bytes() {
        b"fpm-fcgi" => fpm::find(),
        b"cli-server" => cli_server::find(),
        // Tested with one thread only. One of several speaks HTTP/2 as well, where many requests have the same connection.
        b"apache2handler" if cfg!(php_zts) && fork::has_other_threads() => {
            Err(Obstacle::new(ObstacleKind::Expected, "an Apache that has threads has no connection to hand over"))
        }
        b"apache2handler" => apache::find(),
        other => {
            let sapi = String::from_utf8_lossy(other);
            Err(Obstacle::new(ObstacleKind::Expected, format!("the {sapi} SAPI has no connection to hand over")))
        }
    }
}

/// The socket whose hang-up shows that the client of a stream in this worker has left, if any. It is only polled, never
/// read or written.
pub fn hang_up_source() -> Option<Descriptor> {
    Some(match zend::sapi_name().to_bytes() {
        b"fpm-fcgi" => fpm::find().ok()?.descriptor,
        b"cli-server" => peer::find().ok()?,
        b"apache2handler" => apache::descriptor()?,
        b"cli" | b"cgi-fcgi" | b"phpdbg" => Descriptor::OUTPUT,
        _ => return None,
    })
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
        // FPM and `php -S` start no program themselves while a request runs.
        descriptor.close_on_exec();
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

impl ProvedConnection {
    fn new(descriptor: Descriptor, sapi: Sapi) -> Result<Self, Obstacle> {
        Ok(Self { descriptor, stand_in: stand_in()?, sapi })
    }

    /// The descriptor to send to the hub.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.lend()
    }

    /// How the server frames the body. Call it after the headers are sent, because the choice is open until then.
    ///
    /// # Errors
    /// [`Obstacle`] if the hub can't continue the server's framing.
    pub fn framing(&self) -> Result<Framing, Obstacle> {
        match self.sapi {
            Sapi::Fpm { request } => Ok(Framing::FastCgi { request }),
            Sapi::CliServer => Ok(Framing::Raw),
            Sapi::Apache { before } => apache::framing(self.descriptor, before),
        }
    }

    /// Whether the worker sends the stream's first lines. Not under Apache: its filters are slower than the hub.
    pub fn opens(&self) -> bool {
        !matches!(self.sapi, Sapi::Apache { .. })
    }

    /// The header line, if any, that stops the server from reusing the connection.
    pub fn extra_header(&self) -> Option<&'static str> {
        matches!(self.sapi, Sapi::Apache { .. }).then_some("Connection: close")
    }

    /// Whether the worker waits at the end of its request until the web server closes the connection (FPM), which some do only
    /// after the whole response to the client.
    pub fn is_waited_for(&self) -> bool {
        matches!(self.sapi, Sapi::Fpm { .. })
    }

    /// Replaces the worker's descriptor with `/dev/null`, so that later writes, reads or a shutdown by the worker do not
    /// reach the client. Closing it would be worse: errors would count as an aborted connection, and another file could
    /// get the number.
    ///
    /// # Errors
    /// `Other` with the system's error; the worker then still has the connection.
    pub fn release(&self) -> Result<(), Problem> {
        let released = self.descriptor.replace(self.stand_in);
        released.map_err(|error| Problem::Other(format!("the connection could not be let go: {error}")))
    }
}
