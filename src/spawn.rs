//! Finding the hub, or starting it: one connection a process, made when it is first needed and again after a fork.

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
    /// Another thread may hold a lock that would stay locked in a forked hub, and there is no other way.
    #[error(
        "{0}, and this process has several threads, so that it can't fork a hub; start one by a PHP that has one thread: \
         php -r 'sse_hub();'"
    )]
    Threads(ClientError),
    /// The same, and the other way has failed, for this reason.
    #[error("this process has several threads, so that it can't fork a hub, and {} could not start one: {}", .0.display(), .1)]
    Program(PathBuf, String),
    /// A hub could not run with these settings.
    #[error(transparent)]
    Hub(#[from] sse_hub::HubError),
    /// Starting failed.
    #[error("starting the hub failed: {0}")]
    Fork(std::io::Error),
}

impl SpawnError {
    /// Who has brought about that there is no hub for a stream; `None`: there is none at any time, or the script has.
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
    /// Of what is known here.
    moment: Option<Moment>,
    path: PathBuf,
    folder: Folder,
    client: Option<Client>,
    /// Counts connections, so that a stream can be told from one of an earlier connection.
    generation: u64,
}

/// Where the hub is follows from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    process: u32,
    /// Scripts of root may go on as another user.
    user: u32,
    /// Of settings, see [`remembered::changes`].
    changes: u64,
}

thread_local! {
    // No code of a user runs while this is borrowed: all below is system calls and reading settings.
    static HUB: RefCell<Slot> = const {
        RefCell::new(Slot { moment: None, path: PathBuf::new(), folder: Folder::Private, client: None, generation: 0 })
    };
}

impl Slot {
    /// Forgets a connection that belongs to the parent process, or to another hub than that of now.
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

    /// Whether what is here is not a parent process's.
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
    /// What this process is to send first, if it has asked for that.
    pub opening: String,
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
    patiently(|slot, patience| {
        loop {
            let answer = slot.open(patience, missing)?.call(request, descriptor, patience.left()).and_then(&read);
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
fn patiently<T>(action: impl FnOnce(&mut Slot, Patience) -> Result<T, SpawnError>) -> Result<T, SpawnError> {
    let patience = Patience::new(ini::timeout()?);
    let done = HUB.with_borrow_mut(|slot| {
        slot.refresh()?;
        let done = action(slot, patience);
        if matches!(done, Err(SpawnError::Socket(_))) {
            // The default folder may be another one by now.
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

/// Sends the hub something that has no answer, starting it if need be. It waits only where the hub's socket is full, until the
/// hub has read what was sent before.
///
/// # Errors
/// `SpawnError`, if it was not sent.
pub fn send(request: &Request<'_>) -> Result<(), SpawnError> {
    tell(request, Missing::Start)
}

/// The same to a hub that runs.
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

/// Requests sent before their answers are read. The answers of so many surely fit into a socket.
const BATCH: usize = 64;

/// Asks the hub many things, as encoded requests, in order and within `sse.timeout` for all; `read` gets the answers of
/// those that were answered, with their places. A hub that ends meanwhile is replaced by the next; what it was asked and has
/// not answered is not asked again, as it may have been done.
///
/// # Errors
/// Why some were not asked or not answered.
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

/// Longest output for which no answer of the hub is awaited.
const SHORT: usize = 16 << 10;

/// Gives the hub what a callback's run is to send. Of a replay that has asked for its events before nothing is left to go wrong
/// but with the hub itself: it is not waited for, unless the output is so long that the hub could refuse it.
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
/// If the hub that held it is gone, or doesn't read within `sse.timeout`.
pub fn commit(held: &Held, framing: Framing) -> Result<(), SpawnError> {
    let request = Request::Commit { stream: held.stream, framing };
    patiently(|slot, patience| Ok(held.client(slot)?.post_whole(&request, patience.left())?))
}

/// Takes the connection back. A hub that can't be told lets it go when this process's connection ends.
pub fn abort(held: &Held) {
    let request = Request::Abort { stream: held.stream };
    HUB.with_borrow_mut(|slot| {
        if held.client(slot).and_then(|client| client.post(&request)).is_err() {
            slot.client = None;
        }
    });
}

impl Held {
    /// The connection that it was attached by.
    fn client<'a>(&self, slot: &'a Slot) -> Result<&'a Client, ClientError> {
        let same = slot.generation == self.generation && slot.is_of(std::process::id());
        slot.client.as_ref().filter(|_| same).ok_or(ClientError::Closed)
    }
}

/// Tells the hub something, without waiting and without starting one: where none runs, nobody listens.
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
        if fork::has_other_threads() {
            start_elsewhere(path, absent, patience.left())?;
            return Ok(Client::connect(path, owner(), patience.left())?);
        }
        let lock = socket::lock(path, patience.left())?;
        // Somebody else may have started one while this process waited for the lock.
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

/// Starts a hub by PHP's command line, which has one thread.
#[cfg(not(php_zts))]
fn start_elsewhere(path: &Path, absent: ClientError, patience: Duration) -> Result<(), SpawnError> {
    let Some(program) = successor::program(path, successor::START) else { return Err(SpawnError::Threads(absent)) };
    match program.run(Some(Instant::now() + patience)) {
        Ok(ran) if ran.succeeded => Ok(()),
        // Whoever waits for all children of this process has taken it in; a connection will tell.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(()),
        Ok(ran) => Err(SpawnError::Program(program.path, ran.complaint)),
        Err(error) => Err(SpawnError::Program(program.path, error.to_string())),
    }
}

/// Whether there is surely no hub: no socket, or one that nobody listens at. Anything else may be a hub that is busy, or
/// that doesn't let this process in, and must not be replaced.
fn is_missing(error: &ClientError) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error, ClientError::NotRunning { error, .. } if matches!(error.kind(), NotFound | ConnectionRefused))
}
