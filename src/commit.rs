//! `sse.publish=commit`: holds events back until their request ends, and sends them only if it succeeded.
//!
//! The end is the engine's own: after shutdown functions, destructors and the output flush. A later publication, in a
//! session handler for example, follows the request's outcome at once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use sse_protocol::wire::{self, Reply, Request};

use crate::api::exceptions::Problem;
use crate::php::engine::Engine;
use crate::spawn::{self, Fate};
use crate::{handoff, ini, zend};

/// Maximum number of topics in one log line.
const NAMED: usize = 10;

/// A held event, encoded.
struct Held {
    topics: Vec<String>,
    message: Vec<u8>,
}

impl Held {
    /// Its approximate size in memory, in bytes.
    fn size(&self) -> usize {
        self.message.len()
            + self.topics.iter().map(|topic| topic.len() + size_of::<String>()).sum::<usize>()
            + size_of::<Self>()
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

/// The progress of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It runs.
    Open,
    /// It has succeeded.
    Succeeded,
    /// It has failed.
    Failed,
}

/// The events that the request holds back.
struct State {
    phase: Phase,
    /// The owner. A forked child has a copy of events that its parent will send.
    process: u32,
    held: Vec<Held>,
    bytes: usize,
}

thread_local! {
    // No user code runs while this is borrowed.
    static STATE: RefCell<State> =
        const { RefCell::new(State { phase: Phase::Open, process: 0, held: Vec::new(), bytes: 0 }) };
}

impl State {
    /// Drops the events of another process, which will send them itself.
    fn claim(&mut self) {
        let process = std::process::id();
        if self.process != process {
            self.process = process;
            self.take();
        }
    }

    fn take(&mut self) -> Vec<Held> {
        self.bytes = 0;
        std::mem::take(&mut self.held)
    }
}

/// Resets the state for a new request.
pub fn begin_request() {
    STATE.with_borrow_mut(|state| {
        state.take();
        state.phase = Phase::Open;
    });
}

/// Holds a checked publication back until the request ends. False if it has ended: then send the event at once.
///
/// # Errors
/// `Other` if the held events exceed `sse.commit_bytes`.
pub fn hold(request: &Request<'_>) -> Result<bool, Problem> {
    let limit = ini::commit_bytes()?;
    let Request::Publish { topics, .. } = request else { return Ok(false) };
    STATE.with_borrow_mut(|state| {
        match state.phase {
            Phase::Open => {}
            Phase::Succeeded => return Ok(false),
            // Drop it, like the events before it.
            Phase::Failed => return Ok(true),
        }
        state.claim();
        let held = Held { topics: topics.iter().map(|&topic| topic.into()).collect(), message: wire::encode(request) };
        let (size, bytes, count) = (held.size(), state.bytes, state.held.len());
        if bytes + size > limit {
            return Err(Problem::Other(format!(
                "sse_publish(): this request holds back {bytes} bytes in {count} events until its end, and {size} more are \
                 over the {limit} that sse.commit_bytes allows; raise it, or publish with the mode 'ack'"
            )));
        }
        state.bytes += size;
        state.held.push(held);
        Ok(true)
    })
}

/// Sends the held events if the request has succeeded.
pub fn end_request(engine: &mut Engine) {
    let failed = zend::has_failed();
    let held = STATE.with_borrow_mut(|state| {
        state.phase = if failed { Phase::Failed } else { Phase::Succeeded };
        state.claim();
        state.take()
    });
    if failed || held.is_empty() {
        return;
    }
    finish_response(engine);
    if let Some(loss) = send(&held) {
        zend::log(&format!("sse: {loss}"));
    }
}

/// Completes the client's response before the wait for the hub, where PHP can do that.
fn finish_response(engine: &mut Engine) {
    if zend::sapi_name() == c"fpm-fcgi" && !handoff::is_complete() {
        // If the function is disabled or the client has gone, the events are still sent.
        let _ = zend::call(engine, "fastcgi_finish_request", &[]);
        zend::forget_bailout();
    }
}

/// Sends the events in order. Returns a log message if the hub did not accept all of them.
fn send(held: &[Held]) -> Option<String> {
    let mut taken = vec![false; held.len()];
    let mut unknown = 0;
    let mut refusal = None;
    let done = spawn::call_all(held, |place, fate| match fate {
        Fate::Answered(Reply::Published { .. }) => taken[place] = true,
        Fate::Answered(Reply::Error { message, .. }) => refusal = Some(message.to_owned()),
        Fate::Answered(other) => refusal = Some(other.unexpected("a publication").to_string()),
        Fate::Unknown => unknown += 1,
    });
    let lost: Vec<&Held> = held.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(held, _)| held).collect();
    if lost.is_empty() {
        return None;
    }
    let reason = done.err().map(|error| error.to_string()).or(refusal).unwrap_or_default();
    let topics: BTreeSet<&str> = lost.iter().flat_map(|held| &held.topics).map(String::as_str).collect();
    let named: Vec<&str> = topics.iter().take(NAMED).copied().collect();
    let more = if topics.len() > NAMED { format!(" and {} more", topics.len() - NAMED) } else { String::new() };
    let doubt = if unknown > 0 { format!(" (of {unknown} it is not known)") } else { String::new() };
    Some(format!(
        "{} of {} events held back until the end of the request were not published{doubt}: {reason}; topics: {}{more}",
        lost.len(),
        held.len(),
        named.join(", "),
    ))
}
