//! `sse_publish()`.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_hub::config::PublishMode;
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{Reply, Request};

use super::exceptions::{Problem, settle};
use super::{arguments, data};
use crate::php::engine::{Argument, Engine};
use crate::{commit, ini, spawn};

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_publish))
}

/// Publishes an event. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, or `JsonException` from encoding.
#[php_function]
pub fn sse_publish(
    topics: &Zval,
    data: &Zval,
    event: Option<&str>,
    id: Option<&str>,
    retry: Option<i64>,
    mode: Option<&str>,
) -> PhpResult<String> {
    // SAFETY: PHP has called this function.
    let engine = &mut unsafe { Engine::entered() };
    // The engine's own copies: later changes to the caller's variables don't matter.
    let published = checked(engine, Argument::new(topics), Argument::new(data), [event, id], retry, mode);
    settle(engine, published)
}

fn checked(
    engine: &mut Engine,
    topics: Argument<'_>,
    data: Argument<'_>,
    [name, id]: [Option<&str>; 2],
    retry: Option<i64>,
    mode: Option<&str>,
) -> Result<String, Problem> {
    let topics = arguments::strings(engine, "sse_publish()", topics)?;
    let retry = retry.map(|ms| u32::try_from(ms).ok().filter(|ms| *ms <= ini::MAX_RETRY).ok_or(ms)).transpose();
    let retry = retry.map_err(|ms| {
        let limit = ini::MAX_RETRY;
        Problem::Argument(format!("sse_publish(): $retry must be from 0 to {limit} milliseconds, {ms} given"))
    })?;
    let mode = match mode {
        None => ini::publish()?,
        Some(name) => PublishMode::named(name).ok_or_else(|| {
            Problem::Argument(format!("sse_publish(): $mode must be 'ack', 'async' or 'commit', '{name}' given"))
        })?,
    };
    let text = data::text(engine, data.hold())?;
    let data = text.look(engine).zend_str().map(ZendStr::as_bytes).unwrap_or_default();
    publish(NewEvent { topics: arguments::borrowed(&topics), name, id, retry, data }, mode)
}

fn publish(new: NewEvent<'_>, mode: PublishMode) -> Result<String, Problem> {
    new.check(ini::max_event_size()?, ini::max_topics()?)?;
    let NewEvent { topics, name, id, retry, data } = new;
    let given = || id.unwrap_or_default().to_owned();
    let request = Request::Publish { topics, name, id, retry, data, answer: mode != PublishMode::Async };
    match mode {
        PublishMode::Async => {
            spawn::send(&request)?;
            return Ok(given());
        }
        PublishMode::Commit if commit::hold(&request)? => return Ok(given()),
        // After the end of the request, an event can't wait for that end.
        PublishMode::Commit | PublishMode::Ack => {}
    }
    spawn::call(&request, None, |reply| match reply {
        Reply::Published { id } => Ok(id.to_owned()),
        other => Err(other.unexpected("a publication")),
    })
}
