//! Ownership across user code: no borrow of one of PHP's values lives while PHP code may run.
//!
//! PHP code that runs in the middle of a call (a callback, `jsonSerialize()`, an autoloader, an output handler) can change
//! every variable that the caller has passed by reference, and free what was borrowed from it. So whatever may run PHP code
//! takes `&mut Engine`, and whatever lends what a value holds ties it to a `&Engine`: the compiler refuses to keep the one
//! across the other. What a call needs for longer it copies, or holds as a [`Value`].

use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};

use ext_php_rs::convert::IntoZvalDyn;
use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendHashTable, Zval};

use crate::zend;

/// The right to run PHP code, on the thread that PHP has called this extension on.
#[derive(Debug)]
pub struct Engine(PhantomData<*mut ()>);

impl Engine {
    /// The token of one call.
    ///
    /// # Safety
    /// Only for a function that the engine itself has just called, which makes one token and passes it on: two tokens in
    /// one call would undo what they are for. (But see the `Drop` of [`Value`].)
    pub unsafe fn entered() -> Self {
        Self(PhantomData)
    }
}

/// An argument as the engine has passed it. The engine keeps the argument itself for as long as the call; what is in it may
/// be somebody's reference.
#[derive(Debug, Clone, Copy)]
pub struct Argument<'a>(&'a Zval);

impl<'a> Argument<'a> {
    /// An argument of the function that runs.
    pub fn new(value: &'a Zval) -> Self {
        Self(value)
    }

    /// What it is now.
    pub fn look<'e>(self, _: &'e Engine) -> &'e Zval
    where
        'a: 'e,
    {
        self.0.dereference()
    }

    /// What it is now, to be kept.
    pub fn hold(self) -> Value {
        Value::of(self.0)
    }
}

/// The same of an argument that is an array.
#[derive(Debug, Clone, Copy)]
pub struct ArrayArgument<'a>(&'a ZendHashTable);

impl<'a> ArrayArgument<'a> {
    /// An argument of the function that runs.
    pub fn new(table: &'a ZendHashTable) -> Self {
        Self(table)
    }

    /// What it is now.
    pub fn look<'e>(self, _: &'e Engine) -> &'e ZendHashTable
    where
        'a: 'e,
    {
        self.0
    }
}

/// A value that this extension holds, whatever happens to the variable that it came from. It is never a reference: an array
/// in it stays the same array, as everybody else who changes it gets a copy. What its items refer to may change all the same.
#[derive(Debug)]
#[repr(transparent)]
pub struct Value(Zval);

impl Value {
    /// What another value is now.
    pub fn of(value: &Zval) -> Self {
        Self(value.dereference().shallow_clone())
    }

    /// What it holds.
    pub fn look<'e>(&'e self, _: &'e Engine) -> &'e Zval {
        &self.0
    }

    /// Values as the engine takes arguments.
    pub fn as_arguments(values: &mut [Self]) -> *mut Zval {
        values.as_mut_ptr().cast()
    }
}

/// Takes over what a function has returned, which may be a reference.
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
    /// What is let go may be an object whose destructor leaves by a bailout, which must not jump over this extension's
    /// frames.
    fn drop(&mut self) {
        let mut value = ManuallyDrop::new(mem::take(&mut self.0));
        if value.is_object() || value.is_array() || value.is_resource() {
            // SAFETY: dropped once, here; after a bailout it is left to the end of the request. The token is one more than
            // the call's own: a value is only let go where nothing is borrowed but from arguments, or from values that are
            // held by themselves.
            let _ = unsafe { zend::guarded(&mut Engine::entered(), || ManuallyDrop::drop(&mut value)) };
        } else {
            // SAFETY: as above; it has no destructor.
            unsafe { ManuallyDrop::drop(&mut value) };
        }
    }
}
