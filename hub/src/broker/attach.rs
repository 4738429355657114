//! Attach and end of streams, and the effects of render jobs.

use std::collections::HashMap;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::SocketType;
use tracing::{debug, info, warn};

use crate::broker::Broker;
use crate::broker::finish::Conclusion;
use crate::broker::presence::PresenceEntry;
use crate::broker::refusal::StreamRefusal;
use crate::broker::resuming::Searched;
use crate::connection::ProcessSession;
use crate::connection::token::Of;
use crate::event::Event;
use crate::quota;
use crate::quota::OverQuota;
use crate::quota::address;
use crate::quota::budget::{Exhausted, Reservation};
use crate::render::CallOutput;
use crate::render::client::ClientHash;
use crate::render::upstream::NoReplay;
use crate::shard::command::{Command, FinishTime, NewStream};
use crate::shard::report::ShardReport;
use crate::stats::EndReason;
use crate::store::history::Missed;
use crate::util::log;
use crate::util::random;
use sse_protocol::cause::Cause;
use sse_protocol::event;
use sse_protocol::mercure;
use sse_protocol::stream::StreamSpec;
use sse_protocol::topic;
use sse_protocol::wire::{self, Whose};

/// One part in this many of a lifetime is random, so that streams that began together don't end together.
const LIFETIME_SPREAD: u32 = 10;

/// Members of `sse.socket_group` get one part in this many of the descriptors for their connections, all together.
const MEMBERS_PART: usize = 4;

/// The answer to a worker's attach.
pub(crate) struct Attached {
    /// Id of the stream.
    pub(crate) stream: u64,
    /// The stream gets the shared output of its `share`; its script need not render.
    pub(crate) rendered: bool,
    /// First bytes of the stream, which the worker sends itself.
    pub(crate) opening: String,
    /// The stream's public id, if its script asked for it; otherwise empty.
    pub(crate) public: String,
    /// The stream goes on after its client's last event, and nothing is missing in between.
    pub(crate) resumed: bool,
}

