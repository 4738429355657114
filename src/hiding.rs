//! The token of a replay is for the hub alone: whatever a page prints of its request, or an error report tells of it, the token
//! is not in it.
//!
//! FPM and Apache give out where they keep a variable, and all ways to it lead there: it is overwritten. What was copied before
//! is taken away from the copy. `php -S` has its own function for headers, and no other way to them than `$_SERVER`.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi;
use ext_php_rs::types::Zval;

use crate::{rendering, zend};

type Handler = unsafe extern "C" fn(*mut ffi::zend_execute_data, *mut Zval);

/// The functions of `php -S` that tell headers.
const TELLERS: [&CStr; 2] = [c"getallheaders", c"apache_request_headers"];

/// What they were; null until then.
static ORIGINALS: [AtomicPtr<()>; TELLERS.len()] = [const { AtomicPtr::new(std::ptr::null_mut()) }; TELLERS.len()];

const STAND_INS: [Handler; TELLERS.len()] = [tell::<0>, tell::<1>];

/// The header as the hub sends it, and as a server may fold it.
const HEADER: [&str; 2] = ["Sse-Render-Token", "sse-render-token"];

/// Puts stand-ins before the functions of `php -S`, which are added to the engine when all extensions have started: one address
/// is right in all processes and for all code that is compiled.
pub fn startup() {
    if zend::sapi_name() != c"cli-server" {
        return;
    }
    // SAFETY: the module starts, before any thread or script; the list ends with a null name, and stays for the life of the
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

/// Tells the headers as PHP does, without the token in a replay.
unsafe extern "C" fn tell<const NTH: usize>(call: *mut ffi::zend_execute_data, result: *mut Zval) {
    // SAFETY: the function that `startup` has found, before anything could call this; with the engine's own arguments.
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
        // SAFETY: the result is there for as long as the call.
        if let Some(headers) = unsafe { (*result).array_mut() } {
            HEADER.iter().for_each(|name| drop(headers.remove(*name)));
        }
    }));
}

/// Overwrites a variable of the request where the server keeps it. To be called under FPM and Apache only.
pub fn wipe(name: &CStr, secret: &str) {
    // SAFETY: the SAPI's module structure is static, and the name outlives the call. Both servers return the place in their own
    // memory of this request, as a C string; as many bytes are written as were found there.
    unsafe {
        let Some(getenv) = (*ffi::ext_php_rs_sapi_module()).getenv else { return };
        let found = getenv(name.as_ptr(), name.count_bytes());
        if !found.is_null() && CStr::from_ptr(found).to_bytes() == secret.as_bytes() {
            std::ptr::write_bytes(found.cast::<u8>(), b'*', secret.len());
        }
    }
}
