//! Starting the program that has another hub take over.

use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tracing::{info, warn};

use crate::config::Program;
use crate::sys::BlockedSignals;
use crate::topic;

/// Bytes of its complaints that are logged.
const COMPLAINT: u64 = 2048;

/// Runs the program, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Starter {
    busy: Arc<AtomicBool>,
}

impl Starter {
    /// Starts it, and logs how it ends: by then this hub has gone, or it has failed.
    pub(crate) fn start(&self, program: Option<&Program>) {
        let Some(program) = program.cloned() else {
            warn!("SIGHUP: no PHP command line is known that could start another hub; call sse_hub_upgrade() instead");
            return;
        };
        if self.busy.swap(true, Ordering::SeqCst) {
            info!("SIGHUP: another hub is being started already");
            return;
        }
        info!(program = %program.path.display(), "SIGHUP: another hub is being started");
        let busy = Arc::clone(&self.busy);
        let _blocked = BlockedSignals::new();
        let thread = thread::Builder::new().name("sse-successor".into()).spawn(move || {
            match run(&program) {
                Ok((status, _)) if status.success() => {}
                Ok((status, complaint)) => {
                    warn!(%status, complaint, "another hub could not be started; this one goes on");
                }
                // Who waits for all orphans has taken this one in.
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {}
                Err(error) => {
                    warn!(program = %program.path.display(), %error, "another hub could not be started; this one goes on");
                }
            }
            busy.store(false, Ordering::SeqCst);
        });
        if let Err(error) = thread {
            self.busy.store(false, Ordering::SeqCst);
            warn!(%error, "another hub could not be started; this one goes on");
        }
    }
}

fn run(program: &Program) -> io::Result<(ExitStatus, String)> {
    let mut child = Command::new(&program.path)
        .args(&program.arguments)
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read it will say why.
        let _ = input.write_all(program.input.as_bytes());
    }
    let mut complaint = Vec::new();
    if let Some(mut errors) = child.stderr.take() {
        (&mut errors).take(COMPLAINT).read_to_end(&mut complaint)?;
        io::copy(&mut errors, &mut io::sink())?;
    }
    let status = child.wait()?;
    Ok((status, topic::printable(String::from_utf8_lossy(&complaint).trim())))
}
