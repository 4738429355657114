//! What the server's functions tell of an adopted response: the last write, and that the headers are sent, which get what a
//! stream needs.

use std::time::Instant;

use super::state::AdoptionPhase;
use super::{begin, output, phase, with};
use crate::php::engine::Engine;
use crate::php::server_functions::{self, Observer};
use crate::php::zend;

/// Installs the replacements of the server's functions.
pub fn stand_in() {
    server_functions::replace(Observer { writes: writes_byte, sends_headers });
}

/// Restores the server's functions after a request.
pub fn step_back() {
    server_functions::restore();
}

/// Restores the server's functions when the module ends.
pub fn leave() {
    server_functions::restore_for_good();
}

/// Since when the stream is silent. `None` if its last byte did not end a line.
pub fn silent_since() -> Option<Instant> {
    with(|adoption| {
        let written = &adoption.written;
        if written.in_line.get() {
            return None;
        }
        // For a stream that has begun without a byte, silence starts now.
        written.at.set(written.at.get().or_else(|| Some(Instant::now())));
        written.at.get()
    })
}

/// How often the response was written to: tells whether there was output since.
pub fn writes() -> u64 {
    with(|adoption| adoption.written.count.get())
}

/// Notes that bytes will be written to the client, of which this is the last.
fn writes_byte(last: u8) {
    // The command line sends no headers that would tell.
    if phase() != AdoptionPhase::Streaming && zend::sapi_globals(|globals| globals.request_info.no_headers) {
        begin();
    }
    with(|adoption| {
        let written = &adoption.written;
        written.count.set(written.count.get() + 1);
        written.in_line.set(last != b'\n');
        if adoption.phase.get() == AdoptionPhase::Streaming {
            written.at.set(Some(Instant::now()));
        }
    });
}

/// Completes the headers of an event stream.
fn sends_headers(engine: &mut Engine) {
    if phase() != AdoptionPhase::Off {
        begin();
        output::complete_headers(engine);
    }
}
