//! Starts the hub: by a fork of this process, or by PHP's command line where this process has several threads.

pub mod command_line;
pub mod report;
pub mod upgrade;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sse_hub::config::{Config, ConfigError, OtherHubRule};
use sse_hub::socket::others::{self, ForeignHub};
use sse_hub::socket::{self, Folder, SocketError};
use sse_hub::sys::processes::ProcessStat;
use sse_protocol::cause::Cause;
use sse_protocol::client::{Client, ClientError};
use thiserror::Error;

use crate::deadline::DeadlineBudget;
use crate::ini::{self, AddressError};
use crate::php::fork;
use crate::php::zend;

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
    DeadlineSpent(ClientError),
    /// No hub runs, and `sse.spawn` forbids to start one.
    #[error("{0}, and sse.spawn is off; start one with: php -r 'sse_hub();'")]
    Off(ClientError),
    /// Another thread may hold a lock that would stay locked in a forked hub, and there is no PHP command line to use.
    #[error(
        "{0}, and this process has several threads, so that it can't fork a hub; start one by a PHP that has one thread: \
         php -r 'sse_hub();'"
    )]
    Threads(ClientError),
    /// As `Threads`, but the command line failed, for this reason.
    #[error("this process has several threads, so that it can't fork a hub, and {} could not start one: {}", .0.display(), .1)]
    Program(PathBuf, String),
    /// The web server uses another hub, and `sse.other_hub` forbids to start one beside it.
    #[error("no hub listens at {path}, but {other}; {advice}. sse.other_hub=refuse forbids to start another one", path = .0.display(), other = .1, advice = .1.advice())]
    Other(PathBuf, ForeignHub),
    /// A hub can't run with these settings.
    #[error(transparent)]
    Hub(#[from] sse_hub::HubError),
    /// The start of the hub failed.
    #[error("starting the hub failed: {0}")]
    Fork(std::io::Error),
    /// The new hub has ended, for this reason.
    #[error("starting the hub failed: {why}; its log may say more")]
    Failed {
        /// Why.
        why: String,
        /// Number of the system's error, if it was one.
        errno: Option<i32>,
    },
}

impl From<AddressError> for SpawnError {
    fn from(error: AddressError) -> Self {
        match error {
            AddressError::Config(error) => error.into(),
            AddressError::Socket(error) => error.into(),
        }
    }
}

impl SpawnError {
    /// Whether it says that certainly no hub runs.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Client(error) if is_missing(error))
    }

    /// Who caused that no hub has a stream. `None`: a permanent problem, or the script's error.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Client(error) | Self::DeadlineSpent(error) => error.cause(),
            Self::Socket(SocketError::Locked { .. }) => Some(Cause::Load),
            Self::Socket(SocketError::Io { error, .. }) | Self::Fork(error) => {
                Some(Cause::of_error(error)).filter(|cause| *cause == Cause::Load)
            }
            Self::Failed { errno: Some(errno), .. } => {
                Some(Cause::of_error(&std::io::Error::from_raw_os_error(*errno))).filter(|cause| *cause == Cause::Load)
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

/// The process whose end should end the hub. Not always this process's parent: with mpm-itk, a child of Apache forks a
/// process for each connection. Nor who loaded the extension: a single FPM pool may load it (`php_admin_value[extension]`),
/// and Apache becomes a daemon afterwards.
pub fn owner() -> Option<u32> {
    let own = std::process::id();
    let loaded = LOADED_BY.load(Ordering::Relaxed);
    match zend::sapi_name().to_bytes() {
        // Who serves a request is never the master.
        b"fpm-fcgi" if zend::sapi_globals(|globals| !globals.server_context.is_null()) => {}
        b"cli-server" | b"apache2handler" | b"fpm-fcgi" if loaded == own => return Some(own),
        // A script may have started `php -S`, as the same program.
        b"cli-server" => return parent(),
        b"apache2handler" | b"fpm-fcgi" => {}
        _ => return None,
    }
    ancestors(own).take_while(|process| same_program(*process)).last().or_else(parent)
}

/// The parent. In a container, process 1 is the server itself; elsewhere it has only adopted an orphan.
fn parent() -> Option<u32> {
    let parent = std::os::unix::process::parent_id();
    (parent > 1 || same_program(parent)).then_some(parent)
}

/// The parent of this process, its parent and so on, as far as this process may see them.
fn ancestors(own: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(own), |process| parent_of(*process)).skip(1)
}

