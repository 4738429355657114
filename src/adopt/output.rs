//! The output of an adopted response: event-stream detection, its headers, and the removal of buffers.

use ext_php_rs::ffi;
use ext_php_rs::types::Zval;

use super::sapi;
use crate::php::engine::Engine;
use crate::response::{self, Interrupted};
use crate::zend::{
    self, PHP_OUTPUT_DISABLED, PHP_OUTPUT_HANDLER_DISABLED, PHP_OUTPUT_HANDLER_REMOVABLE, PHP_OUTPUT_HANDLER_STARTED,
    PHP_OUTPUT_LOCKED,
};

/// A comment line, without the blank line of the hub's heartbeats: a script may sleep between two lines of one event, and
/// a blank line would end that event.
const COMMENT: &[u8] = b":\n";

/// The compressing handlers of `zlib.output_compression` and `ob_start('ob_gzhandler')`.
const COMPRESSING: [&[u8]; 2] = [b"zlib output compression", b"ob_gzhandler"];

/// Whether output reaches the client. False after `sse_stream()`, for example, and inside a buffer's callback.
pub fn is_open() -> bool {
    // SAFETY: only reads flags of the output layer.
    unsafe { ffi::php_output_get_status() & (PHP_OUTPUT_DISABLED | PHP_OUTPUT_LOCKED) == 0 }
}

/// Whether an output buffer is active.
pub fn is_buffered() -> bool {
    // SAFETY: as above.
    unsafe { !ffi::php_output_get_active_handler().is_null() }
}

/// Whether the response headers declare an event stream.
pub fn is_event_stream() -> bool {
    // The command line keeps no header list, only the first type that a script set. Elsewhere that type may be outdated.
    let is = |value: &[u8]| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    };
    let of_type = || {
        // SAFETY: nothing changes the type during this read.
        let value = unsafe { zend::text(zend::sapi_globals(|globals| globals.sapi_headers.mimetype)) };
        value.map(|value| is(value.as_bytes()))
    };
    response_header(b"Content-Type", is).or_else(of_type).unwrap_or(false)
}

/// Passes the value of a header that the script set, sent or not, to `look`. `None` if the header is not set.
fn response_header<R>(name: &[u8], look: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let mut element = zend::sapi_globals(|globals| globals.sapi_headers.headers.head);
    // SAFETY: the list belongs to this request, its elements hold headers as the engine declares them, and nothing
    // changes it during this read.
    unsafe {
        while let Some(entry) = element.as_ref() {
            let header = &*(&raw const entry.data).cast::<ffi::sapi_header_struct>();
            let line = std::slice::from_raw_parts(header.header.cast::<u8>(), header.header_len);
            // Test the colon first: few header names have the same length.
            if let Some((b':', value)) = line.get(name.len()..).and_then(<[u8]>::split_first)
                && line[..name.len()].eq_ignore_ascii_case(name)
            {
                return Some(look(value));
            }
            element = entry.next;
        }
    }
    None
}

/// Flushes and removes all buffers, so that every `echo` reaches the client. Returns whether there were any.
///
/// A buffer that can't be removed, or a compressed body that has begun, stays, and so do the buffers below it.
///
/// # Errors
/// [`Interrupted`] if a user's output handler did not return.
pub fn take_off_buffers(engine: &mut Engine) -> Result<bool, Interrupted> {
    let mut any = false;
    loop {
        // SAFETY: the engine's own structure, read before any output; every handler has a name.
        let Some((flags, compresses)) = (unsafe {
            let handler = ffi::php_output_get_active_handler().as_ref();
            handler.map(|handler| (handler.flags, COMPRESSING.contains(&(*handler.name).as_bytes())))
        }) else {
            return Ok(any);
        };
        let compressing = compresses && flags & PHP_OUTPUT_HANDLER_DISABLED == 0;
        let started = flags & PHP_OUTPUT_HANDLER_STARTED != 0;
        if flags & PHP_OUTPUT_HANDLER_REMOVABLE == 0 || (compressing && started) {
            return Ok(any);
        }
        if compressing {
            take_off_compression(engine)?;
        } else {
            end_buffer(engine)?;
        }
        any = true;
    }
}

fn end_buffer(engine: &mut Engine) -> Result<(), Interrupted> {
    // SAFETY: not called within a handler, see `is_open`.
    response::run(engine, || unsafe {
        ffi::php_output_end();
    })
}

/// Removes a compressing handler that has not begun. Ending it regularly would begin a compressed body.
fn take_off_compression(engine: &mut Engine) -> Result<(), Interrupted> {
    let mut held = Zval::new();
    let target = &raw mut held;
    // SAFETY: the engine fills the value with a copy of the buffer.
    response::run(engine, || unsafe {
        ffi::php_output_get_contents(target);
        ffi::php_output_discard();
    })?;
    // The copy has no other owner.
    let bytes = held.zend_str().map_or(&[][..], |text| text.as_bytes());
    // SAFETY: the bytes outlive the call.
    response::run(engine, || unsafe {
        ffi::php_output_write(bytes.as_ptr().cast(), bytes.len());
    })
}

/// Adds the headers that a stream needs and the script did not set. Call it right before the headers are sent.
pub fn complete_headers(engine: &mut Engine) {
    if !is_event_stream() {
        return;
    }
    // The engine sets this flag before it calls the server's function. Until then, headers may still change.
    let sent = zend::set_headers_sent(0);
    for (name, line) in
        [(&b"Cache-Control"[..], "Cache-Control: no-cache"), (b"X-Accel-Buffering", "X-Accel-Buffering: no")]
    {
        if response_header(name, |_| ()).is_none() {
            response::set_header(engine, line);
        }
    }
    zend::set_headers_sent(sent);
}

/// Sends a comment past all buffers, which keeps the connection alive and detects a lost client. Read the result from
/// [`zend::interrupted`] and the connection's status.
pub fn comment(engine: &mut Engine) {
    // SAFETY: the output layer does the same where there is no buffer. The text is static.
    let _ = zend::guarded(engine, || unsafe {
        sapi::write(COMMENT.as_ptr().cast(), COMMENT.len());
        ffi::sapi_flush();
    });
}