impl Broker {
    /// Holds a stream, of a member's process if one is named.
    pub(crate) fn attach(
        &mut self,
        member: Option<u32>,
        wanted: wire::Attach<'_>,
        descriptor: Option<OwnedFd>,
        truncated: bool,
        searched: Option<Searched>,
    ) -> Result<Attached, StreamRefusal> {
        let last = match self.conclusion(&wanted) {
            Some(Conclusion::Over) => {
                self.counts.over += 1;
                return Err(StreamRefusal::Finished);
            }
            Some(Conclusion::Last(last)) => Some(last),
            None => None,
        };
        let wire::Attach { patterns, mut spec, last_event_id, address, user, retained: _, replay, presence } = wanted;
        let Searched { missed, retained } = searched.unwrap_or_default();
        let render = replay.as_ref().is_some_and(|replay| replay.render);
        let patterns = if render { self.checked_of_callback(patterns)? } else { self.checked(patterns)? };
        quota::check_user(user)?;
        if self.streams() >= self.max_streams as u64 {
            self.counts.refused_full += 1;
            return Err(StreamRefusal::Full(self.full()));
        }
        let mut keys = self.quota.admit(address, user, member).map_err(|refused| self.over_quota(refused))?;
        let (charge, entry) =
            self.charge(address, &patterns, presence, (!render, spec.stream_id)).inspect_err(|refused| {
                if let StreamRefusal::TopicBytes(exhausted) = refused {
                    self.counts.refused_topic_bytes += 1;
                    self.warn_full(&exhausted.to_string());
                }
            })?;
        let client = address.and_then(address::client);
        let templates = self.templates.check(client, patterns.iter().copied());
        let templates = templates.map_err(|exhausted| self.too_many_steps(exhausted))?;
        let Some(socket) = descriptor else {
            if !truncated {
                return Err(StreamRefusal::NoConnection);
            }
            self.counts.refused_descriptors += 1;
            let message = out_of_descriptors(self.descriptors);
            self.warn_full(&message);
            return Err(StreamRefusal::Full(message));
        };
        if rustix::net::sockopt::socket_type(&socket) != Ok(SocketType::STREAM) {
            return Err(StreamRefusal::NoSocket);
        }
        let Some(id) = self.next_stream() else {
            self.counts.refused_full += 1;
            return Err(StreamRefusal::Full(self.full()));
        };
        let replay = match replay {
            Some(replay) => {
                let upstream =
                    self.renders.upstream(socket.as_fd(), replay.request.protocol).map_err(|no| self.no_replay(no))?;
                let kept = self.renders.keep(&replay.request, address);
                let request = kept.map_err(|no| self.no_replay(no))?;
                Some((upstream, request, replay))
            }
            None => None,
        };
        self.counts.attached += 1;
        self.pass_notifications();
        // A stream with a callback gets the callback's output instead of the events.
        let forwarded = if render { &[] } else { &patterns[..] };
        let steerable: Vec<Box<str>> = forwarded.iter().copied().map(Box::from).collect();
        let watched: Vec<Box<str>> = forwarded.iter().copied().chain(entry.readings()).map(Box::from).collect();
        // A stream of a user may be replaced by a newer one, and one that knows its public id may be changed.
        let followed = replay.is_some() || keys.has_user() || spec.stream_id;
        for old in mem::take(&mut keys.replaces) {
            self.uncount(old);
            self.shard(old).send(Command::End { stream: old, why: EndReason::Replaced });
        }
        self.quota.enter(id, keys);
        if spec.stream_id && !steerable.is_empty() {
            self.steerable.keep(id, steerable);
        }
        self.topics.charge(id, charge);
        self.templates.enter(id, templates);
        let lists = self.enter(id, entry);
        spec.max_lifetime = shortened(spec.max_lifetime);
        // The stream starts to watch in this same turn, so it gets later events itself.
        let since = last_event_id.filter(|_| missed.is_some());
        let mut missed = match missed {
            Some(missed) => missed,
            None if self.loaded && !forwarded.is_empty() => self.history.none_missed(),
            None => Missed::default(),
        };
        let resumed = missed.gap.is_none() && since.is_some_and(|id| id != mercure::EARLIEST);
        let over = last.is_some();
        if let Some(last) = last {
            missed = Self::complete(missed, last);
        }
        let script = replay.as_ref().map(|(.., replay)| replay.request.script);
        info!(stream = id, topics = patterns.len(), script, missed = missed.events.len(), "attached");
        debug!(stream = id, topics = ?log::Topics(&patterns), "watches");
        if missed.gap.is_some() {
            let oldest = missed.events.first().map(|event| log::shown(event.id()));
            info!(stream = id, requested = since.map(log::shown), oldest, "a gap was told");
        }
        if !retained.is_empty() {
            let known: HashMap<&str, &Event> = missed.events.iter().map(|event| (event.id(), &**event)).collect();
            let is_missed = |event: &Event| known.get(event.id()).is_some_and(|other| other.data() == event.data());
            let mut events: Vec<_> = retained.into_iter().filter(|event| !is_missed(event)).collect();
            events.append(&mut missed.events);
            missed.events = events;
        }
        // A callback's first output answers a long-poll by itself.
        let begins = since.is_none() || missed.gap.is_some() || !missed.events.is_empty();
        let answered = spec.long_poll && !render && begins;
        // Before the bus is read its newest id is unknown.
        missed.cursor = missed.cursor.filter(|_| spec.cursor && self.loaded);
        let public = if spec.stream_id { self.stream_ids.public(id) } else { String::new() };
        let told = spec.stream_id.then(|| event::stream_told(&public));
        let (opening, first) = match spec.opens {
            true => (opening(&spec, told.as_deref(), &mut missed), None),
            false => (String::new(), told.map(String::into_boxed_str)),
        };
        let finished = if spec.finishes && !over { self.finished_among(&patterns) } else { Vec::new() };
        let attach = NewStream {
            id,
            client: address::number(client),
            socket,
            patterns: watched,
            spec,
            first,
            missed,
            newest: spec.topics_as.map(|_| self.newest().into()),
            followed,
        };
        self.shard(id).stats().told.add(usize::from(spec.opens));
        // The shard only queues for a held stream, so it need not wake before another command follows.
        self.shard(id).send_ahead(Command::Attach(attach));
        for topic in finished {
            self.shard(id).send_ahead(Command::Finish { topic, when: FinishTime::Before });
        }
        // Its worker opens it first, so it gets what is queued.
        if over {
            self.shard(id).send(Command::End { stream: id, why: EndReason::Finished });
        } else if answered {
            self.shard(id).send(Command::End { stream: id, why: EndReason::Lifetime });
        }
        self.send_lists(id, &lists);
        let rendered = replay.is_some_and(|(upstream, request, replay)| {
            let client = ClientHash::of(id, user, address, &replay.request);
            self.renders.attach(id, upstream, (client, request), &replay, &patterns)
        });
        self.pass_effects();
        Ok(Attached { stream: id, rendered, opening, public, resumed })
    }

