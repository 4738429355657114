//! A PHP response becomes an event stream: the session is let go, buffers are emptied, headers are sent.

use std::ffi::CString;

use ext_php_rs::ffi;

use crate::adopt;
use crate::api::exceptions::Problem;
use crate::php::engine::Engine;
use crate::zend::{self, NoValue, PHP_OUTPUT_DISABLED, PHP_OUTPUT_LOCKED, guarded};

/// The headers of every event stream. `X-Accel-Buffering` tells nginx not to collect the response.
const HEADERS: [&str; 3] = ["Content-Type: text/event-stream", "Cache-Control: no-cache", "X-Accel-Buffering: no"];

/// Headers that describe a body other than an event stream, set by the page or by an output handler.
const UNFIT: [&str; 4] = ["Content-Encoding", "Content-Length", "ETag", "Last-Modified"];

/// Headers that are not the script's to choose: an event stream would not work with others.
pub const FIXED: [&str; 5] = ["Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Connection"];

/// What kind of response the request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The stream.
    Stream,
    /// Its headers only.
    HeadersOnly,
}

/// A user's code that ran meanwhile did not return: it has thrown, called `exit`, or failed fatally. That goes on when this
/// extension's function returns to the engine.
#[derive(Debug)]
pub struct Interrupted;

/// Checks that the response can still become an event stream. Changes nothing.
///
/// # Errors
/// If an output callback is running, or if headers are already on their way.
pub fn check() -> Result<Wanted, Problem> {
    // SAFETY: asks for flags of the output layer.
    if unsafe { ffi::php_output_get_status() } & PHP_OUTPUT_LOCKED != 0 {
        return Err(Problem::Other("sse_stream() can't be called inside an output buffer's callback".into()));
    }
    // SAFETY: as above.
    if unsafe { ffi::php_output_get_status() } & PHP_OUTPUT_DISABLED != 0 {
        let message =
            "the response of this request is complete, or is a stream already; call sse_stream() once, with all topics";
        return Err(Problem::Other(message.into()));
    }
    check_unbegun()?;
    // SAFETY: the engine keeps it for as long as the request.
    let method = unsafe { zend::text(zend::sapi_globals(|globals| globals.request_info.request_method)) };
    Ok(if method == Some("HEAD") { Wanted::HeadersOnly } else { Wanted::Stream })
}

/// Whether headers are on their way to the client. On the command line there are none.
pub fn begun() -> bool {
    zend::sapi_globals(|globals| globals.headers_sent != 0 && !globals.request_info.no_headers)
        && !zend::is_command_line()
}

/// Checks that no user code that ran meanwhile has sent headers.
///
/// # Errors
/// If it has, as for [`check`].
pub fn check_unbegun() -> Result<(), Problem> {
    if begun() { Err(Problem::Other(headers_sent())) } else { Ok(()) }
}

fn headers_sent() -> String {
    // SAFETY: asks where output began; the name belongs to the engine, and is copied before anything else is output.
    let (file, line) =
        unsafe { (zend::text(ffi::php_output_get_start_filename()), ffi::php_output_get_start_lineno()) };
    let advice = "call sse_stream() before any output, or turn output_buffering on";
    match file {
        Some(file) => format!("the response's headers are already sent (output started at {file}:{line}); {advice}"),
        None => "the response's headers are already sent, for example by flush() or fastcgi_finish_request(); call sse_stream() before those".into(),
    }
}

/// Lets the session go, empties all output buffers and sends the headers and what comes first of the body. Runs the user's
/// code where handlers for sessions, buffers or headers are registered.
///
/// # Errors
/// [`Interrupted`], if such code did not return.
pub fn begin(engine: &mut Engine, extra: &[String], first: &str) -> Result<(), Interrupted> {
    prepare(engine, extra)?;
    send_headers(engine, first)
}

/// The same for a response that nobody reads: it is not sent before it ends, unless the server does that by itself.
///
/// # Errors
/// As [`begin`].
pub fn begin_unread(engine: &mut Engine, extra: &[String]) -> Result<(), Interrupted> {
    prepare(engine, extra)?;
    // SAFETY: as in `send_headers`.
    run(engine, || unsafe {
        ffi::sapi_send_headers();
    })
}

fn prepare(engine: &mut Engine, extra: &[String]) -> Result<(), Interrupted> {
    adopt::renounce();
    close_session(engine)?;
    discard_output(engine)?;
    for header in UNFIT {
        remove_header(engine, header);
    }
    // "If res's status is not 200 [...] then fail the connection": a browser takes no other status for a stream.
    set_status(engine, 200);
    for header in HEADERS.into_iter().chain(extra.iter().map(String::as_str)) {
        set_header(engine, header);
    }
    Ok(())
}

/// An answer in place of a stream.
#[derive(Debug)]
pub struct Refusal {
    /// The response's status.
    pub status: usize,
    /// Seconds after which the client may try again; `None`: it would be refused again.
    pub retry_after: Option<u32>,
    /// For people who see the response.
    pub sentence: &'static str,
}

