//! What the engine offers beyond ext-php-rs: symbols declared by hand, and calls that may leave by a bailout.
//!
//! The functions bound through `EXT_PHP_RS_ALLOWED_BINDINGS` (`.cargo/config.toml`) come with their signatures from PHP's
//! own headers; what is declared here by hand is not in the headers that ext-php-rs reads.

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use ext_php_rs::convert::IntoZvalDyn;
use ext_php_rs::ffi;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::ExecutorGlobals;

use crate::php::engine::{Engine, Value};

unsafe extern "C" {
    /// `main/php_open_temporary_file.h`, the same in 8.1–8.6: `sys_temp_dir`, then `TMPDIR`, then `/tmp`.
    fn php_get_temporary_directory() -> *const c_char;

    /// `main/php.h`, the same in 8.1–8.6: a line for PHP's error log.
    fn php_log_err_with_severity(message: *const c_char, syslog_severity: c_int);

    /// `Zend/zend_generators.h`, the same in 8.1–8.6: set when the engine starts.
    static zend_ce_generator: *mut ffi::zend_class_entry;

    /// `Zend/zend_alloc.h`, the same in 8.1–8.6.
    fn shutdown_memory_manager(silent: bool, full_shutdown: bool);

    /// `main/php_main.h`, the same in 8.1–8.6: what every SAPI calls when a write finds that the client has gone.
    fn php_handle_aborted_connection();

    /// `Zend/zend_fibers.h`, the same in 8.1–8.6: from here on fibers can't be switched; as often as it is called.
    fn zend_fiber_switch_block();

    /// `Zend/zend_fibers.h`, the same in 8.1–8.6: the end of that.
    fn zend_fiber_switch_unblock();

    /// `Zend/zend_exceptions.h`, the same in 8.1–8.6: whether an exception is what `exit` leaves a script by.
    fn zend_is_unwind_exit(exception: *const ffi::zend_object) -> bool;

    /// `Zend/zend_constants.h`, the same in 8.1–8.6: a constant's value, which belongs to the engine; null if there is none.
    fn zend_get_constant_str(name: *const c_char, length: usize) -> *const Zval;

    /// `ext/spl/spl_exceptions.h`, the same since 5.3: set when SPL starts, which is before any shared extension.
    pub static spl_ce_RuntimeException: *mut ffi::zend_class_entry;
}

/// `main/php_output.h`, the same in 8.1–8.6: a handler is running, the stack must not be touched.
pub const PHP_OUTPUT_LOCKED: i32 = 0x20;
/// `main/php_output.h`, the same in 8.1–8.6: output is thrown away.
pub const PHP_OUTPUT_DISABLED: i32 = 0x02;

/// `main/php_output.h`, the same in 8.1–8.6: a buffer may be ended.
pub const PHP_OUTPUT_HANDLER_REMOVABLE: i32 = 0x40;
/// `main/php_output.h`, the same in 8.1–8.6: a buffer's handler has run.
pub const PHP_OUTPUT_HANDLER_STARTED: i32 = 0x1000;
/// `main/php_output.h`, the same in 8.1–8.6: a buffer's handler has failed, and is passed by.
pub const PHP_OUTPUT_HANDLER_DISABLED: i32 = 0x2000;

/// The engine has left code by a bailout (a fatal error, a memory limit, a client that is gone), and goes on with that as
/// soon as this extension's function ends.
#[derive(Debug)]
pub struct Bailout;

thread_local! {
    /// A bailout that was caught and has to go on.
    static DEFERRED: Cell<bool> = const { Cell::new(false) };
}

/// Runs engine code that may run a user's code or write to the client. It must own nothing that needs a destructor:
/// a bailout jumps over its frame. What catches one lets go of all it owns and returns to the engine by
/// [`resume_bailout`].
pub fn guarded<R>(_: &mut Engine, code: impl FnOnce() -> R) -> Result<R, Bailout> {
    ext_php_rs::zend::try_catch(AssertUnwindSafe(code)).map_err(|_| {
        DEFERRED.set(true);
        Bailout
    })
}

/// Goes on with a bailout that [`guarded`] has caught, if it has.
///
/// # Safety
/// A request runs, and no frame of this extension that the engine has called last owns what needs a destructor: all of
/// them are jumped over.
pub unsafe fn resume_bailout(_: &mut Engine) {
    if DEFERRED.replace(false) {
        // SAFETY: as the caller promises; PHP always has a handler set while a request runs.
        unsafe { ext_php_rs::zend::bailout() }
    }
}

/// Lets a bailout that [`guarded`] has caught end here, where the request ends anyway.
pub fn forget_bailout() {
    DEFERRED.set(false);
}

/// Whether the request has failed, as far as it has come: with a fatal error or an uncaught exception, with another exit
/// status than 0, or with a response of 500 and above.
pub fn has_failed() -> bool {
    // SAFETY: reads numbers of this request's globals.
    let (status, last) = unsafe {
        ((*ffi::ext_php_rs_executor_globals()).exit_status, (*ffi::ext_php_rs_process_globals()).last_error_type)
    };
    // The status of a fatal error is 255, which a shutdown function that calls `exit` can hide.
    status != 0
        || last.cast_unsigned() & ffi::E_FATAL_ERRORS != 0
        || sapi_globals(|globals| globals.sapi_headers.http_response_code) >= 500
}

