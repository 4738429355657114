//! Serves a stream in the worker, where no hand-off is possible. The hub gets one end of a socket pair in place of the
//! client's connection, so the stream has the same bytes. The worker copies them to PHP's output, or runs the callback
//! for notifications and events.

mod render;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use sse_protocol::wire::Framing;

use crate::api::exceptions::Problem;
use crate::handoff::obstacle::Stays;
use crate::hub_connection::CallbackFrames;
use crate::php::descriptor::Descriptor;
use crate::php::engine::Engine;
use crate::php::{connection, zend};
use crate::response::{self, Interrupted};
use crate::stream::{CallOutcome, StreamCall, without_hub};
use crate::{handoff, hub_connection};

/// Serves a stream until its client leaves or the hub ends it.
///
/// # Errors
/// `Unavailable` without a hub, or the callback's error. Before the second run, nothing has been sent.
pub fn serve(engine: &mut Engine, stream: &StreamCall) -> Result<CallOutcome, Problem> {
    let (ours, theirs) = hub_connection::pair()?;
    let held = match stream.attach(theirs.as_fd(), false, None) {
        Ok(held) => held,
        Err(stays) => return unheld(engine, stream, stays),
    };
    drop(theirs);
    let client = handoff::hang_up_source();
    let client = client.as_ref().map(Descriptor::lend);
    let first = match stream.run_first(engine, &held) {
        Ok(frames) if frames.ends => {
            hub_connection::abort(&held);
            return Ok(stream.conclude(engine, &frames));
        }
        Ok(frames) => frames,
        Err(problem) => {
            hub_connection::abort(&held);
            return Err(problem);
        }
    };
    if let Err(interrupted) = begin_unless_begun(engine, stream, stream.resumption(&held)) {
        hub_connection::abort(&held);
        return Ok(interrupted.into());
    }
    let framing = if stream.callback.is_some() { Framing::Message } else { Framing::Raw };
    if let Err(error) = hub_connection::commit(&held, framing) {
        hub_connection::abort(&held);
        return unheld(engine, stream, without_hub(error));
    }
    // The script must not end inside this function when the client leaves.
    let ignored = connection::ignore_abort(true);
    let limit =
        str::from_utf8(&zend::ini(c"max_execution_time")).ok().and_then(|limit| limit.parse().ok()).unwrap_or(0);
    set_time_limit(engine, 0);
    let served = match &stream.callback {
        _ if zend::interrupted() => Err(ServiceEnd::Interrupted),
        None => copy(engine, &ours, client),
        Some(callback) => {
            let first = FirstOutput { public: held.public.as_deref(), frames: first };
            render::serve(engine, stream, callback, first, ours, client, limit)
        }
    };
    set_time_limit(engine, limit);
    connection::ignore_abort(ignored);
    // On the command line nothing but the reader's departure ends the output: a test runner or a command goes on writing.
    if !(zend::is_command_line() && matches!(served, Err(ServiceEnd::ByHub) | Ok(()))) {
        response::silence();
    }
    match served {
        Err(ServiceEnd::ClientLeft | ServiceEnd::ByHub) | Ok(()) => Ok(CallOutcome::Served),
        Err(ServiceEnd::Interrupted) => Ok(CallOutcome::Interrupted),
        Err(ServiceEnd::Failed(problem)) => Err(problem),
    }
}

/// Handles a stream that the hub does not hold.
fn unheld(engine: &mut Engine, stream: &StreamCall, stays: Stays) -> Result<CallOutcome, Problem> {
    match stays {
        Stays::Because(obstacle) => Ok(stream.refuse(engine, &obstacle)),
        Stays::Failed(problem) => Err(problem),
    }
}

/// What a stream with a callback begins with.
struct FirstOutput<'a> {
    /// The stream's public id, if its script asked for it.
    public: Option<&'a str>,
    /// The callback's first output.
    frames: CallbackFrames,
}

/// Why a stream has ended.
enum ServiceEnd {
    ClientLeft,
    ByHub,
    /// User code that ran meanwhile did not return.
    Interrupted,
    /// The callback's result can't be sent.
    Failed(Problem),
}

/// Sends the headers, unless a hand-off that failed late has already sent them.
fn begin_unless_begun(engine: &mut Engine, stream: &StreamCall, extra: Option<String>) -> Result<(), Interrupted> {
    if response::begun() { Ok(()) } else { stream.begin(engine, extra, &[]) }
}

fn copy(engine: &mut Engine, hub: &OwnedFd, client: Option<BorrowedFd<'_>>) -> Result<(), ServiceEnd> {
    let mut buffer = vec![0; 64 * 1024].into_boxed_slice();
    loop {
        wait(engine, hub.as_fd(), client, None)?;
        match rustix::net::recv(hub, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Err(ServiceEnd::ByHub),
            Ok((read, _)) => write(engine, &buffer[..read])?,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Err(ServiceEnd::ByHub),
        }
    }
}

/// Sends bytes to the client through PHP's output layer, as `echo` does.
fn write(engine: &mut Engine, bytes: &[u8]) -> Result<(), ServiceEnd> {
    let written = connection::write(engine, bytes);
    if written.is_err() || zend::interrupted() {
        return Err(ServiceEnd::Interrupted);
    }
    if connection::is_aborted() { Err(ServiceEnd::ClientLeft) } else { Ok(()) }
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ready {
    Hub,
    /// The deadline.
    Time,
}

fn wait(
    engine: &mut Engine,
    hub: BorrowedFd<'_>,
    client: Option<BorrowedFd<'_>>,
    until: Option<Instant>,
) -> Result<Ready, ServiceEnd> {
    loop {
        // Watch the client's socket: `connection_aborted()` notices a lost client only when a write fails.
        let source = client.unwrap_or(hub);
        let mut descriptors = [PollFd::new(&hub, PollFlags::IN), PollFd::new(&source, PollFlags::RDHUP)];
        let used = if client.is_some() { 2 } else { 1 };
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match rustix::event::poll(&mut descriptors[..used], timeout.as_ref()) {
            Ok(0) => return Ok(Ready::Time),
            Ok(_) => {}
            Err(Errno::INTR) => {
                zend::dispatch_signals(engine);
                if zend::interrupted() {
                    return Err(ServiceEnd::Interrupted);
                }
                continue;
            }
            Err(_) => return Err(ServiceEnd::ClientLeft),
        }
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if used == 2 && descriptors[1].revents().intersects(gone) {
            return Err(ServiceEnd::ClientLeft);
        }
        if !descriptors[0].revents().is_empty() {
            return Ok(Ready::Hub);
        }
    }
}

/// Sets the script's CPU time limit in seconds; 0 while it only waits.
fn set_time_limit(engine: &mut Engine, seconds: i64) {
    // If the function is disabled, the limit stays. It counts CPU time, and waiting uses little of it.
    let _ = zend::call(engine, "set_time_limit", &[&seconds]);
}
