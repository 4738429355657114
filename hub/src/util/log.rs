//! The hub's log: where its lines go.
//!
//! Each line has a UTC time. Lines about one stream carry its number as `stream`. A line never contains event data, cookies,
//! headers or keys, and what others have chosen stays in its line. A log that can't be written, as on a full disk or to a pipe that
//! nobody reads, loses lines and nothing else.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tracing::level_filters::LevelFilter;
use tracing::warn;

use crate::config::{Config, LogFormat};
use crate::util::one_line;

/// How often to check whether the log file was moved away.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Maximum bytes of an external text in a log line.
const SHOWN: usize = 64;

/// Maximum number of topics in a log line.
const TOPICS: usize = 10;

/// Most bytes that are written at once: a pipe that can be written has room for them (PIPE_BUF).
const PIECE: usize = 4096;

/// The log of this process, if it goes to a file.
static FILE: OnceLock<Arc<Log>> = OnceLock::new();

/// Installs the log that the settings ask for. A process that has a subscriber already keeps it.
pub(crate) fn install(config: &Config) -> io::Result<()> {
    if config.log_level == LevelFilter::OFF {
        return Ok(());
    }
    let log = Arc::new(match &config.log {
        Some(path) => Log::open(path)?,
        None => Log::new(None, Target::Stderr),
    });
    // The builder's default clock is UTC, and it writes each line with one call.
    let lines = tracing_subscriber::fmt()
        .with_max_level(config.log_level)
        .with_ansi(false)
        .with_target(false)
        .with_writer(Arc::clone(&log));
    let installed = match config.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if installed.is_ok() && log.path.is_some() {
        FILE.get_or_init(|| log);
    }
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
    FILE.get().and_then(|log| match &log.current().target {
        Target::File(file) => Some(file.as_raw_fd()),
        Target::Stderr => None,
    })
}

/// Beginning of a text chosen by a client or a script, short enough for a log line.
pub(crate) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

/// Topics or patterns in a log line: all of few, and how many more there are.
pub(crate) struct Topics<'a, T>(pub(crate) &'a [T]);

impl<T: AsRef<str>> fmt::Debug for Topics<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = out.debug_list();
        list.entries(self.0.iter().take(TOPICS).map(|topic| shown(topic.as_ref())));
        match self.0.len().saturating_sub(TOPICS) {
            0 => list.finish(),
            more => list.entry(&format_args!("{more} more")).finish(),
        }
    }
}

/// Does not wait for a FIFO's reader: all streams would.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK).open(path);
    file.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::other("nobody reads it; name a file, or a FIFO whose reader is started first"),
        _ => error,
    })
}

/// Where the lines go. A file is reopened after it was moved away, as logrotate does. A line that can't be written is counted;
/// when one can be written again, the next line says how many were lost.
struct Log {
    /// The file's; `None`: standard error.
    path: Option<PathBuf>,
    current: Mutex<Current>,
}

struct Current {
    target: Target,
    looked: Instant,
    /// Lines that could not be written since the last one that could.
    lost: u64,
    /// Whether the last line was written in part.
    is_cut: bool,
}

enum Target {
    File(File),
    Stderr,
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Some(path.into()), Target::File(open(path)?)))
    }

    fn new(path: Option<PathBuf>, target: Target) -> Self {
        Self { path, current: Mutex::new(Current { target, looked: Instant::now(), lost: 0, is_cut: false }) }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.path
            && current.looked.elapsed() >= LOOK_AGAIN
        {
            current.looked = Instant::now();
            // If a new file can't be made, the old one is better than none.
            if !current.is_at(path)
                && let Ok(file) = open(path)
            {
                current.target = Target::File(file);
                current.is_cut = false;
            }
        }
        current
    }

    /// Writes a line; what was lost before it, if it is the first that can be written.
    fn put(&self, line: &[u8]) -> u64 {
        let mut current = self.current();
        if current.put(line) {
            return mem::take(&mut current.lost);
        }
        current.lost += 1;
        0
    }
}

impl Current {
    fn is_at(&self, path: &Path) -> bool {
        let place = |file: fs::Metadata| (file.dev(), file.ino());
        match (&self.target, fs::metadata(path)) {
            (Target::File(file), Ok(found)) => file.metadata().is_ok_and(|file| place(file) == place(found)),
            _ => false,
        }
    }

    /// Whether the line was written, after the end of one that was not written whole.
    fn put(&mut self, line: &[u8]) -> bool {
        if self.is_cut {
            if self.target.write_all(b"\n").is_err() {
                return false;
            }
            self.is_cut = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.target.write(rest) {
                Ok(count) if count > 0 => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.is_cut = rest.len() < line.len();
                    return false;
                }
            }
        }
        true
    }
}

