//! The `$render` callback of a stream: runs it and turns its result into events.

use std::hash::{DefaultHasher, Hash, Hasher};

use ext_php_rs::types::{ZendStr, Zval};
use sse_protocol::event::NewEvent;

use super::exceptions::Problem;
use super::{data, end, event};
use crate::hub_connection::CallbackFrames;
use crate::php::arguments::values;
use crate::php::engine::{Engine, Value};
use crate::php::zend;
use crate::php::zend::NoValue;
use crate::{ini, replay};

/// A checked callback.
#[derive(Debug)]
pub struct Callback {
    callable: Value,
    /// The event type for results that are plain values.
    event_type: Option<String>,
}

impl Callback {
    /// Wraps a callable that PHP has checked.
    ///
    /// # Errors
    /// `Argument` for an invalid event type.
    pub fn new(callable: Value, event_type: Option<String>) -> Result<Self, Problem> {
        NewEvent { event_type: event_type.as_deref(), ..NewEvent::default() }.check_content()?;
        Ok(Self { callable, event_type })
    }

    /// Runs the callback with these events, and the stream's public id if there is one to tell.
    ///
    /// # Errors
    /// `Pending` if it did not return; `Argument` if its result can't be sent.
    pub fn run(&self, engine: &mut Engine, events: Vec<Zval>, public: Option<&str>) -> Result<CallbackFrames, Problem> {
        let mut list = Zval::new();
        list.set_array(events).map_err(|error| Problem::Other(error.to_string()))?;
        let mut arguments = vec![list.into()];
        if let Some(public) = public {
            let mut text = Zval::new();
            text.set_string(public, false).map_err(|error| Problem::Other(error.to_string()))?;
            arguments.push(text.into());
        }
        let frames = match zend::call_value(engine, &self.callable, arguments) {
            Ok(returned) => self.frames(engine, &returned),
            Err(NoValue::Interrupted) => Err(Problem::Pending),
            Err(NoValue::Missing) => Err(Problem::Other("sse_stream(): $render can't be called".into())),
        };
        if let Err(problem) = &frames {
            // Without a pending exception this is a bailout, and PHP has kept its error.
            match problem {
                Problem::Pending => replay::failed_by(zend::pending_exception()),
                Problem::Argument(message)
                | Problem::Type(message)
                | Problem::Unavailable(message)
                | Problem::Other(message) => {
                    replay::failed_by(Some(message.clone()));
                }
            }
        }
        frames
    }

    fn frames(&self, engine: &mut Engine, returned: &Value) -> Result<CallbackFrames, Problem> {
        let mut frames = CallbackFrames::default();
        if zend::is_generator(returned.look(engine)) {
            // Item by item, so that an endless generator stops at the size limit.
            while method(engine, returned, "valid")?.look(engine).is_true() {
                let item = method(engine, returned, "current")?;
                self.add(engine, &mut frames, &item)?;
                if frames.ends {
                    break;
                }
                // The item's destructor runs before the generator continues.
                drop(item);
                method(engine, returned, "next")?;
            }
            return Ok(frames);
        }
        let table = returned.look(engine).array();
        let is_ours = |value: &Zval| event::is_event(value) || end::is_end(value);
        match table.filter(|table| values(table).any(is_ours)) {
            Some(events) => {
                if let Some(other) = values(events).find(|value| !is_ours(value) && !value.is_null()) {
                    return Err(Problem::Argument(format!(
                        "sse_stream(): $render returned an array of SseEvents with {} in it; return SseEvents only, or a \
                         generator",
                        zend::type_name(other.dereference())
                    )));
                }
                // Hold each event separately: code that encodes one may change what the others refer to.
                let events: Vec<Value> = values(events).map(Value::of).collect();
                for value in &events {
                    self.add(engine, &mut frames, value)?;
                    if frames.ends {
                        break;
                    }
                }
            }
            None => self.add(engine, &mut frames, returned)?,
        }
        Ok(frames)
    }

    /// Adds one event.
    fn add(&self, engine: &mut Engine, frames: &mut CallbackFrames, value: &Value) -> Result<(), Problem> {
        let zval = value.look(engine);
        if zval.is_null() {
            return Ok(());
        }
        if let Some(parts) = end::parts(zval) {
            return conclude(engine, frames, parts);
        }
        let Some(parts) = event::parts(zval) else {
            return write(engine, frames, self.event_type.as_deref(), None, Value::of(zval));
        };
        if parts.is_trigger {
            return Ok(());
        }
        write(engine, frames, parts.event_type.as_deref(), parts.id, parts.data)
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

/// Adds the last event, and an id by which a later request of the client shows that it has that. Without one of the script's, it
/// is made of what is sent: the same end has the same id.
fn conclude(engine: &mut Engine, frames: &mut CallbackFrames, parts: end::EndParts) -> Result<(), Problem> {
    let end::EndParts { data, event_type, id } = parts;
    frames.ends = true;
    if let Some(data) = data {
        let data = data::text(engine, data)?;
        let text = data.look(engine).zend_str().map(ZendStr::as_bytes).unwrap_or_default();
        let id = id.unwrap_or_else(|| ended((&event_type, text)));
        return write(engine, frames, event_type.as_deref(), Some(id), data);
    }
    if id.is_some() || !frames.bytes.is_empty() {
        let id = id.unwrap_or_else(|| ended(&frames.bytes));
        frames.bytes.extend_from_slice(format!("id: {id}\n\n").as_bytes());
        frames.last_id = Some(id);
    }
    Ok(())
}

fn ended(what: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    format!("end-{:016x}", hasher.finish())
}

fn write(
    engine: &mut Engine,
    frames: &mut CallbackFrames,
    event_type: Option<&str>,
    id: Option<String>,
    value: Value,
) -> Result<(), Problem> {
    let text = data::text(engine, value)?;
    let data = text.look(engine).zend_str().map(ZendStr::as_bytes).unwrap_or_default();
    let event = NewEvent { event_type, id: id.as_deref(), data, ..NewEvent::default() };
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
