//! Requests of PHP processes: which must wait, and what each does.

use crate::broker::Broker;
use crate::broker::attach::Attached;
use crate::broker::deferred::DeferredRequest;
use crate::broker::finish::Conclusion;
use crate::broker::receipt::PublishAnswer;
use crate::broker::refusal::{OVER, StreamRefusal};
use crate::broker::report;
use crate::broker::resuming::{Searched, Searches};
use crate::connection::ProcessSession;
use crate::connection::decoder::Incoming;
use crate::connection::rights;
use crate::event::Event;
use crate::presence::subscription::SubscriptionQuery;
use crate::render::{CallOutput, Known, ReplayReply};
use crate::stats::openmetrics;
use crate::store::Store;
use crate::store::history::resume::Search;
use crate::store::retained::RetainedSearch;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, ErrorCode, Reply, Request};

impl Broker {
    /// Does a request, or defers it until the bus is read or its history search complete.
    pub(crate) fn handle(&mut self, session: &mut ProcessSession, incoming: Incoming<'_>) {
        match self.question(session, &incoming.request) {
            Some(question) => self.deferred.add(DeferredRequest::new(session.wait(), incoming), question),
            None => match self.search(session, &incoming.request) {
                Some(search) => {
                    session.resuming = true;
                    self.resuming.add(DeferredRequest::new(session.wait(), incoming), search);
                }
                None => self.act(session, incoming, None),
            },
        }
    }

    /// Does a request that has waited for the bus, or starts its history search; returns true if it is done.
    pub(crate) fn release(&mut self, session: &mut ProcessSession, mut deferred: DeferredRequest) -> bool {
        if let Some(search) = deferred.request().ok().and_then(|request| self.search(session, &request)) {
            session.resuming = true;
            self.resuming.add(deferred, search);
            return false;
        }
        self.act_deferred(session, &mut deferred, None);
        true
    }

    /// Does a deferred request, whose ticket must be the next to answer.
    pub(crate) fn act_deferred(
        &mut self,
        session: &mut ProcessSession,
        deferred: &mut DeferredRequest,
        searched: Option<Searched>,
    ) {
        let ticket = deferred.ticket;
        match deferred.incoming() {
            Ok(incoming) => self.act(session, incoming, searched),
            Err(error) => self.malformed(session, &error),
        }
        session.answered(ticket);
    }

    /// The searches that a request needs first, if any: for the events that its client has missed, and for last values.
    fn search(&self, session: &ProcessSession, request: &Request<'_>) -> Option<Searches> {
        let Request::Attach(wanted) = request else { return None };
        let wire::Attach { patterns, last_event_id, address, user, replay, retained, .. } = wanted;
        let id = last_event_id.filter(|id| !self.is_unread(id));
        if id.is_none() && !retained {
            return None;
        }
        let rendered = replay.as_ref().is_some_and(|replay| replay.render);
        // One that is going to be refused is so at once, whatever its reader has missed.
        let full =
            self.streams() >= self.max_streams as u64 || self.quota.admit(*address, *user, session.member()).is_err();
        let over = || matches!(self.conclusion(wanted), Some(Conclusion::Over));
        if !session.greeted || rendered || full || over() {
            return None;
        }
        let patterns = self.checked(patterns.clone()).ok()?;
        Some(Searches {
            missed: id.map(|id| Box::new(Search::new(&patterns, id))),
            retained: retained.then(|| RetainedSearch::new(&patterns)),
        })
    }

    /// The result of searches that are complete.
    pub(crate) fn conclude(&mut self, searches: Searches) -> Searched {
        let Searches { missed, retained } = searches;
        Searched {
            missed: missed.map(|search| self.history.conclude(*search)),
            retained: retained.map(|search| self.retained.found(&search)).unwrap_or_default(),
        }
    }

    /// Whether this id is the stand-in for the newest id of the bus.
    fn is_unread(&self, id: &str) -> bool {
        !self.loaded && id == self.unread
    }

    /// Asks the bus for its newest id if the request must wait, because this hub may not have read its client's event yet.
    fn question(&self, session: &ProcessSession, request: &Request<'_>) -> Option<u64> {
        match (&self.store, request) {
            (Store::Bus(bus), Request::Attach(wire::Attach { last_event_id: Some(id), replay, .. }))
                if session.greeted
                    && self.loaded
                    && !replay.as_ref().is_some_and(|replay| replay.render)
                    && self.history.may_come(id) =>
            {
                bus.ask()
            }
            _ => None,
        }
    }

