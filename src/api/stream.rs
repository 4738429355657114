//! `sse_stream()`.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_hub::config::Detach;
use sse_protocol::cause::Cause;
use sse_protocol::client::ClientError;
use sse_protocol::wire;

use super::arguments;
use super::callback::{Callback, Frames};
use super::exceptions::{Problem, settle};
use super::options::{User, Wanted};
use super::refusal::{self, Fate};
use crate::handoff::obstacle::{Kind, Obstacle};
use crate::handoff::{self, Connection};
use crate::original::Original;
use crate::php::engine::{Argument, ArrayArgument, Engine, Value};
use crate::rendering::{self, Run, Token};
use crate::response::{self, Interrupted};
use crate::spawn::{self, Held, SpawnError};
use crate::{blocking, variables, zend};

/// Maximum number of hubs to offer a stream to, where each ends before the hand-off is complete.
const HUBS: usize = 4;

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_stream))
}

/// Makes the response an event stream. See stubs/sse.stub.php.
///
/// # Errors
/// `SseInvalidArgument`, `SseUnavailable`, `SseException`. Nothing has been sent in these cases.
#[php_function]
pub fn sse_stream(topics: &Zval, render: Option<&Zval>, options: Option<&ZendHashTable>) -> PhpResult<bool> {
    // SAFETY: PHP has called this function.
    let engine = &mut unsafe { Engine::entered() };
    let render = render.filter(|render| !render.is_null()).map(Value::of);
    let outcome = stream(engine, Argument::new(topics), render, options.map(ArrayArgument::new));
    settle(engine, outcome.map(|outcome| outcome == Outcome::HandedOver))
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The hub has the stream, or the render's output.
    HandedOver,
    /// The response is complete: the client left, requested headers only, or was refused.
    Served,
    /// User code that ran meanwhile did not return.
    Interrupted,
}

