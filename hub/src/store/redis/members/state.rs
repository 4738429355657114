//! State and figures of what hubs tell each other of their members, for `sse_stats()` and the log.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tracing::{info, warn};

/// One of the two threads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MemberLink {
    /// Tells the others.
    Writer,
    /// Hears from them.
    Reader,
}

/// What the threads report about themselves.
#[derive(Debug, Default)]
pub(crate) struct MemberStats(Mutex<MemberFigures>);

#[derive(Debug, Default)]
struct MemberFigures {
    up: [bool; 2],
    problems: [Option<String>; 2],
    was_up: bool,
    hubs: usize,
    members: usize,
    bytes: usize,
    left_out: u64,
}

impl MemberStats {
    fn inner(&self) -> MutexGuard<'_, MemberFigures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a thread does its work.
    pub(crate) fn up(&self, link: MemberLink) {
        let mut inner = self.inner();
        inner.up[link as usize] = true;
        inner.problems[link as usize] = None;
        if inner.up == [true; 2] && !inner.was_up {
            inner.was_up = true;
            info!(hubs = inner.hubs, "presence is that of all hubs of the bus");
        }
    }

    /// Records that it can't, and why.
    pub(crate) fn down(&self, link: MemberLink, why: &str) {
        let mut inner = self.inner();
        inner.up[link as usize] = false;
        let first = inner.problems.iter().all(Option::is_none);
        inner.problems[link as usize] = Some(why.into());
        if inner.was_up || first {
            inner.was_up = false;
            warn!(reason = why, "presence over the bus is interrupted; what other hubs have told stays as it was");
        }
    }

    /// Records what is known of the other hubs; returns whether members are left out that were not before.
    pub(crate) fn know(&self, hubs: usize, members: usize, bytes: usize, left_out: u64) -> bool {
        let mut inner = self.inner();
        let more = left_out > inner.left_out;
        (inner.hubs, inner.members, inner.bytes, inner.left_out) = (hubs, members, bytes, left_out);
        more
    }

    /// For `sse_stats()`.
    pub(crate) fn report(&self) -> Value {
        let inner = self.inner();
        let problem = inner.problems.iter().flatten().next();
        let state = match problem {
            Some(_) => "away",
            None if inner.up == [true; 2] => "connected",
            None => "connecting",
        };
        json!({
            "state": state,
            "problem": problem,
            "hubs": inner.hubs,
            "members": inner.members,
            "bytes": inner.bytes,
            "left_out": inner.left_out,
        })
    }
}
