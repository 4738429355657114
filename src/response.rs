//! Turns a PHP response into an event stream: closes the session, empties the buffers and sends the headers.

use std::ffi::CString;

use ext_php_rs::ffi;

use crate::adopt;
use crate::api::exceptions::Problem;
use crate::php::engine::Engine;
use crate::zend::{self, NoValue, PHP_OUTPUT_DISABLED, PHP_OUTPUT_LOCKED, guarded};

/// The headers of every event stream. `X-Accel-Buffering` makes nginx pass the response on unbuffered.
const HEADERS: [&str; 3] = ["Content-Type: text/event-stream", "Cache-Control: no-cache", "X-Accel-Buffering: no"];

/// Headers that describe another body than an event stream, set by the page or by an output handler.
const UNFIT: [&str; 4] = ["Content-Encoding", "Content-Length", "ETag", "Last-Modified"];

/// Headers that a script can't choose, because a different value would break the stream.
pub const FIXED: [&str; 5] = ["Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Connection"];

/// What the request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
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
pub fn check() -> Result<Wanted, Problem> {
    // SAFETY: reads flags of the output layer.
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
    // SAFETY: the engine keeps the text as long as the request.
    let method = unsafe { zend::text(zend::sapi_globals(|globals| globals.request_info.request_method)) };
    Ok(if method == Some("HEAD") { Wanted::HeadersOnly } else { Wanted::Stream })
}

/// Whether headers have been sent to the client. Never on the command line.
pub fn begun() -> bool {
    zend::sapi_globals(|globals| globals.headers_sent != 0 && !globals.request_info.no_headers)
        && !zend::is_command_line()
}

/// Checks that user code that ran meanwhile has sent no headers.
///
/// # Errors
/// If it has, as for [`check`].
pub fn check_unbegun() -> Result<(), Problem> {
    if begun() { Err(Problem::Other(headers_sent())) } else { Ok(()) }
}

fn headers_sent() -> String {
    // SAFETY: reads where output began. The name belongs to the engine and is copied before any further output.
    let (file, line) =
        unsafe { (zend::text(ffi::php_output_get_start_filename()), ffi::php_output_get_start_lineno()) };
    let advice = "call sse_stream() before any output, or turn output_buffering on";
    match file {
        Some(file) => format!("the response's headers are already sent (output started at {file}:{line}); {advice}"),
        None => "the response's headers are already sent, for example by flush() or fastcgi_finish_request(); call sse_stream() before those".into(),
    }
}

/// Closes the session, discards all output buffers, and sends the headers and the start of the body. Runs user code in
/// registered handlers for sessions, buffers or headers.
///
/// # Errors
/// [`Interrupted`] if such code did not return.
pub fn begin(engine: &mut Engine, extra: &[String], first: &str) -> Result<(), Interrupted> {
    prepare(engine, extra)?;
    send_headers(engine, first)
}

/// Begins a response that nobody reads: it is sent at its end, unless the server sends it earlier.
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
    // "If res's status is not 200 [...] then fail the connection": a browser accepts no other status for a stream.
    set_status(engine, 200);
    for header in HEADERS.into_iter().chain(extra.iter().map(String::as_str)) {
        set_header(engine, header);
    }
    Ok(())
}

/// A response that refuses a stream.
#[derive(Debug)]
pub struct Refusal {
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

/// Runs user code and discards its output, so that no warning or forgotten dump gets into the stream or sends headers too
/// early. The message of `exit` or of a fatal error is kept if nothing was sent yet.
pub fn muted<R>(engine: &mut Engine, code: impl FnOnce(&mut Engine) -> R) -> R {
    // SAFETY: reads numbers. `check` ensures that no handler is running, so a buffer can be added.
    let (level, status) = unsafe {
        let kept = (ffi::php_output_get_level(), ffi::php_output_get_status());
        ffi::php_output_start_default();
        kept
    };
    // The engine removes all buffers at some fatal errors, and user code may too. Before the headers are sent, this flag
    // would not stop them.
    if begun() {
        silence();
    }
    // A fiber must not switch inside: the code outside would continue with this buffer on top.
    let result = zend::within_fiber(engine, code);
    // SAFETY: restores flags of the output layer.
    unsafe { ffi::php_output_set_status(status) };
    if !zend::leaving() {
        // User code may have put a handler on this buffer, which runs here. A buffer that can't be removed stays.
        // SAFETY: as above.
        let _ = guarded(engine, || unsafe {
            while ffi::php_output_get_level() > level && ffi::php_output_discard() == 0 {}
        });
    }
    result
}

/// Discards everything that the script outputs from here on.
pub fn silence() {
    // SAFETY: sets a flag of the output layer.
    unsafe { ffi::php_output_set_status(PHP_OUTPUT_DISABLED) };
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
    // SAFETY: not inside a handler, see `check`. User handlers run within `run`.
    run(engine, || unsafe { ffi::php_output_discard_all() })
}

/// Sends the headers and the start of the body, and flushes the SAPI.
///
/// # Errors
/// [`Interrupted`] if user code for headers did not return.
pub fn send_headers(engine: &mut Engine, first: &str) -> Result<(), Interrupted> {
    // SAFETY: a request is running. The explicit call is for PHP 8.1, whose flush alone does not send headers.
    run(engine, || unsafe {
        ffi::sapi_send_headers();
        if !first.is_empty() {
            ffi::php_output_write(first.as_ptr().cast(), first.len());
        }
        ffi::sapi_flush();
    })
}

/// Runs engine code that may run user code.
///
/// # Errors
/// [`Interrupted`] if that did not return.
pub fn run(engine: &mut Engine, code: impl FnOnce()) -> Result<(), Interrupted> {
    let _ = guarded(engine, code);
    if zend::interrupted() { Err(Interrupted) } else { Ok(()) }
}

/// Sets a header and replaces those of the same name.
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
    // SAFETY: the engine copies the line. Its warning about sent headers may run the user's error handler.
    let _ = guarded(engine, || unsafe { ffi::sapi_header_op(operation, line.cast()) });
}

fn set_status(engine: &mut Engine, code: usize) {
    // SAFETY: this operation expects the number in place of the pointer.
    let _ = guarded(engine, || unsafe {
        ffi::sapi_header_op(ffi::sapi_header_op_enum_SAPI_HEADER_SET_STATUS, std::ptr::without_provenance_mut(code))
    });
}
