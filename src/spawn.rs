//! Finding the hub, or starting it: one connection a process, made when it is first needed and again after a fork.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use serde_json::json;
use sse_hub::Succeeded;
use sse_hub::client::{Client, ClientError};
use sse_hub::config::{Config, ConfigError};
use sse_hub::socket::{self, Folder, SocketError, StartLock};
use sse_hub::wire::{Framing, Replay, Reply, Request, Whose};
use thiserror::Error;

use crate::api::callback::Frames;
use crate::api::exceptions::Problem;
use crate::patience::{self, Patience};
use crate::{ini, signals, title, zend};

/// Why there is no hub to talk to.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// A setting that can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The socket or its folder.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The hub that is there.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The hub that does not answer, in a request that has waited for it before.
    #[error("{0}; earlier calls of this request have waited for the hub already")]
    Impatient(ClientError),
    /// None is there, and none may be started.
    #[error("{0}, and sse.spawn is off; start one with: php -r 'sse_hub();'")]
    Off(ClientError),
    /// This PHP can't fork safely.
    #[error("{0}, and a thread-safe PHP can't start one; run it with: php -r 'sse_hub();'")]
    #[cfg_attr(not(php_zts), allow(dead_code))]
    ThreadSafe(ClientError),
    /// A hub could not run with these settings.
    #[error(transparent)]
    Hub(#[from] sse_hub::HubError),
    /// Starting failed.
    #[error("starting the hub failed: {0}")]
    Fork(std::io::Error),
}

/// The process that loaded this extension: FPM's master, Apache's parent, or `php` itself.
static LOADED_BY: AtomicU32 = AtomicU32::new(0);

/// Remembers who loads the extension. Called when the module starts, before any server forks its workers.
pub fn remember_process() {
    LOADED_BY.store(std::process::id(), Ordering::Relaxed);
}

/// The process whose end should end the hub. FPM and Apache may have become daemons since they loaded the extension, but
/// are always the parents of their workers.
fn owner() -> Option<u32> {
    let own = std::process::id();
    match zend::sapi_name().to_bytes() {
        b"cli-server" | b"apache2handler" | b"fpm-fcgi" => {}
        _ => return None,
    }
    if LOADED_BY.load(Ordering::Relaxed) == own {
        return Some(own);
    }
    let parent = std::os::unix::process::parent_id();
    // The first process is the server itself in a container; elsewhere it has only taken in an orphan.
    (parent > 1 || same_program(parent)).then_some(parent)
}

fn same_program(process: u32) -> bool {
    let name = |process: &str| std::fs::read_to_string(format!("/proc/{process}/comm")).ok();
    name("self").is_some_and(|own| name(&process.to_string()) == Some(own))
}

/// This process's connection.
struct Slot {
    process: u32,
    path: PathBuf,
    client: Option<Client>,
    /// Counts connections, so that a stream can be told from one of an earlier connection.
    generation: u64,
}

thread_local! {
    // No code of a user runs while this is borrowed: all below is system calls and reading settings.
    static HUB: RefCell<Slot> = const {
        RefCell::new(Slot { process: 0, path: PathBuf::new(), client: None, generation: 0 })
    };
}

impl Slot {
    /// Forgets a connection that belongs to the parent process, to another hub, or to one that has gone.
    fn refresh(&mut self, path: PathBuf) {
        let process = std::process::id();
        if self.process != process || self.path != path || self.client.as_ref().is_some_and(|c| !c.is_open()) {
            self.client = None;
        }
        self.process = process;
        self.path = path;
    }

    fn open(&mut self, folder: Folder, patience: Patience, missing: Missing) -> Result<&mut Client, SpawnError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                self.generation += 1;
                reach(&self.path, folder, patience, missing)?
            }
        };
        Ok(self.client.insert(client))
    }
}

/// How long to leave a hub alone that is just ending.
const DYING: Duration = Duration::from_millis(1);

/// What to do where no hub runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// Start one.
    Start,
    /// Fail.
    Fail,
}

/// A stream that the hub holds and that this process may commit.
#[derive(Debug)]
pub struct Held {
    stream: u64,
    generation: u64,
    /// The hub already has output for it, of others with the same `share`.
    pub rendered: bool,
}

