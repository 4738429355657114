//! What a script has passed to `header_register_callback()`.

use ext_php_rs::ffi;
#[cfg(php86)]
use ext_php_rs::types::Zval;

use super::engine::Value;

#[cfg(php86)]
unsafe extern "C" {
    /// `Zend/zend_API.h` of 8.6: makes a value of what is prepared to be called, with references of its own.
    fn zend_get_callable_zval_from_fcc(prepared: *const ffi::zend_fcall_info_cache, callable: *mut Zval);

    /// `Zend/zend_API.h` of 8.6: frees the copy of a function that only `__call()` has.
    fn zend_release_fcall_info_cache(prepared: *mut ffi::zend_fcall_info_cache);
}

/// Takes the callback, so that the engine does not call it.
#[cfg(not(php86))]
pub fn take() -> Option<Value> {
    // SAFETY: a field of this thread's globals. The engine calls what is there if the type is not undefined (0).
    let callback = unsafe {
        let field = &raw mut (*ffi::ext_php_rs_sapi_globals()).callback_func;
        if (*field).u1.type_info == 0 {
            return None;
        }
        let callback = field.read();
        (*field).u1.type_info = 0;
        callback
    };
    Some(callback.into())
}

/// Takes the callback, so that the engine does not call it. It holds it prepared for a call.
#[cfg(php86)]
pub fn take() -> Option<Value> {
    // SAFETY: a field of this thread's globals. The engine calls what is there if it has a function. It owns a reference to
    // each object, which is passed on to a value here.
    unsafe {
        let field = &raw mut (*ffi::ext_php_rs_sapi_globals()).send_header_fcc;
        if (*field).function_handler.is_null() {
            return None;
        }
        let mut prepared = field.replace(std::mem::zeroed());
        let mut callable = Zval::new();
        zend_get_callable_zval_from_fcc(&raw const prepared, &raw mut callable);
        let objects = [owned(prepared.object), owned(prepared.closure)];
        zend_release_fcall_info_cache(&raw mut prepared);
        drop(objects);
        Some(callable.into())
    }
}

/// A value that owns a reference to an object; null without one.
///
/// # Safety
/// The reference is the caller's, and goes to the value.
#[cfg(php86)]
unsafe fn owned(object: *mut ffi::zend_object) -> Value {
    let mut value = Zval::new();
    if !object.is_null() {
        value.value.obj = object;
        value.u1.type_info = ffi::IS_OBJECT_EX;
    }
    value.into()
}
