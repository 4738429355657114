//! `sse_retopic()`: changes what an open stream watches.

use std::collections::BTreeSet;

use tracing::info;

use crate::broker::Broker;
use crate::broker::refusal::StreamRefusal;
use crate::quota::budget::Reservation;
use crate::quota::topics;
use crate::shard::command::Command;
use sse_protocol::topic;

impl Broker {
    /// Changes what a stream watches, from the next event on.
    ///
    /// # Errors
    /// If there is no such stream of this user, or it can't watch this.
    pub(crate) fn retopic(
        &mut self,
        public: &str,
        add: &[&str],
        remove: &[&str],
        user: Option<&str>,
    ) -> Result<(), StreamRefusal> {
        for patterns in [add, remove] {
            // Before anything is done with so many.
            self.check_count(patterns.len())?;
            topic::check_patterns(patterns, self.config.max_topics)?;
        }
        let stream = self.stream_ids.stream(public).filter(|stream| self.quota.is_of(*stream, user));
        let stream = stream.filter(|stream| self.topics.is_charged(*stream)).ok_or(StreamRefusal::NoStream)?;
        if self.renders.has_callback(stream) {
            return Err(StreamRefusal::Rendered);
        }
        let before = self.steerable.patterns(stream).ok_or(StreamRefusal::NoStream)?;
        let mut after: BTreeSet<&str> = before.iter().map(AsRef::as_ref).collect();
        after.extend(add);
        remove.iter().for_each(|pattern| {
            after.remove(pattern);
        });
        if after.is_empty() {
            return Err(StreamRefusal::NoneLeft);
        }
        self.check_count(after.len())?;
        topic::check_patterns(&after.iter().copied().collect::<Vec<_>>(), self.config.max_topics)?;
        self.counts.retopics += 1;
        if after.iter().copied().eq(before.iter().map(AsRef::as_ref)) {
            return Ok(());
        }
        let own: usize = after.iter().map(|pattern| topics::cost(pattern) + topics::copied(pattern)).sum();
        let mut patterns: Vec<Box<str>> = after.into_iter().map(Box::from).collect();
        let own_patterns = patterns.clone();
        // It may be told who is on its topics, by patterns of the hub's own.
        let following = self.following(stream, &own_patterns);
        patterns.extend(following.iter().flat_map(|following| following.readings.iter().cloned()));
        let readings: usize = patterns[own_patterns.len()..].iter().map(|pattern| topics::cost(pattern)).sum();
        let charge = following.as_ref().and_then(|following| following.charge.as_ref());
        let charged = charge.map_or(Ok(()), Reservation::check);
        let bytes = self.topics.bytes(stream);
        charged.and_then(|()| self.topics.try_change(stream, own + readings)).inspect_err(|exhausted| {
            self.counts.refused_topic_bytes += 1;
            self.warn_full(&exhausted.to_string());
        })?;
        let client = self.topics.client_of(stream);
        let watched = self.templates.try_watch(stream, client, own_patterns.iter().map(AsRef::as_ref));
        if let Err(exhausted) = watched {
            // As much as before is never too much.
            let _same_as_before = self.topics.change(stream, bytes);
            return Err(self.too_many_steps(exhausted));
        }
        // In order: what was told before this is for the old topics.
        self.pass_notifications();
        info!(stream, topics = own_patterns.len(), "watches other topics");
        let lists = following.map(|following| self.follow(stream, following)).unwrap_or_default();
        self.shard(stream).send(Command::Watch { stream, patterns });
        self.send_lists(stream, &lists);
        self.tell_finished_to(stream, &own_patterns);
        self.steerable.keep(stream, own_patterns);
        Ok(())
    }

    /// Has a stream watch the sorted patterns that a new run of its script has named; none: it has a callback now.
    pub(crate) fn rewatch(&mut self, stream: u64, own: &[Box<str>]) {
        self.steerable.change(stream, own);
        let mut patterns = own.to_owned();
        // A stream with a callback gets no events, but its user is on what the callback watches.
        let has_callback = own.is_empty() && self.presence.is_told(stream).is_some();
        let of_callback = if has_callback { self.renders.patterns(stream) } else { Vec::new() };
        let following = self.following(stream, if has_callback { &of_callback } else { own });
        let charge = following.as_ref().and_then(|following| following.charge.as_ref());
        let charged = charge.map_or(Ok(()), Reservation::check);
        let client = self.topics.client_of(stream);
        let charged = self.templates.watch(stream, client, own.iter().map(AsRef::as_ref)).and(charged);
        let mut lists = Vec::new();
        if let Some(mut following) = following {
            if !has_callback {
                patterns.append(&mut following.readings);
            }
            lists = self.follow(stream, following);
        }
        self.shard(stream).send(Command::Watch { stream, patterns });
        self.send_lists(stream, &lists);
        self.tell_finished_to(stream, own);
        if let Err(exhausted) = charged {
            self.end_exhausted(stream, &exhausted);
        }
    }

    fn check_count(&self, count: usize) -> Result<(), StreamRefusal> {
        let limit = self.config.max_topics;
        if count > limit { Err(StreamRefusal::Topics { count, limit }) } else { Ok(()) }
    }
}
