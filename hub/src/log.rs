//! Where the hub's log lines go.
//!
//! A line is one event, with UTC time. It never contains event data, cookies or keys.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;

use crate::config::Config;

/// Makes this process's log go where the settings say. A process that has a subscriber already keeps it.
pub(crate) fn install(config: &Config) -> io::Result<()> {
    if config.log_level == LevelFilter::OFF {
        return Ok(());
    }
    // The builder's own clock is UTC, and it writes each line with one call.
    let lines = tracing_subscriber::fmt().with_max_level(config.log_level).with_ansi(false).with_target(false);
    let _already_set = match &config.log {
        Some(path) => lines.with_writer(Arc::new(open(path)?)).try_init(),
        None => lines.with_writer(io::stderr).try_init(),
    };
    Ok(())
}

/// Checks that the log can be written, where its hub could not say so any more.
pub(crate) fn check(config: &Config) -> io::Result<()> {
    match &config.log {
        Some(path) if config.log_level != LevelFilter::OFF => open(path).map(drop),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
