//! `sse_cursor()`, `sse_stats()` and `sse_metrics()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::wire::{Reply, Request};

use super::arguments::Parameter;
use super::exceptions::Problem;
use super::pages::Table;
use crate::hub_connection;
use crate::php::engine::{Engine, Value};
use crate::php::function;
use crate::php::zend;

/// Adds the functions to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    let module = module.function(wrap_function!(sse_cursor)).function(wrap_function!(sse_stats));
    module.function(wrap_function!(sse_metrics))
}

/// Returns the id of the newest event. See stubs/sse.stub.php.
///
/// # Errors
/// `SseUnavailable`.
#[php_function]
pub fn sse_cursor() -> PhpResult<String> {
    let id = hub_connection::call(&Request::Cursor, None, |reply| match reply {
        Reply::Cursor { id } => Ok(id.to_owned()),
        other => Err(other.unexpected("a question for the cursor")),
    })?;
    Ok(id)
}

/// Returns the hub's counters. See stubs/sse.stub.php.
///
/// # Errors
/// `SseUnavailable`.
#[php_function]
pub fn sse_stats(start: Option<&Zval>) -> PhpResult<ZBox<ZendHashTable>> {
    let start = start.map(Value::of);
    function::run(|engine| stats(engine, start)).map(|Table(counters)| counters)
}

/// Returns the hub's counters in Prometheus format. See stubs/sse.stub.php.
///
/// # Errors
/// `SseUnavailable`.
#[php_function]
pub fn sse_metrics() -> PhpResult<String> {
    let text = hub_connection::call(&Request::Metrics, None, |reply| match reply {
        Reply::Metrics { text } => Ok(text.to_owned()),
        other => Err(other.unexpected("a question for the metrics")),
    })?;
    Ok(text)
}

fn stats(engine: &mut Engine, start: Option<Value>) -> Result<Table, Problem> {
    let parameter = Parameter { function: "sse_stats()", position: 1, name: "$start", expected: "of type bool" };
    let read = |reply: Reply<'_>| match reply {
        Reply::Stats { json } => Ok(json.to_owned()),
        other => Err(other.unexpected("a question for the counters")),
    };
    let starts = start.is_none() || parameter.flag(engine, start)?;
    let json = match starts {
        true => hub_connection::call(&Request::Stats, None, read)?,
        false => hub_connection::call_running(&Request::Stats, read)?,
    };
    let decoded = zend::call(engine, "json_decode", &[&json, &true]);
    let decoded = decoded.map_err(|why| Problem::no_value("json_decode", why))?;
    let counters = decoded.look(engine).array().map(ToOwned::to_owned);
    counters.map(Table).ok_or_else(|| Problem::Other("the hub's counters make no sense".into()))
}
