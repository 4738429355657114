//! Caches values of settings that every call needs, until a setting changes.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use ext_php_rs::ffi::{zend_ini_entry, zend_string};

thread_local! {
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// The number of changes of settings: by `ini_set()`, by a request's configuration, and by the restore at its end.
pub fn changes() -> u64 {
    CHANGES.get()
}

/// Counts a change. The engine calls it before it changes a setting.
pub unsafe extern "C" fn changed(
    _entry: *mut zend_ini_entry,
    _value: *mut zend_string,
    _first: *mut c_void,
    _second: *mut c_void,
    _third: *mut c_void,
    _stage: c_int,
) -> c_int {
    CHANGES.set(CHANGES.get() + 1);
    // SUCCESS. The first call that needs an invalid value reports it.
    0
}

/// A cached value that depends on settings.
pub struct Remembered<T>(Cell<Option<(u64, T)>>);

impl<T: Copy> Remembered<T> {
    /// An empty cache.
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Returns the cached value, or the result of `read` if a setting has changed since.
    ///
    /// # Errors
    /// Those of `read`, which are not cached.
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
