//! What the processes that run the scripts ask and say.

use std::sync::Arc;
use std::time::Instant;

use super::exchange::Run;
use super::pending::Pending;
use super::{Output, Renders, Replayed};
use crate::shard::command::Command;
use crate::topic;
use crate::wire::{Delivery, Reason};

impl Renders {
    /// The exchange of a token whose time is not over.
    pub(super) fn place_of(&self, token: &str) -> Option<usize> {
        let valid = |run: &Run| *run.token == *token && run.unit.is_some();
        self.exchanges.iter().find(|(_, exchange)| valid(&exchange.run)).map(|(place, _)| place)
    }

    /// A script's process has this token.
    pub(crate) fn replayed(&mut self, token: &str) -> Option<Replayed<'_>> {
        let place = self.place_of(token)?;
        let run = &mut self.exchanges[place].run;
        run.reached = true;
        let (stream, (key, _)) = (run.stream, run.unit?);
        let unit = &self.units[key as usize];
        let request = &unit.members.iter().find(|member| member.stream == stream)?.request;
        Some(Replayed {
            stream,
            reason: unit.due.unwrap_or(Reason::Wake),
            remote: request.remote.as_ref().map_or(("", ""), |remote| (&remote.0, &remote.1)),
            last_event_id: unit.last_id.as_deref().or(request.last_event_id.as_deref()),
        })
    }

    /// A callback is about to run: what comes from now on makes it run again.
    pub(crate) fn render(&mut self, token: &str) -> Option<Vec<Delivery<'_>>> {
        let place = self.place_of(token)?;
        let run = &mut self.exchanges[place].run;
        let (key, _) = run.unit?;
        let unit = &mut self.units[key as usize];
        unit.due = None;
        Some(run.taken.insert(std::mem::take(&mut unit.pending)).deliveries())
    }

    /// A replayed script's call of `sse_stream()` is done.
    pub(crate) fn rendered(&mut self, token: &str, output: &Output<'_>) -> bool {
        let now = Instant::now();
        let Some(place) = self.place_of(token) else { return false };
        let run = &mut self.exchanges[place].run;
        let Some((key, _)) = run.unit else { return false };
        run.rendered = true;
        run.taken = None;
        let took = now.saturating_duration_since(run.started);
        self.figures.rendered(took);
        let unit = &mut self.units[key as usize];
        unit.failures = 0;
        unit.ran(now);
        // A script without a callback has not asked for events.
        if !output.render {
            unit.due = None;
            unit.pending = Pending::default();
        }
        self.watch(key, output.render, &output.patterns);
        self.send(key, output);
        true
    }

    /// A stream's first output, from its original request.
    pub(crate) fn rendered_first(&mut self, stream: u64, output: &Output<'_>) -> bool {
        let Some(&key) = self.by_stream.get(&stream) else { return false };
        self.send(key, output);
        true
    }

    pub(super) fn send(&mut self, key: u32, output: &Output<'_>) {
        let unit = &mut self.units[key as usize];
        if let Some(id) = output.last_id {
            unit.last_id = Some(id.into());
        }
        if output.frames.is_empty() {
            return;
        }
        if !unit.is_news(output.frames) {
            self.figures.unchanged += 1;
            return;
        }
        let frames: Arc<[u8]> = output.frames.into();
        if unit.share.is_some() {
            unit.output = Some(Arc::clone(&frames));
        }
        let streams = unit.members.iter().map(|member| member.stream);
        self.effects.extend(streams.map(|stream| (stream, Command::Frames { stream, frames: Arc::clone(&frames) })));
    }

    /// A replayed script ends without that.
    pub(crate) fn not_rendered(&mut self, token: &str, reason: &str) {
        if let Some(place) = self.place_of(token) {
            // An uncaught exception has its whole trace below.
            let first = reason.lines().next().unwrap_or_default();
            self.exchanges[place].run.reason = Some(topic::printable(first));
        }
    }
}