fn parent_of(process: u32) -> Option<u32> {
    ProcessStat::of(process)?.number(4).filter(|parent| *parent > 0)
}

fn same_program(process: u32) -> bool {
    let name = |process: &str| std::fs::read_to_string(format!("/proc/{process}/comm")).ok();
    name("self").is_some_and(|own| name(&process.to_string()) == Some(own))
}

/// What to do if no hub runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Start one.
    Start,
    /// Fail.
    Fail,
}

/// The configuration of a new hub at this socket.
///
/// # Errors
/// The first setting that is invalid.
pub fn hub_config(path: &Path) -> Result<Config, ConfigError> {
    ini::hub_config(path.into(), command_line::program(path, command_line::UPGRADE))
}

/// Whether a hub, or something that can't be told from one, listens at this socket.
pub fn answers(path: &Path) -> bool {
    !Client::connect(path, None, Duration::ZERO).is_err_and(|error| is_missing(&error))
}

/// Connects to the hub, and starts one if none runs.
///
/// # Errors
/// Why there is no hub to use.
pub fn reach(path: &Path, folder: Folder, deadline: DeadlineBudget, missing: Missing) -> Result<Client, SpawnError> {
    socket::check_folder(path, folder)?;
    let absent = match Client::connect(path, owner(), deadline.left()) {
        Ok(client) => return Ok(client),
        Err(error) if is_missing(&error) && missing == Missing::Start => error,
        Err(error) => return Err(error.into()),
    };
    if !ini::spawn()? {
        return Err(SpawnError::Off(absent));
    }
    let mut config = hub_config(path)?;
    socket::check_may_start(path)?;
    // Its errors have no terminal to go to.
    let beside = path.with_added_extension("log");
    config.log.get_or_insert(beside);
    sse_hub::check(&config)?;
    if fork::has_other_threads() {
        start_elsewhere(path, absent, deadline.left())?;
        return Ok(Client::connect(path, owner(), deadline.left())?);
    }
    let lock = socket::lock(path, deadline.left())?;
    // Another process may have started a hub while this one waited for the lock.
    match Client::connect(path, owner(), deadline.left()) {
        Ok(client) => return Ok(client),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(error.into()),
    }
    check_other_hub(path, folder)?;
    let listener = socket::bind(&lock, path, config.socket_mode, config.socket_group)?;
    let said = fork::start([listener.into()], "sse-hub", |[listener], report: report::StartReport| {
        report.on(|begun| sse_hub::start(config, listener.into(), begun))
    })
    .map_err(SpawnError::Fork)?;
    // If it says nothing in time, or was killed, the connection tells.
    let said = report::hear(&said, Instant::now() + deadline.left()).map_err(SpawnError::Fork)?.unwrap_or_default();
    if let Some(why) = said["error"].as_str() {
        let errno = said["errno"].as_i64().and_then(|errno| i32::try_from(errno).ok());
        return Err(SpawnError::Failed { why: why.into(), errno });
    }
    drop(lock);
    Ok(Client::connect(path, owner(), deadline.left())?)
}

/// Says that the web server uses another hub than the one that this process is about to start, or refuses to start it. Only where
/// nobody has chosen the path, and only on the command line: each pool of a machine with many sites has its own hub.
fn check_other_hub(path: &Path, folder: Folder) -> Result<(), SpawnError> {
    let rule = ini::other_hub()?;
    if rule == OtherHubRule::Off || folder != Folder::Private || !zend::is_command_line() {
        return Ok(());
    }
    let Some(other) = others::find(path, rustix::process::geteuid().as_raw(), false) else { return Ok(()) };
    if rule == OtherHubRule::Refuse {
        return Err(SpawnError::Other(path.into(), other));
    }
    zend::log(&format!(
        "sse: {other}; this process starts another one at {}, and what is published there reaches none of the web server's \
         streams; {} (sse.other_hub=off: say nothing)",
        path.display(),
        other.advice()
    ));
    Ok(())
}

/// Starts a hub through PHP's command line, which has one thread.
fn start_elsewhere(path: &Path, absent: ClientError, left: Duration) -> Result<(), SpawnError> {
    let Some(program) = command_line::program(path, command_line::START) else {
        return Err(SpawnError::Threads(absent));
    };
    match program.run(Some(Instant::now() + left)) {
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
