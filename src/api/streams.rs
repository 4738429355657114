//! `sse_streams()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::topic;
use sse_protocol::wire::{Reply, Request, Whom};

use super::arguments::Parameter;
use super::disconnect;
use super::exceptions::Problem;
use super::pages::{self, ReplyPage, Table};
use crate::hub_connection;
use crate::php::engine::{Engine, Value};
use crate::php::function;

const FUNCTION: &str = "sse_streams()";

/// More nested arrays than an entry has.
const DEPTH: i64 = 8;

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_streams))
}

/// Returns which streams are open. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, `SseException`.
#[php_function]
pub fn sse_streams(
    topic: Option<&Zval>,
    user: Option<&Zval>,
    stream: Option<&Zval>,
    after: Option<&Zval>,
    limit: Option<&Zval>,
) -> PhpResult<ZBox<ZendHashTable>> {
    // Held before the conversion of one may change the others.
    let [topic, user, stream, after, limit] = [topic, user, stream, after, limit].map(|value| value.map(Value::of));
    function::run(|engine| streams(engine, [topic, user, stream], [after, limit])).map(|Table(streams)| streams)
}

fn streams(
    engine: &mut Engine,
    [topic, user, stream]: [Option<Value>; 3],
    [after, limit]: [Option<Value>; 2],
) -> Result<Table, Problem> {
    let parameter = |position, name, expected| Parameter { function: FUNCTION, position, name, expected };
    let topic = parameter(1, "$topic", "of type ?string").optional_text(engine, topic)?;
    let user = parameter(2, "$user", "of type ?string").optional_text(engine, user)?;
    let stream = parameter(3, "$stream", "of type ?string").optional_text(engine, stream)?;
    let after = parameter(4, "$after", "of type ?string").optional_text(engine, after)?;
    let limit = parameter(5, "$limit", "of type int").optional_number(engine, limit)?;
    let whose = match (topic.as_deref(), user.as_deref(), stream.as_deref()) {
        (None, None, None) => None,
        (Some(topic), None, None) => {
            topic::check_topic(topic)?;
            Some(Whom::Topic(topic))
        }
        (None, Some(key), None) => {
            disconnect::check_user(FUNCTION, key)?;
            Some(Whom::User(key))
        }
        (None, None, Some(stream)) => Some(Whom::Stream(stream)),
        _ => {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: at most one of $topic, $user and $stream may be given"
            )));
        }
    };
    let limit = pages::limit(FUNCTION, limit)?;
    pages::read(engine, ("streams", DEPTH), after, limit, |after, limit| {
        hub_connection::call(&Request::Streams { whose, after, limit }, None, |reply| match reply {
            Reply::Streams { json, count, last } => Ok(ReplyPage::new(json, count, last)),
            other => Err(other.unexpected("a question for streams")),
        })
    })
}