/// Asks the hub, starting it if need be, and reads its answer.
///
/// # Errors
/// `Unavailable` if there is no hub or no answer within `sse.timeout`, `Argument` if the hub refuses what is asked.
pub fn call<T>(
    request: &Request<'_>,
    descriptor: Option<BorrowedFd<'_>>,
    read: impl Fn(Reply<'_>) -> Result<T, ClientError>,
) -> Result<T, Problem> {
    Ok(ask(request, descriptor, Missing::Start, read)?.0)
}

/// Asks a hub that runs, and reads its answer.
///
/// # Errors
/// `SpawnError`, also if none runs.
pub fn call_running<T>(
    request: &Request<'_>,
    read: impl Fn(Reply<'_>) -> Result<T, ClientError>,
) -> Result<T, SpawnError> {
    Ok(ask(request, None, Missing::Fail, read)?.0)
}

fn ask<T>(
    request: &Request<'_>,
    descriptor: Option<BorrowedFd<'_>>,
    missing: Missing,
    read: impl Fn(Reply<'_>) -> Result<T, ClientError>,
) -> Result<(T, u64), SpawnError> {
    patiently(|slot, folder, patience| {
        loop {
            let answer =
                slot.open(folder, patience, missing)?.call(request, descriptor, patience.left()).and_then(&read);
            match answer {
                Ok(answer) => {
                    patience::reset();
                    return Ok((answer, slot.generation));
                }
                Err(error @ ClientError::Hub { .. }) => return Err(error.into()),
                // The hub ended before it could take the request: the next one gets it. One that is being killed may
                // still let this process connect.
                Err(ClientError::Closed) if !patience.is_over() => std::thread::sleep(DYING),
                Err(ClientError::Unanswered) if request.may_be_repeated() && !patience.is_over() => {}
                Err(error) => {
                    slot.client = None;
                    return Err(error.into());
                }
            }
            slot.client = None;
        }
    })
}

/// Does something with the hub within `sse.timeout`, or within what the request has left of it.
fn patiently<T>(action: impl FnOnce(&mut Slot, Folder, Patience) -> Result<T, SpawnError>) -> Result<T, SpawnError> {
    let patience = Patience::new(ini::timeout()?);
    let (path, folder) = ini::socket()?;
    let done = HUB.with_borrow_mut(|slot| {
        slot.refresh(path);
        action(slot, folder, patience)
    });
    match done {
        Err(SpawnError::Client(error @ (ClientError::Timeout(_) | ClientError::Late(_)))) => {
            if patience.is_whole() {
                Err(error.into())
            } else {
                Err(SpawnError::Impatient(error))
            }
        }
        done => done,
    }
    .inspect_err(|_| {
        if patience.is_over() {
            patience.spend();
        }
    })
}

/// Sends the hub something that has no answer, starting it if need be. It waits only for a hub that has read a part of a
/// large message to read the rest.
///
/// # Errors
/// `SpawnError`, if it was not sent.
pub fn send(request: &Request<'_>) -> Result<(), SpawnError> {
    patiently(|slot, folder, patience| {
        let mut again = true;
        loop {
            let client = slot.open(folder, Patience::none(), Missing::Start).map_err(|error| match error {
                SpawnError::Client(ClientError::Timeout(_)) => ClientError::Behind.into(),
                error => error,
            })?;
            match client.post_whole(request, patience.left()) {
                Ok(()) => return Ok(()),
                Err(error @ ClientError::Behind) => return Err(error.into()),
                Err(ClientError::Closed) if again => again = false,
                Err(error) => {
                    slot.client = None;
                    return Err(error.into());
                }
            }
            slot.client = None;
        }
    })
}

/// Requests sent before their answers are read. The answers of so many surely fit into a socket.
const BATCH: usize = 64;

/// Asks the hub many things, as encoded requests, in order and within `sse.timeout` for all; `read` gets the answers of
/// those that were answered, with their places. A hub that ends meanwhile is replaced by the next; what it was asked and has
/// not answered is not asked again, as it may have been done.
///
/// # Errors
/// Why some were not asked or not answered.
pub fn call_all<R: AsRef<[u8]>>(requests: &[R], mut read: impl FnMut(usize, Fate<'_>)) -> Result<(), SpawnError> {
    patiently(|slot, folder, patience| {
        let mut lost = None;
        let mut next = 0;
        while next < requests.len() {
            let batch = &requests[next..requests.len().min(next + BATCH)];
            let mut answered = 0;
            let answers = |reply: Reply<'_>| {
                read(next + answered, Fate::Answered(reply));
                answered += 1;
            };
            let done = slot.open(folder, patience, Missing::Start)?.call_all(batch, patience.left(), answers);
            let Err(error) = done else {
                patience::reset();
                next += batch.len();
                continue;
            };
            slot.client = None;
            match error {
                ClientError::Closed if !patience.is_over() => std::thread::sleep(DYING),
                ClientError::Closed | ClientError::Timeout(_) | ClientError::Refused(_) => return Err(error.into()),
                error => {
                    (next + answered..next + batch.len()).for_each(|place| read(place, Fate::Unknown));
                    next += batch.len();
                    if patience.is_over() || !matches!(error, ClientError::Unanswered) {
                        return Err(error.into());
                    }
                    lost = Some(error);
                }
            }
        }
        lost.map_or(Ok(()), |error| Err(error.into()))
    })
}

/// What came of one of many requests.
pub enum Fate<'a> {
    /// It was answered.
    Answered(Reply<'a>),
    /// It was sent, and not answered.
    Unknown,
}

/// Offers a connection to the hub, which holds it without touching it until [`commit`].
///
/// # Errors
/// `SpawnError`; `Client(Hub { code: Full, .. })` if there is no room for another stream.
pub fn attach(
    patterns: &[&str],
    heartbeat: u32,
    retry: u32,
    last_event_id: Option<&str>,
    replay: Option<Replay<'_>>,
    descriptor: BorrowedFd<'_>,
) -> Result<Held, SpawnError> {
    let request = Request::Attach { patterns: patterns.to_vec(), heartbeat, retry, last_event_id, replay };
    let ((stream, rendered), generation) = ask(&request, Some(descriptor), Missing::Start, |reply| match reply {
        Reply::Attached { stream, rendered } => Ok((stream, rendered)),
        other => Err(ClientError::Protocol(format!("{other:?} to a connection"))),
    })?;
    Ok(Held { stream, generation, rendered })
}

/// Gives the hub what a callback's run is to send.
///
/// # Errors
/// `SpawnError`; `Client(Hub { code: Over, .. })` if the stream or the token is not there any more.
pub fn rendered(
    whose: Whose<'_>,
    render: bool,
    share: Option<&str>,
    patterns: &[&str],
    frames: &Frames,
) -> Result<(), SpawnError> {
    let (last_id, frames) = (frames.last_id.as_deref(), frames.bytes.as_slice());
    let request = Request::Rendered { whose, render, share, patterns: patterns.to_vec(), last_id, frames };
    call_running(&request, |reply| match reply {
        Reply::Done => Ok(()),
        other => Err(ClientError::Protocol(format!("{other:?} to what was rendered"))),
    })
}

/// Gives the hub what a held stream is to begin with.
///
/// # Errors
/// As [`rendered`].
pub fn rendered_first(held: &Held, share: Option<&str>, patterns: &[&str], frames: &Frames) -> Result<(), SpawnError> {
    rendered(Whose::Stream(held.stream), true, share, patterns, frames)
}

/// Lets the stream begin.
///
/// # Errors
/// If the hub that held it is gone.
pub fn commit(held: &Held, framing: Framing) -> Result<(), ClientError> {
    on_same_connection(held, &Request::Commit { stream: held.stream, framing })
}

/// Takes the connection back. A hub that can't be told lets it go when this process's connection ends.
pub fn abort(held: &Held) {
    if on_same_connection(held, &Request::Abort { stream: held.stream }).is_err() {
        HUB.with_borrow_mut(|slot| slot.client = None);
    }
}

fn on_same_connection(held: &Held, request: &Request<'_>) -> Result<(), ClientError> {
    HUB.with_borrow(|slot| match &slot.client {
        Some(client) if slot.generation == held.generation && slot.process == std::process::id() => {
            client.post(request)
        }
        _ => Err(ClientError::Closed),
    })
}

/// Tells the hub something, without waiting and without starting one: where none runs, nobody listens.
pub fn post(request: &Request<'_>) -> bool {
    let Ok((path, folder)) = ini::socket() else { return false };
    HUB.with_borrow_mut(|slot| {
        slot.refresh(path);
        for _ in 0..2 {
            if slot.client.is_none() {
                if socket::check_folder(&slot.path, folder).is_err() {
                    return false;
                }
                slot.generation += 1;
                slot.client = Client::connect(&slot.path, owner(), Duration::ZERO).ok();
            }
            match slot.client.as_ref().map(|client| client.post(request)) {
                Some(Ok(())) => return true,
                Some(Err(ClientError::Closed)) => slot.client = None,
                _ => return false,
            }
        }
        false
    })
}

/// Whether a hub listens at this socket, or something that can't be told from one.
pub fn answers(path: &Path) -> bool {
    !Client::connect(path, None, Duration::ZERO).is_err_and(|error| is_missing(&error))
}

/// Connects to the hub, and starts it if none runs.
fn reach(path: &Path, folder: Folder, patience: Patience, missing: Missing) -> Result<Client, SpawnError> {
    socket::check_folder(path, folder)?;
    let absent = match Client::connect(path, owner(), patience.left()) {
        Ok(client) => return Ok(client),
        Err(error) if is_missing(&error) && missing == Missing::Start => error,
        Err(error) => return Err(error.into()),
    };
    if !ini::spawn()? {
        return Err(SpawnError::Off(absent));
    }
    #[cfg(php_zts)]
    return Err(SpawnError::ThreadSafe(absent));
    #[cfg(not(php_zts))]
    {
        let mut config = ini::hub_config(path.to_path_buf())?;
        socket::check_may_start(path)?;
        // It will have no terminal to complain to.
        let beside = path.with_added_extension("log");
        config.log.get_or_insert(beside);
        sse_hub::check(&config)?;
        let lock = socket::lock(path, patience.left())?;
        // Somebody else may have started one while this process waited for the lock.
        match Client::connect(path, owner(), patience.left()) {
            Ok(client) => return Ok(client),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let listener = socket::bind(&lock, path, config.socket_mode, config.socket_group)?;
        start([listener.into()], "sse-hub", |[listener]| sse_hub::run(config, listener.into()).is_ok())
            .map_err(SpawnError::Fork)?;
        drop(lock);
        Ok(Client::connect(path, owner(), patience.left())?)
    }
}

/// Whether there is surely no hub: no socket, or one that nobody listens at. Anything else may be a hub that is busy, or
/// that doesn't let this process in, and must not be replaced.
fn is_missing(error: &ClientError) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error, ClientError::NotRunning { error, .. } if matches!(error.kind(), NotFound | ConnectionRefused))
}

/// Forks the hub. It becomes no child of this process, so that the application's own `pcntl_wait()` never meets it.
#[cfg_attr(php_zts, allow(dead_code))]
fn start<const N: usize>(
    descriptors: [OwnedFd; N],
    name: &str,
    work: impl FnOnce([OwnedFd; N]) -> bool + std::panic::UnwindSafe,
) -> std::io::Result<()> {
    // No handler of PHP may run in the children: signals wait until they have none left.
    let mask = signals::block_all();
    // SAFETY: this PHP is not thread-safe, so the process has one thread (of PHP's); the child only calls what is safe
    // after a fork in that case.
    match unsafe { libc::fork() } {
        -1 => {
            let error = std::io::Error::last_os_error();
            signals::restore(&mask);
            Err(error)
        }
        0 => {
            // SAFETY: as above.
            match unsafe { libc::fork() } {
                0 => become_hub(descriptors, name, work),
                // SAFETY: ends this child at once, without PHP's exit handlers.
                pid => unsafe { libc::_exit(i32::from(pid < 0)) },
            }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child made above, which ends at once.
            while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0
                && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
            {}
            signals::restore(&mask);
            if status == 0 { Ok(()) } else { Err(std::io::Error::other("the second fork failed")) }
        }
    }
}

/// Closes all descriptors from this number on.
#[cfg_attr(php_zts, allow(dead_code))]
fn close_from(first: i32) {
    // SAFETY: the caller has nothing open there that it still needs.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } == 0 {
        return;
    }
    // Before Linux 5.9, or where a filter of system calls doesn't know it.
    let Ok(folder) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    for number in numbers.filter(|number| *number >= first).collect::<Vec<_>>() {
        // SAFETY: as above; the folder's own descriptor is closed already, which this then reports and nothing more.
        unsafe { libc::close(number) };
    }
}

/// Turns this forked copy of a PHP process into the hub. Nothing of its parent stays open but these descriptors: a listening
/// socket kept here would keep the server's port taken.
#[cfg_attr(php_zts, allow(dead_code))]
fn become_hub<const N: usize>(
    descriptors: [OwnedFd; N],
    name: &str,
    work: impl FnOnce([OwnedFd; N]) -> bool + std::panic::UnwindSafe,
) -> ! {
    /// The first number after the standard streams.
    const FIRST: i32 = 3;
    let ended = std::panic::catch_unwind(|| {
        signals::reset();
        let after = FIRST + N as i32;
        let raw = descriptors.map(OwnedFd::into_raw_fd);
        // SAFETY: plain system calls on numbers; every other descriptor is meant to go. The originals' Rust owners are all
        // in frames of the parent, which never return here.
        let kept = unsafe {
            libc::setsid();
            libc::umask(0o077);
            libc::chdir(c"/".as_ptr());
            // Out of the way first: in a process that has closed its standard streams they have numbers of those.
            let raw = raw.map(|raw| libc::fcntl(raw, libc::F_DUPFD, after));
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            for stdio in 0..FIRST {
                if null != stdio && libc::dup2(null, stdio) < 0 {
                    libc::close(stdio);
                }
            }
            for (number, raw) in (FIRST..).zip(raw) {
                if raw < 0 || libc::dup2(raw, number) < 0 {
                    libc::_exit(1);
                }
                libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            close_from(after);
            std::array::from_fn(|nth| OwnedFd::from_raw_fd(FIRST + nth as i32))
        };
        title::set(name);
        work(kept)
    });
    // SAFETY: ends the process without PHP's exit handlers, which belong to its parent.
    unsafe { libc::_exit(i32::from(!matches!(ended, Ok(true)))) }
}

/// How long a new hub may take to take over.
const UPGRADE_PATIENCE: Duration = Duration::from_secs(30);

/// A hub that has taken over.
#[derive(Debug)]
pub struct Upgraded {
    /// Its process.
    pub pid: i64,
    /// Streams that it has.
    pub streams: i64,
    /// Milliseconds for which nothing was delivered; `None`: no hub ran before.
    pub pause: Option<f64>,
}

/// Starts a hub that takes over from the one that runs, and waits until it has.
///
/// # Errors
/// `Other` with the reason if it has not; the hub that runs goes on then.
pub fn upgrade() -> Result<Upgraded, Problem> {
    #[cfg(php_zts)]
    return Err(Problem::Other(
        "sse_hub_upgrade(): a thread-safe PHP can't start a hub; call it with one that is not".into(),
    ));
    #[cfg(not(php_zts))]
    {
        let (path, folder) = ini::socket()?;
        socket::check_folder(&path, folder)?;
        let config = ini::hub_config(path.clone())?;
        socket::check_may_start(&path)?;
        sse_hub::check(&config).map_err(SpawnError::Hub)?;
        let until = Instant::now() + UPGRADE_PATIENCE;
        // The lock is the new hub's own as well, should this process end meanwhile.
        let lock = socket::lock(&path, UPGRADE_PATIENCE)?;
        let held = lock.as_fd().try_clone_to_owned().map_err(SpawnError::Fork)?;
        let (said, report) = std::io::pipe().map_err(SpawnError::Fork)?;
        start([report.into(), held], "sse-hub", |[report, lock]| take_over(config, report.into(), lock.into()))
            .map_err(SpawnError::Fork)?;
        succeeded(&hear(said.into(), until)?)
    }
}

/// What the process of the new hub does.
#[cfg(not(php_zts))]
fn take_over(config: Config, report: File, lock: StartLock) -> bool {
    let report = Arc::new(report);
    let said = Arc::clone(&report);
    let say = |mut report: &File, text: &serde_json::Value| {
        // A parent that does not listen any more needs no word.
        let _ = writeln!(report, "{text}");
    };
    let begun = move |Succeeded { streams, pause }: Succeeded| {
        let pause = pause.map(|pause| pause.as_secs_f64() * 1000.0);
        say(&said, &json!({ "pid": std::process::id(), "streams": streams, "pause_ms": pause }));
    };
    let result = sse_hub::take_over(config, lock, begun);
    if let Err(error) = &result {
        say(&report, &json!({ "error": error.to_string() }));
    }
    result.is_ok()
}

/// The first line that comes, until then.
#[cfg(not(php_zts))]
fn hear(from: OwnedFd, until: Instant) -> Result<String, Problem> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        match rustix::event::poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&timeout)) {
            Ok(0) if left.is_zero() => {
                let waited = UPGRADE_PATIENCE.as_secs();
                return Err(Problem::Other(format!(
                    "the new hub has not taken over within {waited} s; sse_stats()['pid'] tells which one runs, and its \
                     log why"
                )));
            }
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(Problem::Other(format!("waiting for the new hub failed: {error}"))),
        }
        let mut chunk = [0; 1024];
        match rustix::io::read(&from, &mut chunk) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(&chunk[..count]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Problem::Other(format!("waiting for the new hub failed: {error}"))),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(not(php_zts))]
fn succeeded(line: &str) -> Result<Upgraded, Problem> {
    let said: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    if let Some(error) = said["error"].as_str() {
        return Err(Problem::Other(error.into()));
    }
    match (said["pid"].as_i64(), said["streams"].as_i64()) {
        (Some(pid), Some(streams)) => Ok(Upgraded { pid, streams, pause: said["pause_ms"].as_f64() }),
        _ => Err(Problem::Other("the new hub ended before it could say why; its log may".into())),
    }
}
