//! Turns a PHP response into an event stream: closes the session, empties the buffers and sends the headers.

use crate::api::exceptions::Problem;
use crate::php::call::Bailout;
use crate::php::engine::Engine;
pub use crate::php::output::silence;
use crate::php::zend::{self, NoValue};
use crate::php::{header_callback, headers, output};

/// The headers of every event stream. Without the charset, PHP would add that of `default_charset`, and "any other charset
/// than UTF-8" makes a browser close the stream for good. With `no-transform` a proxy may not compress the response, and so
/// hold it back. `X-Accel-Buffering` makes nginx pass it on unbuffered.
const HEADERS: [&str; 3] = [
    "Content-Type: text/event-stream; charset=utf-8",
    "Cache-Control: no-cache, no-transform",
    "X-Accel-Buffering: no",
];

/// Headers that describe another body than an event stream, set by the page or by an output handler.
const OF_BODY: [&str; 7] =
    ["Content-Encoding", "Content-Length", "Content-Range", "Content-MD5", "Accept-Ranges", "ETag", "Last-Modified"];

/// Headers that the web server obeys or sends itself: they replace the status, the body or its framing.
const OF_SERVER: [&str; 18] = [
    "Status",
    "Location",
    "Transfer-Encoding",
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "Trailer",
    "Upgrade",
    "X-Accel-Redirect",
    "X-Accel-Limit-Rate",
    "X-Accel-Expires",
    "X-Accel-Charset",
    "X-Sendfile",
    "X-Sendfile2",
    "X-Sendfile-Temporary",
    "X-LIGHTTPD-send-file",
    "X-LiteSpeed-Location",
    "X-Reproxy-URL",
];

/// Whether a script can't choose this header, because a different value would break the stream.
pub fn is_fixed(name: &str) -> bool {
    let mut fixed = ["Content-Type", "Content-Encoding", "Content-Length"].iter().chain(&OF_SERVER);
    fixed.any(|fixed| fixed.eq_ignore_ascii_case(name))
}

/// What the request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedResponse {
    /// The stream.
    Stream,
    /// The stream's headers only.
    HeadersOnly,
}

/// User code that ran meanwhile did not return: it threw, called `exit`, or failed fatally. That continues when this
/// extension's function returns to the engine.
#[derive(Debug)]
pub struct Interrupted;

/// Checks that the response can still become an event stream. Changes nothing.
///
/// # Errors
/// If an output callback is running, the response is complete, or headers are already sent.
pub fn check() -> Result<WantedResponse, Problem> {
    if output::status().is_locked() {
        return Err(Problem::Other("sse_stream() can't be called inside an output buffer's callback".into()));
    }
    if output::status().is_disabled() {
        let message =
            "the response of this request is complete, or is a stream already; call sse_stream() once, with all topics";
        return Err(Problem::Other(message.into()));
    }
    check_unbegun()?;
    Ok(if zend::request_method().as_deref() == Some("HEAD") {
        WantedResponse::HeadersOnly
    } else {
        WantedResponse::Stream
    })
}

/// Whether headers have been sent to the client. Never on the command line.
pub fn begun() -> bool {
    zend::headers_sent() && !zend::sapi_globals(|globals| globals.request_info.no_headers) && !zend::is_command_line()
}

/// Whether PHP takes headers without a warning. On the command line, where nobody reads them, it does until the first
/// output; elsewhere nothing is sent yet, see [`check`].
fn takes_headers() -> bool {
    !zend::is_command_line() || !zend::headers_sent()
}

/// Checks that user code that ran meanwhile has sent no headers.
///
/// # Errors
/// If it has, as for [`check`].
pub fn check_unbegun() -> Result<(), Problem> {
    if begun() { Err(Problem::Other(headers_sent())) } else { Ok(()) }
}

fn headers_sent() -> String {
    let advice = "call sse_stream() before any output, or turn output_buffering on";
    match output::started_at() {
        Some((file, line)) => format!("the response's headers are already sent (output started at {file}:{line}); {advice}"),
        None => "the response's headers are already sent, for example by flush() or fastcgi_finish_request(); call sse_stream() before those".into(),
    }
}

/// Closes the session, discards all output buffers, and sends the headers and the start of the body. Runs user code in
/// registered handlers for sessions, buffers or headers.
///
/// # Errors
/// [`Interrupted`] if such code did not return.
pub fn begin(engine: &mut Engine, extra: &[String], first: &[u8]) -> Result<(), Interrupted> {
    prepare(engine, extra)?;
    send_headers(engine, first)
}

/// The headers of an event stream and of the page, for a response that this process does not send itself.
///
/// # Errors
/// As [`begin`].
pub fn take_headers(engine: &mut Engine, extra: &[String]) -> Result<Vec<Vec<u8>>, Interrupted> {
    prepare(engine, extra)?;
    Ok(headers::all())
}

/// Sends a response that the web server takes as the instruction to fetch another one: this header, and no other of the page,
/// which the other one has.
///
/// # Errors
/// As [`begin`].
pub fn redirect(engine: &mut Engine, line: &str) -> Result<(), Interrupted> {
    headers::remove_all(engine);
    // A server that keeps the type of the first response must not keep PHP's default.
    set_header(engine, HEADERS[0]);
    set_header(engine, line);
    send_headers(engine, b"")
}

