//! What the engine offers beyond ext-php-rs: symbols declared by hand, and calls that may leave by a bailout.
//!
//! The functions bound through `EXT_PHP_RS_ALLOWED_BINDINGS` (`.cargo/config.toml`) come with their signatures from PHP's
//! own headers; what is declared here by hand is not in the headers that ext-php-rs reads.

use std::ffi::{CStr, c_char};
use std::panic::AssertUnwindSafe;

use ext_php_rs::convert::IntoZvalDyn;
use ext_php_rs::ffi;
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::zend::ExecutorGlobals;

unsafe extern "C" {
    /// `ext/spl/spl_exceptions.h`, the same since 5.3: set when SPL starts, which is before any shared extension.
    pub static spl_ce_RuntimeException: *mut ffi::zend_class_entry;
}

/// `main/php_output.h`, the same in 8.1–8.6: a handler is running, the stack must not be touched.
pub const PHP_OUTPUT_LOCKED: i32 = 0x20;
/// `main/php_output.h`, the same in 8.1–8.6: output is thrown away.
pub const PHP_OUTPUT_DISABLED: i32 = 0x02;

/// The engine left by a bailout (a fatal error, a memory limit, a client that is gone).
#[derive(Debug)]
pub struct Bailout;

/// Runs engine code that may run a user's code or write to the client. It must own nothing that needs a destructor:
/// a bailout jumps over its frame.
pub fn guarded<R>(code: impl FnOnce() -> R) -> Result<R, Bailout> {
    ext_php_rs::zend::try_catch(AssertUnwindSafe(code)).map_err(|_| Bailout)
}

/// Goes on with a bailout that [`guarded`] caught, once all has been put in order. The caller must own nothing.
pub fn resume_bailout() -> ! {
    // SAFETY: called with nothing left on the frames above that needs a destructor; PHP always has a handler set while
    // a request runs.
    unsafe { ext_php_rs::zend::bailout() }
}

/// Whether an exception (or `exit`, which is one) waits to be thrown.
pub fn exception_pending() -> bool {
    ExecutorGlobals::has_exception()
}

/// Whether a PHP function exists in this process.
pub fn function_exists(name: &str) -> bool {
    ExecutorGlobals::get().function_table().is_some_and(|table| table.get(name).is_some())
}

/// A call of PHP code did not return a value. If it has thrown, the exception (or `exit`, which is one) is still
/// pending, and is thrown when this extension's function returns to the engine.
#[derive(Debug)]
pub struct NoValue;

/// Calls a PHP function by name. Symbols of other extensions may be missing when this one is loaded, their functions
/// can be looked up.
pub fn call(name: &str, arguments: &[&dyn IntoZvalDyn]) -> Result<Zval, NoValue> {
    let mut function = Zval::new();
    function.set_string(name, false).map_err(|_| NoValue)?;
    let arguments: Result<Vec<Zval>, _> = arguments.iter().map(|argument| argument.as_zval(false)).collect();
    let mut arguments = arguments.map_err(|_| NoValue)?;
    let count = u32::try_from(arguments.len()).map_err(|_| NoValue)?;
    let mut result = Zval::new();
    // SAFETY: all values live until the call has returned; the engine copies what it keeps. (ext-php-rs's own way to call
    // takes a pending exception away, which would swallow an `exit`.)
    let status = unsafe {
        ffi::_call_user_function_impl(
            std::ptr::null_mut(),
            &raw mut function,
            &raw mut result,
            count,
            arguments.as_mut_ptr(),
            std::ptr::null_mut(),
        )
    };
    if status < 0 || exception_pending() { Err(NoValue) } else { Ok(result) }
}

/// The name of the running SAPI, such as `fpm-fcgi`.
pub fn sapi_name() -> &'static CStr {
    // SAFETY: the SAPI's module structure and its name are static in every SAPI.
    unsafe {
        let name = (*ffi::ext_php_rs_sapi_module()).name;
        if name.is_null() { c"" } else { CStr::from_ptr(name) }
    }
}

/// The SAPI's globals of this request.
pub fn sapi_globals() -> &'static ffi::sapi_globals_struct {
    // SAFETY: they live as long as the process (or thread) and are only read here, on their own thread.
    unsafe { &*ffi::ext_php_rs_sapi_globals() }
}

/// The value of a setting as text; empty if it is not set.
pub fn ini(name: &CStr) -> &str {
    let mut exists = false;
    // SAFETY: the name is NUL-terminated and its length excludes the NUL; the value belongs to the engine and stays
    // until the setting is changed, which can't happen while this extension's code holds the reference.
    let value = unsafe { ffi::zend_ini_string_ex(name.as_ptr().cast_mut(), name.count_bytes(), 0, &raw mut exists) };
    text(value).unwrap_or("")
}

/// A C string that the engine owns, if there is one and it is UTF-8.
pub fn text<'a>(value: *const c_char) -> Option<&'a str> {
    if value.is_null() {
        return None;
    }
    // SAFETY: the engine's strings are NUL-terminated.
    unsafe { CStr::from_ptr(value) }.to_str().ok()
}

/// A variable of the server, such as `REMOTE_ADDR`, as the SAPI gave it: not `$_SERVER`, which scripts change.
pub fn server_variable(name: &str) -> Option<String> {
    let mut server = ZendStr::new("_SERVER", false);
    // SAFETY: the name outlives the call. The table is looked at through a fresh pointer after it: the call is what
    // fills it in when the script has not mentioned `$_SERVER` (auto_globals_jit).
    let table = unsafe {
        ffi::zend_is_auto_global(server.as_mut_ptr());
        (*ffi::ext_php_rs_process_globals()).http_globals[ffi::TRACK_VARS_SERVER as usize].array()
    };
    table?.get(name)?.string()
}

/// Runs the handlers of signals that came while a call waited, as the engine would between two statements.
pub fn dispatch_signals() {
    if function_exists("pcntl_signal_dispatch") {
        let _ = call("pcntl_signal_dispatch", &[]);
    }
}
