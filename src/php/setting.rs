//! Callbacks of a setting, which the engine calls.

use std::ffi::{CStr, c_int, c_void};

use ext_php_rs::ffi::{self, zend_ini_entry, zend_string};
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};
use ext_php_rs::zend::IniEntryDef;

use super::zend;

/// `ZEND_INI_DISPLAY_ORIG`: show the value from before the script's change.
const DISPLAY_ORIGINAL: c_int = 1;

unsafe extern "C" {
    /// `main/php_ini.h`, the same in 8.1–8.6: what php.ini and the command line say, by name.
    fn php_ini_get_configuration_hash() -> *mut ZendHashTable;
}

/// What php.ini or the command line say of a setting, whether it is registered or not.
pub fn configured(name: &str) -> Option<String> {
    // SAFETY: the table lives as long as the process, and nothing changes it meanwhile.
    unsafe { php_ini_get_configuration_hash().as_ref() }?.get(name)?.string()
}

/// Gives a setting that is not registered yet its value, as php.ini would. Only while the module starts.
pub fn configure(name: &str, value: &[u8]) {
    let mut text = Zval::new();
    text.set_zend_string(ZendStr::new(value, true));
    // SAFETY: as above. The table keeps strings that live as long as it.
    if let Some(table) = unsafe { php_ini_get_configuration_hash().as_mut() } {
        let _ = table.insert(name, text);
    }
}

/// A setting with a secret.
pub trait Masked {
    /// What may be seen of its value.
    fn masked(value: &[u8]) -> String;
}

/// Prints a setting in its masked form, wherever PHP shows settings.
///
/// # Safety
/// `entry` is that of a setting, as the engine passes it.
pub unsafe extern "C" fn show<M: Masked>(entry: *mut zend_ini_entry, kind: c_int) {
    // SAFETY: the caller's promise. An unset value is null, any other is a string of the engine.
    let value = unsafe {
        let (entry, original) = (&*entry, kind == DISPLAY_ORIGINAL);
        // A byte up to 8.5, and a bool since.
        let modified = (&raw const entry.modified).cast::<u8>().read() != 0;
        let value = if original && modified { entry.orig_value } else { entry.value };
        value.as_ref().map(zend_string::as_bytes)
    };
    let as_text = zend::shows_text();
    let shown = match value {
        None | Some(b"") if as_text => "no value".into(),
        None | Some(b"") => "<i>no value</i>".into(),
        Some(value) if as_text => M::masked(value),
        Some(value) => M::masked(value).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
    };
    // SAFETY: the pointer is valid for the length.
    unsafe { ffi::php_output_write(shown.as_ptr().cast(), shown.len()) };
}

/// Who hears of changes of settings.
pub trait Listener {
    /// A setting is about to change.
    fn changes();
}

/// Tells of a change, and allows it.
///
/// # Safety
/// Only the engine calls it.
pub unsafe extern "C" fn changed<L: Listener>(
    _entry: *mut zend_ini_entry,
    _value: *mut zend_string,
    _first: *mut c_void,
    _second: *mut c_void,
    _third: *mut c_void,
    _stage: c_int,
) -> c_int {
    L::changes();
    // SUCCESS. The first call that needs an invalid value reports it.
    0
}

/// The names of the settings of a table.
pub fn names(table: &'static [IniEntryDef]) -> impl Iterator<Item = &'static CStr> {
    let named = table.iter().filter(|entry| !entry.name.is_null());
    // SAFETY: a table is made of static C strings, and of an end that has no name.
    named.map(|entry| unsafe { CStr::from_ptr(entry.name) })
}
