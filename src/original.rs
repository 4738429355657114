//! Captures the current request so that the hub can replay it.

use serde_bytes::Bytes;
use sse_protocol::wire::{MAX_REQUEST, OriginalRequest, Protocol};

use crate::api::exceptions::Problem;
use crate::api::stream::Stays;
use crate::handoff::obstacle::{Kind, Obstacle};
use crate::php::engine::Engine;
use crate::variables;
use crate::zend::{self, NoValue};

/// Maximum length of a kept body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// Variables that PHP creates itself, and those that differ each time.
const NOT_PARAMETERS: [&str; 8] = [
    "PHP_SELF",
    "REQUEST_TIME",
    "REQUEST_TIME_FLOAT",
    "argv",
    "argc",
    "FCGI_ROLE",
    "HTTP_LAST_EVENT_ID",
    "SSE_RENDER_TOKEN",
];

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

/// Names and values, in bytes.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

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
            return Err(cannot(Kind::Server, "PHP's variables don't tell its script; see variables_order"));
        }
        let script = String::from_utf8_lossy(&script).into_owned();
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
            return Err(cannot(Kind::TooLarge, &format!("it has {size} bytes; up to {MAX_REQUEST} are kept")));
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
    // PHP derives `PHP_AUTH_*` from this header. Without the header, they come from the web server.
    let derived = variables::of_server("HTTP_AUTHORIZATION").is_some();
    for (name, value) in variables::all_of_server() {
        // Every request gets the pool's environment, which may have changed by the time of a replay.
        let of_process = || std::env::var_os(&name).is_some_and(|own| own.as_encoded_bytes() == value);
        let of_header = derived && name.starts_with("PHP_AUTH_");
        if NOT_PARAMETERS.contains(&name.as_str()) || of_header || of_process() {
            continue;
        }
        // A chunked body has no length header.
        let value =
            if name == "CONTENT_LENGTH" && !body.is_empty() { body.len().to_string().into_bytes() } else { value };
        parameters.push((name.into_bytes(), value));
    }
    if !body.is_empty() && !parameters.iter().any(|(name, _)| name == b"CONTENT_LENGTH") {
        parameters.push((b"CONTENT_LENGTH".to_vec(), body.len().to_string().into_bytes()));
    }
    parameters
}

/// Reads a part of the request line. An empty one means that this PHP does not provide it; one with invalid bytes is the
/// client's fault.
fn of_line(variable: &str) -> Result<String, Stays> {
    let bytes = variables::bytes_of_server(variable).unwrap_or_default();
    if bytes.is_empty() {
        return Err(cannot(Kind::Server, "its request line can't be told from PHP's variables; see variables_order"));
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.bytes().any(|b| b <= b' ' || b == 0x7f));
    text.ok_or_else(|| cannot(Kind::Unclear, "its request line has bytes that no request line may have"))
}

/// The request headers.
fn headers(engine: &mut Engine) -> Result<Fields, Stays> {
    let mut kept = Vec::new();
    for (name, value) in if zend::sapi_name() == c"cli-server" { of_variables() } else { of_apache(engine)? } {
        let plain = name.to_ascii_lowercase().replace('-', "_");
        let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if token && !NOT_HEADERS.contains(&plain.as_str()) {
            // Unfold a folded header into one line.
            let line = value.iter().map(|b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { *b });
            kept.push((name.into_bytes(), line.collect()));
        }
    }
    // HTTP/1.0 does not require a Host header, but the hub's request does.
    if !kept.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
        let name = variables::of_server("SERVER_NAME").filter(|name| !name.is_empty());
        kept.push((b"Host".to_vec(), name.unwrap_or_else(|| "localhost".into()).into_bytes()));
    }
    Ok(kept)
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
    let own = format!("{name}={id}");
    let place = fields.iter().position(|(field, _)| field.eq_ignore_ascii_case(header));
    let sent = place.map(|place| String::from_utf8_lossy(&fields[place].1).into_owned()).unwrap_or_default();
    let others = sent.split(';').map(str::trim).filter(|cookie| !cookie.is_empty());
    if others.clone().any(|cookie| cookie == own) {
        return;
    }
    let old = |cookie: &&str| cookie.split_once('=').is_some_and(|(other, _)| other == name);
    let cookies = others.filter(|cookie| !old(cookie)).chain([own.as_str()]).collect::<Vec<_>>().join("; ");
    match place {
        Some(place) => fields[place].1 = cookies.into_bytes(),
        None => fields.push((header.to_vec(), cookies.into_bytes())),
    }
}

/// The headers from Apache. PHP's variables omit some, such as Authorization.
fn of_apache(engine: &mut Engine) -> Result<Vec<(String, Vec<u8>)>, Stays> {
    let headers = zend::call(engine, "getallheaders", &[]);
    let headers = headers.ok().ok_or_else(|| cannot(Kind::Server, "getallheaders() is disabled"))?;
    let table = headers.look(engine).array().ok_or_else(|| cannot(Kind::Server, "getallheaders() gave no headers"))?;
    let strings =
        table.iter().filter_map(|(name, value)| Some((name.to_string(), value.zend_str()?.as_bytes().to_vec())));
    Ok(strings.collect())
}

/// The headers of `php -S`, whose `getallheaders()` reads freed memory if a header came twice (seen with PHP 8.2).
fn of_variables() -> Vec<(String, Vec<u8>)> {
    let all = variables::all_of_server().into_iter();
    let headers = all.filter_map(|(name, value)| Some((name.strip_prefix("HTTP_")?.replace('_', "-"), value)));
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
    let too_long = || cannot(Kind::TooLarge, &format!("its body has more than {} KiB", MAX_BODY >> 10));
    if announced > MAX_BODY {
        return Err(too_long());
    }
    let most = i64::try_from(MAX_BODY).unwrap_or(i64::MAX) + 1;
    let read = match zend::call(engine, "file_get_contents", &[&"php://input", &false, &None::<i64>, &0_i64, &most]) {
        Ok(read) => read,
        Err(NoValue::Interrupted) => return Err(Stays::Failed(Problem::Pending)),
        Err(NoValue::Missing) => {
            return Err(cannot(Kind::TooLarge, "its body can't be read: file_get_contents() is disabled"));
        }
    };
    let body = read.look(engine).zend_str().map(|text| text.as_bytes().to_vec()).unwrap_or_default();
    if body.len() > MAX_BODY {
        return Err(too_long());
    }
    if body.is_empty() && announced > 0 {
        let why = "its body is a form with files (multipart/form-data), which PHP does not keep";
        return Err(cannot(Kind::TooLarge, why));
    }
    Ok(body)
}

fn cannot(kind: Kind, why: &str) -> Stays {
    Stays::Because(Obstacle::new(kind, format!("its request can't be sent again for a render: {why}")))
}
