//! Completes the signatures that Reflection shows: ext-php-rs supports no union types and no `[]` as a default.

use std::ffi::CStr;
use std::sync::Once;

use ext_php_rs::ffi;
use ext_php_rs::zend::ExecutorGlobals;

const STRING: u32 = 1 << ffi::IS_STRING;
const ARRAY: u32 = 1 << ffi::IS_ARRAY;

/// A parameter: class (empty for a function), function, position, type mask, and default if any.
struct Parameter(&'static str, &'static str, usize, u32, Option<&'static CStr>);

static PARAMETERS: [Parameter; 7] = [
    Parameter("", "sse_stream", 0, STRING | ARRAY, None),
    Parameter("", "sse_stream", 1, 1 << ffi::IS_CALLABLE | 1 << ffi::IS_NULL, None),
    Parameter("", "sse_stream", 2, ARRAY, Some(c"[]")),
    Parameter("", "sse_publish", 0, STRING | ARRAY, None),
    Parameter("ssetrigger", "push", 0, STRING, None),
    Parameter("ssesubscription", "__construct", 0, STRING | ARRAY, None),
    Parameter("ssesubscription", "__construct", 1, ARRAY, Some(c"[]")),
];

/// Sets all parameters. Call it when the first request starts, after all classes are registered.
pub fn complete() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for parameter in &PARAMETERS {
            set(parameter);
        }
    });
}

fn set(Parameter(class, function, position, mask, default): &Parameter) {
    let globals = ExecutorGlobals::get();
    // SAFETY: a class table holds pointers to class entries, and a function table holds pointers to functions. This
    // function is the extension's own; ext-php-rs allocated its parameters, and nobody reads them meanwhile.
    unsafe {
        let table = if class.is_empty() {
            globals.function_table()
        } else {
            let class = globals.class_table().and_then(|classes| classes.get(*class));
            class.and_then(|entry| entry.ptr::<ffi::zend_class_entry>()).map(|entry| &(*entry).function_table)
        };
        let found = table.and_then(|functions| functions.get(*function)).and_then(|entry| entry.ptr());
        let Some(entry) = found.map(|entry: *mut ffi::zend_function| &mut (*entry).internal_function) else { return };
        let variadic = entry.fn_flags & ffi::ZEND_ACC_VARIADIC != 0;
        if *position >= entry.num_args as usize + usize::from(variadic) {
            return;
        }
        let parameter = &mut *entry.arg_info.add(*position);
        parameter.type_.type_mask = parameter.type_.type_mask & !ffi::MAY_BE_ANY | mask;
        if let Some(default) = default {
            parameter.default_value = default.as_ptr();
        }
    }
}
