//! The section of phpinfo().

use ext_php_rs::ffi;
use ext_php_rs::zend::ModuleEntry;
use ext_php_rs::{info_table_end, info_table_header, info_table_row, info_table_start};

/// What the section shows.
pub trait Section {
    /// The heading.
    const TITLE: &'static str;
    /// Names and values.
    fn rows() -> Vec<(&'static str, String)>;
}

/// Prints the section, and all settings.
///
/// # Safety
/// PHP calls it, with this module's entry.
pub unsafe extern "C" fn print<S: Section>(module: *mut ModuleEntry) {
    info_table_start!();
    info_table_header!(S::TITLE, "enabled");
    for (name, value) in S::rows() {
        info_table_row!(name, value);
    }
    info_table_end!();
    // SAFETY: the caller's promise.
    unsafe { ffi::display_ini_entries(module) };
}
