//! The life of attempts: start, response, failure, timeout.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tracing::{debug, info, warn};

use crate::render::attempt::{Attempt, End, ReplayRun};
use crate::render::job::JobPhase;
use crate::render::upstream::NoReplay;
use crate::render::upstream::connect::ConnectError;
use crate::render::{Renders, TokenOf};
use crate::shard::command::Command;
use crate::stats::EndReason;
use crate::util::random;
use sse_protocol::cause::Cause;
use sse_protocol::wire::Reason;

/// Shortest time between the starts of two attempts of a job. It merges the notifications of that time into one render, and
/// keeps a script that notifies its own topics from using the whole pool.
const BETWEEN_RUNS: Duration = Duration::from_millis(10);

/// Most scripts whose failures the log throttles separately.
const SCRIPTS_IN_LOG: usize = 256;

/// Statuses by which a server says that this request, as it is, will never do: malformed, a header or the URL too long.
const OF_THE_REQUEST: [u16; 4] = [400, 413, 414, 431];

impl Renders {
    /// Starts an attempt of a job whose turn it is.
    pub(crate) fn start(&mut self, key: u32, now: Instant, token_of: TokenOf) {
        let job = &mut self.jobs[key as usize];
        let upstream = &mut self.upstreams[job.upstream as usize];
        if upstream.paused_until().is_some() {
            upstream.waiting.push((key, job.serial));
            return;
        }
        if job.due.is_none() || !job.is_ready() {
            job.state = JobPhase::Resting;
            return;
        }
        // The rotation may have put another client's stream first.
        let client = job.subscribers[0].client;
        if !self.queue.has_room(client) {
            self.enqueue(key);
            return;
        }
        let (token, socket) = match token().and_then(|token| Ok((token, upstream.address.connect()?))) {
            Ok(connected) => connected,
            Err(error) => {
                let connection = (job.serial, job.upstream);
                self.unreachable(key, connection, &error, now);
                return;
            }
        };
        let subscriber = &job.subscribers[0];
        let last_id = job.last_id.as_deref().or(subscriber.request.last_event_id.as_deref());
        let bytes = subscriber.request.bytes(&self.interner, &token, last_id);
        let run = ReplayRun {
            token,
            claimed: None,
            job: Some((key, job.serial)),
            wanted: true,
            stream: subscriber.stream,
            client,
            address: subscriber.request.client(),
            script: Arc::clone(&subscriber.request.script),
            upstream: job.upstream,
            started: now,
            deadline: now + self.limits.timeout,
            reached: false,
            arrived: false,
            late: false,
            rendered: false,
            taken: None,
            reason: None,
        };
        debug!(stream = subscriber.stream, script = %subscriber.request.script, "rendering");
        job.state = JobPhase::Running;
        job.not_before = None;
        let mut attempt = Attempt::new(socket, bytes, subscriber.request.is_fastcgi(), run);
        let end = attempt.send();
        let place = self.admit(attempt);
        if let Some(end) = end {
            self.conclude(place, end);
            return;
        }
        if let Err(error) = self.attempts[place].register(token_of(place), &self.registry) {
            warn!(%error, "a connection can't be watched");
            self.fail(place, "its connection can't be watched", now);
            self.finish(place);
        }
    }

    /// Adds an attempt, which takes a slot.
    pub(crate) fn admit(&mut self, attempt: Attempt) -> usize {
        let ReplayRun { client, address, late, .. } = attempt.run;
        self.queue.began(client, address, late);
        self.late += usize::from(attempt.run.late);
        self.attempts.insert(attempt)
    }

    /// Removes an attempt, which frees its slot.
    fn take_out(&mut self, place: usize) -> ReplayRun {
        let run = self.attempts.remove(place).run;
        self.queue.ended(run.client, run.address, run.late);
        self.late -= usize::from(run.late);
        run
    }

    /// Frees the slots of attempts that are late, up to the limit of late ones. They still count against their clients'
    /// share.
    pub(crate) fn make_room(&mut self, now: Instant) {
        for (_, attempt) in &mut self.attempts {
            if self.late >= self.limits.concurrency {
                return;
            }
            if attempt.run.late_at().is_some_and(|at| at <= now) {
                attempt.run.late = true;
                self.queue.late(attempt.run.address);
                self.late += 1;
                debug!(stream = attempt.run.stream, script = %attempt.run.script, "late; others don't wait for it");
            }
        }
    }

    /// Keeps a job whose upstream is unreachable.
    pub(crate) fn unreachable(&mut self, key: u32, (serial, upstream): (u64, u32), error: &ConnectError, now: Instant) {
        let job = &mut self.jobs[key as usize];
        let server = &mut self.upstreams[upstream as usize];
        job.state = JobPhase::Queued;
        server.waiting.push((key, serial));
        if matches!(error, ConnectError::System(Errno::ACCESS | Errno::PERM)) {
            let why = format!("the hub may not connect to the server at {}: {error}", server.address);
            self.refused(upstream, NoReplay::new(Cause::Server, why), now);
        } else {
            debug!(server = %server.address, %error, "a server can't be reached; its streams wait");
            if server.pause(now) {
                warn!(server = %server.address, %error, "a server can't be reached for seconds; its streams wait to be rendered");
            }
        }
    }

