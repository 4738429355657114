//! The connection to the client, as PHP knows it.

use ext_php_rs::ffi;

use super::call::{Bailout, guarded};
use super::engine::Engine;

/// `main/php_globals.h`: the client has gone.
const PHP_CONNECTION_ABORTED: i32 = 1;

unsafe extern "C" {
    /// `main/php_main.h`, the same in 8.1–8.6: SAPIs call it when a write finds that the client has gone.
    fn php_handle_aborted_connection();
}

/// Sends bytes to the client through PHP's output layer and flushes the SAPI, as `echo` and `flush()` do.
///
/// # Errors
/// [`Bailout`] if PHP has ended the script meanwhile.
pub fn write(engine: &mut Engine, bytes: &[u8]) -> Result<(), Bailout> {
    // SAFETY: the engine only reads the bytes.
    guarded(engine, || unsafe {
        ffi::php_output_write(bytes.as_ptr().cast(), bytes.len());
        ffi::sapi_flush();
    })
}

/// Whether PHP knows that the client has gone.
pub fn is_aborted() -> bool {
    // SAFETY: reads a number of this request's globals.
    unsafe { i32::from((*ffi::ext_php_rs_process_globals()).connection_status) & PHP_CONNECTION_ABORTED != 0 }
}

/// Tells the engine that the client has gone: `connection_status()` reports it, output is discarded, and the script ends
/// by a bailout, unless it set `ignore_user_abort`.
pub fn abort(engine: &mut Engine) {
    // SAFETY: a request is running.
    let _ = guarded(engine, || unsafe { php_handle_aborted_connection() });
}

/// Sets whether the script goes on after its client has gone, as `ignore_user_abort()` does. Returns the former value.
pub fn ignore_abort(ignore: bool) -> bool {
    // SAFETY: a flag of this request's globals.
    unsafe {
        let globals = ffi::ext_php_rs_process_globals();
        std::mem::replace(&mut (*globals).ignore_user_abort, ignore)
    }
}
