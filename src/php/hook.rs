//! A replacement for a PHP function.
//!
//! It is installed at the module's start, before any server forks: opcache's JIT stores function addresses in memory that all
//! processes share, so an address must be right in each process.

use std::marker::PhantomData;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::exception::PhpException;
use ext_php_rs::ffi;
use ext_php_rs::types::Zval;

use super::call::{Completion, enter, exception_pending, guarded, interrupted, resume_bailout};
use super::engine::Engine;

type Call = *mut ffi::zend_execute_data;
type CallHandler = unsafe extern "C" fn(Call, *mut Zval);

/// What stands in for a PHP function.
pub trait Replacement {
    /// The place of the original function.
    fn hook() -> &'static Hook;

    /// Whether this request is concerned: otherwise only the original function is called.
    fn is_concerned() -> bool {
        true
    }

    /// Runs in place of the original function, or before it.
    fn run(engine: &mut Engine, arguments: Arguments<'_>, result: &mut Zval) -> Then;
}

/// The arguments of the running call.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a>(Call, PhantomData<&'a ()>);

impl Arguments<'_> {
    /// How many there are.
    pub fn count(self) -> u32 {
        // SAFETY: the engine's frame of the running call.
        unsafe { (*self.0).This.u2.num_args }
    }

    /// One or two integers. `None` if they are none; an exception is then pending. Warnings may run user code.
    pub fn integers<const N: usize>(self, engine: &mut Engine) -> Option<[i64; N]> {
        const { assert!(N == 1 || N == 2) };
        let mut numbers = [0; N];
        let (count, first) = (self.count(), numbers.as_mut_ptr());
        // SAFETY: one target for each letter; the engine reads the arguments of the running function.
        let status = guarded(engine, || unsafe {
            if N == 2 {
                ffi::zend_parse_parameters(count, c"ll".as_ptr(), first, first.add(1))
            } else {
                ffi::zend_parse_parameters(count, c"l".as_ptr(), first)
            }
        });
        (status.is_ok_and(|status| status == ffi::ZEND_RESULT_CODE_SUCCESS) && !interrupted()).then_some(numbers)
    }

    /// One number with a fraction. `None` as for [`integers`](Self::integers).
    pub fn fraction(self, engine: &mut Engine) -> Option<f64> {
        let mut number = 0.0;
        let (count, target) = (self.count(), &raw mut number);
        // SAFETY: as above.
        let status = guarded(engine, || unsafe { ffi::zend_parse_parameters(count, c"d".as_ptr(), target) });
        (status.is_ok_and(|status| status == ffi::ZEND_RESULT_CODE_SUCCESS) && !interrupted()).then_some(number)
    }
}

/// A PHP function and its replacement.
pub struct Hook {
    name: &'static str,
    ours: CallHandler,
    /// The handler found at installation, of PHP or of another extension. Null until then.
    original: AtomicPtr<()>,
}

/// What remains to do after a replacement has run.
pub enum Then {
    /// Call the original function.
    Original,
    /// Nothing.
    Return,
}

impl Hook {
    /// The hook of the PHP function of this name.
    pub const fn new<R: Replacement>(name: &'static str) -> Self {
        Self { name, ours: handle::<R>, original: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The engine's slot for the function. `None` if the function is disabled or is not internal.
    fn place(&self) -> Option<*mut Option<CallHandler>> {
        // SAFETY: the function table lives as long as the module. It holds pointers to functions; each begins with its
        // type, and an internal function has the declared layout.
        unsafe {
            let functions = (*ffi::ext_php_rs_compiler_globals()).function_table.as_ref()?;
            let function: *mut ffi::zend_function = functions.get(self.name)?.ptr()?;
            let is_internal = u32::from((*function).type_) == ffi::ZEND_INTERNAL_FUNCTION;
            is_internal.then(|| &raw mut (*function).internal_function.handler)
        }
    }

    /// Replaces the function.
    pub fn install(&self) {
        let Some(place) = self.place() else { return };
        // SAFETY: no other thread runs yet. `original` is stored before the replacement can be called.
        unsafe {
            if let Some(original) = (*place).filter(|handler| *handler as usize != self.ours as usize) {
                self.original.store(original as *mut (), Ordering::Release);
                *place = Some(self.ours);
            }
        }
    }

    /// Restores the function, unless another extension has replaced it since.
    pub fn uninstall(&self) {
        let Some(place) = self.place() else { return };
        // SAFETY: no other thread runs any more.
        unsafe {
            if (*place).is_some_and(|handler| handler as usize == self.ours as usize) {
                *place = self.found();
            }
        }
    }

    fn found(&self) -> Option<CallHandler> {
        // SAFETY: the pointer is null or the function that `install` found.
        unsafe { std::mem::transmute::<*mut (), Option<CallHandler>>(self.original.load(Ordering::Acquire)) }
    }

    /// Calls the original function.
    ///
    /// # Safety
    /// The arguments are the engine's. The caller owns nothing: if the client has gone, the call may end the script.
    unsafe fn call_original(&self, call: Call, result: *mut Zval) {
        match self.found() {
            // SAFETY: the arguments come from the engine.
            Some(original) => unsafe { original(call, result) },
            // Unreachable: `install` stores the original first. A sleep that did nothing would make the loop spin.
            None => missing(self.name),
        }
    }
}

/// Runs a replacement. Panics stop here; a bailout continues only from here.
///
/// # Safety
/// Only the engine calls it.
unsafe extern "C" fn handle<R: Replacement>(call: Call, result: *mut Zval) {
    // SAFETY: the arguments come from the engine. The result outlives the call. Nothing is owned where a bailout continues.
    unsafe {
        if catch_unwind(R::is_concerned).unwrap_or(false) {
            let then = match enter(|engine| R::run(engine, Arguments(call, PhantomData), &mut *result)) {
                Completion::Returned(then) => then,
                Completion::Panicked(_) => Then::Original,
                Completion::Left => Then::Return,
            };
            resume_bailout();
            if matches!(then, Then::Return) || exception_pending() {
                return;
            }
        }
        R::hook().call_original(call, result);
    }
}

fn missing(name: &str) {
    let message = format!("php-sse has taken the place of {name}() and does not know what was there");
    PhpException::from_message(message).throw();
}
