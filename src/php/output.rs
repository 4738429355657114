//! PHP's output layer: its state, and the way to the client.

use std::ffi::CStr;

use ext_php_rs::ffi;

use super::call::{Bailout, guarded};
use super::engine::Engine;

/// `main/php_output.h`, the same in 8.1–8.6: a handler is running, so the stack must not change.
const PHP_OUTPUT_LOCKED: i32 = 0x20;
/// `main/php_output.h`, the same in 8.1–8.6: output is discarded.
const PHP_OUTPUT_DISABLED: i32 = 0x02;

/// Flags of the output layer, to be put back.
#[derive(Debug, Clone, Copy)]
pub struct Status(i32);

/// The flags.
pub fn status() -> Status {
    // SAFETY: reads flags of the output layer.
    Status(unsafe { ffi::php_output_get_status() })
}

impl Status {
    /// Whether the callback of a buffer is running.
    pub fn is_locked(self) -> bool {
        self.0 & PHP_OUTPUT_LOCKED != 0
    }

    /// Whether output is discarded.
    pub fn is_disabled(self) -> bool {
        self.0 & PHP_OUTPUT_DISABLED != 0
    }

    /// Puts the flags back.
    pub fn restore(self) {
        // SAFETY: sets flags that the output layer had.
        unsafe { ffi::php_output_set_status(self.0) };
    }
}

/// Discards everything that the script outputs from here on.
pub fn silence() {
    // SAFETY: sets a flag of the output layer.
    unsafe { ffi::php_output_set_status(PHP_OUTPUT_DISABLED) };
}

/// The number of buffers.
pub fn level() -> i32 {
    // SAFETY: reads a number of the output layer.
    unsafe { ffi::php_output_get_level() }
}

/// Starts a buffer. Not inside the callback of another one, where the engine ends the script for it.
///
/// # Errors
/// [`Bailout`] if it has.
pub fn start_buffer(engine: &mut Engine) -> Result<(), Bailout> {
    // SAFETY: a request is running.
    guarded(engine, || unsafe {
        ffi::php_output_start_default();
    })
}

/// Discards the buffers above a level, as far as they can be removed. Their callbacks run.
///
/// # Errors
/// [`Bailout`] of such a callback.
pub fn discard_above(engine: &mut Engine, level: i32) -> Result<(), Bailout> {
    // SAFETY: a request is running.
    guarded(engine, || unsafe { while ffi::php_output_get_level() > level && ffi::php_output_discard() == 0 {} })
}

/// Discards all buffers. The engine first removes zlib's handlers, so that no compressed body begins.
///
/// # Errors
/// [`Bailout`] of a callback.
pub fn discard_all(engine: &mut Engine) -> Result<(), Bailout> {
    // SAFETY: a request is running.
    guarded(engine, || unsafe { ffi::php_output_discard_all() })
}

/// Writes through the output layer, as `echo` does.
///
/// # Errors
/// [`Bailout`] if PHP has ended the script meanwhile.
pub fn write(engine: &mut Engine, bytes: &[u8]) -> Result<(), Bailout> {
    // SAFETY: the engine only reads the bytes.
    guarded(engine, || unsafe {
        ffi::php_output_write(bytes.as_ptr().cast(), bytes.len());
    })
}

/// Sends the headers, then `first`, and has the SAPI flush it. Callbacks for headers may run.
///
/// # Errors
/// [`Bailout`] of such a callback, or of a client that has gone.
pub fn send(engine: &mut Engine, first: &[u8]) -> Result<(), Bailout> {
    // SAFETY: a request is running. The explicit call is for PHP 8.1, whose flush alone does not send headers.
    guarded(engine, || unsafe {
        ffi::sapi_send_headers();
        if !first.is_empty() {
            ffi::php_output_write(first.as_ptr().cast(), first.len());
        }
        ffi::sapi_flush();
    })
}

/// Sends the headers, which the SAPI may keep back. Callbacks for headers may run.
///
/// # Errors
/// [`Bailout`] of such a callback.
pub fn send_headers(engine: &mut Engine) -> Result<(), Bailout> {
    // SAFETY: a request is running.
    guarded(engine, || unsafe {
        ffi::sapi_send_headers();
    })
}

/// The file and the line of the first output, if there was any.
pub fn started_at() -> Option<(String, i32)> {
    // SAFETY: null, or a name that belongs to the engine and is copied before any further output.
    unsafe {
        let file = ffi::php_output_get_start_filename().as_ref().map(|file| CStr::from_ptr(file))?;
        Some((file.to_str().ok()?.to_owned(), ffi::php_output_get_start_lineno()))
    }
}
