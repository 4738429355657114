//! `sse_render()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::ZendHashTable;
use ext_php_rs::{php_function, wrap_function};

use super::exceptions::Problem;
use crate::rendering::{self, Rendering};

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_render))
}

/// Whether this request is a replay. See stubs/sse.stub.php.
///
/// # Errors
/// None but for want of memory.
#[php_function]
pub fn sse_render() -> PhpResult<Option<ZBox<ZendHashTable>>> {
    let Some(rendering) = rendering::current() else { return Ok(None) };
    Ok(Some(table(&rendering).map_err(|error| Problem::Other(error.to_string()))?))
}

fn table(rendering: &Rendering) -> ext_php_rs::error::Result<ZBox<ZendHashTable>> {
    let mut table = ZendHashTable::new();
    table.insert("reason", rendering.reason.name())?;
    table.insert("stream", i64::try_from(rendering.stream).unwrap_or(i64::MAX))?;
    table.insert("last_event_id", rendering.last_event_id.as_deref().unwrap_or_default())?;
    Ok(table)
}
