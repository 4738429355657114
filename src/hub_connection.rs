//! The process's one connection to the hub: made at its first use, and again after a fork.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde_bytes::Bytes;
use sse_hub::socket::{self, Folder};
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{Attach, Framing, Reply, Request, Whose};

use crate::api::exceptions::Problem;
use crate::deadline::DeadlineBudget;
use crate::ini;
use crate::ini::remembered;
use crate::request;
use crate::spawn::{Missing, SpawnError, owner, reach};

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
    // The process's (in a thread-safe PHP, the thread's), not the request's: it outlives each of them.
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

    fn open(&mut self, deadline: DeadlineBudget, missing: Missing) -> Result<&mut Client, SpawnError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                self.generation += 1;
                reach(&self.path, self.folder, deadline, missing)?
            }
        };
        Ok(self.client.insert(client))
    }
}

/// Pause before the next attempt to reach a hub that is just ending.
const DYING: Duration = Duration::from_millis(1);

/// A stream that the hub holds and this process may commit.
#[derive(Debug)]
pub struct HeldStream {
    stream: u64,
    generation: u64,
    /// The hub already has output for the stream, from others with the same `share`.
    pub rendered: bool,
    /// The stream's public id, if this process asked for it.
    pub public: Option<String>,
    /// The stream's first lines, if this process asked to send them.
    pub opening: String,
    /// It goes on after its client's last event, and nothing is missing in between.
    pub resumed: bool,
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
    within_timeout(|slot, deadline| {
        loop {
            let answer = slot.open(deadline, missing)?.call(request, descriptor, deadline.left()).and_then(&read);
            match answer {
                Ok(answer) => {
                    request::with(|request| request.waiting.reset());
                    return Ok((answer, slot.generation));
                }
                Err(error @ ClientError::Hub { .. }) => return Err(error.into()),
                // The hub ended before it could accept the request, so retry with the next one. A hub that is being
                // killed may still accept connections.
                Err(ClientError::Closed) if !deadline.is_over() => std::thread::sleep(DYING),
                Err(ClientError::Unanswered) if request.may_be_repeated() && !deadline.is_over() => {}
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
fn within_timeout<T>(action: impl FnOnce(&mut Slot, DeadlineBudget) -> Result<T, SpawnError>) -> Result<T, SpawnError> {
    let timeout = ini::timeout()?;
    let deadline = request::with(|request| DeadlineBudget::new(timeout, &request.waiting));
    let done = HUB.with_borrow_mut(|slot| {
        slot.refresh()?;
        let done = action(slot, deadline);
        if matches!(done, Err(SpawnError::Socket(_))) {
            // The default folder may have changed.
            slot.moment = None;
        }
        done
    });
    match done {
        Err(SpawnError::Client(error @ (ClientError::Timeout(_) | ClientError::Late(_)))) => {
            if deadline.is_whole() {
                Err(error.into())
            } else {
                Err(SpawnError::DeadlineSpent(error))
            }
        }
        done => done,
    }
    .inspect_err(|_| {
        if deadline.is_over() {
            request::with(|request| deadline.spend(&request.waiting));
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
    within_timeout(|slot, deadline| {
        let mut again = true;
        loop {
            let client = slot.open(deadline, missing)?;
            match client.post_whole(request, deadline.left()) {
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
pub fn call_all<R: AsRef<[u8]>>(
    requests: &[R],
    mut read: impl FnMut(usize, RequestFate<'_>),
) -> Result<(), SpawnError> {
    within_timeout(|slot, deadline| {
        let mut lost = None;
        let mut next = 0;
        while next < requests.len() {
            let batch = &requests[next..requests.len().min(next + BATCH)];
            let mut answered = 0;
            let answers = |reply: Reply<'_>| {
                read(next + answered, RequestFate::Answered(reply));
                answered += 1;
            };
            let done = slot.open(deadline, Missing::Start)?.call_all(batch, deadline.left(), answers);
            let Err(error) = done else {
                request::with(|request| request.waiting.reset());
                next += batch.len();
                continue;
            };
            slot.client = None;
            match error {
                ClientError::Closed if !deadline.is_over() => std::thread::sleep(DYING),
                ClientError::Closed | ClientError::Timeout(_) | ClientError::Refused(_) => return Err(error.into()),
                error => {
                    (next + answered..next + batch.len()).for_each(|place| read(place, RequestFate::Unknown));
                    next += batch.len();
                    if deadline.is_over() || !matches!(error, ClientError::Unanswered) {
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
pub enum RequestFate<'a> {
    /// The hub answered it.
    Answered(Reply<'a>),
    /// It was sent but not answered.
    Unknown,
}

/// Creates a connected pair of stream sockets: one for the hub to write to in place of a client's connection.
///
/// # Errors
/// `Unavailable` if the system refuses.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Problem> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| Problem::Unavailable(format!("no socket pair could be made: {error}")))
}

/// Offers a connection to the hub, which holds it untouched until [`commit`].
///
/// # Errors
/// `SpawnError`; `Client(Hub { code: Full | TooMany, .. })` if there is no room for another stream.
pub fn attach(wanted: Attach<'_>, descriptor: BorrowedFd<'_>) -> Result<HeldStream, SpawnError> {
    attach_to(wanted, descriptor, Missing::Start)
}

/// Offers another connection to the hub that held a stream before; `None` if that hub has ended.
///
/// # Errors
/// As [`attach`].
pub fn attach_again(
    before: &HeldStream,
    wanted: Attach<'_>,
    descriptor: BorrowedFd<'_>,
) -> Result<Option<HeldStream>, SpawnError> {
    let held = attach_to(wanted, descriptor, Missing::Fail)?;
    if held.generation == before.generation {
        return Ok(Some(held));
    }
    abort(&held);
    Ok(None)
}

fn attach_to(wanted: Attach<'_>, descriptor: BorrowedFd<'_>, missing: Missing) -> Result<HeldStream, SpawnError> {
    let request = Request::Attach(wanted);
    let (answer, generation) = ask(&request, Some(descriptor), missing, |reply| match reply {
        Reply::Attached { stream, rendered, opening, public, resumed } => {
            let public = (!public.is_empty()).then(|| public.to_owned());
            Ok(HeldStream { stream, generation: 0, rendered, public, opening: opening.to_owned(), resumed })
        }
        other => Err(other.unexpected("a connection")),
    })?;
    Ok(HeldStream { generation, ..answer })
}

/// The output of one callback run.
#[derive(Debug, Default)]
pub struct CallbackFrames {
    /// Complete events in stream format.
    pub bytes: Vec<u8>,
    /// The id of the last event that has one.
    pub last_id: Option<String>,
    /// The stream ends for good after them.
    pub ends: bool,
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
    frames: &CallbackFrames,
) -> Result<(), SpawnError> {
    let (last_id, ends, frames) = (frames.last_id.as_deref(), frames.ends, frames.bytes.as_slice());
    let answer = !matches!(whose, Whose::Token(_)) || !render || frames.len() > SHORT;
    let request =
        Request::Rendered { whose, render, share, patterns: patterns.to_vec(), last_id, ends, frames, answer };
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
pub fn rendered_first(
    held: &HeldStream,
    share: Option<&str>,
    patterns: &[&str],
    frames: &CallbackFrames,
) -> Result<(), SpawnError> {
    rendered(Whose::Stream(held.stream), true, share, patterns, frames)
}

/// Begins a held stream.
///
/// # Errors
/// If the hub that held it has ended, or does not read within `sse.timeout`.
pub fn commit(held: &HeldStream, framing: Framing) -> Result<(), SpawnError> {
    let request = Request::Commit { stream: held.stream, framing };
    within_timeout(|slot, deadline| Ok(held.client(slot)?.post_whole(&request, deadline.left())?))
}

/// Has the hub keep a held stream for the web server, which fetches it; returns the name by which it can, once.
///
/// # Errors
/// `SpawnError`; `Client(Hub { code: NoRedirect, .. })` if the hub has no listener for that.
pub fn redirect(held: &HeldStream, address: Option<&str>, headers: &[Vec<u8>]) -> Result<String, SpawnError> {
    let headers = headers.iter().map(|line| Bytes::new(line)).collect();
    let request = Request::Redirect { stream: held.stream, address, headers };
    within_timeout(|slot, deadline| {
        let answer = held.client(slot)?.call(&request, None, deadline.left()).and_then(|reply| match reply {
            Reply::Redirect { ticket } => Ok(ticket.to_owned()),
            other => Err(other.unexpected("a redirect")),
        });
        if matches!(&answer, Err(error) if !matches!(error, ClientError::Hub { .. })) {
            slot.client = None;
        }
        Ok(answer?)
    })
}

/// Takes the connection back. A hub that can't be reached drops it when this process's connection closes.
pub fn abort(held: &HeldStream) {
    let request = Request::Abort { stream: held.stream };
    HUB.with_borrow_mut(|slot| {
        if held.client(slot).and_then(|client| client.post(&request)).is_err() {
            slot.client = None;
        }
    });
}

impl HeldStream {
    /// The hub connection that the stream was attached by.
    fn client<'a>(&self, slot: &'a mut Slot) -> Result<&'a mut Client, ClientError> {
        let same = slot.generation == self.generation && slot.is_of(std::process::id());
        slot.client.as_mut().filter(|_| same).ok_or(ClientError::Closed)
    }
}

/// Sends the hub a request without waiting and without starting a hub: where none runs, nobody listens.
///
/// # Errors
/// `SpawnError` if the hub could not take it, also if none runs.
pub fn post(request: &Request<'_>) -> Result<(), SpawnError> {
    HUB.with_borrow_mut(|slot| {
        slot.refresh()?;
        let mut again = true;
        loop {
            let client = match slot.client.take() {
                Some(client) => client,
                None => {
                    socket::check_folder(&slot.path, slot.folder).inspect_err(|_| slot.moment = None)?;
                    slot.generation += 1;
                    Client::connect(&slot.path, owner(), Duration::ZERO)?
                }
            };
            match slot.client.insert(client).post(request) {
                Ok(()) => return Ok(()),
                Err(ClientError::Closed) if again => again = false,
                Err(error @ ClientError::Behind) => return Err(error.into()),
                Err(error) => {
                    slot.client = None;
                    return Err(error.into());
                }
            }
            slot.client = None;
        }
    })
}
