//! What a new hub says to the process that forked it: that it has begun, or why it could not.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use serde_json::{Value, json};
use sse_hub::{HubError, Succeeded};

use crate::php::fork;

/// The new hub's end of the pipe.
#[derive(Debug, Clone)]
pub struct StartReport(Arc<File>);

impl StartReport {
    /// Runs a hub, which gets a function to call once it has begun; returns whether it ended well.
    pub fn on(self, hub: impl FnOnce(Box<dyn FnOnce(Succeeded) + Send>) -> Result<(), HubError>) -> bool {
        let begun = self.clone();
        let result = hub(Box::new(move |Succeeded { streams, pause }: Succeeded| {
            let pause = pause.map(|pause| pause.as_secs_f64() * 1000.0);
            begun.say(&json!({ "pid": std::process::id(), "streams": streams, "pause_ms": pause }));
        }));
        if let Err(error) = &result {
            self.say(&json!({ "error": error.to_string(), "errno": error.errno() }));
        }
        result.is_ok()
    }

    fn say(&self, text: &Value) {
        // A parent that has stopped listening needs no report.
        let _ = writeln!(&*self.0, "{text}");
    }
}

impl fork::ForkReport for StartReport {
    fn failed(&self, what: &str, error: &io::Error) {
        self.say(&json!({ "error": format!("{what} failed: {error}"), "errno": error.raw_os_error() }));
    }
}

impl From<OwnedFd> for StartReport {
    fn from(pipe: OwnedFd) -> Self {
        Self(Arc::new(pipe.into()))
    }
}

/// Reads the report until the deadline: `None` if it has not come by then, null if the hub has ended without one.
///
/// # Errors
/// The system's error.
pub fn hear(from: &OwnedFd, until: Instant) -> io::Result<Option<Value>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        match rustix::event::poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)) {
            Ok(0) if left.is_zero() => return Ok(None),
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut chunk = [0; 1024];
        match rustix::io::read(from, &mut chunk) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(&chunk[..count]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(serde_json::from_slice(&line).unwrap_or_default()))
}
