//! Finds or starts the hub. Each process has one connection, made at its first use and again after a fork.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sse_hub::config::ConfigError;
use sse_hub::socket::{self, Folder, SocketError};
use sse_protocol::cause::Cause;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{Attach, Framing, Reply, Request, Whose};
use thiserror::Error;

use crate::api::callback::Frames;
use crate::api::exceptions::Problem;
use crate::patience::{self, Patience};
use crate::{fork, ini, remembered, successor, zend};

/// Why there is no hub to use.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// A setting is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The socket or its folder is unusable.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The exchange with the hub failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The hub does not answer, and this request has waited for it before.
    #[error("{0}; earlier calls of this request have waited for the hub already")]
    Impatient(ClientError),
    /// No hub runs, and `sse.spawn` forbids to start one.
    #[error("{0}, and sse.spawn is off; start one with: php -r 'sse_hub();'")]
    Off(ClientError),
    /// This PHP can't fork safely.
    #[error("{0}, and a thread-safe PHP can't start one; run it with: php -r 'sse_hub();'")]
    #[cfg_attr(not(php_zts), allow(dead_code))]
    ThreadSafe(ClientError),
    /// Another thread may hold a lock that would stay locked in a forked hub, and there is no PHP command line to use.
    #[error(
        "{0}, and this process has several threads, so that it can't fork a hub; start one by a PHP that has one thread: \
         php -r 'sse_hub();'"
    )]
    Threads(ClientError),
    /// As `Threads`, but the command line failed, for this reason.
    #[error("this process has several threads, so that it can't fork a hub, and {} could not start one: {}", .0.display(), .1)]
    Program(PathBuf, String),
    /// A hub can't run with these settings.
    #[error(transparent)]
    Hub(#[from] sse_hub::HubError),
    /// The start of the hub failed.
    #[error("starting the hub failed: {0}")]
    Fork(std::io::Error),
}

impl SpawnError {
    /// Who caused that no hub has a stream. `None`: a permanent problem, or the script's error.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Client(error) | Self::Impatient(error) => error.cause(),
            Self::Socket(SocketError::Locked { .. }) => Some(Cause::Load),
            Self::Socket(SocketError::Io { error, .. }) | Self::Fork(error) => {
                Some(Cause::of_error(error)).filter(|cause| *cause == Cause::Load)
            }
            _ => None,
        }
    }
}

/// The process that loaded this extension: FPM's master, Apache's parent, or `php` itself.
static LOADED_BY: AtomicU32 = AtomicU32::new(0);

/// Records the process that loads the extension. Called at module start, before any server forks its workers.
pub fn remember_process() {
    LOADED_BY.store(std::process::id(), Ordering::Relaxed);
}

/// The process whose end should end the hub. FPM and Apache may have become daemons after they loaded the extension, but
/// they are always the parents of their workers.
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
    // In a container, process 1 is the server itself. Elsewhere it has only adopted an orphan.
    (parent > 1 || same_program(parent)).then_some(parent)
}

fn same_program(process: u32) -> bool {
    let name = |process: &str| std::fs::read_to_string(format!("/proc/{process}/comm")).ok();
    name("self").is_some_and(|own| name(&process.to_string()) == Some(own))
}

/// This process's connection to the hub.
struct Slot {
    /// The state that `path` and `folder` are valid for.
    moment: Option<Moment>,
    path: PathBuf,
    folder: Folder,
    client: Option<Client>,
    /// Counts connections, to detect a stream of an earlier connection.
    generation: u64,
}

/// The state that determines the hub's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    process: u32,
    /// A script that runs as root may switch to another user.
    user: u32,
    /// The count of setting changes, see [`remembered::changes`].
    changes: u64,
}

thread_local! {
    // No user code runs while this is borrowed: the code below only makes system calls and reads settings.
    static HUB: RefCell<Slot> = const {
        RefCell::new(Slot { moment: None, path: PathBuf::new(), folder: Folder::Private, client: None, generation: 0 })
    };
}

impl Slot {
    /// Drops a connection that belongs to the parent process or leads to another hub than the current one.
    fn refresh(&mut self) -> Result<(), SpawnError> {
        let user = rustix::process::geteuid().as_raw();
        let moment = Moment { process: std::process::id(), user, changes: remembered::changes() };
        if self.moment == Some(moment) {
            return Ok(());
        }
        let (path, folder) = ini::socket()?;
        if self.path != path || !self.is_of(moment.process) {
            self.client = None;
        }
        (self.moment, self.path, self.folder) = (Some(moment), path, folder);
        Ok(())
    }

    /// Whether this slot belongs to `process` and not to its parent.
    fn is_of(&self, process: u32) -> bool {
        self.moment.is_some_and(|moment| moment.process == process)
    }

    fn open(&mut self, patience: Patience, missing: Missing) -> Result<&mut Client, SpawnError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                self.generation += 1;
                reach(&self.path, self.folder, patience, missing)?
            }
        };
        Ok(self.client.insert(client))
    }
}

