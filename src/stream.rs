//! A stream that a script has asked for: what a hand-off and a worker that serves it have in common.

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd};

use ext_php_rs::types::Zval;
use sse_protocol::cause::Cause;
use sse_protocol::client::ClientError;
use sse_protocol::event::opening;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, ErrorCode, Request};
use sse_protocol::{mercure, padding};

use crate::api::arguments;
use crate::api::callback::Callback;
use crate::api::exceptions::Problem;
use crate::api::options::{self, UserOption, WantedStream};
use crate::api::refusal::{self, StreamFate};
use crate::handoff::obstacle::{Obstacle, ObstacleKind, Stays};
use crate::hub_connection::{self, CallbackFrames, HeldStream};
use crate::php::engine::Engine;
use crate::php::{connection, variables, zend};
use crate::response::{self, Interrupted};
use crate::spawn::SpawnError;
use crate::{adopt, request};

/// A checked call.
pub struct StreamCall {
    /// The arguments.
    pub wanted: WantedStream,
    /// The `$render` callback.
    pub callback: Option<Callback>,
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The hub has the stream, or the render's output.
    HandedOver,
    /// The response is complete: the client left, requested headers only, or was refused.
    Served,
    /// User code that ran meanwhile did not return.
    Interrupted,
}

impl From<Interrupted> for CallOutcome {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl StreamCall {
    /// Asks the hub to hold a connection for this stream. With `opens`, this process must send the stream's first lines.
    ///
    /// # Errors
    /// Why the hub does not hold it.
    pub fn attach(
        &self,
        descriptor: BorrowedFd<'_>,
        opens: bool,
        replay: Option<wire::Replay<'_>>,
    ) -> Result<HeldStream, Stays> {
        let WantedStream { patterns, spec, user, last_event_id, retained, presence, .. } = &self.wanted;
        let address = variables::of_server("REMOTE_ADDR");
        let wanted = wire::Attach {
            patterns: arguments::borrowed(patterns),
            spec: StreamSpec { opens, ..*spec },
            last_event_id: last_event_id.as_deref(),
            address: address.as_deref(),
            user: user.as_ref().map(|UserOption { key, limit, replace }| wire::User {
                key,
                limit: *limit,
                replace: *replace,
            }),
            retained: *retained,
            replay,
            presence: presence.wire(),
        };
        hub_connection::attach(wanted, descriptor).map_err(without_hub)
    }

    /// The header by which the client of a held stream is told after which event it goes on, if the script asked for it.
    pub fn resumption(&self, held: &HeldStream) -> Option<String> {
        let WantedStream { last_event_id, last_event_id_header, .. } = &self.wanted;
        let (name, asked) = (last_event_id_header.as_deref()?, last_event_id.as_deref()?);
        // The id of an event that is known has no line break; a header has no other control characters either.
        let id = if held.resumed && !asked.contains(char::is_control) { asked } else { mercure::EARLIEST };
        Some(format!("{name}: {id}"))
    }

    /// The same header for a client that asks for headers only: the hub searches as for a stream, which is given up at once and
    /// is nobody's.
    ///
    /// # Errors
    /// Why the hub would not have such a stream.
    pub fn resumption_of_head(&self) -> Result<Option<String>, Stays> {
        let WantedStream { patterns, spec, last_event_id, last_event_id_header, .. } = &self.wanted;
        if self.callback.is_some() || last_event_id.is_none() || last_event_id_header.is_none() {
            return Ok(None);
        }
        let (near, _far) = hub_connection::pair()?;
        let address = variables::of_server("REMOTE_ADDR");
        let wanted = wire::Attach {
            patterns: arguments::borrowed(patterns),
            spec: *spec,
            last_event_id: last_event_id.as_deref(),
            address: address.as_deref(),
            ..wire::Attach::default()
        };
        let held = hub_connection::attach(wanted, near.as_fd()).map_err(without_hub)?;
        hub_connection::abort(&held);
        Ok(self.resumption(&held))
    }

    /// Bytes for the client, with the comment that fills them up.
    pub fn padded<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        match padding::needed(self.wanted.spec.pad, bytes.len()) {
            0 => bytes.into(),
            len => [bytes, padding::comment(len)].concat().into(),
        }
    }

    /// Sends the response headers, extra headers of this stream, and the start of the body.
    ///
    /// # Errors
    /// [`Interrupted`] if user code that ran meanwhile did not return.
    pub fn begin(
        &self,
        engine: &mut Engine,
        extra: impl IntoIterator<Item = String>,
        first: &[u8],
    ) -> Result<(), Interrupted> {
        let mut headers = self.wanted.headers.clone();
        headers.extend(extra);
        adopt::renounce();
        response::begin(engine, &headers, first)
    }

