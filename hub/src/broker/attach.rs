//! Attach and end of streams, and the effects of render jobs.

use std::mem;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::SocketType;
use tracing::{info, warn};

use crate::broker::{Broker, OVER};
use crate::quota;
use crate::quota::OverQuota;
use crate::quota::address;
use crate::quota::budget::Exhausted;
use crate::render::Output;
use crate::render::client::Client;
use crate::render::upstream::NoReplay;
use crate::server::Of;
use crate::server::connection::Session;
use crate::shard::command::{Attach, Command};
use crate::stats::Ended;
use crate::store::history::Missed;
use crate::util::log;
use crate::util::random;
use sse_protocol::cause::Cause;
use sse_protocol::event;
use sse_protocol::topic;
use sse_protocol::wire::{self, ErrorCode, Whose};

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
}

impl Broker {
    /// Holds a stream, of a member's process if one is named.
    pub(crate) fn attach(
        &mut self,
        member: Option<u32>,
        wanted: wire::Attach<'_>,
        descriptor: Option<OwnedFd>,
        truncated: bool,
        missed: Option<Missed>,
    ) -> Result<Attached, (ErrorCode, String)> {
        let invalid = |message: String| (ErrorCode::Invalid, message);
        let wire::Attach {
            patterns,
            heartbeat,
            retry,
            max_lifetime,
            last_event_id,
            address,
            user,
            topics_as,
            cursor,
            opens,
            replay,
        } = wanted;
        let patterns = self.checked(patterns)?;
        quota::check_user(user).map_err(invalid)?;
        if self.streams() >= self.max_streams as u64 {
            self.counts.refused_full += 1;
            return Err((ErrorCode::Full, self.full()));
        }
        let mut party = self.quota.admit(address, user, member).map_err(|refused| self.too_many(refused))?;
        let charge = self.topics.reserve(address, &patterns).map_err(|exhausted| {
            self.counts.refused_topic_bytes += 1;
            let message = exhausted.to_string();
            self.warn_full(&message);
            let code = if matches!(exhausted, Exhausted::Client { .. }) { ErrorCode::TooMany } else { ErrorCode::Full };
            (code, message)
        })?;
        let Some(socket) = descriptor else {
            if !truncated {
                return Err(invalid("no connection came with the request".into()));
            }
            self.counts.refused_descriptors += 1;
            let message = out_of_descriptors(self.descriptors);
            self.warn_full(&message);
            return Err((ErrorCode::Full, message));
        };
        if rustix::net::sockopt::socket_type(&socket) != Ok(SocketType::STREAM) {
            return Err(invalid("what came with the request is not a stream socket".into()));
        }
        let Some(id) = self.next_stream() else {
            self.counts.refused_full += 1;
            return Err((ErrorCode::Full, self.full()));
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
        self.pass_nudges();
        // A stream with a callback gets the callback's output instead of the events.
        let forwarded = if replay.as_ref().is_some_and(|(.., replay)| replay.render) { &[] } else { &patterns[..] };
        let watched = forwarded.iter().copied().map(Box::from).collect();
        // A stream of a user may be replaced by a newer one.
        let followed = replay.is_some() || party.has_user();
        for old in mem::take(&mut party.replaces) {
            self.uncount(old);
            self.shard(old).send(Command::End { stream: old, why: Ended::Replaced });
        }
        self.quota.enter(id, party);
        self.topics.charge(id, charge);
        let lifetime = shortened(max_lifetime);
        // The stream starts to watch in this same turn, so it gets later events itself.
        let since = last_event_id.filter(|_| missed.is_some());
        let mut missed = match missed {
            Some(missed) => missed,
            None if self.loaded && !forwarded.is_empty() => self.history.none_missed(),
            None => Missed::default(),
        };
        let script = replay.as_ref().map(|(.., replay)| replay.request.script);
        info!(stream = id, topics = patterns.len(), script, missed = missed.events.len(), "attached");
        if missed.gap.is_some() {
            let oldest = missed.events.first().map(|event| log::shown(event.id()));
            info!(stream = id, requested = since.map(log::shown), oldest, "a gap was told");
        }
        // Before the bus is read its newest id is unknown.
        missed.cursor = missed.cursor.filter(|_| cursor && self.loaded);
        let opening = if opens { opening(retry, &mut missed) } else { String::new() };
        let attach = Attach {
            id,
            client: address::number(address.and_then(address::client)),
            socket,
            patterns: watched,
            heartbeat,
            retry,
            lifetime,
            missed,
            opened: opens,
            followed,
        };
        self.shard(id).stats().told.add(usize::from(opens));
        // The shard only queues for a held stream, so it need not wake before another command follows.
        self.shard(id).send_ahead(Command::Attach(attach));
        if let Some(topics_as) = topics_as {
            let cursor = self.newest().into();
            self.shard(id).send_ahead(Command::TellTopics { stream: id, topics_as, cursor });
        }
        let rendered = replay.is_some_and(|(upstream, request, replay)| {
            let client = Client::of(id, user, address, &replay.request);
            self.renders.attach(id, upstream, (client, request), &replay, &patterns)
        });
        self.pass_effects();
        Ok(Attached { stream: id, rendered, opening })
    }

    /// Checks, sorts and deduplicates patterns.
    pub(crate) fn checked<'a>(&self, mut patterns: Vec<&'a str>) -> Result<Vec<&'a str>, (ErrorCode, String)> {
        let invalid = |message: String| (ErrorCode::Invalid, message);
        patterns.sort_unstable();
        patterns.dedup();
        if patterns.is_empty() {
            return Err(invalid("no topic given; name at least one topic or pattern to watch".into()));
        }
        if patterns.len() > self.config.max_topics {
            let (count, limit) = (patterns.len(), self.config.max_topics);
            return Err(invalid(format!("{count} topics given; sse.max_topics allows {limit} for one stream")));
        }
        for pattern in &patterns {
            topic::check_pattern(pattern).map_err(|error| invalid(error.to_string()))?;
        }
        Ok(patterns)
    }

    pub(crate) fn rendered(
        &mut self,
        session: &Session,
        whose: Whose<'_>,
        mut output: Output<'_>,
    ) -> Result<(), (ErrorCode, String)> {
        output.patterns = self.checked(output.patterns)?;
        let taken = match whose {
            Whose::Stream(stream) => session.held.contains(&stream) && self.renders.rendered_first(stream, &output),
            Whose::Token(token) => self.renders.rendered(token, session.connection(), &output),
        };
        self.pass_effects();
        if taken { Ok(()) } else { Err((ErrorCode::Over, OVER.into())) }
    }

    /// Releases ended streams that the shards have reported, for about `time`.
    pub(crate) fn learn_ends(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() <= time
            && let Ok(stream) = self.ends.try_recv()
        {
            self.renders.ended(stream);
            self.uncount(stream);
        }
    }

    /// Whether more ends are reported.
    pub(crate) fn has_ends(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Releases the quota and topic bytes of a stream that has ended, or is bound to.
    pub(crate) fn uncount(&mut self, stream: u64) {
        self.quota.leave(stream);
        self.topics.release(stream);
    }

    /// Continues the attempts whose sockets are ready, and starts waiting jobs. `heard`: all messages of the connections so far
    /// were read.
    pub(crate) fn go_on_rendering(&mut self, attempts: &[usize], heard: bool) {
        self.pass_nudges();
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
            self.shard(stream).send(command);
        }
        for (stream, bytes) in self.renders.take_watched() {
            if let Err(exhausted) = self.topics.change(stream, bytes) {
                self.warn_full(&exhausted.to_string());
                // The client reconnects, and the attach then reports the limit.
                self.shard(stream).send(Command::End { stream, why: Ended::Moved });
            }
        }
    }

    pub(crate) fn too_many(&mut self, refused: OverQuota) -> (ErrorCode, String) {
        let message = match refused {
            OverQuota::Address(message) => {
                self.counts.refused_per_ip += 1;
                message
            }
            OverQuota::User(message) => {
                self.counts.refused_per_user += 1;
                message
            }
        };
        if let Some(kept_back) = self.too_many.due(Instant::now()) {
            warn!(reason = message, before = kept_back, "a stream was refused");
        }
        (ErrorCode::TooMany, message)
    }

    /// The error for a stream that can't be attached because its script could not be replayed.
    fn no_replay(&mut self, NoReplay { cause, why }: NoReplay) -> (ErrorCode, String) {
        let code = match cause {
            Cause::Client => ErrorCode::TooMany,
            Cause::Load => ErrorCode::Busy,
            Cause::Server => return (ErrorCode::NoReplay, why),
        };
        if let Some(kept_back) = self.busy.due(Instant::now()) {
            warn!(reason = why, before = kept_back, "a stream was refused");
        }
        (code, why)
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

/// The first bytes of a stream whose worker sends them. They include the cursor only if no missed events or gap precede it;
/// otherwise the hub sends it after those.
fn opening(retry: u32, missed: &mut Missed) -> String {
    let first = missed.gap.is_none() && missed.events.is_empty();
    match missed.cursor.take_if(|_| first) {
        Some(id) => event::opening_at(retry, &event::cursor(id)),
        None => event::opening(retry),
    }
}

/// A lifetime in seconds, less a random part; `None`: unlimited.
fn shortened(lifetime: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(lifetime - random::up_to(lifetime / LIFETIME_SPREAD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn streams_that_began_together_do_not_end_together() {
        let lifetimes: BTreeSet<u32> = (0..1000).filter_map(|_| shortened(100)).map(NonZeroU32::get).collect();
        assert_eq!(lifetimes.into_iter().collect::<Vec<_>>(), (90..=100).collect::<Vec<_>>());
        assert_eq!(shortened(1), NonZeroU32::new(1));
        assert_eq!(shortened(0), None);
    }
}
