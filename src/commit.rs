//! `sse.publish=commit`: events that wait for the end of their request, and are sent only if it succeeded.
//!
//! The end is the engine's own, after shutdown functions, destructors and the flush of the output. What a process
//! publishes later still, in a session handler for example, follows the request's outcome at once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use sse_protocol::wire::{self, Reply, Request};

use crate::api::exceptions::Problem;
use crate::php::engine::Engine;
use crate::spawn::{self, Fate};
use crate::{handoff, ini, zend};

/// Topics that a line of PHP's error log names.
const NAMED: usize = 10;

/// An event that waits, ready to be sent.
struct Held {
    topics: Vec<String>,
    message: Vec<u8>,
}

impl Held {
    /// Bytes that it takes, more or less.
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

/// How far the request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It goes on.
    Open,
    /// It has succeeded.
    Succeeded,
    /// It has failed.
    Failed,
}

/// What the request holds back.
struct State {
    phase: Phase,
    /// Whose it is: a forked child has a copy of what is its parent's to send.
    process: u32,
    held: Vec<Held>,
    bytes: usize,
}

thread_local! {
    // No code of a user runs while this is borrowed.
    static STATE: RefCell<State> =
        const { RefCell::new(State { phase: Phase::Open, process: 0, held: Vec::new(), bytes: 0 }) };
}

impl State {
    /// Lets go of what another process will send.
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

/// Runs when a request starts.
pub fn begin_request() {
    STATE.with_borrow_mut(|state| {
        state.take();
        state.phase = Phase::Open;
    });
}

/// Keeps a checked publication until the request's end; false if that is over and it should be sent at once.
///
/// # Errors
/// `Other` if the request holds too much back already.
pub fn hold(request: &Request<'_>) -> Result<bool, Problem> {
    let limit = ini::commit_bytes()?;
    let Request::Publish { topics, .. } = request else { return Ok(false) };
    STATE.with_borrow_mut(|state| {
        match state.phase {
            Phase::Open => {}
            Phase::Succeeded => return Ok(false),
            // Dropped, with those before it.
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

/// Runs when a request has ended.
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

/// Lets the client have its response before the hub is waited for, where PHP can do that.
fn finish_response(engine: &mut Engine) {
    if zend::sapi_name() == c"fpm-fcgi" && !handoff::is_complete() {
        // Where that function is disabled, or the client has gone, the events are sent all the same.
        let _ = zend::call(engine, "fastcgi_finish_request", &[]);
        zend::forget_bailout();
    }
}

/// Sends the events in order; returns what has become of those that the hub has not taken.
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
