//! Detects whether the current request is a replay, and reports its result to the hub.

use std::cell::RefCell;

use ext_php_rs::types::Zval;
use sse_protocol::client::ClientError;
use sse_protocol::wire::{self, ErrorCode, PREFIX, Reason, Reply, Request, Whose};

use crate::api::callback::Frames;
use crate::api::event;
use crate::api::exceptions::Problem;
use crate::handoff::{self, Connection};
use crate::php::engine::Engine;
use crate::spawn::{self, SpawnError};
use crate::{hiding, variables, zend};

/// FPM's parameter with the token. Client headers begin with `HTTP_`, so only the hub can set it.
const PARAMETER: &str = "SSE_RENDER_TOKEN";

/// The header with the token, for servers that only have headers. A client can send it, but the hub knows no such token.
const HEADER: &str = "HTTP_SSE_RENDER_TOKEN";

/// The purpose of a replay.
#[derive(Debug, Clone)]
pub enum Replay {
    /// The hub waits for it.
    Wanted(Rendering),
    /// Nobody waits for it any more: its stream has ended, or its time was over before it began.
    Over,
}

/// The render job that the hub wants.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The id of its stream.
    pub stream: u64,
    /// Why the hub wants it.
    pub reason: Reason,
    /// The current Last-Event-ID.
    pub last_event_id: Option<String>,
}

/// A render by this script.
#[derive(Debug)]
pub enum Run {
    /// The hub waits for it, as far as is known.
    Wanted(Token),
    /// Nobody waits for it any more.
    Over,
}

/// Proves to the hub that this process does the render job.
#[derive(Debug)]
pub struct Token(String);

/// The replay that the current request is.
struct State {
    /// The process that the hub sent the request to. A child forked by the script has a copy of this state but no job.
    process: u32,
    token: String,
    /// The hub's answer about the token; `None` before it was asked.
    replay: Option<Replay>,
    /// Whether the hub has the result.
    done: bool,
    /// Why the render failed, if known.
    failure: Option<String>,
    /// The connection, if it can't be found later.
    connection: Option<Connection>,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

impl State {
    fn new(token: String, replay: Option<Replay>, connection: Option<Connection>) -> Self {
        let done = matches!(replay, Some(Replay::Over));
        Self { process: std::process::id(), token, replay, done, failure: None, connection }
    }

    /// The hub's answer about the token, if this process has asked. Nobody waits for a forked child.
    fn replay(&self) -> Option<Replay> {
        if self.is_forked() { Some(Replay::Over) } else { self.replay.clone() }
    }

    fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }
}

/// Leaves the response to the parent process: a forked child's output would end it.
fn leave_to_parent(engine: &mut Engine, connection: Option<Connection>) {
    if let Some(connection) = connection.or_else(|| handoff::find(engine).ok()) {
        // On failure the hub runs the script again.
        let _ = connection.release();
    }
}

/// Detects a replay, before the script runs.
pub fn begin(engine: &mut Engine) {
    STATE.set(None);
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
        hiding::wipe(c"SSE_RENDER_TOKEN", &token);
        variables::set_of_server(engine, &[(name, None)]);
        variables::take_of_environment(engine, name);
        STATE.set(Some(State::new(token, None, None)));
        return;
    }
    let (replay, (address, port)) = match ask(&token) {
        Ok(answer) => answer,
        Err(error) if is_over(&error) => {
            hide(engine, sapi, &token, &[(name, None)]);
            STATE.set(Some(State::new(token, Some(Replay::Over), None)));
            return;
        }
        // An ordinary request, whatever its header claims.
        Err(_) => return,
    };
    // Find the connection now: the search needs the peer address, which is replaced below.
    let connection = if sapi == b"cli-server" { handoff::find(engine).ok() } else { None };
    let mut variables = vec![(name, None)];
    if !address.is_empty() {
        variables.extend([("REMOTE_ADDR", Some(address.as_str())), ("REMOTE_PORT", Some(port.as_str()))]);
    }
    hide(engine, sapi, &token, &variables);
    STATE.set(Some(State::new(token, Some(replay), connection)));
}

