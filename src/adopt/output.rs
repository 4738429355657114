//! The output of an adopted response: knowing that it is an event stream, its headers, and taking buffers off it.

use ext_php_rs::ffi;
use ext_php_rs::types::Zval;

use super::sapi;
use crate::php::engine::Engine;
use crate::response::{self, Interrupted};
use crate::zend::{
    self, PHP_OUTPUT_DISABLED, PHP_OUTPUT_HANDLER_DISABLED, PHP_OUTPUT_HANDLER_REMOVABLE, PHP_OUTPUT_HANDLER_STARTED,
    PHP_OUTPUT_LOCKED,
};

/// A comment line, without the blank line that the hub's heartbeats have: a script may rest between two lines of an event,
/// which that would end.
const COMMENT: &[u8] = b":\n";

/// The handlers that compress: those of `zlib.output_compression` and of `ob_start('ob_gzhandler')`.
const COMPRESSING: [&[u8]; 2] = [b"zlib output compression", b"ob_gzhandler"];

/// Whether the script's output goes to the client: not after `sse_stream()`, say, nor inside a buffer's callback.
pub fn is_open() -> bool {
    // SAFETY: asks for flags of the output layer.
    unsafe { ffi::php_output_get_status() & (PHP_OUTPUT_DISABLED | PHP_OUTPUT_LOCKED) == 0 }
}

/// Whether there is a buffer.
pub fn is_buffered() -> bool {
    // SAFETY: as above.
    unsafe { !ffi::php_output_get_active_handler().is_null() }
}

/// Whether the response is, by its headers, an event stream.
pub fn is_event_stream() -> bool {
    // The command line keeps no headers, but the first type that a script has set. Elsewhere that may be out of date.
    let is = |value: &[u8]| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    };
    let of_type = || {
        // SAFETY: nothing changes the type while it is looked at.
        let value = unsafe { zend::text(zend::sapi_globals(|globals| globals.sapi_headers.mimetype)) };
        value.map(|value| is(value.as_bytes()))
    };
    response_header(b"Content-Type", is).or_else(of_type).unwrap_or(false)
}

/// Looks at the value of a header that the script has set, sent or not; `None` if it has not.
fn response_header<R>(name: &[u8], look: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let mut element = zend::sapi_globals(|globals| globals.sapi_headers.headers.head);
    // SAFETY: the list belongs to this request, its elements hold headers as declared by the engine, and nothing changes
    // it while it is looked at.
    unsafe {
        while let Some(entry) = element.as_ref() {
            let header = &*(&raw const entry.data).cast::<ffi::sapi_header_struct>();
            let line = std::slice::from_raw_parts(header.header.cast::<u8>(), header.header_len);
            // The colon first: few names are of the same length.
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

/// Passes on what all buffers hold and takes them off, so that every `echo` goes to the client. True if there were any.
///
/// A buffer that can't be removed, or a compressed body that has begun, stays with all that is below it.
///
/// # Errors
/// [`Interrupted`], if a user's output handler did not return.
pub fn take_off_buffers(engine: &mut Engine) -> Result<bool, Interrupted> {
    let mut any = false;
    loop {
        // SAFETY: the engine's own structure, looked at before anything is output; every handler has a name.
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
    // SAFETY: not within a handler, see `is_open`.
    response::run(engine, || unsafe {
        ffi::php_output_end();
    })
}

/// Takes off a compressing handler that has not begun: to end it in good order would begin a compressed body.
fn take_off_compression(engine: &mut Engine) -> Result<(), Interrupted> {
    let mut held = Zval::new();
    let target = &raw mut held;
    // SAFETY: the value is the engine's to fill, and a copy of what the buffer holds.
    response::run(engine, || unsafe {
        ffi::php_output_get_contents(target);
        ffi::php_output_discard();
    })?;
    // A string of its own, which nobody else has.
    let bytes = held.zend_str().map_or(&[][..], |text| text.as_bytes());
    // SAFETY: the bytes live until the call has returned.
    response::run(engine, || unsafe {
        ffi::php_output_write(bytes.as_ptr().cast(), bytes.len());
    })
}

/// Adds the headers that a stream needs and the script did not set. To be called when they are about to be sent.
pub fn complete_headers(engine: &mut Engine) {
    if !is_event_stream() {
        return;
    }
    // It is set before the server is asked to send them; until that is done, they may well be changed.
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

/// Sends a comment past all buffers, to keep the connection alive and to see whether it still is. What is to be known of
/// that is asked for by [`zend::interrupted`] and the connection's status.
pub fn comment(engine: &mut Engine) {
    // SAFETY: the same that the output layer does where there is no buffer; what is written is static.
    let _ = zend::guarded(engine, || unsafe {
        sapi::write(COMMENT.as_ptr().cast(), COMMENT.len());
        ffi::sapi_flush();
    });
}
