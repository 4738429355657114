//! Handles the messages of processes that run replayed scripts.

use crate::event::frames::Frames;
use std::sync::Arc;
use std::time::Instant;

use crate::render::attempt::ReplayRun;
use crate::render::pending::Pending;
use crate::render::{CallOutput, Known, Renders, ReplayReply};
use crate::shard::command::Command;
use crate::stats::EndReason;
use sse_protocol::topic;
use sse_protocol::wire::{Delivery, Reason};

impl Renders {
    /// The attempt of this token, if it is wanted and `connection` presented the token first.
    pub(crate) fn place_of(&mut self, token: &str, connection: u64) -> Option<usize> {
        let wanted = |run: &ReplayRun| *run.token == *token && run.wanted;
        let (place, attempt) = self.attempts.iter_mut().find(|(_, attempt)| wanted(&attempt.run))?;
        attempt.run.is_claimed_by(connection).then_some(place)
    }

    /// Records that a script's process has presented this token.
    pub(crate) fn replayed(&mut self, token: &str, connection: u64) -> Known<'_> {
        let mut runs = self.attempts.iter_mut().map(|(_, attempt)| &mut attempt.run);
        let Some(run) = runs.find(|run| *run.token == *token) else { return Known::No };
        if !run.is_claimed_by(connection) {
            return Known::No;
        }
        run.reached = true;
        let (stream, Some((key, _)), true) = (run.stream, run.job, run.wanted) else { return Known::Over };
        let job = &self.jobs[key as usize];
        let Some(subscriber) = job.subscribers.iter().find(|subscriber| subscriber.stream == stream) else {
            return Known::Over;
        };
        let request = &subscriber.request;
        Known::Run(ReplayReply {
            stream,
            reason: job.due.unwrap_or(Reason::Wake),
            remote: request.remote.as_ref().map_or(("", ""), |remote| (&remote.0, &remote.1)),
            last_event_id: job.last_id.as_deref().or(request.last_event_id.as_deref()),
        })
    }

    /// Gives a callback its pending events and notifications; later ones make the job due again.
    pub(crate) fn render(&mut self, token: &str, connection: u64, patterns: &[&str]) -> Option<Vec<Delivery<'_>>> {
        let place = self.place_of(token, connection)?;
        let (key, _) = self.attempts[place].run.job?;
        // A callback that runs twice in one attempt gets the same events again.
        self.put_back(place);
        self.watch_also(key, patterns);
        let run = &mut self.attempts[place].run;
        (run.reached, run.arrived) = (true, true);
        let job = &mut self.jobs[key as usize];
        job.due = None;
        Some(run.taken.insert(std::mem::take(&mut job.pending)).deliveries())
    }

    /// Takes the output of a replayed script; false if the token has no wanted attempt.
    pub(crate) fn rendered(&mut self, token: &str, connection: u64, output: &CallOutput<'_>) -> bool {
        let now = Instant::now();
        let Some(place) = self.place_of(token, connection) else { return false };
        let run = &mut self.attempts[place].run;
        let Some((key, _)) = run.job else { return false };
        let stream = run.stream;
        if self.jobs[key as usize].share.as_deref() != output.share {
            // The output is for this stream only: the client reconnects and joins the job of its new share key.
            self.end(stream, EndReason::Moved);
            return true;
        }
        (run.reached, run.arrived, run.rendered) = (true, true, true);
        run.taken = None;
        let took = now.saturating_duration_since(run.started);
        self.figures.rendered(&run.script, took, now);
        let job = &mut self.jobs[key as usize];
        job.failures = 0;
        job.ran(now);
        // A script without a callback asks for no events.
        if !output.render {
            job.due = None;
            job.pending = Pending::default();
        }
        self.watch(key, output.render, &output.patterns);
        self.send(key, output);
        if output.ends {
            let subscribers = self.jobs[key as usize].subscribers.iter();
            for stream in subscribers.map(|subscriber| subscriber.stream).collect::<Vec<_>>() {
                self.end(stream, EndReason::Finished);
            }
        }
        true
    }

    /// Sends the output of a stream's original request; false if the stream has no job.
    pub(crate) fn rendered_first(&mut self, stream: u64, output: &CallOutput<'_>) -> bool {
        let Some(&key) = self.by_stream.get(&stream) else { return false };
        // Streams of a shared job, this one included, may have newer output already.
        let job = &self.jobs[key as usize];
        if job.share.is_none() || job.output.is_none() {
            self.send(key, output);
        }
        true
    }

    pub(crate) fn send(&mut self, key: u32, output: &CallOutput<'_>) {
        let job = &mut self.jobs[key as usize];
        if let Some(id) = output.last_id {
            job.last_id = Some(id.into());
        }
        if output.frames.is_empty() {
            return;
        }
        if !job.is_news(output.frames) {
            self.figures.counts.unchanged += 1;
            return;
        }
        let frames = Arc::new(Frames::from(Arc::<[u8]>::from(output.frames)));
        if job.share.is_some() {
            job.output = Some(Arc::clone(&frames));
        }
        let streams = job.subscribers.iter().map(|subscriber| subscriber.stream);
        self.effects.extend(streams.map(|stream| (stream, Command::Frames { stream, frames: Arc::clone(&frames) })));
    }

    /// Records why a replayed script ends without output.
    pub(crate) fn not_rendered(&mut self, token: &str, connection: u64, reason: &str) {
        if let Some(place) = self.place_of(token, connection) {
            // The stack trace of an uncaught exception follows the first line.
            let first = reason.lines().next().unwrap_or_default();
            let run = &mut self.attempts[place].run;
            (run.reached, run.arrived) = (true, true);
            run.reason = Some(topic::printable(first));
        }
    }
}
