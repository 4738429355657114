//! Engine features beyond ext-php-rs: symbols declared by hand, and calls that may end in a bailout.
//!
//! Functions bound through `EXT_PHP_RS_ALLOWED_BINDINGS` (`.cargo/config.toml`) have the signatures of PHP's own headers.
//! The symbols declared here are not in the headers that ext-php-rs reads.

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ext_php_rs::convert::IntoZvalDyn;
use ext_php_rs::ffi;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::ExecutorGlobals;

use crate::php::call::is_bailing_out;
pub use crate::php::call::{exception_pending, forget_bailout, guarded, interrupted};
use crate::php::engine::{Engine, Value};

unsafe extern "C" {
    /// `main/php_open_temporary_file.h`, the same in 8.1–8.6: `sys_temp_dir`, then `TMPDIR`, then `/tmp`.
    fn php_get_temporary_directory() -> *const c_char;

    /// `main/php.h`, the same in 8.1–8.6: writes a line to PHP's error log.
    fn php_log_err_with_severity(message: *const c_char, syslog_severity: c_int);

    /// `Zend/zend_generators.h`, the same in 8.1–8.6: set when the engine starts.
    static zend_ce_generator: *mut ffi::zend_class_entry;

    /// `Zend/zend_alloc.h`, the same in 8.1–8.6.
    fn shutdown_memory_manager(silent: bool, full_shutdown: bool);

    /// `Zend/zend_fibers.h`, the same in 8.1–8.6: forbids fiber switches. Calls nest.
    fn zend_fiber_switch_block();

    /// `Zend/zend_fibers.h`, the same in 8.1–8.6: ends one such block.
    fn zend_fiber_switch_unblock();

    /// `Zend/zend_exceptions.h`, the same in 8.1–8.6: whether an exception is the one that `exit` uses.
    fn zend_is_unwind_exit(exception: *const ffi::zend_object) -> bool;

    /// `Zend/zend_constants.h`, the same in 8.1–8.6: a constant's value, owned by the engine; null if undefined.
    fn zend_get_constant_str(name: *const c_char, length: usize) -> *const Zval;

    /// `main/php_output.h`, the same in 8.1–8.6: passes on what all buffers hold.
    fn php_output_flush_all();

    /// `Zend/zend_execute.h`, the same in 8.1–8.6: the value of an expression, run as `eval` does.
    fn zend_eval_stringl(code: *const c_char, length: usize, result: *mut Zval, name: *const c_char) -> c_int;
}

/// Whether the request has failed so far: by a fatal error, an uncaught exception, an exit status other than 0, or a
/// response status of 500 or above.
pub fn has_failed() -> bool {
    // SAFETY: reads a number of this request's globals.
    let status = unsafe { (*ffi::ext_php_rs_executor_globals()).exit_status };
    // A fatal error sets the status 255, but a shutdown function that calls `exit` can hide it.
    status != 0 || fatal_error().is_some() || sapi_globals(|globals| globals.sapi_headers.http_response_code) >= 500
}

/// Forgets the exit status of the request before: `php -S` and Apache keep it for the next one, FPM does not.
pub fn forget_exit_status() {
    // SAFETY: writes a number of this thread's globals. No script has begun that could have set it.
    unsafe { (*ffi::ext_php_rs_executor_globals()).exit_status = 0 };
}

/// The fatal error that ended this request, as PHP would log it, if one did.
fn fatal_error() -> Option<String> {
    // SAFETY: reads a number of this request's globals.
    let kind = unsafe { (*ffi::ext_php_rs_process_globals()).last_error_type };
    // The engine drops an error's text at the end of the request, and keeps its kind for the next one.
    last_error().filter(|_| kind.cast_unsigned() & ffi::E_FATAL_ERRORS != 0)
}

