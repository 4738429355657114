//! Ownership across user code: no borrow of a PHP value lives while PHP code may run.
//!
//! PHP code that runs during a call (a callback, `jsonSerialize()`, an autoloader, an output handler) can change every
//! variable that the caller passed by reference, and free what was borrowed from it. Therefore every function that may
//! run PHP code takes `&mut Engine`, and every function that lends a value's content ties it to a `&Engine`: the compiler
//! rejects a borrow across such a call. Data needed for longer is copied, or held as a [`Value`].

use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};

use ext_php_rs::convert::IntoZvalDyn;
use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendHashTable, Zval};

use crate::php::zend;

/// The right to run PHP code, on the thread of PHP's current call.
#[derive(Debug)]
pub struct Engine(PhantomData<*mut ()>);

impl Engine {
    /// Creates the token of one call.
    ///
    /// # Safety
    /// Only for a function that the engine itself has just called. It creates one token and passes it on: two tokens in
    /// one call would defeat their purpose. (But see the `Drop` of [`Value`].) [`function::run`](super::function::run) does
    /// so for the functions that PHP code calls.
    pub(super) unsafe fn entered() -> Self {
        Self(PhantomData)
    }
}

/// An argument as the engine passed it. The engine keeps the argument itself during the call, but it may contain a
/// reference.
#[derive(Debug, Clone, Copy)]
pub struct Argument<'a>(&'a Zval);

impl<'a> Argument<'a> {
    /// Wraps an argument of the running function.
    pub fn new(value: &'a Zval) -> Self {
        Self(value)
    }

    /// The current value.
    pub fn look<'e>(self, _: &'e Engine) -> &'e Zval
    where
        'a: 'e,
    {
        self.0.dereference()
    }

    /// The current value, held.
    pub fn hold(self) -> Value {
        Value::of(self.0)
    }
}

/// Like [`Argument`], for an array.
#[derive(Debug, Clone, Copy)]
pub struct ArrayArgument<'a>(&'a ZendHashTable);

impl<'a> ArrayArgument<'a> {
    /// Wraps an argument of the running function.
    pub fn new(table: &'a ZendHashTable) -> Self {
        Self(table)
    }

    /// The current array.
    pub fn look<'e>(self, _: &'e Engine) -> &'e ZendHashTable
    where
        'a: 'e,
    {
        self.0
    }
}

/// A value that this extension holds, independent of the variable that it came from. It is never a reference. An array in
/// it does not change, because PHP copies it on write elsewhere; but data that its items refer to may change.
#[derive(Debug)]
#[repr(transparent)]
pub struct Value(Zval);

impl Value {
    /// Holds the current content of another value.
    pub fn of(value: &Zval) -> Self {
        Self(value.dereference().shallow_clone())
    }

    /// The held value.
    pub fn look<'e>(&'e self, _: &'e Engine) -> &'e Zval {
        &self.0
    }

    /// A copy for the engine.
    pub fn copy(&self) -> Zval {
        self.0.shallow_clone()
    }

    /// Values in the form of the engine's arguments.
    pub fn as_arguments(values: &mut [Self]) -> *mut Zval {
        values.as_mut_ptr().cast()
    }
}

/// Holds a function's return value, which may be a reference.
impl From<Zval> for Value {
    fn from(value: Zval) -> Self {
        if value.is_reference() { Self::of(&value) } else { Self(value) }
    }
}

impl IntoZvalDyn for Value {
    fn as_zval(&self, _: bool) -> ext_php_rs::error::Result<Zval> {
        Ok(self.0.shallow_clone())
    }

    fn get_type(&self) -> DataType {
        self.0.get_type()
    }
}

impl Drop for Value {
    /// Drops the value. It may be an object whose destructor leaves by a bailout, which must not jump over this
    /// extension's frames.
    fn drop(&mut self) {
        let mut value = ManuallyDrop::new(mem::take(&mut self.0));
        if value.is_object() || value.is_array() || value.is_resource() {
            // SAFETY: dropped once, here; after a bailout the end of the request frees it. This token is a second one: a
            // value is only dropped where all borrows are from arguments, or from values that are held by themselves.
            let _ = unsafe { zend::guarded(&mut Engine::entered(), || ManuallyDrop::drop(&mut value)) };
        } else {
            // SAFETY: as above; it has no destructor.
            unsafe { ManuallyDrop::drop(&mut value) };
        }
    }
}