/// Answers that there is no stream, and why.
///
/// # Errors
/// [`Interrupted`], as for [`begin`].
pub fn refuse(engine: &mut Engine, refusal: &Refusal) -> Result<(), Interrupted> {
    close_session(engine)?;
    discard_output(engine)?;
    for header in UNFIT {
        remove_header(engine, header);
    }
    set_status(engine, refusal.status);
    set_header(engine, "Content-Type: text/plain; charset=utf-8");
    set_header(engine, "Cache-Control: no-store");
    match refusal.retry_after {
        Some(seconds) => set_header(engine, &format!("Retry-After: {seconds}")),
        None => remove_header(engine, "Retry-After"),
    }
    send_headers(engine, "")?;
    // SAFETY: the engine only reads the bytes.
    run(engine, || unsafe {
        ffi::php_output_write(refusal.sentence.as_ptr().cast(), refusal.sentence.len());
    })
}

/// Throws away what user code outputs, so that neither a displayed warning nor a forgotten dump gets into the stream or
/// sends headers before it. What `exit` or a fatal error says at the end of the script is kept if nothing was sent yet.
pub fn muted<R>(engine: &mut Engine, code: impl FnOnce(&mut Engine) -> R) -> R {
    // SAFETY: asks for numbers; not inside a handler, see `check`, so that a buffer can be put on the others.
    let (level, status) = unsafe {
        let kept = (ffi::php_output_get_level(), ffi::php_output_get_status());
        ffi::php_output_start_default();
        kept
    };
    // The engine takes all buffers off for some fatal errors, and user code may as well. Before the headers are sent this
    // flag would not keep them from being sent.
    if begun() {
        silence();
    }
    // What it suspends would go on with this buffer on top.
    let result = zend::within_fiber(engine, code);
    // SAFETY: sets flags of the output layer as they were.
    unsafe { ffi::php_output_set_status(status) };
    if !zend::leaving() {
        // A handler that user code has put on this buffer is user code as well. What does not let itself be taken off stays.
        // SAFETY: as above.
        let _ = guarded(engine, || unsafe {
            while ffi::php_output_get_level() > level && ffi::php_output_discard() == 0 {}
        });
    }
    result
}

/// Makes everything that the script still outputs harmless.
pub fn silence() {
    // SAFETY: sets a flag of the output layer.
    unsafe { ffi::php_output_set_status(PHP_OUTPUT_DISABLED) };
}

/// Another request of the same visitor may now have the session.
///
/// # Errors
/// [`Interrupted`], if a session handler of the user did not return.
pub fn close_session(engine: &mut Engine) -> Result<(), Interrupted> {
    match zend::call(engine, "session_write_close", &[]) {
        Err(NoValue::Interrupted) => Err(Interrupted),
        // Without the session extension there is no session.
        Err(NoValue::Missing) | Ok(_) => Ok(()),
    }
}

/// Ends all buffers without sending what they hold. The engine takes zlib's handlers off first, so that no compressed
/// body is begun.
fn discard_output(engine: &mut Engine) -> Result<(), Interrupted> {
    // SAFETY: not inside a handler, see `check`; handlers that are user code run within `run`.
    run(engine, || unsafe { ffi::php_output_discard_all() })
}

/// Sends the headers and the first of the body, and what the SAPI itself keeps back.
///
/// # Errors
/// [`Interrupted`], if a user's code for headers did not return.
pub fn send_headers(engine: &mut Engine, first: &str) -> Result<(), Interrupted> {
    // SAFETY: all belong to a running request. PHP 8.1's flush alone would not send them.
    run(engine, || unsafe {
        ffi::sapi_send_headers();
        if !first.is_empty() {
            ffi::php_output_write(first.as_ptr().cast(), first.len());
        }
        ffi::sapi_flush();
    })
}

/// Runs engine code that may run a user's.
///
/// # Errors
/// [`Interrupted`], if that did not return.
pub fn run(engine: &mut Engine, code: impl FnOnce()) -> Result<(), Interrupted> {
    let _ = guarded(engine, code);
    if zend::interrupted() { Err(Interrupted) } else { Ok(()) }
}

/// Sets a header in place of those of the same name.
pub fn set_header(engine: &mut Engine, line: &str) {
    header(engine, ffi::sapi_header_op_enum_SAPI_HEADER_REPLACE, line);
}

fn remove_header(engine: &mut Engine, name: &str) {
    header(engine, ffi::sapi_header_op_enum_SAPI_HEADER_DELETE, name);
}

fn header(engine: &mut Engine, operation: ffi::sapi_header_op_enum, line: &str) {
    let Ok(text) = CString::new(line) else { return };
    let mut line = ffi::sapi_header_line { line: text.as_ptr().cast_mut(), line_len: line.len(), response_code: 0 };
    let line = &raw mut line;
    // SAFETY: the engine copies the line. A warning that headers are sent already runs the user's error handler.
    let _ = guarded(engine, || unsafe { ffi::sapi_header_op(operation, line.cast()) });
}

fn set_status(engine: &mut Engine, code: usize) {
    // SAFETY: this operation takes the number in the pointer's place.
    let _ = guarded(engine, || unsafe {
        ffi::sapi_header_op(ffi::sapi_header_op_enum_SAPI_HEADER_SET_STATUS, std::ptr::without_provenance_mut(code))
    });
}
