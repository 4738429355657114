//! Completes the signatures that Reflection shows: ext-php-rs supports no union types and no `[]` as a default.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::{Mutex, PoisonError};

use ext_php_rs::ffi;

const STRING: u32 = 1 << ffi::IS_STRING;
const NULL: u32 = 1 << ffi::IS_NULL;
const BOOL: u32 = 1 << ffi::IS_FALSE | 1 << ffi::IS_TRUE;
const ARRAY: u32 = 1 << ffi::IS_ARRAY;

/// A parameter: class (empty for a function), function, position, type mask, and default if any.
struct ReflectedParameter(&'static str, &'static str, usize, u32, Option<&'static CStr>);

static PARAMETERS: &[ReflectedParameter] = &[
    ReflectedParameter("", "sse_stream", 0, STRING | ARRAY, None),
    ReflectedParameter("", "sse_stream", 1, 1 << ffi::IS_CALLABLE | NULL, None),
    ReflectedParameter("", "sse_stream", 2, ARRAY, Some(c"[]")),
    ReflectedParameter("", "sse_publish", 0, STRING | ARRAY, None),
    ReflectedParameter("", "sse_publish", 2, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_publish", 3, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_publish", 4, 1 << ffi::IS_LONG | NULL, Some(c"null")),
    ReflectedParameter("", "sse_publish", 5, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_publish", 6, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_finish", 0, STRING, None),
    ReflectedParameter("", "sse_finish", 1, ffi::MAY_BE_ANY, Some(c"null")),
    ReflectedParameter("", "sse_finish", 2, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_publish", 7, BOOL, Some(c"false")),
    ReflectedParameter("", "sse_retained", 0, STRING, None),
    ReflectedParameter("", "sse_presence", 0, STRING, None),
    ReflectedParameter("", "sse_presence", 1, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_presence", 2, 1 << ffi::IS_LONG, Some(c"1000")),
    ReflectedParameter("", "sse_presence_count", 0, STRING, None),
    ReflectedParameter("", "sse_publish", 8, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_publish", 9, BOOL, Some(c"false")),
    ReflectedParameter("", "sse_publish", 10, 1 << ffi::IS_LONG, Some(c"0")),
    ReflectedParameter("", "sse_publish", 11, BOOL, Some(c"false")),
    ReflectedParameter("", "sse_publish", 12, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_disconnect", 0, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_disconnect", 1, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_disconnect", 2, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_disconnect", 3, 1 << ffi::IS_LONG | NULL, Some(c"null")),
    ReflectedParameter("", "sse_mercure_matches", 0, STRING, None),
    ReflectedParameter("", "sse_mercure_matches", 1, STRING, None),
    ReflectedParameter("", "sse_mercure_matches", 2, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_stats", 0, BOOL, Some(c"true")),
    ReflectedParameter("", "sse_mercure_subscriptions", 0, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_mercure_subscriptions", 1, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_mercure_subscriptions", 2, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_mercure_subscriptions", 3, 1 << ffi::IS_LONG, Some(c"1000")),
    ReflectedParameter("", "sse_watchers", 0, STRING, None),
    ReflectedParameter("", "sse_watchers", 1, BOOL, Some(c"false")),
    ReflectedParameter("", "sse_streams", 0, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_streams", 1, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_streams", 2, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_streams", 3, STRING | NULL, Some(c"null")),
    ReflectedParameter("", "sse_streams", 4, 1 << ffi::IS_LONG, Some(c"1000")),
    ReflectedParameter("", "sse_retopic", 0, STRING, None),
    ReflectedParameter("", "sse_retopic", 1, ARRAY, Some(c"[]")),
    ReflectedParameter("", "sse_retopic", 2, ARRAY, Some(c"[]")),
    ReflectedParameter("", "sse_retopic", 3, STRING | NULL, Some(c"null")),
    ReflectedParameter("sseevent", "__construct", 2, STRING | 1 << ffi::IS_LONG | NULL, Some(c"null")),
    ReflectedParameter("sseend", "__construct", 2, STRING | 1 << ffi::IS_LONG | NULL, Some(c"null")),
    ReflectedParameter("ssetrigger", "push", 0, STRING, None),
    ReflectedParameter("ssetrigger", "defer", 0, STRING, None),
    ReflectedParameter("ssesubscription", "__construct", 0, STRING | ARRAY, None),
    ReflectedParameter("ssesubscription", "__construct", 1, ARRAY, Some(c"[]")),
];

/// A function whose return type is a class, and the types that it returns besides.
struct ReflectedReturn(&'static str, u32);

static RETURNS: [ReflectedReturn; 1] = [ReflectedReturn("sse_publish", STRING)];

thread_local! {
    // A thread of a thread-safe PHP has copies of all functions, with their types. Classes are all threads'.
    static COMPLETE: Cell<bool> = const { Cell::new(false) };
}

/// Sets all types. Call it when a request starts, after all classes are registered: the first one of a thread does it.
pub fn complete() {
    static ONE_THREAD: Mutex<()> = Mutex::new(());
    if COMPLETE.replace(true) {
        return;
    }
    let _alone = ONE_THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    for parameter in PARAMETERS {
        set(parameter);
    }
    for ReflectedReturn(function, types) in &RETURNS {
        let Some(entry) = entry("", function) else { continue };
        // SAFETY: the return type is before the parameters, also where the function has none.
        unsafe { (*entry.arg_info.sub(1)).type_.type_mask |= types };
    }
}

/// What the engine keeps of a function of the extension; with an empty class, of one that is no method.
fn entry(class: &str, function: &str) -> Option<&'static mut ffi::zend_internal_function> {
    // SAFETY: the compiler's tables are there from the engine's start on; the executor's are not yet where a pool of PHP-FPM loads the
    // extension. A class table holds pointers to class entries, and a function table holds pointers to functions. This
    // function is the extension's own; ext-php-rs allocated its parameters, and nobody reads them meanwhile.
    unsafe {
        let globals = ffi::ext_php_rs_compiler_globals();
        let table = if class.is_empty() {
            (*globals).function_table.as_ref()
        } else {
            let class = (*globals).class_table.as_ref().and_then(|classes| classes.get(class));
            class.and_then(|entry| entry.ptr::<ffi::zend_class_entry>()).map(|entry| &(*entry).function_table)
        };
        let found = table.and_then(|functions| functions.get(function)).and_then(|entry| entry.ptr());
        found.map(|entry: *mut ffi::zend_function| &mut (*entry).internal_function)
    }
}

fn set(ReflectedParameter(class, function, position, mask, default): &ReflectedParameter) {
    let Some(entry) = entry(class, function) else { return };
    let variadic = entry.fn_flags & ffi::ZEND_ACC_VARIADIC != 0;
    if *position >= entry.num_args as usize + usize::from(variadic) {
        return;
    }
    // SAFETY: the function has a parameter at this position.
    unsafe {
        let parameter = &mut *entry.arg_info.add(*position);
        parameter.type_.type_mask = parameter.type_.type_mask & !ffi::MAY_BE_ANY | mask;
        if let Some(default) = default {
            parameter.default_value = stored(default);
        }
    }
}

/// A default as the engine keeps it: as C text.
#[cfg(not(php86))]
fn stored(default: &'static CStr) -> *const std::ffi::c_char {
    default.as_ptr()
}

/// A default as the engine keeps it: as a string that lives as long as the process, and that no thread counts.
#[cfg(php86)]
fn stored(default: &'static CStr) -> *mut ffi::zend_string {
    /// `Zend/zend_types.h` of 8.6.
    const GC_IMMUTABLE: u32 = 1 << 6;
    let text = ext_php_rs::types::ZendStr::new(default.to_bytes(), true).into_raw();
    // SAFETY: made here, and in nobody else's hands yet.
    unsafe {
        (*text).gc.u.type_info |= GC_IMMUTABLE;
    }
    text
}
