//! This request is one that the hub has sent again: whether it is, and what the hub is told of it.

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

/// FPM's parameter with the token. What clients send begins with `HTTP_`, so this can only come from the hub.
const PARAMETER: &str = "SSE_RENDER_TOKEN";

/// The header with the token, where there are only headers. From outside it holds no token that the hub knows.
const HEADER: &str = "HTTP_SSE_RENDER_TOKEN";

/// What a replay is for.
#[derive(Debug, Clone)]
pub enum Replay {
    /// A run that the hub waits for.
    Wanted(Rendering),
    /// A run that nobody waits for any more: its stream has ended, or its time was over before it began.
    Over,
}

/// What the hub asks for.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The stream it is for.
    pub stream: u64,
    /// Why.
    pub reason: Reason,
    /// The Last-Event-ID as of now.
    pub last_event_id: Option<String>,
}

/// A run of this script.
#[derive(Debug)]
pub enum Run {
    /// That the hub waits for, as far as is known.
    Wanted(Token),
    /// That nobody waits for any more.
    Over,
}

/// Proves to the hub that this process does what it has asked for.
#[derive(Debug)]
pub struct Token(String);

/// The state of the current request.
struct State {
    /// The process that the hub has sent it to. A child that the script forks has a copy of all this, and is asked nothing.
    process: u32,
    token: String,
    /// What the hub has said to the token; `None`: it was not asked yet.
    replay: Option<Replay>,
    /// The hub has been told what came of it.
    done: bool,
    /// Why it failed, if that is known.
    failure: Option<String>,
    /// Where it came from, if that can't be found out later.
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

    /// What the hub has said to the token, as far as this process has asked. For a forked child, nobody waits.
    fn replay(&self) -> Option<Replay> {
        if self.is_forked() { Some(Replay::Over) } else { self.replay.clone() }
    }

    fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }
}

/// Leaves the response to the process that the hub has sent the request to: what a forked child answers would end it.
fn leave_to_parent(engine: &mut Engine, connection: Option<Connection>) {
    if let Some(connection) = connection.or_else(|| handoff::find(engine).ok()) {
        // Where that fails the hub runs the script again.
        let _ = connection.release();
    }
}

/// Looks whether the hub has sent this request, before its script runs.
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
        // It can't come from a client, so it is the hub's: most scripts have nothing to ask it before their callback runs.
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
        // An ordinary request, whatever it says of itself.
        Err(_) => return,
    };
    // By the address of its other end, which the request is about to lose.
    let connection = if sapi == b"cli-server" { handoff::find(engine).ok() } else { None };
    let mut variables = vec![(name, None)];
    if !address.is_empty() {
        variables.extend([("REMOTE_ADDR", Some(address.as_str())), ("REMOTE_PORT", Some(port.as_str()))]);
    }
    hide(engine, sapi, &token, &variables);
    STATE.set(Some(State::new(token, Some(replay), connection)));
}

/// Sets variables of a replay that came with a header, and takes the header away.
fn hide(engine: &mut Engine, sapi: &[u8], token: &str, variables: &[(&str, Option<&str>)]) {
    variables::set_of_server(engine, variables);
    if sapi == b"apache2handler" {
        // Apache's headers and what getenv() tells of them are in one place.
        hiding::wipe(c"HTTP_SSE_RENDER_TOKEN", token);
        // What getenv() tells is Apache's own. Where this function is disabled it tells of the hub's connection.
        for (name, value) in variables {
            let _ = zend::call(engine, "apache_setenv", &[name, &value.unwrap_or_default()]);
        }
    }
}

/// Whether this request is one that the hub has sent.
pub fn is_replay() -> bool {
    STATE.with_borrow(Option::is_some)
}

/// Asks the hub what a token is for; the client's address and port beside that.
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

/// What this request is for, if it comes from the hub.
pub fn current() -> Option<Replay> {
    let token = match STATE.with_borrow(|state| state.as_ref().map(|state| (state.replay(), state.token.clone())))? {
        (Some(replay), _) => return Some(replay),
        (None, token) => token,
    };
    // A hub that doesn't know it any more, or is away, waits for nothing.
    let replay = ask(&token).map_or(Replay::Over, |(replay, _)| replay);
    STATE.with_borrow_mut(|state| {
        if let Some(state) = state {
            state.done |= matches!(replay, Replay::Over);
            state.replay = Some(replay.clone());
        }
    });
    Some(replay)
}

/// The run that this request is, if it comes from the hub.
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

/// Keeps why the callback did not return, for the hub's log; `None`: PHP's last error tells.
pub fn failed_by(why: Option<String>) {
    STATE.with_borrow_mut(|state| {
        if let Some(state) = state {
            state.failure = why;
        }
    });
}

/// Tells the hub, before the response ends, if its stream gets nothing from this request.
pub fn end(engine: &mut Engine) {
    let Some(state) = STATE.take() else { return };
    if state.is_forked() {
        return leave_to_parent(engine, state.connection);
    }
    let State { token, done: false, failure, .. } = state else { return };
    let reason = failure.or_else(zend::last_error).unwrap_or_else(|| "it ended before sse_stream() was done".into());
    // A hub that does not hear it sees the response end all the same.
    let _ = spawn::call_running(&Request::NotRendered { token: &token, reason: &reason }, |_| Ok(()));
}

impl Token {
    /// What has happened since the callback's last run; `None` if the stream has ended meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if the hub does not answer.
    pub fn events(&self, patterns: &[&str]) -> Result<Option<Vec<Zval>>, Problem> {
        let request = Request::Render { token: &self.0, patterns: patterns.to_vec() };
        // The objects are made afterwards: for want of memory the engine may jump over what is held here.
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
            // The hub that has sent this request has gone meanwhile.
            Err(SpawnError::Client(ClientError::NotRunning { .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the hub what came of it.
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

/// The stream has ended, or the time for this run is over: there is nobody to render for.
fn is_over(error: &SpawnError) -> bool {
    matches!(error, SpawnError::Client(ClientError::Hub { code: ErrorCode::Over, .. }))
}
