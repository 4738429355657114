//! The hub's socket file: checks of its folder, the lock of who may start a hub, and binding.

pub(crate) mod file;
pub mod others;
pub mod private;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;

/// Maximum length of the accept queue; the system caps it (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// Interval between attempts to take a lock that another process holds.
const LOCK_RETRY: Duration = Duration::from_millis(2);

/// Why a socket can't be used or created.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The folder is missing, or other users could have written to it.
    #[error("{folder} {problem}; {advice}")]
    Folder {
        /// Path of the folder.
        folder: String,
        /// What is wrong with it.
        problem: String,
        /// What the administrator can do.
        advice: &'static str,
    },
    /// A file that is not a socket has the socket's path.
    #[error("{0} exists and is not a socket; remove it or set sse.socket to another path")]
    NotASocket(String),
    /// The path is too long for a socket address.
    #[error("sse.socket: '{path}' is {length} bytes long; a socket's path may have at most 107")]
    PathTooLong {
        /// Path of the socket.
        path: String,
        /// Length of the path, in bytes.
        length: usize,
    },
    /// Another process held the lock until the timeout.
    #[error("another process is starting a hub at {path} and has not finished within {waited:?}")]
    Locked {
        /// Path of the lock file.
        path: String,
        /// How long this process waited.
        waited: Duration,
    },
    /// A system call failed.
    #[error("{what} {path} failed: {error}")]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// The file that it was for.
        path: String,
        /// Error of the operating system.
        error: io::Error,
    },
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(Errno) -> SocketError {
    let path = path.display().to_string();
    move |error| SocketError::Io { what, path, error: error.into() }
}

/// Which users may own the folder of a socket, and write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// The default folder in the temporary directory, where any user could have created it first: it must belong to this user
    /// and be closed to all others. It is created if missing.
    Private,
    /// A folder that the administrator chose: it must belong to root or this user, and nobody else may write to it. Root, which
    /// publishes to other users' hubs, accepts any user's folder that only root could have created.
    Chosen,
    /// Like `Chosen`, for a hub shared by `sse.socket_group` or `sse.socket_mode`: it may belong to another user.
    Shared,
}

/// Checks the socket's folder, before a process connects to a hub or starts one there.
///
/// # Errors
/// `Folder` if other users could have put a socket there, `PathTooLong`, or `Io`.
pub fn check_folder(socket: &Path, folder: Folder) -> Result<(), SocketError> {
    let length = socket.as_os_str().len();
    if length > 107 {
        return Err(SocketError::PathTooLong { path: socket.display().to_string(), length });
    }
    let Some(path) = socket.parent() else { return Ok(()) };
    if folder == Folder::Private {
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("making", path)(error)),
        }
    }
    let stat = match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => {
            let advice = "create it, for the user that the hub runs as: install -d -m 755 -o USER FOLDER";
            let (folder, problem) = (path.display().to_string(), "does not exist".into());
            return Err(SocketError::Folder { folder, problem, advice });
        }
        other => other.map_err(failed("looking at", path))?,
    };
    let refuse =
        |problem: String, advice| Err(SocketError::Folder { folder: path.display().to_string(), problem, advice });
    let private = "remove it, or set sse.socket to a path in a folder of your own";
    let chosen = "set sse.socket to a path in a folder that only its owner can write to";
    let own = rustix::process::geteuid().as_raw();
    let mode = stat.st_mode & 0o777;
    match (FileType::from_raw_mode(stat.st_mode), folder) {
        (FileType::Directory, Folder::Private) => {
            if stat.st_uid != own {
                return refuse(format!("belongs to user {}, not to user {own}", stat.st_uid), private);
            }
            if mode & 0o077 != 0 {
                return refuse(format!("is open to other users (mode {mode:04o})"), private);
            }
            Ok(())
        }
        (FileType::Directory | FileType::Symlink, Folder::Chosen | Folder::Shared) => {
            let stat = rustix::fs::stat(path).map_err(failed("looking at", path))?;
            let strange = stat.st_uid != 0 && stat.st_uid != own && !(own == 0 && stands_closed(path));
            if strange && folder == Folder::Chosen {
                let advice = "set sse.socket to a path in a folder of your own, or sse.socket_group if the hub is shared on purpose";
                return refuse(format!("belongs to user {}, not to user {own} or root", stat.st_uid), advice);
            }
            if stat.st_mode & 0o022 != 0 {
                return refuse(format!("can be written to by other users (mode {:04o})", stat.st_mode & 0o777), chosen);
            }
            Ok(())
        }
        _ => refuse("is not a folder".into(), if folder == Folder::Private { private } else { chosen }),
    }
}

/// Whether only root can create entries in the parent of this folder.
fn stands_closed(folder: &Path) -> bool {
    let above = folder.parent().and_then(|above| rustix::fs::stat(above).ok());
    above.is_some_and(|above| above.st_uid == 0 && above.st_mode & 0o022 == 0)
}

/// Checks that this user may start a hub in the folder. A hub started by root would shut out the user that owns the folder.
///
/// # Errors
/// `Folder` if the folder belongs to another user, `Io` if it can't be examined.
pub fn check_may_start(socket: &Path) -> Result<(), SocketError> {
    let Some(path) = socket.parent() else { return Ok(()) };
    let owner = rustix::fs::stat(path).map_err(failed("looking at", path))?.st_uid;
    let own = rustix::process::geteuid().as_raw();
    if owner == own || own != 0 {
        return Ok(());
    }
    Err(SocketError::Folder {
        folder: path.display().to_string(),
        problem: format!("belongs to user {owner}"),
        advice: "a hub there is started, and passed on, by that user's own processes",
    })
}

