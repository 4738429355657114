//! Wakes from the hub for one adopted request.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use sse_protocol::wire::{Attach, Framing};

use super::tell_once;
use crate::api::arguments;
use crate::api::exceptions::Problem;
use crate::{blocking, spawn};

/// A hub that is away is looked for again after this time, or after so many times what the last try took.
const AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: u32 = 10;

/// A subscription that says nothing but that something happened. Without a hub there is none, and scripts sleep as they
/// always did until one is back.
#[derive(Debug)]
pub struct Wakes {
    topics: Vec<String>,
    socket: Option<OwnedFd>,
    /// When to look for a hub again.
    again: Instant,
}

impl Wakes {
    /// Subscribes to these patterns.
    pub fn open(topics: Vec<String>) -> Self {
        let mut wakes = Self { topics, socket: None, again: Instant::now() };
        wakes.attach();
        wakes
    }

    /// Looks for the hub where it is away. True if it is back: what happened meanwhile is not known, so that is a wake.
    pub fn refresh(&mut self) -> bool {
        self.socket.is_none() && self.again <= Instant::now() && self.attach()
    }

    /// What becomes readable with a wake, while there is a hub.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Takes all wakes that have come, as one; false if there was none. A hub that has gone is one as well.
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
        self.again = Instant::now() + AGAIN.max(before.elapsed() * PATIENCE);
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
    let (ours, theirs) = blocking::pair()?;
    let held = spawn::attach(Attach { patterns: arguments::borrowed(topics), ..Attach::default() }, theirs.as_fd())?;
    spawn::commit(&held, Framing::Wake)?;
    Ok(ours)
}
