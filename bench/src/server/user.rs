//! The user that workers run as.

use std::{fs, io};

/// Whom workers run as where the bench is root's, in Debian's words.
pub const WORKERS: &str = "www-data";

/// Whether the bench runs as root, so that servers change to another user.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user and group of workers; None where they run as who started the bench.
///
/// # Errors
/// When there is no such user.
pub fn ids_of_workers() -> io::Result<Option<(u32, u32)>> {
    if !is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == WORKERS);
    let ids = fields.and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)));
    ids.map(Some).ok_or_else(|| {
        io::Error::other(format!("there is no user {WORKERS}; add one, or run as another user than root"))
    })
}
