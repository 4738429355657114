//! `sse_presence()` and `sse_presence_count()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::presence;
use sse_protocol::topic;
use sse_protocol::wire::{Reply, Request};

use super::arguments::Parameter;
use super::exceptions::Problem;
use super::pages::{self, ReplyPage, Table};
use crate::hub_connection;
use crate::php::engine::{Engine, Value};
use crate::php::function;

/// Most nested arrays of the members: an info has fewer than bytes. PHP's own default is what an info alone may have.
const DEPTH: i64 = presence::MAX_INFO as i64 + 2;

/// Adds the functions to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_presence)).function(wrap_function!(sse_presence_count))
}

/// Returns who is present on a topic. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`.
#[php_function]
pub fn sse_presence(topic: &Zval, after: Option<&Zval>, limit: Option<&Zval>) -> PhpResult<ZBox<ZendHashTable>> {
    let more = [after, limit].map(|value| value.map(Value::of));
    function::run(|engine| members(engine, Value::of(topic), more)).map(|Table(members)| members)
}

/// Returns how many are present on a topic. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`.
#[php_function]
pub fn sse_presence_count(topic: &Zval) -> PhpResult<i64> {
    function::run(|engine| count(engine, Value::of(topic)))
}

fn members(engine: &mut Engine, topic: Value, [after, limit]: [Option<Value>; 2]) -> Result<Table, Problem> {
    const FUNCTION: &str = "sse_presence()";
    let topic = checked(engine, FUNCTION, topic)?;
    let parameter = |position, name, expected| Parameter { function: FUNCTION, position, name, expected };
    let after = parameter(2, "$after", "of type ?string").optional_text(engine, after)?;
    let limit = parameter(3, "$limit", "of type int").optional_number(engine, limit)?;
    let limit = pages::limit(FUNCTION, limit)?;
    pages::read(engine, ("members", DEPTH), after, limit, |after, limit| {
        hub_connection::call(&Request::Presence { topic: &topic, after, limit }, None, |reply| match reply {
            Reply::Members { json, count, last } => Ok(ReplyPage::new(json, count, last)),
            other => Err(other.unexpected("a question for members")),
        })
    })
}

fn count(engine: &mut Engine, topic: Value) -> Result<i64, Problem> {
    let topic = checked(engine, "sse_presence_count()", topic)?;
    hub_connection::call(&Request::PresenceCount { topic: &topic }, None, |reply| match reply {
        Reply::MemberCount { count } => Ok(i64::try_from(count).unwrap_or(i64::MAX)),
        other => Err(other.unexpected("a question for members")),
    })
}

fn checked(engine: &mut Engine, function: &'static str, topic: Value) -> Result<String, Problem> {
    let parameter = Parameter { function, position: 1, name: "$topic", expected: "of type string" };
    let topic = parameter.text(engine, topic)?;
    topic::check_topic(&topic).map_err(|error| Problem::Argument(format!("{function}: {error}")))?;
    Ok(topic)
}
