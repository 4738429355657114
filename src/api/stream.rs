//! `sse_stream()`.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_hub::client::ClientError;
use sse_hub::wire::{self, ErrorCode};

use super::callback::{Callback, Frames};
use super::exceptions::{Problem, settle};
use super::options::Wanted;
use crate::handoff::{self, Connection, NoHandOff};
use crate::original::Original;
use crate::rendering::{self, Run, Token};
use crate::response::{self, Interrupted, Refusal};
use crate::spawn::{self, Held, SpawnError};
use crate::{blocking, variables, zend};

/// To a client that found the hub full.
const NO_ROOM: Refusal =
    Refusal { status: 503, retry_after: 5, sentence: "There is no room for another stream; try again later.\n" };

/// To a client whose address or user has as many streams as allowed.
const TOO_MANY: Refusal = Refusal {
    status: 429,
    retry_after: 5,
    sentence: "You have too many streams open; close one, or try again later.\n",
};

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_stream))
}

/// Makes the response an event stream. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, `SseException`; nothing has been sent then.
#[php_function]
pub fn sse_stream(topics: &Zval, render: Option<&Zval>, options: Option<&ZendHashTable>) -> PhpResult<bool> {
    let render = render.filter(|render| !render.is_null());
    settle(stream(topics, render, options).map(|outcome| outcome == Outcome::HandedOver))
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The hub has the stream, or what was rendered for it.
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

/// Why a stream is not handed over after all.
enum Stays {
    /// For this reason; it is to be served in the worker.
    InWorker(String),
    /// The call has failed.
    Failed(Problem),
}

impl<T: Into<Problem>> From<T> for Stays {
    fn from(problem: T) -> Self {
        Self::Failed(problem.into())
    }
}

/// A checked call.
pub struct Stream<'a> {
    /// What the caller wants.
    pub wanted: Wanted<'a>,
    /// What is to be run for it.
    pub callback: Option<Callback<'a>>,
}

fn stream(topics: &Zval, render: Option<&Zval>, options: Option<&ZendHashTable>) -> Result<Outcome, Problem> {
    let wanted = Wanted::new(topics, render, options)?;
    let callback = render.map(|callable| Callback::new(callable, wanted.event)).transpose()?;
    let stream = Stream { wanted, callback };
    if IN_CALLBACK.get() {
        return Err(Problem::Other("sse_stream() can't be called by its own $render".into()));
    }
    if response::check()? == response::Wanted::HeadersOnly {
        return Ok(stream.headers_only());
    }
    match rendering::run() {
        Some(Run::Wanted(token)) => return stream.replay(&token),
        Some(Run::Over) => return Ok(stream.nobody_waits()),
        None => {}
    }
    if stream.wanted.detach {
        match handoff::find() {
            Ok(connection) => match stream.hand_over(connection) {
                Ok(outcome) => return Ok(outcome),
                Err(Stays::InWorker(reason)) => stays_in_worker(&reason),
                Err(Stays::Failed(problem)) => return Err(problem),
            },
            Err(NoHandOff::Unsupported(_)) => {}
            Err(reason @ NoHandOff::Unproved(_)) => stays_in_worker(&reason.to_string()),
        }
    }
    blocking::serve(&stream)
}

/// A new request: what a bailout has left behind is over.
pub fn reset() {
    IN_CALLBACK.set(false);
}

