//! The extension's part of phpinfo().

use ext_php_rs::ffi;
use ext_php_rs::zend::ModuleEntry;
use ext_php_rs::{info_table_end, info_table_header, info_table_row, info_table_start};

use crate::{ini, zend};

/// Prints version, place of the hub, what this SAPI gets, and all settings.
pub extern "C" fn print(module: *mut ModuleEntry) {
    let socket = match ini::socket() {
        Ok((path, _)) => path.display().to_string(),
        Err(error) => error.to_string(),
    };
    let streams = match zend::sapi_name().to_bytes() {
        _ if cfg!(php_zts) => "served in the worker (thread-safe PHP)",
        b"fpm-fcgi" | b"cli-server" => "handed over to the hub",
        b"apache2handler" => "handed over to the hub (HTTPS: served in the worker)",
        _ => "served in the worker",
    };
    info_table_start!();
    info_table_header!("sse support", "enabled");
    info_table_row!("Version", sse_hub::wire::VERSION);
    info_table_row!("Hub", socket);
    info_table_row!("Streams of this SAPI", streams);
    info_table_end!();
    // SAFETY: PHP passes the entry of this module.
    unsafe { ffi::display_ini_entries(module) };
}
