//! Render jobs: one stream, or all streams with the same share key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::frames::Frames;
use crate::index::IndexPlace;
use crate::quota::budget::Account;
use crate::render::client::ClientHash;
use crate::render::fingerprint::{Fingerprint, WatchedPatterns};
use crate::render::pending::Pending;
use crate::render::request::ReplayRequest;
use sse_protocol::wire::{Reason, Replay};

/// Longest wait between two attempts of a script that fails.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// The wait after the first failure.
const FIRST_BACK_OFF: Duration = Duration::from_millis(250);

/// A group of streams that get the same output.
#[derive(Debug)]
pub(crate) struct Job {
    /// Tells the job from earlier ones with the same key.
    pub(crate) serial: u64,
    /// The streams; the next attempt sends the request of the first one.
    pub(crate) subscribers: Vec<Subscriber>,
    /// The upstream's place.
    pub(crate) upstream: u32,
    /// The share key, if the output is shared.
    pub(crate) share: Option<Box<str>>,
    /// Whether its script has a callback.
    pub(crate) render: bool,
    /// The last fan-out that reached the job.
    pub(crate) seen: u64,
    /// Its places in the index.
    pub(crate) places: Box<[IndexPlace]>,
    /// The patterns of these places.
    pub(crate) watched: WatchedPatterns,
    /// Events and notifications that its callback has not got yet.
    pub(crate) pending: Pending,
    /// Why the job has to be rendered, if it has to.
    pub(crate) due: Option<Reason>,
    /// What the job is doing.
    pub(crate) state: JobPhase,
    /// Number of failures in a row.
    pub(crate) failures: u32,
    /// Earliest time of the next attempt, after a failure.
    pub(crate) not_before: Option<Instant>,
    /// Its earliest timer entry.
    pub(crate) timer: Option<Instant>,
    /// When the job was last rendered, or its first stream opened.
    pub(crate) last_run: Option<Instant>,
    pub(crate) only_changes: bool,
    pub(crate) poll: Option<Duration>,
    pub(crate) reauthorize: Option<Duration>,
    /// Fingerprint of the last output.
    pub(crate) sent: Option<Fingerprint>,
    /// The last output, for streams that join.
    pub(crate) output: Option<Arc<Frames>>,
    /// The id of the last event that was sent.
    pub(crate) last_id: Option<Box<str>>,
    /// The account of its first stream's client, which is charged for `pending`.
    pub(crate) account: Account,
}

/// A stream of a job.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// The stream's id.
    pub(crate) stream: u64,
    /// The stream's client.
    pub(crate) client: ClientHash,
    /// The request that opened the stream.
    pub(crate) request: ReplayRequest,
    /// The worker has committed the hand-off.
    pub(crate) open: bool,
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobPhase {
    /// Idle.
    Resting,
    /// In the queue, or waiting at its upstream.
    Queued,
    /// An attempt is in progress.
    Running,
}

impl Job {
    /// A job without streams.
    pub(crate) fn new(serial: u64, upstream: u32, replay: &Replay<'_>, account: Account) -> Self {
        let milliseconds = |ms: u32| (ms > 0).then(|| Duration::from_millis(ms.into()));
        Self {
            serial,
            subscribers: Vec::with_capacity(1),
            upstream,
            share: replay.share.map(Into::into),
            render: replay.render,
            seen: 0,
            places: Box::default(),
            watched: WatchedPatterns::Unsaid,
            pending: Pending::default(),
            due: None,
            state: JobPhase::Resting,
            failures: 0,
            not_before: None,
            timer: None,
            last_run: None,
            only_changes: replay.only_changes,
            poll: milliseconds(replay.poll),
            reauthorize: (replay.reauthorize > 0).then(|| Duration::from_secs(replay.reauthorize.into())),
            sent: None,
            output: None,
            last_id: None,
            account,
        }
    }

    /// Moves the next open stream to the front; false if there is none.
    pub(crate) fn rotate(&mut self) -> bool {
        let open = self.subscribers.iter().skip(1).position(|subscriber| subscriber.open).map(|place| place + 1);
        match open {
            Some(place) => {
                self.subscribers.rotate_left(place);
                true
            }
            None => self.subscribers.first().is_some_and(|subscriber| subscriber.open),
        }
    }