thread_local! {
    /// A callback runs.
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

impl Stream<'_> {
    /// Asks the hub to hold a connection for this stream. `opens`: this process sends its first lines, which it then has to.
    ///
    /// # Errors
    /// `SpawnError` if there is no hub, or if it can't send the request again.
    pub fn attach(
        &self,
        descriptor: BorrowedFd<'_>,
        opens: bool,
        replay: Option<wire::Replay<'_>>,
    ) -> Result<Attached, SpawnError> {
        let Wanted { patterns, heartbeat, retry, max_lifetime, user, topics_as, last_event_id, .. } = &self.wanted;
        let address = variables::of_server("REMOTE_ADDR");
        let wanted = wire::Attach {
            patterns: patterns.clone(),
            heartbeat: *heartbeat,
            retry: *retry,
            max_lifetime: *max_lifetime,
            last_event_id: last_event_id.as_deref(),
            address: address.as_deref(),
            user: *user,
            topics_as: *topics_as,
            cursor: topics_as.is_none(),
            opens,
            replay,
        };
        match spawn::attach(wanted, descriptor) {
            Ok(held) => Ok(Attached::Held(held)),
            Err(SpawnError::Client(ClientError::Hub { code: ErrorCode::Full, .. })) => {
                Ok(Attached::Refused(self.refuse(&NO_ROOM)))
            }
            Err(SpawnError::Client(ClientError::Hub { code: ErrorCode::TooMany, .. })) => {
                Ok(Attached::Refused(self.refuse(&TOO_MANY)))
            }
            Err(error) => Err(error),
        }
    }

    /// Sends the response's headers, with those that the server needs besides, and what comes first of the body.
    ///
    /// # Errors
    /// [`Interrupted`] if user code that ran meanwhile did not return.
    pub fn begin(&self, extra: Option<&str>, first: &str) -> Result<(), Interrupted> {
        let mut headers = self.wanted.headers.clone();
        headers.extend(extra.map(str::to_owned));
        response::begin(&headers, first)
    }

    /// Runs the callback, with the session let go.
    ///
    /// # Errors
    /// `Pending` if it did not return; `Argument` if what it returned can't be sent.
    pub fn run(&self, callback: &Callback<'_>, events: Vec<Zval>) -> Result<Frames, Problem> {
        response::close_session().map_err(|Interrupted| Problem::Pending)?;
        IN_CALLBACK.set(true);
        let frames = response::muted(|| callback.run(events));
        IN_CALLBACK.set(false);
        frames
    }

    /// The callback's first run, if it is to have one.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_first(&self) -> Result<Frames, Problem> {
        match &self.callback {
            // A hand-off that failed late has sent the headers already.
            Some(callback) if self.wanted.initial => {
                let begun = response::begun();
                let frames = self.run(callback, Vec::new())?;
                if !begun {
                    response::check_unbegun()?;
                }
                Ok(frames)
            }
            _ => Ok(Frames::default()),
        }
    }

    fn headers_only(&self) -> Outcome {
        let outcome = self.begin(None, "");
        response::silence();
        outcome.map_or_else(Outcome::from, |()| Outcome::Served)
    }

    fn refuse(&self, refusal: &Refusal) -> Outcome {
        // After a hand-off that failed late it is too late for another status.
        let outcome = if response::begun() { Ok(()) } else { response::refuse(refusal) };
        response::silence();
        outcome.map_or_else(Outcome::from, |()| Outcome::Served)
    }

    /// This request is one that the hub has sent again: the hub gets what the callback returns, and nobody reads the
    /// response.
    fn replay(&self, run: &Token) -> Result<Outcome, Problem> {
        let patterns = &self.wanted.patterns;
        let frames = match &self.callback {
            None => Some(Frames::default()),
            Some(callback) => match run.events(patterns)? {
                Some(events) => Some(self.run(callback, events)?),
                None => None,
            },
        };
        if let Some(frames) = frames {
            run.finish(self.callback.is_some(), self.wanted.share, patterns, &frames)?;
        }
        Ok(self.nobody_waits())
    }

    /// Begins a response that nobody reads: it is sent when it ends, which is one write for all.
    fn nobody_waits(&self) -> Outcome {
        let begun = response::begin_unread(&self.wanted.headers);
        response::silence();
        begun.map_or_else(Outcome::from, |()| Outcome::HandedOver)
    }

    /// Hands the connection over. Where that is not possible, the worker still has it.
    fn hand_over(&self, connection: Connection) -> Result<Outcome, Stays> {
        let original = match self.wanted.replays(self.callback.is_some()) {
            true => {
                let cannot = |why| Stays::InWorker(format!("its request can't be sent again for a render: {why}"));
                Some(Original::capture().map_err(cannot)?)
            }
            false => None,
        };
        let replay = original.as_ref().map(|original| self.wanted.replay(self.callback.is_some(), original));
        let held = match self.attach(connection.descriptor(), connection.opens(), replay) {
            Ok(Attached::Held(held)) => held,
            Ok(Attached::Refused(outcome)) => return Ok(outcome),
            Err(SpawnError::Client(ClientError::Hub { code: ErrorCode::NoReplay, message })) => {
                return Err(Stays::InWorker(message));
            }
            Err(error) => return Err(error.into()),
        };
        // From here on wakes are kept for this stream, so that none is lost between what the callback reads now and later.
        if let Err(problem) = self.begin_with_output(&held) {
            spawn::abort(&held);
            return Err(problem.into());
        }
        // One write, and one for the server to pass on, for the headers and the stream's first lines.
        if let Err(interrupted) = self.begin(connection.extra_header(), &held.opening) {
            spawn::abort(&held);
            return Ok(interrupted.into());
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
                    Ok(()) => Ok(Outcome::HandedOver),
                    Err(error) => Err(Problem::Other(format!("the connection could not be let go: {error}")).into()),
                }
            }
            Err(reason) => {
                spawn::abort(&held);
                Err(Stays::InWorker(reason))
            }
        }
    }

    fn begin_with_output(&self, held: &Held) -> Result<(), Problem> {
        if held.rendered {
            return Ok(());
        }
        let frames = self.run_first()?;
        if frames.bytes.is_empty() {
            return Ok(());
        }
        Ok(spawn::rendered_first(held, self.wanted.share, &self.wanted.patterns, &frames)?)
    }
}

impl Wanted<'_> {
    /// Whether the hub has to be able to send the request again.
    fn replays(&self, render: bool) -> bool {
        render || !self.reauthorize.is_zero()
    }

    fn replay<'b>(&'b self, render: bool, original: &'b Original) -> wire::Replay<'b> {
        let milliseconds = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        wire::Replay {
            render,
            only_changes: self.only_changes,
            poll: milliseconds(self.poll),
            reauthorize: u32::try_from(self.reauthorize.as_secs()).unwrap_or(u32::MAX),
            share: self.share,
            request: original.wire(),
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
