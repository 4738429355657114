//! `sse_retopic()`.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::Zval;
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::client::ClientError;
use sse_protocol::wire::{ErrorCode, Reply, Request};

use super::arguments::{self, Parameter};
use super::disconnect::check_user;
use super::exceptions::Problem;
use crate::hub_connection;
use crate::php::engine::{Engine, Value};
use crate::php::function;
use crate::spawn::SpawnError;

const FUNCTION: &str = "sse_retopic()";

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_retopic))
}

/// Changes what an open stream watches. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, `SseException`.
#[php_function]
pub fn sse_retopic(
    stream: &Zval,
    add: Option<&Zval>,
    remove: Option<&Zval>,
    user: Option<&Zval>,
) -> PhpResult<Option<String>> {
    // Held before the conversion of one may change the others.
    let stream = Value::of(stream);
    let [add, remove, user] = [add, remove, user].map(|value| value.map(Value::of));
    function::run(|engine| retopic(engine, stream, add, remove, user))
}

fn retopic(
    engine: &mut Engine,
    stream: Value,
    add: Option<Value>,
    remove: Option<Value>,
    user: Option<Value>,
) -> Result<Option<String>, Problem> {
    let parameter = |position, name, expected| Parameter { function: FUNCTION, position, name, expected };
    let stream = parameter(1, "$stream", "of type string").text(engine, stream)?;
    let add = parameter(2, "$add", "of type array").patterns(engine, add)?;
    let remove = parameter(3, "$remove", "of type array").patterns(engine, remove)?;
    let user = parameter(4, "$user", "of type ?string").optional_text(engine, user)?;
    if let Some(key) = &user {
        check_user(FUNCTION, key)?;
    }
    let (add, remove) = (arguments::borrowed(&add), arguments::borrowed(&remove));
    let request = Request::Retopic { stream: &stream, add, remove, user: user.as_deref() };
    let changed = hub_connection::call_running(&request, |reply| match reply {
        Reply::Cursor { id } => Ok(id.to_owned()),
        other => Err(other.unexpected("a change of topics")),
    });
    match changed {
        Ok(cursor) => Ok(Some(cursor)),
        // Where no hub runs there is no stream.
        Err(SpawnError::Client(ClientError::Hub { code: ErrorCode::Unknown, .. } | ClientError::NotRunning { .. })) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
