//! `sse_publish()`.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_hub::config::PublishMode;
use sse_protocol::event::NewEvent;
use sse_protocol::topic;
use sse_protocol::wire::{Reply, Request};

use super::arguments::{self, Parameter};
use super::data;
use super::exceptions::Problem;
use super::receipt::{PublishResult, Receipt};
use crate::php::engine::{Argument, Engine, Value};
use crate::php::function;
use crate::{commit, hub_connection, ini};

const FUNCTION: &str = "sse_publish()";

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_publish))
}

/// Publishes an event. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, or `JsonException` from encoding.
#[php_function]
#[allow(clippy::too_many_arguments, reason = "a PHP function takes them by name")]
pub fn sse_publish(
    topics: &Zval,
    data: &Zval,
    event: Option<&Zval>,
    id: Option<&Zval>,
    retry: Option<&Zval>,
    mode: Option<&Zval>,
    key: Option<&Zval>,
    retain: Option<&Zval>,
    except: Option<&Zval>,
    latest: Option<&Zval>,
    spread: Option<&Zval>,
    report: Option<&Zval>,
    traceparent: Option<&Zval>,
) -> PhpResult<PublishResult> {
    let options = [event, id, retry, mode, key, retain, except, latest, spread, report, traceparent];
    function::run(|engine| checked(engine, Argument::new(topics), data, options))
}

fn checked(
    engine: &mut Engine,
    topics: Argument<'_>,
    data: &Zval,
    options: [Option<&Zval>; 11],
) -> Result<PublishResult, Problem> {
    // Held before the conversion of one may change the others.
    let (data, [event_type, id, retry, mode, key, retain, except, latest, spread, report, traceparent]) =
        (Value::of(data), options.map(|value| value.map(Value::of)));
    let parameter = |position, name, expected| Parameter { function: FUNCTION, position, name, expected };
    if let Some(key) = topics.look(engine).array().and_then(arguments::first_name) {
        let key = topic::shortened(&key);
        return Err(Problem::Argument(format!(
            "{FUNCTION}: $topics must be a list, an array with the key '{key}' given; the topics come first, then the data"
        )));
    }
    let topics = arguments::strings(engine, FUNCTION, topics)?;
    let event_type = parameter(3, "$event", "of type ?string").optional_text(engine, event_type)?;
    let id = parameter(4, "$id", "of type ?string").optional_text(engine, id)?;
    let retry = parameter(5, "$retry", "of type ?int").optional_number(engine, retry)?;
    let mode = parameter(6, "$mode", "of type ?string").optional_text(engine, mode)?;
    let key = parameter(7, "$key", "of type ?string").optional_text(engine, key)?;
    let retain = parameter(8, "$retain", "of type bool").flag(engine, retain)?;
    let except = parameter(9, "$except", "of type ?string").optional_text(engine, except)?;
    let latest = parameter(10, "$latest", "of type bool").flag(engine, latest)?;
    let spread = parameter(11, "$spread", "of type int").optional_number(engine, spread)?;
    let report = parameter(12, "$report", "of type bool").flag(engine, report)?;
    let traceparent = parameter(13, "$traceparent", "of type ?string").optional_text(engine, traceparent)?;
    let retry = arguments::retry(FUNCTION, retry)?;
    let spread = arguments::spread(FUNCTION, spread)?;
    let mode = match mode.as_deref() {
        None => ini::publish()?,
        Some(name) => PublishMode::named(name).ok_or_else(|| {
            let name = topic::shortened(name);
            Problem::Argument(format!("{FUNCTION}: $mode must be 'ack', 'async' or 'commit', '{name}' given"))
        })?,
    };
    if report && mode != PublishMode::Ack {
        return Err(Problem::Argument(format!(
            "{FUNCTION}: with $report the call waits for the hub, and the mode is '{}'; pass mode: 'ack' as well",
            mode.name()
        )));
    }
    // As in MQTT, nothing as last value means that there is none.
    let text = if retain && data.look(engine).is_null() { None } else { Some(data::text(engine, data)?) };
    let data = text.as_ref().and_then(|text| text.look(engine).zend_str()).map(ZendStr::as_bytes).unwrap_or_default();
    let (event_type, id, key) = (event_type.as_deref(), id.as_deref(), key.as_deref());
    let traceparent = traceparent.as_deref();
    // Mostly a client says it, and one that names no stream excludes none.
    let except = except.as_deref().filter(|except| is_stream_id(except));
    let topics = arguments::borrowed(&topics);
    let event = NewEvent {
        topics,
        event_type,
        id,
        retry,
        data,
        key,
        retain,
        except,
        latest,
        spread,
        traceparent,
        ..NewEvent::default()
    };
    if report {
        return publish_reported(event).map(PublishResult::Receipt);
    }
    publish(event, mode).map(PublishResult::Id)
}

/// Whether a text has the shape of a stream's public id.
fn is_stream_id(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Checks an event and sends it; waits until the hub has counted the streams that it went to.
fn publish_reported(event: NewEvent<'_>) -> Result<Receipt, Problem> {
    event.check(ini::max_event_size()?, ini::max_topics()?)?;
    hub_connection::call(&Request::PublishReported { event }, None, |reply| match reply {
        Reply::Receipt { id, watchers, duplicate } => Ok(Receipt { id: id.to_owned(), watchers, duplicate }),
        other => Err(other.unexpected("a publication with a report")),
    })
}

/// Checks an event, and sends it or holds it back.
///
/// # Errors
/// `Argument`, `Unavailable`, or `Other` where too much is held back.
pub(super) fn publish(event: NewEvent<'_>, mode: PublishMode) -> Result<String, Problem> {
    event.check(ini::max_event_size()?, ini::max_topics()?)?;
    let given = event.id.unwrap_or_default();
    let request = Request::Publish { event, answer: mode != PublishMode::Async };
    match mode {
        PublishMode::Async => {
            hub_connection::send(&request)?;
            return Ok(given.to_owned());
        }
        PublishMode::Commit if commit::hold(&request)? => return Ok(given.to_owned()),
        // After the end of the request, an event can't wait for that end.
        PublishMode::Commit | PublishMode::Ack => {}
    }
    hub_connection::call(&request, None, |reply| match reply {
        Reply::Published { id } => Ok(id.to_owned()),
        other => Err(other.unexpected("a publication")),
    })
}