/// Begins a response that nobody reads: it is sent at its end, unless the server sends it earlier.
///
/// # Errors
/// As [`begin`].
pub fn begin_unread(engine: &mut Engine, extra: &[String]) -> Result<(), Interrupted> {
    prepare(engine, extra)?;
    settled(output::send_headers(engine))
}

fn prepare(engine: &mut Engine, extra: &[String]) -> Result<(), Interrupted> {
    close_session(engine)?;
    // "If res's status is not 200 [...] then fail the connection": a browser accepts no other status for a stream.
    begin_head(engine, 200)?;
    for header in HEADERS.into_iter().chain(extra.iter().map(String::as_str)) {
        set_header(engine, header);
    }
    Ok(())
}

/// A response that refuses a stream.
#[derive(Debug)]
pub struct RefusalResponse {
    /// The HTTP status.
    pub status: usize,
    /// Seconds after which the client may retry; `None`: it would be refused again.
    pub retry_after: Option<u32>,
    /// The body, for people.
    pub sentence: &'static str,
}

/// Sends a refusal.
///
/// # Errors
/// [`Interrupted`], as for [`begin`].
pub fn refuse(engine: &mut Engine, refusal: &RefusalResponse) -> Result<(), Interrupted> {
    close_session(engine)?;
    begin_head(engine, refusal.status)?;
    set_header(engine, "Content-Type: text/plain; charset=utf-8");
    set_header(engine, "Cache-Control: no-store");
    match refusal.retry_after {
        Some(seconds) => set_header(engine, &format!("Retry-After: {seconds}")),
        None => remove_header(engine, "Retry-After"),
    }
    send_headers(engine, &[])?;
    settled(output::write(engine, refusal.sentence.as_bytes()))
}

/// Discards the page's output and what it said about its response, so that neither spoils ours.
fn begin_head(engine: &mut Engine, status: usize) -> Result<(), Interrupted> {
    discard_output(engine)?;
    // PHP would call it as the last before the headers are sent, when it could still change ours.
    if let Some(callback) = header_callback::take() {
        let _ = muted(engine, |engine| zend::call_value(engine, &callback, Vec::new()));
        if zend::interrupted() {
            return Err(Interrupted);
        }
    }
    for header in OF_BODY.into_iter().chain(OF_SERVER) {
        remove_header(engine, header);
    }
    // A status line that the page has written lasts until the number changes.
    set_status(engine, if status == 200 { 500 } else { 200 });
    set_status(engine, status);
    Ok(())
}

/// Runs user code and discards its output, so that no warning or forgotten dump gets into the stream or sends headers too
/// early. The message of `exit` or of a fatal error is kept if nothing was sent yet.
pub fn muted<R>(engine: &mut Engine, code: impl FnOnce(&mut Engine) -> R) -> R {
    let (level, status) = (output::level(), output::status());
    // `check` ensures that no callback of a buffer is running, so one can be added.
    let _ = output::start_buffer(engine);
    // The engine removes all buffers at some fatal errors, and user code may too. Before the headers are sent, this flag
    // would not stop them.
    if begun() {
        silence();
    }
    // A fiber must not switch inside: the code outside would continue with this buffer on top.
    let result = zend::within_fiber(engine, code);
    status.restore();
    if !zend::leaving() {
        // User code may have put a handler on this buffer, which runs here. A buffer that can't be removed stays.
        let _ = output::discard_above(engine, level);
    }
    result
}

/// Closes the session, so that other requests of the same visitor can use it.
///
/// # Errors
/// [`Interrupted`] if a user's session handler did not return.
pub fn close_session(engine: &mut Engine) -> Result<(), Interrupted> {
    match zend::call(engine, "session_write_close", &[]) {
        Err(NoValue::Interrupted) => Err(Interrupted),
        // Without the session extension there is no session.
        Err(NoValue::Missing) | Ok(_) => Ok(()),
    }
}

/// Discards all buffers. The engine first removes zlib's handlers, so that no compressed body begins.
fn discard_output(engine: &mut Engine) -> Result<(), Interrupted> {
    settled(output::discard_all(engine))
}

/// Sends the headers and the start of the body, and flushes the SAPI.
///
/// # Errors
/// [`Interrupted`] if user code for headers did not return.
pub fn send_headers(engine: &mut Engine, first: &[u8]) -> Result<(), Interrupted> {
    settled(output::send(engine, first))
}

/// The outcome of engine code that may have run user code.
fn settled(_: Result<(), Bailout>) -> Result<(), Interrupted> {
    if zend::interrupted() { Err(Interrupted) } else { Ok(()) }
}

/// Sets a header and replaces those of the same name.
pub fn set_header(engine: &mut Engine, line: &str) {
    if takes_headers() {
        headers::set(engine, line);
    }
}

fn remove_header(engine: &mut Engine, name: &str) {
    if takes_headers() {
        headers::remove(engine, name);
    }
}

fn set_status(engine: &mut Engine, code: usize) {
    if takes_headers() {
        headers::set_status(engine, code);
    }
}
