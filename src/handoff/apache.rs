//! Apache's mod_php over plain HTTP: finds the browser's own connection, on which Apache has begun a response.

use sse_protocol::wire::Framing;

use super::obstacle::{Kind, Obstacle};
use super::{Connection, Sapi, peer};
use crate::php::engine::Engine;
use crate::{variables, zend};

/// Finds the connection to the browser, if it leads directly to the worker.
pub(super) fn find(engine: &mut Engine) -> Result<Connection, Obstacle> {
    let scheme = variables::of_server("REQUEST_SCHEME").unwrap_or_default();
    if scheme != "http" {
        return Err(Obstacle::server(format!(
            "the request's scheme is '{scheme}': only Apache itself can encrypt for this client"
        )));
    }
    let protocol = variables::of_server("SERVER_PROTOCOL").unwrap_or_default();
    if protocol != "HTTP/1.1" && protocol != "HTTP/1.0" {
        // A server without threads does not speak HTTP/2, so the odd protocol comes from the client.
        return Err(Obstacle::new(Kind::Version, format!("the request's protocol is '{protocol}'")));
    }
    let connection = Connection::new(peer::find()?, Sapi::Apache)?;
    // mod_deflate and mod_brotli would compress Apache's output, and the hub can't continue a compressed body.
    for module in ["no-gzip", "no-brotli"] {
        let _ = zend::call(engine, "apache_setenv", &[&module, &"1"]);
    }
    Ok(connection)
}

/// Reads Apache's choice of framing from the headers that it has sent.
pub(super) fn framing(engine: &mut Engine) -> Result<Framing, Obstacle> {
    let headers = zend::call(engine, "apache_response_headers", &[])
        .map_err(|_| Obstacle::server("apache_response_headers() can't be called"))?;
    let header = |name: &str| {
        let table = headers.look(engine).array()?;
        let found = table.iter().find(|(key, _)| key.to_string().eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.string())
    };
    if let Some(encoding) = header("Content-Encoding") {
        return Err(Obstacle::server(format!("Apache encodes the response as '{encoding}'")));
    }
    match header("Transfer-Encoding").as_deref() {
        Some("chunked") => Ok(Framing::Chunked),
        None => Ok(Framing::Raw),
        Some(other) => Err(Obstacle::server(format!("Apache transfers the response as '{other}'"))),
    }
}
