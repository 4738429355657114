//! The variables of a request: those of the server, of the URL, and of the SAPI.

use std::ffi::{CStr, CString, c_char, c_int, c_uint};

use ext_php_rs::alloc::efree;
use ext_php_rs::ffi;
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};

use crate::php::arguments::{ArrayKey, entries};
use crate::php::engine::{Engine, Value};
use crate::php::zend::{self, call, guarded};

/// Names and values, in bytes.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

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

/// A server variable, such as `REMOTE_ADDR`, as the server provided it. Bytes that are not UTF-8 become U+FFFD.
pub fn of_server(name: &str) -> Option<String> {
    bytes_of_server(name).map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// Like [`of_server`], as raw bytes. Not from `$_SERVER`, which scripts change, `variables_order` leaves empty, and
/// `filter.default` rewrites.
pub fn bytes_of_server(name: &str) -> Option<Vec<u8>> {
    let of_table = || table()?.get(name)?.zend_str().map(|text| text.as_bytes().to_vec());
    let key = CString::new(name).ok()?;
    // SAFETY: the SAPI's module structure is static.
    let Some(getenv) = (unsafe { (*ffi::ext_php_rs_sapi_module()).getenv }) else {
        // `php -S`, where a replay's variables are set in the table.
        return of_table()
            .or_else(|| environment().into_iter().find_map(|(own, value)| (own == name.as_bytes()).then_some(value)));
    };
    // SAFETY: the name outlives the call. The result is a C string in the server's memory of this request.
    let found = unsafe {
        let found = getenv(key.as_ptr(), name.len());
        (!found.is_null()).then(|| CStr::from_ptr(found).to_bytes().to_vec())
    };
    found.or_else(of_table)
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
        efree(value.cast());
        Some(text)
    }
}

/// Overwrites a request variable in the server's memory, where it has this value. Under FPM and Apache only, which have it there.
pub fn overwrite(name: &CStr, secret: &str) {
    if !matches!(zend::sapi_name().to_bytes(), b"fpm-fcgi" | b"apache2handler") {
        return;
    }
    // SAFETY: the SAPI's module structure is static, and the name outlives the call. Both servers return the place in
    // their own memory of this request, as a C string. The write has the length of what was found.
    unsafe {
        let Some(getenv) = (*ffi::ext_php_rs_sapi_module()).getenv else { return };
        let found = getenv(name.as_ptr(), name.count_bytes());
        if !found.is_null() && CStr::from_ptr(found).to_bytes() == secret.as_bytes() {
            std::ptr::write_bytes(found.cast::<u8>(), b'*', secret.len());
        }
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

/// All variables that the server passes to PHP, in order and as bytes. Those that PHP derives from them are not among them.
pub fn environment() -> Fields {
    let mut table = Zval::new();
    table.set_hashtable(ZendHashTable::new());
    // SAFETY: the module structure is static and the tables are this request's; no other thread uses them, because a
    // thread-safe PHP does not get here. The server's function runs no PHP code, and fills the array that it is given; it
    // would copy another table instead if one had variables already. What was there is put back.
    unsafe {
        let module = ffi::ext_php_rs_sapi_module();
        let Some(register) = (*module).register_server_variables else { return Vec::new() };
        let globals = &raw mut (*ffi::ext_php_rs_process_globals()).http_globals;
        let places = [ffi::TRACK_VARS_SERVER as usize, TRACK_VARS_ENV as usize];
        let tables = places.map(|place| (&raw mut (*globals)[place]).replace(Zval::new()));
        let filter = (*module).input_filter.replace(unfiltered);
        // No PHP code runs, so no borrow can end by this second token; but memory may run out.
        let _ = guarded(&mut Engine::entered(), || register((&raw mut table).cast()));
        (*module).input_filter = filter;
        for (place, table) in places.into_iter().zip(tables) {
            (&raw mut (*globals)[place]).write(table);
        }
    }
    table.array().map(strings).unwrap_or_default()
}

/// An input filter that changes nothing.
unsafe extern "C" fn unfiltered(
    _: c_int,
    _: *const c_char,
    _: *mut *mut c_char,
    length: usize,
    new_length: *mut usize,
) -> c_uint {
    // SAFETY: null, or the caller's place for the length.
    if let Some(new_length) = unsafe { new_length.as_mut() } {
        *new_length = length;
    }
    1
}

/// The items of an array that are strings and have names, in order.
pub fn strings(table: &ZendHashTable) -> Fields {
    let named = entries(table).filter_map(|(key, value)| match (key, value.zend_str()) {
        (ArrayKey::Bytes(name), Some(text)) => Some((name, text.as_bytes().to_vec())),
        _ => None,
    });
    named.collect()
}

/// Sets server variables for this request, in `$_SERVER` and for `filter_input()`. `None` removes a variable.
pub fn set_of_server(engine: &mut Engine, variables: &[(&str, Option<&str>)]) {
    if let Some(table) = table() {
        set(engine, Superglobal::Server, table, variables);
    }
}

/// Removes a variable from `$_ENV`, if present.
pub fn take_of_environment(engine: &mut Engine, name: &str) {
    // SAFETY: a table of this request, or no array yet.
    let table = unsafe { (*ffi::ext_php_rs_process_globals()).http_globals[TRACK_VARS_ENV as usize].array() };
    if let Some(table) = table.filter(|table| table.get(name).is_some()) {
        set(engine, Superglobal::Environment, table, &[(name, None)]);
    }
}

/// The variables of one superglobal array.
#[derive(Debug, Clone, Copy)]
enum Superglobal {
    Server,
    Environment,
}

impl Superglobal {
    /// The input filter's kind, the index among the engine's tables, and the array's name.
    fn parts(self) -> (c_int, u32, &'static str) {
        match self {
            Self::Server => (PARSE_SERVER, ffi::TRACK_VARS_SERVER, "_SERVER"),
            Self::Environment => (PARSE_ENV, TRACK_VARS_ENV, "_ENV"),
        }
    }
}

fn set(engine: &mut Engine, kind: Superglobal, table: &ZendHashTable, variables: &[(&str, Option<&str>)]) {
    let (_, place, symbol) = kind.parts();
    let mut changed = table.to_owned();
    for (name, value) in variables {
        filter(engine, kind, name, value.unwrap_or_default());
        // These fail only if memory runs out, which ends the request anyway.
        let _ = match value {
            // With a `variables_order` that leaves the array empty, it stays so.
            Some(_) if changed.is_empty() => true,
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
fn filter(engine: &mut Engine, kind: Superglobal, name: &str, value: &str) {
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
