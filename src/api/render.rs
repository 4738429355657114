//! `sse_render()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::ZendHashTable;
use ext_php_rs::{php_function, wrap_function};

use super::exceptions::Problem;
use crate::replay::{self, Rendering, ReplayPurpose};

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
    let Some(replay) = replay::current() else { return Ok(None) };
    Ok(Some(table(&replay).map_err(|error| Problem::Other(error.to_string()))?))
}

fn table(replay: &ReplayPurpose) -> ext_php_rs::error::Result<ZBox<ZendHashTable>> {
    let (reason, stream, public, last_event_id, topics) = match replay {
        ReplayPurpose::Wanted(Rendering { stream, public, reason, last_event_id, topics }) => {
            (reason.name(), *stream, public.as_str(), last_event_id.as_deref(), topics.as_slice())
        }
        ReplayPurpose::Over => ("over", 0, "", None, [].as_slice()),
    };
    let mut table = ZendHashTable::new();
    table.insert("reason", reason)?;
    table.insert("stream", i64::try_from(stream).unwrap_or(i64::MAX))?;
    table.insert("stream_id", public)?;
    table.insert("last_event_id", last_event_id.unwrap_or_default())?;
    table.insert("topics", topics.to_vec())?;
    Ok(table)
}
