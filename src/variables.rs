//! The variables of a request: those of the server, of the URL, and of the SAPI.

use std::ffi::{CStr, CString, c_char, c_int};

use ext_php_rs::ffi;
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};

use crate::php::engine::{Engine, Value};
use crate::zend::{call, guarded};

unsafe extern "C" {
    /// `main/SAPI.h`, the same in 8.1–8.6: a request variable from the SAPI, in memory that the caller frees.
    fn sapi_getenv(name: *const c_char, len: usize) -> *mut c_char;
}

/// `main/SAPI.h`, the same in 8.1–8.6: the input filter's kind for `INPUT_SERVER`.
const PARSE_SERVER: c_int = 5;
/// As above, for `INPUT_ENV`.
const PARSE_ENV: c_int = 4;
/// `main/php_globals.h`, the same in 8.1–8.6: the index of `$_ENV` among the variable tables.
const TRACK_VARS_ENV: u32 = 4;

/// A server variable, such as `REMOTE_ADDR`, as the SAPI provided it. Not from `$_SERVER`, which scripts can change.
pub fn of_server(name: &str) -> Option<String> {
    table()?.get(name)?.string()
}

/// Like [`of_server`], as raw bytes.
pub fn bytes_of_server(name: &str) -> Option<Vec<u8>> {
    table()?.get(name)?.zend_str().map(|text| text.as_bytes().to_vec())
}

/// A request variable from the SAPI, without filling `$_SERVER`. Not every SAPI supports this.
pub fn of_request(name: &CStr) -> Option<String> {
    // SAFETY: the name outlives the call. The result is a C string that the engine allocates for the caller.
    unsafe {
        let value = sapi_getenv(name.as_ptr(), name.count_bytes());
        if value.is_null() {
            return None;
        }
        let text = CStr::from_ptr(value).to_string_lossy().into_owned();
        ffi::_efree(value.cast());
        Some(text)
    }
}

/// A URL parameter, as parsed by PHP.
pub fn of_query(name: &str) -> Option<String> {
    of_client("_GET", ffi::TRACK_VARS_GET, name)
}

/// A cookie, as parsed by PHP.
pub fn of_cookie(name: &str) -> Option<String> {
    of_client("_COOKIE", ffi::TRACK_VARS_COOKIE, name)
}

fn of_client(global: &str, tracked: u32, name: &str) -> Option<String> {
    let mut global = ZendStr::new(global, false);
    // SAFETY: as in `table`.
    let table = unsafe {
        ffi::zend_is_auto_global(global.as_mut_ptr());
        (*ffi::ext_php_rs_process_globals()).http_globals[tracked as usize].array()
    };
    table?.get(name).filter(|value| value.is_string())?.string()
}

/// All server variables that are strings, in order, as the SAPI provided them.
pub fn all_of_server() -> Vec<(String, Vec<u8>)> {
    let Some(table) = table() else { return Vec::new() };
    let strings =
        table.iter().filter_map(|(name, value)| Some((name.to_string(), value.zend_str()?.as_bytes().to_vec())));
    strings.collect()
}

/// Sets server variables for this request, in `$_SERVER` and for `filter_input()`. `None` removes a variable.
pub fn set_of_server(engine: &mut Engine, variables: &[(&str, Option<&str>)]) {
    if let Some(table) = table() {
        set(engine, Kind::Server, table, variables);
    }
}

/// Removes a variable from `$_ENV`, if present.
pub fn take_of_environment(engine: &mut Engine, name: &str) {
    // SAFETY: a table of this request, or no array yet.
    let table = unsafe { (*ffi::ext_php_rs_process_globals()).http_globals[TRACK_VARS_ENV as usize].array() };
    if let Some(table) = table.filter(|table| table.get(name).is_some()) {
        set(engine, Kind::Environment, table, &[(name, None)]);
    }
}

/// The variables of one superglobal array.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Server,
    Environment,
}

impl Kind {
    /// The input filter's kind, the index among the engine's tables, and the array's name.
    fn parts(self) -> (c_int, u32, &'static str) {
        match self {
            Self::Server => (PARSE_SERVER, ffi::TRACK_VARS_SERVER, "_SERVER"),
            Self::Environment => (PARSE_ENV, TRACK_VARS_ENV, "_ENV"),
        }
    }
}

fn set(engine: &mut Engine, kind: Kind, table: &ZendHashTable, variables: &[(&str, Option<&str>)]) {
    let (_, place, symbol) = kind.parts();
    let mut changed = table.to_owned();
    for (name, value) in variables {
        filter(engine, kind, name, value.unwrap_or_default());
        // These fail only if memory runs out, which ends the request anyway.
        let _ = match value {
            Some(value) => changed.insert(*name, *value).is_ok(),
            None => changed.remove(*name).is_some(),
        };
    }
    let mut changed_value = Zval::new();
    changed_value.set_hashtable(changed);
    let shared = changed_value.shallow_clone();
    // The old values are dropped below; scripts may have put objects with destructors there.
    // SAFETY: both are arrays of this request, kept by value. They share the copy, as the engine does. Each place gets
    // its new value before the old one is dropped.
    let (kept, symbols) = unsafe {
        let kept = &raw mut (*ffi::ext_php_rs_process_globals()).http_globals[place as usize];
        (kept.replace(changed_value), &raw mut (*ffi::ext_php_rs_executor_globals()).symbol_table)
    };
    drop(Value::from(kept));
    // SAFETY: as above.
    let _ = guarded(engine, || unsafe { (*symbols).insert(symbol, shared) }.is_ok());
}

/// Updates the filter extension's own copy of a variable, if it has one.
fn filter(engine: &mut Engine, kind: Kind, name: &str, value: &str) {
    let (kind, ..) = kind.parts();
    let has = call(engine, "filter_has_var", &[&kind, &name]);
    if !has.is_ok_and(|has| has.look(engine).is_true()) {
        return;
    }
    // SAFETY: the SAPI's module structure is static.
    let filter = unsafe { (*ffi::ext_php_rs_sapi_module()).input_filter };
    let (Some(filter), Ok(name), Ok(text)) = (filter, CString::new(name), CString::new(value)) else { return };
    let (mut bytes, mut len) = (text.as_ptr().cast_mut(), 0);
    // SAFETY: the filter copies variables of these kinds; the caller keeps the text.
    unsafe { filter(kind, name.as_ptr(), &raw mut bytes, value.len(), &raw mut len) };
}

fn table() -> Option<&'static ZendHashTable> {
    let mut server = ZendStr::new("_SERVER", false);
    // SAFETY: the name outlives the call. The table is read through a fresh pointer after it, because the call fills the
    // table if the script does not mention `$_SERVER` (auto_globals_jit).
    unsafe {
        ffi::zend_is_auto_global(server.as_mut_ptr());
        (*ffi::ext_php_rs_process_globals()).http_globals[ffi::TRACK_VARS_SERVER as usize].array()
    }
}