/// Runs user code that must return before the script around it goes on: where it would leave this fiber, PHP throws a
/// `FiberError` in it. Outside of fibers there is nothing that it could leave, and it may have fibers of its own.
pub fn within_fiber<R>(engine: &mut Engine, code: impl FnOnce(&mut Engine) -> R) -> R {
    // SAFETY: reads this thread's globals.
    let in_fiber = unsafe { !(*ffi::ext_php_rs_executor_globals()).active_fiber.is_null() };
    if !in_fiber {
        return code(engine);
    }
    // SAFETY: counts up, and down again in the same fiber; a bailout does not get past what is run here.
    unsafe { zend_fiber_switch_block() };
    let result = code(engine);
    // SAFETY: as above.
    unsafe { zend_fiber_switch_unblock() };
    result
}

/// Whether code that was run meanwhile did not return normally: an exception waits to be thrown, or a bailout to go on.
pub fn interrupted() -> bool {
    DEFERRED.get() || exception_pending()
}

/// Whether an exception (or `exit`, which is one) waits to be thrown.
pub fn exception_pending() -> bool {
    ExecutorGlobals::has_exception()
}

/// Whether the script is being left, by `exit` or a bailout, and not by an exception that it may catch.
pub fn leaving() -> bool {
    // SAFETY: the exception lives until it is thrown; the engine only looks at its class.
    DEFERRED.get()
        || unsafe {
            let exception = (*ffi::ext_php_rs_executor_globals()).exception;
            !exception.is_null() && zend_is_unwind_exit(exception)
        }
}

/// Whether this is no server's process: there is no client, and a response has no status.
pub fn is_command_line() -> bool {
    matches!(sapi_name().to_bytes(), b"cli" | b"phpdbg")
}

/// Whether a PHP function exists in this process.
pub fn function_exists(name: &str) -> bool {
    ExecutorGlobals::get().function_table().is_some_and(|table| table.get(name).is_some())
}

/// Why a call of a PHP function gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoValue {
    /// This PHP does not have it, for example because of `disable_functions`.
    Missing,
    /// It has thrown or left by a bailout, which goes on when this extension's function returns to the engine.
    Interrupted,
}

/// Calls a PHP function by name. Symbols of other extensions may be missing when this one is loaded, their functions
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

/// Calls what PHP code has passed as a callable.
pub fn call_value(engine: &mut Engine, callable: &Value, mut arguments: Vec<Value>) -> Result<Value, NoValue> {
    let count = u32::try_from(arguments.len()).map_err(|_| NoValue::Missing)?;
    let mut result = Zval::new();
    let function = std::ptr::from_ref(callable.look(engine)).cast_mut();
    let (values, target) = (Value::as_arguments(&mut arguments), &raw mut result);
    // SAFETY: all values are held until the call has returned; the engine copies what it keeps. (ext-php-rs's own way to
    // call takes a pending exception away, which would swallow an `exit`.)
    let status = guarded(engine, || unsafe {
        ffi::_call_user_function_impl(std::ptr::null_mut(), function, target, count, values, std::ptr::null_mut())
    });
    let result = Value::from(result);
    match status {
        Ok(0..) if !exception_pending() => Ok(result),
        _ => Err(NoValue::Interrupted),
    }
}

/// Whether a value can be called. To find that out, the engine may load a class, by the user's code.
pub fn is_callable(engine: &mut Engine, value: &Value) -> Result<bool, NoValue> {
    let callable = std::ptr::from_ref(value.look(engine)).cast_mut();
    // SAFETY: the value is held until the call has returned, which only looks at it; the name is not asked for.
    let is = guarded(engine, || unsafe { ffi::zend_is_callable(callable, 0, std::ptr::null_mut()) });
    match is {
        Ok(is) if !exception_pending() => Ok(is),
        _ => Err(NoValue::Interrupted),
    }
}

/// Tells the engine that the client has gone: `connection_status()` says so, output goes nowhere, and the script ends, by a
/// bailout, unless it has asked for `ignore_user_abort`.
pub fn abort_connection(engine: &mut Engine) {
    // SAFETY: a request is running.
    let _ = guarded(engine, || unsafe { php_handle_aborted_connection() });
}

/// PHP's own choice of a temporary folder.
pub fn temporary_folder() -> PathBuf {
    // SAFETY: the engine's own string, which it keeps for the life of the process, or null.
    let folder = unsafe { php_get_temporary_directory().as_ref().map(|folder| CStr::from_ptr(folder)) };
    folder.map_or_else(|| "/tmp".into(), |folder| OsStr::from_bytes(folder.to_bytes()).into())
}

/// Writes a line to PHP's error log.
pub fn log(message: &str) {
    let Ok(message) = CString::new(message) else { return };
    // SAFETY: the engine copies the text.
    unsafe { php_log_err_with_severity(message.as_ptr(), libc::LOG_NOTICE) };
}