    /// Whether the first stream's request can be sent, after a rotation if necessary.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.subscribers.first().is_some_and(|subscriber| subscriber.open) || self.rotate()
    }

    /// Whether any of its streams is open.
    pub(crate) fn is_open(&self) -> bool {
        self.subscribers.iter().any(|subscriber| subscriber.open)
    }

    /// Restarts the timers after a render, or when the first stream opens.
    pub(crate) fn ran(&mut self, now: Instant) {
        self.last_run = Some(now);
    }

    /// Counts a failure and returns the wait before the next attempt. `random` spreads jobs that failed together.
    pub(crate) fn failed(&mut self, now: Instant, random: u64) -> Duration {
        let factor = 1 << self.failures.min(16);
        self.failures += 1;
        let wait = (FIRST_BACK_OFF * factor).min(LONGEST_BACK_OFF);
        // Between 75 % and 125 % of it.
        let wait = wait * 3 / 4 + wait / 2 * (random % 1024) as u32 / 1024;
        self.not_before = Some(now + wait);
        wait
    }

    /// The next timer of an idle job, and its reason.
    pub(crate) fn next(&self) -> Option<(Instant, Reason)> {
        if !self.is_open() || self.state != JobPhase::Resting {
            return None;
        }
        if let Some(until) = self.not_before {
            return Some((until, Reason::Retry));
        }
        let last = self.last_run?;
        let poll = self.poll.filter(|_| self.render).map(|after| (last + after, Reason::Poll));
        let reauthorize = self.reauthorize.map(|after| (last + after, Reason::Reauthorize));
        [poll, reauthorize].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// When the streams end unless the script confirms them. Without a callback they get events meanwhile, whatever the
    /// script decides, and a failed attempt confirms nothing. `attempt` is the longest duration of one.
    pub(crate) fn lapses(&self, attempt: Duration) -> Option<Instant> {
        let reauthorize = self.reauthorize.filter(|_| !self.render && self.is_open())?;
        Some(self.last_run? + 2 * reauthorize.max(attempt))
    }

    /// Delays a job that is due until `time`, unless it has to wait longer after a failure.
    pub(crate) fn pause_until(&mut self, time: Instant) {
        if self.due.is_some() && time > Instant::now() {
            self.not_before.get_or_insert(time);
        }
    }

    /// Whether this output has to be sent; if so, it is recorded as sent.
    pub(crate) fn is_news(&mut self, frames: &[u8]) -> bool {
        let print = Fingerprint::of(frames);
        let changed = self.sent.replace(print) != Some(print);
        changed || !self.only_changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::budget::Budget;
    use crate::render::client::tests::client;
    use crate::render::fields::FieldInterner;
    use serde_bytes::Bytes;
    use sse_protocol::wire::{OriginalRequest, Protocol};

    fn job(poll: u32, reauthorize: u32) -> Job {
        let request = original();
        let replay = Replay { render: true, only_changes: true, poll, reauthorize, share: None, request };
        Job::new(1, 0, &replay, Budget::new("", 0).of_all())
    }

    fn original() -> OriginalRequest<'static> {
        OriginalRequest {
            script: "/a.php",
            protocol: Protocol::FastCgi,
            fields: Vec::new(),
            body: Bytes::new(b""),
            remote: ("", ""),
            last_event_id: None,
            session: None,
        }
    }

    fn subscriber(stream: u64, open: bool) -> Subscriber {
        let (interner, account) = (&mut FieldInterner::default(), Budget::new("", 0).of_all());
        let request = ReplayRequest::new(&original(), "/a.php".into(), interner, &account);
        Subscriber { stream, client: client(1), request, open }
    }

    #[test]
    fn the_requests_of_a_shared_unit_take_turns() {
        let mut job = job(0, 0);
        assert!(!job.rotate());
        job.subscribers.push(subscriber(1, false));
        assert!(!job.rotate());
        job.subscribers.extend([subscriber(2, true), subscriber(3, false), subscriber(4, true)]);
        let mut turns = Vec::new();
        job.subscribers.push(subscriber(5, true));
        for _ in 0..7 {
            assert!(job.rotate());
            turns.push(job.subscribers[0].stream);
        }
        assert_eq!(turns, [2, 4, 5, 2, 4, 5, 2]);
    }

    #[test]
    fn failures_wait_longer_and_longer_but_not_for_ever() {
        let mut job = job(0, 0);
        let now = Instant::now();
        assert_eq!(job.failed(now, 512), FIRST_BACK_OFF);
        assert_eq!(job.failed(now, 512), FIRST_BACK_OFF * 2);
        for _ in 0..20 {
            job.failed(now, 0);
        }
        assert_eq!(job.failed(now, 0), LONGEST_BACK_OFF * 3 / 4);
        assert!(job.failed(now, 1023) < LONGEST_BACK_OFF * 5 / 4);
    }

    #[test]
    fn what_comes_first_of_poll_and_reauthorization_is_next_and_a_failure_before_both() {
        let mut job = job(1500, 1);
        let now = Instant::now();
        assert_eq!(job.next(), None);
        job.subscribers.push(subscriber(1, true));
        assert_eq!(job.next(), None);
        job.ran(now);
        assert_eq!(job.next(), Some((now + Duration::from_secs(1), Reason::Reauthorize)));
        job.reauthorize = None;
        assert_eq!(job.next(), Some((now + Duration::from_millis(1500), Reason::Poll)));
        job.failed(now, 512);
        assert_eq!(job.next(), Some((now + FIRST_BACK_OFF, Reason::Retry)));
        job.state = JobPhase::Queued;
        assert_eq!(job.next(), None);
    }

    #[test]
    fn a_stream_that_gets_the_events_themselves_lapses_where_its_script_does_not_confirm_it() {
        let (mut job, now, attempt) = (job(0, 60), Instant::now(), Duration::from_secs(30));
        job.subscribers.push(subscriber(1, true));
        job.ran(now);
        assert_eq!(job.lapses(attempt), None, "its callback decides what it gets");
        job.render = false;
        assert_eq!(job.lapses(attempt), Some(now + Duration::from_secs(120)));
        assert_eq!(job.lapses(Duration::from_secs(90)), Some(now + Duration::from_secs(180)));
        job.failed(now, 0);
        job.state = JobPhase::Running;
        assert_eq!(job.lapses(attempt), Some(now + Duration::from_secs(120)), "whatever it is doing");
        job.ran(now + Duration::from_secs(60));
        assert_eq!(job.lapses(attempt), Some(now + Duration::from_secs(180)));
        job.reauthorize = None;
        assert_eq!(job.lapses(attempt), None, "it is never asked about");
    }

    #[test]
    fn the_same_output_is_no_news() {
        let mut job = job(0, 0);
        assert!(job.is_news(b"a"));
        assert!(!job.is_news(b"a"));
        assert!(job.is_news(b"b"));
        assert!(job.is_news(b"a"));
        job.only_changes = false;
        assert!(job.is_news(b"a"));
    }
}
