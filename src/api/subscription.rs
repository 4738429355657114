//! `SseSubscription`: events for a PHP process, such as a queue worker or a test.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ext_php_rs::class::ConstructorResult;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::flags::ClassFlags;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::zend::ce;
use ext_php_rs::{php_class, php_impl};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use sse_protocol::client::ClientError;
use sse_protocol::wire::{Attach, Framing};

use super::arguments::{self, Options};
use super::exceptions::Problem;
use crate::deliveries::{Deliveries, DeliveryRead};
use crate::hub_connection::{self, HeldStream};
use crate::php::engine::{Argument, ArrayArgument, Engine, Value};
use crate::php::{function, zend};
use crate::spawn::SpawnError;

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
    iteration: RefCell<Iteration>,
    deliveries: RefCell<Deliveries>,
    held: RefCell<HeldStream>,
}

/// How far the iteration is.
#[derive(Debug)]
struct Iteration {
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
    pub fn __construct(topics: &Zval, options: Option<&ZendHashTable>) -> ConstructorResult<Self> {
        let options = options.map(ArrayArgument::new);
        match function::run(|engine| Self::open(engine, Argument::new(topics), options).map(Some)) {
            Ok(Some(subscription)) => ConstructorResult::Ok(subscription),
            // The exception of user code is pending.
            Ok(None) => ConstructorResult::ArgError,
            Err(exception) => ConstructorResult::Exception(exception),
        }
    }

    /// See stubs/sse.stub.php.
    pub fn current(&self) -> Zval {
        self.iteration.borrow().current.as_ref().map_or_else(Zval::null, Value::copy)
    }

    /// See stubs/sse.stub.php.
    pub fn key(&self) -> i64 {
        self.iteration.borrow().position
    }

    /// See stubs/sse.stub.php.
    ///
    /// # Errors
    /// `SseUnavailable` if the hub ended the subscription.
    pub fn next(&self) -> PhpResult<()> {
        function::run(|engine| self.advance(engine))
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
        self.iteration.borrow().current.is_some()
    }
}

impl SseSubscription {
    fn open(engine: &mut Engine, topics: Argument<'_>, options: Option<ArrayArgument<'_>>) -> Result<Self, Problem> {
        const FUNCTION: &str = "SseSubscription";
        let patterns = arguments::patterns(engine, FUNCTION, topics)?;
        let mut options = Options::new(engine, FUNCTION, options);
        let timeout = options.seconds("timeout")?.map(Duration::from_secs_f64);
        let last_event_id = options.text("last_event_id")?;
        options.finish()?;
        let (ours, theirs) = hub_connection::pair()?;
        let held = hub_connection::attach(wanted(&patterns, last_event_id), theirs.as_fd())?;
        hub_connection::commit(&held, Framing::Message)?;
        Ok(Self {
            patterns,
            timeout,
            process: std::process::id(),
            iteration: RefCell::new(Iteration { current: None, position: -1 }),
            deliveries: RefCell::new(Deliveries::new(ours)),
            held: RefCell::new(held),
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
        let before = self.iteration.borrow_mut().current.take();
        drop(before);
        if let Some(event) = self.receive(engine)? {
            let mut iteration = self.iteration.borrow_mut();
            iteration.current = Some(event.into());
            iteration.position += 1;
        }
        Ok(())
    }

    /// Returns the next event, or `None` after the timeout.
    fn receive(&self, engine: &mut Engine) -> Result<Option<Zval>, Problem> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let read = self.deliveries.borrow_mut().read(&arguments::borrowed(&self.patterns))?;
            match read {
                DeliveryRead::Event(event) => return Ok(Some(event)),
                // A subscription has no user, so it is never replaced.
                DeliveryRead::Heartbeat | DeliveryRead::Replaced(_) | DeliveryRead::Retry(_) => {}
                DeliveryRead::Nothing if self.wait(engine, deadline)? => {}
                DeliveryRead::Nothing => return Ok(None),
                DeliveryRead::End if self.resume()? => {}
                DeliveryRead::End => {
                    return Err(Problem::Unavailable(
                        "the hub ended the subscription: it stopped, or this process read too slowly (sse.stream_buffer)"
                            .into(),
                    ));
                }
            }
        }
    }

    /// Goes on after the last event, as a browser does, where the same hub has ended the stream because this process read
    /// too slowly. False if that hub has stopped, or ended it before any event was read.
    fn resume(&self) -> Result<bool, Problem> {
        let Some(last_id) = self.deliveries.borrow().last_id().map(str::to_owned) else { return Ok(false) };
        let (ours, theirs) = hub_connection::pair()?;
        let again =
            hub_connection::attach_again(&self.held.borrow(), wanted(&self.patterns, Some(&last_id)), theirs.as_fd());
        let held = match again {
            Ok(Some(held)) => held,
            Err(error @ SpawnError::Client(ClientError::Hub { .. })) => return Err(error.into()),
            Ok(None) | Err(_) => return Ok(false),
        };
        if hub_connection::commit(&held, Framing::Message).is_err() {
            return Ok(false);
        }
        *self.deliveries.borrow_mut() = Deliveries::new(ours);
        *self.held.borrow_mut() = held;
        Ok(true)
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

fn wanted<'a>(patterns: &'a [String], last_event_id: Option<&'a str>) -> Attach<'a> {
    Attach { patterns: arguments::borrowed(patterns), last_event_id, ..Attach::default() }
}
