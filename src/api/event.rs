//! `SseEvent`: what a PHP process reads from a subscription, and what a callback receives and may return.

use std::ffi::CStr;

use ext_php_rs::args::Arg;
use ext_php_rs::builders::{ClassBuilder, FunctionBuilder};
use ext_php_rs::ffi;
use ext_php_rs::flags::{ClassFlags, DataType, MethodFlags};
use ext_php_rs::types::{ZendObject, ZendStr, Zval};
use ext_php_rs::zend::ExecuteData;
use sse_protocol::event::NewEvent;
use sse_protocol::topic;
use sse_protocol::wire::Delivery;

use super::arguments::Parameter;
use super::exceptions::Problem;
use crate::php::class::{Class, Property};
use crate::php::engine::{Engine, Value};
use crate::php::function;

static CLASS: Class = Class::new();

/// `1 << IS_…`, see `Zend/zend_type_info.h`.
pub(super) const fn may_be(types: &[u32]) -> u32 {
    let mut mask = 0;
    let mut at = 0;
    while at < types.len() {
        mask |= 1 << types[at];
        at += 1;
    }
    mask
}

/// The properties, in the order of the constructor's arguments.
const PROPERTIES: [Property; 6] = [
    (c"id", may_be(&[ffi::IS_STRING])),
    (c"topic", may_be(&[ffi::IS_STRING])),
    (c"event", may_be(&[ffi::IS_STRING, ffi::IS_NULL])),
    (c"data", ffi::MAY_BE_ANY),
    (c"isTrigger", may_be(&[ffi::IS_FALSE, ffi::IS_TRUE])),
    (c"traceparent", may_be(&[ffi::IS_STRING, ffi::IS_NULL])),
];

/// Registers the class: final, with typed read-only properties.
///
/// # Errors
/// If the engine refuses the class.
pub fn register() -> ext_php_rs::error::Result<()> {
    ClassBuilder::new("SseEvent")
        .method(constructor(construct), MethodFlags::Public)
        .flags(ClassFlags::Final | ClassFlags::NotSerializable)
        .registration(|class, _| CLASS.set_with(class, &PROPERTIES))
        .register()
}

/// The constructor of what a callback may return.
pub(super) fn constructor(function: extern "C" fn(&mut ExecuteData, &mut Zval)) -> FunctionBuilder<'static> {
    FunctionBuilder::constructor(function)
        .arg(Arg::new("data", DataType::Mixed).default("null"))
        .arg(Arg::new("event", DataType::String).allow_null().default("null"))
        .arg(Arg::new("id", DataType::String).allow_null().default("null"))
        .required_args(0)
}

extern "C" fn construct(call: &mut ExecuteData, _: &mut Zval) {
    if let Err(exception) = function::run(|engine| construct_with(engine, call, "SseEvent::__construct()", made)) {
        exception.throw();
    }
}