/// Runs user code that must return before the script around it continues. If it tries to leave the current fiber, PHP
/// throws a `FiberError` in it. Outside fibers it can use fibers of its own.
pub fn within_fiber<R>(engine: &mut Engine, code: impl FnOnce(&mut Engine) -> R) -> R {
    // SAFETY: reads this thread's globals.
    let in_fiber = unsafe { !(*ffi::ext_php_rs_executor_globals()).active_fiber.is_null() };
    if !in_fiber {
        return code(engine);
    }
    // SAFETY: counts up, and down again in the same fiber. A bailout does not pass the code that runs here.
    unsafe { zend_fiber_switch_block() };
    let result = code(engine);
    // SAFETY: as above.
    unsafe { zend_fiber_switch_unblock() };
    result
}

/// Whether the script is ending, by `exit` or a bailout, and not by an exception that it may catch.
pub fn leaving() -> bool {
    // SAFETY: the exception lives until it is thrown. The engine only looks at its class.
    is_bailing_out()
        || unsafe {
            let exception = (*ffi::ext_php_rs_executor_globals()).exception;
            !exception.is_null() && zend_is_unwind_exit(exception)
        }
}

/// Whether this is a command line process: there is no client, and a response has no status.
pub fn is_command_line() -> bool {
    matches!(sapi_name().to_bytes(), b"cli" | b"phpdbg")
}

/// Whether a PHP function exists in this process.
pub fn function_exists(name: &str) -> bool {
    ExecutorGlobals::get().function_table().is_some_and(|table| table.get(name).is_some())
}

/// Why a call of a PHP function returned no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoValue {
    /// This PHP lacks the function, for example because of `disable_functions`.
    Missing,
    /// It threw or left by a bailout, which continues when this extension's function returns to the engine.
    Interrupted,
}

/// Calls a PHP function by name. Symbols of other extensions may be missing when this one is loaded, but their functions
/// can be looked up.
pub fn call(engine: &mut Engine, name: &str, arguments: &[&dyn IntoZvalDyn]) -> Result<Value, NoValue> {
    if !function_exists(name) {
        return Err(NoValue::Missing);
    }
    let mut function = Zval::new();
    function.set_string(name, false).map_err(|_| NoValue::Missing)?;
    let arguments: Result<Vec<Value>, _> =
        arguments.iter().map(|argument| argument.as_zval(false).map(Value::from)).collect();
    call_value(engine, &function.into(), arguments.map_err(|_| NoValue::Missing)?)
}

/// Calls a callable that PHP code has passed.
pub fn call_value(engine: &mut Engine, callable: &Value, mut arguments: Vec<Value>) -> Result<Value, NoValue> {
    let count = u32::try_from(arguments.len()).map_err(|_| NoValue::Missing)?;
    let mut result = Zval::new();
    let function = std::ptr::from_ref(callable.look(engine)).cast_mut();
    let (values, target) = (Value::as_arguments(&mut arguments), &raw mut result);
    // SAFETY: all values are held until the call returns, and the engine copies what it keeps. (ext-php-rs's own call
    // clears a pending exception, which would swallow an `exit`.)
    let status = guarded(engine, || unsafe {
        ffi::_call_user_function_impl(std::ptr::null_mut(), function, target, count, values, std::ptr::null_mut())
    });
    let result = Value::from(result);
    match status {
        Ok(0..) if !exception_pending() => Ok(result),
        _ => Err(NoValue::Interrupted),
    }
}

/// The value of a PHP expression. `None` if it did not return.
pub fn evaluate(engine: &mut Engine, expression: &str) -> Option<Value> {
    let mut result = Zval::new();
    let (code, length, target) = (expression.as_ptr().cast(), expression.len(), &raw mut result);
    // SAFETY: the text is valid for its length and the engine copies it; the result outlives the call.
    let status = guarded(engine, || unsafe { zend_eval_stringl(code, length, target, c"sse.adopt".as_ptr()) });
    let result = Value::from(result);
    (matches!(status, Ok(0)) && !exception_pending()).then_some(result)
}

/// Passes on what all output buffers hold. Their handlers may be user code.
pub fn flush_buffers(engine: &mut Engine) {
    // SAFETY: a request is running, and no handler is.
    let _ = guarded(engine, || unsafe { php_output_flush_all() });
}

