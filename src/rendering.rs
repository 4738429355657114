//! This request is one that the hub has sent again: whether it is, and what the hub is told of it.

use std::cell::RefCell;

use ext_php_rs::types::Zval;
use sse_hub::client::ClientError;
use sse_hub::wire::{self, ErrorCode, PREFIX, Reason, Reply, Request, Whose};

use crate::api::callback::Frames;
use crate::api::event;
use crate::api::exceptions::Problem;
use crate::spawn::{self, SpawnError};
use crate::{variables, zend};

/// FPM's parameter with the token. What clients send begins with `HTTP_`, so this can only come from the hub.
const PARAMETER: &str = "SSE_RENDER_TOKEN";

/// The header with the token, where there are only headers. From outside it holds no token that the hub knows.
const HEADER: &str = "HTTP_SSE_RENDER_TOKEN";

/// What this request is.
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
    token: String,
    /// The stream it is for.
    pub stream: u64,
    /// Why.
    pub reason: Reason,
    /// The Last-Event-ID as of now.
    pub last_event_id: Option<String>,
}

/// The state of the current request.
struct State {
    replay: Replay,
    /// The hub has been told what came of it.
    done: bool,
    /// Why it failed, if that is known.
    failure: Option<String>,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Looks whether the hub has sent this request, before its script runs.
pub fn begin() {
    STATE.set(None);
    let sapi = zend::sapi_name().to_bytes();
    let (name, token) = match sapi {
        b"fpm-fcgi" => (PARAMETER, variables::of_request(c"SSE_RENDER_TOKEN")),
        b"apache2handler" => (HEADER, variables::of_request(c"HTTP_SSE_RENDER_TOKEN")),
        b"cli-server" => (HEADER, variables::of_server(HEADER)),
        _ => return,
    };
    let Some(token) = token else { return };
    let asked = spawn::call_running(&Request::Replayed { token: &token }, |reply| match reply {
        Reply::Replayed { stream, reason, remote, last_event_id } => {
            let remote = (remote.0.to_owned(), remote.1.to_owned());
            Ok((stream, reason, remote, last_event_id.map(str::to_owned)))
        }
        other => Err(ClientError::Protocol(format!("{other:?} to a token"))),
    });
    let (stream, reason, (address, port), last_event_id) = match asked {
        Ok(answer) => answer,
        // A parameter can't come from a client, so it is the hub's also where that doesn't know it any more, or is away.
        Err(error) if is_over(&error) || name == PARAMETER => {
            variables::set_of_server(&[(name, None)]);
            STATE.set(Some(State { replay: Replay::Over, done: true, failure: None }));
            return;
        }
        // An ordinary request, whatever it says of itself.
        Err(_) => return,
    };
    let mut variables = vec![(name, None)];
    if !address.is_empty() {
        variables.extend([("REMOTE_ADDR", Some(address.as_str())), ("REMOTE_PORT", Some(port.as_str()))]);
    }
    variables::set_of_server(&variables);
    if sapi == b"apache2handler" {
        // What getenv() tells is Apache's own. Where this function is disabled it tells of the hub's connection.
        for (name, value) in &variables {
            let _ = zend::call("apache_setenv", &[name, &value.unwrap_or_default()]);
        }
    }
    let replay = Replay::Wanted(Rendering { token, stream, reason, last_event_id });
    STATE.set(Some(State { replay, done: false, failure: None }));
}

/// What this request is, if it comes from the hub.
pub fn current() -> Option<Replay> {
    STATE.with_borrow(|state| state.as_ref().map(|state| state.replay.clone()))
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
pub fn end() {
    let Some(State { replay: Replay::Wanted(rendering), done: false, failure }) = STATE.take() else { return };
    let reason = failure.or_else(zend::last_error).unwrap_or_else(|| "it ended before sse_stream() was done".into());
    // A hub that does not hear it sees the response end all the same.
    let _ = spawn::call_running(&Request::NotRendered { token: &rendering.token, reason: &reason }, |_| Ok(()));
}

impl Rendering {
    /// What has happened since the callback's last run; `None` if the stream has ended meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if the hub does not answer.
    pub fn events(&self, patterns: &[&str]) -> Result<Option<Vec<Zval>>, Problem> {
        let request = Request::Render { token: &self.token, patterns: patterns.to_vec() };
        // The objects are made afterwards: for want of memory the engine may jump over what is held here.
        let answer = spawn::call_running(&request, |reply| match reply {
            Reply::Events { events } => Ok(events.iter().map(wire::encode).collect::<Vec<_>>()),
            other => Err(ClientError::Protocol(format!("{other:?} to a render"))),
        });
        match answer {
            Ok(messages) => messages
                .iter()
                .filter_map(|message| event_of(message, patterns).transpose())
                .collect::<Result<_, _>>()
                .map(Some),
            Err(error) if is_over(&error) => Ok(None),
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
        match spawn::rendered(Whose::Token(&self.token), render, share, patterns, frames) {
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
