//! `sse_retained()`.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::flags::DataType;
use ext_php_rs::types::Zval;
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::topic;
use sse_protocol::wire::{Reply, Request};

use super::arguments::Parameter;
use super::event;
use super::exceptions::Problem;
use crate::hub_connection;
use crate::php::engine::{Engine, Value};
use crate::php::function;

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    let returned = DataType::Object("SseEvent".into());
    module.function(wrap_function!(sse_retained).returns(returned, false, true))
}

/// Returns the last value of a topic, an `SseEvent` or null. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument` for what is no topic, `SseUnavailable`.
#[php_function]
pub fn sse_retained(topic: &Zval) -> PhpResult<Zval> {
    function::run(|engine| last_value(engine, topic).map(RetainedValue)).map(|value| value.0)
}

/// The value, with null as default: `run` needs one when an exception is pending.
struct RetainedValue(Zval);

impl Default for RetainedValue {
    fn default() -> Self {
        Self(Zval::null())
    }
}

fn last_value(engine: &mut Engine, topic: &Zval) -> Result<Zval, Problem> {
    let parameter = Parameter { function: "sse_retained()", position: 1, name: "$topic", expected: "of type string" };
    let topic = parameter.text(engine, Value::of(topic))?;
    topic::check_topic(&topic)?;
    hub_connection::call(&Request::Retained { topic: &topic }, None, |reply| match reply {
        Reply::Events { events } => {
            let event = events.first().map(|event| event::object(event, &[&topic]));
            // Only the engine's own failure to make an object, of which it has told.
            Ok(event.and_then(Result::ok).flatten().unwrap_or_else(Zval::null))
        }
        other => Err(other.unexpected("a question for a last value")),
    })
}