/// Whether a value can be called. The engine may load a class for this, which runs user code.
pub fn is_callable(engine: &mut Engine, value: &Value) -> Result<bool, NoValue> {
    let callable = std::ptr::from_ref(value.look(engine)).cast_mut();
    // SAFETY: the value is held until the call returns, which only reads it. No name is requested.
    let is = guarded(engine, || unsafe { ffi::zend_is_callable(callable, 0, std::ptr::null_mut()) });
    match is {
        Ok(is) if !exception_pending() => Ok(is),
        _ => Err(NoValue::Interrupted),
    }
}

/// PHP's choice of a temporary folder.
pub fn temporary_folder() -> PathBuf {
    // SAFETY: null, or the engine's own string, which lives as long as the process.
    let folder = unsafe { php_get_temporary_directory().as_ref().map(|folder| CStr::from_ptr(folder)) };
    folder.map_or_else(|| "/tmp".into(), |folder| OsStr::from_bytes(folder.to_bytes()).into())
}

/// Writes a line to PHP's error log.
pub fn log(message: &str) {
    let Ok(message) = CString::new(message) else { return };
    // SAFETY: the engine copies the text.
    unsafe { php_log_err_with_severity(message.as_ptr(), libc::LOG_NOTICE) };
}

/// The name of a value's type, as in PHP's own messages.
pub fn type_name(value: &Zval) -> &'static str {
    // SAFETY: the engine reads the value and returns a static string.
    unsafe { text(ffi::zend_zval_type_name(value)) }.unwrap_or("another type")
}

/// Like [`type_name`], but an object's class.
pub fn value_name(value: &Zval) -> String {
    let class = value.object().and_then(|object| object.get_class_name().ok());
    class.unwrap_or_else(|| type_name(value).to_owned())
}

/// The name of the running SAPI, such as `fpm-fcgi`.
pub fn sapi_name() -> &'static CStr {
    // SAFETY: the SAPI's module structure and its name are static in every SAPI.
    unsafe {
        let name = (*ffi::ext_php_rs_sapi_module()).name;
        if name.is_null() { c"" } else { CStr::from_ptr(name) }
    }
}

/// Reads the SAPI's globals of this request.
pub fn sapi_globals<R>(look: impl FnOnce(&ffi::sapi_globals_struct) -> R) -> R {
    // SAFETY: they live as long as the process (or thread) and are only read here, on their own thread.
    look(unsafe { &*ffi::ext_php_rs_sapi_globals() })
}

/// The engine's flag for sent headers, which is a byte up to 8.5 and a bool since 8.6.
fn headers_sent_flag() -> *mut u8 {
    // SAFETY: the address of a field of this thread's globals.
    unsafe { (&raw mut (*ffi::ext_php_rs_sapi_globals()).headers_sent).cast() }
}

/// Whether the engine has sent the headers, or takes them for sent.
pub fn headers_sent() -> bool {
    // SAFETY: an unreferenced field, one byte in all versions.
    unsafe { headers_sent_flag().read() != 0 }
}

/// Sets the engine's flag for sent headers; returns the old value.
pub fn set_headers_sent(sent: bool) -> bool {
    // SAFETY: as above, and 0 and 1 are values of both types.
    unsafe { headers_sent_flag().replace(sent.into()) != 0 }
}

/// Sets whether the engine sends no headers at all; returns the old value.
pub fn set_no_headers(no: bool) -> bool {
    // SAFETY: an unreferenced field of this thread's globals.
    unsafe { (&raw mut (*ffi::ext_php_rs_sapi_globals()).request_info.no_headers).replace(no) }
}

/// Whether phpinfo() prints plain text instead of HTML.
pub fn shows_text() -> bool {
    // SAFETY: set once when PHP starts.
    unsafe { (*ffi::ext_php_rs_sapi_module()).phpinfo_as_text != 0 }
}

