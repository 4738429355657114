//! `sse_render()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::ZendHashTable;
use ext_php_rs::{php_function, wrap_function};

use super::exceptions::Problem;
use crate::rendering::{self, Replay};

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_render))
}

/// Describes the replay that this request is, or returns null. See stubs/sse.stub.php.
///
/// # Errors
/// Only when memory runs out.
#[php_function]
pub fn sse_render() -> PhpResult<Option<ZBox<ZendHashTable>>> {
    let Some(replay) = rendering::current() else { return Ok(None) };
    Ok(Some(table(&replay).map_err(|error| Problem::Other(error.to_string()))?))
}

fn table(replay: &Replay) -> ext_php_rs::error::Result<ZBox<ZendHashTable>> {
    let (reason, stream, last_event_id) = match replay {
        Replay::Wanted(rendering) => (rendering.reason.name(), rendering.stream, rendering.last_event_id.as_deref()),
        Replay::Over => ("over", 0, None),
    };
    let mut table = ZendHashTable::new();
    table.insert("reason", reason)?;
    table.insert("stream", i64::try_from(stream).unwrap_or(i64::MAX))?;
    table.insert("last_event_id", last_event_id.unwrap_or_default())?;
    Ok(table)
}
