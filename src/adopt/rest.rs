//! The sleep of an adopted script. It ends after its time, or early at a notification, a signal, or the client's
//! departure.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::thread::NanosleepRelativeResult;

use super::state::{AdoptionPhase, WakeSubscription};
use super::{output, phase, sapi, set_phase, with, with_wakes};
use crate::php::descriptor::Descriptor;
use crate::php::engine::Engine;
use crate::php::{connection, zend};
use crate::{handoff, ini};

/// Notifications within this time after the last one count as one, so that a loop that queries its database does not run
/// as often as a busy site publishes.
const BETWEEN_WAKES: Duration = Duration::from_millis(50);

/// How a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The time is over, or a notification came. A script can't tell the difference.
    Over,
    /// A signal came; this time is left.
    Interrupted(Duration),
    /// The client has left and ended the script: a bailout is pending.
    Ended,
}

/// What a wait observed.
enum Seen {
    Wake,
    HangUp,
    Signal,
    Nothing,
}

/// Sleeps for `time` at most. After a notification that brought no output the whole time is slept, so that a script asks its
/// database no more often than twice in its own interval, however much is published.
pub fn rest(engine: &mut Engine, time: Duration) -> Rest {
    let mut end = Instant::now() + time;
    let left = |end: Instant| end.saturating_duration_since(Instant::now());
    let is_whole = with(|adoption| adoption.slept.writes.take()).is_some_and(|writes| writes == sapi::writes());
    let mut is_woken =
        !is_whole && with_wakes(|wakes| wakes.as_mut().is_some_and(|wakes| wakes.refresh() || wakes.take()));
    if is_woken {
        end = end.min(woken());
    }
    loop {
        let beat = heartbeat();
        let until = beat.map_or(end, |at| at.min(end));
        match wait(until.saturating_duration_since(Instant::now()), !is_whole) {
            Seen::Wake if is_woken => {}
            Seen::Wake => {
                is_woken = true;
                end = end.min(woken());
            }
            Seen::Signal => return Rest::Interrupted(left(end)),
            Seen::HangUp => {
                // The script ends; or, if it ignores the abort, it continues and its output is discarded.
                connection::abort(engine);
                return client_left(left(end));
            }
            Seen::Nothing => {}
        }
        let now = Instant::now();
        if now >= end {
            if is_woken {
                with(|adoption| adoption.slept.writes.set(Some(adoption.written.count.get())));
            }
            if is_whole {
                // The script looks now, so what came meanwhile is no news.
                with_wakes(|wakes| wakes.as_mut().is_some_and(WakeSubscription::take));
            }
            return Rest::Over;
        }
        if beat.is_some_and(|at| at <= now) {
            output::comment(engine);
            if zend::interrupted() || connection::is_aborted() {
                return client_left(left(end));
            }
        }
    }
}

/// When a sleep ends that was just woken.
fn woken() -> Instant {
    let now = Instant::now();
    with(|adoption| {
        let woken = &adoption.slept.woken;
        let at = woken.get().map_or(now, |last| now.max(last + BETWEEN_WAKES));
        woken.set(Some(at));
        at
    })
}

/// Handles a client that has left. A script that continues without it (`ignore_user_abort`) sleeps its full time.
fn client_left(time: Duration) -> Rest {
    set_phase(AdoptionPhase::Left);
    if zend::interrupted() {
        return Rest::Ended;
    }
    let Ok(time) = Timespec::try_from(time) else { return Rest::Over };
    match rustix::thread::nanosleep(&time) {
        NanosleepRelativeResult::Interrupted(left) => Rest::Interrupted(left.try_into().unwrap_or_default()),
        NanosleepRelativeResult::Ok | NanosleepRelativeResult::Err(_) => Rest::Over,
    }
}

/// When a comment is due after silence. `None` if no comment must be sent.
fn heartbeat() -> Option<Instant> {
    let seconds = ini::heartbeat().ok().filter(|seconds| *seconds > 0)?;
    let takes_comments = phase() == AdoptionPhase::Streaming && output::is_open() && output::takes_comments();
    let silent_since = takes_comments.then(sapi::silent_since)??;
    Some(silent_since + Duration::from_secs(seconds.into()))
}

/// Waits for anything that may end a sleep, for `time` at most.
fn wait(time: Duration, heeds_wakes: bool) -> Seen {
    let timeout = Timespec::try_from(time).ok();
    let client = handoff::hang_up_source();
    let client = client.as_ref().map(Descriptor::lend);
    with_wakes(|wakes| {
        let polled = {
            let wakes = wakes.as_ref().filter(|_| heeds_wakes).and_then(WakeSubscription::source);
            let sources = [(wakes, PollFlags::IN), (client, PollFlags::RDHUP)];
            let mut polled: Vec<PollFd<'_>> =
                sources.iter().filter_map(|(source, flags)| Some(PollFd::new(source.as_ref()?, *flags))).collect();
            rustix::event::poll(&mut polled, timeout.as_ref()).map(|_| {
                let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
                client.is_some() && polled.last().is_some_and(|client| client.revents().intersects(gone))
            })
        };
        match polled {
            Ok(true) => Seen::HangUp,
            Ok(false) if heeds_wakes && wakes.as_mut().is_some_and(WakeSubscription::take) => Seen::Wake,
            Ok(false) => Seen::Nothing,
            Err(Errno::INTR) => Seen::Signal,
            // The kernel lacks memory: end the sleep early rather than spin.
            Err(_) => Seen::Nothing,
        }
    })
}