/// The value of a setting, as raw bytes. Empty if it is not set.
pub fn ini(name: &CStr) -> Vec<u8> {
    // SAFETY: the table of settings lives as long as the process, and its values as long as no PHP code runs, and none
    // runs here. Each table value points to its entry, whose value is null or a string of the engine.
    unsafe {
        let settings = (*ffi::ext_php_rs_executor_globals()).ini_directives.as_ref();
        let entry = settings.zip(name.to_str().ok()).and_then(|(settings, name)| settings.get(name));
        let value = entry.and_then(|entry| entry.ptr::<ffi::zend_ini_entry>()?.as_ref()?.value.as_ref());
        value.map(|value| value.as_bytes().to_vec()).unwrap_or_default()
    }
}

/// A PHP constant as text.
pub fn constant(name: &str) -> Option<String> {
    // SAFETY: the name is valid for its length. The value lives as long as the engine, and is copied here.
    let value = unsafe { zend_get_constant_str(name.as_ptr().cast(), name.len()).as_ref() }?;
    value.string().or_else(|| value.long().map(|number| number.to_string()))
}

/// A C string that the engine owns. `None` if it is null or not UTF-8.
///
/// # Safety
/// The string is null or ends in NUL, and does not change while the result is in use.
pub(super) unsafe fn text<'a>(value: *const c_char) -> Option<&'a str> {
    if value.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(value) }.to_str().ok()
}

/// Whether a value is a generator.
pub fn is_generator(value: &Zval) -> bool {
    // SAFETY: set once when the engine starts, and only compared.
    value.object().is_some_and(|object| std::ptr::eq(object.ce, unsafe { zend_ce_generator }))
}

/// The method of this request, if it has one in UTF-8.
pub fn request_method() -> Option<String> {
    // SAFETY: null, or the engine's own text, which is copied.
    unsafe { text(sapi_globals(|globals| globals.request_info.request_method)) }.map(str::to_owned)
}

/// The path of this request's script, if it has one in UTF-8.
pub fn script_path() -> Option<String> {
    // SAFETY: as above.
    unsafe { text(sapi_globals(|globals| globals.request_info.path_translated)) }.map(str::to_owned)
}

/// The last error of this request, as PHP would log it, if any.
pub fn last_error() -> Option<String> {
    // SAFETY: reads this request's globals. The message belongs to the engine.
    let message = unsafe { (*ffi::ext_php_rs_process_globals()).last_error_message.as_ref() }?;
    Some(String::from_utf8_lossy(message.as_bytes()).into_owned())
}

/// The pending exception as text. `exit`, and errors that end the script, may be pending as one, too.
pub fn pending_exception() -> Option<String> {
    // SAFETY: the exception lives until it is thrown. The property is read from the class's own scope.
    unsafe {
        let exception = (*ffi::ext_php_rs_executor_globals()).exception.as_ref()?;
        if zend_is_unwind_exit(exception) {
            return fatal_error().or_else(|| Some("it called exit".into()));
        }
        let class = exception.get_class_name().ok()?;
        let mut space = Zval::new();
        let name = c"message";
        let object = std::ptr::from_ref(exception).cast_mut();
        let value =
            ffi::zend_read_property(exception.ce, object, name.as_ptr(), name.count_bytes(), true, &raw mut space);
        let message = value.as_ref().and_then(Zval::string).unwrap_or_default();
        Some(if message.is_empty() { class } else { format!("{class}: {message}") })
    }
}

/// Returns all of PHP's heap to the system, with all script data. With `USE_ZEND_ALLOC=0` there is no such heap.
///
/// # Safety
/// From here on, no PHP code may run in this process, and nothing that PHP allocated may be used.
pub(super) unsafe fn give_heap_back() {
    // SAFETY: the caller's promise.
    unsafe { shutdown_memory_manager(true, true) };
}

/// Runs the handlers of signals that arrived during a wait, as the engine would between two statements.
pub fn dispatch_signals(engine: &mut Engine) {
    let _ = call(engine, "pcntl_signal_dispatch", &[]);
}
