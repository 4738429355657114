//! `sse.adopt`: improves event streams of scripts that use `echo`, `flush()` and `sleep()`, without a change to the
//! script.
//!
//! [`hooks`] replaces the PHP functions of such a loop. A request stays in [`Phase::Watching`] until its response is an
//! event stream; all other requests pass to the original functions. From its first sleep or first byte, a stream receives
//! notifications from the hub ([`wakes`]), and they shorten its sleeps ([`rest`]). From its first flush, [`output`] is
//! unbuffered, and comments are sent during sleeps. [`sapi`] intercepts the server's functions for this.

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

/// The progress of a request's adoption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not adopted: `sse.adopt` is off, or there is no request.
    Off,
    /// The response may become an event stream.
    Watching,
    /// An event stream, not flushed yet: notifications shorten its sleeps.
    Listening,
    /// An event stream that was flushed: its session is closed and its buffers are removed.
    Streaming,
    /// `sse_stream()` serves the request.
    Renounced,
    /// The client has left, but the script continues (`ignore_user_abort`).
    Left,
}

thread_local! {
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Off) };
    /// The process that owns the stream. A forked child must not consume its notifications or send comments.
    static PROCESS: Cell<u32> = const { Cell::new(0) };
    /// Whether buffers of the script were removed.
    static BUFFERS_TAKEN: Cell<bool> = const { Cell::new(false) };
    // No engine call that may run user code happens while this is borrowed.
    static WAKES: RefCell<Option<Wakes>> = const { RefCell::new(None) };
}

/// Installs the replacements. Runs before any server forks.
pub fn begin_module() {
    hooks::install();
}

/// Restores the functions at module end.
pub fn end_module() {
    hooks::uninstall();
}

/// Starts adoption for a new request, if `sse.adopt` is on.
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

/// Ends adoption for a request.
pub fn end_request() {
    if PHASE.replace(Phase::Off) == Phase::Off {
        return;
    }
    BUFFERS_TAKEN.set(false);
    WAKES.take();
    sapi::step_back();
}

/// Leaves the request to `sse_stream()`.
pub fn renounce() {
    if PHASE.get() != Phase::Off {
        PHASE.set(Phase::Renounced);
        WAKES.take();
    }
}

/// Whether a replacement has work to do. Every sleep of an ordinary page calls this.
fn is_concerned() -> bool {
    match PHASE.get() {
        Phase::Off | Phase::Renounced => false,
        Phase::Watching => output::is_event_stream(),
        Phase::Listening | Phase::Streaming | Phase::Left => {
            if PROCESS.get() != std::process::id() {
                // In a forked child, PHP's functions behave as without this extension.
                renounce();
                return false;
            }
            true
        }
    }
}

/// Checks whether the response is an event stream; if so, subscribes to notifications.
fn look() -> Phase {
    let phase = PHASE.get();
    if phase == Phase::Watching && output::is_open() && output::is_event_stream() {
        PROCESS.set(std::process::id());
        WAKES.set(Some(Wakes::open(topics())));
        PHASE.set(Phase::Listening);
    }
    PHASE.get()
}

/// Handles the first flush of an event stream: closes the session, removes the buffers and sends all output so far.
///
/// # Errors
/// [`Interrupted`] if user code that ran meanwhile did not return.
fn begin(engine: &mut Engine) -> Result<(), Interrupted> {
    // Set first, because user code may flush as well.
    PHASE.set(Phase::Streaming);
    response::close_session(engine)?;
    BUFFERS_TAKEN.set(output::take_off_buffers(engine)?);
    response::send_headers(engine, "")
}

/// The patterns whose notifications wake this request's script.
fn topics() -> Vec<String> {
    // SAFETY: the engine keeps the path as long as the request.
    let script =
        unsafe { zend::text(zend::sapi_globals(|globals| globals.request_info.path_translated)) }.unwrap_or("");
    ini::adopt_topics(script).unwrap_or_else(|error| {
        static TOLD: AtomicBool = AtomicBool::new(false);
        tell_once(&TOLD, &format!("{error}; until then every topic wakes an adopted script"));
        vec![sse_protocol::topic::ALL.into()]
    })
}

/// Logs a message to PHP's error log once per process. The script must not see it.
fn tell_once(told: &AtomicBool, message: &str) {
    if !told.swap(true, Ordering::Relaxed) {
        zend::log(&format!("sse: {message}"));
    }
}