/// The lock of the process that starts or ends the hub of a socket; released when dropped.
#[derive(Debug)]
pub struct StartLock {
    file: File,
}

impl From<OwnedFd> for StartLock {
    /// Wraps the descriptor of a lock that another process took and passed on.
    fn from(file: OwnedFd) -> Self {
        Self { file: file.into() }
    }
}

impl AsFd for StartLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Path of the lock file of a socket.
#[must_use]
pub fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// Takes the lock; `None` if another process holds it.
///
/// # Errors
/// `Io` if the lock file can't be opened.
pub fn try_lock(socket: &Path) -> Result<Option<StartLock>, SocketError> {
    let path = lock_path(socket);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(failed("opening", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(StartLock { file: file.into() })),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed("locking", &path)(error)),
    }
}

/// Takes the lock, and waits while another process holds it.
///
/// # Errors
/// `Locked` if the lock isn't free in time, `Io` if the lock file can't be opened.
pub fn lock(socket: &Path, timeout: Duration) -> Result<StartLock, SocketError> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(lock) = try_lock(socket)? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(SocketError::Locked { path: lock_path(socket).display().to_string(), waited: timeout });
        }
        std::thread::sleep(LOCK_RETRY);
    }
}

/// Creates the socket file and listens there. The caller holds the lock and knows that no hub answers at the path, so that a
/// file which is still there is stale.
///
/// # Errors
/// `NotASocket` if another kind of file has the path, `PathTooLong`, or `Io`.
pub fn bind(_lock: &StartLock, path: &Path, mode: u32, group: Option<u32>) -> Result<UnixListener, SocketError> {
    match rustix::fs::lstat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
            rustix::fs::unlink(path).map_err(failed("removing the stale", path))?;
        }
        Ok(_) => return Err(SocketError::NotASocket(path.display().to_string())),
        Err(_) => {}
    }
    let socket = listen(path, mode, group, SocketFlags::CLOEXEC).map_err(failed("listening at", path))?;
    Ok(socket.into())
}

/// Creates a socket file, which must not be there yet, and listens there.
pub(crate) fn listen(path: &Path, mode: u32, group: Option<u32>, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The file inherits the mode of the socket: nobody else can connect before `allow` sets the intended mode.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    allow(path, mode, group)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Sets the mode and group of a socket file.
///
/// # Errors
/// `Io` if the system refuses.
pub fn set_access(path: &Path, mode: u32, group: Option<u32>) -> Result<(), SocketError> {
    allow(path, mode, group).map_err(failed("changing the permissions of", path))
}

fn allow(path: &Path, mode: u32, group: Option<u32>) -> Result<(), Errno> {
    if let Some(group) = group {
        rustix::fs::chown(path, None, Some(rustix::process::Gid::from_raw(group)))?;
    }
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn folder(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).expect("own folder");
        folder
    }

    #[test]
    fn a_private_folder_is_made_closed_and_an_open_one_is_refused() {
        let base = folder(0o700);
        let socket = base.path().join("php-sse/hub.sock");
        check_folder(&socket, Folder::Private).expect("made");
        let mode = fs::metadata(base.path().join("php-sse")).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let open = folder(0o755);
        let error = check_folder(&open.path().join("hub.sock"), Folder::Private).expect_err("open to others");
        assert!(error.to_string().contains("is open to other users (mode 0755)"), "{error}");
    }

    /// Attack: a symlink in the temporary directory sends the victim's socket to a folder that the attacker can read.
    #[test]
    fn a_link_instead_of_the_private_folder_is_refused() {
        let base = folder(0o700);
        std::os::unix::fs::symlink("/tmp", base.path().join("php-sse")).expect("a link");
        let error = check_folder(&base.path().join("php-sse/hub.sock"), Folder::Private).expect_err("a link");
        assert!(error.to_string().contains("is not a folder"), "{error}");
    }

    /// Attack: another user with write access to the folder replaces the socket with their own.
    #[test]
    fn a_chosen_folder_that_others_write_to_is_refused() {
        let open = folder(0o777);
        let error = check_folder(&open.path().join("hub.sock"), Folder::Chosen).expect_err("writable");
        assert!(error.to_string().contains("can be written to by other users (mode 0777)"), "{error}");
        check_folder(&folder(0o755).path().join("hub.sock"), Folder::Chosen).expect("readable is fine");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let base = folder(0o700);
        let path = base.path().join("hub.sock");
        let lock = lock(&path, Duration::ZERO).expect("free");
        drop(bind(&lock, &path, 0o600, None).expect("first"));
        let listener = bind(&lock, &path, 0o660, None).expect("the stale file is replaced");
        assert_eq!(fs::metadata(&path).expect("bound").permissions().mode() & 0o777, 0o660);
        drop(listener);
        fs::remove_file(&path).expect("ours");
        fs::write(&path, "precious").expect("ours");
        assert!(matches!(bind(&lock, &path, 0o600, None), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).expect("kept"), "precious");
    }

    #[test]
    fn one_process_has_the_lock() {
        let base = folder(0o700);
        let path = base.path().join("hub.sock");
        let held = lock(&path, Duration::ZERO).expect("free");
        assert!(matches!(lock(&path, Duration::from_millis(10)), Err(SocketError::Locked { .. })));
        drop(held);
        lock(&path, Duration::ZERO).expect("free again");
    }
}
