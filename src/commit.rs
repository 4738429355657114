//! `sse.publish=commit`: holds events and notifications back until their request ends, and sends them only if it
//! succeeded.
//!
//! The end is the engine's own: after shutdown functions, destructors and the output flush. A later publication, in a
//! session handler for example, follows the request's outcome at once.

pub mod state;

use std::collections::BTreeSet;

use sse_protocol::wire::{self, Reply, Request};

use self::state::{Commit, CommitPhase, HeldEvent};
use crate::api::exceptions::Problem;
use crate::hub_connection::{self, RequestFate};
use crate::php::engine::Engine;
use crate::php::zend;
use crate::request::{self, lend};
use crate::{handoff, ini};

/// Maximum number of topics in one log line.
const NAMED: usize = 10;

/// Maximum number of topics in one notification.
const AT_ONCE: usize = 100;

/// No user code runs meanwhile.
fn with_state<R>(work: impl FnOnce(&mut Commit) -> R) -> R {
    request::with(|request| lend(&request.commit, work))
}

/// Holds a checked publication back until the request ends. False if it has ended: then send the event at once.
///
/// # Errors
/// `Other` if the held events exceed `sse.commit_bytes`.
pub fn hold(request: &Request<'_>) -> Result<bool, Problem> {
    let limit = ini::commit_bytes()?;
    let Request::Publish { event, .. } = request else { return Ok(false) };
    with_state(|state| {
        match state.phase {
            CommitPhase::Open => {}
            CommitPhase::Succeeded => return Ok(false),
            // Drop it, like the events before it.
            CommitPhase::Failed => return Ok(true),
        }
        state.claim();
        let held = HeldEvent {
            topics: event.topics.iter().map(|&topic| topic.into()).collect(),
            message: wire::encode(request),
        };
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

/// Holds notifications back as [`hold`] does events; a topic is notified of once. `None` if the request has ended; false if
/// they exceed `sse.commit_bytes`.
pub fn hold_notifications(topics: &[String], limit: usize) -> Option<bool> {
    with_state(|state| {
        match state.phase {
            CommitPhase::Open => {}
            CommitPhase::Succeeded => return None,
            CommitPhase::Failed => return Some(true),
        }
        state.claim();
        for topic in topics {
            let size = topic.len() + size_of::<String>();
            if state.notified.contains(topic) {
                continue;
            }
            if state.bytes + size > limit {
                return Some(false);
            }
            state.bytes += size;
            state.notified.insert(topic.clone());
        }
        Some(true)
    })
}

/// Sends the held events, then the notifications, if the request has succeeded.
pub fn end_request(engine: &mut Engine) {
    let failed = zend::has_failed();
    let (held, notified) = with_state(|state| {
        state.phase = if failed { CommitPhase::Failed } else { CommitPhase::Succeeded };
        state.claim();
        state.take()
    });
    if failed {
        return;
    }
    if !held.is_empty() {
        finish_response(engine);
        if let Some(loss) = send(&held) {
            zend::log(&format!("sse: {loss}"));
        }
    }
    if let Some(loss) = notify(&notified.iter().map(String::as_str).collect::<Vec<_>>()) {
        zend::log(&format!("sse: {loss}"));
    }
}

/// Sends the notifications. Returns a log message if the hub could not take all of them.
fn notify(topics: &[&str]) -> Option<String> {
    for (nth, some) in topics.chunks(AT_ONCE).enumerate() {
        match hub_connection::post(&Request::Trigger { topics: some.to_vec() }) {
            Ok(()) => {}
            // Nobody listens.
            Err(error) if error.is_missing() => return None,
            Err(error) => {
                let lost = &topics[nth * AT_ONCE..];
                return Some(format!(
                    "{} of {} notifications held back until the end of the request were not sent: {error}; topics: {}",
                    lost.len(),
                    topics.len(),
                    named(lost),
                ));
            }
        }
    }
    None
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
fn send(held: &[HeldEvent]) -> Option<String> {
    let mut taken = vec![false; held.len()];
    let mut unknown = 0;
    let mut refusal = None;
    let done = hub_connection::call_all(held, |place, fate| match fate {
        RequestFate::Answered(Reply::Published { .. }) => taken[place] = true,
        RequestFate::Answered(Reply::Error { message, .. }) => refusal = Some(message.to_owned()),
        RequestFate::Answered(other) => refusal = Some(other.unexpected("a publication").to_string()),
        RequestFate::Unknown => unknown += 1,
    });
    let lost: Vec<&HeldEvent> = held.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(held, _)| held).collect();
    if lost.is_empty() {
        return None;
    }
    let reason = done.err().map(|error| error.to_string()).or(refusal).unwrap_or_default();
    let topics: BTreeSet<&str> = lost.iter().flat_map(|held| &held.topics).map(String::as_str).collect();
    let doubt = if unknown > 0 { format!(" (of {unknown} it is not known)") } else { String::new() };
    Some(format!(
        "{} of {} events held back until the end of the request were not published{doubt}: {reason}; topics: {}",
        lost.len(),
        held.len(),
        named(&topics.into_iter().collect::<Vec<_>>()),
    ))
}

/// Topics for a log line.
fn named(topics: &[&str]) -> String {
    let more = if topics.len() > NAMED { format!(" and {} more", topics.len() - NAMED) } else { String::new() };
    topics[..topics.len().min(NAMED)].join(", ") + &more
}
