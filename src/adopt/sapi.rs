//! Replacements for the server's functions while a request may be adopted: they add the headers that a stream needs and
//! record the last write.

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Instant;

use ext_php_rs::ffi;

use super::{PHASE, Phase, look, output};
use crate::php::engine::Engine;

type Write = unsafe extern "C" fn(*const c_char, usize) -> usize;
type SendHeaders = unsafe extern "C" fn(*mut ffi::sapi_headers_struct) -> c_int;

/// `main/SAPI.h`, the same in 8.1–8.6: the engine sends the headers one by one, as it does without a `send_headers`.
const SAPI_HEADER_DO_SEND: c_int = 2;

/// The server's own functions.
static WRITE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static SEND_HEADERS: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// The last byte of the response. Initially a line end.
    static LAST: Cell<u8> = const { Cell::new(b'\n') };
    /// The time of the last write to a stream that has begun.
    static AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Installs the replacements.
pub fn stand_in() {
    LAST.set(b'\n');
    AT.set(None);
    // SAFETY: the structure lives as long as the process. Only its main thread writes to it; in a thread-safe PHP, all
    // threads write the same values.
    unsafe {
        let module = ffi::ext_php_rs_sapi_module();
        if let Some(theirs) = (*module).ub_write.filter(|function| *function as usize != write as *const () as usize) {
            WRITE.store(theirs as *mut (), Ordering::Release);
            (*module).ub_write = Some(write);
        }
        let other = |function: &SendHeaders| *function as usize != send_headers as *const () as usize;
        if let Some(theirs) = (*module).send_headers.filter(other) {
            SEND_HEADERS.store(theirs as *mut (), Ordering::Release);
            (*module).send_headers = Some(send_headers);
        }
    }
}

/// Restores the server's functions. A function that other code has installed since stays; it calls these.
pub fn step_back() {
    // Other threads of a thread-safe PHP may be inside the replacements.
    if cfg!(php_zts) {
        return;
    }
    // SAFETY: as in `stand_in`.
    unsafe {
        let module = ffi::ext_php_rs_sapi_module();
        if (*module).ub_write.is_some_and(|function| function as usize == write as *const () as usize) {
            (*module).ub_write = their_write();
        }
        if (*module).send_headers.is_some_and(|function| function as usize == send_headers as *const () as usize) {
            (*module).send_headers = their_send_headers();
        }
    }
}

/// Since when the stream is silent. `None` if its last byte did not end a line.
pub fn silent_since() -> Option<Instant> {
    if LAST.get() != b'\n' {
        return None;
    }
    // For a stream that has begun without a byte, silence starts now.
    AT.set(AT.get().or_else(|| Some(Instant::now())));
    AT.get()
}

fn their_write() -> Option<Write> {
    // SAFETY: the pointer is null or the function that was found.
    unsafe { std::mem::transmute::<*mut (), Option<Write>>(WRITE.load(Ordering::Acquire)) }
}

fn their_send_headers() -> Option<SendHeaders> {
    // SAFETY: as above.
    unsafe { std::mem::transmute::<*mut (), Option<SendHeaders>>(SEND_HEADERS.load(Ordering::Acquire)) }
}

/// Writes to the client, past all buffers. It owns nothing: if the client has gone, this call may end the script.
pub unsafe extern "C" fn write(text: *const c_char, len: usize) -> usize {
    if len > 0 {
        // SAFETY: the engine passes `len` bytes.
        LAST.set(unsafe { *text.add(len - 1) }.cast_unsigned());
        if PHASE.get() == Phase::Streaming {
            AT.set(Some(Instant::now()));
        }
    }
    match their_write() {
        // SAFETY: the arguments come from the engine.
        Some(theirs) => unsafe { theirs(text, len) },
        None => 0,
    }
}

unsafe extern "C" fn send_headers(headers: *mut ffi::sapi_headers_struct) -> c_int {
    if PHASE.get() != Phase::Off {
        let _ = catch_unwind(|| {
            // Subscribe first: a client that sees the stream may rely on notifications.
            look();
            // SAFETY: the engine calls this function.
            output::complete_headers(&mut unsafe { Engine::entered() });
        });
    }
    match their_send_headers() {
        // SAFETY: the argument comes from the engine.
        Some(theirs) => unsafe { theirs(headers) },
        None => SAPI_HEADER_DO_SEND,
    }
}
