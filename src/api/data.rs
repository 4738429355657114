//! The data of events: text unchanged, other values as JSON.

use super::exceptions::Problem;
use crate::php::engine::{Engine, Value};
use crate::php::zend;

/// `JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR`.
const JSON_FLAGS: i64 = 64 | 256 | 4_194_304;

/// Encodes a value as JSON.
///
/// # Errors
/// `Pending` with the `JsonException` if it can't be encoded; `Argument` if `json_encode()` is another function.
pub fn json(engine: &mut Engine, value: &Value) -> Result<String, Problem> {
    let json = zend::call(engine, "json_encode", &[value, &JSON_FLAGS]);
    let json = json.map_err(|why| Problem::no_value("json_encode", why))?;
    let text = json.look(engine).str().map(str::to_owned);
    text.ok_or_else(|| Problem::Other("json_encode() has returned no text".into()))
}

/// Converts a value to an event's data, a string.
///
/// # Errors
/// `Pending` with the `JsonException` if it can't be encoded.
pub fn text(engine: &mut Engine, value: Value) -> Result<Value, Problem> {
    if value.look(engine).is_string() {
        return Ok(value);
    }
    zend::call(engine, "json_encode", &[&value, &JSON_FLAGS]).map_err(|why| Problem::no_value("json_encode", why))
}
