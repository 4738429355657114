//! `sse_hub()`: the hub in the foreground.

use ext_php_rs::builders::ModuleBuilder;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::{php_function, wrap_function};
use sse_hub::config::Config;
use sse_hub::socket;

use super::exceptions::Problem;
use crate::{ini, signals, spawn, title, zend};

/// Adds the function to the module.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    module.function(wrap_function!(sse_hub))
}

/// Runs the hub until it is told to end. See stubs/sse.stub.php.
///
/// # Errors
/// `SseException` outside the command line or where a hub already runs, `SseUnavailable` if it can't listen.
#[php_function]
pub fn sse_hub() -> PhpResult<()> {
    Ok(run()?)
}

fn run() -> Result<(), Problem> {
    let sapi = zend::sapi_name();
    if sapi != c"cli" && sapi != c"phpdbg" {
        return Err(Problem::Other(format!(
            "sse_hub() runs on the command line only, not under {}; use: php -r 'sse_hub();'",
            sapi.to_string_lossy()
        )));
    }
    // Whoever started it in the foreground decides when it ends.
    let (path, folder) = ini::socket()?;
    let config = Config { follow_owners: false, idle_exit: None, ..ini::hub_config(path.clone())? };
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
    title::set("sse-hub");
    signals::with_default(&[libc::SIGTERM, libc::SIGINT], || sse_hub::run(config, listener))
        .map_err(|error| Problem::Other(error.to_string()))
}