    /// Reserves the memory for a stream's subscription and for what it has to do with presence.
    fn charge<'a>(
        &self,
        address: Option<&str>,
        patterns: &[&'a str],
        presence: wire::Presence<'_>,
        (forwarded, steerable): (bool, bool),
    ) -> Result<(Reservation, PresenceEntry<'a>), StreamRefusal> {
        let entry = self.presence_of(presence, patterns, address, forwarded)?;
        let watched: Vec<&str> = patterns.iter().copied().chain(entry.readings()).collect();
        let charge = self.topics.reserve(address, &watched, steerable)?;
        Ok((charge, entry))
    }

    /// Checks, sorts and deduplicates patterns.
    pub(crate) fn checked<'a>(&self, mut patterns: Vec<&'a str>) -> Result<Vec<&'a str>, StreamRefusal> {
        patterns.sort_unstable();
        patterns.dedup();
        if patterns.is_empty() {
            return Err(StreamRefusal::NoTopic);
        }
        if patterns.len() > self.config.max_topics {
            let (count, limit) = (patterns.len(), self.config.max_topics);
            return Err(StreamRefusal::Topics { count, limit });
        }
        topic::check_patterns(&patterns, self.config.max_topics)?;
        Ok(patterns)
    }

    /// Checks, sorts and deduplicates the patterns of a callback.
    pub(crate) fn checked_of_callback<'a>(&self, patterns: Vec<&'a str>) -> Result<Vec<&'a str>, StreamRefusal> {
        let patterns = self.checked(patterns)?;
        // The ordering thread finds the callbacks, and compares no templates.
        if patterns.iter().any(|pattern| mercure::is_mercure(pattern)) {
            return Err(StreamRefusal::Selector);
        }
        Ok(patterns)
    }

    pub(crate) fn rendered(
        &mut self,
        session: &ProcessSession,
        whose: Whose<'_>,
        mut output: CallOutput<'_>,
    ) -> Result<(), StreamRefusal> {
        output.patterns =
            if output.render { self.checked_of_callback(output.patterns)? } else { self.checked(output.patterns)? };
        let taken = match whose {
            Whose::Stream(stream) => session.held.contains(&stream) && self.renders.rendered_first(stream, &output),
            Whose::Token(token) => self.renders.rendered(token, session.connection(), &output),
        };
        self.pass_effects();
        if taken { Ok(()) } else { Err(StreamRefusal::Over) }
    }

    /// Handles what the shards have reported, for about `time`: releases ended streams, and learns what inquiries have found.
    pub(crate) fn hear_shards(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() <= time
            && let Ok(report) = self.shard_reports.try_recv()
        {
            match report {
                ShardReport::Ended(stream) => {
                    self.renders.ended(stream);
                    self.uncount(stream);
                }
                ShardReport::Listed { question, streams, more } => self.inquiries.listed(question, streams, more),
                ShardReport::Counted { question, streams } => self.inquiries.counted(question, streams),
            }
        }
    }

    /// Whether the shards have reported more.
    pub(crate) fn has_shard_reports(&self) -> bool {
        !self.shard_reports.is_empty()
    }

    /// Releases the quota, topic bytes and templates of a stream that has ended, or is bound to.
    pub(crate) fn uncount(&mut self, stream: u64) {
        self.quota.leave(stream);
        self.steerable.forget(stream);
        self.topics.release(stream);
        self.templates.release(stream);
        self.presence.leave(stream, Instant::now());
    }

    /// Continues the attempts whose sockets are ready, and starts waiting jobs. `heard`: all messages of the connections so far
    /// were read.
    pub(crate) fn go_on_rendering(&mut self, attempts: &[usize], heard: bool) {
        self.pass_notifications();
        if heard {
            self.renders.conclude_ended();
        }
        for &place in attempts {
            self.renders.ready(place);
        }
        self.renders.turn(|place| Of::Attempt(place).into());
        self.pass_effects();
    }

    pub(crate) fn pass_effects(&mut self) {
        for (stream, command) in self.renders.take_effects() {
            match command {
                Command::Watch { patterns, .. } => self.rewatch(stream, &patterns),
                command => self.shard(stream).send(command),
            }
        }
        for (stream, bytes) in self.renders.take_watched() {
            let bytes = bytes + self.steerable.bytes(stream) + self.reading_bytes(stream);
            if let Err(exhausted) = self.topics.change(stream, bytes) {
                self.end_exhausted(stream, &exhausted);
            }
        }
    }

    /// Ends a stream whose new topics are too much.
    pub(crate) fn end_exhausted(&mut self, stream: u64, exhausted: &Exhausted) {
        self.warn_full(&exhausted.to_string());
        // The client reconnects, and the attach then reports the limit.
        self.shard(stream).send(Command::End { stream, why: EndReason::Moved });
    }

    /// Counts and logs a stream with too many templates.
    pub(crate) fn too_many_steps(&mut self, exhausted: Exhausted) -> StreamRefusal {
        self.counts.refused_template_steps += 1;
        self.warn_full(&exhausted.to_string());
        exhausted.into()
    }

    /// Counts and logs a stream over a quota.
    fn over_quota(&mut self, refused: OverQuota) -> OverQuota {
        match refused {
            OverQuota::Address(_) => self.counts.refused_per_ip += 1,
            OverQuota::User(_) => self.counts.refused_per_user += 1,
        }
        if let Some(kept_back) = self.over_quota.due(Instant::now()) {
            warn!(reason = refused.to_string(), before = kept_back, "a stream was refused");
        }
        refused
    }

    /// Logs a stream that can't be attached because its script could not be replayed.
    fn no_replay(&mut self, refused: NoReplay) -> NoReplay {
        if refused.cause != Cause::Server
            && let Some(kept_back) = self.busy.due(Instant::now())
        {
            warn!(reason = refused.why, before = kept_back, "a stream was refused");
        }
        refused
    }

    pub(crate) fn full(&mut self) -> String {
        let (limit, descriptors) = (self.max_streams, self.descriptors);
        let message = if self.config.max_streams > 0 && self.streams() >= limit as u64 {
            format!("{limit} streams are open, and sse.max_streams allows no more")
        } else if self.shards.iter().any(|shard| shard.process().is_some()) {
            format!(
                "{} streams are open, and the limit of {descriptors} descriptors of each of {} processes allows no more; \
                 raise it (ulimit -n, or LimitNOFILE in a systemd unit), or set sse.processes higher",
                self.streams(),
                self.shards.len()
            )
        } else {
            format!(
                "{limit} streams are open, and the limit of {descriptors} descriptors allows no more; raise it (ulimit -n, \
                 or LimitNOFILE in a systemd unit), or set sse.max_streams to what is needed, which the hub then spreads \
                 over several processes"
            )
        };
        self.warn_full(&message);
        message
    }

    /// The error for a connection that could not be accepted for lack of a descriptor.
    pub(crate) fn no_descriptor(&mut self) -> String {
        self.counts.refused_descriptors += 1;
        let message = out_of_descriptors(self.descriptors);
        self.warn_full(&message);
        message
    }

    /// Most connections that members of `sse.socket_group` have together: a part of the descriptors, so that the hub's own user
    /// always has some.
    pub(crate) fn members_share(&self) -> usize {
        self.descriptors / MEMBERS_PART
    }

    /// The error for a member's connection when members have their share.
    pub(crate) fn too_many_members(&mut self) -> String {
        self.counts.refused_descriptors += 1;
        let message = format!(
            "other users than the hub's own have {} connections to it, and may have no more of the {} descriptors that its \
             limit allows; raise it (ulimit -n, or LimitNOFILE in a systemd unit), or have them connect less often",
            self.members_share(),
            self.descriptors
        );
        self.warn_full(&message);
        message
    }

    pub(crate) fn warn_full(&mut self, reason: &str) {
        if let Some(kept_back) = self.full.due(Instant::now()) {
            warn!(reason, before = kept_back, "a stream was refused");
        }
    }
}

