//! Captures the current request so that the hub can replay it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_bytes::Bytes;
use sse_protocol::wire::{MAX_REQUEST, OriginalRequest, Protocol};

use crate::api::exceptions::Problem;
use crate::handoff::obstacle::{Obstacle, ObstacleKind, Stays};
use crate::php::engine::Engine;
use crate::php::variables::{self, Fields};
use crate::php::zend::{self, NoValue};

/// Maximum length of a kept body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// Variables that PHP creates itself, and those that differ each time.
const NOT_PARAMETERS: [&[u8]; 4] = [b"PHP_SELF", b"FCGI_ROLE", b"HTTP_LAST_EVENT_ID", b"SSE_RENDER_TOKEN"];

/// Headers of the connection rather than the request, and those that differ each time. Written with underscores, because
/// PHP does not distinguish them from dashes.
const NOT_HEADERS: [&str; 12] = [
    "connection",
    "keep_alive",
    "proxy_connection",
    "transfer_encoding",
    "content_length",
    "upgrade",
    "expect",
    "te",
    "trailer",
    "proxy",
    "last_event_id",
    "sse_render_token",
];

/// A request that can be replayed.
#[derive(Debug)]
pub struct Original {
    script: String,
    /// Method and target; `None` for FastCGI.
    http: Option<(String, String)>,
    fields: Fields,
    body: Vec<u8>,
    remote: (String, String),
    last_event_id: Option<String>,
    session: Option<String>,
}

impl Original {
    /// Captures the current request.
    ///
    /// # Errors
    /// Why it can't be replayed.
    pub fn capture(engine: &mut Engine) -> Result<Self, Stays> {
        let variable = |name| variables::of_server(name).unwrap_or_default();
        let fastcgi = zend::sapi_name() == c"fpm-fcgi";
        let body = body(engine, &variable)?;
        let (http, mut fields) = if fastcgi {
            (None, parameters(&body))
        } else {
            (Some((of_line("REQUEST_METHOD")?, of_line("REQUEST_URI")?)), headers(engine)?)
        };
        let script = variables::bytes_of_server("SCRIPT_FILENAME").unwrap_or_default();
        if script.is_empty() {
            return Err(cannot(ObstacleKind::Server, "the server does not tell its script"));
        }
        let script = readable(&script);
        with_session(engine, &mut fields, if fastcgi { b"HTTP_COOKIE" } else { b"Cookie" });
        let original = Self {
            script,
            http,
            fields,
            body,
            remote: (variable("REMOTE_ADDR"), variable("REMOTE_PORT")),
            last_event_id: variables::of_server("HTTP_LAST_EVENT_ID"),
            session: session(engine),
        };
        let size = original.size();
        if size > MAX_REQUEST {
            return Err(cannot(ObstacleKind::TooLarge, &format!("it has {size} bytes; up to {MAX_REQUEST} are kept")));
        }
        Ok(original)
    }

    fn size(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let line = self.http.as_ref().map_or(0, |(method, target)| method.len() + target.len());
        // The hub gets the id twice: with the request and with the stream.
        let id = 2 * self.last_event_id.as_ref().map_or(0, String::len);
        let session = self.session.as_ref().map_or(0, String::len);
        fields + self.body.len() + line + self.script.len() + id + session
    }

    /// The request in wire format.
    pub fn wire(&self) -> OriginalRequest<'_> {
        OriginalRequest {
            script: &self.script,
            protocol: match &self.http {
                None => Protocol::FastCgi,
                Some((method, target)) => Protocol::Http { method, target },
            },
            fields: self.fields.iter().map(|(name, value)| (Bytes::new(name), Bytes::new(value))).collect(),
            body: Bytes::new(&self.body),
            remote: (&self.remote.0, &self.remote.1),
            last_event_id: self.last_event_id.as_deref(),
            session: self.session.as_deref(),
        }
    }
}

/// The FastCGI parameters: the server's variables, as the web server and FPM have completed them.
fn parameters(body: &[u8]) -> Fields {
    let mut parameters = Vec::new();
    for (name, value) in variables::environment() {
        // Every request gets the pool's environment, which may have changed by the time of a replay.
        let own = std::env::var_os(OsStr::from_bytes(&name));
        if NOT_PARAMETERS.contains(&&*name) || own.is_some_and(|own| own.as_bytes() == value) {
            continue;
        }
        // A chunked body has no length header.
        let value =
            if name == b"CONTENT_LENGTH" && !body.is_empty() { body.len().to_string().into_bytes() } else { value };
        parameters.push((name, value));
    }
    if !body.is_empty() && !parameters.iter().any(|(name, _)| name == b"CONTENT_LENGTH") {
        parameters.push((b"CONTENT_LENGTH".to_vec(), body.len().to_string().into_bytes()));
    }
    parameters
}

/// A path as text. Bytes that are not UTF-8 are written as `\x..`, so that two paths never become one.
fn readable(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// Reads a part of the request line. An empty one means that this server does not provide it; white space or a control
/// character in it is the client's fault. Bytes that are not UTF-8 are sent as browsers send them.
fn of_line(variable: &str) -> Result<String, Stays> {
    let bytes = variables::bytes_of_server(variable).unwrap_or_default();
    if bytes.is_empty() {
        return Err(cannot(ObstacleKind::Server, "the server does not tell its request line"));
    }
    if bytes.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(cannot(ObstacleKind::Unclear, "its request line has bytes that no request line may have"));
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
    }
    Ok(text)
}

