//! The hub's log: where its lines go.
//!
//! Each line has a UTC time. Lines about one stream carry its number as `stream`. A line never contains event data, cookies,
//! headers or keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;

use crate::config::Config;

/// How often to check whether the log file was moved away.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Maximum bytes of an external text in a log line.
const SHOWN: usize = 64;

/// The log file of this process, if it has one.
static FILE: OnceLock<Arc<LogFile>> = OnceLock::new();

/// Installs the log that the settings ask for. A process that has a subscriber already keeps it.
pub(crate) fn install(config: &Config) -> io::Result<()> {
    if config.log_level == LevelFilter::OFF {
        return Ok(());
    }
    // The builder's default clock is UTC, and it writes each line with one call.
    let lines = tracing_subscriber::fmt().with_max_level(config.log_level).with_ansi(false).with_target(false);
    let _already_set = match &config.log {
        Some(path) => {
            let file = Arc::new(LogFile::open(path)?);
            let installed = lines.with_writer(Arc::clone(&file)).try_init();
            if installed.is_ok() {
                FILE.get_or_init(|| file);
            }
            installed
        }
        None => lines.with_writer(io::stderr).try_init(),
    };
    Ok(())
}

/// Checks that the log file can be opened, while the caller can still report an error.
pub(crate) fn check(config: &Config) -> io::Result<()> {
    match &config.log {
        Some(path) if config.log_level != LevelFilter::OFF => open(path).map(drop),
        _ => Ok(()),
    }
}

/// Descriptor of the log file, which processes forked from this one must not close.
pub(crate) fn descriptor() -> Option<RawFd> {
    FILE.get().map(|log| log.current().file.as_raw_fd())
}

/// Beginning of a text chosen by a client or a script, short enough for a log line.
pub(crate) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// A log file that is reopened after it was moved away, as logrotate does.
struct LogFile {
    path: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    file: File,
    looked: Instant,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let current = Current { file: open(path)?, looked: Instant::now() };
        Ok(Self { path: path.into(), current: Mutex::new(current) })
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK_AGAIN {
            current.looked = Instant::now();
            // If a new file can't be made, the old one is better than none.
            if !current.is_at(&self.path)
                && let Ok(file) = open(&self.path)
            {
                current.file = file;
            }
        }
        current
    }
}

impl Current {
    fn is_at(&self, path: &Path) -> bool {
        let place = |file: fs::Metadata| (file.dev(), file.ino());
        match (self.file.metadata(), fs::metadata(path)) {
            (Ok(file), Ok(found)) => place(file) == place(found),
            _ => false,
        }
    }
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.current().file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_is_opened_anew_after_a_moment() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, moved) = (folder.path().join("hub.log"), folder.path().join("hub.log.1"));
        let log = LogFile::open(&path).expect("a new file");
        let write = |line: &str| (&log).write_all(line.as_bytes()).expect("written");
        let time_passes = || log.current.lock().expect("not poisoned").looked -= LOOK_AGAIN;
        write("one ");
        fs::rename(&path, &moved).expect("moved");
        write("two ");
        time_passes();
        write("three ");
        fs::remove_file(&path).expect("removed");
        time_passes();
        write("four");
        assert_eq!(fs::read_to_string(&moved).expect("the old file"), "one two ");
        assert_eq!(fs::read_to_string(&path).expect("the new file"), "four");
    }

    #[test]
    fn what_others_choose_is_shown_in_part() {
        assert_eq!(shown("1763712000000-0"), "1763712000000-0");
        assert_eq!(shown(&"é".repeat(100)), "é".repeat(32));
        assert_eq!(shown(&format!("x{}", "é".repeat(100))), format!("x{}", "é".repeat(31)));
    }
}
