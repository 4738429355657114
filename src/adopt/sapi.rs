//! What stands between PHP and its server while a request may be adopted: the headers that a stream needs are added
//! whenever they are sent, and what was written last is known.

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

/// `main/SAPI.h`, the same in 8.1–8.6: the engine shall send the headers one by one, as it does without a function for it.
const SAPI_HEADER_DO_SEND: c_int = 2;

/// The server's own functions.
static WRITE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static SEND_HEADERS: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// The last byte of the response; as if a line had ended, before the first.
    static LAST: Cell<u8> = const { Cell::new(b'\n') };
    /// When it was written, once the response is a stream that has begun.
    static AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Takes the place of the server's functions.
pub fn stand_in() {
    LAST.set(b'\n');
    AT.set(None);
    // SAFETY: the structure is there for the life of the process, and is only written on its main thread or, in a
    // thread-safe PHP, with the values that all threads write.
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

/// Gives the server its functions back. What somebody else has put there meanwhile stays, and goes on to these.
pub fn step_back() {
    // Other threads of a thread-safe PHP may be on their way through.
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

/// Since when nothing was written, if the last that was is the end of a line.
pub fn silent_since() -> Option<Instant> {
    if LAST.get() != b'\n' {
        return None;
    }
    // A stream that has begun without a byte is silent from now on.
    AT.set(AT.get().or_else(|| Some(Instant::now())));
    AT.get()
}

fn their_write() -> Option<Write> {
    // SAFETY: null, or the function that was found.
    unsafe { std::mem::transmute::<*mut (), Option<Write>>(WRITE.load(Ordering::Acquire)) }
}

fn their_send_headers() -> Option<SendHeaders> {
    // SAFETY: as above.
    unsafe { std::mem::transmute::<*mut (), Option<SendHeaders>>(SEND_HEADERS.load(Ordering::Acquire)) }
}

/// Writes to the client, past all buffers. It owns nothing: a client that is gone may end the script right here.
pub unsafe extern "C" fn write(text: *const c_char, len: usize) -> usize {
    if len > 0 {
        // SAFETY: the engine passes so many bytes.
        LAST.set(unsafe { *text.add(len - 1) }.cast_unsigned());
        if PHASE.get() == Phase::Streaming {
            AT.set(Some(Instant::now()));
        }
    }
    match their_write() {
        // SAFETY: with the engine's own arguments.
        Some(theirs) => unsafe { theirs(text, len) },
        None => 0,
    }
}

unsafe extern "C" fn send_headers(headers: *mut ffi::sapi_headers_struct) -> c_int {
    if PHASE.get() != Phase::Off {
        let _ = catch_unwind(|| {
            // Whoever sees the stream may rely on its being woken.
            look();
            // SAFETY: the engine has called this function.
            output::complete_headers(&mut unsafe { Engine::entered() });
        });
    }
    match their_send_headers() {
        // SAFETY: with the engine's own argument.
        Some(theirs) => unsafe { theirs(headers) },
        None => SAPI_HEADER_DO_SEND,
    }
}
