//! `SseEnd`: what a callback returns to end its stream for good.

use std::ffi::CStr;

use ext_php_rs::builders::ClassBuilder;
use ext_php_rs::ffi;
use ext_php_rs::flags::{ClassFlags, MethodFlags};
use ext_php_rs::types::{ZendObject, Zval};
use ext_php_rs::zend::ExecuteData;

use super::event::{self, may_be};
use super::exceptions::Problem;
use crate::php::class::{Class, Property};
use crate::php::engine::Value;
use crate::php::function;

static CLASS: Class = Class::new();

/// The properties, in the order of the constructor's arguments.
const PROPERTIES: [Property; 3] = [
    (c"data", ffi::MAY_BE_ANY),
    (c"event", may_be(&[ffi::IS_STRING, ffi::IS_NULL])),
    (c"id", may_be(&[ffi::IS_STRING, ffi::IS_NULL])),
];

/// Registers the class: final, with typed read-only properties.
///
/// # Errors
/// If the engine refuses the class.
pub fn register() -> ext_php_rs::error::Result<()> {
    ClassBuilder::new("SseEnd")
        .method(event::constructor(construct), MethodFlags::Public)
        .flags(ClassFlags::Final | ClassFlags::NotSerializable)
        .registration(|class, _| CLASS.set_with(class, &PROPERTIES))
        .register()
}

extern "C" fn construct(call: &mut ExecuteData, _: &mut Zval) {
    if let Err(exception) = function::run(|engine| event::construct_with(engine, call, "SseEnd::__construct()", fill)) {
        exception.throw();
    }
}

fn fill(
    object: &mut ZendObject,
    data: Option<Zval>,
    event_type: Option<&str>,
    id: Option<&str>,
) -> Result<(), Problem> {
    let text = |text: Option<&str>| {
        let mut value = Zval::null();
        text.map_or(Ok(()), |text| value.set_string(text, false)).map(|()| value)
    };
    let failed = |error: ext_php_rs::error::Error| Problem::Other(error.to_string());
    let mut values = [data.unwrap_or_else(Zval::null), text(event_type).map_err(failed)?, text(id).map_err(failed)?];
    CLASS.fill(object, &PROPERTIES, &mut values);
    Ok(())
}

/// The parts of an end.
#[derive(Debug)]
pub struct EndParts {
    /// Any PHP value; `None`: there is no last event.
    pub data: Option<Value>,
    /// The last event's type. Never empty.
    pub event_type: Option<String>,
    /// Never empty.
    pub id: Option<String>,
}

/// Whether a value is an `SseEnd`.
pub fn is_end(value: &Zval) -> bool {
    CLASS.is_of(value)
}

/// The parts of an `SseEnd`. `None` for any other value.
pub fn parts(value: &Zval) -> Option<EndParts> {
    if !is_end(value) {
        return None;
    }
    let property = |name: &CStr| CLASS.read(value, name);
    let data = property(c"data");
    Some(EndParts {
        data: (!data.is_null()).then(|| data.into()),
        event_type: property(c"event").string().filter(|text| !text.is_empty()),
        id: property(c"id").string().filter(|text| !text.is_empty()),
    })
}
