//! Detects whether the current request is a replay, and reports its result to the hub.

mod finish;
pub mod hiding;
pub mod original;
pub mod state;

use ext_php_rs::types::Zval;
use sse_protocol::client::ClientError;
use sse_protocol::wire::{self, ErrorCode, PREFIX, Reply, Request, Whose};

use self::state::RunningReplay;
pub use self::state::{Rendering, ReplayPurpose};
use crate::api::event;
use crate::api::exceptions::Problem;
use crate::handoff::{self, ProvedConnection};
use crate::hub_connection::{self, CallbackFrames};
use crate::php::engine::Engine;
use crate::php::{variables, zend};
use crate::request::{self, lend};
use crate::spawn::SpawnError;

/// FPM's parameter with the token. Client headers begin with `HTTP_`, so only the hub can set it.
const PARAMETER: &str = "SSE_RENDER_TOKEN";

/// The header with the token, for servers that only have headers. A client can send it, but the hub knows no such token.
const HEADER: &str = "HTTP_SSE_RENDER_TOKEN";

/// A render by this script.
#[derive(Debug)]
pub enum RenderCall {
    /// The hub waits for it, as far as is known.
    Wanted(Token),
    /// Nobody waits for it any more.
    Over,
}

/// Proves to the hub that this process does the render job.
#[derive(Debug)]
pub struct Token(String);

fn remember(replayed: RunningReplay) {
    request::with(|request| request.replay.set(Some(replayed)));
}

/// No user code runs meanwhile.
fn with_state<R>(work: impl FnOnce(&mut Option<RunningReplay>) -> R) -> R {
    request::with(|request| lend(&request.replay, work))
}

/// Leaves the response to the parent process: a forked child's output would end it.
fn leave_to_parent(connection: Option<ProvedConnection>) {
    if let Some(connection) = connection.or_else(|| handoff::find().ok()) {
        // On failure the hub runs the script again.
        let _ = connection.release();
    }
}

/// Installs the replacements. Runs before any server forks.
pub fn begin_module() {
    hiding::startup();
    finish::begin_module();
}

/// Restores the functions at module end.
pub fn end_module() {
    finish::end_module();
}

/// Detects a replay, before the script runs.
pub fn begin(engine: &mut Engine) {
    let sapi = zend::sapi_name().to_bytes();
    let (name, token) = match sapi {
        b"fpm-fcgi" => (PARAMETER, variables::of_request(c"SSE_RENDER_TOKEN")),
        b"apache2handler" => (HEADER, variables::of_request(c"HTTP_SSE_RENDER_TOKEN")),
        b"cli-server" => (HEADER, variables::of_server(HEADER)),
        _ => return,
    };
    let Some(token) = token else { return };
    if name == PARAMETER {
        // Only the hub can set it, so ask nothing now: most scripts need no answer before their callback runs.
        variables::overwrite(c"SSE_RENDER_TOKEN", &token);
        variables::set_of_server(engine, &[(name, None)]);
        variables::take_of_environment(engine, name);
        remember(RunningReplay::new(token, None, None));
        return;
    }
    let (replay, (address, port)) = match ask(&token) {
        Ok(answer) => answer,
        Err(error) if is_over(&error) => {
            hide(engine, sapi, &token, &[(name, None)]);
            remember(RunningReplay::new(token, Some(ReplayPurpose::Over), None));
            return;
        }
        // An ordinary request, whatever its header claims.
        Err(_) => return,
    };
    // Find the connection now: the search needs the peer address, which is replaced below.
    let connection = if sapi == b"cli-server" { handoff::find().ok() } else { None };
    let mut variables = vec![(name, None)];
    if !address.is_empty() {
        variables.extend([("REMOTE_ADDR", Some(address.as_str())), ("REMOTE_PORT", Some(port.as_str()))]);
    }
    hide(engine, sapi, &token, &variables);
    remember(RunningReplay::new(token, Some(replay), connection));
}

/// Sets a replay's variables and removes the header with the token.
fn hide(engine: &mut Engine, sapi: &[u8], token: &str, variables: &[(&str, Option<&str>)]) {
    variables::set_of_server(engine, variables);
    if sapi == b"apache2handler" {
        // Apache's headers and `getenv()` share this memory.
        variables::overwrite(c"HTTP_SSE_RENDER_TOKEN", token);
        // `getenv()` reads Apache's own copy. If this function is disabled, it shows the hub's connection.
        for (name, value) in variables {
            let _ = zend::call(engine, "apache_setenv", &[name, &value.unwrap_or_default()]);
        }
    }
}

/// Whether this request is a replay.
pub fn is_replay() -> bool {
    with_state(|state| state.is_some())
}

/// Asks the hub about a token. Returns the replay, and the client's address and port.
fn ask(token: &str) -> Result<(ReplayPurpose, (String, String)), SpawnError> {
    hub_connection::call_running(&Request::Replayed { token }, |reply| match reply {
        Reply::Replayed { stream, public, reason, remote, last_event_id, topics } => {
            let public = public.to_owned();
            let last_event_id = last_event_id.map(str::to_owned);
            let topics = topics.into_iter().map(str::to_owned).collect();
            let replay = ReplayPurpose::Wanted(Rendering { stream, public, reason, last_event_id, topics });
            Ok((replay, (remote.0.to_owned(), remote.1.to_owned())))
        }
        other => Err(other.unexpected("a token")),
    })
}

