//! The ordering thread's handle of the HTTP listener: opens it, runs its thread, stops it for an upgrade.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use mio::{Poll, Waker};
use tracing::{error, warn};

use crate::config::{HttpAddress, HttpConfig};
use crate::http::address::Place;
use crate::http::thread::{HttpShared, HttpThread, PartialRequest, Redeemed, RequestLimits, WAKER};
use crate::http::tickets::Tickets;
use crate::quota::budget::Budget;
use crate::socket::file::SocketFile;
use crate::sys::BlockedSignals;

/// Where the hub answers requests by HTTP, and its tickets.
#[derive(Debug)]
pub(crate) struct HttpListener {
    pub(crate) config: HttpConfig,
    pub(crate) tickets: Arc<Tickets>,
    /// Bytes that tickets take.
    pub(crate) budget: Budget,
    place: Option<Place>,
    /// The socket file; `None`: the address has none, or there is no listener.
    file: Option<SocketFile>,
    state: ListenerState,
    sender: Sender<Redeemed>,
    redeemed: Receiver<Redeemed>,
    ordering_thread: Arc<Waker>,
}

#[derive(Debug)]
enum ListenerState {
    /// There is no listener.
    Closed,
    /// It is there, and nothing is accepted.
    Still(OwnedFd, Vec<PartialRequest>),
    Running(RunningThread),
}

#[derive(Debug)]
struct RunningThread {
    thread: JoinHandle<(OwnedFd, Vec<PartialRequest>)>,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl HttpListener {
    /// Without a listener yet, for the hub at this socket.
    pub(crate) fn new(config: HttpConfig, hub: &Path, ordering_thread: Arc<Waker>) -> Self {
        let (sender, redeemed) = crossbeam_channel::unbounded();
        Self {
            tickets: Arc::default(),
            budget: Budget::new("sse.redirect_bytes", config.bytes),
            place: Place::of(&config, hub),
            config,
            file: None,
            state: ListenerState::Closed,
            sender,
            redeemed,
            ordering_thread,
        }
    }

    /// Starts to listen where the settings name an address; a hub without redirects does not fail for that.
    pub(crate) fn open_if_named(&mut self) {
        if matches!(self.config.address, HttpAddress::Unix(_) | HttpAddress::Tcp(_))
            && let Err(reason) = self.open()
        {
            warn!("{reason}; streams by redirect are not possible, all else works");
        }
    }

    /// Starts to listen, unless it does.
    ///
    /// # Errors
    /// Why it can't, as a sentence.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        if matches!(&self.state, ListenerState::Running(running) if running.thread.is_finished()) {
            // It panicked, so nobody would answer.
            self.pause();
            self.start().map_err(|error| not_started(&error))?;
        }
        if !matches!(self.state, ListenerState::Closed) {
            return Ok(());
        }
        let Some(place) = &self.place else {
            return Err("sse.http is off, so the hub can't answer the web server's requests for streams; set it to auto, or to an address".into());
        };
        let listener = place
            .listen(self.config.group)
            .map_err(|error| format!("sse.http: listening at {place} failed: {error}"))?;
        self.file = place.file();
        self.state = ListenerState::Still(listener, Vec::new());
        self.start().map_err(|error| not_started(&error))
    }

    /// Runs the thread, if there is a listener.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        let (listener, requests) = match std::mem::replace(&mut self.state, ListenerState::Closed) {
            ListenerState::Still(listener, requests) => (listener, requests),
            other => {
                self.state = other;
                return Ok(());
            }
        };
        let limits = RequestLimits { connections: self.config.connections, timeout: self.config.timeout };
        let shared = HttpShared {
            tickets: Arc::clone(&self.tickets),
            redeemed: self.sender.clone(),
            ordering_thread: Arc::clone(&self.ordering_thread),
            limits,
        };
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let _blocked = BlockedSignals::new();
        let http = HttpThread::new(poll, listener, requests, shared, stopped)?;
        let thread = thread::Builder::new().name("sse-http".into()).spawn(move || http.run())?;
        self.state = ListenerState::Running(RunningThread { thread, stop, waker });
        Ok(())
    }

    /// Stops accepting, and waits until what has come is answered; the rest of the requests stays.
    pub(crate) fn pause(&mut self) {
        let running = match std::mem::replace(&mut self.state, ListenerState::Closed) {
            ListenerState::Running(running) => running,
            other => {
                self.state = other;
                return;
            }
        };
        running.stop.store(true, Ordering::SeqCst);
        let _ = running.waker.wake();
        match running.thread.join() {
            Ok((listener, requests)) => self.state = ListenerState::Still(listener, requests),
            Err(_) => error!("sse-http panicked; the next stream by redirect starts it anew"),
        }
    }

    /// Continues with the listener of an old hub, if the settings still name its address.
    pub(crate) fn inherit(&mut self, place: &str, listener: OwnedFd) {
        if self.place.as_ref().is_some_and(|own| own.to_string() == place) {
            self.file = self.place.as_ref().and_then(Place::file);
            self.state = ListenerState::Still(listener, Vec::new());
        }
    }

    /// Adds requests of an old hub.
    pub(crate) fn inherit_requests(&mut self, inherited: impl Iterator<Item = PartialRequest>) {
        if let ListenerState::Still(_, requests) = &mut self.state {
            requests.extend(inherited);
        }
    }

    /// The address, the paused listener, and requests that have not come in full.
    pub(crate) fn parts(&self) -> Option<(String, &OwnedFd, &[PartialRequest])> {
        match (&self.state, &self.place) {
            (ListenerState::Still(listener, requests), Some(place)) => Some((place.to_string(), listener, requests)),
            _ => None,
        }
    }

    /// The tickets used since the last call, one after the other.
    pub(crate) fn redeemed(&self) -> Option<Redeemed> {
        self.redeemed.try_recv().ok()
    }

    /// Whether tickets were used since.
    pub(crate) fn has_redeemed(&self) -> bool {
        !self.redeemed.is_empty()
    }

    /// Stops for good, and removes the socket file if it is still this hub's.
    pub(crate) fn shut(&mut self) {
        self.pause();
        self.state = ListenerState::Closed;
        if let Some(file) = self.file.take() {
            let _ = file.remove();
        }
    }
}

fn not_started(error: &io::Error) -> String {
    format!("sse.http: the thread could not be started: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use mio::Token;

    #[test]
    fn a_thread_that_has_ended_is_started_anew() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hub = folder.path().join("hub.sock");
        let poll = Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let timeout = Duration::from_secs(60);
        let config = HttpConfig { address: HttpAddress::Auto, group: None, connections: 4, timeout, bytes: 1 << 20 };
        let mut http = HttpListener::new(config, &hub, waker);
        for _ in 0..2 {
            http.open().expect("it listens");
            let mut socket = UnixStream::connect(hub.with_added_extension("http")).expect("it listens");
            socket.set_read_timeout(Some(timeout)).expect("a socket");
            socket.write_all(b"GET /health HTTP/1.1\r\n\r\n").expect("written");
            let mut answer = String::new();
            socket.read_to_string(&mut answer).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
            http.pause();
            let thread = thread::spawn(|| panic!("as a fault would"));
            while !thread.is_finished() {
                thread::yield_now();
            }
            let poll = Poll::new().expect("a poll");
            let waker = Arc::new(Waker::new(poll.registry(), WAKER).expect("a waker"));
            http.state = ListenerState::Running(RunningThread { thread, stop: Arc::default(), waker });
        }
        http.open().expect("it listens again");
        assert!(UnixStream::connect(hub.with_added_extension("http")).is_ok());
    }
}
