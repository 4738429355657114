//! The subscription of one adopted request to notifications from the hub.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use sse_protocol::wire::{Attach, Framing};

use super::state::WakeSubscription;
use super::tell_once;
use crate::api::arguments;
use crate::api::exceptions::Problem;
use crate::hub_connection;

/// Wait before the next attempt to reach a missing hub: `AGAIN`, or `BACKOFF` times the last attempt if longer.
const AGAIN: Duration = Duration::from_secs(1);
const BACKOFF: u32 = 10;

impl WakeSubscription {
    /// Subscribes to these patterns.
    pub fn open(topics: Vec<String>) -> Self {
        let mut wakes = Self { topics, socket: None, again: Instant::now() };
        wakes.attach();
        wakes
    }

    /// Retries a missing hub when due. True on success, which counts as a notification: some may have been missed.
    pub fn refresh(&mut self) -> bool {
        self.socket.is_none() && self.again <= Instant::now() && self.attach()
    }

    /// The descriptor that becomes readable with a notification. `None` without a hub.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Consumes all pending notifications. Returns whether there were any; the end of the hub counts as one.
    pub fn take(&mut self) -> bool {
        let mut bytes = [0; 512];
        let mut any = false;
        while let Some(socket) = &self.socket {
            match rustix::net::recv(socket, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((1.., _)) => any = true,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Ok((0, _)) | Err(_) => {
                    self.socket = None;
                    any = true;
                }
            }
        }
        any
    }

    fn attach(&mut self) -> bool {
        let before = Instant::now();
        let attached = subscribe(&self.topics);
        self.again = Instant::now() + AGAIN.max(before.elapsed() * BACKOFF);
        match attached {
            Ok(socket) => self.socket = Some(socket),
            Err(problem) => {
                static TOLD: AtomicBool = AtomicBool::new(false);
                tell_once(&TOLD, &format!("an adopted script sleeps without wakes: {problem}"));
            }
        }
        self.socket.is_some()
    }
}

fn subscribe(topics: &[String]) -> Result<OwnedFd, Problem> {
    let (ours, theirs) = hub_connection::pair()?;
    let held =
        hub_connection::attach(Attach { patterns: arguments::borrowed(topics), ..Attach::default() }, theirs.as_fd())?;
    hub_connection::commit(&held, Framing::Wake)?;
    Ok(ours)
}
