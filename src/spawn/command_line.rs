//! Builds the PHP command line that runs an upgrade with the extension file then on disk, or starts a hub for a process
//! that can't fork; and is the other end of it.
//!
//! It must not depend on anything that may have changed: it reads no php.ini. Its settings come by its standard input, so they
//! appear in no process list. (`-c /dev/stdin` would not do: a thread-safe PHP resolves that name, and finds no file.)

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::Access;
use sse_hub::config::Program;

use crate::ini;
use crate::php::{library, setting, zend};

/// The file that this extension was loaded from.
static EXTENSION: OnceLock<PathBuf> = OnceLock::new();

/// Records that file. Called at module start, because a relative path is relative to the directory of that time.
pub fn remember_extension() {
    if let Some(path) = library::own_file().and_then(|path| std::path::absolute(path).ok()) {
        EXTENSION.get_or_init(|| path);
    }
}

/// PHP code that upgrades the hub.
pub const UPGRADE: &str = "echo json_encode(sse_hub_upgrade());";

/// PHP code that starts a hub if none runs, as any first call does.
pub const START: &str = "sse_cursor();";

/// The command line that runs this code for the hub at this socket; `None` if this PHP has no command line.
pub fn program(socket: &Path, code: &str) -> Option<Program> {
    let extension = EXTENSION.get()?;
    let base = ini::without_namespace(socket);
    let settings: Option<SettingValues> = ini::names()
        .map(|name| {
            let value = match name.to_bytes() {
                // The hub's actual place, whatever this process's temporary folder is.
                b"sse.socket" => base.as_os_str().as_bytes().to_vec(),
                _ => zend::ini(name),
            };
            Some((name.to_str().ok()?.to_owned(), value))
        })
        .collect();
    let extension = [b"extension=", &*quoted(extension.as_os_str().as_bytes())].concat();
    let directives =
        [OsString::from_vec(extension), "display_errors=stderr".into(), "log_errors=0".into(), FROM_INPUT.into()];
    let mut arguments = vec![OsString::from("-n")];
    arguments.extend(directives.into_iter().flat_map(|directive| ["-d".into(), directive]));
    arguments.extend(["-r", code].map(OsString::from));
    Some(Program { path: command_line()?, arguments, input: serde_json::to_vec(&settings?).ok()? })
}

/// Names and values, as they are passed.
type SettingValues = Vec<(String, Vec<u8>)>;

/// Has [`take_settings`] read the standard input.
const FROM_INPUT: &str = "sse.settings=input";

/// Takes the settings that [`program`] passes, if this process is such a command line. Call it before they are registered.
///
/// # Errors
/// The input is none.
pub fn take_settings() -> io::Result<()> {
    let Some((directive, value)) = FROM_INPUT.split_once('=') else { return Ok(()) };
    if zend::sapi_name() != c"cli" || setting::configured(directive).as_deref() != Some(value) {
        return Ok(());
    }
    let settings: SettingValues = serde_json::from_reader(io::stdin().lock())?;
    for (name, value) in settings {
        setting::configure(&name, &value);
    }
    Ok(())
}

/// PHP's command line program: this process's own if it is one, else the one installed with this PHP.
fn command_line() -> Option<PathBuf> {
    let sapi = zend::sapi_name();
    if sapi == c"cli" || sapi == c"cli-server" {
        let binary = PathBuf::from(zend::constant("PHP_BINARY")?);
        return is_executable(&binary).then_some(binary);
    }
    let folder = PathBuf::from(zend::constant("PHP_BINDIR")?);
    let version = format!("php{}.{}", zend::constant("PHP_MAJOR_VERSION")?, zend::constant("PHP_MINOR_VERSION")?);
    // Debian installs several versions side by side; the plain name may be any of them.
    [folder.join(version), folder.join("php")].into_iter().find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    !path.is_dir() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// Quotes a value for php.ini. Within single quotes only their end is special, and adjacent parts form one value.
fn quoted(value: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(value.len() + 2);
    for (nth, part) in value.split(|byte| *byte == b'\'').enumerate() {
        if nth > 0 {
            written.extend(br#""'""#);
        }
        // Empty quotes are no valid part.
        if !part.is_empty() {
            written.extend([b"'", part, b"'"].concat());
        }
    }
    written
}
