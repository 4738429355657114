//! `sse_watchers()`.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::Zval;
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::topic;
use sse_protocol::wire::{Reply, Request};

use super::arguments::Parameter;
use super::exceptions::Problem;
use crate::hub_connection;
use crate::php::engine::{Engine, Value};
use crate::php::function;

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_watchers))
}

/// Returns how many streams watch a topic. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, `SseException`.
#[php_function]
pub fn sse_watchers(topic: &Zval, local: Option<&Zval>) -> PhpResult<i64> {
    let local = local.map(Value::of);
    function::run(|engine| watchers(engine, Value::of(topic), local))
}

fn watchers(engine: &mut Engine, topic: Value, local: Option<Value>) -> Result<i64, Problem> {
    let parameter = |position, name, expected| Parameter { function: "sse_watchers()", position, name, expected };
    let topic = parameter(1, "$topic", "of type string").text(engine, topic)?;
    let local = parameter(2, "$local", "of type bool").flag(engine, local)?;
    topic::check_topic(&topic)?;
    hub_connection::call(&Request::Watchers { topic: &topic, local }, None, |reply| match reply {
        Reply::Watchers { streams } => Ok(i64::try_from(streams).unwrap_or(i64::MAX)),
        other => Err(other.unexpected("a question for watchers")),
    })
}
