//! `sse_disconnect()`.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::Zval;
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::topic;
use sse_protocol::wire::{MAX_KEY, Reply, Request, Whom};

use super::arguments::{self, Parameter};
use super::exceptions::Problem;
use crate::hub_connection;
use crate::php::engine::{Engine, Value};
use crate::php::function;

const FUNCTION: &str = "sse_disconnect()";

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_disconnect))
}

/// Ends streams. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, `SseException`.
#[php_function]
pub fn sse_disconnect(
    user: Option<&Zval>,
    stream: Option<&Zval>,
    topic: Option<&Zval>,
    retry: Option<&Zval>,
) -> PhpResult<Option<i64>> {
    // Held before the conversion of one may change the others.
    let [user, stream, topic, retry] = [user, stream, topic, retry].map(|value| value.map(Value::of));
    function::run(|engine| disconnect(engine, [user, stream, topic], retry))
}

fn disconnect(engine: &mut Engine, whom: [Option<Value>; 3], retry: Option<Value>) -> Result<Option<i64>, Problem> {
    let parameter = |position, name, expected| Parameter { function: FUNCTION, position, name, expected };
    let [user, stream, topic] = whom;
    let user = parameter(1, "$user", "of type ?string").optional_text(engine, user)?;
    let stream = parameter(2, "$stream", "of type ?string").optional_text(engine, stream)?;
    let topic = parameter(3, "$topic", "of type ?string").optional_text(engine, topic)?;
    let retry = parameter(4, "$retry", "of type ?int").optional_number(engine, retry)?;
    let whom = match (user.as_deref(), stream.as_deref(), topic.as_deref()) {
        (Some(key), None, None) => {
            check_user(FUNCTION, key)?;
            Whom::User(key)
        }
        (None, Some(stream), None) => Whom::Stream(stream),
        (None, None, Some(topic)) => {
            topic::check_topic(topic)?;
            Whom::Topic(topic)
        }
        given => {
            let count = [given.0, given.1, given.2].into_iter().flatten().count();
            return Err(Problem::Argument(format!(
                "{FUNCTION}: exactly one of $user, $stream and $topic must be given, {count} are; to end all streams of a \
                 list, call it for each"
            )));
        }
    };
    let retry = arguments::retry(FUNCTION, retry)?;
    hub_connection::call(&Request::Disconnect { whom, retry }, None, |reply| match reply {
        Reply::Disconnected { streams } => Ok(streams.map(|count| i64::try_from(count).unwrap_or(i64::MAX))),
        other => Err(other.unexpected("a disconnection")),
    })
}

/// Checks the key of a user.
///
/// # Errors
/// `Argument` if it is empty or too long.
pub fn check_user(function: &str, key: &str) -> Result<(), Problem> {
    match key.len() {
        1..=MAX_KEY => Ok(()),
        length => Err(Problem::Argument(format!(
            "{function}: $user must be 1 to {MAX_KEY} bytes long, {length} given; it is the option 'user' of sse_stream()"
        ))),
    }
}