    /// Closes the session and runs the callback, with the stream's public id if its script asked for it.
    ///
    /// # Errors
    /// `Pending` if it did not return; `Argument` if its result can't be sent.
    pub fn run(
        &self,
        engine: &mut Engine,
        callback: &Callback,
        events: Vec<Zval>,
        public: Option<&str>,
    ) -> Result<CallbackFrames, Problem> {
        response::close_session(engine).map_err(|Interrupted| Problem::Pending)?;
        request::with(|request| request.runs_callback.set(true));
        let frames = response::muted(engine, |engine| callback.run(engine, events, public));
        request::with(|request| request.runs_callback.set(false));
        frames
    }

    /// Runs the callback for the first time, unless `initial` is off.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_first(&self, engine: &mut Engine, held: &HeldStream) -> Result<CallbackFrames, Problem> {
        match &self.callback {
            // A hand-off that failed late has already sent the headers.
            Some(callback) if self.wanted.initial => {
                let begun = response::begun();
                let frames = self.run(engine, callback, Vec::new(), held.public.as_deref())?;
                if !begun {
                    response::check_unbegun()?;
                }
                Ok(frames)
            }
            _ => Ok(CallbackFrames::default()),
        }
    }

    /// Whether the hub knows that all topics are finished, and that the client has their last events.
    pub fn is_over(&self) -> bool {
        let WantedStream { patterns, spec, last_event_id, .. } = &self.wanted;
        let patterns = arguments::borrowed(patterns);
        let request = Request::Finished { patterns, last_event_id: last_event_id.as_deref() };
        spec.finishes && hub_connection::call_running(&request, |_| Ok(())).is_err_and(|error| is_over(&error))
    }

    /// Completes the response of a stream that its callback has ended in its first run: by the last output, or by 204 if the
    /// client has that already.
    pub fn conclude(&self, engine: &mut Engine, frames: &CallbackFrames) -> CallOutcome {
        // A hub that has ended meanwhile may have had the stream before.
        let begun = response::begun();
        let has_it = frames.bytes.is_empty() || frames.last_id.is_some() && frames.last_id == options::of_request();
        if has_it && !begun {
            return self.refuse(engine, &Obstacle::new(ObstacleKind::Finished, ""));
        }
        let outcome = if begun { Ok(()) } else { self.begin(engine, None, opening(&self.wanted.spec).as_bytes()) };
        let outcome = outcome.and_then(|()| {
            let written = if has_it { Ok(()) } else { connection::write(engine, &frames.bytes) };
            if written.is_err() || zend::interrupted() { Err(Interrupted) } else { Ok(()) }
        });
        if !zend::is_command_line() {
            response::silence();
        }
        outcome.map_or_else(CallOutcome::from, |()| CallOutcome::Served)
    }

    /// Sends the client a refusal.
    pub fn refuse(&self, engine: &mut Engine, obstacle: &Obstacle) -> CallOutcome {
        // After a hand-off that failed late, the status is already sent. The client reconnects by itself.
        let begun = response::begun();
        refusal::tell(obstacle, if begun { StreamFate::Ended } else { StreamFate::Refused });
        let outcome = if begun { Ok(()) } else { response::refuse(engine, refusal::of(obstacle.kind)) };
        response::silence();
        outcome.map_or_else(CallOutcome::from, |()| CallOutcome::Served)
    }
}

/// Converts an error into the reason why no hub has the stream.
pub fn without_hub(error: SpawnError) -> Stays {
    let kind = match error.cause() {
        Some(Cause::Client) if is_over(&error) => ObstacleKind::Finished,
        Some(Cause::Client) => ObstacleKind::TooMany,
        // On the command line there is no client to refuse: throw.
        Some(Cause::Load)
            if zend::is_command_line() && !matches!(error, SpawnError::Client(ClientError::Hub { .. })) =>
        {
            return error.into();
        }
        Some(Cause::Load) => ObstacleKind::Load,
        Some(Cause::Server) => ObstacleKind::Server,
        // Too late for an exception: it would claim that nothing was sent.
        None if response::begun() => ObstacleKind::Load,
        None => return error.into(),
    };
    Obstacle::new(kind, error.to_string()).into()
}

/// Whether the hub says that the stream is over for good.
fn is_over(error: &SpawnError) -> bool {
    matches!(error, SpawnError::Client(ClientError::Hub { code: ErrorCode::Finished, .. }))
}