/// The request headers.
fn headers(engine: &mut Engine) -> Result<Fields, Stays> {
    let mut kept = Vec::new();
    for (name, value) in if zend::sapi_name() == c"cli-server" { of_variables() } else { of_apache(engine)? } {
        let is_kept = |known: &&str| !name.iter().map(|b| plain(*b)).eq(known.bytes());
        let token = !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() && *b != b':');
        if token && NOT_HEADERS.iter().all(is_kept) {
            // Unfold a folded header into one line.
            let line = value.iter().map(|b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { *b });
            kept.push((name, line.collect()));
        }
    }
    // HTTP/1.0 does not require a Host header, but the hub's request does.
    if !kept.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
        let name = variables::of_server("SERVER_NAME").filter(|name| !name.is_empty());
        kept.push((b"Host".to_vec(), name.unwrap_or_else(|| "localhost".into()).into_bytes()));
    }
    Ok(kept)
}

/// A character of a header's name, as it is in PHP's variables, but in lower case.
fn plain(character: u8) -> u8 {
    if character == b'-' { b'_' } else { character.to_ascii_lowercase() }
}

/// The id of the session that the script is in, or that it would start. PHP parses the cookie, because clients can encode
/// it in several ways.
fn session(engine: &mut Engine) -> Option<String> {
    let id = of_session(engine, "session_id");
    let id = id.or_else(|| variables::of_cookie(&of_session(engine, "session_name")?));
    id.filter(|id| !id.is_empty())
}

/// The result of a session function. `None` if it is empty.
fn of_session(engine: &mut Engine, function: &str) -> Option<String> {
    let value = zend::call(engine, function, &[]).ok()?;
    value.look(engine).string().filter(|text| !text.is_empty())
}

/// Adds the session to the cookies, if this request started it or changed its id.
fn with_session(engine: &mut Engine, fields: &mut Fields, header: &[u8]) {
    let (Some(id), Some(name)) = (of_session(engine, "session_id"), of_session(engine, "session_name")) else { return };
    let own = format!("{name}={id}").into_bytes();
    let place = fields.iter().position(|(field, _)| field.eq_ignore_ascii_case(header));
    let sent = place.map(|place| fields[place].1.clone()).unwrap_or_default();
    let others = || sent.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|cookie| !cookie.is_empty());
    if others().any(|cookie| cookie == own) {
        return;
    }
    let old = |cookie: &&[u8]| cookie.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    let cookies = others().filter(|cookie| !old(cookie)).chain([&*own]).collect::<Vec<_>>().join(&b"; "[..]);
    match place {
        Some(place) => fields[place].1 = cookies,
        None => fields.push((header.to_vec(), cookies)),
    }
}

/// The headers from Apache. PHP's variables omit some, such as Authorization.
fn of_apache(engine: &mut Engine) -> Result<Fields, Stays> {
    let headers = zend::call(engine, "getallheaders", &[]);
    let headers = headers.ok().ok_or_else(|| cannot(ObstacleKind::Server, "getallheaders() is disabled"))?;
    let table =
        headers.look(engine).array().ok_or_else(|| cannot(ObstacleKind::Server, "getallheaders() gave no headers"))?;
    Ok(variables::strings(table))
}

/// The headers of `php -S`, whose `getallheaders()` reads freed memory if a header came twice (seen with PHP 8.2).
fn of_variables() -> Fields {
    let headers = variables::environment().into_iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(b"HTTP_")?.iter().map(|b| if *b == b'_' { b'-' } else { *b }).collect();
        Some((name, value))
    });
    headers.collect()
}

/// Reads the body. Any error in it counts as the client's: a request without a body would work.
fn body(engine: &mut Engine, variable: &impl Fn(&'static str) -> String) -> Result<Vec<u8>, Stays> {
    let announced = variable("CONTENT_LENGTH");
    // Treat an invalid number as too large.
    let announced: usize = if announced.is_empty() { 0 } else { announced.parse().unwrap_or(usize::MAX) };
    if announced == 0 && variable("HTTP_TRANSFER_ENCODING").is_empty() {
        return Ok(Vec::new());
    }
    let too_long = || cannot(ObstacleKind::TooLarge, &format!("its body has more than {} KiB", MAX_BODY >> 10));
    if announced > MAX_BODY {
        return Err(too_long());
    }
    let most = i64::try_from(MAX_BODY).unwrap_or(i64::MAX) + 1;
    let read = match zend::call(engine, "file_get_contents", &[&"php://input", &false, &None::<i64>, &0_i64, &most]) {
        Ok(read) => read,
        Err(NoValue::Interrupted) => return Err(Stays::Failed(Problem::Pending)),
        Err(NoValue::Missing) => {
            return Err(cannot(ObstacleKind::TooLarge, "its body can't be read: file_get_contents() is disabled"));
        }
    };
    let body = read.look(engine).zend_str().map(|text| text.as_bytes().to_vec()).unwrap_or_default();
    if body.len() > MAX_BODY {
        return Err(too_long());
    }
    if body.is_empty() && announced > 0 {
        let why = "its body is a form with files (multipart/form-data), which PHP does not keep";
        return Err(cannot(ObstacleKind::TooLarge, why));
    }
    Ok(body)
}

fn cannot(kind: ObstacleKind, why: &str) -> Stays {
    Stays::Because(Obstacle::new(kind, format!("its request can't be sent again for a render: {why}")))
}