/// The name of a value's type, as PHP's own messages have it.
pub fn type_name(value: &Zval) -> &'static str {
    // SAFETY: the engine reads the value and returns a static string.
    unsafe { text(ffi::zend_zval_type_name(value)) }.unwrap_or("another type")
}

/// The name of the running SAPI, such as `fpm-fcgi`.
pub fn sapi_name() -> &'static CStr {
    // SAFETY: the SAPI's module structure and its name are static in every SAPI.
    unsafe {
        let name = (*ffi::ext_php_rs_sapi_module()).name;
        if name.is_null() { c"" } else { CStr::from_ptr(name) }
    }
}

/// Looks at the SAPI's globals of this request.
pub fn sapi_globals<R>(look: impl FnOnce(&ffi::sapi_globals_struct) -> R) -> R {
    // SAFETY: they live as long as the process (or thread) and are only read here, on their own thread.
    look(unsafe { &*ffi::ext_php_rs_sapi_globals() })
}

/// Says whether the headers are on their way, in the engine's own flag; returns what it said before.
pub fn set_headers_sent(sent: u8) -> u8 {
    // SAFETY: a field of this thread's globals, to which nobody keeps a reference. It is a byte or a bool in all versions.
    unsafe {
        let field = (&raw mut (*ffi::ext_php_rs_sapi_globals()).headers_sent).cast::<u8>();
        field.replace(sent)
    }
}

/// Whether phpinfo() shows plain text here, and no HTML.
pub fn shows_text() -> bool {
    // SAFETY: set once when PHP starts.
    unsafe { (*ffi::ext_php_rs_sapi_module()).phpinfo_as_text != 0 }
}

/// The value of a setting, in as many bytes as it has; empty if it is not set.
pub fn ini(name: &CStr) -> Vec<u8> {
    // SAFETY: the table of settings is there for as long as the process, and its values for as long as no code of PHP runs,
    // which none does here: each is a pointer to its entry, and the value null or a string of the engine.
    unsafe {
        let settings = (*ffi::ext_php_rs_executor_globals()).ini_directives.as_ref();
        let entry = settings.zip(name.to_str().ok()).and_then(|(settings, name)| settings.get(name));
        let value = entry.and_then(|entry| entry.ptr::<ffi::zend_ini_entry>()?.as_ref()?.value.as_ref());
        value.map(|value| value.as_bytes().to_vec()).unwrap_or_default()
    }
}

/// A constant of PHP as text.
pub fn constant(name: &str) -> Option<String> {
    // SAFETY: the name is valid for its length; the value lives as long as the engine, and is copied here.
    let value = unsafe { zend_get_constant_str(name.as_ptr().cast(), name.len()).as_ref() }?;
    value.string().or_else(|| value.long().map(|number| number.to_string()))
}

/// A C string that the engine owns, if there is one and it is UTF-8.
///
/// # Safety
/// The string is null or ends in NUL, and stays as it is for as long as what is returned is used.
pub unsafe fn text<'a>(value: *const c_char) -> Option<&'a str> {
    if value.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(value) }.to_str().ok()
}

/// Whether a value is a generator.
pub fn is_generator(value: &Zval) -> bool {
    // SAFETY: set once when the engine starts, and only compared.
    value.object().is_some_and(|object| std::ptr::eq(object.ce, unsafe { zend_ce_generator }))
}

/// The last error of this request as PHP would log it, if there was one.
pub fn last_error() -> Option<String> {
    // SAFETY: reads this request's globals; the message belongs to the engine.
    let message = unsafe { (*ffi::ext_php_rs_process_globals()).last_error_message.as_ref() }?;
    Some(String::from_utf8_lossy(message.as_bytes()).into_owned())
}

/// The exception that waits to be thrown, as text; `exit` and errors that end the script may wait as one, too.
pub fn pending_exception() -> Option<String> {
    // SAFETY: the exception lives until it is thrown; the property is read from the class's own scope.
    unsafe {
        let exception = (*ffi::ext_php_rs_executor_globals()).exception.as_ref()?;
        if zend_is_unwind_exit(exception) {
            let kind = (*ffi::ext_php_rs_process_globals()).last_error_type;
            let fatal = kind.cast_unsigned() & ffi::E_FATAL_ERRORS != 0;
            return if fatal { last_error() } else { Some("it called exit".into()) };
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

/// Gives all of PHP's heap back to the system, with whatever scripts had in it. With `USE_ZEND_ALLOC=0` there is none.
///
/// # Safety
/// Nothing of PHP may run in this process from here on, nor may anything be looked at that it has allocated.
pub unsafe fn give_heap_back() {
    // SAFETY: the caller's promise.
    unsafe { shutdown_memory_manager(true, true) };
}

/// Runs the handlers of signals that came while a call waited, as the engine would between two statements.
pub fn dispatch_signals(engine: &mut Engine) {
    let _ = call(engine, "pcntl_signal_dispatch", &[]);
}
