//! The variables of a request: the server's, the URL's, and those that only the SAPI has.

use std::ffi::{CStr, CString, c_char, c_int};

use ext_php_rs::ffi;
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};

use crate::php::engine::{Engine, Value};
use crate::zend::{call, guarded};

unsafe extern "C" {
    /// `main/SAPI.h`, the same in 8.1–8.6: a variable of the request as the SAPI has it, in memory that the caller frees.
    fn sapi_getenv(name: *const c_char, len: usize) -> *mut c_char;
}

/// `main/SAPI.h`, the same in 8.1–8.6: the kind of variable that an input filter gets; to PHP code it is `INPUT_SERVER`.
const PARSE_SERVER: c_int = 5;
/// The same; to PHP code it is `INPUT_ENV`.
const PARSE_ENV: c_int = 4;
/// `main/php_globals.h`, the same in 8.1–8.6: the place of `$_ENV` among the tables of variables.
const TRACK_VARS_ENV: u32 = 4;

/// A variable of the server, such as `REMOTE_ADDR`, as the SAPI gave it: not `$_SERVER`, which scripts change.
pub fn of_server(name: &str) -> Option<String> {
    table()?.get(name)?.string()
}

/// The same, whatever bytes it has.
pub fn bytes_of_server(name: &str) -> Option<Vec<u8>> {
    table()?.get(name)?.zend_str().map(|text| text.as_bytes().to_vec())
}

/// A variable of the request as the SAPI has it, without filling in `$_SERVER`; not every SAPI can tell.
pub fn of_request(name: &CStr) -> Option<String> {
    // SAFETY: the name outlives the call; what comes back is a C string allocated by the engine for the caller.
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

/// A parameter of the URL, as PHP has read it.
pub fn of_query(name: &str) -> Option<String> {
    of_client("_GET", ffi::TRACK_VARS_GET, name)
}

/// A cookie, as PHP has read it.
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

/// All variables of the server that are strings, in their order, as the SAPI gave them.
pub fn all_of_server() -> Vec<(String, Vec<u8>)> {
    let Some(table) = table() else { return Vec::new() };
    let strings =
        table.iter().filter_map(|(name, value)| Some((name.to_string(), value.zend_str()?.as_bytes().to_vec())));
    strings.collect()
}

/// Sets variables of the server for this request, in `$_SERVER` and for `filter_input()` as well; `None` takes one away.
pub fn set_of_server(engine: &mut Engine, variables: &[(&str, Option<&str>)]) {
    if let Some(table) = table() {
        set(engine, Kind::Server, table, variables);
    }
}

/// Takes one away from `$_ENV`, if that is filled in and has it.
pub fn take_of_environment(engine: &mut Engine, name: &str) {
    // SAFETY: a table of this request, or no array yet.
    let table = unsafe { (*ffi::ext_php_rs_process_globals()).http_globals[TRACK_VARS_ENV as usize].array() };
    if let Some(table) = table.filter(|table| table.get(name).is_some()) {
        set(engine, Kind::Environment, table, &[(name, None)]);
    }
}

/// Variables that scripts have an array of.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Server,
    Environment,
}

impl Kind {
    /// The kind as an input filter gets it, the place among the engine's tables, and the name of the array.
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
        // Neither can fail but for want of memory, which ends the request by itself.
        let _ = match value {
            Some(value) => changed.insert(*name, *value).is_ok(),
            None => changed.remove(*name).is_some(),
        };
    }
    let mut changed_value = Zval::new();
    changed_value.set_hashtable(changed);
    let shared = changed_value.shallow_clone();
    // What was in both before is let go, and a script may have put objects with destructors there.
    // SAFETY: both are arrays of this request, kept by value; the copy is shared by both, as the engine does it. Each place
    // has its new value before the old one is let go.
    let (kept, symbols) = unsafe {
        let kept = &raw mut (*ffi::ext_php_rs_process_globals()).http_globals[place as usize];
        (kept.replace(changed_value), &raw mut (*ffi::ext_php_rs_executor_globals()).symbol_table)
    };
    drop(Value::from(kept));
    // SAFETY: as above.
    let _ = guarded(engine, || unsafe { (*symbols).insert(symbol, shared) }.is_ok());
}

/// Tells the filter extension of a variable if it has one of that name: it keeps copies of its own.
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
    // SAFETY: variables of these kinds are copied from there; the text stays the caller's.
    unsafe { filter(kind, name.as_ptr(), &raw mut bytes, value.len(), &raw mut len) };
}

fn table() -> Option<&'static ZendHashTable> {
    let mut server = ZendStr::new("_SERVER", false);
    // SAFETY: the name outlives the call. The table is looked at through a fresh pointer after it: the call is what
    // fills it in when the script has not mentioned `$_SERVER` (auto_globals_jit).
    unsafe {
        ffi::zend_is_auto_global(server.as_mut_ptr());
        (*ffi::ext_php_rs_process_globals()).http_globals[ffi::TRACK_VARS_SERVER as usize].array()
    }
}
