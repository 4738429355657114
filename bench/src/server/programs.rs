//! Where the installed programs are.

use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

/// Folders that a user's PATH may lack.
const SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The first of these programs that is there.
///
/// # Errors
/// When none is.
pub fn find(names: &[&str]) -> io::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).chain(SYSTEM.map(PathBuf::from)).collect();
    let found =
        names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file());
    found.ok_or_else(|| io::Error::other(format!("{} is not there; run tools/setup bench", names.join(" or "))))
}

/// PHP's command line program.
///
/// # Errors
/// When it is not there.
pub fn php() -> io::Result<PathBuf> {
    find(&["php"])
}

/// PHP-FPM of the same version as [`php`].
///
/// # Errors
/// When it is not there.
pub fn php_fpm() -> io::Result<PathBuf> {
    find(&[&format!("php-fpm{}", php_version()?), "php-fpm"])
}

/// Apache's PHP module of the same version as [`php`].
///
/// # Errors
/// When it is not there.
pub fn php_of_apache() -> io::Result<PathBuf> {
    module(&format!("/usr/lib/apache2/modules/libphp{}.so", php_version()?))
}

/// A module of a server.
///
/// # Errors
/// When it is not there.
pub fn module(path: &str) -> io::Result<PathBuf> {
    let path = PathBuf::from(path);
    if path.is_file() {
        Ok(path)
    } else {
        Err(io::Error::other(format!("{} is not there; run tools/setup bench", path.display())))
    }
}

/// The extension that is measured: `build/sse.so`, or what `SSE_EXTENSION` names.
///
/// # Errors
/// When it is not built.
pub fn extension() -> io::Result<PathBuf> {
    let path = env::var_os("SSE_EXTENSION")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../build/sse.so")), PathBuf::from);
    path.canonicalize().map_err(|_| io::Error::other(format!("{} is not there; run make build", path.display())))
}

/// As `8.2`.
fn php_version() -> io::Result<String> {
    let output = Command::new(php()?).args(["-n", "-r", "echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION;"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The folder of PHP's own modules.
///
/// # Errors
/// When PHP is not there.
pub fn php_modules() -> io::Result<PathBuf> {
    let output = Command::new(php()?).args(["-n", "-r", "echo PHP_EXTENSION_DIR;"]).output()?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// PHP's version and this extension's.
///
/// # Errors
/// PHP is not there, or can't load the extension.
pub fn php_versions() -> io::Result<Vec<(String, String)>> {
    let load = format!("extension={}", extension()?.display());
    let print = ["-r", "echo PHP_VERSION, ' ', phpversion('sse');"];
    let output = Command::new(php()?).args(["-n", "-d", &load]).args(print).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (php, extension) = text.split_once(' ').unwrap_or((&text, ""));
    Ok(vec![("PHP".to_owned(), php.to_owned()), ("php-sse".to_owned(), extension.to_owned())])
}

/// nginx's version.
///
/// # Errors
/// It is not there.
pub fn nginx_version() -> io::Result<String> {
    let output = Command::new(find(&["nginx"])?).arg("-v").output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(text.trim().rsplit('/').next().unwrap_or_default().to_owned())
}

/// The version of a Debian package, for programs that don't say theirs; "unknown" elsewhere.
#[must_use]
pub fn debian_version(package: &str) -> String {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if text.is_empty() { "unknown".to_owned() } else { text }
}
