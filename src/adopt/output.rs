//! The output of an adopted response: event-stream detection, its headers, and the buffers that PHP itself has started.

use super::with;
use crate::php::buffer::{self, PlainBuffer};
use crate::php::engine::Engine;
use crate::php::{headers, output, server_functions, zend};
use crate::request::lend;
use crate::response;

/// A comment line, without the blank line of the hub's heartbeats: a script may sleep between two lines of one event, and
/// a blank line would end that event.
const COMMENT: &[u8] = b":\n";

/// Whether output reaches the client. False after `sse_stream()`, for example, and inside a buffer's callback.
pub fn is_open() -> bool {
    let status = output::status();
    !status.is_disabled() && !status.is_locked()
}

/// Whether comments can be sent past the script: not into a body that it has compressed or measured.
pub fn takes_comments() -> bool {
    headers::value(b"Content-Encoding").or_else(|| headers::value(b"Content-Length")).is_none()
}

/// Whether the response headers declare an event stream.
pub fn is_event_stream() -> bool {
    // The command line keeps no header list, only the first type that a script set. Elsewhere that type may be outdated.
    let is = |value: &[u8]| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    };
    let of_type = || headers::mimetype().map(|value| is(value.as_bytes()));
    headers::value(b"Content-Type").map(|value| is(&value)).or_else(of_type).unwrap_or(false)
}

/// Notes which buffers PHP has started before the script.
pub fn remember_buffers() {
    let (own, plain) = (output::level(), PlainBuffer::claim());
    with(|adoption| {
        adoption.buffers.own.set(own);
        adoption.buffers.plain.set(plain);
    });
}

/// Ends what [`remember_buffers`] began.
pub fn forget_buffers() {
    with(|adoption| {
        adoption.buffers.own.set(0);
        adoption.buffers.plain.set(None);
    });
}

/// Whether the uppermost buffer is the script's. It may be the only one: many scripts end PHP's own and start another.
fn is_script_buffered() -> bool {
    output::level() > with(|adoption| adoption.buffers.own.get()) || buffer::is_unmarked()
}

/// Has PHP's own buffers pass on what the script's buffers pass to them. A compressed body that has begun stays. Buffers of
/// the script are its own.
pub fn open_buffers(engine: &mut Engine) {
    if !is_script_buffered() && buffer::will_compress() {
        replace_compression(engine);
    }
    // Below a buffer of the script it passes on each write. Uppermost, it holds what the script may still clean.
    let passes_at_once = is_script_buffered();
    with(|adoption| {
        lend(&adoption.buffers.plain, |plain| {
            if let Some(buffer) = plain {
                buffer.pass_at_once(passes_at_once);
            }
        });
    });
}

/// Passes on what PHP's own buffers hold, unless the script has one of its own on top.
pub fn pass_on(engine: &mut Engine) {
    open_buffers(engine);
    if !zend::interrupted() && !is_script_buffered() {
        zend::flush_buffers(engine);
    }
}

/// Puts a plain buffer in place of one that compresses and has not begun.
fn replace_compression(engine: &mut Engine) {
    let Ok(held) = buffer::replace_by_plain(engine) else { return };
    if !zend::interrupted() {
        let bytes = held.look(engine).zend_str().map(|text| text.as_bytes().to_vec()).unwrap_or_default();
        let _ = output::write(engine, &bytes);
    }
}

/// Adds the headers that a stream needs and the script did not set. Call it right before the headers are sent.
pub fn complete_headers(engine: &mut Engine) {
    if !is_event_stream() {
        return;
    }
    // The engine sets this flag before it calls the server's function. Until then, headers may still change.
    let sent = zend::set_headers_sent(false);
    for (name, line) in [
        (&b"Cache-Control"[..], "Cache-Control: no-cache, no-transform"),
        (b"X-Accel-Buffering", "X-Accel-Buffering: no"),
    ] {
        if headers::value(name).is_none() {
            response::set_header(engine, line);
        }
    }
    zend::set_headers_sent(sent);
}

/// Sends a comment past all buffers, which keeps the connection alive and detects a lost client. Read the result from
/// [`zend::interrupted`] and the connection's status.
pub fn comment(engine: &mut Engine) {
    server_functions::write_past_buffers(engine, COMMENT);
}
