//! The file of this extension.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The file of this code, under the name by which it was loaded.
pub fn own_file() -> Option<PathBuf> {
    // SAFETY: all zeros are valid for this C structure. It is read only after the call has filled it.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    let own = own_file as *const libc::c_void;
    // SAFETY: the address is in this library. The name stays valid while it is loaded.
    unsafe {
        if libc::dladdr(own, &raw mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        Some(OsStr::from_bytes(CStr::from_ptr(found.dli_fname).to_bytes()).into())
    }
}
