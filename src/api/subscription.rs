//! `SseSubscription`: events for a PHP process, such as a queue worker or a test.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ext_php_rs::exception::PhpResult;
use ext_php_rs::flags::ClassFlags;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::zend::ce;
use ext_php_rs::{php_class, php_impl};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use sse_protocol::wire::{Attach, Framing};

use super::arguments::{self, Options};
use super::exceptions::{Problem, settle};
use crate::deliveries::{Deliveries, Read};
use crate::php::engine::{Argument, ArrayArgument, Engine, Value};
use crate::{blocking, spawn, zend};

/// See stubs/sse.stub.php.
#[php_class]
#[php(flags = ClassFlags::Final)]
#[php(implements(ce = ce::iterator, stub = "\\Iterator"))]
#[derive(Debug)]
pub struct SseSubscription {
    patterns: Vec<String>,
    timeout: Option<Duration>,
    /// The owner. A child forked by this process would consume its events.
    process: u32,
    place: RefCell<Place>,
    deliveries: RefCell<Deliveries>,
}

/// The position of the iteration.
#[derive(Debug)]
struct Place {
    current: Option<Value>,
    /// Number of events read before the current one; -1 before the first.
    position: i64,
}

#[php_impl]
impl SseSubscription {
    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// `SseInvalidArgument`, `SseUnavailable`.
    pub fn __construct(topics: &Zval, options: Option<&ZendHashTable>) -> PhpResult<Self> {
        // SAFETY: PHP has called this function.
        let engine = &mut unsafe { Engine::entered() };
        Ok(Self::open(engine, Argument::new(topics), options.map(ArrayArgument::new))?)
    }

    /// See stubs/sse.stub.php.
    pub fn current(&self) -> Zval {
        // SAFETY: PHP has called this function.
        let engine = &unsafe { Engine::entered() };
        self.place.borrow().current.as_ref().map_or_else(Zval::null, |event| event.look(engine).shallow_clone())
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
        // SAFETY: as above.
        let engine = &mut unsafe { Engine::entered() };
        let advanced = self.advance(engine);
        settle(engine, advanced)
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
    fn open(engine: &Engine, topics: Argument<'_>, options: Option<ArrayArgument<'_>>) -> Result<Self, Problem> {
        const FUNCTION: &str = "SseSubscription";
        let patterns = arguments::patterns(engine, FUNCTION, topics)?;
        let mut options = Options::new(engine, FUNCTION, options);
        let timeout = options.seconds("timeout")?.map(Duration::from_secs_f64);
        let last_event_id = options.text("last_event_id")?;
        options.finish()?;
        let (ours, theirs) = blocking::pair()?;
        let wanted = Attach { patterns: arguments::borrowed(&patterns), last_event_id, ..Attach::default() };
        let held = spawn::attach(wanted, theirs.as_fd())?;
        spawn::commit(&held, Framing::Message)?;
        Ok(Self {
            patterns,
            timeout,
            process: std::process::id(),
            place: RefCell::new(Place { current: None, position: -1 }),
            deliveries: RefCell::new(Deliveries::new(ours)),
        })
    }

    fn advance(&self, engine: &mut Engine) -> Result<(), Problem> {
        if self.process != std::process::id() {
            return Err(Problem::Other(
                "SseSubscription: it was made by the process that has forked this one, which reads its events; make another \
                 after pcntl_fork()"
                    .into(),
            ));
        }
        // The old event may be an object with a destructor, so no borrow may last while it is dropped.
        let before = self.place.borrow_mut().current.take();
        drop(before);
        if let Some(event) = self.receive(engine)? {
            let mut place = self.place.borrow_mut();
            place.current = Some(event.into());
            place.position += 1;
        }
        Ok(())
    }

    /// Returns the next event, or `None` after the timeout.
    fn receive(&self, engine: &mut Engine) -> Result<Option<Zval>, Problem> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let read = self.deliveries.borrow_mut().read(&arguments::borrowed(&self.patterns))?;
            match read {
                Read::Event(event) => return Ok(Some(event)),
                // A subscription has no user, so it is never replaced.
                Read::Heartbeat | Read::Replaced(_) => {}
                Read::Nothing if self.wait(engine, deadline)? => {}
                Read::Nothing => return Ok(None),
                Read::End => {
                    return Err(Problem::Unavailable(
                        "the hub ended the subscription: it stopped, or this process read too slowly (sse.stream_buffer)"
                            .into(),
                    ));
                }
            }
        }
    }

    /// Waits for bytes; false after the deadline. Signal handlers run here, with nothing borrowed: they may use this same
    /// subscription.
    fn wait(&self, engine: &mut Engine, deadline: Option<Instant>) -> Result<bool, Problem> {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let deliveries = self.deliveries.borrow();
        let polled = rustix::event::poll(&mut [PollFd::new(&deliveries.socket(), PollFlags::IN)], timeout.as_ref());
        drop(deliveries);
        match polled {
            Ok(_) => Ok(true),
            Err(Errno::INTR) => {
                zend::dispatch_signals(engine);
                if zend::interrupted() { Err(Problem::Pending) } else { Ok(true) }
            }
            Err(error) => Err(Problem::Unavailable(format!("waiting for events failed: {error}"))),
        }
    }
}
