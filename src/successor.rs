//! The command line by which a hub has another one take over from it, with the extension that lies on the disk by then; and
//! by which a process that can't fork has a hub started.
//!
//! It must not depend on anything that may have changed, and its settings are in no list of processes: they are its
//! php.ini, which it reads from its standard input.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sse_hub::config::Program;

use crate::{ini, zend};

/// Where this extension was loaded from.
static EXTENSION: OnceLock<PathBuf> = OnceLock::new();

/// Remembers that. Called when the module starts: a relative path is one from where the process was then.
pub fn remember_extension() {
    if let Some(path) = own_file().and_then(|path| std::path::absolute(path).ok()) {
        EXTENSION.get_or_init(|| path);
    }
}

/// The file that this code is in, under the name by which it was loaded.
fn own_file() -> Option<PathBuf> {
    // SAFETY: all zeros are valid for this C structure; it is read only after the call has filled it.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    let own = remember_extension as *const libc::c_void;
    // SAFETY: the address is one of this library's; the name stays for as long as that is loaded.
    unsafe {
        if libc::dladdr(own, &raw mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        Some(std::ffi::OsStr::from_bytes(CStr::from_ptr(found.dli_fname).to_bytes()).into())
    }
}

/// A command line that has another hub take over at this socket.
pub const UPGRADE: &str = "echo json_encode(sse_hub_upgrade());";

/// One that starts a hub where none runs, as every first call does.
pub const START: &str = "sse_cursor();";

/// The command line that runs this code for the hub at this socket; `None` where this PHP has none.
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
            // Where the hub is, whatever this process's temporary folder has to do with it.
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

/// PHP's own command line: this process's program if it is that, else the one that was installed with it.
fn command_line() -> Option<PathBuf> {
    let sapi = zend::sapi_name();
    if sapi == c"cli" || sapi == c"cli-server" {
        let binary = PathBuf::from(zend::constant("PHP_BINARY")?);
        return is_executable(&binary).then_some(binary);
    }
    let folder = PathBuf::from(zend::constant("PHP_BINDIR")?);
    let version = format!("php{}.{}", zend::constant("PHP_MAJOR_VERSION")?, zend::constant("PHP_MINOR_VERSION")?);
    // Debian has several versions beside each other; the plain name is any of them.
    [folder.join(version), folder.join("php")].into_iter().find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the name is NUL-terminated.
    !path.is_dir() && unsafe { libc::access(name.as_ptr(), libc::X_OK) } == 0
}

/// A value as it is written in php.ini, where nothing is special between single quotes but their end. Parts beside each other
/// are one value.
fn quoted(value: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(value.len() + 2);
    for (nth, part) in value.split(|byte| *byte == b'\'').enumerate() {
        if nth > 0 {
            written.extend(br#""'""#);
        }
        // There has to be something between them.
        if !part.is_empty() {
            written.extend([b"'", part, b"'"].concat());
        }
    }
    written
}
