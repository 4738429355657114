//! `SseEvent`: what a PHP process reads from a subscription, and what a callback receives and may return.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::args::Arg;
use ext_php_rs::builders::{ClassBuilder, FunctionBuilder};
use ext_php_rs::exception::PhpException;
use ext_php_rs::ffi;
use ext_php_rs::flags::{ClassFlags, DataType, MethodFlags};
use ext_php_rs::types::{ZendObject, ZendStr, Zval};
use ext_php_rs::zend::{ClassEntry, ExecuteData, ZendType};
use sse_protocol::event::NewEvent;
use sse_protocol::topic;
use sse_protocol::wire::Delivery;

use super::exceptions::Problem;
use crate::php::engine::Value;
use crate::zend;

static CLASS: AtomicPtr<ClassEntry> = AtomicPtr::new(std::ptr::null_mut());

/// `1 << IS_…`, see `Zend/zend_type_info.h`.
const fn may_be(types: &[u32]) -> u32 {
    let mut mask = 0;
    let mut at = 0;
    while at < types.len() {
        mask |= 1 << types[at];
        at += 1;
    }
    mask
}

/// The properties, in the order of the constructor's arguments.
const PROPERTIES: [(&CStr, u32); 5] = [
    (c"id", may_be(&[ffi::IS_STRING])),
    (c"topic", may_be(&[ffi::IS_STRING])),
    (c"event", may_be(&[ffi::IS_STRING, ffi::IS_NULL])),
    (c"data", ffi::MAY_BE_ANY),
    (c"isTrigger", may_be(&[ffi::IS_FALSE, ffi::IS_TRUE])),
];

/// Registers the class: final, with typed read-only properties.
///
/// # Errors
/// If the engine refuses the class.
pub fn register() -> ext_php_rs::error::Result<()> {
    let constructor = FunctionBuilder::constructor(construct)
        .arg(Arg::new("data", DataType::Mixed).default("null"))
        .arg(Arg::new("event", DataType::String).allow_null().default("null"))
        .arg(Arg::new("id", DataType::String).allow_null().default("null"))
        .required_args(0);
    ClassBuilder::new("SseEvent")
        .method(constructor, MethodFlags::Public)
        .flags(ClassFlags::Final | ClassFlags::NotSerializable)
        .registration(|class, _| {
            for (name, mask) in PROPERTIES {
                declare(class, name, mask);
            }
            CLASS.store(class, Ordering::Release);
        })
        .register()
}

extern "C" fn construct(call: &mut ExecuteData, _: &mut Zval) {
    let (mut data, mut event, mut id) = (
        Arg::new("data", DataType::Mixed),
        Arg::new("event", DataType::String).allow_null(),
        Arg::new("id", DataType::String).allow_null(),
    );
    let (parser, object) = call.parser_object();
    // For an argument of the wrong type, the engine has already set its error.
    if parser.not_required().arg(&mut data).arg(&mut event).arg(&mut id).parse().is_err() {
        return;
    }
    let Some(object) = object else { return };
    let made = optional(event.zval(), 2, "event")
        .and_then(|event| Ok((event, optional(id.zval(), 3, "id")?)))
        .and_then(|(event, id)| made(object, data.zval(), event.as_deref(), id.as_deref()));
    if let Err(problem) = made {
        PhpException::from(problem).throw();
    }
}

/// Reads a `?string` argument.
fn optional(value: Option<&mut &mut Zval>, position: usize, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = value.map(|value| value.dereference()).filter(|value| !value.is_null()) else { return Ok(None) };
    // Database ids are often integers.
    let text = if value.is_string() { value.string() } else { value.long().map(|number| number.to_string()) };
    text.filter(|_| value.is_string() || value.is_long()).map(Some).ok_or_else(|| {
        let given = zend::type_name(value);
        Problem::Type(format!(
            "SseEvent::__construct(): Argument #{position} (${name}) must be of type ?string, {given} given"
        ))
    })
}

fn made(
    object: &mut ZendObject,
    data: Option<&mut &mut Zval>,
    name: Option<&str>,
    id: Option<&str>,
) -> Result<(), Problem> {
    NewEvent { name, id, ..NewEvent::default() }.check_content()?;
    let mut values: [Zval; 5] = std::array::from_fn(|_| Zval::new());
    let [own, topic, event, value, trigger] = &mut values;
    let set = |error: ext_php_rs::error::Error| Problem::Other(error.to_string());
    own.set_string(id.unwrap_or_default(), false).map_err(set)?;
    topic.set_string("", false).map_err(set)?;
    match name {
        Some(name) => event.set_string(name, false).map_err(set)?,
        None => event.set_null(),
    }
    match data {
        Some(data) => *value = data.dereference().shallow_clone(),
        None => value.set_null(),
    }
    trigger.set_bool(false);
    fill(object, &mut values);
    Ok(())
}

