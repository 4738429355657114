//! Serves a stream with a callback in the worker: each notification or event runs the callback here.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ext_php_rs::types::Zval;
use sse_protocol::event::{HEARTBEAT, opening, opening_at, replaced, stream_told};

use super::{FirstOutput, Ready, ServiceEnd, set_time_limit, wait, write};
use crate::api::arguments;
use crate::api::callback::Callback;
use crate::api::exceptions::Problem;
use crate::deliveries::{Deliveries, DeliveryRead};
use crate::hub_connection::CallbackFrames;
use crate::php::engine::Engine;
use crate::php::variables;
use crate::stream::StreamCall;

/// Sends the first output and runs the callback until the client leaves or the hub ends the stream. Each run gets the
/// script's whole time limit.
pub(super) fn serve(
    engine: &mut Engine,
    stream: &StreamCall,
    callback: &Callback,
    first: FirstOutput<'_>,
    hub: OwnedFd,
    client: Option<BorrowedFd<'_>>,
    limit: i64,
) -> Result<(), ServiceEnd> {
    let mut deliveries = Deliveries::new(hub);
    let mut sent = ClientOutput { last: Vec::new(), at: Instant::now() };
    let FirstOutput { public, frames } = first;
    let spec = &stream.wanted.spec;
    let opening = public.map_or_else(|| opening(spec), |public| opening_at(spec, &stream_told(public)));
    write(engine, &stream.padded(opening.as_bytes()))?;
    sent.send(engine, stream, frames)?;
    let patterns = arguments::borrowed(&stream.wanted.patterns);
    let poll = Some(stream.wanted.poll).filter(|poll| !poll.is_zero());
    let mut next = due(poll);
    loop {
        let beat = sent.next_heartbeat(stream.wanted.spec.heartbeat);
        let until = [next, beat].into_iter().flatten().min();
        let ready = wait(engine, deliveries.socket(), client, until)?;
        let events = read(engine, &mut deliveries, &patterns)?;
        let now = Instant::now();
        if beat.is_some_and(|at| at <= now) {
            write(engine, &stream.padded(HEARTBEAT))?;
            sent.at = now;
        }
        if events.is_empty() && (ready == Ready::Hub || next.is_none_or(|at| at > now)) {
            continue;
        }
        set_time_limit(engine, limit);
        let frames = stream.run(engine, callback, events, public);
        set_time_limit(engine, 0);
        match frames {
            Ok(frames) => {
                let ends = frames.ends;
                sent.send(engine, stream, frames)?;
                if ends {
                    return Err(ServiceEnd::ByHub);
                }
            }
            Err(Problem::Pending) => return Err(ServiceEnd::Interrupted),
            Err(problem) => return Err(ServiceEnd::Failed(problem)),
        }
        next = due(poll);
    }
}

fn due(poll: Option<Duration>) -> Option<Instant> {
    poll.map(|poll| Instant::now() + poll)
}

/// The state of the output to the client.
struct ClientOutput {
    /// The last output.
    last: Vec<u8>,
    /// When anything was last sent.
    at: Instant,
}

impl ClientOutput {
    /// Sends an output, unless it equals the last one. Sets the last id where a replay's callback finds it too.
    fn send(&mut self, engine: &mut Engine, stream: &StreamCall, frames: CallbackFrames) -> Result<(), ServiceEnd> {
        if let Some(id) = &frames.last_id {
            variables::set_of_server(engine, &[("HTTP_LAST_EVENT_ID", Some(id))]);
        }
        if frames.bytes.is_empty() || stream.wanted.only_changes && self.last == frames.bytes {
            return Ok(());
        }
        self.last = frames.bytes;
        self.at = Instant::now();
        write(engine, &stream.padded(&self.last))
    }

    /// When a comment is due. The hub's own heartbeats don't count: a notification without new output is silence for the
    /// client.
    fn next_heartbeat(&self, seconds: u32) -> Option<Instant> {
        (seconds > 0).then(|| self.at + Duration::from_secs(seconds.into()))
    }
}

/// Reads all deliveries that have arrived. Several notifications cause one run.
fn read(engine: &mut Engine, deliveries: &mut Deliveries, patterns: &[&str]) -> Result<Vec<Zval>, ServiceEnd> {
    let mut events = Vec::new();
    loop {
        match deliveries.read(patterns).map_err(ServiceEnd::Failed)? {
            DeliveryRead::Event(event) => events.push(event),
            DeliveryRead::Heartbeat => {}
            DeliveryRead::Retry(retry) => write(engine, format!("retry: {retry}\n\n").as_bytes())?,
            DeliveryRead::Replaced(retry) => {
                write(engine, replaced(retry).as_bytes())?;
                return Err(ServiceEnd::ByHub);
            }
            DeliveryRead::Nothing => return Ok(events),
            DeliveryRead::End => return Err(ServiceEnd::ByHub),
        }
    }
}
