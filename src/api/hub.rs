//! `sse_hub()`: the hub in the foreground, and `sse_hub_upgrade()`.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::ZendHashTable;
use ext_php_rs::{php_function, wrap_function};
use sse_hub::config::Config;
use sse_hub::{socket, sys};

use super::exceptions::Problem;
use crate::php::{signals, zend};
use crate::spawn::upgrade::{self, Upgraded};
use crate::{ini, spawn};

/// Adds the functions to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_hub)).function(wrap_function!(sse_hub_upgrade))
}

/// Runs the hub until a signal stops it. See stubs/sse.stub.php.
///
/// # Errors
/// `SseException` outside the command line or if a hub already runs, `SseUnavailable` if it can't listen.
#[php_function]
pub fn sse_hub() -> PhpResult<()> {
    Ok(run()?)
}

/// Upgrades the running hub. See stubs/sse.stub.php.
///
/// # Errors
/// `SseException` if the upgrade fails; the old hub then keeps running.
#[php_function]
pub fn sse_hub_upgrade() -> PhpResult<ZBox<ZendHashTable>> {
    let Upgraded { pid, streams, pause } = upgrade::upgrade()?;
    let mut result = ZendHashTable::new();
    result.insert("pid", pid)?;
    result.insert("streams", streams)?;
    result.insert("pause_ms", pause)?;
    Ok(result)
}

fn run() -> Result<(), Problem> {
    let sapi = zend::sapi_name();
    if sapi != c"cli" && sapi != c"phpdbg" {
        return Err(Problem::Other(format!(
            "sse_hub() runs on the command line only, not under {}; use: php -r 'sse_hub();'",
            sapi.to_string_lossy()
        )));
    }
    // A hub in the foreground ends only when its operator stops it.
    let (path, folder) = ini::socket()?;
    let config = Config {
        follow_owners: false,
        idle_exit: None,
        foreground: true,
        may_fork: sys::threads() == Some(1),
        ..spawn::hub_config(&path)?
    };
    socket::check_folder(&path, folder)?;
    let lock = socket::lock(&path, ini::timeout()?)?;
    if spawn::answers(&path) {
        return Err(Problem::Other(format!(
            "a hub already runs at {}; stop it first, or set sse.socket",
            path.display()
        )));
    }
    let listener = socket::bind(&lock, &path, config.socket_mode, config.socket_group)?;
    drop(lock);
    sys::set_title("sse-hub");
    sys::hide_memory();
    signals::with_default(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP], || sse_hub::run(config, listener))
        .map_err(|error| Problem::Other(error.to_string()))
}
