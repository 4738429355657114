//! Serves a stream with a callback in the worker: each notification or event runs the callback here.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ext_php_rs::types::Zval;
use sse_protocol::event::{HEARTBEAT, opening, replaced};

use super::{Ended, Ready, set_time_limit, wait, write};
use crate::api::arguments;
use crate::api::callback::{Callback, Frames};
use crate::api::exceptions::Problem;
use crate::api::stream::Stream;
use crate::deliveries::{Deliveries, Read};
use crate::php::engine::Engine;
use crate::variables;

/// Sends the first output and runs the callback until the client leaves or the hub ends the stream. Each run gets the
/// script's whole time limit.
pub(super) fn serve(
    engine: &mut Engine,
    stream: &Stream,
    callback: &Callback,
    first: Frames,
    hub: OwnedFd,
    client: Option<BorrowedFd<'_>>,
    limit: i64,
) -> Result<(), Ended> {
    let mut deliveries = Deliveries::new(hub);
    let mut sent = Sent { last: Vec::new(), at: Instant::now() };
    write(engine, opening(stream.wanted.retry).as_bytes())?;
    sent.send(engine, stream, first)?;
    let patterns = arguments::borrowed(&stream.wanted.patterns);
    let poll = Some(stream.wanted.poll).filter(|poll| !poll.is_zero());
    let mut next = due(poll);
    loop {
        let beat = sent.next_heartbeat(stream.wanted.heartbeat);
        let until = [next, beat].into_iter().flatten().min();
        let ready = wait(engine, deliveries.socket(), client, until)?;
        let events = read(engine, &mut deliveries, &patterns)?;
        let now = Instant::now();
        if beat.is_some_and(|at| at <= now) {
            write(engine, HEARTBEAT)?;
            sent.at = now;
        }
        if events.is_empty() && (ready == Ready::Hub || next.is_none_or(|at| at > now)) {
            continue;
        }
        set_time_limit(engine, limit);
        let frames = stream.run(engine, callback, events);
        set_time_limit(engine, 0);
        match frames {
            Ok(frames) => sent.send(engine, stream, frames)?,
            Err(Problem::Pending) => return Err(Ended::Interrupted),
            Err(problem) => return Err(Ended::Failed(problem)),
        }
        next = due(poll);
    }
}

fn due(poll: Option<Duration>) -> Option<Instant> {
    poll.map(|poll| Instant::now() + poll)
}

/// The state of the output to the client.
struct Sent {
    /// The last output.
    last: Vec<u8>,
    /// When anything was last sent.
    at: Instant,
}

impl Sent {
    /// Sends an output, unless it equals the last one. Sets the last id where a replay's callback finds it too.
    fn send(&mut self, engine: &mut Engine, stream: &Stream, frames: Frames) -> Result<(), Ended> {
        if let Some(id) = &frames.last_id {
            variables::set_of_server(engine, &[("HTTP_LAST_EVENT_ID", Some(id))]);
        }
        if frames.bytes.is_empty() || stream.wanted.only_changes && self.last == frames.bytes {
            return Ok(());
        }
        self.last = frames.bytes;
        self.at = Instant::now();
        write(engine, &self.last)
    }

    /// When a comment is due. The hub's own heartbeats don't count: a notification without new output is silence for the
    /// client.
    fn next_heartbeat(&self, seconds: u32) -> Option<Instant> {
        (seconds > 0).then(|| self.at + Duration::from_secs(seconds.into()))
    }
}

/// Reads all deliveries that have arrived. Several notifications cause one run.
fn read(engine: &mut Engine, deliveries: &mut Deliveries, patterns: &[&str]) -> Result<Vec<Zval>, Ended> {
    let mut events = Vec::new();
    loop {
        match deliveries.read(patterns).map_err(Ended::Failed)? {
            Read::Event(event) => events.push(event),
            Read::Heartbeat => {}
            Read::Replaced(retry) => {
                write(engine, replaced(retry).as_bytes())?;
                return Err(Ended::ByHub);
            }
            Read::Nothing => return Ok(events),
            Read::End => return Err(Ended::ByHub),
        }
    }
}
