//! `SseTrigger`: sends notifications, without waiting; only an argument of the wrong type is an error.

use ext_php_rs::exception::PhpResult;
use ext_php_rs::flags::ClassFlags;
use ext_php_rs::types::Zval;
use ext_php_rs::{php_class, php_impl};
use sse_hub::config::{ConfigError, PublishMode};
use sse_protocol::topic;
use sse_protocol::wire::Request;

use super::arguments::{self, Parameter};
use super::exceptions::Problem;
use crate::php::engine::{Engine, Value};
use crate::php::function;
use crate::{commit, hub_connection, ini};

/// See stubs/sse.stub.php.
#[php_class]
#[php(flags = ClassFlags::Final)]
#[derive(Debug)]
pub struct SseTrigger;

#[php_impl]
impl SseTrigger {
    /// Private: there are no instances.
    #[php(vis = "private")]
    pub fn __construct() -> Self {
        Self
    }

    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// A `TypeError` for what PHP does not convert to a string.
    pub fn push(topics: &[&Zval]) -> PhpResult<bool> {
        function::run(|engine| push(engine, "SseTrigger::push()", topics, ini::publish()))
    }

    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn defer(topics: &[&Zval]) -> PhpResult<bool> {
        function::run(|engine| push(engine, "SseTrigger::defer()", topics, Ok(PublishMode::Commit)))
    }
}

fn push(
    engine: &mut Engine,
    function: &'static str,
    topics: &[&Zval],
    mode: Result<PublishMode, ConfigError>,
) -> Result<bool, Problem> {
    // Held before the conversion of one may change the others.
    let values: Vec<Value> = topics.iter().map(|value| Value::of(value)).collect();
    let given = values.len();
    let mut topics = Vec::with_capacity(given);
    // Those after one that is no topic, too: a wrong type is an error wherever it is.
    for (position, value) in (1..).zip(values) {
        let parameter = Parameter { function, position, name: "", expected: "of type string" };
        match parameter.text(engine, value) {
            Ok(topic) if topic::check_topic(&topic).is_ok() => topics.push(topic),
            Ok(_) | Err(Problem::Argument(_)) => {}
            Err(problem) => return Err(problem),
        }
    }
    if given == 0 || topics.len() < given {
        return Ok(false);
    }
    // A setting that can't be used leaves no hub to notify either.
    match (mode, ini::commit_bytes()) {
        (Ok(PublishMode::Commit), Ok(limit)) => {
            if let Some(held) = commit::hold_notifications(&topics, limit) {
                return Ok(held);
            }
        }
        (Ok(_), Ok(_)) => {}
        _ => return Ok(false),
    }
    Ok(hub_connection::post(&Request::Trigger { topics: arguments::borrowed(&topics) }).is_ok())
}
