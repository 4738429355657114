//! `sse_cursor()`, `sse_stats()` and `sse_metrics()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::ZendHashTable;
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::wire::{Reply, Request};

use super::exceptions::{Problem, settle};
use crate::php::engine::Engine;
use crate::{spawn, zend};

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
    let id = spawn::call(&Request::Cursor, None, |reply| match reply {
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
pub fn sse_stats() -> PhpResult<ZBox<ZendHashTable>> {
    // SAFETY: PHP has called this function.
    let engine = &mut unsafe { Engine::entered() };
    let counters = stats(engine).map(Counters);
    settle(engine, counters).map(|counters| counters.0)
}

/// Returns the hub's counters in Prometheus format. See stubs/sse.stub.php.
///
/// # Errors
/// `SseUnavailable`.
#[php_function]
pub fn sse_metrics() -> PhpResult<String> {
    let text = spawn::call(&Request::Metrics, None, |reply| match reply {
        Reply::Metrics { text } => Ok(text.to_owned()),
        other => Err(other.unexpected("a question for the metrics")),
    })?;
    Ok(text)
}

/// The counters, with an empty array as default: `settle` needs one when an exception is pending.
struct Counters(ZBox<ZendHashTable>);

impl Default for Counters {
    fn default() -> Self {
        Self(ZendHashTable::new())
    }
}

fn stats(engine: &mut Engine) -> Result<ZBox<ZendHashTable>, Problem> {
    let json = spawn::call(&Request::Stats, None, |reply| match reply {
        Reply::Stats { json } => Ok(json.to_owned()),
        other => Err(other.unexpected("a question for the counters")),
    })?;
    let decoded = zend::call(engine, "json_decode", &[&json, &true]);
    let decoded = decoded.map_err(|why| Problem::no_value("json_decode", why))?;
    let counters = decoded.look(engine).array().map(ToOwned::to_owned);
    counters.ok_or_else(|| Problem::Other("the hub's counters make no sense".into()))
}