impl From<Interrupted> for Outcome {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

/// Why the stream is not handed off.
pub enum Stays {
    /// An obstacle; the worker still has the stream.
    Because(Obstacle),
    /// The call has failed.
    Failed(Problem),
}

impl<T: Into<Problem>> From<T> for Stays {
    fn from(problem: T) -> Self {
        Self::Failed(problem.into())
    }
}

impl From<Obstacle> for Stays {
    fn from(obstacle: Obstacle) -> Self {
        Self::Because(obstacle)
    }
}

/// A checked call.
pub struct Stream {
    /// The arguments.
    pub wanted: Wanted,
    /// The `$render` callback.
    pub callback: Option<Callback>,
}

fn stream(
    engine: &mut Engine,
    topics: Argument<'_>,
    render: Option<Value>,
    options: Option<ArrayArgument<'_>>,
) -> Result<Outcome, Problem> {
    let wanted = Wanted::new(engine, topics, render.as_ref(), options)?;
    let callback = render.map(|callable| Callback::new(callable, wanted.event.clone())).transpose()?;
    let stream = Stream { wanted, callback };
    if IN_CALLBACK.get() {
        return Err(Problem::Other("sse_stream() can't be called by its own $render".into()));
    }
    if response::check()? == response::Wanted::HeadersOnly {
        return Ok(stream.headers_only(engine));
    }
    match rendering::run(engine) {
        Some(Run::Wanted(token)) => return stream.replay(engine, &token),
        Some(Run::Over) => return Ok(stream.nobody_waits(engine)),
        None => {}
    }
    match stream.leave(engine) {
        Ok(outcome) => Ok(outcome),
        Err(Stays::Failed(problem)) => Err(problem),
        Err(Stays::Because(obstacle)) => stream.stay(engine, &obstacle),
    }
}

/// Resets the state for a new request, because a bailout may have left it set.
pub fn reset() {
    IN_CALLBACK.set(false);
}

thread_local! {
    /// Whether a callback runs.
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

impl Stream {
    /// Hands the stream off, where possible.
    fn leave(&self, engine: &mut Engine) -> Result<Outcome, Stays> {
        if self.wanted.stays {
            return Err(Obstacle::new(Kind::Expected, "its option 'detach' is false").into());
        }
        if self.wanted.detach == Detach::Off {
            return Err(Obstacle::new(Kind::Expected, "sse.detach is off").into());
        }
        let connection = handoff::find(engine)?;
        self.hand_over(engine, &connection)
    }

    /// Serves the stream in the worker, if the server is the obstacle and the settings allow it.
    fn stay(&self, engine: &mut Engine, obstacle: &Obstacle) -> Result<Outcome, Problem> {
        let required = self.wanted.detach == Detach::Require && !zend::is_command_line();
        if obstacle.kind.cause() != Cause::Server || required {
            return Ok(self.refuse(engine, obstacle));
        }
        if obstacle.kind != Kind::Expected {
            refusal::tell(obstacle, Fate::InWorker);
        }
        blocking::serve(engine, self)
    }

    /// Asks the hub to hold a connection for this stream. With `opens`, this process must send the stream's first lines.
    ///
    /// # Errors
    /// Why the hub does not hold it.
    pub fn attach(
        &self,
        descriptor: BorrowedFd<'_>,
        opens: bool,
        replay: Option<wire::Replay<'_>>,
    ) -> Result<Held, Stays> {
        let Wanted { patterns, heartbeat, retry, max_lifetime, user, topics_as, last_event_id, .. } = &self.wanted;
        let address = variables::of_server("REMOTE_ADDR");
        let wanted = wire::Attach {
            patterns: arguments::borrowed(patterns),
            heartbeat: *heartbeat,
            retry: *retry,
            max_lifetime: *max_lifetime,
            last_event_id: last_event_id.as_deref(),
            address: address.as_deref(),
            user: user.as_ref().map(|User { key, limit, replace }| wire::User {
                key,
                limit: *limit,
                replace: *replace,
            }),
            topics_as: *topics_as,
            cursor: topics_as.is_none(),
            opens,
            replay,
        };
        spawn::attach(wanted, descriptor).map_err(without_hub)
    }

    /// Sends the response headers, an extra header that the server needs, and the start of the body.
    ///
    /// # Errors
    /// [`Interrupted`] if user code that ran meanwhile did not return.
    pub fn begin(&self, engine: &mut Engine, extra: Option<&str>, first: &str) -> Result<(), Interrupted> {
        let mut headers = self.wanted.headers.clone();
        headers.extend(extra.map(str::to_owned));
        response::begin(engine, &headers, first)
    }

    /// Closes the session and runs the callback.
    ///
    /// # Errors
    /// `Pending` if it did not return; `Argument` if its result can't be sent.
    pub fn run(&self, engine: &mut Engine, callback: &Callback, events: Vec<Zval>) -> Result<Frames, Problem> {
        response::close_session(engine).map_err(|Interrupted| Problem::Pending)?;
        IN_CALLBACK.set(true);
        let frames = response::muted(engine, |engine| callback.run(engine, events));
        IN_CALLBACK.set(false);
        frames
    }

    /// Runs the callback for the first time, unless `initial` is off.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_first(&self, engine: &mut Engine) -> Result<Frames, Problem> {
        match &self.callback {
            // A hand-off that failed late has already sent the headers.
            Some(callback) if self.wanted.initial => {
                let begun = response::begun();
                let frames = self.run(engine, callback, Vec::new())?;
                if !begun {
                    response::check_unbegun()?;
                }
                Ok(frames)
            }
            _ => Ok(Frames::default()),
        }
    }

    fn headers_only(&self, engine: &mut Engine) -> Outcome {
        let outcome = self.begin(engine, None, "");
        response::silence();
        outcome.map_or_else(Outcome::from, |()| Outcome::Served)
    }

    /// Sends the client a refusal.
    pub fn refuse(&self, engine: &mut Engine, obstacle: &Obstacle) -> Outcome {
        // After a hand-off that failed late, the status is already sent. The client reconnects by itself.
        let begun = response::begun();
        refusal::tell(obstacle, if begun { Fate::Ended } else { Fate::Refused });
        let outcome = if begun { Ok(()) } else { response::refuse(engine, refusal::of(obstacle.kind)) };
        response::silence();
        outcome.map_or_else(Outcome::from, |()| Outcome::Served)
    }

    /// Serves a replay: sends the callback's result to the hub. Nobody reads the response.
    fn replay(&self, engine: &mut Engine, run: &Token) -> Result<Outcome, Problem> {
        let patterns = &arguments::borrowed(&self.wanted.patterns);
        let frames = match &self.callback {
            None => Some(Frames::default()),
            Some(callback) => match run.events(patterns)? {
                Some(events) => Some(self.run(engine, callback, events)?),
                None => None,
            },
        };
        if let Some(frames) = frames {
            run.finish(self.callback.is_some(), self.wanted.share.as_deref(), patterns, &frames)?;
        }
        Ok(self.nobody_waits(engine))
    }

    /// Begins a response that nobody reads. It is sent in one write at its end.
    fn nobody_waits(&self, engine: &mut Engine) -> Outcome {
        let begun = response::begin_unread(engine, &self.wanted.headers);
        response::silence();
        begun.map_or_else(Outcome::from, |()| Outcome::HandedOver)
    }

    /// Hands the connection off. If that is not possible, the worker still has it.
    fn hand_over(&self, engine: &mut Engine, connection: &Connection) -> Result<Outcome, Stays> {
        let original = match self.wanted.replays(self.callback.is_some()) {
            true => Some(Original::capture(engine)?),
            false => None,
        };
        for _ in 0..HUBS {
            if let Some(outcome) = self.hand_over_once(engine, connection, original.as_ref())? {
                return Ok(outcome);
            }
        }
        Err(Obstacle::new(Kind::Load, format!("{HUBS} hubs have ended, one after the other, while they had it")).into())
    }

    /// Hands the connection off to the running hub; `None` if that hub has ended meanwhile, and the next one should get
    /// it. The next one gets all data anew, and the callback runs again: no hub has kept what happened since.
    fn hand_over_once(
        &self,
        engine: &mut Engine,
        connection: &Connection,
        original: Option<&Original>,
    ) -> Result<Option<Outcome>, Stays> {
        let replay = original.map(|original| self.wanted.replay(self.callback.is_some(), original));
        let begun = response::begun();
        let held = self.attach(connection.descriptor(), connection.opens() && !begun, replay)?;
        // From here on the hub keeps notifications for this stream, so none is lost after the callback has read its data.
        match self.begin_with_output(engine, &held) {
            Ok(()) => {}
            Err(First::Failed(problem)) => {
                spawn::abort(&held);
                return Err(problem.into());
            }
            Err(First::NotTaken(error)) => {
                spawn::abort(&held);
                return if has_ended(&error) { Ok(None) } else { Err(without_hub(error)) };
            }
        }
        // One write for the headers and the stream's first lines, which the server passes on as one. If they were sent
        // for an earlier hub, this hub sends its own first lines.
        if !begun && let Err(interrupted) = self.begin(engine, connection.extra_header(), &held.opening) {
            spawn::abort(&held);
            return Ok(Some(interrupted.into()));
        }
        let framing = connection.framing(engine).inspect_err(|_| spawn::abort(&held))?;
        // From here on the hub may write and this worker must not; it only replaces its descriptor.
        if let Err(error) = spawn::commit(&held, framing) {
            spawn::abort(&held);
            return if has_ended(&error) { Ok(None) } else { Err(without_hub(error)) };
        }
        let released = connection.release();
        response::silence();
        match released {
            Ok(()) => Ok(Some(Outcome::HandedOver)),
            Err(error) => Err(Problem::Other(format!("the connection could not be let go: {error}")).into()),
        }
    }

    fn begin_with_output(&self, engine: &mut Engine, held: &Held) -> Result<(), First> {
        if held.rendered {
            return Ok(());
        }
        let frames = self.run_first(engine).map_err(First::Failed)?;
        if frames.bytes.is_empty() {
            return Ok(());
        }
        let Wanted { share, patterns, .. } = &self.wanted;
        spawn::rendered_first(held, share.as_deref(), &arguments::borrowed(patterns), &frames).map_err(First::NotTaken)
    }
}

/// Why a stream can't begin with its callback's output.
enum First {
    /// The callback has failed.
    Failed(Problem),
    /// The hub did not accept the output.
    NotTaken(SpawnError),
}

/// Whether the hub that held the stream has ended, or has dropped the stream.
fn has_ended(error: &SpawnError) -> bool {
    use wire::ErrorCode::Over;
    let SpawnError::Client(error) = error else { return false };
    matches!(
        error,
        ClientError::Closed
            | ClientError::Unanswered
            | ClientError::NotRunning { .. }
            | ClientError::Hub { code: Over, .. }
    )
}

/// Converts an error into the reason why no hub has the stream.
pub fn without_hub(error: SpawnError) -> Stays {
    let kind = match error.cause() {
        Some(Cause::Client) => Kind::TooMany,
        // On the command line there is no client to refuse: throw.
        Some(Cause::Load)
            if zend::is_command_line() && !matches!(error, SpawnError::Client(ClientError::Hub { .. })) =>
        {
            return error.into();
        }
        Some(Cause::Load) => Kind::Load,
        Some(Cause::Server) => Kind::Server,
        // Too late for an exception: it would claim that nothing was sent.
        None if response::begun() => Kind::Load,
        None => return error.into(),
    };
    Obstacle::new(kind, error.to_string()).into()
}

impl Wanted {
    /// Whether the hub must be able to replay the request.
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
            share: self.share.as_deref(),
            request: original.wire(),
        }
    }
}
