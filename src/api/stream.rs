//! `sse_stream()`.

use std::time::Duration;

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::{php_function, wrap_function};
use sse_hub::config::Detach;
use sse_protocol::cause::Cause;
use sse_protocol::wire;

use super::arguments;
use super::callback::Callback;
use super::exceptions::Problem;
use super::offer::{NotTaken, Offered};
use super::options::WantedStream;
use super::other_server;
use super::refusal::{self, StreamFate};
use crate::handoff::obstacle::{Obstacle, ObstacleKind, Stays};
use crate::handoff::{self, ProvedConnection};
use crate::hub_connection::{self, CallbackFrames};
use crate::php::engine::{Argument, ArrayArgument, Engine, Value};
use crate::php::function;
use crate::php::zend;
use crate::replay::original::Original;
use crate::replay::{self, RenderCall, ReplayPurpose, Token};
use crate::stream::{CallOutcome, StreamCall};
use crate::{adopt, in_worker, request, response};

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
    let render = render.filter(|render| !render.is_null()).map(Value::of);
    let options = options.map(ArrayArgument::new);
    function::run(|engine| {
        Ok::<_, Problem>(stream(engine, Argument::new(topics), render, options)? == CallOutcome::HandedOver)
    })
}

fn stream(
    engine: &mut Engine,
    topics: Argument<'_>,
    render: Option<Value>,
    options: Option<ArrayArgument<'_>>,
) -> Result<CallOutcome, Problem> {
    let wanted = WantedStream::new(engine, topics, render.as_ref(), options)?;
    let callback = render.map(|callable| Callback::new(callable, wanted.event.clone())).transpose()?;
    let stream = StreamCall { wanted, callback };
    if request::with(|request| request.runs_callback.get()) {
        return Err(Problem::Other("sse_stream() can't be called by its own $render".into()));
    }
    other_server::check(engine)?;
    if response::check()? == response::WantedResponse::HeadersOnly {
        return match stream.headers_only(engine) {
            Ok(outcome) => Ok(outcome),
            Err(Stays::Failed(problem)) => Err(problem),
            Err(Stays::Because(obstacle)) => Ok(stream.refuse(engine, &obstacle)),
        };
    }
    match replay::run() {
        Some(RenderCall::Wanted(token)) => return stream.replay(engine, &token),
        Some(RenderCall::Over) => return Ok(stream.nobody_waits(engine)),
        None => {}
    }
    match stream.leave(engine) {
        Ok(outcome) => Ok(outcome),
        Err(Stays::Failed(problem)) => Err(problem),
        Err(Stays::Because(obstacle)) => stream.stay(engine, &obstacle),
    }
}

impl StreamCall {
    /// Hands the stream off, where possible.
    fn leave(&self, engine: &mut Engine) -> Result<CallOutcome, Stays> {
        if self.wanted.stays {
            return Err(Obstacle::new(ObstacleKind::Expected, "its option 'detach' is false").into());
        }
        if self.wanted.detach == Detach::Off {
            return Err(Obstacle::new(ObstacleKind::Expected, "sse.detach is off").into());
        }
        if self.wanted.detach == Detach::Redirect && !zend::is_command_line() {
            return self.redirect(engine);
        }
        let connection = handoff::find()?;
        self.hand_over(engine, &connection)
    }

    /// Serves the stream in the worker, if the server is the obstacle and the settings allow it.
    fn stay(&self, engine: &mut Engine, obstacle: &Obstacle) -> Result<CallOutcome, Problem> {
        let required = self.wanted.detach == Detach::Require && !zend::is_command_line();
        if obstacle.kind.cause() != Cause::Server || required {
            return Ok(self.refuse(engine, obstacle));
        }
        if obstacle.kind != ObstacleKind::Expected {
            refusal::tell(obstacle, StreamFate::InWorker);
        }
        in_worker::serve(engine, self)
    }

    fn headers_only(&self, engine: &mut Engine) -> Result<CallOutcome, Stays> {
        if self.is_over() {
            return Ok(self.refuse(engine, &Obstacle::new(ObstacleKind::Finished, "")));
        }
        let extra = self.resumption_of_head()?;
        let outcome = self.begin(engine, extra, &[]);
        response::silence();
        Ok(outcome.map_or_else(CallOutcome::from, |()| CallOutcome::Served))
    }

    /// Serves a replay: sends the callback's result to the hub. Nobody reads the response.
    fn replay(&self, engine: &mut Engine, run: &Token) -> Result<CallOutcome, Problem> {
        let patterns = &arguments::borrowed(&self.wanted.patterns);
        let public = self.wanted.spec.stream_id.then(replay::current).flatten().and_then(ReplayPurpose::public);
        let frames = match &self.callback {
            None => Some(CallbackFrames::default()),
            Some(callback) => match run.events(patterns)? {
                Some(events) => Some(self.run(engine, callback, events, public.as_deref())?),
                None => None,
            },
        };
        if let Some(frames) = frames {
            run.finish(self.callback.is_some(), self.wanted.share.as_deref(), patterns, &frames)?;
        }
        Ok(self.nobody_waits(engine))
    }

    /// Begins a response that nobody reads. It is sent in one write at its end.
    fn nobody_waits(&self, engine: &mut Engine) -> CallOutcome {
        adopt::renounce();
        let begun = response::begin_unread(engine, &self.wanted.headers);
        response::silence();
        begun.map_or_else(CallOutcome::from, |()| CallOutcome::HandedOver)
    }

    /// Hands the connection off. If that is not possible, the worker still has it.
    fn hand_over(&self, engine: &mut Engine, connection: &ProvedConnection) -> Result<CallOutcome, Stays> {
        let offered = self.offer(engine, connection.descriptor(), connection.opens(), |engine, held| {
            // One write for the headers and the stream's first lines, which the server passes on as one. If they were sent
            // for an earlier hub, this hub sends its own first lines.
            if !response::begun() {
                let extra = connection.extra_header().map(str::to_owned).into_iter().chain(self.resumption(held));
                self.begin(engine, extra, &self.padded(held.opening.as_bytes()))?;
            }
            let framing = connection.framing().map_err(|obstacle| NotTaken::Stays(obstacle.into()))?;
            // From here on the hub may write and this worker must not; it only replaces its descriptor.
            Ok(hub_connection::commit(held, framing)?)
        });
        if let Offered::Concluded(outcome) = offered? {
            return Ok(outcome);
        }
        let released = connection.release();
        response::silence();
        released?;
        Ok(CallOutcome::HandedOver)
    }
}

impl WantedStream {
    /// Whether the hub must be able to replay the request.
    pub(super) fn replays(&self, render: bool) -> bool {
        render || !self.reauthorize.is_zero()
    }

    pub(super) fn replay<'b>(&'b self, render: bool, original: &'b Original) -> wire::Replay<'b> {
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
