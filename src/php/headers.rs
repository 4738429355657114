//! The headers of the response.

use std::ffi::CString;

use ext_php_rs::ffi;

use super::call::guarded;
use super::engine::Engine;
use super::zend::{self, sapi_globals};

/// Sets a header and replaces those of the same name.
pub fn set(engine: &mut Engine, line: &str) {
    change(engine, ffi::sapi_header_op_enum_SAPI_HEADER_REPLACE, line);
}

/// Removes the headers of this name.
pub fn remove(engine: &mut Engine, name: &str) {
    change(engine, ffi::sapi_header_op_enum_SAPI_HEADER_DELETE, name);
}

fn change(engine: &mut Engine, operation: ffi::sapi_header_op_enum, line: &str) {
    let Ok(text) = CString::new(line) else { return };
    // Not by a list of its fields: since 8.5 the third is in a union.
    // SAFETY: numbers and a pointer, of which 0 and null are values.
    let mut operand: ffi::sapi_header_line = unsafe { std::mem::zeroed() };
    operand.line = text.as_ptr().cast_mut();
    operand.line_len = line.len();
    let operand = &raw mut operand;
    // SAFETY: the engine copies the line. Its warning about sent headers may run the user's error handler.
    let _ = guarded(engine, || unsafe { ffi::sapi_header_op(operation, operand.cast()) });
}

/// Removes all headers.
pub fn remove_all(engine: &mut Engine) {
    // SAFETY: this operation reads no operand.
    let _ = guarded(engine, || unsafe {
        ffi::sapi_header_op(ffi::sapi_header_op_enum_SAPI_HEADER_DELETE_ALL, std::ptr::null_mut())
    });
}

/// The lines of all headers that the script set.
pub fn all() -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut element = sapi_globals(|globals| globals.sapi_headers.headers.head);
    // SAFETY: as in `value`.
    unsafe {
        while let Some(entry) = element.as_ref() {
            let header = &*(&raw const entry.data).cast::<ffi::sapi_header_struct>();
            lines.push(std::slice::from_raw_parts(header.header.cast::<u8>(), header.header_len).to_vec());
            element = entry.next;
        }
    }
    lines
}

/// Sets the status.
pub fn set_status(engine: &mut Engine, code: usize) {
    // SAFETY: this operation expects the number in place of the pointer.
    let _ = guarded(engine, || unsafe {
        ffi::sapi_header_op(ffi::sapi_header_op_enum_SAPI_HEADER_SET_STATUS, std::ptr::without_provenance_mut(code))
    });
}

/// The value of a header that the script set, sent or not. `None` if it is not set.
pub fn value(name: &[u8]) -> Option<Vec<u8>> {
    let mut element = sapi_globals(|globals| globals.sapi_headers.headers.head);
    // SAFETY: the list belongs to this request, its elements hold headers as the engine declares them, and nothing changes it
    // during this read.
    unsafe {
        while let Some(entry) = element.as_ref() {
            let header = &*(&raw const entry.data).cast::<ffi::sapi_header_struct>();
            let line = std::slice::from_raw_parts(header.header.cast::<u8>(), header.header_len);
            // Test the colon first: few header names have the same length.
            if let Some((b':', value)) = line.get(name.len()..).and_then(<[u8]>::split_first)
                && line[..name.len()].eq_ignore_ascii_case(name)
            {
                return Some(value.to_vec());
            }
            element = entry.next;
        }
    }
    None
}

/// The type that the response has by the engine, if one was set.
pub fn mimetype() -> Option<String> {
    // SAFETY: null, or the engine's own text, which is copied.
    unsafe { zend::text(sapi_globals(|globals| globals.sapi_headers.mimetype)) }.map(str::to_owned)
}