    /// Does a request now; `searched` is the result of its searches.
    pub(crate) fn act(&mut self, session: &mut ProcessSession, incoming: Incoming<'_>, searched: Option<Searched>) {
        let Incoming { request, descriptor, truncated } = incoming;
        if !session.greeted {
            self.greet(session, &request);
            return;
        }
        if let Err(what) = rights::allowed(session.role, &request) {
            self.deny(session, &request, what);
            return;
        }
        match request {
            Request::Hello { .. } => session.error(ErrorCode::Invalid, "this connection was greeted already"),
            Request::Attach(wanted) => match self.attach(session.member(), wanted, descriptor, truncated, searched) {
                Ok(Attached { stream, rendered, opening, public, resumed }) => {
                    session.held.push(stream);
                    let (opening, public) = (&opening, &public);
                    session.reply(&Reply::Attached { stream, rendered, opening, public, resumed });
                }
                Err(refused) => session.error(refused.code(), &refused.to_string()),
            },
            Request::Commit { stream, framing } => {
                if taken(&mut session.held, stream) {
                    self.pass_notifications();
                    self.shard(stream).commit(stream, framing);
                    self.renders.open(stream);
                }
            }
            Request::Redirect { stream, address, headers } => {
                match self.redirect(session.held.contains(&stream), stream, address, &headers) {
                    Ok(ticket) => {
                        taken(&mut session.held, stream);
                        session.reply(&Reply::Redirect { ticket: &ticket });
                    }
                    Err(refused) => session.error(refused.code(), &refused.to_string()),
                }
            }
            Request::Abort { stream } => {
                if taken(&mut session.held, stream) {
                    self.abandon(&[stream]);
                }
            }
            Request::Publish { event, answer } => {
                let answer = if answer { PublishAnswer::Id } else { PublishAnswer::Nothing };
                self.publish(session, &event, answer);
            }
            Request::PublishReported { event } => self.publish(session, &event, PublishAnswer::Receipt),
            Request::Trigger { topics } => self.trigger(&topics),
            Request::Replayed { token } => match self.renders.replayed(token, session.connection()) {
                Known::Run(ReplayReply { stream, reason, remote, last_event_id }) => {
                    let public = &self.stream_ids.public(stream);
                    let topics = self.steerable.patterns(stream).unwrap_or_default();
                    let topics = topics.iter().map(AsRef::as_ref).collect();
                    session.reply(&Reply::Replayed { stream, public, reason, remote, last_event_id, topics });
                }
                Known::Over => session.error(ErrorCode::Over, OVER),
                Known::No => session.error(ErrorCode::Unknown, OVER),
            },
            Request::Render { token, patterns } => match self.checked_of_callback(patterns) {
                Ok(patterns) => {
                    self.pass_notifications();
                    match self.renders.render(token, session.connection(), &patterns) {
                        Some(events) => session.reply(&Reply::Events { events }),
                        None => session.error(ErrorCode::Over, OVER),
                    }
                }
                Err(refused) => session.error(refused.code(), &refused.to_string()),
            },
            Request::Rendered { whose, render, share, patterns, last_id, ends, frames, answer } => {
                let output = CallOutput { render, share, patterns, last_id, ends, frames };
                match self.rendered(session, whose, output) {
                    Ok(()) if answer => session.reply(&Reply::Done),
                    Err(refused) if answer => session.error(refused.code(), &refused.to_string()),
                    // A process that doesn't wait for the answer could not react to an error.
                    Ok(()) | Err(_) => {}
                }
            }
            Request::NotRendered { token, reason } => {
                self.renders.not_rendered(token, session.connection(), reason);
                session.reply(&Reply::Done);
            }
            Request::Finished { patterns, last_event_id } => {
                let spec = StreamSpec { finishes: true, ..StreamSpec::default() };
                let wanted = wire::Attach { patterns, spec, last_event_id, ..wire::Attach::default() };
                match self.conclusion(&wanted) {
                    Some(Conclusion::Over) => session.error(ErrorCode::Finished, &StreamRefusal::Finished.to_string()),
                    Some(Conclusion::Last(_)) | None => session.reply(&Reply::Done),
                }
            }
            Request::Retained { topic } => {
                let event = self.retained.get(topic).map(Event::delivery);
                session.reply(&Reply::Events { events: event.into_iter().collect() });
            }
            Request::Presence { topic, after, limit } => self.members(session, topic, after, limit),
            Request::PresenceCount { topic } => self.member_count(session, topic),
            Request::Subscriptions { pattern, subscriber, after, limit } => {
                let query = SubscriptionQuery { pattern, subscriber, after, limit: limit as usize };
                self.subscriptions(session, &query);
            }
            Request::Watchers { topic, local } => self.watchers(session, topic, local),
            Request::Streams { whose, after, limit } => {
                if let Err(refused) = self.streams_page(session, whose, after, limit) {
                    session.error(refused.code(), &refused.to_string());
                }
            }
            Request::Disconnect { whom, retry } => match self.disconnect(whom, retry) {
                Ok(streams) => session.reply(&Reply::Disconnected { streams }),
                Err(refused) => session.error(refused.code(), &refused.to_string()),
            },
            Request::Retopic { stream, add, remove, user } => match self.retopic(stream, &add, &remove, user) {
                Ok(()) => session.reply(&Reply::Cursor { id: &self.newest() }),
                Err(refused) => session.error(refused.code(), &refused.to_string()),
            },
            Request::Cursor => {
                session.reply(&Reply::Cursor { id: &self.newest() });
            }
            Request::Stats => session.reply(&Reply::Stats { json: &report::report(self).to_string() }),
            Request::Metrics => session.reply(&Reply::Metrics { text: &openmetrics::text(report::report(self)) }),
        }
    }
}

/// Removes a stream from those a connection holds; false if it wasn't there.
fn taken(held: &mut Vec<u64>, stream: u64) -> bool {
    let place = held.iter().position(|id| *id == stream);
    place.map(|place| held.swap_remove(place)).is_some()
}
