//! `SseSubscription`: events read by a PHP process, such as a queue worker or a test.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ext_php_rs::exception::PhpResult;
use ext_php_rs::flags::ClassFlags;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::zend::ce;
use ext_php_rs::{php_class, php_impl};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use sse_hub::wire::{self, Delivery, Framing, PREFIX};
use sse_hub::{config, topic};

use super::arguments::{self, Options};
use super::event;
use super::exceptions::{Problem, settle};
use crate::{blocking, spawn, zend};

/// See stubs/sse.stub.php.
#[php_class]
#[php(flags = ClassFlags::Final)]
#[php(implements(ce = ce::iterator, stub = "\\Iterator"))]
#[derive(Debug)]
pub struct SseSubscription {
    patterns: Vec<String>,
    timeout: Option<Duration>,
    place: RefCell<Place>,
    reader: RefCell<Reader>,
}

/// Where the iteration is.
#[derive(Debug)]
struct Place {
    current: Option<Zval>,
    /// Events read before the current one; -1 before the first.
    position: i64,
}

/// What comes from the hub.
#[derive(Debug)]
struct Reader {
    socket: OwnedFd,
    inbox: Vec<u8>,
}

/// What reading without waiting gave.
enum Read {
    Event(Zval),
    Nothing,
}

#[php_impl]
impl SseSubscription {
    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// `SseInvalidArgument`, `SseUnavailable`.
    pub fn __construct(topics: &Zval, options: Option<&ZendHashTable>) -> PhpResult<Self> {
        Ok(Self::open(topics, options)?)
    }

    /// See stubs/sse.stub.php.
    pub fn current(&self) -> Zval {
        self.place.borrow().current.as_ref().map_or_else(Zval::null, Zval::shallow_clone)
    }

    /// See stubs/sse.stub.php.
    pub fn key(&self) -> i64 {
        self.place.borrow().position
    }

    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// `SseUnavailable` if the hub ended the subscription.
    pub fn next(&self) -> PhpResult<()> {
        settle(self.advance())
    }

    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn rewind(&self) -> PhpResult<()> {
        if self.valid() { Ok(()) } else { self.next() }
    }

    /// See stubs/sse.stub.php.
    pub fn valid(&self) -> bool {
        self.place.borrow().current.is_some()
    }
}

impl SseSubscription {
    fn open(topics: &Zval, options: Option<&ZendHashTable>) -> Result<Self, Problem> {
        const FUNCTION: &str = "SseSubscription";
        let patterns = arguments::patterns(FUNCTION, topics)?;
        let mut options = Options::new(FUNCTION, options);
        let timeout = options.seconds("timeout")?.map(Duration::from_secs_f64);
        options.finish()?;
        let (ours, theirs) = blocking::pair()?;
        let held = spawn::attach(&patterns, 0, 0, theirs.as_fd())?;
        spawn::commit(&held, Framing::Message)?;
        Ok(Self {
            patterns: patterns.into_iter().map(Into::into).collect(),
            timeout,
            place: RefCell::new(Place { current: None, position: -1 }),
            reader: RefCell::new(Reader { socket: ours, inbox: Vec::new() }),
        })
    }

    fn advance(&self) -> Result<(), Problem> {
        // What is let go may be an object with a destructor: no borrow lasts while it runs.
        let before = self.place.borrow_mut().current.take();
        drop(before);
        if let Some(event) = self.receive()? {
            let mut place = self.place.borrow_mut();
            place.current = Some(event);
            place.position += 1;
        }
        Ok(())
    }

    /// The next event, or `None` when none came in time.
    fn receive(&self) -> Result<Option<Zval>, Problem> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let read = self.reader.borrow_mut().read(&self.patterns)?;
            match read {
                Read::Event(event) => return Ok(Some(event)),
                Read::Nothing if self.wait(deadline)? => {}
                Read::Nothing => return Ok(None),
            }
        }
    }

    /// Waits for bytes; false when the time is over. Signal handlers run here, with nothing borrowed: they may use this
    /// very subscription.
    fn wait(&self, deadline: Option<Instant>) -> Result<bool, Problem> {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let polled =
            rustix::event::poll(&mut [PollFd::new(&self.reader.borrow().socket, PollFlags::IN)], timeout.as_ref());
        match polled {
            Ok(_) => Ok(true),
            Err(Errno::INTR) => {
                zend::dispatch_signals();
                if zend::interrupted() { Err(Problem::Pending) } else { Ok(true) }
            }
            Err(error) => Err(Problem::Unavailable(format!("waiting for events failed: {error}"))),
        }
    }
}

impl Reader {
    /// Takes what has come, up to the first event.
    fn read(&mut self, patterns: &[String]) -> Result<Read, Problem> {
        loop {
            if let Some(event) = self.buffered(patterns)? {
                return Ok(Read::Event(event));
            }
            let mut chunk = [0; 16 * 1024];
            match rustix::net::recv(&self.socket, &mut chunk, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => {
                    return Err(Problem::Unavailable(
                        "the hub ended the subscription: it stopped, or this process read too slowly (sse.stream_buffer)"
                            .into(),
                    ));
                }
                Ok((read, _)) => self.inbox.extend_from_slice(&chunk[..read]),
                Err(Errno::AGAIN) => return Ok(Read::Nothing),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Problem::Unavailable(format!("reading events failed: {error}"))),
            }
        }
    }

    /// The first event of the inbox, if it is complete.
    fn buffered(&mut self, patterns: &[String]) -> Result<Option<Zval>, Problem> {
        // The hub's own limits may be larger than this process's settings.
        let limit = wire::max_message(config::MAX_EVENT_SIZE as usize, config::MAX_TOPICS as usize);
        let nonsense = |error: wire::WireError| Problem::Other(format!("the hub's message makes no sense: {error}"));
        while let Some(size) = wire::announced(&self.inbox, limit).map_err(nonsense)? {
            let end = PREFIX + size;
            if self.inbox.len() < end {
                return Ok(None);
            }
            let delivery: Delivery<'_> = wire::decode(&self.inbox[PREFIX..end]).map_err(nonsense)?;
            let wanted = |name: &str| patterns.iter().any(|pattern| topic::matches(pattern, name));
            let event = event::object(&delivery, wanted).map_err(|error| Problem::Other(error.to_string()))?;
            self.inbox.drain(..end);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }
}
