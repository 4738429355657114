//! Starts the program that starts the new hub of an upgrade.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tracing::{info, warn};

use crate::config::Program;
use crate::sys::BlockedSignals;
use crate::util::program::Ran;

/// Runs the program, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Starter {
    busy: Arc<AtomicBool>,
}

impl Starter {
    /// Starts the program, and logs a failure: after a success this hub has ended.
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
            match program.run(None) {
                Ok(ran) if ran.succeeded => {}
                Ok(Ran { complaint, .. }) => {
                    warn!(complaint, "another hub could not be started; this one goes on");
                }
                // The foreground process reaps all its children as PID 1, and has reaped the program.
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
