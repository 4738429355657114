//! The extension's section of phpinfo().

use std::ffi::c_int;

use ext_php_rs::ffi::{self, zend_string};
use ext_php_rs::zend::ModuleEntry;
use ext_php_rs::{info_table_end, info_table_header, info_table_row, info_table_start};
use sse_hub::config::Detach;
use sse_hub::masked_bus_address;
use sse_hub::udp::notify;

use crate::{ini, zend};

/// Prints the version, the hub's address, how this SAPI serves streams, and all settings.
pub extern "C" fn print(module: *mut ModuleEntry) {
    let (socket, notify) = match ini::socket() {
        Ok((path, _)) => (path.display().to_string(), notify::path(&path).display().to_string()),
        Err(error) => (error.to_string(), String::new()),
    };
    let required = matches!(ini::detach(), Ok(Detach::Require));
    let streams = match zend::sapi_name().to_bytes() {
        b"cli" | b"phpdbg" => "served in the worker",
        _ if cfg!(php_zts) && required => "refused (thread-safe PHP, sse.detach=require)",
        _ if cfg!(php_zts) => "served in the worker (thread-safe PHP)",
        b"fpm-fcgi" | b"cli-server" => "handed over to the hub",
        b"apache2handler" if required => "handed over to the hub (HTTPS: refused)",
        b"apache2handler" => "handed over to the hub (HTTPS: served in the worker)",
        _ if required => "refused (sse.detach=require)",
        _ => "served in the worker",
    };
    info_table_start!();
    info_table_header!("sse support", "enabled");
    info_table_row!("Version", sse_protocol::wire::VERSION);
    info_table_row!("Hub", socket);
    info_table_row!("Wakes by this user", notify);
    info_table_row!("Streams of this SAPI", streams);
    info_table_end!();
    // SAFETY: PHP passes the entry of this module.
    unsafe { ffi::display_ini_entries(module) };
}

/// `ZEND_INI_DISPLAY_ORIG`: show the value from before the script's change.
const DISPLAY_ORIGINAL: c_int = 1;

/// Prints `sse.bus` without its password, wherever PHP shows settings.
///
/// # Safety
/// `entry` is that of the setting, as the engine passes it.
pub unsafe extern "C" fn show_bus(entry: *mut ffi::zend_ini_entry, kind: c_int) {
    // SAFETY: the caller's promise.
    unsafe { show(entry, kind, |url| masked_bus_address(&String::from_utf8_lossy(url))) };
}

/// Prints that `sse.udp_key` is set, but neither the key nor its length.
///
/// # Safety
/// `entry` is that of the setting, as the engine passes it.
pub unsafe extern "C" fn show_key(entry: *mut ffi::zend_ini_entry, kind: c_int) {
    // SAFETY: the caller's promise.
    unsafe { show(entry, kind, |_| "***".into()) };
}

/// Prints a setting in the form that `masked` returns.
///
/// # Safety
/// `entry` is that of a setting, as the engine passes it.
unsafe fn show(entry: *mut ffi::zend_ini_entry, kind: c_int, masked: impl Fn(&[u8]) -> String) {
    // SAFETY: see above. An unset value is null, any other is a string of the engine.
    let value = unsafe {
        let (entry, original) = (&*entry, kind == DISPLAY_ORIGINAL);
        let value = if original && entry.modified != 0 { entry.orig_value } else { entry.value };
        value.as_ref().map(zend_string::as_bytes)
    };
    let as_text = zend::shows_text();
    let shown = match value {
        None | Some(b"") if as_text => "no value".into(),
        None | Some(b"") => "<i>no value</i>".into(),
        Some(value) if as_text => masked(value),
        Some(value) => masked(value).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
    };
    // SAFETY: the pointer is valid for the length.
    unsafe { ffi::php_output_write(shown.as_ptr().cast(), shown.len()) };
}