/// Reads and checks the arguments of a [`constructor`], and calls `made` with the new object, data, type and id.
///
/// # Errors
/// `Type` or `Argument`.
pub(super) fn construct_with(
    engine: &mut Engine,
    call: &mut ExecuteData,
    function: &'static str,
    made: impl FnOnce(&mut ZendObject, Option<Zval>, Option<&str>, Option<&str>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let (mut data, mut event, mut id) = (
        Arg::new("data", DataType::Mixed),
        Arg::new("event", DataType::Mixed).allow_null(),
        Arg::new("id", DataType::Mixed).allow_null(),
    );
    let (parser, object) = call.parser_object();
    // With too many arguments, the engine has already set its error.
    if parser.not_required().arg(&mut data).arg(&mut event).arg(&mut id).parse().is_err() {
        return Ok(());
    }
    let Some(object) = object else { return Ok(()) };
    let held = |argument: &mut Arg<'_>| argument.zval().map(|value| Value::of(value));
    let (data, event, id) = (held(&mut data), held(&mut event), held(&mut id));
    let optional = |position, name| Parameter { function, position, name, expected: "of type ?string" };
    let event = optional(2, "$event").optional_text(engine, event)?;
    let id = match id.as_ref().and_then(|id| id.look(engine).long()) {
        // Database ids are often integers; with strict_types too.
        Some(number) => Some(number.to_string()),
        None => optional(3, "$id").optional_text(engine, id)?,
    };
    let (event, id) = (event.as_deref(), id.as_deref());
    NewEvent { event_type: event, id, ..NewEvent::default() }.check_content()?;
    made(object, data.map(|data| data.look(engine).shallow_clone()), event, id)
}

fn made(
    object: &mut ZendObject,
    data: Option<Zval>,
    event_type: Option<&str>,
    id: Option<&str>,
) -> Result<(), Problem> {
    let mut values: [Zval; 6] = std::array::from_fn(|_| Zval::new());
    let [own, topic, event, value, trigger, traceparent] = &mut values;
    let set = |error: ext_php_rs::error::Error| Problem::Other(error.to_string());
    own.set_string(id.unwrap_or_default(), false).map_err(set)?;
    topic.set_string("", false).map_err(set)?;
    match event_type {
        Some(event_type) => event.set_string(event_type, false).map_err(set)?,
        None => event.set_null(),
    }
    match data {
        Some(data) => *value = data,
        None => value.set_null(),
    }
    trigger.set_bool(false);
    traceparent.set_null();
    CLASS.fill(object, &PROPERTIES, &mut values);
    Ok(())
}

/// Whether a value is an `SseEvent`.
pub fn is_event(value: &Zval) -> bool {
    CLASS.is_of(value)
}

/// The parts of an event.
#[derive(Debug)]
pub struct EventParts {
    /// Never empty.
    pub id: Option<String>,
    /// The event's type. Never empty.
    pub event_type: Option<String>,
    /// Any PHP value.
    pub data: Value,
    /// The event is a notification.
    pub is_trigger: bool,
}

/// The parts of an `SseEvent`. `None` for any other value.
pub fn parts(value: &Zval) -> Option<EventParts> {
    if !is_event(value) {
        return None;
    }
    let property = |name: &CStr| CLASS.read(value, name);
    let text = |name: &CStr| property(name).string().filter(|text| !text.is_empty());
    Some(EventParts {
        id: text(c"id"),
        event_type: text(c"event"),
        data: property(c"data").into(),
        is_trigger: property(c"isTrigger").bool().unwrap_or(false),
    })
}

/// Builds the PHP object of a delivery; `None` for a heartbeat. Its topic is the event's first topic that matches one of
/// the patterns.
///
/// # Errors
/// If the engine can't create the values.
pub fn object(delivery: &Delivery<'_>, patterns: &[&str]) -> ext_php_rs::error::Result<Option<Zval>> {
    let mut values: [Zval; 6] = std::array::from_fn(|_| Zval::new());
    let [id, topic, event, data, trigger, trace] = &mut values;
    trace.set_null();
    match delivery {
        Delivery::Heartbeat | Delivery::Replaced { .. } | Delivery::Retry { .. } => return Ok(None),
        Delivery::Trigger { topic: changed } => {
            id.set_string("", false)?;
            topic.set_string(changed, false)?;
            event.set_null();
            data.set_null();
            trigger.set_bool(true);
        }
        Delivery::Event { id: own, topics, event_type, data: bytes, traceparent } => {
            let watched = |name: &&&str| patterns.iter().any(|pattern| topic::matches(pattern, name));
            let first = topics.iter().find(watched).or(topics.first());
            id.set_string(own, false)?;
            topic.set_string(first.copied().unwrap_or_default(), false)?;
            match event_type {
                Some(event_type) => event.set_string(event_type, false)?,
                None => event.set_null(),
            }
            data.set_zend_string(ZendStr::new(bytes, false));
            trigger.set_bool(false);
            if let Some(traceparent) = traceparent {
                trace.set_string(traceparent, false)?;
            }
        }
    }
    let mut object = CLASS.create().unwrap_or_else(Zval::null);
    if let Some(target) = object.object_mut() {
        CLASS.fill(target, &PROPERTIES, &mut values);
    }
    Ok(Some(object))
}
