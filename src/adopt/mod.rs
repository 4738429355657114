//! `sse.adopt`: improves event streams of scripts that use `echo`, `flush()` and `sleep()`, without a change to the
//! script.
//!
//! A request stays in [`AdoptionPhase::Watching`] until its response is an event stream; all other requests pass to PHP's
//! own functions. [`hooks`] replaces the sleeps, which notifications for the script's topics ([`wakes`]) shorten
//! ([`rest`]). [`sapi`] intercepts the server's functions: from the first byte on the wire, comments are sent during
//! sleeps, and the first such sleep lets the [`session`] go. [`output`] has PHP's own buffer pass everything on; buffers
//! of the script stay as they are, so that the client gets the bytes that it would get without adoption.

mod hooks;
mod output;
mod rest;
mod sapi;
mod session;
pub mod state;
mod wakes;

use std::sync::atomic::{AtomicBool, Ordering};

use self::state::{Adoption, AdoptionPhase, WakeSubscription};
use crate::ini;
use crate::php::engine::Engine;
use crate::php::zend;
use crate::request::{self, lend};

fn with<R>(look: impl FnOnce(&Adoption) -> R) -> R {
    request::with(|request| look(&request.adoption))
}

fn phase() -> AdoptionPhase {
    with(|adoption| adoption.phase.get())
}

fn set_phase(phase: AdoptionPhase) {
    with(|adoption| adoption.phase.set(phase));
}

/// Whether this process owns the stream. A forked child must not consume its notifications or send comments.
fn is_owner() -> bool {
    with(|adoption| adoption.process.get()) == std::process::id()
}

/// No user code runs meanwhile.
fn with_wakes<R>(work: impl FnOnce(&mut Option<WakeSubscription>) -> R) -> R {
    with(|adoption| lend(&adoption.wakes, work))
}

fn drop_wakes() {
    with(|adoption| adoption.wakes.take());
}

/// Installs the replacements. Runs before any server forks.
pub fn begin_module() {
    hooks::install();
}

/// Restores the functions at module end.
pub fn end_module() {
    hooks::uninstall();
    sapi::leave();
}

/// Starts adoption for a new request, if `sse.adopt` is on.
pub fn begin_request() {
    match ini::adopt() {
        Ok(false) => {}
        Ok(true) => {
            sapi::stand_in();
            output::remember_buffers();
            set_phase(AdoptionPhase::Watching);
        }
        Err(error) => {
            static TOLD: AtomicBool = AtomicBool::new(false);
            tell_once(&TOLD, &format!("{error}; no script is adopted"));
        }
    }
}

/// Ends adoption for a request.
pub fn end_request(engine: &mut Engine) {
    if with(|adoption| adoption.phase.take()) == AdoptionPhase::Off {
        return;
    }
    session::end(engine);
    output::forget_buffers();
    drop_wakes();
    sapi::step_back();
}

/// Leaves the request to `sse_stream()`.
pub fn renounce() {
    if phase() != AdoptionPhase::Off {
        set_phase(AdoptionPhase::Renounced);
        drop_wakes();
    }
}

/// Whether a replacement has work to do. Every sleep of an ordinary page calls this.
fn is_concerned() -> bool {
    match phase() {
        AdoptionPhase::Off | AdoptionPhase::Renounced => false,
        AdoptionPhase::Watching => output::is_event_stream(),
        AdoptionPhase::Listening | AdoptionPhase::Streaming | AdoptionPhase::Left => {
            if !is_owner() {
                // In a forked child, PHP's functions behave as without this extension.
                renounce();
                return false;
            }
            true
        }
    }
}

/// Checks whether the response is an event stream; if so, subscribes to notifications.
fn look() -> AdoptionPhase {
    if phase() == AdoptionPhase::Watching && output::is_open() && output::is_event_stream() {
        with(|adoption| adoption.process.set(std::process::id()));
        let wakes = topics().map(WakeSubscription::open);
        with(|adoption| adoption.wakes.set(wakes));
        set_phase(AdoptionPhase::Listening);
    }
    phase()
}

/// Notes that the headers of the response are being sent.
fn begin() {
    // Subscribe first: a client that sees the stream may rely on notifications.
    if look() == AdoptionPhase::Listening {
        set_phase(AdoptionPhase::Streaming);
    }
}

/// The patterns whose notifications wake this request's script. `None` if `sse.adopt_topics` does not name it: a pause
/// that paces something must not be cut by what happens elsewhere on the site.
fn topics() -> Option<Vec<String>> {
    let topics = ini::adopt_topics(&zend::script_path().unwrap_or_default()).unwrap_or_else(|error| {
        static TOLD: AtomicBool = AtomicBool::new(false);
        tell_once(&TOLD, &format!("{error}; until then nothing wakes an adopted script"));
        Vec::new()
    });
    (!topics.is_empty()).then_some(topics)
}

/// Logs a message to PHP's error log once per process. The script must not see it.
fn tell_once(told: &AtomicBool, message: &str) {
    if !told.swap(true, Ordering::Relaxed) {
        zend::log(&format!("sse: {message}"));
    }
}