/// Pause before the next attempt to reach a hub that is just ending.
const DYING: Duration = Duration::from_millis(1);

/// What to do if no hub runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// Start one.
    Start,
    /// Fail.
    Fail,
}

/// A stream that the hub holds and this process may commit.
#[derive(Debug)]
pub struct Held {
    stream: u64,
    generation: u64,
    /// The hub already has output for the stream, from others with the same `share`.
    pub rendered: bool,
    /// The stream's first lines, if this process asked to send them.
    pub opening: String,
}

/// Sends the hub a request, starting a hub if needed, and reads its answer.
///
/// # Errors
/// `Unavailable` if there is no hub or no answer within `sse.timeout`, `Argument` if the hub rejects the request.
pub fn call<T>(
    request: &Request<'_>,
    descriptor: Option<BorrowedFd<'_>>,
    read: impl Fn(Reply<'_>) -> Result<T, ClientError>,
) -> Result<T, Problem> {
    Ok(ask(request, descriptor, Missing::Start, read)?.0)
}

/// Sends a running hub a request, and reads its answer.
///
/// # Errors
/// `SpawnError`, also if no hub runs.
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
    patiently(|slot, patience| {
        loop {
            let answer = slot.open(patience, missing)?.call(request, descriptor, patience.left()).and_then(&read);
            match answer {
                Ok(answer) => {
                    patience::reset();
                    return Ok((answer, slot.generation));
                }
                Err(error @ ClientError::Hub { .. }) => return Err(error.into()),
                // The hub ended before it could accept the request, so retry with the next one. A hub that is being
                // killed may still accept connections.
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

/// Runs an action with the hub within `sse.timeout`, or within the part of it that the request has left.
fn patiently<T>(action: impl FnOnce(&mut Slot, Patience) -> Result<T, SpawnError>) -> Result<T, SpawnError> {
    let patience = Patience::new(ini::timeout()?);
    let done = HUB.with_borrow_mut(|slot| {
        slot.refresh()?;
        let done = action(slot, patience);
        if matches!(done, Err(SpawnError::Socket(_))) {
            // The default folder may have changed.
            slot.moment = None;
        }
        done
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

/// Sends the hub a request without an answer, starting a hub if needed. It waits only while the hub's socket is full.
///
/// # Errors
/// `SpawnError` if the request was not sent.
pub fn send(request: &Request<'_>) -> Result<(), SpawnError> {
    tell(request, Missing::Start)
}

/// Like [`send`], but only to a running hub.
fn send_running(request: &Request<'_>) -> Result<(), SpawnError> {
    tell(request, Missing::Fail)
}

fn tell(request: &Request<'_>, missing: Missing) -> Result<(), SpawnError> {
    patiently(|slot, patience| {
        let mut again = true;
        loop {
            let client = slot.open(patience, missing)?;
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

/// Number of requests sent before their answers are read. The answers of one batch always fit into a socket.
const BATCH: usize = 64;

/// Sends the hub encoded requests, in order and within one `sse.timeout`. `read` gets the place and the fate of each
/// request that was sent. If the hub ends, the next one gets the remaining requests, but none that was sent without an
/// answer, because it may have been carried out.
///
/// # Errors
/// Why some requests were not sent or not answered.
pub fn call_all<R: AsRef<[u8]>>(requests: &[R], mut read: impl FnMut(usize, Fate<'_>)) -> Result<(), SpawnError> {
    patiently(|slot, patience| {
        let mut lost = None;
        let mut next = 0;
        while next < requests.len() {
            let batch = &requests[next..requests.len().min(next + BATCH)];
            let mut answered = 0;
            let answers = |reply: Reply<'_>| {
                read(next + answered, Fate::Answered(reply));
                answered += 1;
            };
            let done = slot.open(patience, Missing::Start)?.call_all(batch, patience.left(), answers);
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

/// What happened to one of many requests.
pub enum Fate<'a> {
    /// The hub answered it.
    Answered(Reply<'a>),
    /// It was sent but not answered.
    Unknown,
}

/// Offers a connection to the hub, which holds it untouched until [`commit`].
///
/// # Errors
/// `SpawnError`; `Client(Hub { code: Full | TooMany, .. })` if there is no room for another stream.
pub fn attach(wanted: Attach<'_>, descriptor: BorrowedFd<'_>) -> Result<Held, SpawnError> {
    let request = Request::Attach(wanted);
    let (answer, generation) = ask(&request, Some(descriptor), Missing::Start, |reply| match reply {
        Reply::Attached { stream, rendered, opening } => Ok((stream, rendered, opening.to_owned())),
        other => Err(other.unexpected("a connection")),
    })?;
    let (stream, rendered, opening) = answer;
    Ok(Held { stream, generation, rendered, opening })
}

/// Maximum length of output that is sent without waiting for an answer, in bytes.
const SHORT: usize = 16 << 10;

/// Sends the hub the output of a callback. For a replay that has fetched its events, only the hub itself can still fail,
/// so no answer is awaited, unless the output is so long that the hub could reject it.
///
/// # Errors
/// `SpawnError`; `Client(Hub { code: Over, .. })` if the stream or the token no longer exists.
pub fn rendered(
    whose: Whose<'_>,
    render: bool,
    share: Option<&str>,
    patterns: &[&str],
    frames: &Frames,
) -> Result<(), SpawnError> {
    let (last_id, frames) = (frames.last_id.as_deref(), frames.bytes.as_slice());
    let answer = !matches!(whose, Whose::Token(_)) || !render || frames.len() > SHORT;
    let request = Request::Rendered { whose, render, share, patterns: patterns.to_vec(), last_id, frames, answer };
    if !answer {
        return send_running(&request);
    }
    call_running(&request, |reply| match reply {
        Reply::Done => Ok(()),
        other => Err(other.unexpected("what was rendered")),
    })
}

/// Sends the hub the first output of a held stream.
///
/// # Errors
/// As [`rendered`].
pub fn rendered_first(held: &Held, share: Option<&str>, patterns: &[&str], frames: &Frames) -> Result<(), SpawnError> {
    rendered(Whose::Stream(held.stream), true, share, patterns, frames)
}

/// Begins a held stream.
///
/// # Errors
/// If the hub that held it has ended, or does not read within `sse.timeout`.
pub fn commit(held: &Held, framing: Framing) -> Result<(), SpawnError> {
    let request = Request::Commit { stream: held.stream, framing };
    patiently(|slot, patience| Ok(held.client(slot)?.post_whole(&request, patience.left())?))
}

/// Takes the connection back. A hub that can't be reached drops it when this process's connection closes.
pub fn abort(held: &Held) {
    let request = Request::Abort { stream: held.stream };
    HUB.with_borrow_mut(|slot| {
        if held.client(slot).and_then(|client| client.post(&request)).is_err() {
            slot.client = None;
        }
    });
}

impl Held {
    /// The hub connection that the stream was attached by.
    fn client<'a>(&self, slot: &'a Slot) -> Result<&'a Client, ClientError> {
        let same = slot.generation == self.generation && slot.is_of(std::process::id());
        slot.client.as_ref().filter(|_| same).ok_or(ClientError::Closed)
    }
}

/// Sends the hub a request without waiting and without starting a hub: where none runs, nobody listens.
pub fn post(request: &Request<'_>) -> bool {
    HUB.with_borrow_mut(|slot| {
        if slot.refresh().is_err() {
            return false;
        }
        for _ in 0..2 {
            if slot.client.is_none() {
                if socket::check_folder(&slot.path, slot.folder).is_err() {
                    slot.moment = None;
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

/// Whether a hub, or something that can't be told from one, listens at this socket.
pub fn answers(path: &Path) -> bool {
    !Client::connect(path, None, Duration::ZERO).is_err_and(|error| is_missing(&error))
}

/// Connects to the hub, and starts one if none runs.
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
        // Its errors have no terminal to go to.
        let beside = path.with_added_extension("log");
        config.log.get_or_insert(beside);
        sse_hub::check(&config)?;
        if fork::has_other_threads() {
            start_elsewhere(path, absent, patience.left())?;
            return Ok(Client::connect(path, owner(), patience.left())?);
        }
        let lock = socket::lock(path, patience.left())?;
        // Another process may have started a hub while this one waited for the lock.
        match Client::connect(path, owner(), patience.left()) {
            Ok(client) => return Ok(client),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let listener = socket::bind(&lock, path, config.socket_mode, config.socket_group)?;
        fork::start([listener.into()], "sse-hub", |[listener]| sse_hub::run(config, listener.into()).is_ok())
            .map_err(SpawnError::Fork)?;
        drop(lock);
        Ok(Client::connect(path, owner(), patience.left())?)
    }
}

/// Starts a hub through PHP's command line, which has one thread.
#[cfg(not(php_zts))]
fn start_elsewhere(path: &Path, absent: ClientError, patience: Duration) -> Result<(), SpawnError> {
    let Some(program) = successor::program(path, successor::START) else { return Err(SpawnError::Threads(absent)) };
    match program.run(Some(Instant::now() + patience)) {
        Ok(ran) if ran.succeeded => Ok(()),
        // Code that waits for all children of this process has collected it. The next connection shows the result.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(()),
        Ok(ran) => Err(SpawnError::Program(program.path, ran.complaint)),
        Err(error) => Err(SpawnError::Program(program.path, error.to_string())),
    }
}

/// Whether there is certainly no hub: no socket, or nobody listens at it. Any other error may come from a hub that is
/// busy or denies access, which must not be replaced.
fn is_missing(error: &ClientError) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error, ClientError::NotRunning { error, .. } if matches!(error.kind(), NotFound | ConnectionRefused))
}
