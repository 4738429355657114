//! The `$render` callback of a stream: runs it and turns its result into events.

use ext_php_rs::types::{ZendStr, Zval};
use sse_protocol::event::NewEvent;

use super::exceptions::Problem;
use super::{data, event};
use crate::php::engine::{Engine, Value};
use crate::zend::NoValue;
use crate::{ini, rendering, zend};

/// A checked callback.
#[derive(Debug)]
pub struct Callback {
    callable: Value,
    /// The event type for results that are plain values.
    name: Option<String>,
}

/// The output of one callback run.
#[derive(Debug, Default)]
pub struct Frames {
    /// Complete events in stream format.
    pub bytes: Vec<u8>,
    /// The id of the last event that has one.
    pub last_id: Option<String>,
}

impl Callback {
    /// Wraps a callable that PHP has checked.
    ///
    /// # Errors
    /// `Argument` for an invalid event type.
    pub fn new(callable: Value, name: Option<String>) -> Result<Self, Problem> {
        NewEvent { name: name.as_deref(), ..NewEvent::default() }.check_content()?;
        Ok(Self { callable, name })
    }

    /// Runs the callback with these events.
    ///
    /// # Errors
    /// `Pending` if it did not return; `Argument` if its result can't be sent.
    pub fn run(&self, engine: &mut Engine, events: Vec<Zval>) -> Result<Frames, Problem> {
        let mut list = Zval::new();
        list.set_array(events).map_err(|error| Problem::Other(error.to_string()))?;
        let frames = match zend::call_value(engine, &self.callable, vec![list.into()]) {
            Ok(returned) => self.frames(engine, &returned),
            Err(NoValue::Interrupted) => Err(Problem::Pending),
            Err(NoValue::Missing) => Err(Problem::Other("sse_stream(): $render can't be called".into())),
        };
        if let Err(problem) = &frames {
            // Without a pending exception this is a bailout, and PHP has kept its error.
            match problem {
                Problem::Pending => rendering::failed_by(zend::pending_exception()),
                Problem::Argument(message)
                | Problem::Type(message)
                | Problem::Unavailable(message)
                | Problem::Other(message) => {
                    rendering::failed_by(Some(message.clone()));
                }
            }
        }
        frames
    }

    fn frames(&self, engine: &mut Engine, returned: &Value) -> Result<Frames, Problem> {
        let mut frames = Frames::default();
        if zend::is_generator(returned.look(engine)) {
            // Item by item, so that an endless generator stops at the size limit.
            while method(engine, returned, "valid")?.look(engine).is_true() {
                let item = method(engine, returned, "current")?;
                self.add(engine, &mut frames, &item)?;
                // The item's destructor runs before the generator continues.
                drop(item);
                method(engine, returned, "next")?;
            }
            return Ok(frames);
        }
        let table = returned.look(engine).array();
        match table.filter(|table| table.values().any(event::is_event)) {
            Some(events) => {
                if let Some(other) = events.values().find(|value| !event::is_event(value) && !value.is_null()) {
                    return Err(Problem::Argument(format!(
                        "sse_stream(): $render returned an array of SseEvents with {} in it; return SseEvents only, or a \
                         generator",
                        zend::type_name(other.dereference())
                    )));
                }
                // Hold each event separately: code that encodes one may change what the others refer to.
                let events: Vec<Value> = events.values().map(Value::of).collect();
                events.iter().try_for_each(|value| self.add(engine, &mut frames, value))?;
            }
            None => self.add(engine, &mut frames, returned)?,
        }
        Ok(frames)
    }

    /// Adds one event.
    fn add(&self, engine: &mut Engine, frames: &mut Frames, value: &Value) -> Result<(), Problem> {
        let zval = value.look(engine);
        if zval.is_null() {
            return Ok(());
        }
        let Some(parts) = event::parts(zval) else {
            return write(engine, frames, self.name.as_deref(), None, Value::of(zval));
        };
        if parts.is_trigger {
            return Ok(());
        }
        write(engine, frames, parts.name.as_deref(), parts.id, parts.data)
    }
}

/// Calls a method of a generator.
fn method(engine: &mut Engine, generator: &Value, name: &str) -> Result<Value, Problem> {
    let mut callable = Zval::new();
    let mut text = Zval::new();
    text.set_string(name, false).map_err(|error| Problem::Other(error.to_string()))?;
    let generator = generator.look(engine).shallow_clone();
    callable.set_array(vec![generator, text]).map_err(|error| Problem::Other(error.to_string()))?;
    zend::call_value(engine, &callable.into(), Vec::new()).map_err(|why| Problem::no_value(name, why))
}

fn write(
    engine: &mut Engine,
    frames: &mut Frames,
    name: Option<&str>,
    id: Option<String>,
    value: Value,
) -> Result<(), Problem> {
    let text = data::text(engine, value)?;
    let data = text.look(engine).zend_str().map(ZendStr::as_bytes).unwrap_or_default();
    let event = NewEvent { name, id: id.as_deref(), data, ..NewEvent::default() };
    let returned = |problem: &str| Problem::Argument(format!("sse_stream(): what $render returned: {problem}"));
    event.check_content().map_err(|error| returned(&error.to_string()))?;
    event.write(event.id, &mut frames.bytes);
    let (size, limit) = (frames.bytes.len(), ini::max_event_size()?);
    if size > limit {
        return Err(returned(&format!(
            "{size} bytes of events; sse.max_event_size allows {limit} for one render; raise it, or send where the client \
             can fetch the rest"
        )));
    }
    if id.is_some() {
        frames.last_id = id;
    }
    Ok(())
}
