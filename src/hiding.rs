//! Hides a replay's token from the page: no dump of request variables and no error report may contain it.
//!
//! FPM and Apache expose the memory of a variable, and every access reads it there, so the token is overwritten. Copies
//! made earlier are removed. `php -S` exposes headers only through its own functions and `$_SERVER`.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi;
use ext_php_rs::types::Zval;

use crate::{rendering, zend};

type Handler = unsafe extern "C" fn(*mut ffi::zend_execute_data, *mut Zval);

/// The functions of `php -S` that return headers.
const TELLERS: [&CStr; 2] = [c"getallheaders", c"apache_request_headers"];

/// Their original handlers. Null until `startup`.
static ORIGINALS: [AtomicPtr<()>; TELLERS.len()] = [const { AtomicPtr::new(std::ptr::null_mut()) }; TELLERS.len()];

const STAND_INS: [Handler; TELLERS.len()] = [tell::<0>, tell::<1>];

/// The header's name, as the hub sends it and in lower case.
const HEADER: [&str; 2] = ["Sse-Render-Token", "sse-render-token"];

/// Replaces the functions of `php -S`. The engine registers them after all extensions have started, so all processes and
/// all compiled code see the same address.
pub fn startup() {
    if zend::sapi_name() != c"cli-server" {
        return;
    }
    // SAFETY: runs at module start, before any thread or script. The list ends with a null name and lives as long as the
    // process, as does the copy.
    unsafe {
        let module = &mut *ffi::ext_php_rs_sapi_module();
        let mut entry = module.additional_functions;
        if entry.is_null() {
            return;
        }
        let mut copy = Vec::new();
        loop {
            let mut function = std::ptr::read(entry);
            let name = function.fname;
            if let Some(nth) = TELLERS.iter().position(|known| !name.is_null() && CStr::from_ptr(name) == *known)
                && let Some(original) = function.handler
            {
                ORIGINALS[nth].store(original as *mut (), Ordering::Release);
                function.handler = Some(STAND_INS[nth]);
            }
            copy.push(function);
            if name.is_null() {
                break;
            }
            entry = entry.add(1);
        }
        module.additional_functions = copy.leak().as_ptr();
    }
}

/// Returns the headers as PHP does; in a replay, without the token.
unsafe extern "C" fn tell<const NTH: usize>(call: *mut ffi::zend_execute_data, result: *mut Zval) {
    // SAFETY: `startup` stored the handler before this function could be called. The arguments come from the engine.
    unsafe {
        let original = ORIGINALS[NTH].load(Ordering::Acquire);
        if let Some(original) = std::mem::transmute::<*mut (), Option<Handler>>(original) {
            original(call, result);
        }
    }
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if !rendering::is_replay() {
            return;
        }
        // SAFETY: the result outlives the call.
        if let Some(headers) = unsafe { (*result).array_mut() } {
            HEADER.iter().for_each(|name| drop(headers.remove(*name)));
        }
    }));
}

/// Overwrites a request variable in the server's memory. Call it under FPM and Apache only.
pub fn wipe(name: &CStr, secret: &str) {
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
