//! The file of a socket, which its hub removes only while it is still the same file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file of a socket that this hub listens at.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode; `None`: there was no file.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// The file that is at this path now.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.into(), identity: identity(path) }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still names this file.
    pub(crate) fn is_still_there(&self) -> bool {
        self.identity.is_some() && self.identity == identity(&self.path)
    }

    /// Removes the file, unless another one has its path.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if self.is_still_there() { fs::remove_file(&self.path) } else { Ok(()) }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_removed_only_while_no_other_one_has_its_path() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, aside) = (folder.path().join("hub.sock"), folder.path().join("aside"));
        let none = SocketFile::at(&path);
        fs::write(&path, "own").expect("written");
        let own = SocketFile::at(&path);
        fs::rename(&path, &aside).expect("moved");
        fs::write(&path, "another hub's").expect("written");
        assert!(!none.is_still_there() && !own.is_still_there());
        none.remove().and(own.remove()).expect("nothing to do");
        assert!(path.exists(), "another one's file stays");
        fs::rename(&aside, &path).expect("moved back");
        own.remove().expect("removed");
        assert!(!path.exists());
    }
}
