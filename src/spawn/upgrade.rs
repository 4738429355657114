//! Starts a new hub that performs an upgrade.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use sse_hub::socket;

use super::{command_line, report};
use crate::api::exceptions::Problem;
use crate::ini;
use crate::php::fork;
use crate::spawn::SpawnError;

/// Maximum time of an upgrade.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(30);

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
    let (path, folder) = ini::socket()?;
    socket::check_folder(&path, folder)?;
    if !ini::spawn()? && !super::answers(&path) {
        let path = path.display();
        return Err(Problem::Unavailable(format!(
            "no hub runs at {path}, and sse.spawn is off; start one with: php -r 'sse_hub();'"
        )));
    }
    if fork::has_other_threads() {
        return upgrade_elsewhere(&path);
    }
    let config = super::hub_config(&path)?;
    socket::check_may_start(&path)?;
    sse_hub::check(&config).map_err(SpawnError::Hub)?;
    let until = Instant::now() + UPGRADE_TIMEOUT;
    // The new hub holds the lock as well, in case this process ends meanwhile.
    let lock = socket::lock(&path, UPGRADE_TIMEOUT)?;
    let held = lock.as_fd().try_clone_to_owned().map_err(SpawnError::Fork)?;
    let said = fork::start([held], "sse-hub", |[lock], report: report::StartReport| {
        report.on(|begun| sse_hub::take_over(config, lock.into(), begun))
    })
    .map_err(SpawnError::Fork)?;
    let said = report::hear(&said, until)
        .map_err(|error| Problem::Other(format!("waiting for the new hub failed: {error}")))?;
    succeeded(&said.ok_or_else(|| {
        let waited = UPGRADE_TIMEOUT.as_secs();
        Problem::Other(format!(
            "the new hub has not taken over within {waited} s; sse_stats()['pid'] tells which one runs, and its log why"
        ))
    })?)
}

/// Upgrades through PHP's command line, if this process has other threads: a lock that one of them holds would stay
/// locked in a forked hub.
fn upgrade_elsewhere(path: &Path) -> Result<Upgraded, Problem> {
    const WHY: &str = "sse_hub_upgrade(): this process has several threads, so that it can't fork a hub";
    let program = command_line::program(path, command_line::UPGRADE).ok_or_else(|| {
        Problem::Other(format!("{WHY}; call it by a PHP that has one thread: php -r 'sse_hub_upgrade();'"))
    })?;
    let ran = program.run(Some(Instant::now() + UPGRADE_TIMEOUT));
    let failed = |reason: &str| Problem::Other(format!("{WHY}, and {} failed: {reason}", program.path.display()));
    match ran {
        Ok(ran) if ran.succeeded => succeeded(&serde_json::from_str(&ran.output).unwrap_or_default()),
        Ok(ran) => Err(failed(&ran.complaint)),
        Err(error) => Err(failed(&error.to_string())),
    }
}

fn succeeded(said: &serde_json::Value) -> Result<Upgraded, Problem> {
    if let Some(error) = said["error"].as_str() {
        return Err(Problem::Other(error.into()));
    }
    match (said["pid"].as_i64(), said["streams"].as_i64()) {
        (Some(pid), Some(streams)) => Ok(Upgraded { pid, streams, pause: said["pause_ms"].as_f64() }),
        _ => Err(Problem::Other("the new hub ended before it could say why; its log may".into())),
    }
}
