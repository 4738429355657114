//! PHP functions that the SAPI `php -S` adds, and replacements that look through what they return.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi;
use ext_php_rs::types::{ZendHashTable, Zval};

use super::zend;

type FunctionHandler = unsafe extern "C" fn(*mut ffi::zend_execute_data, *mut Zval);

/// The functions of `php -S` that return headers.
const TELLERS: [&CStr; 2] = [c"getallheaders", c"apache_request_headers"];

/// Their original handlers. Null until [`filter_headers`].
static ORIGINALS: [AtomicPtr<()>; TELLERS.len()] = [const { AtomicPtr::new(std::ptr::null_mut()) }; TELLERS.len()];

const STAND_INS: [FunctionHandler; TELLERS.len()] = [tell::<0>, tell::<1>];

/// What looks through the headers.
static FILTER: OnceLock<fn(&mut ZendHashTable)> = OnceLock::new();

/// Has `filter` look through all headers that functions of `php -S` return. Call it when the module starts: the engine registers
/// these functions after all extensions have started, so all processes and all compiled code see the same address.
pub fn filter_headers(filter: fn(&mut ZendHashTable)) {
    if zend::sapi_name() != c"cli-server" || FILTER.set(filter).is_err() {
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

/// Returns the headers as PHP does, but for what the filter takes away.
unsafe extern "C" fn tell<const NTH: usize>(call: *mut ffi::zend_execute_data, result: *mut Zval) {
    // SAFETY: `filter_headers` stored the handler before this function could be called. The arguments come from the engine.
    unsafe {
        let original = ORIGINALS[NTH].load(Ordering::Acquire);
        if let Some(original) = std::mem::transmute::<*mut (), Option<FunctionHandler>>(original) {
            original(call, result);
        }
    }
    // SAFETY: the result outlives the call.
    let headers = unsafe { (*result).array_mut() };
    if let (Some(filter), Some(headers)) = (FILTER.get(), headers) {
        let _ = catch_unwind(AssertUnwindSafe(|| filter(headers)));
    }
}
