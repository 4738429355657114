//! Apache's mod_php over plain HTTP: finds the browser's own connection, on which Apache has begun a response.

mod written;

use rustix::io::Errno;
use sse_protocol::topic;
use sse_protocol::wire::Framing;

pub(super) use self::written::WrittenBytes;
use super::obstacle::{Obstacle, ObstacleKind};
use super::{ProvedConnection, Sapi};
use crate::php::apache::{Record, with_record};
use crate::php::connection;
use crate::php::descriptor::Descriptor;

/// Filters of connections that pass on every byte as it is: Apache's own last one, and that of mod_dumpio.
const HARMLESS: [&str; 2] = ["core", "dumpio_out"];

/// Finds the connection to the browser, if it leads directly to the worker.
pub(super) fn find() -> Result<ProvedConnection, Obstacle> {
    look(found)
}

fn found(record: Record<'_>) -> Result<ProvedConnection, Obstacle> {
    if record.is_part() {
        return Err(Obstacle::server("the script is included in another response of Apache"));
    }
    let protocol = record.protocol();
    if protocol != "HTTP/1.1" && protocol != "HTTP/1.0" {
        // A server without threads does not speak HTTP/2, so the odd protocol comes from the client.
        let why = format!("the request's protocol is '{}'", topic::shortened(protocol));
        return Err(Obstacle::new(ObstacleKind::Version, why));
    }
    if let Some(filter) = record.connection_filters().into_iter().find(|name| !HARMLESS.contains(name)) {
        return Err(Obstacle::server(format!(
            "what is sent to this client passes Apache's filter '{filter}': only Apache itself can encrypt or change it"
        )));
    }
    let descriptor = socket(record)?;
    let before = written(descriptor)?;
    let connection = ProvedConnection::new(descriptor, Sapi::Apache { before })?;
    // mod_deflate and mod_brotli would compress Apache's output, and the hub can't continue a compressed body.
    for module in [c"no-gzip", c"no-brotli"] {
        record.set_variable(module, c"1");
    }
    Ok(connection)
}

/// The connection's socket, for operations that are harmless on a wrong one.
pub(super) fn descriptor() -> Option<Descriptor> {
    fn of(record: Record<'_>) -> Option<Descriptor> {
        record.descriptor()
    }
    with_record(of)?
}

/// Reads Apache's choice of framing from the headers that it has sent. `before`: what was written before them.
pub(super) fn framing(descriptor: Descriptor, before: WrittenBytes) -> Result<Framing, Obstacle> {
    look(|record| chosen(record, descriptor, before))
}

fn chosen(record: Record<'_>, descriptor: Descriptor, before: WrittenBytes) -> Result<Framing, Obstacle> {
    if !written(descriptor)?.head_since(before) {
        // Nor can it be sent to a client that has reset the connection since, or lets Apache's Timeout pass.
        socket(record)?;
        if connection::is_aborted() {
            return Err(Obstacle::new(ObstacleKind::Left, "the client did not take the response's head"));
        }
        return Err(Obstacle::server(
            "Apache has not sent the response's head although it was flushed: an output filter withholds it, for example \
             of mod_security (SecResponseBodyAccess) or mod_ext_filter; exempt event streams from it",
        ));
    }
    if let Some(encoding) = record.response_header(c"Content-Encoding") {
        return Err(Obstacle::server(format!("Apache encodes the response as '{encoding}'")));
    }
    match record.response_header(c"Transfer-Encoding") {
        Some("chunked") => Ok(Framing::Chunked),
        None => Ok(Framing::Raw),
        Some(other) => Err(Obstacle::server(format!("Apache transfers the response as '{other}'"))),
    }
}

fn written(descriptor: Descriptor) -> Result<WrittenBytes, Obstacle> {
    WrittenBytes::of(descriptor)
        .ok_or_else(|| Obstacle::server("the kernel does not tell how much was written to the client"))
}

fn look<R>(work: impl FnOnce(Record<'_>) -> Result<R, Obstacle>) -> Result<R, Obstacle> {
    with_record(work).unwrap_or_else(|| Err(Obstacle::server("Apache's record of the request is not as in Apache 2.4")))
}

fn socket(record: Record<'_>) -> Result<Descriptor, Obstacle> {
    let descriptor = record.descriptor().ok_or_else(|| Obstacle::server("Apache has no socket of this connection"))?;
    match descriptor.peer() {
        Ok(Some(_)) => Ok(descriptor),
        Err(Errno::NOTCONN) => Err(Obstacle::new(ObstacleKind::Left, "the client has reset the connection")),
        _ => Err(Obstacle::server("Apache's descriptor of this connection is no connected socket")),
    }
}
