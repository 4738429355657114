//! `sse_mercure_matches()` and `sse_mercure_subscriptions()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_protocol::wire::{Reply, Request};
use sse_protocol::{mercure, topic};

use super::arguments::Parameter;
use super::exceptions::Problem;
use super::pages::{self, ReplyPage, Table};
use crate::hub_connection;
use crate::php::engine::{Engine, Value};
use crate::php::function;

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_mercure_matches)).function(wrap_function!(sse_mercure_subscriptions))
}

/// Returns whether a topic selector of Mercure matches a topic. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`.
#[php_function]
pub fn sse_mercure_matches(selector: &Zval, topic: &Zval, kind: Option<&Zval>) -> PhpResult<bool> {
    let (topic, kind) = (Value::of(topic), kind.map(Value::of));
    function::run(|engine| matches(engine, Value::of(selector), topic, kind))
}

/// Returns Mercure's active subscriptions. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`.
#[php_function]
pub fn sse_mercure_subscriptions(
    pattern: Option<&Zval>,
    subscriber: Option<&Zval>,
    after: Option<&Zval>,
    limit: Option<&Zval>,
) -> PhpResult<ZBox<ZendHashTable>> {
    // Held before the conversion of one may change the others.
    let [pattern, subscriber, after, limit] = [pattern, subscriber, after, limit].map(|value| value.map(Value::of));
    function::run(|engine| subscriptions(engine, [pattern, subscriber, after], limit)).map(|Table(found)| found)
}

fn subscriptions(
    engine: &mut Engine,
    [pattern, subscriber, after]: [Option<Value>; 3],
    limit: Option<Value>,
) -> Result<Table, Problem> {
    const FUNCTION: &str = "sse_mercure_subscriptions()";
    let parameter = |position, name, expected| Parameter { function: FUNCTION, position, name, expected };
    let pattern = parameter(1, "$pattern", "of type ?string").optional_text(engine, pattern)?;
    let subscriber = parameter(2, "$subscriber", "of type ?string").optional_text(engine, subscriber)?;
    let after = parameter(3, "$after", "of type ?string").optional_text(engine, after)?;
    let limit = parameter(4, "$limit", "of type int").optional_number(engine, limit)?;
    if let Some(pattern) = &pattern {
        mercure::check_pattern(pattern).map_err(topic::TopicError::from)?;
    }
    let (pattern, subscriber) = (pattern.as_deref(), subscriber.as_deref());
    let limit = pages::limit(FUNCTION, limit)?;
    let mut first = None;
    let ReplyPage { json, last, .. } = pages::gather(after, limit, |after, limit| {
        let request = Request::Subscriptions { pattern, subscriber, after, limit };
        let (page, newest) = hub_connection::call(&request, None, |reply| match reply {
            Reply::Subscriptions { json, count, last, newest } => {
                Ok((ReplyPage::new(json, count, last), newest.to_owned()))
            }
            other => Err(other.unexpected("a question for subscriptions")),
        })?;
        // What has happened since the first answer may be in it or not, so whoever goes on from there misses nothing.
        first.get_or_insert(newest);
        Ok(page)
    })?;
    let table = || {
        let mut table = ZendHashTable::new();
        table.insert("json", format!("[{json}]"))?;
        table.insert("last_event_id", first.unwrap_or_default())?;
        table.insert("next", last)?;
        Ok(Table(table))
    };
    table().map_err(|error: ext_php_rs::error::Error| Problem::Other(error.to_string()))
}

fn matches(engine: &mut Engine, selector: Value, topic: Value, kind: Option<Value>) -> Result<bool, Problem> {
    const FUNCTION: &str = "sse_mercure_matches()";
    let parameter = |position, name, expected| Parameter { function: FUNCTION, position, name, expected };
    let selector = parameter(1, "$selector", "of type string").text(engine, selector)?;
    let topic = parameter(2, "$topic", "of type string").text(engine, topic)?;
    let kind = parameter(3, "$kind", "of type ?string").optional_text(engine, kind)?;
    let pattern = match &kind {
        None => mercure::subscription(&selector),
        Some(kind) => mercure::subscription_of(kind, &selector).ok_or_else(|| {
            let kind = topic::shortened(kind);
            Problem::Argument(format!("{FUNCTION}: $kind must be 'exact', 'urlpattern' or null, '{kind}' given"))
        })?,
    };
    let topic = mercure::topic(&topic, false);
    topic::check_pattern(&pattern)?;
    mercure::check_topics(&[&topic]).map_err(topic::TopicError::from)?;
    Ok(mercure::matches(&pattern, &topic))
}
