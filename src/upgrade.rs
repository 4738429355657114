//! Starts a new hub that performs an upgrade.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use serde_json::json;
use sse_hub::Succeeded;
use sse_hub::config::Config;
use sse_hub::socket::{self, StartLock};

use crate::api::exceptions::Problem;
use crate::spawn::SpawnError;
use crate::{fork, ini, spawn, successor};

/// Maximum time of an upgrade.
const UPGRADE_PATIENCE: Duration = Duration::from_secs(30);

/// A completed upgrade.
#[derive(Debug)]
pub struct Upgraded {
    /// The new hub's process id.
    pub pid: i64,
    /// Number of streams of the new hub.
    pub streams: i64,
    /// Milliseconds without deliveries; `None`: no hub ran before.
    pub pause: Option<f64>,
}

/// Starts a new hub and waits until the upgrade is complete.
///
/// # Errors
/// `Other` with the reason if the upgrade failed; the old hub then keeps running.
pub fn upgrade() -> Result<Upgraded, Problem> {
    #[cfg(php_zts)]
    return Err(Problem::Other(
        "sse_hub_upgrade(): a thread-safe PHP can't start a hub; call it with one that is not".into(),
    ));
    #[cfg(not(php_zts))]
    {
        let (path, folder) = ini::socket()?;
        socket::check_folder(&path, folder)?;
        if !ini::spawn()? && !spawn::answers(&path) {
            let path = path.display();
            return Err(Problem::Unavailable(format!(
                "no hub runs at {path}, and sse.spawn is off; start one with: php -r 'sse_hub();'"
            )));
        }
        if fork::has_other_threads() {
            return upgrade_elsewhere(&path);
        }
        let config = ini::hub_config(path.clone())?;
        socket::check_may_start(&path)?;
        sse_hub::check(&config).map_err(SpawnError::Hub)?;
        let until = Instant::now() + UPGRADE_PATIENCE;
        // The new hub holds the lock as well, in case this process ends meanwhile.
        let lock = socket::lock(&path, UPGRADE_PATIENCE)?;
        let held = lock.as_fd().try_clone_to_owned().map_err(SpawnError::Fork)?;
        let (said, report) = std::io::pipe().map_err(SpawnError::Fork)?;
        fork::start([report.into(), held], "sse-hub", |[report, lock]| take_over(config, report.into(), lock.into()))
            .map_err(SpawnError::Fork)?;
        succeeded(&hear(&said.into(), until)?)
    }
}

/// Upgrades through PHP's command line, if this process has other threads: a lock that one of them holds would stay
/// locked in a forked hub.
#[cfg(not(php_zts))]
fn upgrade_elsewhere(path: &Path) -> Result<Upgraded, Problem> {
    const WHY: &str = "sse_hub_upgrade(): this process has several threads, so that it can't fork a hub";
    let program = successor::program(path, successor::UPGRADE).ok_or_else(|| {
        Problem::Other(format!("{WHY}; call it by a PHP that has one thread: php -r 'sse_hub_upgrade();'"))
    })?;
    let ran = program.run(Some(Instant::now() + UPGRADE_PATIENCE));
    let failed = |reason: &str| Problem::Other(format!("{WHY}, and {} failed: {reason}", program.path.display()));
    match ran {
        Ok(ran) if ran.succeeded => succeeded(&ran.output),
        Ok(ran) => Err(failed(&ran.complaint)),
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// Runs in the process of the new hub.
#[cfg(not(php_zts))]
fn take_over(config: Config, report: File, lock: StartLock) -> bool {
    let report = Arc::new(report);
    let said = Arc::clone(&report);
    let say = |mut report: &File, text: &serde_json::Value| {
        // A parent that has stopped listening needs no report.
        let _ = writeln!(report, "{text}");
    };
    let begun = move |Succeeded { streams, pause }: Succeeded| {
        let pause = pause.map(|pause| pause.as_secs_f64() * 1000.0);
        say(&said, &json!({ "pid": std::process::id(), "streams": streams, "pause_ms": pause }));
    };
    let result = sse_hub::take_over(config, lock, begun);
    if let Err(error) = &result {
        say(&report, &json!({ "error": error.to_string() }));
    }
    result.is_ok()
}

/// Reads the first line, until the deadline.
#[cfg(not(php_zts))]
fn hear(from: &OwnedFd, until: Instant) -> Result<String, Problem> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        match rustix::event::poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)) {
            Ok(0) if left.is_zero() => {
                let waited = UPGRADE_PATIENCE.as_secs();
                return Err(Problem::Other(format!(
                    "the new hub has not taken over within {waited} s; sse_stats()['pid'] tells which one runs, and its \
                     log why"
                )));
            }
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(Problem::Other(format!("waiting for the new hub failed: {error}"))),
        }
        let mut chunk = [0; 1024];
        match rustix::io::read(from, &mut chunk) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(&chunk[..count]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Problem::Other(format!("waiting for the new hub failed: {error}"))),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(not(php_zts))]
fn succeeded(line: &str) -> Result<Upgraded, Problem> {
    let said: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    if let Some(error) = said["error"].as_str() {
        return Err(Problem::Other(error.into()));
    }
    match (said["pid"].as_i64(), said["streams"].as_i64()) {
        (Some(pid), Some(streams)) => Ok(Upgraded { pid, streams, pause: said["pause_ms"].as_f64() }),
        _ => Err(Problem::Other("the new hub ended before it could say why; its log may".into())),
    }
}
