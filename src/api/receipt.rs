//! `SseReceipt`: what `sse_publish()` returns with `$report`.

use ext_php_rs::args::Arg;
use ext_php_rs::builders::{ClassBuilder, FunctionBuilder};
use ext_php_rs::convert::IntoZval;
use ext_php_rs::ffi;
use ext_php_rs::flags::{ClassFlags, DataType, MethodFlags};
use ext_php_rs::types::{ZendObject, Zval};
use ext_php_rs::zend::ExecuteData;

use super::arguments::Parameter;
use super::event::may_be;
use super::exceptions::Problem;
use crate::php::class::{Class, Property};
use crate::php::engine::{Engine, Value};
use crate::php::function;

static CLASS: Class = Class::new();

const FUNCTION: &str = "SseReceipt::__construct()";

/// The properties, in the order of the constructor's arguments.
const PROPERTIES: [Property; 3] = [
    (c"id", may_be(&[ffi::IS_STRING])),
    (c"watchers", may_be(&[ffi::IS_LONG, ffi::IS_NULL])),
    (c"duplicate", may_be(&[ffi::IS_FALSE, ffi::IS_TRUE])),
];

/// What is known of an event that was published.
#[derive(Debug, Default)]
pub struct Receipt {
    /// The event's id.
    pub id: String,
    /// How many streams it went to, if that is known.
    pub watchers: Option<u64>,
    /// It was published before, with the same key.
    pub duplicate: bool,
}

impl Receipt {
    fn fill(self, object: &mut ZendObject) -> ext_php_rs::error::Result<()> {
        let watchers = self.watchers.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let mut values = [self.id.into_zval(false)?, watchers.into_zval(false)?, self.duplicate.into_zval(false)?];
        CLASS.fill(object, &PROPERTIES, &mut values);
        Ok(())
    }
}

/// What `sse_publish()` returns.
#[derive(Debug)]
pub enum PublishResult {
    /// The event's id.
    Id(String),
    /// With `$report`.
    Receipt(Receipt),
}

impl Default for PublishResult {
    fn default() -> Self {
        Self::Id(String::new())
    }
}

/// `src/php/signatures.rs` adds the string to the type that Reflection shows.
impl IntoZval for PublishResult {
    const TYPE: DataType = DataType::object("SseReceipt");
    const NULLABLE: bool = false;

    fn set_zval(self, value: &mut Zval, persistent: bool) -> ext_php_rs::error::Result<()> {
        match self {
            Self::Id(id) => value.set_string(&id, persistent),
            Self::Receipt(receipt) => {
                *value = CLASS.create().unwrap_or_else(Zval::null);
                value.object_mut().map_or(Ok(()), |object| receipt.fill(object))
            }
        }
    }
}

/// Registers the class: final, with typed read-only properties.
///
/// # Errors
/// If the engine refuses the class.
pub fn register() -> ext_php_rs::error::Result<()> {
    let constructor = FunctionBuilder::constructor(construct)
        .arg(Arg::new("id", DataType::String))
        .arg(Arg::new("watchers", DataType::Long).allow_null().default("null"))
        .arg(Arg::new("duplicate", DataType::Bool).default("false"))
        .required_args(1);
    ClassBuilder::new("SseReceipt")
        .method(constructor, MethodFlags::Public)
        .flags(ClassFlags::Final | ClassFlags::NotSerializable)
        .registration(|class, _| CLASS.set_with(class, &PROPERTIES))
        .register()
}

extern "C" fn construct(call: &mut ExecuteData, _: &mut Zval) {
    if let Err(exception) = function::run(|engine| construct_with(engine, call)) {
        exception.throw();
    }
}

fn construct_with(engine: &mut Engine, call: &mut ExecuteData) -> Result<(), Problem> {
    let (mut id, mut watchers, mut duplicate) = (
        Arg::new("id", DataType::Mixed),
        Arg::new("watchers", DataType::Mixed).allow_null(),
        Arg::new("duplicate", DataType::Mixed),
    );
    let (parser, object) = call.parser_object();
    // With too few or too many arguments, the engine has already set its error.
    if parser.arg(&mut id).not_required().arg(&mut watchers).arg(&mut duplicate).parse().is_err() {
        return Ok(());
    }
    let held = |argument: &mut Arg<'_>| argument.zval().map(|value| Value::of(value));
    let (id, watchers, duplicate) = (held(&mut id), held(&mut watchers), held(&mut duplicate));
    let (Some(object), Some(id)) = (object, id) else { return Ok(()) };
    let parameter = |position, name, expected| Parameter { function: FUNCTION, position, name, expected };
    let id = parameter(1, "$id", "of type string").text(engine, id)?;
    let watchers = parameter(2, "$watchers", "of type ?int").optional_number(engine, watchers)?;
    let number = |given: i64| {
        let negative = |_| Problem::Argument(format!("{FUNCTION}: $watchers must not be negative, {given} given"));
        u64::try_from(given).map_err(negative)
    };
    let watchers = watchers.map(number).transpose()?;
    let duplicate = parameter(3, "$duplicate", "of type bool").flag(engine, duplicate)?;
    Receipt { id, watchers, duplicate }.fill(object).map_err(|error| Problem::Other(error.to_string()))
}
