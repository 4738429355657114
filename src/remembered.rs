//! Values of settings that every call needs: read and checked again only once a setting has changed.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use ext_php_rs::ffi::{zend_ini_entry, zend_string};

thread_local! {
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// Counts changes of settings: those by `ini_set()`, those that a request brings, and the way back at its end.
pub fn changes() -> u64 {
    CHANGES.get()
}

/// What the engine calls before it changes a setting.
pub unsafe extern "C" fn changed(
    _entry: *mut zend_ini_entry,
    _value: *mut zend_string,
    _first: *mut c_void,
    _second: *mut c_void,
    _third: *mut c_void,
    _stage: c_int,
) -> c_int {
    CHANGES.set(CHANGES.get() + 1);
    // SUCCESS: a value that can't be used is told by the first call that needs it.
    0
}

/// A value that was made of settings.
pub struct Remembered<T>(Cell<Option<(u64, T)>>);

impl<T: Copy> Remembered<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// What `read` has given since the last change, or gives now.
    ///
    /// # Errors
    /// Those of `read`, which are not remembered.
    pub fn get<E>(&self, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let changes = changes();
        if let Some((at, value)) = self.0.get()
            && at == changes
        {
            return Ok(value);
        }
        let value = read()?;
        self.0.set(Some((changes, value)));
        Ok(value)
    }
}
