//! Builds the PHP command line that runs an upgrade with the extension file then on disk, or starts a hub for a process
//! that can't fork.
//!
//! It must not depend on anything that may have changed. It reads its settings as php.ini from standard input, so they
//! appear in no process list.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sse_hub::config::Program;

use crate::{ini, zend};

/// The file that this extension was loaded from.
static EXTENSION: OnceLock<PathBuf> = OnceLock::new();

/// Records that file. Called at module start, because a relative path is relative to the directory of that time.
pub fn remember_extension() {
    if let Some(path) = own_file().and_then(|path| std::path::absolute(path).ok()) {
        EXTENSION.get_or_init(|| path);
    }
}

/// The file of this code, under the name by which it was loaded.
fn own_file() -> Option<PathBuf> {
    // SAFETY: all zeros are valid for this C structure. It is read only after the call has filled it.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    let own = remember_extension as *const libc::c_void;
    // SAFETY: the address is in this library. The name stays valid while it is loaded.
    unsafe {
        if libc::dladdr(own, &raw mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        Some(std::ffi::OsStr::from_bytes(CStr::from_ptr(found.dli_fname).to_bytes()).into())
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
    let mut settings = Vec::new();
    let mut write = |name: &str, value: &[u8]| settings.extend([name.as_bytes(), b"=", &quoted(value), b"\n"].concat());
    write("extension", extension.as_os_str().as_bytes());
    write("display_errors", b"stderr");
    write("log_errors", b"0");
    for name in ini::names() {
        match name.to_bytes() {
            // The hub's actual place, whatever this process's temporary folder is.
            b"sse.socket" => write("sse.socket", base.as_os_str().as_bytes()),
            _ => write(name.to_str().ok()?, &zend::ini(name)),
        }
    }
    Some(Program {
        path: command_line()?,
        arguments: ["-c", "/dev/stdin", "-r", code].map(Into::into).into(),
        environment: vec![("PHP_INI_SCAN_DIR".into(), String::new())],
        input: settings,
    })
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
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the name is NUL-terminated.
    !path.is_dir() && unsafe { libc::access(name.as_ptr(), libc::X_OK) } == 0
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
