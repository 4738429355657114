//! `sse_finish()`.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::event::NewEvent;

use super::arguments::Parameter;
use super::exceptions::Problem;
use super::{data, publish};
use crate::ini;
use crate::php::engine::{Engine, Value};
use crate::php::function;

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_finish))
}

/// Publishes the last event of a topic. See stubs/sse.stub.php.
///
/// # Errors
/// As `sse_publish()`.
#[php_function]
pub fn sse_finish(topic: &Zval, data: Option<&Zval>, event: Option<&Zval>) -> PhpResult<String> {
    function::run(|engine| finish(engine, Value::of(topic), data.map(Value::of), event.map(Value::of)))
}

fn finish(
    engine: &mut Engine,
    topic: Value,
    data: Option<Value>,
    event_type: Option<Value>,
) -> Result<String, Problem> {
    let parameter = |position, name, expected| Parameter { function: "sse_finish()", position, name, expected };
    let topic = parameter(1, "$topic", "of type string").text(engine, topic)?;
    let event_type = parameter(3, "$event", "of type ?string").optional_text(engine, event_type)?;
    let data = data.filter(|data| !data.look(engine).is_null());
    let text = data.map(|data| data::text(engine, data)).transpose()?;
    let data = text.as_ref().and_then(|text| text.look(engine).zend_str()).map(ZendStr::as_bytes).unwrap_or_default();
    let event = NewEvent {
        topics: vec![&topic],
        event_type: event_type.as_deref(),
        data,
        finishes: true,
        ..NewEvent::default()
    };
    publish::publish(event, ini::publish()?)
}
