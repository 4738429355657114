//! All that is known of the running request: one struct, in the one thread-local of requests.
//!
//! The type of each part belongs to the module that works with it, in a file of plain data, on which this one builds; the
//! module itself builds on this one. What outlives a request is elsewhere: the connection to the hub (`hub_connection`), the
//! settings read last (`ini::remembered`), and a bailout that is on its way (`php::zend`).
//!
//! A bailout is a longjmp, so a borrow that it leaves would last for ever. There is none: each part is a [`Cell`], whose
//! content is copied, or taken and put back by [`lend`].

use std::cell::Cell;

use crate::adopt::state::Adoption;
use crate::commit::state::Commit;
use crate::deadline::VainWaits;
use crate::replay::state::RunningReplay;

/// What is known of the running request.
#[derive(Default)]
pub struct RunningRequest {
    /// The time that it has waited in vain for the hub.
    pub waiting: VainWaits,
    /// Whether a `$render` callback runs, which can't make a stream of its own.
    pub runs_callback: Cell<bool>,
    /// What it holds back until its end (`sse.publish=commit`).
    pub commit: Cell<Commit>,
    /// The replay that it is, if it is one.
    pub replay: Cell<Option<RunningReplay>>,
    /// The adoption of its script (`sse.adopt`).
    pub adoption: Adoption,
}

thread_local! {
    static RUNNING: RunningRequest = RunningRequest::default();
}

/// Looks at the running request.
pub fn with<R>(look: impl FnOnce(&RunningRequest) -> R) -> R {
    RUNNING.with(look)
}

/// Forgets the request before. Nothing of it that PHP has allocated is left: its end lets go of that.
pub fn begin() {
    with(|RunningRequest { waiting, runs_callback, commit, replay, adoption }| {
        waiting.reset();
        runs_callback.set(false);
        commit.take();
        replay.take();
        adoption.reset();
    });
}

/// Takes a part for `work` and puts it back. What `work` calls finds a default in its place; so does the rest of the request
/// if a bailout leaves `work`.
pub fn lend<T: Default, R>(part: &Cell<T>, work: impl FnOnce(&mut T) -> R) -> R {
    let mut taken = part.take();
    let result = work(&mut taken);
    part.set(taken);
    result
}