fn out_of_descriptors(limit: usize) -> String {
    format!(
        "the hub has no descriptor left of the {limit} that its limit allows; raise it (ulimit -n, or LimitNOFILE in a \
         systemd unit), or set sse.max_streams lower"
    )
}

/// The first bytes of a stream whose worker sends them, with the event that tells its public id, if any. They include the cursor
/// only if no missed events or gap precede it; otherwise the hub sends it after those.
fn opening(spec: &StreamSpec, told: Option<&str>, missed: &mut Missed) -> String {
    let first = missed.gap.is_none() && missed.events.is_empty();
    let cursor = missed.cursor.take_if(|_| first).map(event::cursor);
    let lines = [told, cursor.as_deref()].into_iter().flatten().collect::<String>();
    if lines.is_empty() { event::opening(spec) } else { event::opening_at(spec, &lines) }
}

/// A lifetime in seconds, less a random part; 0: unlimited.
fn shortened(lifetime: u32) -> u32 {
    lifetime - random::up_to(lifetime / LIFETIME_SPREAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn streams_that_began_together_do_not_end_together() {
        let lifetimes: BTreeSet<u32> = (0..1000).map(|_| shortened(100)).collect();
        assert_eq!(lifetimes.into_iter().collect::<Vec<_>>(), (90..=100).collect::<Vec<_>>());
        assert_eq!(shortened(1), 1);
        assert_eq!(shortened(0), 0);
    }
}
