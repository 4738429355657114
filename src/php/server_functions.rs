//! The SAPI's functions for output and headers, and replacements that tell an observer of each call.

use std::ffi::{c_char, c_int};
use std::panic::catch_unwind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi;

use super::call::{enter, guarded};
use super::engine::Engine;

type Write = unsafe extern "C" fn(*const c_char, usize) -> usize;
type SendHeaders = unsafe extern "C" fn(*mut ffi::sapi_headers_struct) -> c_int;

/// `main/SAPI.h`, the same in 8.1–8.6: the engine sends the headers one by one, as it does without a `send_headers`.
const SAPI_HEADER_DO_SEND: c_int = 2;

/// The server's own functions.
static WRITE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static SEND_HEADERS: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Whom the replacements tell.
#[derive(Debug, Clone, Copy)]
pub struct Observer {
    /// Bytes will be written past all buffers; the last one.
    pub writes: fn(u8),
    /// Headers will be sent: they can still be changed.
    pub sends_headers: fn(&mut Engine),
}

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// A place of the SAPI's structure that holds a function, ours, and where the server's own one is remembered.
type Replaced = (&'static AtomicPtr<()>, *mut (), &'static AtomicPtr<()>);

/// The places. The engine reads them in all threads, so they are never written but as a whole.
fn places() -> [Replaced; 2] {
    // SAFETY: the structure lives as long as the process, and both fields are aligned pointers to functions, or null.
    unsafe {
        let module = ffi::ext_php_rs_sapi_module();
        [
            (AtomicPtr::from_ptr((&raw mut (*module).ub_write).cast()), write as *const () as *mut (), &WRITE),
            (
                AtomicPtr::from_ptr((&raw mut (*module).send_headers).cast()),
                send_headers as *const () as *mut (),
                &SEND_HEADERS,
            ),
        ]
    }
}

/// Installs the replacements, unless they are. The first observer stays for good.
pub fn replace(observer: Observer) {
    OBSERVER.get_or_init(|| observer);
    for (place, ours, original) in places() {
        let theirs = place.load(Ordering::Acquire);
        if !theirs.is_null() && theirs != ours {
            original.store(theirs, Ordering::Release);
            place.store(ours, Ordering::Release);
        }
    }
}

/// Restores the server's functions after a request. A function that other code has installed since stays; it calls these.
pub fn restore() {
    // Other threads of a thread-safe PHP may be inside the replacements.
    if !cfg!(php_zts) {
        restore_for_good();
    }
}

/// Restores the server's functions when the module ends: no other thread runs any more.
pub fn restore_for_good() {
    for (place, ours, original) in places() {
        let _ = place.compare_exchange(ours, original.load(Ordering::Acquire), Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Writes past all buffers and flushes the SAPI. Read from [`interrupted`](super::call::interrupted) and the connection's
/// status whether the client has gone.
pub fn write_past_buffers(engine: &mut Engine, bytes: &'static [u8]) {
    // SAFETY: the output layer does the same where there is no buffer.
    let _ = guarded(engine, || unsafe {
        write(bytes.as_ptr().cast(), bytes.len());
        ffi::sapi_flush();
    });
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
unsafe extern "C" fn write(text: *const c_char, len: usize) -> usize {
    if len > 0
        && let Some(observer) = OBSERVER.get()
    {
        // SAFETY: the engine passes `len` bytes.
        let last = unsafe { *text.cast::<u8>().add(len - 1) };
        let _ = catch_unwind(|| (observer.writes)(last));
    }
    match their_write() {
        // SAFETY: the arguments come from the engine.
        Some(theirs) => unsafe { theirs(text, len) },
        None => 0,
    }
}

unsafe extern "C" fn send_headers(headers: *mut ffi::sapi_headers_struct) -> c_int {
    if let Some(observer) = OBSERVER.get() {
        // SAFETY: the engine calls this function.
        let _ = unsafe { enter(observer.sends_headers) };
    }
    match their_send_headers() {
        // SAFETY: the argument comes from the engine.
        Some(theirs) => unsafe { theirs(headers) },
        None => SAPI_HEADER_DO_SEND,
    }
}
