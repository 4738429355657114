//! `sse_stream()` with `sse.detach=redirect`: the hub keeps the stream, and the web server fetches it from there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::exceptions::Problem;
use super::offer::Offered;
use crate::handoff::obstacle::{Obstacle, ObstacleKind, Stays};
use crate::handoff::{self, ProvedConnection};
use crate::php::engine::Engine;
use crate::php::variables;
use crate::stream::{CallOutcome, StreamCall};
use crate::{adopt, hub_connection, ini, response};

/// Beginnings of `SERVER_SOFTWARE`, and the header that such a server follows itself. Caddy and FrankenPHP follow one by their
/// configuration, and this is the one of the manual.
const OF_SOFTWARE: [(&str, &str); 4] = [
    ("nginx", "X-Accel-Redirect"),
    ("Caddy", "X-Accel-Redirect"),
    ("FrankenPHP", "X-Accel-Redirect"),
    ("LiteSpeed", "X-LiteSpeed-Location"),
];

/// What the hub holds the stream with until the web server's connection replaces it. Nobody reads or writes it.
enum Placeholder {
    /// The request's connection: the hub knows by it where the script is run again.
    Connection(ProvedConnection),
    /// Nothing's, where the SAPI has none.
    Socket(OwnedFd),
}

impl Placeholder {
    fn find(replays: bool) -> Result<Self, Stays> {
        match handoff::find() {
            Ok(connection) => Ok(Self::Connection(connection)),
            Err(obstacle) if replays || obstacle.kind == ObstacleKind::Left => Err(obstacle.into()),
            Err(_) => Ok(Self::Socket(hub_connection::pair()?.0)),
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Connection(connection) => connection.descriptor(),
            Self::Socket(socket) => socket.as_fd(),
        }
    }

    /// Lets the connection go where the worker would wait for its end. The hub closes it when the web server has fetched the
    /// stream, or has not in time.
    fn release(&self) -> Result<(), Problem> {
        match self {
            Self::Connection(connection) if connection.is_waited_for() => connection.release(),
            _ => Ok(()),
        }
    }
}

/// The header, with its colon and the path that a stream's name follows.
fn header() -> Result<String, Stays> {
    let path = ini::redirect_path()?;
    if let Some(name) = ini::redirect_header()? {
        return Ok(format!("{name}: {path}"));
    }
    let software = variables::of_server("SERVER_SOFTWARE").unwrap_or_default();
    match OF_SOFTWARE.iter().find(|(server, _)| software.starts_with(server)) {
        Some((_, name)) => Ok(format!("{name}: {path}")),
        None => Err(Obstacle::server(
            "sse.redirect_header is auto, and this web server (SERVER_SOFTWARE) is none of nginx, Caddy, FrankenPHP and \
             LiteSpeed; set sse.redirect_header to the header that it follows",
        )
        .of(software)
        .into()),
    }
}

impl StreamCall {
    /// Has the web server fetch the stream. If that is not possible, nothing has been sent.
    pub(super) fn redirect(&self, engine: &mut Engine) -> Result<CallOutcome, Stays> {
        let header = header()?;
        let placeholder = Placeholder::find(self.wanted.replays(self.callback.is_some()))?;
        let offered = self.offer(engine, placeholder.descriptor(), false, |engine, held| {
            adopt::renounce();
            let mut headers = self.wanted.headers.clone();
            headers.extend(self.resumption(held));
            let headers = response::take_headers(engine, &headers)?;
            let address = variables::of_server("REMOTE_ADDR");
            Ok(hub_connection::redirect(held, address.as_deref(), &headers)?)
        });
        let ticket = match offered? {
            Offered::Taken(ticket) => ticket,
            Offered::Concluded(outcome) => return Ok(outcome),
        };
        let sent = response::redirect(engine, &format!("{header}{ticket}"));
        response::silence();
        placeholder.release()?;
        Ok(sent.map_or_else(CallOutcome::from, |()| CallOutcome::HandedOver))
    }
}