    /// Marks an upstream that does not accept the hub's requests and ends its streams.
    pub(crate) fn refused(&mut self, upstream: u32, no: NoReplay, now: Instant) {
        warn!(why = no.why, "streams can't be rendered there; they end");
        let server = &mut self.upstreams[upstream as usize];
        server.refuse(no, now);
        server.waiting.clear();
        let of_server = self.jobs.iter().filter(|(_, job)| job.upstream == upstream);
        let streams: Vec<u64> =
            of_server.flat_map(|(_, job)| job.subscribers.iter().map(|subscriber| subscriber.stream)).collect();
        for stream in streams {
            self.end(stream, EndReason::Error);
        }
    }

    pub(crate) fn end(&mut self, stream: u64, why: EndReason) {
        self.effects.push((stream, Command::End { stream, why }));
        self.ended(stream);
    }

    /// Handles an event on the connection of an attempt.
    pub(crate) fn ready(&mut self, place: usize) {
        if self.attempts.contains(place) {
            self.proceed(place);
        }
    }

    pub(crate) fn proceed(&mut self, place: usize) {
        let Some(attempt) = self.attempts.get_mut(place).filter(|attempt| attempt.end.is_none()) else { return };
        match attempt.proceed(&mut self.scratch) {
            (Some(end), _) if attempt.run.awaits_word() => attempt.end = Some(end),
            (Some(end), _) => self.conclude(place, end),
            (None, true) => self.unread.push(place),
            (None, false) => {}
        }
    }

    /// Concludes attempts whose responses have ended, once all earlier messages of their processes are read.
    pub(crate) fn conclude_ended(&mut self) {
        let ended = self.attempts.iter().filter_map(|(place, attempt)| Some((place, attempt.end?)));
        for (place, end) in ended.collect::<Vec<_>>() {
            self.conclude(place, end);
        }
    }

    /// Handles the end of a response.
    pub(crate) fn conclude(&mut self, place: usize, end: End) {
        let now = Instant::now();
        let run = &self.attempts[place].run;
        let (upstream, reached) = (run.upstream, run.reached);
        let server = &mut self.upstreams[upstream as usize];
        if !matches!(end, End::Unreachable(_) | End::Silent) {
            server.answered();
        }
        if reached {
            server.proved = true;
        }
        let proved = server.proved;
        if run.job.is_some() && run.wanted && !run.rendered {
            match end {
                End::Unreachable(error) => {
                    let (key, serial) = run.job.unwrap_or_default();
                    self.take_out(place);
                    self.unreachable(key, (serial, upstream), &error.into(), now);
                    return;
                }
                End::Silent if server.is_unwilling() => {
                    let address = self.upstreams[upstream as usize].address.clone();
                    self.take_out(place);
                    let why = format!(
                        "the server at {address} closes the hub's connections without an answer; see listen.allowed_clients"
                    );
                    // The cause may be this one request, or the number of requests.
                    self.refused(upstream, NoReplay::new(Cause::Load, why), now);
                    return;
                }
                // Of this request only: a client may send one that the server takes, but not with the hub's headers.
                End::Answered(status) if !reached && (!proved || OF_THE_REQUEST.contains(&status)) => {
                    self.turned_away(place, status);
                }
                End::Answered(204) if run.has_decided() => self.conclude_for_good(place),
                End::Answered(status @ (401 | 403 | 404 | 410 | 300..=399)) => self.deny(place, status),
                End::Answered(status @ (200..=428 | 430..=499)) if run.has_decided() => self.deny(place, status),
                End::Answered(status) => {
                    let reason = run.reason.clone().filter(|reason| !reason.is_empty());
                    let reason = reason.unwrap_or_else(|| "it did not get to sse_stream()".into());
                    self.fail(place, &format!("status {status}: {reason}"), now);
                }
                End::Broken | End::Silent => {
                    let reason = run.reason.clone().unwrap_or_else(|| "its process ended, or was ended".into());
                    self.fail(place, &reason, now);
                }
            }
        }
        self.finish(place);
    }

    /// Ends a stream whose script no longer allows it.
    pub(crate) fn deny(&mut self, place: usize, status: u16) {
        let run = &self.attempts[place].run;
        let (stream, script) = (run.stream, Arc::clone(&run.script));
        info!(stream, status, script = %script, "the script no longer allows the stream");
        self.figures.counts.denied += 1;
        self.put_back(place);
        self.end(stream, EndReason::Denied);
    }

    /// Ends a stream whose script says by 204 that it is over for good: its client comes back once more, and is told so.
    fn conclude_for_good(&mut self, place: usize) {
        let run = &self.attempts[place].run;
        let (stream, script) = (run.stream, Arc::clone(&run.script));
        info!(stream, script = %script, "the script says that the stream is over (204)");
        self.put_back(place);
        self.end(stream, EndReason::Finished);
    }

