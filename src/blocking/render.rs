//! A stream with a callback, served in the worker: the callback runs here on each wake.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ext_php_rs::types::Zval;
use sse_hub::event::{HEARTBEAT, opening};

use super::{Ended, Ready, set_time_limit, wait, write};
use crate::api::callback::{Callback, Frames};
use crate::api::exceptions::Problem;
use crate::api::stream::Stream;
use crate::deliveries::{Deliveries, Read};

/// Sends the first output, and runs the callback until the client leaves or the hub ends the stream. It may use as much
/// time each time as the script.
pub(super) fn serve(
    stream: &Stream<'_>,
    callback: &Callback<'_>,
    first: Frames,
    hub: OwnedFd,
    client: Option<BorrowedFd<'_>>,
    limit: i64,
) -> Result<(), Ended> {
    let mut deliveries = Deliveries::new(hub);
    let mut last = Vec::new();
    write(opening(stream.wanted.retry).as_bytes())?;
    send(stream, &mut last, first)?;
    let poll = Some(stream.wanted.poll).filter(|poll| !poll.is_zero());
    let mut next = due(poll);
    loop {
        let ready = wait(deliveries.socket(), client, next)?;
        let (events, heartbeat) = read(&mut deliveries, &stream.wanted.patterns)?;
        if events.is_empty() && ready == Ready::Hub {
            if heartbeat {
                write(HEARTBEAT)?;
            }
            continue;
        }
        set_time_limit(limit);
        let frames = stream.run(callback, events);
        set_time_limit(0);
        match frames {
            Ok(frames) => send(stream, &mut last, frames)?,
            Err(Problem::Pending) => return Err(Ended::Interrupted),
            Err(problem) => return Err(Ended::Failed(problem)),
        }
        next = due(poll);
    }
}

fn due(poll: Option<Duration>) -> Option<Instant> {
    poll.map(|poll| Instant::now() + poll)
}

/// Sends an output, unless it is the one before.
fn send(stream: &Stream<'_>, last: &mut Vec<u8>, frames: Frames) -> Result<(), Ended> {
    if frames.bytes.is_empty() || stream.wanted.only_changes && *last == frames.bytes {
        return Ok(());
    }
    *last = frames.bytes;
    write(last)
}

/// All that has come: several wakes are one run.
fn read(deliveries: &mut Deliveries, patterns: &[&str]) -> Result<(Vec<Zval>, bool), Ended> {
    let (mut events, mut heartbeat) = (Vec::new(), false);
    loop {
        match deliveries.read(patterns).map_err(Ended::Failed)? {
            Read::Event(event) => events.push(event),
            Read::Heartbeat => heartbeat = true,
            Read::Nothing => return Ok((events, heartbeat)),
            Read::End => return Err(Ended::ByHub),
        }
    }
}
