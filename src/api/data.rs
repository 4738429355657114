//! Data of events: text as it is, anything else as JSON.

use ext_php_rs::types::Zval;

use super::exceptions::Problem;
use crate::zend;

/// `JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR`.
const JSON_FLAGS: i64 = 64 | 256 | 4_194_304;

/// A value as the data of an event: a string.
///
/// # Errors
/// `Pending` with the `JsonException` of what can't be encoded.
pub fn text(value: &Zval) -> Result<Zval, Problem> {
    let value = value.dereference().shallow_clone();
    if value.is_string() {
        return Ok(value);
    }
    zend::call("json_encode", &[&value, &JSON_FLAGS]).map_err(|why| Problem::no_value("json_encode", why))
}
