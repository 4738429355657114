//! Reads a subscription's events from the hub, over a socket pair.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ext_php_rs::types::Zval;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use sse_protocol::wire::{self, Delivery, PREFIX};

use crate::api::event;
use crate::api::exceptions::Problem;

/// The receiving end of a subscription.
#[derive(Debug)]
pub struct Deliveries {
    socket: OwnedFd,
    inbox: Vec<u8>,
    /// The id of the last event.
    last_id: Option<String>,
}

/// The result of a read that does not wait.
#[derive(Debug)]
pub enum DeliveryRead {
    /// An event or a notification, as an `SseEvent`.
    Event(Zval),
    /// The hub is alive.
    Heartbeat,
    /// A newer stream of the same user replaced this one. The client should reconnect after this many milliseconds.
    Replaced(u32),
    /// The client should reconnect after this many milliseconds, when the stream has ended.
    Retry(u32),
    /// Nothing more has arrived.
    Nothing,
    /// The hub has ended the subscription.
    End,
}

impl Deliveries {
    /// Reads from this end of a pair.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, inbox: Vec::new(), last_id: None }
    }

    /// The id of the last event read; `None` before the first.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The socket, to wait for more.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes the next delivery. An event's topic is its first that matches one of the patterns.
    ///
    /// # Errors
    /// `Other` for malformed bytes, `Unavailable` if reading fails.
    pub fn read(&mut self, patterns: &[&str]) -> Result<DeliveryRead, Problem> {
        loop {
            if let Some(read) = self.buffered(patterns)? {
                return Ok(read);
            }
            let mut chunk = [0; 16 * 1024];
            match rustix::net::recv(&self.socket, &mut chunk, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => return Ok(DeliveryRead::End),
                Ok((read, _)) => self.inbox.extend_from_slice(&chunk[..read]),
                Err(Errno::AGAIN) => return Ok(DeliveryRead::Nothing),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Problem::Unavailable(format!("reading events failed: {error}"))),
            }
        }
    }

    fn buffered(&mut self, patterns: &[&str]) -> Result<Option<DeliveryRead>, Problem> {
        // The hub's own limits may be larger than this process's settings.
        let limit = wire::max_message(wire::MAX_EVENT_SIZE as usize, wire::MAX_TOPICS as usize);
        let nonsense = |error: wire::WireError| Problem::Other(format!("the hub's message makes no sense: {error}"));
        let Some(size) = wire::announced(&self.inbox, limit).map_err(nonsense)? else { return Ok(None) };
        let end = PREFIX + size;
        if self.inbox.len() < end {
            return Ok(None);
        }
        let delivery: Delivery<'_> = wire::decode(&self.inbox[PREFIX..end]).map_err(nonsense)?;
        if let Delivery::Replaced { retry } = delivery {
            self.inbox.drain(..end);
            return Ok(Some(DeliveryRead::Replaced(retry)));
        }
        if let Delivery::Retry { retry } = delivery {
            self.inbox.drain(..end);
            return Ok(Some(DeliveryRead::Retry(retry)));
        }
        if let Delivery::Event { id, .. } = &delivery {
            self.last_id = Some((*id).to_owned());
        }
        let event = event::object(&delivery, patterns).map_err(|error| Problem::Other(error.to_string()))?;
        self.inbox.drain(..end);
        Ok(Some(event.map_or(DeliveryRead::Heartbeat, DeliveryRead::Event)))
    }
}