/// The purpose of this request, if it is a replay.
pub fn current() -> Option<ReplayPurpose> {
    let token = match with_state(|state| state.as_ref().map(|state| (state.replay(), state.token.clone())))? {
        (Some(replay), _) => return Some(replay),
        (None, token) => token,
    };
    // A hub that has forgotten the token or is gone waits for nothing.
    let replay = ask(&token).map_or(ReplayPurpose::Over, |(replay, _)| replay);
    with_state(|state| {
        if let Some(state) = state {
            state.done |= matches!(replay, ReplayPurpose::Over);
            state.replay = Some(replay.clone());
        }
    });
    Some(replay)
}

/// The render that this request is for, if it is a replay.
pub fn run() -> Option<RenderCall> {
    let forked = with_state(|state| {
        let state = state.as_mut().filter(|state| state.is_forked())?;
        Some(state.connection.take())
    });
    if let Some(connection) = forked {
        leave_to_parent(connection);
        return Some(RenderCall::Over);
    }
    with_state(|state| {
        let RunningReplay { token, replay, runs, .. } = state.as_mut()?;
        *runs = true;
        Some(if matches!(replay, Some(ReplayPurpose::Over)) {
            RenderCall::Over
        } else {
            RenderCall::Wanted(Token(token.clone()))
        })
    })
}

/// Records for the hub's log why the callback did not return. `None`: PHP's last error says it.
pub fn failed_by(why: Option<String>) {
    with_state(|state| {
        if let Some(state) = state {
            (state.runs, state.failure) = (false, why);
        }
    });
}

/// Tells the hub before the response ends if this request gives its stream nothing.
pub fn end() {
    let Some(state) = request::with(|request| request.replay.take()) else { return };
    if state.is_forked() {
        return leave_to_parent(state.connection);
    }
    if !state.done {
        tell_nothing_comes(&state.token, state.failure);
    }
}

/// Whether the hub has the output of this replay, so that nobody waits for its response.
fn has_rendered() -> bool {
    with_state(|state| state.as_ref().is_some_and(|state| state.done && state.runs && !state.is_forked()))
}

/// Tells the hub the same before `fastcgi_finish_request()` ends the response: Symfony's and Laravel's kernels call it and go
/// on, also after the page of an error that a callback has thrown.
fn end_response() {
    let ends = with_state(|state| {
        let state = state.as_mut().filter(|state| !state.done && !state.runs && !state.is_forked())?;
        state.done = true;
        Some((state.token.clone(), state.failure.take()))
    });
    if let Some((token, failure)) = ends {
        tell_nothing_comes(&token, failure);
    }
}

fn tell_nothing_comes(token: &str, failure: Option<String>) {
    let of_php = || zend::last_error().unwrap_or_else(|| "it ended before sse_stream() was done".into());
    // Without a reason, the script itself has decided to give no stream.
    let reason = failure.or_else(|| zend::has_failed().then(of_php)).unwrap_or_default();
    // If this fails, the hub still sees the response end.
    let _ = hub_connection::call_running(&Request::NotRendered { token, reason: &reason }, |_| Ok(()));
}

impl Token {
    /// The events since the callback's last run; `None` if the stream has ended meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if the hub does not answer.
    pub fn events(&self, patterns: &[&str]) -> Result<Option<Vec<Zval>>, Problem> {
        let request = Request::Render { token: &self.0, patterns: patterns.to_vec() };
        // Create the objects afterwards: if memory runs out, the engine may jump over this frame and what it owns.
        let answer = hub_connection::call_running(&request, |reply| match reply {
            Reply::Events { events } => Ok(events.iter().map(wire::encode).collect::<Vec<_>>()),
            other => Err(other.unexpected("a render")),
        });
        match answer {
            Ok(messages) => messages
                .iter()
                .filter_map(|message| event_of(message, patterns).transpose())
                .collect::<Result<_, _>>()
                .map(Some),
            Err(error) if is_over(&error) => Ok(None),
            // The hub that sent this request has ended meanwhile.
            Err(SpawnError::Client(ClientError::NotRunning { .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the result to the hub.
    ///
    /// # Errors
    /// `Unavailable` if the hub does not answer.
    pub fn finish(
        &self,
        render: bool,
        share: Option<&str>,
        patterns: &[&str],
        frames: &CallbackFrames,
    ) -> Result<(), Problem> {
        with_state(|state| {
            if let Some(state) = state {
                state.done = true;
            }
        });
        match hub_connection::rendered(Whose::Token(&self.0), render, share, patterns, frames) {
            Err(error) if !is_over(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn event_of(message: &[u8], patterns: &[&str]) -> Result<Option<Zval>, Problem> {
    let delivery = wire::decode(&message[PREFIX..]).map_err(|error| Problem::Other(error.to_string()))?;
    event::object(&delivery, patterns).map_err(|error| Problem::Other(error.to_string()))
}

/// Whether the stream or the attempt has ended, so that nobody waits for the render.
fn is_over(error: &SpawnError) -> bool {
    matches!(error, SpawnError::Client(ClientError::Hub { code: ErrorCode::Over, .. }))
}
