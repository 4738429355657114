//! Arguments as PHP's own functions take them, and array keys in any bytes.

use ext_php_rs::ffi;
use ext_php_rs::types::array::Iter;
use ext_php_rs::types::{ZendHashTable, Zval};

use super::engine::{Engine, Value};
use super::zend::{exception_pending, guarded};

unsafe extern "C" {
    /// `Zend/zend_API.h`, the same in 8.1–8.6: reads a number, or a string that is one, unless the caller has
    /// `strict_types`. False for any other value.
    fn zend_parse_arg_long_slow(argument: *mut Zval, result: *mut i64, position: u32) -> bool;
}

#[cfg(not(php86))]
unsafe extern "C" {
    /// `Zend/zend_API.h`, the same in 8.1–8.5: makes a scalar or a Stringable a string in the place of the argument, unless
    /// the caller has `strict_types`. False for any other value.
    fn zend_parse_arg_str_slow(argument: *mut Zval, result: *mut *mut ffi::zend_string, position: u32) -> bool;

    /// `Zend/zend_API.h`, the same in 8.1–8.5: reads a scalar as a truth value, unless the caller has `strict_types`. False
    /// for any other value.
    fn zend_parse_arg_bool_slow(argument: *const Zval, result: *mut bool, position: u32) -> bool;
}

#[cfg(php86)]
unsafe extern "C" {
    /// `Zend/zend_API.h` of 8.6: as before, but returns the string, which is null for any other value.
    fn zend_parse_arg_str_slow(argument: *mut Zval, position: u32) -> *mut ffi::zend_string;

    /// `Zend/zend_API.h` of 8.6, a C enumeration: 0 or 1 for false or true, and 2 for any other value.
    fn zend_parse_arg_bool_slow(argument: *const Zval, position: u32) -> std::ffi::c_uint;
}

/// Makes the argument a string in its place. Whether it can be one.
///
/// # Safety
/// This extension's function is running, and the argument is a held value.
#[cfg(not(php86))]
unsafe fn make_string(argument: *mut Zval, position: u32) -> bool {
    let mut text = std::ptr::null_mut();
    // SAFETY: the caller's promise; the result outlives the call.
    unsafe { zend_parse_arg_str_slow(argument, &raw mut text, position) }
}

/// Makes the argument a string in its place. Whether it can be one.
///
/// # Safety
/// This extension's function is running, and the argument is a held value.
#[cfg(php86)]
unsafe fn make_string(argument: *mut Zval, position: u32) -> bool {
    // SAFETY: the caller's promise.
    unsafe { !zend_parse_arg_str_slow(argument, position).is_null() }
}

/// Reads the argument as a truth value, if it is one.
///
/// # Safety
/// This extension's function is running, and the argument is a held value.
#[cfg(not(php86))]
unsafe fn read_boolean(argument: *const Zval, position: u32) -> Option<bool> {
    let mut given = false;
    // SAFETY: the caller's promise; the result outlives the call.
    unsafe { zend_parse_arg_bool_slow(argument, &raw mut given, position) }.then_some(given)
}

/// Reads the argument as a truth value, if it is one.
///
/// # Safety
/// This extension's function is running, and the argument is a held value.
#[cfg(php86)]
unsafe fn read_boolean(argument: *const Zval, position: u32) -> Option<bool> {
    // SAFETY: the caller's promise.
    match unsafe { zend_parse_arg_bool_slow(argument, position) } {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Why a value is no argument of the wanted type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// PHP does not convert it.
    Type,
    /// User code that ran for the conversion has thrown or left.
    Interrupted,
}

/// A `string` argument of the running function, counted from 1. May run `__toString()`.
///
/// # Errors
/// [`Unfit`].
pub fn string(engine: &mut Engine, mut value: Value, position: u32) -> Result<Value, Unfit> {
    if value.look(engine).is_string() {
        return Ok(value);
    }
    // For `null` PHP warns and takes an empty string, which is no valid argument here.
    if value.look(engine).is_null() {
        return Err(Unfit::Type);
    }
    let argument = Value::as_arguments(std::slice::from_mut(&mut value));
    // SAFETY: this extension's function is running. The engine replaces the held value by the string and owns it there.
    let fits = guarded(engine, || unsafe { make_string(argument, position) });
    fit(fits.ok(), value)
}

/// An `int` argument of the running function, counted from 1. May run an error handler.
///
/// # Errors
/// [`Unfit`].
pub fn number(engine: &mut Engine, mut value: Value, position: u32) -> Result<i64, Unfit> {
    if let Some(number) = value.look(engine).long().filter(|_| value.look(engine).is_long()) {
        return Ok(number);
    }
    if value.look(engine).is_null() {
        return Err(Unfit::Type);
    }
    let (argument, mut number) = (Value::as_arguments(std::slice::from_mut(&mut value)), 0);
    let result = &raw mut number;
    // SAFETY: as above; the engine only reads the value.
    let fits = guarded(engine, || unsafe { zend_parse_arg_long_slow(argument, result, position) });
    fit(fits.ok(), number)
}

/// A `bool` argument of the running function, counted from 1.
///
/// # Errors
/// [`Unfit`].
pub fn boolean(engine: &mut Engine, mut value: Value, position: u32) -> Result<bool, Unfit> {
    if let Some(given) = value.look(engine).bool() {
        return Ok(given);
    }
    if value.look(engine).is_null() {
        return Err(Unfit::Type);
    }
    let argument = Value::as_arguments(std::slice::from_mut(&mut value));
    // SAFETY: as above; the engine only reads the value.
    let given = guarded(engine, || unsafe { read_boolean(argument, position) }).ok();
    fit(given.map(|given| given.is_some()), given.flatten().unwrap_or_default())
}

fn fit<T>(fits: Option<bool>, value: T) -> Result<T, Unfit> {
    match fits {
        Some(true) if !exception_pending() => Ok(value),
        Some(false) if !exception_pending() => Err(Unfit::Type),
        _ => Err(Unfit::Interrupted),
    }
}

/// A key of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrayKey {
    /// An integer.
    Number(i64),
    /// Any bytes: PHP does not check their encoding.
    Bytes(Vec<u8>),
}

impl ArrayKey {
    /// The key as text, with U+FFFD in place of bytes that are not UTF-8.
    pub fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

/// The entries of an array, in order. (ext-php-rs's own iterators panic at a key that is not UTF-8.)
pub fn entries(table: &ZendHashTable) -> impl Iterator<Item = (ArrayKey, &Zval)> {
    let mut entries = Iter::new(table);
    std::iter::from_fn(move || {
        let (key, value) = entries.next_zval()?;
        let key = match key.zend_str() {
            Some(text) => ArrayKey::Bytes(text.as_bytes().to_vec()),
            None => ArrayKey::Number(key.long().unwrap_or_default()),
        };
        Some((key, value.dereference()))
    })
}

/// The values of an array, in order, whatever its keys are.
pub fn values(table: &ZendHashTable) -> impl Iterator<Item = &Zval> {
    entries(table).map(|(_, value)| value)
}
