//! A closure that PHP calls.

use ext_php_rs::ffi;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::ExecutorGlobals;

use super::call::{enter, resume_bailout};
use super::engine::{Engine, Value};

unsafe extern "C" {
    /// `Zend/zend_closures.h`, the same in 8.1–8.6: an object that calls a copy of the function.
    fn zend_create_closure(
        result: *mut Zval,
        function: *mut ffi::zend_function,
        scope: *mut ffi::zend_class_entry,
        called_scope: *mut ffi::zend_class_entry,
        this: *mut Zval,
    );
}

/// What a closure does. It returns true.
pub trait Body {
    /// Runs it.
    fn run(engine: &mut Engine);
}

/// A closure that is declared like the PHP function of that name, which returns a bool and needs no argument. `None` without
/// this function.
pub fn like<B: Body>(_: &mut Engine, name: &str) -> Option<Value> {
    let mut closure = Zval::new();
    // SAFETY: the table holds pointers to functions; each begins with its type, and an internal function has the declared
    // layout. The closure copies that.
    unsafe {
        let function: *mut ffi::zend_function = ExecutorGlobals::get().function_table()?.get(name)?.ptr()?;
        if u32::from((*function).type_) != ffi::ZEND_INTERNAL_FUNCTION {
            return None;
        }
        let mut copy = ffi::zend_function { internal_function: (*function).internal_function };
        copy.internal_function.handler = Some(run::<B>);
        zend_create_closure(
            &raw mut closure,
            &raw mut copy,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
    }
    Some(closure.into())
}

unsafe extern "C" fn run<B: Body>(_: *mut ffi::zend_execute_data, result: *mut Zval) {
    // SAFETY: the engine calls this function, whose frame owns nothing at its end. The result outlives the call.
    unsafe {
        // As declared: a debug build of PHP checks it.
        (*result).set_bool(true);
        drop(enter(B::run));
        resume_bailout();
    }
}
