//! `SseSubscription`: events read by a PHP process, such as a queue worker or a test.

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
use sse_hub::topic;
use sse_hub::wire::{self, Delivery, Framing, OVERHEAD, PREFIX};

use super::arguments::{self, Options};
use super::event;
use super::exceptions::Problem;
use crate::{blocking, ini, spawn, zend};

/// See stubs/sse.stub.php.
#[php_class]
#[php(flags = ClassFlags::Final)]
#[php(implements(ce = ce::iterator, stub = "\\Iterator"))]
#[derive(Debug)]
pub struct SseSubscription {
    socket: OwnedFd,
    patterns: Vec<String>,
    timeout: Option<Duration>,
    inbox: Vec<u8>,
    limit: usize,
    current: Option<Zval>,
    position: i64,
    started: bool,
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
        self.current.as_ref().map_or_else(Zval::null, Zval::shallow_clone)
    }

    /// See stubs/sse.stub.php.
    pub fn key(&self) -> i64 {
        self.position
    }

    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// `SseUnavailable` if the hub ended the subscription.
    pub fn next(&mut self) -> PhpResult<()> {
        self.current = None;
        if let Some(event) = self.receive()? {
            self.current = Some(event);
            self.position += 1;
        }
        Ok(())
    }

    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn rewind(&mut self) -> PhpResult<()> {
        if self.started && self.current.is_some() {
            return Ok(());
        }
        if !self.started {
            self.position = -1;
            self.started = true;
        }
        self.next()
    }

    /// See stubs/sse.stub.php.
    pub fn valid(&self) -> bool {
        self.current.is_some()
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
            socket: ours,
            patterns: patterns.into_iter().map(Into::into).collect(),
            timeout,
            inbox: Vec::new(),
            limit: ini::max_event_size()? + OVERHEAD,
            current: None,
            position: 0,
            started: false,
        })
    }

    /// The next event, or `None` when none came in time.
    fn receive(&mut self) -> Result<Option<Zval>, Problem> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if let Some(event) = self.buffered()? {
                return Ok(Some(event));
            }
            let mut chunk = [0; 16 * 1024];
            match rustix::net::recv(&self.socket, &mut chunk, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => {
                    return Err(Problem::Unavailable(
                        "the hub ended the subscription: it stopped, or this process read too slowly (sse.stream_buffer)".into(),
                    ));
                }
                Ok((read, _)) => self.inbox.extend_from_slice(&chunk[..read]),
                Err(Errno::AGAIN) => {
                    if !self.wait(deadline)? {
                        return Ok(None);
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(Problem::Unavailable(format!("reading events failed: {error}"))),
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<Zval>, Problem> {
        let nonsense = |error: wire::WireError| Problem::Other(format!("the hub's message makes no sense: {error}"));
        while let Some(size) = wire::announced(&self.inbox, self.limit).map_err(nonsense)? {
            let end = PREFIX + size;
            if self.inbox.len() < end {
                return Ok(None);
            }
            let delivery: Delivery<'_> = wire::decode(&self.inbox[PREFIX..end]).map_err(nonsense)?;
            let wanted = |name: &str| self.patterns.iter().any(|pattern| topic::matches(pattern, name));
            let event = event::object(&delivery, wanted).map_err(|error| Problem::Other(error.to_string()))?;
            self.inbox.drain(..end);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Waits for bytes; false when the time is over, or a signal's handler has thrown.
    fn wait(&self, deadline: Option<Instant>) -> Result<bool, Problem> {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match rustix::event::poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref()) {
            Ok(_) => Ok(true),
            Err(Errno::INTR) => {
                zend::dispatch_signals();
                Ok(!zend::exception_pending())
            }
            Err(error) => Err(Problem::Unavailable(format!("waiting for events failed: {error}"))),
        }
    }
}
