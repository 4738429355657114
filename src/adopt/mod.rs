//! `sse.adopt`: scripts that write an event stream by themselves, with `echo`, `flush()` and `sleep()`, are served better
//! without a change.
//!
//! Of PHP's own functions, [`hooks`] replaces those that such a loop is made of. A request is [`Phase::Watching`] until it
//! turns out to be an event stream; every other request goes straight on to PHP's own functions. From its first sleep or
//! its first byte on, whichever comes first, a stream gets [`wakes`] from the hub, and [`rest`] ends early for them. From
//! its first flush on, [`output`] is unbuffered, and comments are sent while the script sleeps. [`sapi`] is what that
//! needs of the server.

mod hooks;
mod output;
mod rest;
mod sapi;
mod wakes;

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::php::engine::Engine;
use crate::response::{self, Interrupted};
use crate::{ini, zend};

use wakes::Wakes;

/// How far the adoption of a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is none of ours: `sse.adopt` is off, or there is no request.
    Off,
    /// It may become an event stream.
    Watching,
    /// It is one that has not been flushed yet: its sleeps can be woken.
    Listening,
    /// It is one that was flushed: it has no session and no buffers any more.
    Streaming,
    /// It is served by `sse_stream()`.
    Renounced,
    /// Its client has left, and the script goes on all the same (`ignore_user_abort`).
    Left,
}

thread_local! {
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Off) };
    /// Whose the stream is: a child that the script forks would take its wakes, and send comments of its own.
    static PROCESS: Cell<u32> = const { Cell::new(0) };
    /// Whether buffers of the script were taken away from it.
    static BUFFERS_TAKEN: Cell<bool> = const { Cell::new(false) };
    // No engine code that may run a user's code is called while this is borrowed.
    static WAKES: RefCell<Option<Wakes>> = const { RefCell::new(None) };
}

/// Runs when the module starts, before any server forks.
pub fn begin_module() {
    hooks::install();
}

/// Runs when the module ends.
pub fn end_module() {
    hooks::uninstall();
}

/// Runs when a request starts.
pub fn begin_request() {
    match ini::adopt() {
        Ok(false) => {}
        Ok(true) => {
            sapi::stand_in();
            rest::reset();
            PHASE.set(Phase::Watching);
        }
        Err(error) => {
            static TOLD: AtomicBool = AtomicBool::new(false);
            tell_once(&TOLD, &format!("{error}; no script is adopted"));
        }
    }
}

/// Runs when a request has ended.
pub fn end_request() {
    if PHASE.replace(Phase::Off) == Phase::Off {
        return;
    }
    BUFFERS_TAKEN.set(false);
    WAKES.take();
    sapi::step_back();
}

/// Leaves the request to `sse_stream()`, which serves it better.
pub fn renounce() {
    if PHASE.get() != Phase::Off {
        PHASE.set(Phase::Renounced);
        WAKES.take();
    }
}

/// Whether a stand-in has anything to do. Every sleep of an ordinary page comes by here.
fn is_concerned() -> bool {
    match PHASE.get() {
        Phase::Off | Phase::Renounced => false,
        Phase::Watching => output::is_event_stream(),
        Phase::Listening | Phase::Streaming | Phase::Left => {
            if PROCESS.get() != std::process::id() {
                // To a forked child PHP's functions are what they always were.
                renounce();
                return false;
            }
            true
        }
    }
}

/// Looks whether the response is an event stream, and begins to listen for wakes if it is.
fn look() -> Phase {
    let phase = PHASE.get();
    if phase == Phase::Watching && output::is_open() && output::is_event_stream() {
        PROCESS.set(std::process::id());
        WAKES.set(Some(Wakes::open(topics())));
        PHASE.set(Phase::Listening);
    }
    PHASE.get()
}

/// The first flush of an event stream: its session is let go, its buffers are taken off, and all that was echoed is sent.
///
/// # Errors
/// [`Interrupted`], if a user's code that ran for that did not return.
fn begin(engine: &mut Engine) -> Result<(), Interrupted> {
    // First, since a user's code may flush as well.
    PHASE.set(Phase::Streaming);
    response::close_session(engine)?;
    BUFFERS_TAKEN.set(output::take_off_buffers(engine)?);
    response::send_headers(engine, "")
}

/// The patterns of topics that wake this request's script.
fn topics() -> Vec<String> {
    // SAFETY: the engine keeps the path for as long as the request.
    let script =
        unsafe { zend::text(zend::sapi_globals(|globals| globals.request_info.path_translated)) }.unwrap_or("");
    ini::adopt_topics(script).unwrap_or_else(|error| {
        static TOLD: AtomicBool = AtomicBool::new(false);
        tell_once(&TOLD, &format!("{error}; until then every topic wakes an adopted script"));
        vec![sse_protocol::topic::ALL.into()]
    })
}

/// Tells the operator, once a process and in PHP's error log, what the script itself must not be troubled with.
fn tell_once(told: &AtomicBool, message: &str) {
    if !told.swap(true, Ordering::Relaxed) {
        zend::log(&format!("sse: {message}"));
    }
}
