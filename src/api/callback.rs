//! The `$render` of a stream: running it, and turning what it returns into events.

use ext_php_rs::types::{ZendStr, Zval};
use sse_hub::event::NewEvent;

use super::exceptions::Problem;
use super::{data, event};
use crate::zend::NoValue;
use crate::{ini, rendering, zend};

/// A checked callback.
#[derive(Debug)]
pub struct Callback<'a> {
    callable: &'a Zval,
    /// The name of an event that is returned as a mere value.
    name: Option<&'a str>,
}

/// What a callback's run is to send.
#[derive(Debug, Default)]
pub struct Frames {
    /// Complete events as they are in a stream.
    pub bytes: Vec<u8>,
    /// The id of the last one that has any.
    pub last_id: Option<String>,
}

impl<'a> Callback<'a> {
    /// A callback that PHP has found to be callable.
    ///
    /// # Errors
    /// `Argument` for a name that no event can have.
    pub fn new(callable: &'a Zval, name: Option<&'a str>) -> Result<Self, Problem> {
        NewEvent { name, ..NewEvent::default() }.check_content()?;
        Ok(Self { callable, name })
    }

    /// Runs it with these events.
    ///
    /// # Errors
    /// `Pending` if it did not return; `Argument` if what it returned can't be sent.
    pub fn run(&self, events: Vec<Zval>) -> Result<Frames, Problem> {
        let mut list = Zval::new();
        list.set_array(events).map_err(|error| Problem::Other(error.to_string()))?;
        let frames = match zend::call_value(self.callable, vec![list]) {
            Ok(returned) => self.frames(&returned),
            Err(NoValue::Interrupted) => Err(Problem::Pending),
            Err(NoValue::Missing) => Err(Problem::Other("sse_stream(): $render can't be called".into())),
        };
        if let Err(problem) = &frames {
            // Where nothing is pending it is a bailout, and PHP has kept its error.
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

    fn frames(&self, returned: &Zval) -> Result<Frames, Problem> {
        let mut frames = Frames::default();
        let returned = returned.dereference();
        if zend::is_generator(returned) {
            // Item by item, so that an endless one ends at the limit.
            while method(returned, "valid")?.is_true() {
                self.add(&mut frames, &method(returned, "current")?)?;
                method(returned, "next")?;
            }
            return Ok(frames);
        }
        match returned.array().filter(|table| table.values().any(event::is_event)) {
            Some(events) => {
                if let Some(other) = events.values().find(|value| !event::is_event(value) && !value.is_null()) {
                    return Err(Problem::Argument(format!(
                        "sse_stream(): $render returned an array of SseEvents with {} in it; return SseEvents only, or a \
                         generator",
                        zend::type_name(other.dereference())
                    )));
                }
                events.values().try_for_each(|value| self.add(&mut frames, value))?;
            }
            None => self.add(&mut frames, returned)?,
        }
        Ok(frames)
    }

    /// Adds one event.
    fn add(&self, frames: &mut Frames, value: &Zval) -> Result<(), Problem> {
        let value = value.dereference();
        if value.is_null() {
            return Ok(());
        }
        let Some(parts) = event::parts(value) else {
            return write(frames, self.name, None, value);
        };
        if parts.is_trigger {
            return Ok(());
        }
        let given = |text: &'_ Zval| text.string().filter(|text| !text.is_empty());
        let (name, id) = (given(&parts.name), given(&parts.id));
        write(frames, name.as_deref(), id, &parts.data)
    }
}

/// Calls a method of a generator.
fn method(generator: &Zval, name: &str) -> Result<Zval, Problem> {
    let mut callable = Zval::new();
    let mut text = Zval::new();
    text.set_string(name, false).map_err(|error| Problem::Other(error.to_string()))?;
    callable.set_array(vec![generator.shallow_clone(), text]).map_err(|error| Problem::Other(error.to_string()))?;
    zend::call_value(&callable, Vec::new()).map_err(|why| Problem::no_value(name, why))
}

fn write(frames: &mut Frames, name: Option<&str>, id: Option<String>, value: &Zval) -> Result<(), Problem> {
    let text = data::text(value)?;
    let data = text.zend_str().map(ZendStr::as_bytes).unwrap_or_default();
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
