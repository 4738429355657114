//! `sse_stream()`.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_hub::client::ClientError;
use sse_hub::wire::ErrorCode;

use super::arguments::{self, Options};
use super::exceptions::{Problem, settle};
use crate::handoff::{self, Connection, NoHandOff};
use crate::response::{self, Interrupted, Wanted};
use crate::spawn::{self, Held, SpawnError};
use crate::{blocking, ini, zend};

/// Seconds after which a client that found the hub full may try again.
const RETRY_AFTER: u32 = 5;

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_stream))
}

/// Makes the response an event stream. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, `SseException`; nothing has been changed then.
#[php_function]
pub fn sse_stream(topics: &Zval, render: Option<&Zval>, options: Option<&ZendHashTable>) -> PhpResult<bool> {
    let render = render.filter(|render| !render.is_null());
    settle(stream(topics, render, options).map(|outcome| outcome == Outcome::HandedOver))
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The hub has the stream.
    HandedOver,
    /// The response is complete: the client has left, or wanted headers only, or was refused.
    Served,
    /// User code that ran meanwhile did not return.
    Interrupted,
}

impl From<Interrupted> for Outcome {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

/// What the hub said to a connection.
pub enum Attached {
    /// It holds the connection.
    Held(Held),
    /// It has no room. The client has been told.
    Refused(Outcome),
}

/// A checked call.
pub struct Stream<'a> {
    patterns: Vec<&'a str>,
    heartbeat: u32,
    retry: u32,
    detach: bool,
    headers: Vec<String>,
}

fn stream(topics: &Zval, render: Option<&Zval>, options: Option<&ZendHashTable>) -> Result<Outcome, Problem> {
    let stream = Stream::new(topics, render, options)?;
    if response::check()? == Wanted::HeadersOnly {
        return Ok(stream.headers_only());
    }
    if stream.detach {
        match handoff::find() {
            Ok(connection) => {
                if let Some(outcome) = stream.hand_over(connection)? {
                    return Ok(outcome);
                }
            }
            Err(NoHandOff::Unsupported(_)) => {}
            Err(reason @ NoHandOff::Unproved(_)) => stays_in_worker(&reason.to_string()),
        }
    }
    blocking::serve(&stream)
}

impl<'a> Stream<'a> {
    fn new(topics: &'a Zval, render: Option<&Zval>, options: Option<&ZendHashTable>) -> Result<Self, Problem> {
        const FUNCTION: &str = "sse_stream()";
        let patterns = arguments::patterns(FUNCTION, topics)?;
        if let Some(other) = render.filter(|render| !render.is_callable()) {
            let given = zend::type_name(other);
            return Err(Problem::Type(format!(
                "{FUNCTION}: Argument #2 ($render) must be of type ?callable, {given} given; options are the third argument, \
                 or named: options: [...]"
            )));
        }
        if render.is_some() {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: $render is not available in this version; publish events with sse_publish() instead"
            )));
        }
        let mut options = Options::new(FUNCTION, options);
        let heartbeat = options.number("heartbeat", "seconds, 0 for none", ini::MAX_HEARTBEAT)?;
        let retry = options.number("retry", "milliseconds, 0 for none", ini::MAX_RETRY)?;
        let detach = options.boolean("detach")?;
        let headers = options.headers("headers")?;
        options.finish()?;
        Ok(Self {
            patterns,
            heartbeat: heartbeat.map_or_else(ini::heartbeat, Ok)?,
            retry: retry.map_or_else(ini::retry, Ok)?,
            detach: detach.unwrap_or(true) && ini::detach()?,
            headers,
        })
    }

    /// Asks the hub to hold a connection for this stream.
    ///
    /// # Errors
    /// `Unavailable` if there is no hub.
    pub fn attach(&self, descriptor: BorrowedFd<'_>) -> Result<Attached, Problem> {
        match spawn::attach(&self.patterns, self.heartbeat, self.retry, descriptor) {
            Ok(held) => Ok(Attached::Held(held)),
            Err(SpawnError::Client(ClientError::Hub { code: ErrorCode::Full, .. })) => {
                Ok(Attached::Refused(self.refuse()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the response's headers, with those that the server needs besides.
    ///
    /// # Errors
    /// [`Interrupted`] if user code that ran meanwhile did not return.
    pub fn begin(&self, extra: Option<&str>) -> Result<(), Interrupted> {
        let mut headers = self.headers.clone();
        headers.extend(extra.map(str::to_owned));
        response::begin(&headers)
    }

    fn headers_only(&self) -> Outcome {
        let outcome = self.begin(None);
        response::silence();
        outcome.map_or_else(Outcome::from, |()| Outcome::Served)
    }

    fn refuse(&self) -> Outcome {
        // After a hand-off that failed late it is too late for another status.
        let outcome = if response::begun() { Ok(()) } else { response::refuse(RETRY_AFTER) };
        response::silence();
        outcome.map_or_else(Outcome::from, |()| Outcome::Served)
    }

    /// Hands the connection over. `None` if that failed after the headers were sent, and the stream is now to be served
    /// in the worker, which still has the connection.
    fn hand_over(&self, connection: Connection) -> Result<Option<Outcome>, Problem> {
        let held = match self.attach(connection.descriptor())? {
            Attached::Held(held) => held,
            Attached::Refused(outcome) => return Ok(Some(outcome)),
        };
        if let Err(interrupted) = self.begin(connection.extra_header()) {
            spawn::abort(&held);
            return Ok(Some(interrupted.into()));
        }
        let committed = connection.framing().map_err(|error| error.to_string()).and_then(|framing| {
            // The hub may write from here on, and this worker must not: it only replaces its descriptor.
            spawn::commit(&held, framing).map_err(|error| error.to_string())
        });
        match committed {
            Ok(()) => {
                let released = connection.release();
                response::silence();
                match released {
                    Ok(()) => Ok(Some(Outcome::HandedOver)),
                    Err(error) => Err(Problem::Other(format!("the connection could not be let go: {error}"))),
                }
            }
            Err(reason) => {
                spawn::abort(&held);
                stays_in_worker(&reason);
                Ok(None)
            }
        }
    }
}

/// Tells the operator, once a process and in PHP's error log, why streams keep their workers although the server could do
/// better.
fn stays_in_worker(reason: &str) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    zend::log(&format!("sse: a stream is served in its worker: {reason}"));
}
