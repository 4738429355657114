//! Serves a stream in the worker, where no hand-off is possible. The hub gets one end of a socket pair in place of the
//! client's connection, so the stream has the same bytes. The worker copies them to PHP's output, or runs the callback
//! for notifications and events.

mod render;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use ext_php_rs::ffi;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use sse_protocol::wire::Framing;

use crate::api::exceptions::Problem;
use crate::api::stream::{Outcome, Stays, Stream, without_hub};
use crate::php::engine::Engine;
use crate::response::{self, Interrupted};
use crate::{handoff, spawn, zend};

/// `main/php_globals.h`: the client has gone.
const PHP_CONNECTION_ABORTED: i32 = 1;

/// Serves a stream until its client leaves or the hub ends it.
///
/// # Errors
/// `Unavailable` without a hub, or the callback's error. Before the second run, nothing has been sent.
pub fn serve(engine: &mut Engine, stream: &Stream) -> Result<Outcome, Problem> {
    let (ours, theirs) = pair()?;
    let held = match stream.attach(theirs.as_fd(), false, None) {
        Ok(held) => held,
        Err(stays) => return unheld(engine, stream, stays),
    };
    drop(theirs);
    let client = handoff::hang_up_source();
    let first = match stream.run_first(engine) {
        Ok(frames) => frames,
        Err(problem) => {
            spawn::abort(&held);
            return Err(problem);
        }
    };
    if let Err(interrupted) = begin_unless_begun(engine, stream) {
        spawn::abort(&held);
        return Ok(interrupted.into());
    }
    let framing = if stream.callback.is_some() { Framing::Message } else { Framing::Raw };
    if let Err(error) = spawn::commit(&held, framing) {
        spawn::abort(&held);
        return unheld(engine, stream, without_hub(error));
    }
    // The script must not end inside this function when the client leaves.
    let ignored = set_ignore_user_abort(true);
    let limit =
        str::from_utf8(&zend::ini(c"max_execution_time")).ok().and_then(|limit| limit.parse().ok()).unwrap_or(0);
    set_time_limit(engine, 0);
    let served = match &stream.callback {
        _ if zend::interrupted() => Err(Ended::Interrupted),
        None => copy(engine, &ours, client),
        Some(callback) => render::serve(engine, stream, callback, first, ours, client, limit),
    };
    set_time_limit(engine, limit);
    set_ignore_user_abort(ignored);
    response::silence();
    match served {
        Err(Ended::ClientLeft | Ended::ByHub) | Ok(()) => Ok(Outcome::Served),
        Err(Ended::Interrupted) => Ok(Outcome::Interrupted),
        Err(Ended::Failed(problem)) => Err(problem),
    }
}

/// Handles a stream that the hub does not hold.
fn unheld(engine: &mut Engine, stream: &Stream, stays: Stays) -> Result<Outcome, Problem> {
    match stays {
        Stays::Because(obstacle) => Ok(stream.refuse(engine, &obstacle)),
        Stays::Failed(problem) => Err(problem),
    }
}

/// Why a stream has ended.
enum Ended {
    ClientLeft,
    ByHub,
    /// User code that ran meanwhile did not return.
    Interrupted,
    /// The callback's result can't be sent.
    Failed(Problem),
}

/// Sends the headers, unless a hand-off that failed late has already sent them.
fn begin_unless_begun(engine: &mut Engine, stream: &Stream) -> Result<(), Interrupted> {
    if response::begun() { Ok(()) } else { stream.begin(engine, None, "") }
}

/// Creates a connected pair of stream sockets.
///
/// # Errors
/// `Unavailable` if the system refuses.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Problem> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| Problem::Unavailable(format!("no socket pair could be made: {error}")))
}

fn copy(engine: &mut Engine, hub: &OwnedFd, client: Option<BorrowedFd<'_>>) -> Result<(), Ended> {
    let mut buffer = vec![0; 64 * 1024].into_boxed_slice();
    loop {
        wait(engine, hub.as_fd(), client, None)?;
        match rustix::net::recv(hub, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Err(Ended::ByHub),
            Ok((read, _)) => write(engine, &buffer[..read])?,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Err(Ended::ByHub),
        }
    }
}

/// Sends bytes to the client through PHP's output layer, as `echo` does.
fn write(engine: &mut Engine, bytes: &[u8]) -> Result<(), Ended> {
    // SAFETY: the engine only reads the bytes.
    let written = zend::guarded(engine, || unsafe {
        ffi::php_output_write(bytes.as_ptr().cast(), bytes.len());
        ffi::sapi_flush();
    });
    if written.is_err() || zend::interrupted() {
        return Err(Ended::Interrupted);
    }
    if aborted() { Err(Ended::ClientLeft) } else { Ok(()) }
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
) -> Result<Ready, Ended> {
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
                    return Err(Ended::Interrupted);
                }
                continue;
            }
            Err(_) => return Err(Ended::ClientLeft),
        }
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if used == 2 && descriptors[1].revents().intersects(gone) {
            return Err(Ended::ClientLeft);
        }
        if !descriptors[0].revents().is_empty() {
            return Ok(Ready::Hub);
        }
    }
}

/// Whether PHP knows that the client has gone.
pub fn aborted() -> bool {
    // SAFETY: reads a number of this request's globals.
    unsafe { i32::from((*ffi::ext_php_rs_process_globals()).connection_status) & PHP_CONNECTION_ABORTED != 0 }
}

/// Sets the script's CPU time limit in seconds; 0 while it only waits.
fn set_time_limit(engine: &mut Engine, seconds: i64) {
    // If the function is disabled, the limit stays. It counts CPU time, and waiting uses little of it.
    let _ = zend::call(engine, "set_time_limit", &[&seconds]);
}

fn set_ignore_user_abort(ignore: bool) -> bool {
    // SAFETY: a flag of this request's globals, which `ignore_user_abort()` sets in the same way.
    unsafe {
        let globals = ffi::ext_php_rs_process_globals();
        std::mem::replace(&mut (*globals).ignore_user_abort, ignore)
    }
}