    /// Ends a stream whose replay the server itself has answered: it would answer each later one in the same way.
    fn turned_away(&mut self, place: usize, status: u16) {
        let run = &self.attempts[place].run;
        let (stream, script) = (run.stream, Arc::clone(&run.script));
        let server = self.upstreams[run.upstream as usize].address.clone();
        if let Some(before) = self.failure_due(&script, Instant::now()) {
            let why = format!(
                "the server at {server} answers the hub's request with {status} before PHP runs; let requests from this \
                 machine pass"
            );
            warn!(stream, script = %script, why, before, "a stream can't be rendered there; it ends");
        }
        self.put_back(place);
        self.end(stream, EndReason::Error);
    }

    /// Whether the log should tell of a failure of this script, and how many it has not told of since the last one.
    fn failure_due(&mut self, script: &Arc<str>, now: Instant) -> Option<u64> {
        if self.failures.len() > SCRIPTS_IN_LOG {
            self.failures.clear();
        }
        self.failures.entry(Arc::clone(script)).or_default().due(now)
    }

    /// Ends the streams of a job that the script has not confirmed for too long. When their clients reconnect, the script
    /// decides.
    pub(crate) fn lapse(&mut self, key: u32) {
        let subscribers = self.jobs[key as usize].subscribers.iter();
        let lapsed: Vec<_> =
            subscribers.map(|subscriber| (subscriber.stream, Arc::clone(&subscriber.request.script))).collect();
        for (stream, script) in lapsed {
            info!(stream, script = %script, "the script has not confirmed the stream for too long (reauthorize)");
            self.end(stream, EndReason::Unconfirmed);
        }
    }

    /// Records a failed attempt: its job retries after a wait.
    pub(crate) fn fail(&mut self, place: usize, reason: &str, now: Instant) {
        self.put_back(place);
        let run = &mut self.attempts[place].run;
        let script = Arc::clone(&run.script);
        self.figures.failed(&script, now.saturating_duration_since(run.started), now);
        let stream = run.stream;
        if let Some((key, _)) = run.job {
            let job = &mut self.jobs[key as usize];
            let wait = job.failed(now, random::number());
            job.due = Some(Reason::Retry);
            if let Some(before) = self.failure_due(&script, now) {
                let wait = wait.as_millis() as u64;
                warn!(stream, script = %script, reason, wait, before, "a render failed; the stream stays and it is tried again");
            }
        }
    }

    /// Returns the pending events of a failed attempt to its job.
    pub(crate) fn put_back(&mut self, place: usize) {
        let run = &mut self.attempts[place].run;
        if let (Some(taken), Some((key, _))) = (run.taken.take(), run.job) {
            let job = &mut self.jobs[key as usize];
            job.pending.put_back(taken, self.limits.pending, &job.account);
            job.due.get_or_insert(Reason::Retry);
        }
    }

    /// Removes an attempt that is over and frees its job.
    pub(crate) fn finish(&mut self, place: usize) {
        let run = self.take_out(place);
        self.rest(&run);
    }

    /// Lets the job of an attempt that is over have its next turn.
    pub(crate) fn rest(&mut self, run: &ReplayRun) {
        let Some((key, _)) = run.job else { return };
        let job = &mut self.jobs[key as usize];
        job.state = JobPhase::Resting;
        job.pause_until(run.started + BETWEEN_RUNS);
        self.queue_up(key);
    }

    /// Fails attempts that take too long. Their processes may still run, so each keeps its slot, and its job waits, for the
    /// same time once more.
    pub(crate) fn expire(&mut self, now: Instant) {
        let late = self.attempts.iter().filter(|(_, attempt)| attempt.run.deadline <= now);
        for place in late.map(|(place, _)| place).collect::<Vec<_>>() {
            let limit = self.limits.timeout;
            let run = &mut self.attempts[place].run;
            run.deadline = now + limit;
            if run.wanted && !run.rendered {
                run.wanted = false;
                self.figures.counts.timed_out += 1;
                self.fail(place, &format!("it took longer than {} s (sse.render_timeout)", limit.as_secs()), now);
            } else {
                let given_up = self.take_out(place);
                self.rest(&given_up);
                warn!(script = %given_up.script, "a script that was run for a stream did not end; no longer waited for");
            }
        }
    }

    /// Detaches the attempts of a stream that has ended from their job, which goes on without them.
    pub(crate) fn disown(&mut self, stream: u64) {
        let of_stream = self.attempts.iter().filter(|(_, attempt)| attempt.run.stream == stream);
        for place in of_stream.map(|(place, _)| place).collect::<Vec<_>>() {
            self.put_back(place);
            let run = &mut self.attempts[place].run;
            run.wanted = false;
            if let Some((key, _)) = run.job.take() {
                self.jobs[key as usize].state = JobPhase::Resting;
            }
        }
    }
}

/// A random secret of 128 bits, in hex.
fn token() -> Result<Box<str>, ConnectError> {
    let bytes: [u8; 16] = random::secret().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}