impl Target {
    /// Whether a write of up to [`PIECE`] bytes does not wait for a reader: a pipe, a socket or a terminal may be full.
    fn has_room(&self) -> bool {
        let now = Timespec::default();
        let stderr = io::stderr();
        let target = match self {
            Self::File(file) => file.as_fd(),
            Self::Stderr => stderr.as_fd(),
        };
        // Of what can't be asked the write tells the error. A signal is no answer, either.
        !matches!(rustix::event::poll(&mut [PollFd::new(&target, PollFlags::OUT)], Some(&now)), Ok(0))
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.has_room() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let piece = &bytes[..bytes.len().min(PIECE)];
        match self {
            Self::File(file) => file.write(piece),
            Self::Stderr => io::stderr().write(piece),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes whole lines and never fails: `tracing_subscriber` would report an error to standard error, and panic where that can't
/// be written either.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lost = self.put(&one_line::escape(line));
        if lost > 0 {
            warn!(lines = lost, "the log could not be written: lines are missing");
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn a_file_that_was_moved_is_opened_anew_after_a_moment() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, moved) = (folder.path().join("hub.log"), folder.path().join("hub.log.1"));
        let log = Log::open(&path).expect("a new file");
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

    /// The attack: an application fills the disk, and the hub with all streams ends at its next line.
    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted_and_no_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("hub.log");
        symlink("/dev/full", &path).expect("a device without room");
        let log = Log::open(&path).expect("opened");
        (&log).write_all(b"one\n").expect("no error");
        assert_eq!(log.put(b"two\n"), 0);
        fs::remove_file(&path).expect("removed");
        log.current.lock().expect("not poisoned").looked -= LOOK_AGAIN;
        assert_eq!(log.put(b"three\n"), 2);
        assert_eq!(log.put(b"four\n"), 0);
        assert_eq!(fs::read_to_string(&path).expect("the file"), "three\nfour\n");
    }

    /// The attack: what reads the log, such as a container's runtime on a disk that hangs, stops; and then the hub with all streams.
    #[test]
    fn lines_that_nobody_reads_are_counted_and_not_waited_for() {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let log = Log::new(None, Target::File(File::from(OwnedFd::from(near))));
        let line = [[b'x'; 2 * PIECE].as_slice(), b"\n"].concat();
        let (sender, filled) = mpsc::channel();
        thread::spawn(move || {
            let lines = (1..10_000).take_while(|_| log.put(&line) == 0 && log.current().lost == 0).count();
            (&log).write_all(&line).expect("no error");
            let _ = sender.send((log, lines));
        });
        let (log, lines) = filled.recv_timeout(Duration::from_secs(60)).expect("it waits for a reader");
        assert!((1..9_999).contains(&lines), "{lines}");
        assert_eq!(log.current().lost, 2);
        far.set_nonblocking(true).expect("a socket");
        let mut read = Vec::new();
        let end = far.read_to_end(&mut read).expect_err("it stays open");
        assert_eq!(end.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(log.put(b"there again\n"), 2);
        assert!(far.read_to_end(&mut read).is_err() && read.ends_with(b"x\nthere again\n"));
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_an_error_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("hub.log");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("a FIFO");
        let (sender, opened) = mpsc::channel();
        let fifo = path.clone();
        thread::spawn(move || sender.send(Log::open(&fifo).map(drop)));
        let error =
            opened.recv_timeout(Duration::from_secs(60)).expect("it waits for a reader").expect_err("no reader");
        assert!(error.to_string().starts_with("nobody reads it"), "{error}");
        let mut reader =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).expect("a FIFO may be read");
        let log = Log::open(&path).expect("there is a reader");
        assert_eq!(log.put(b"read\n"), 0);
        let mut line = [0; 5];
        reader.read_exact(&mut line).expect("it was written");
        assert_eq!(&line, b"read\n");
    }

    #[test]
    fn a_line_that_was_cut_off_is_ended_before_the_next() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("hub.log");
        let log = Log::open(&path).expect("a new file");
        (&log).write_all(b"half of").expect("written");
        log.current.lock().expect("not poisoned").is_cut = true;
        (&log).write_all(b"whole\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "half of\nwhole\n");
    }

    #[test]
    fn topics_are_named_some_of_many() {
        assert_eq!(format!("{:?}", Topics(&["a.*", "b\n"])), r#"["a.*", "b\n"]"#);
        let many: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        assert!(format!("{:?}", Topics(&many)).ends_with(r#""9", 2 more]"#));
    }

    #[test]
    fn what_others_choose_is_shown_in_part() {
        assert_eq!(shown("1763712000000-0"), "1763712000000-0");
        assert_eq!(shown(&"é".repeat(100)), "é".repeat(32));
        assert_eq!(shown(&format!("x{}", "é".repeat(100))), format!("x{}", "é".repeat(31)));
    }
}