/// Whether a value is an `SseEvent`.
pub fn is_event(value: &Zval) -> bool {
    let class = CLASS.load(Ordering::Acquire);
    value.dereference().object().is_some_and(|object| std::ptr::eq(object.ce, class))
}

/// The parts of an event.
#[derive(Debug)]
pub struct Parts {
    /// Never empty.
    pub id: Option<String>,
    /// The event's type. Never empty.
    pub name: Option<String>,
    /// Any PHP value.
    pub data: Value,
    /// The event is a notification.
    pub is_trigger: bool,
}

/// The parts of an `SseEvent`. `None` for any other value.
pub fn parts(value: &Zval) -> Option<Parts> {
    if !is_event(value) {
        return None;
    }
    let object = std::ptr::from_ref(value.dereference().object()?).cast_mut();
    let class = CLASS.load(Ordering::Acquire);
    let property = |name: &CStr| {
        let mut space = Zval::new();
        // SAFETY: the class has these properties, and reading a plain property runs no user code.
        let read = unsafe {
            ffi::zend_read_property(class, object, name.as_ptr(), name.count_bytes(), true, &raw mut space).as_ref()
        };
        read.map_or_else(Zval::null, |read| read.dereference().shallow_clone())
    };
    let text = |name: &CStr| property(name).string().filter(|text| !text.is_empty());
    Some(Parts {
        id: text(c"id"),
        name: text(c"event"),
        data: property(c"data").into(),
        is_trigger: property(c"isTrigger").bool().unwrap_or(false),
    })
}

fn declare(class: &mut ClassEntry, name: &CStr, mask: u32) {
    let flags = ffi::ZEND_ACC_PUBLIC | ffi::ZEND_ACC_READONLY;
    let mut type_ = ZendType::empty(false, false);
    type_.type_mask |= mask;
    // A property without a default must be undefined, not null, until it is written.
    let mut undefined = Zval::new();
    undefined.u1.type_info = ffi::IS_UNDEF;
    // SAFETY: internal classes need permanent interned names. The engine keeps the name and the type.
    unsafe {
        let interned = ZendStr::new_interned(name.to_bytes(), true).into_raw();
        #[allow(clippy::cast_possible_wrap)]
        ffi::zend_declare_typed_property(
            class,
            interned,
            &raw mut undefined,
            flags as i32,
            std::ptr::null_mut(),
            type_,
        );
    }
}

/// Builds the PHP object of a delivery; `None` for a heartbeat. Its topic is the event's first topic that matches one of
/// the patterns.
///
/// # Errors
/// If the engine can't create the values.
pub fn object(delivery: &Delivery<'_>, patterns: &[&str]) -> ext_php_rs::error::Result<Option<Zval>> {
    let mut values: [Zval; 5] = std::array::from_fn(|_| Zval::new());
    let [id, topic, event, data, trigger] = &mut values;
    match delivery {
        Delivery::Heartbeat | Delivery::Replaced { .. } => return Ok(None),
        Delivery::Trigger { topic: changed } => {
            id.set_string("", false)?;
            topic.set_string(changed, false)?;
            event.set_null();
            data.set_null();
            trigger.set_bool(true);
        }
        Delivery::Event { id: own, topics, name, data: bytes } => {
            let watched = |name: &&&str| patterns.iter().any(|pattern| topic::matches(pattern, name));
            let first = topics.iter().find(watched).or(topics.first());
            id.set_string(own, false)?;
            topic.set_string(first.copied().unwrap_or_default(), false)?;
            match name {
                Some(name) => event.set_string(name, false)?,
                None => event.set_null(),
            }
            data.set_zend_string(ZendStr::new(bytes, false));
            trigger.set_bool(false);
        }
    }
    let class = CLASS.load(Ordering::Acquire);
    let mut object = Zval::new();
    // SAFETY: the class is registered and can be instantiated.
    unsafe { ffi::object_init_ex(&raw mut object, class) };
    if let Some(target) = object.object_mut() {
        fill(target, &mut values);
    }
    Ok(Some(object))
}

/// Writes the properties of a new object.
fn fill(object: &mut ZendObject, values: &mut [Zval; 5]) {
    let class = CLASS.load(Ordering::Acquire);
    for ((name, _), value) in PROPERTIES.iter().zip(values) {
        // SAFETY: the engine copies each value. A read-only property may be written once, from the scope of its class,
        // which this call uses. A second write throws the engine's own error.
        unsafe { ffi::zend_update_property(class, object, name.as_ptr(), name.count_bytes(), value) };
    }
}
