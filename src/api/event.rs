//! `SseEvent`: what a PHP process reads from a subscription.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::builders::{ClassBuilder, FunctionBuilder};
use ext_php_rs::ffi;
use ext_php_rs::flags::{ClassFlags, MethodFlags};
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::zend::{ClassEntry, ExecuteData, ZendType};
use sse_hub::wire::Delivery;

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

/// Registers the class: final, with typed properties that can be read only.
///
/// # Errors
/// If the engine refuses it.
pub fn register() -> ext_php_rs::error::Result<()> {
    extern "C" fn construct(_: &mut ExecuteData, _: &mut Zval) {}
    ClassBuilder::new("SseEvent")
        .method(FunctionBuilder::constructor(construct), MethodFlags::Private)
        .flags(ClassFlags::Final | ClassFlags::NotSerializable)
        .registration(|class, _| {
            for (name, mask) in PROPERTIES {
                declare(class, name, mask);
            }
            CLASS.store(class, Ordering::Release);
        })
        .register()
}

fn declare(class: &mut ClassEntry, name: &CStr, mask: u32) {
    let flags = ffi::ZEND_ACC_PUBLIC | ffi::ZEND_ACC_READONLY;
    let mut type_ = ZendType::empty(false, false);
    type_.type_mask |= mask;
    // A property without a default must be undefined, not null, until it is written.
    let mut undefined = Zval::new();
    undefined.u1.type_info = ffi::IS_UNDEF;
    // SAFETY: internal classes need permanent interned names; the engine keeps both the name and the type.
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

/// The PHP object of a delivery; `None` for a heartbeat.
///
/// # Errors
/// If the engine can't make the values.
pub fn object(delivery: &Delivery<'_>, matching: impl Fn(&str) -> bool) -> ext_php_rs::error::Result<Option<Zval>> {
    let mut values: [Zval; 5] = std::array::from_fn(|_| Zval::new());
    let [id, topic, event, data, trigger] = &mut values;
    match delivery {
        Delivery::Heartbeat => return Ok(None),
        Delivery::Trigger { topic: changed } => {
            id.set_string("", false)?;
            topic.set_string(changed, false)?;
            event.set_null();
            data.set_null();
            trigger.set_bool(true);
        }
        Delivery::Event { id: own, topics, name, data: bytes } => {
            let first = topics.iter().find(|topic| matching(topic)).or(topics.first());
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
    // SAFETY: the class is registered and can be instantiated; the engine copies each value it is given. Properties
    // that are read-only may be written once, from the class's own scope, which this function takes.
    unsafe {
        ffi::object_init_ex(&raw mut object, class);
        if let Some(target) = object.object_mut() {
            for ((name, _), value) in PROPERTIES.iter().zip(&mut values) {
                ffi::zend_update_property(class, target, name.as_ptr(), name.count_bytes(), value);
            }
        }
    }
    Ok(Some(object))
}