/// Sets a replay's variables and removes the header with the token.
fn hide(engine: &mut Engine, sapi: &[u8], token: &str, variables: &[(&str, Option<&str>)]) {
    variables::set_of_server(engine, variables);
    if sapi == b"apache2handler" {
        // Apache's headers and `getenv()` share this memory.
        hiding::wipe(c"HTTP_SSE_RENDER_TOKEN", token);
        // `getenv()` reads Apache's own copy. If this function is disabled, it shows the hub's connection.
        for (name, value) in variables {
            let _ = zend::call(engine, "apache_setenv", &[name, &value.unwrap_or_default()]);
        }
    }
}

/// Whether this request is a replay.
pub fn is_replay() -> bool {
    STATE.with_borrow(Option::is_some)
}

/// Asks the hub about a token. Returns the replay, and the client's address and port.
fn ask(token: &str) -> Result<(Replay, (String, String)), SpawnError> {
    spawn::call_running(&Request::Replayed { token }, |reply| match reply {
        Reply::Replayed { stream, reason, remote, last_event_id } => {
            let last_event_id = last_event_id.map(str::to_owned);
            let replay = Replay::Wanted(Rendering { stream, reason, last_event_id });
            Ok((replay, (remote.0.to_owned(), remote.1.to_owned())))
        }
        other => Err(other.unexpected("a token")),
    })
}

/// The purpose of this request, if it is a replay.
pub fn current() -> Option<Replay> {
    let token = match STATE.with_borrow(|state| state.as_ref().map(|state| (state.replay(), state.token.clone())))? {
        (Some(replay), _) => return Some(replay),
        (None, token) => token,
    };
    // A hub that has forgotten the token or is gone waits for nothing.
    let replay = ask(&token).map_or(Replay::Over, |(replay, _)| replay);
    STATE.with_borrow_mut(|state| {
        if let Some(state) = state {
            state.done |= matches!(replay, Replay::Over);
            state.replay = Some(replay.clone());
        }
    });
    Some(replay)
}

/// The render that this request is for, if it is a replay.
pub fn run(engine: &mut Engine) -> Option<Run> {
    let forked = STATE.with_borrow_mut(|state| {
        let state = state.as_mut().filter(|state| state.is_forked())?;
        Some(state.connection.take())
    });
    if let Some(connection) = forked {
        leave_to_parent(engine, connection);
        return Some(Run::Over);
    }
    STATE.with_borrow(|state| {
        let State { token, replay, .. } = state.as_ref()?;
        Some(if matches!(replay, Some(Replay::Over)) { Run::Over } else { Run::Wanted(Token(token.clone())) })
    })
}

/// Records for the hub's log why the callback did not return. `None`: PHP's last error says it.
pub fn failed_by(why: Option<String>) {
    STATE.with_borrow_mut(|state| {
        if let Some(state) = state {
            state.failure = why;
        }
    });
}

/// Tells the hub before the response ends if this request gives its stream nothing.
pub fn end(engine: &mut Engine) {
    let Some(state) = STATE.take() else { return };
    if state.is_forked() {
        return leave_to_parent(engine, state.connection);
    }
    let State { token, done: false, failure, .. } = state else { return };
    let reason = failure.or_else(zend::last_error).unwrap_or_else(|| "it ended before sse_stream() was done".into());
    // If this fails, the hub still sees the response end.
    let _ = spawn::call_running(&Request::NotRendered { token: &token, reason: &reason }, |_| Ok(()));
}

impl Token {
    /// The events since the callback's last run; `None` if the stream has ended meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if the hub does not answer.
    pub fn events(&self, patterns: &[&str]) -> Result<Option<Vec<Zval>>, Problem> {
        let request = Request::Render { token: &self.0, patterns: patterns.to_vec() };
        // Create the objects afterwards: if memory runs out, the engine may jump over this frame and what it owns.
        let answer = spawn::call_running(&request, |reply| match reply {
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
    pub fn finish(&self, render: bool, share: Option<&str>, patterns: &[&str], frames: &Frames) -> Result<(), Problem> {
        STATE.with_borrow_mut(|state| {
            if let Some(state) = state {
                state.done = true;
            }
        });
        match spawn::rendered(Whose::Token(&self.0), render, share, patterns, frames) {
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
