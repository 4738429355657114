//! The temporary folder of a server: its configuration, logs and sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tempfile::TempDir;

/// The folder that PHP scripts for web servers are in.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/php/app");

/// A folder that everybody may enter, as workers are another user's where the bench is root's. Removed when dropped.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// Makes one; its path is short, since sockets are in it (a path of theirs has at most 107 bytes).
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sse-bench-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self(folder))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that everybody may read.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.0.path().join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    /// Makes a folder in it for the worker's user alone.
    ///
    /// # Errors
    /// When it can't be made or given away.
    pub fn of_workers(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.path().join(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        if let Some((user, group)) = super::user::ids_of_workers()? {
            std::os::unix::fs::chown(&path, Some(user), Some(group))?;
        }
        Ok(path)
    }

    /// Copies the PHP scripts that servers answer with to `app`, as their user may not be able to enter this checkout.
    ///
    /// # Errors
    /// When they can't be copied.
    pub fn scripts(&self) -> io::Result<PathBuf> {
        let app = self.0.path().join("app");
        fs::create_dir(&app)?;
        fs::set_permissions(&app, fs::Permissions::from_mode(0o755))?;
        for entry in fs::read_dir(SCRIPTS)? {
            let entry = entry?;
            self.file(&format!("app/{}", entry.file_name().display()), fs::read(entry.path())?)?;
        }
        Ok(app)
    }
}
