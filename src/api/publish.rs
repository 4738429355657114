//! `sse_publish()`.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::Zval;
use ext_php_rs::{php_function, wrap_function};
use sse_hub::client::ClientError;
use sse_hub::event::NewEvent;
use sse_hub::wire::{Reply, Request};

use super::arguments;
use super::exceptions::Problem;
use crate::{ini, spawn, zend};

/// `JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR`.
const JSON_FLAGS: i64 = 64 | 256 | 4_194_304;

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_publish))
}

/// Publishes an event. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, or `JsonException` from encoding.
#[php_function]
#[allow(clippy::needless_pass_by_value, reason = "ext-php-rs hands over owned values")]
pub fn sse_publish(
    topics: &Zval,
    data: &Zval,
    event: Option<String>,
    id: Option<String>,
    retry: Option<i64>,
) -> PhpResult<String> {
    let topics = arguments::strings("sse_publish()", topics)?;
    let json;
    let data = data.dereference();
    let text = match data.zend_str() {
        Some(text) => text.as_bytes(),
        None => {
            json = zend::call("json_encode", vec![&data.shallow_clone(), &JSON_FLAGS])
                .map_err(ext_php_rs::exception::PhpException::from)?;
            json.zend_str().map(ext_php_rs::types::ZendStr::as_bytes).unwrap_or_default()
        }
    };
    let retry = retry.map(|ms| u32::try_from(ms).ok().filter(|ms| *ms <= ini::MAX_RETRY).ok_or(ms)).transpose();
    let retry = retry.map_err(|ms| {
        Problem::Argument(format!(
            "sse_publish(): $retry must be from 0 to {} milliseconds, {ms} given",
            ini::MAX_RETRY
        ))
    })?;
    let new = NewEvent { topics, name: event.as_deref(), id: id.as_deref(), retry, data: text };
    Ok(publish(&new)?)
}

fn publish(new: &NewEvent<'_>) -> Result<String, Problem> {
    new.check(ini::max_event_size()?)?;
    let NewEvent { topics, name, id, retry, data } = new;
    let request = Request::Publish { topics: topics.clone(), name: *name, id: *id, retry: *retry, data };
    spawn::call(&request, None, |reply| match reply {
        Reply::Published { id } => Ok(id.to_owned()),
        other => Err(ClientError::Protocol(format!("{other:?} to a publication"))),
    })
}
