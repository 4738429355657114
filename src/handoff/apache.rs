//! Apache's mod_php over plain HTTP: the browser's own connection, on which Apache has begun a response.

use sse_hub::wire::Framing;

use super::{Connection, NoHandOff, Sapi, peer};
use crate::{variables, zend};

/// The connection to the browser, if nothing stands between it and the worker.
pub(super) fn find() -> Result<Connection, NoHandOff> {
    let scheme = variables::of_server("REQUEST_SCHEME").unwrap_or_default();
    if scheme != "http" {
        return Err(NoHandOff::unproved(format!(
            "the request's scheme is '{scheme}': only Apache itself can encrypt for this client"
        )));
    }
    let protocol = variables::of_server("SERVER_PROTOCOL").unwrap_or_default();
    if protocol != "HTTP/1.1" && protocol != "HTTP/1.0" {
        return Err(NoHandOff::unproved(format!(
            "the request's protocol is '{protocol}', whose frames only Apache can write"
        )));
    }
    let connection = Connection::new(peer::find()?, Sapi::Apache)?;
    // mod_deflate would compress what Apache writes, and the hub can't continue a compressed body.
    let _ = zend::call("apache_setenv", &[&"no-gzip", &"1"]);
    Ok(connection)
}

/// What Apache has chosen, by the headers that it has sent.
pub(super) fn framing() -> Result<Framing, NoHandOff> {
    let headers = zend::call("apache_response_headers", &[])
        .map_err(|_| NoHandOff::unproved("apache_response_headers() can't be called"))?;
    let header = |name: &str| {
        let table = headers.array()?;
        let found = table.iter().find(|(key, _)| key.to_string().eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.string())
    };
    if let Some(encoding) = header("Content-Encoding") {
        return Err(NoHandOff::unproved(format!("Apache encodes the response as '{encoding}'")));
    }
    match header("Transfer-Encoding").as_deref() {
        Some("chunked") => Ok(Framing::Chunked),
        None => Ok(Framing::Raw),
        Some(other) => Err(NoHandOff::unproved(format!("Apache transfers the response as '{other}'"))),
    }
}
