//! The default folder of a user's hubs: finds it even where other users took its name first.
//!
//! All processes of a user must find the same folder: a page, a cron job, a login. So the search depends on nothing that
//! differs between them: not on the environment (`XDG_RUNTIME_DIR`), and only as the last resort on `/run/user/UID`, which
//! exists only during a login. Anybody may take a free name in the temporary directory, but nobody can remove another user's
//! folder: the first folder that belongs to this user stays the right one, whatever happens to the names before it.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::socket::{SocketError, failed};

/// Number of names tried after the first.
const OTHERS: u32 = 9;

/// A folder that belongs to this user alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// Path of the folder.
    pub path: PathBuf,
    /// The preferred folder if it could not be used, and the reason.
    pub instead_of: Option<(PathBuf, String)>,
}

/// What the search found at a name.
enum FoundFolder {
    Own,
    Free,
    /// Something that is not this user's folder, and why; another user may have put it there.
    Taken(String),
}

/// Finds this user's folder in the temporary directory: the first that belongs to the user, or else the first free name, where
/// [`check_folder`](crate::socket::check_folder) creates it.
///
/// # Errors
/// `Folder` if all names are taken, `Io`.
pub fn find(temporary: &Path, user: u32) -> Result<Private, SocketError> {
    let first = format!("php-sse-{user}");
    let others = (1..=OTHERS).map(|number| format!("{first}-{number}"));
    let names: Vec<PathBuf> = [first.clone()].into_iter().chain(others).map(|name| temporary.join(name)).collect();
    let mut instead_of = None;
    let mut free = None;
    for path in &names {
        match look(path, user)? {
            FoundFolder::Own => return Ok(Private { path: path.clone(), instead_of }),
            FoundFolder::Free => {
                free.get_or_insert_with(|| (path.clone(), instead_of.clone()));
            }
            FoundFolder::Taken(why) => {
                instead_of.get_or_insert_with(|| (path.clone(), why));
            }
        }
    }
    if let Some((path, instead_of)) = free {
        return Ok(Private { path, instead_of });
    }
    // Only root creates folders in /run/user.
    let of_login = PathBuf::from(format!("/run/user/{user}"));
    if let Ok(stat) = rustix::fs::lstat(&of_login)
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        && stat.st_uid == user
        && stat.st_mode & 0o077 == 0
    {
        return Ok(Private { path: of_login.join("php-sse"), instead_of });
    }
    Err(SocketError::Folder {
        folder: format!("{}, like the {OTHERS} that could stand in its place,", names[0].display()),
        problem: instead_of.map(|(_, why)| why).unwrap_or_default(),
        advice: "set sse.socket to a path in a folder of your own",
    })
}

fn look(path: &Path, user: u32) -> Result<FoundFolder, SocketError> {
    match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => Ok(FoundFolder::Free),
        Err(error) => Err(failed("looking at", path)(error)),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
            Ok(FoundFolder::Taken("is not a folder".into()))
        }
        // `check_folder` checks the mode before each use: a folder open to others is the user's own mistake.
        Ok(stat) if stat.st_uid == user => Ok(FoundFolder::Own),
        Ok(stat) => Ok(FoundFolder::Taken(format!("belongs to user {}, not to user {user}", stat.st_uid))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{Folder, check_folder};
    use std::fs;
    use std::os::unix::fs::chown;

    fn own() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn nth(base: &Path, number: u32) -> PathBuf {
        base.join(if number == 0 { format!("php-sse-{}", own()) } else { format!("php-sse-{}-{number}", own()) })
    }

    #[test]
    fn the_folder_is_that_of_the_user() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let expected = Private { path: nth(base.path(), 0), instead_of: None };
        for _ in 0..2 {
            assert_eq!(made(base.path()), expected);
        }
    }

    /// Finds and creates the folder, as a process does that needs it.
    fn made(base: &Path) -> Private {
        let found = find(base, own()).expect("a name is free");
        check_folder(&found.path.join("hub.sock"), Folder::Private).expect("made");
        found
    }

    /// Attack: another user takes the folder's name first, so that the victim has no hub.
    #[test]
    fn a_name_that_is_taken_is_passed_by_for_good() {
        let base = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink("/tmp", nth(base.path(), 0)).expect("a link");
        fs::write(nth(base.path(), 1), "").expect("a file");
        let made = made(base.path());
        assert_eq!(made.path, nth(base.path(), 2));
        assert_eq!(made.instead_of, Some((nth(base.path(), 0), "is not a folder".into())));
        // A process that starts after the name became free must find the same folder as the others.
        fs::remove_file(nth(base.path(), 0)).expect("own link");
        assert_eq!(find(base.path(), own()).expect("found").path, made.path);
    }

    #[test]
    fn where_all_names_are_taken_it_says_what_to_do() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let base = tempfile::tempdir().expect("a temporary folder");
        for number in 0..=OTHERS {
            fs::create_dir(nth(base.path(), number)).expect("own folder");
            chown(nth(base.path(), number), Some(34), None).expect("root may");
        }
        // The outcome depends on whether root has logged in.
        let error = find(base.path(), own()).map(|found| found.path);
        let expected = format!(
            "{}, like the 9 that could stand in its place, belongs to user 34, not to user 0; set sse.socket to a path in a \
             folder of your own",
            nth(base.path(), 0).display()
        );
        match error {
            Err(error) => assert_eq!(error.to_string(), expected),
            Ok(path) => assert_eq!(path, Path::new("/run/user/0/php-sse"), "root has logged in"),
        }
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let base = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink("/tmp", nth(base.path(), 0)).expect("a link");
        let found: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| made(base.path()).path)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(found, vec![nth(base.path(), 1); 16]);
    }
}
