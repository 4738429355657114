//! Where requests are done: ids, limits, counters, and the shards that the work is passed to.

mod handover;

use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, mem};

use crossbeam_channel::Receiver;
use mio::Waker;
use rustix::net::SocketType;
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use crate::bus::Place;
use crate::config::Config;
use crate::event::{Event, NewEvent};
use crate::handover::{FORMAT, LEAVE, TAKE_OVER};
use crate::history::disk::{Restored, Written};
use crate::history::{self, History, Limits, Missed};
use crate::id::{Id, IdClock, now_ms};
use crate::inbox::Incoming;
use crate::keeper::{Keeper, Kept, Loaded, News, Ticket};
use crate::log;
use crate::random;
use crate::render::{Known, Output, Renders, Replayed};
use crate::router::Of;
use crate::router::metrics;
use crate::router::nudges::Nudges;
use crate::router::parked::{CarPark, Parked};
use crate::router::peer::Session;
use crate::router::report;
use crate::router::sparingly::Sparingly;
use crate::router::visitors::{self, TooMany, Visitors};
use crate::shard::command::{Attach, Command};
use crate::shard::handle::ShardHandle;
use crate::shard::names::Names;
use crate::stats::ShardStats;
use crate::stream::Trigger;
use crate::topic;
use crate::udp;
use crate::wire::{self, ErrorCode, MAGIC, PROTOCOL, Reply, Request, VERSION, Whose, WireError};

/// Descriptors that streams leave for everything else: PHP processes, shards, files.
const DESCRIPTORS_KEPT: usize = 128;

/// What an idle stream takes, in bytes, about.
const STREAM: u64 = 256;

/// Of a lifetime, this part is random, so that streams that began together don't end together.
const LIFETIME_SPREAD: u32 = 10;

/// How long requests wait for the bus when the hub has just started, which must be well below `sse.timeout`.
const BUS_PATIENCE: Duration = Duration::from_millis(800);

/// Everything that requests change.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) config: Config,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) names: Arc<Names>,
    pub(crate) counts: Counts,
    pub(crate) started: Instant,
    /// Times that another hub has taken over.
    pub(crate) upgrades: u64,
    /// Another hub is to be started afresh once this one has ended.
    pub(crate) is_asked_to_leave: bool,
    /// Connected PHP processes.
    pub(crate) peers: usize,
    /// The UDP socket, where there is one.
    pub(crate) udp: Option<udp::Receiver>,
    /// Owners that peers named and that are not watched yet.
    pub(crate) new_owners: Vec<u32>,
    /// Streams whose scripts can be run again.
    pub(crate) renders: Renders,
    /// Streams that the shards have ended, of those that they are to report.
    ends: Receiver<u64>,
    clock: IdClock,
    /// Where events are kept before they are delivered.
    pub(crate) keeper: Keeper,
    /// What a keeper that was closed has written, and how far it has read.
    written: Written,
    place: Option<Place>,
    /// What it tells.
    news: Receiver<News>,
    /// Wakes the router when there is news.
    router: Arc<Waker>,
    /// Events kept for readers that were away.
    pub(crate) history: History,
    /// Stands for the newest id of a bus that is not read yet.
    unread: String,
    nudges: Nudges,
    /// Those that have come over the bus.
    heard: Nudges,
    /// The bus has been read for the first time.
    loaded: bool,
    /// Its wakes are heard.
    listening: bool,
    /// Requests wait until then for the bus to be there.
    gate: Option<Instant>,
    /// How far the bus was read.
    position: Id,
    /// Attaches that wait for it.
    parked: CarPark,
    max_streams: usize,
    /// The limit of descriptors, for messages.
    descriptors: usize,
    /// Whose streams are counted.
    pub(crate) visitors: Visitors,
    full: Sparingly,
    too_many: Sparingly,
    refused: Sparingly,
    unpublished: Sparingly,
}

/// What the router counts.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Streams that were attached, and with it the last stream's id.
    pub(crate) attached: u64,
    /// Events taken, and bytes of their data.
    pub(crate) published: u64,
    pub(crate) published_bytes: u64,
    /// Events not taken.
    pub(crate) publish_refused: u64,
    /// Topics that peers said have changed, and what could be no topic.
    pub(crate) triggers: u64,
    pub(crate) triggers_refused: u64,
    /// Streams refused because of sse.max_streams or what stands in its place.
    pub(crate) refused_full: u64,
    /// Streams refused because of sse.max_streams_per_ip, and because their user has as many as allowed.
    pub(crate) refused_per_ip: u64,
    pub(crate) refused_per_user: u64,
    /// Streams or peers refused because there was no descriptor.
    pub(crate) refused_descriptors: u64,
    /// Peers refused because of who they are.
    pub(crate) refused_peers: u64,
    /// Peers refused because of what they said.
    pub(crate) refused_protocol: u64,
}

impl Desk {
    /// A desk in front of these shards.
    pub(crate) fn new(
        config: Config,
        shards: Vec<ShardHandle>,
        names: Arc<Names>,
        descriptors: usize,
        renders: Renders,
        ends: Receiver<u64>,
        router: Arc<Waker>,
    ) -> Self {
        let max_streams = match config.max_streams {
            0 => descriptors.saturating_sub(DESCRIPTORS_KEPT),
            limit => limit,
        };
        let visitors = Visitors::new(config.max_streams_per_ip);
        let clock = IdClock::new();
        let history = History::new(Limits::of(&config), clock.last());
        Self {
            config,
            shards,
            names,
            counts: Counts::default(),
            started: Instant::now(),
            upgrades: 0,
            is_asked_to_leave: false,
            peers: 0,
            udp: None,
            new_owners: Vec::new(),
            renders,
            ends,
            clock,
            keeper: Keeper::Memory,
            written: Written::default(),
            place: None,
            news: crossbeam_channel::never(),
            router,
            history,
            unread: String::new(),
            nudges: Nudges::default(),
            heard: Nudges::default(),
            loaded: true,
            listening: true,
            gate: None,
            position: Id::default(),
            parked: CarPark::default(),
            max_streams,
            descriptors,
            visitors,
            full: Sparingly::default(),
            too_many: Sparingly::default(),
            refused: Sparingly::default(),
            unpublished: Sparingly::default(),
        }
    }

    /// Starts what events are kept by, with what it has kept already.
    pub(crate) fn start_keeper(&mut self) -> io::Result<()> {
        let (sender, news) = crossbeam_channel::unbounded();
        (self.keeper, self.history) = Keeper::start(&self.config, &mut self.clock, sender, Arc::clone(&self.router))?;
        self.news = news;
        if matches!(self.keeper, Keeper::Bus(_)) {
            (self.loaded, self.listening, self.gate) = (false, false, Some(Instant::now() + BUS_PATIENCE));
            // Of a bus that was never reached no id is known. This one says so, and is known to this hub alone.
            self.unread = format!("none-{}", self.clock.last());
        }
        Ok(())
    }

    /// Does a request.
    pub(crate) fn handle(&mut self, session: &mut Session, incoming: Incoming<'_>) {
        match self.question(session, &incoming.request) {
            Some(question) => self.parked.add(Parked::new(session.wait(), question, incoming)),
            None => self.act(session, incoming),
        }
    }

    /// What a request has to wait for, if it has to: its reader may have an event that this hub has not read yet.
    fn question(&self, session: &Session, request: &Request<'_>) -> Option<u64> {
        match (&self.keeper, request) {
            (Keeper::Bus(bus), Request::Attach(wire::Attach { last_event_id: Some(id), replay, .. }))
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

    /// Does a request now.
    pub(crate) fn act(&mut self, session: &mut Session, incoming: Incoming<'_>) {
        let Incoming { request, descriptor, truncated } = incoming;
        if !session.greeted {
            self.greet(session, &request);
            return;
        }
        match request {
            Request::Hello { .. } => session.error(ErrorCode::Invalid, "this connection was greeted already"),
            Request::Attach(wanted) => match self.attach(wanted, descriptor, truncated) {
                Ok((stream, rendered)) => {
                    session.held.push(stream);
                    session.reply(&Reply::Attached { stream, rendered });
                }
                Err((code, message)) => session.error(code, &message),
            },
            Request::Commit { stream, framing } => {
                if taken(&mut session.held, stream) {
                    self.pass_nudges();
                    self.shard(stream).send(Command::Commit { stream, framing });
                    self.renders.open(stream);
                }
            }
            Request::Abort { stream } => {
                if taken(&mut session.held, stream) {
                    self.abandon(&[stream]);
                }
            }
            Request::Publish { topics, name, id, retry, data, answer } => {
                self.publish(session, &NewEvent { topics, name, id, retry, data }, answer);
            }
            Request::Trigger { topics } => self.trigger(&topics),
            Request::Replayed { token } => match self.renders.replayed(token) {
                Known::Run(Replayed { stream, reason, remote, last_event_id }) => {
                    session.reply(&Reply::Replayed { stream, reason, remote, last_event_id });
                }
                Known::Over => session.error(ErrorCode::Over, OVER),
                Known::No => session.error(ErrorCode::Unknown, OVER),
            },
            Request::Render { token, patterns } => match self.checked(patterns) {
                Ok(patterns) => {
                    self.pass_nudges();
                    match self.renders.render(token, &patterns) {
                        Some(events) => session.reply(&Reply::Events { events }),
                        None => session.error(ErrorCode::Over, OVER),
                    }
                }
                Err((code, message)) => session.error(code, &message),
            },
            Request::Rendered { whose, render, share, patterns, last_id, frames } => {
                let output = Output { render, share, patterns, last_id, frames };
                match self.rendered(session, whose, output) {
                    Ok(()) => session.reply(&Reply::Done),
                    Err((code, message)) => session.error(code, &message),
                }
            }
            Request::NotRendered { token, reason } => {
                self.renders.not_rendered(token, reason);
                session.reply(&Reply::Done);
            }
            Request::Cursor => {
                session.reply(&Reply::Cursor { id: &self.newest() });
            }
            Request::Stats => session.reply(&Reply::Stats { json: &report::report(self).to_string() }),
            Request::Metrics => session.reply(&Reply::Metrics { text: &metrics::text(report::report(self)) }),
        }
    }

    /// The hub's own id of the newest event, whatever the publisher's is: it has an order, and is not forgotten with its
    /// event.
    fn newest(&self) -> String {
        if self.loaded { self.history.newest().to_string() } else { self.unread.clone() }
    }

    fn greet(&mut self, session: &mut Session, request: &Request<'_>) {
        match request {
            Request::Hello { magic: MAGIC, protocol: PROTOCOL, version, owner } => {
                session.greeted = true;
                // A process in another namespace has other process numbers than this one.
                self.new_owners.extend(owner.filter(|_| self.config.follow_owners && session.credentials.pid != 0));
                session.reply(&Reply::Welcome { protocol: PROTOCOL, version: VERSION, pid: std::process::id() });
                debug!(pid = session.credentials.pid, uid = session.credentials.uid, version, "a peer has come");
            }
            Request::Hello { magic: magic @ (TAKE_OVER | LEAVE), protocol, version, .. } => {
                self.greet_successor(session, *magic, *protocol, version);
            }
            Request::Hello { magic: MAGIC, protocol, version, .. } => {
                let reason = format!(
                    "this process is php-sse {version} (protocol {protocol}), the hub that runs is php-sse {VERSION} \
                     (protocol {PROTOCOL}); restart PHP so that both come from one sse.so"
                );
                self.refuse(session, &reason);
            }
            _ => self.refuse(session, "the first message was no php-sse greeting"),
        }
    }

    /// Another hub is to take this one's place, which only this one's own user may ask for.
    fn greet_successor(&mut self, session: &mut Session, magic: u32, format: u16, version: &str) {
        let (own, uid) = (rustix::process::geteuid().as_raw(), session.credentials.uid);
        if uid != own {
            let reason = format!("this hub belongs to user {own}; user {uid} can't start one that takes over from it");
            self.refuse(session, &reason);
            return;
        }
        info!(pid = session.credentials.pid, version, format, "another hub asks to take over");
        session.reply(&Reply::Welcome { protocol: FORMAT, version: VERSION, pid: std::process::id() });
        // One that reads another format is going to ask this hub to leave.
        session.takes_over = magic == TAKE_OVER && format == FORMAT;
        self.is_asked_to_leave |= magic == LEAVE;
    }

    /// What a peer sent makes no sense; nothing after it does either.
    pub(crate) fn malformed(&mut self, session: &mut Session, error: &WireError) {
        if session.greeted {
            session.error(ErrorCode::Invalid, &error.to_string());
            session.refused = true;
            self.counts.refused_protocol += 1;
            self.warn_refused(&error.to_string());
        } else {
            self.refuse(session, "the first bytes were no php-sse greeting");
        }
    }

    fn refuse(&mut self, session: &mut Session, reason: &str) {
        self.counts.refused_protocol += 1;
        session.refuse(reason);
        self.warn_refused(reason);
    }

    /// A peer that may not talk to the hub.
    pub(crate) fn distrusted(&mut self, reason: &str) {
        self.counts.refused_peers += 1;
        self.warn_refused(reason);
    }

    fn warn_refused(&mut self, reason: &str) {
        if let Some(kept_back) = self.refused.due(Instant::now()) {
            warn!(reason, before = kept_back, "a peer was refused");
        }
    }

    /// Holds a stream; true beside its id if it is sent what others of its `share` were.
    fn attach(
        &mut self,
        wanted: wire::Attach<'_>,
        descriptor: Option<OwnedFd>,
        truncated: bool,
    ) -> Result<(u64, bool), (ErrorCode, String)> {
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
            replay,
        } = wanted;
        let patterns = self.checked(patterns)?;
        visitors::check_user(user).map_err(invalid)?;
        if self.streams() >= self.max_streams as u64 {
            self.counts.refused_full += 1;
            return Err((ErrorCode::Full, self.full()));
        }
        let party = self.visitors.admit(address, user).map_err(|refused| self.too_many(refused))?;
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
        let replay = match replay {
            Some(replay) => {
                let listener = self
                    .renders
                    .listener(socket.as_fd(), replay.request.protocol)
                    .map_err(|why| (ErrorCode::NoReplay, why))?;
                let request = self.renders.keep(&replay.request).map_err(|why| (ErrorCode::NoReplay, why))?;
                Some((listener, request, replay))
            }
            None => None,
        };
        self.counts.attached += 1;
        let id = self.counts.attached;
        self.pass_nudges();
        // A stream with a callback gets what that returns, not the events themselves.
        let forwarded = if replay.as_ref().is_some_and(|(.., replay)| replay.render) { &[] } else { &patterns[..] };
        let watched = forwarded.iter().copied().map(Box::from).collect();
        let followed = replay.is_some();
        let reported = followed || !party.is_empty();
        self.visitors.enter(id, party);
        let lifetime = shortened(max_lifetime);
        // In the same turn as the stream begins to watch: what comes later it gets itself.
        let since = last_event_id.filter(|id| !forwarded.is_empty() && (self.loaded || *id != self.unread));
        let mut missed = match since {
            Some(id) => self.history.missed(forwarded, id, Instant::now()),
            None if self.loaded && !forwarded.is_empty() => self.history.none_missed(),
            None => Missed::default(),
        };
        let script = replay.as_ref().map(|(.., replay)| replay.request.script);
        info!(stream = id, topics = patterns.len(), script, missed = missed.events.len(), "attached");
        if missed.gap.is_some() {
            let oldest = missed.events.first().map(|event| log::shown(event.id()));
            info!(stream = id, requested = since.map(log::shown), oldest, "a gap was told");
        }
        // Of a bus that is not read yet no id is known.
        missed.cursor = missed.cursor.filter(|_| cursor && self.loaded);
        let attach = Attach { id, socket, patterns: watched, heartbeat, retry, lifetime, missed, followed, reported };
        self.shard(id).send(Command::Attach(attach));
        if let Some(topics_as) = topics_as {
            let cursor = self.newest().into();
            self.shard(id).send(Command::TellTopics { stream: id, topics_as, cursor });
        }
        let rendered = replay
            .is_some_and(|(listener, request, replay)| self.renders.attach(id, listener, request, &replay, &patterns));
        self.pass_effects();
        Ok((id, rendered))
    }

    /// Patterns that can be watched, in order and none twice.
    fn checked<'a>(&self, mut patterns: Vec<&'a str>) -> Result<Vec<&'a str>, (ErrorCode, String)> {
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

    fn rendered(
        &mut self,
        session: &Session,
        whose: Whose<'_>,
        mut output: Output<'_>,
    ) -> Result<(), (ErrorCode, String)> {
        output.patterns = self.checked(output.patterns)?;
        let taken = match whose {
            Whose::Stream(stream) => session.held.contains(&stream) && self.renders.rendered_first(stream, &output),
            Whose::Token(token) => self.renders.rendered(token, &output),
        };
        self.pass_effects();
        if taken { Ok(()) } else { Err((ErrorCode::Over, OVER.into())) }
    }

    /// Learns which streams have ended, of those that are followed or counted.
    pub(crate) fn learn_ends(&mut self) {
        while let Ok(stream) = self.ends.try_recv() {
            self.renders.ended(stream);
            self.visitors.leave(stream);
        }
    }

    /// Goes on with the exchanges that something has happened to, and starts those whose turn it is.
    pub(crate) fn go_on_rendering(&mut self, exchanges: &[usize]) {
        self.pass_nudges();
        for &place in exchanges {
            self.renders.ready(place);
        }
        self.renders.turn(|place| Of::Exchange(place).into());
        self.pass_effects();
    }

    fn pass_effects(&mut self) {
        for (stream, command) in self.renders.take_effects() {
            self.shard(stream).send(command);
        }
    }

    fn too_many(&mut self, refused: TooMany) -> (ErrorCode, String) {
        let message = match refused {
            TooMany::Address(message) => {
                self.counts.refused_per_ip += 1;
                message
            }
            TooMany::User(message) => {
                self.counts.refused_per_user += 1;
                message
            }
        };
        if let Some(kept_back) = self.too_many.due(Instant::now()) {
            warn!(reason = message, before = kept_back, "a stream was refused");
        }
        (ErrorCode::TooMany, message)
    }

    fn full(&mut self) -> String {
        let limit = self.max_streams;
        let message = if self.config.max_streams > 0 {
            format!("{limit} streams are open, and sse.max_streams allows no more")
        } else {
            format!(
                "{limit} streams are open, and the limit of {} descriptors allows no more; raise it (ulimit -n, or \
                 LimitNOFILE in a systemd unit)",
                self.descriptors
            )
        };
        self.warn_full(&message);
        message
    }

    /// A peer could not even be accepted; the sentence for it.
    pub(crate) fn no_descriptor(&mut self) -> String {
        self.counts.refused_descriptors += 1;
        let message = out_of_descriptors(self.descriptors);
        self.warn_full(&message);
        message
    }

    fn warn_full(&mut self, reason: &str) {
        if let Some(kept_back) = self.full.due(Instant::now()) {
            warn!(reason, before = kept_back, "a stream was refused");
        }
    }

    fn publish(&mut self, session: &mut Session, new: &NewEvent<'_>, answer: bool) {
        if let Err(error) = new.check(self.config.max_event_size, self.config.max_topics) {
            let ticket = answer.then(|| session.wait());
            self.refuse_event(session, ticket, ErrorCode::Invalid, &error.to_string());
            return;
        }
        if let Keeper::Bus(bus) = &self.keeper {
            let ticket = answer.then(|| session.wait());
            if let Err(reason) = bus.publish(new, ticket) {
                self.refuse_event(session, ticket, ErrorCode::NotKept, &format!("sse.bus: {reason}"));
            }
            return;
        }
        let stamp = self.clock.next_id();
        let event = match new.id {
            Some(id) => Event::new(new, id),
            None => Event::new(new, &stamp.to_string()),
        };
        let event = Arc::new(event);
        match &self.keeper {
            Keeper::Memory => {
                self.deliver(stamp, &event);
                if answer {
                    session.reply(&Reply::Published { id: event.id() });
                }
            }
            Keeper::Disk(disk) => {
                let ticket = answer.then(|| session.wait());
                if !disk.keep(stamp, event, ticket) {
                    let reason = "the thread that writes the history has ended; see the hub's log";
                    self.refuse_event(session, ticket, ErrorCode::NotKept, reason);
                }
            }
            Keeper::Bus(_) => {}
        }
    }

    /// Tells a publisher that its event was not taken, or the log where it doesn't wait to hear that.
    fn refuse_event(&mut self, session: &mut Session, ticket: Option<Ticket>, code: ErrorCode, reason: &str) {
        self.counts.publish_refused += 1;
        if let Some(ticket) = ticket {
            session.answer(ticket, &Reply::Error { code, message: reason });
        } else if let Some(kept_back) = self.unpublished.due(Instant::now()) {
            warn!(reason, before = kept_back, "an event was refused");
        }
    }

    /// Whether a request can be done before those before it are answered: an event that will be kept after theirs, and so
    /// answered after them.
    pub(crate) fn may_follow(&self, request: Request<'_>) -> bool {
        let Request::Publish { topics, name, id, retry, data, .. } = request else { return false };
        NewEvent { topics, name, id, retry, data }.check(self.config.max_event_size, self.config.max_topics).is_ok()
    }

    /// Passes a kept event on.
    fn deliver(&mut self, stamp: Id, event: &Arc<Event>) {
        self.history.add(event, stamp, Instant::now());
        self.forget();
        self.counts.published += 1;
        self.counts.published_bytes += event.data().len() as u64;
        self.pass_nudges();
        for shard in &mut self.shards {
            shard.send(Command::Event(Arc::clone(event)));
        }
        self.renders.event(event);
    }

    /// Lets the keeper forget what the history has forgotten.
    fn forget(&mut self) {
        if let Keeper::Disk(disk) = &self.keeper
            && let Some(forgettings) = self.history.take_forgettings()
        {
            disk.forget(forgettings);
        }
    }

    /// Forgets the events that have become too old.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.history.expire(now);
        self.forget();
    }

    /// Delivers what was kept meanwhile. `answer` gets what its publishers are told.
    pub(crate) fn learn_news(&mut self, mut answer: impl FnMut(Ticket, &Reply<'_>)) {
        // What comes over the bus is not asked for, and can only be kept back here.
        while !(matches!(self.keeper, Keeper::Bus(_)) && self.shards.iter().any(ShardHandle::is_behind)) {
            let Ok(news) = self.news.try_recv() else { break };
            match news {
                News::Kept(events) => {
                    for Kept { stamp, event, ticket } in events {
                        self.deliver(stamp, &event);
                        if let Some(ticket) = ticket {
                            answer(ticket, &Reply::Published { id: event.id() });
                        }
                    }
                }
                News::Failed { tickets, reason } => {
                    let error = Reply::Error { code: ErrorCode::NotKept, message: &reason };
                    tickets.into_iter().for_each(|ticket| answer(ticket, &error));
                }
                News::Restored(Restored { marks, events }) => {
                    self.clock.pass(marks.newest);
                    self.history.restore_late(marks, events, Instant::now(), now_ms());
                    self.forget();
                }
                News::Found { newest } => self.clock.pass(newest),
                News::Loaded(loaded) => self.load(loaded, &mut answer),
                News::Read { events, bytes, position } => {
                    for Kept { stamp, event, ticket } in events {
                        // Ids of another life of Redis may be smaller; stamps never are.
                        self.deliver(stamp.max(self.history.newest().after()), &event);
                        if let Some(ticket) = ticket {
                            answer(ticket, &Reply::Published { id: event.id() });
                        }
                    }
                    self.position = position;
                    if let Keeper::Bus(bus) = &self.keeper {
                        bus.digested(bytes);
                    }
                }
                News::Gap { position } => {
                    self.position = position;
                    self.parked.give_up();
                    self.history.interrupt();
                    self.tell_gap();
                }
                News::Newest { question, id } => self.parked.learn(question, id),
                News::Wakes(topics) => topics.iter().for_each(|topic| match &**topic {
                    topic::ALL => self.heard.add_all(),
                    topic => self.heard.add(topic),
                }),
                News::Listening => {
                    // The first time, nobody was there yet who could have missed anything.
                    if mem::replace(&mut self.listening, true) || self.gate.is_none() {
                        self.heard.add_all();
                    }
                    self.open_gate();
                }
            }
        }
    }

    /// Takes what the bus has kept before this hub came.
    fn load(&mut self, loaded: Loaded, mut answer: impl FnMut(Ticket, &Reply<'_>)) {
        let Loaded { began, whole, newest, events } = loaded;
        let kept = events.iter().map(|kept| (kept.stamp, &kept.event));
        self.history = History::load(self.history.limits(), began, whole, newest, kept, Instant::now(), now_ms());
        self.loaded = true;
        self.position = newest;
        for Kept { event, ticket, .. } in &events {
            if let Some(ticket) = ticket {
                answer(*ticket, &Reply::Published { id: event.id() });
            }
        }
        // Streams that began before have missed what came meanwhile.
        if self.gate.is_none() {
            self.tell_gap();
        }
        self.open_gate();
    }

    /// Requests wait no longer once the bus is loaded and heard.
    fn open_gate(&mut self) {
        if self.loaded && self.listening {
            self.gate = None;
        }
    }

    /// Tells all streams that events are missing from here on.
    fn tell_gap(&mut self) {
        self.pass_nudges();
        let gap = history::gap(None, None);
        for shard in &mut self.shards {
            shard.send(Command::Gap(Arc::clone(&gap)));
        }
        self.renders.trigger(&Arc::new(Trigger::new(topic::ALL)));
    }

    /// Requests that have waited for the bus long enough, to be done by [`act`](Self::act).
    pub(crate) fn released(&mut self) -> Vec<Parked> {
        let now = Instant::now();
        if self.gate.is_some_and(|deadline| deadline <= now) {
            self.gate = None;
        }
        self.parked.due(self.position, now)
    }

    /// When something that waits for the bus waits no longer.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.gate.into_iter().chain(self.parked.deadline()).min()
    }

    /// A publisher has gone.
    pub(crate) fn abandon_ticket(&mut self, ticket: Ticket) {
        self.parked.abandon(ticket);
        if let Keeper::Bus(bus) = &self.keeper {
            bus.abandon(ticket);
        }
    }

    /// Waits until everything that was accepted is kept. From then on nothing more can be published.
    pub(crate) fn close_keeper(&mut self) {
        match mem::replace(&mut self.keeper, Keeper::Memory) {
            Keeper::Memory => {}
            Keeper::Disk(disk) => self.written = disk.close(),
            Keeper::Bus(bus) => self.place = bus.close(),
        }
    }

    fn trigger(&mut self, topics: &[&str]) {
        if topics.is_empty() {
            self.counts.triggers += 1;
            self.nudges.add_all();
        }
        for topic in topics {
            if topic::check_topic(topic).is_ok() {
                self.counts.triggers += 1;
                self.nudges.add(topic);
            } else {
                self.counts.triggers_refused += 1;
            }
        }
    }

    /// Takes the wakes that came by UDP.
    pub(crate) fn receive_wakes(&mut self, now_ms: u64) {
        let Self { udp: Some(udp), nudges, .. } = self else { return };
        udp.receive(now_ms, |topics| match topics {
            [] => nudges.add_all(),
            topics => topics.iter().for_each(|topic| nudges.add(topic)),
        });
    }

    /// Passes the triggers of this turn on, before anything that came after them.
    pub(crate) fn pass_nudges(&mut self) {
        if self.nudges.is_empty() && self.heard.is_empty() {
            return;
        }
        for trigger in self.nudges.take() {
            if let Keeper::Bus(bus) = &self.keeper {
                bus.wake(trigger.topic());
            }
            self.pass(trigger);
        }
        for trigger in self.heard.take() {
            self.pass(trigger);
        }
    }

    fn pass(&mut self, trigger: Trigger) {
        let trigger = Arc::new(trigger);
        self.renders.trigger(&trigger);
        for shard in &mut self.shards {
            shard.send(Command::Trigger(Arc::clone(&trigger)));
        }
    }

    /// A peer takes back connections that it still has, or has gone with them: the hub lets them go as well.
    pub(crate) fn abandon(&mut self, held: &[u64]) {
        for &stream in held {
            // A worker that takes one back may offer it once more at once.
            self.visitors.leave(stream);
            self.shard(stream).send(Command::Abort { stream });
        }
    }

    /// Streams that the hub holds now, begun or not.
    pub(crate) fn streams(&self) -> u64 {
        let ended: u64 = self.shards.iter().map(|shard| shard.stats().ended_all()).sum();
        self.counts.attached.saturating_sub(ended)
    }

    /// About how many bytes are kept for readers, now or later.
    pub(crate) fn kept(&self) -> usize {
        let queued = self.sum(|stats| stats.queued_bytes.get()) + self.streams() * STREAM;
        self.history.bytes() + self.renders.bytes() + usize::try_from(queued).unwrap_or(usize::MAX)
    }

    /// Whether requests should wait because a shard has more to do than it should.
    pub(crate) fn is_behind(&self) -> bool {
        self.gate.is_some() || self.keeper.is_behind() || self.shards.iter().any(ShardHandle::is_behind)
    }

    /// Wakes the shards that got something.
    pub(crate) fn wake_shards(&mut self) {
        self.shards.iter_mut().for_each(ShardHandle::wake);
    }

    /// A number over all shards.
    pub(crate) fn sum(&self, number: impl Fn(&ShardStats) -> u64) -> u64 {
        self.shards.iter().map(|shard| number(shard.stats())).sum()
    }

    /// The shard of a stream: its id tells, so that there is no table.
    fn shard(&mut self, stream: u64) -> &mut ShardHandle {
        let count = self.shards.len() as u64;
        &mut self.shards[(stream % count) as usize]
    }
}

/// Of a token, or of a stream that is not held.
const OVER: &str = "no such render, or none any more: its stream has ended or its time is over";

fn out_of_descriptors(limit: usize) -> String {
    format!(
        "the hub has no descriptor left of the {limit} that its limit allows; raise it (ulimit -n, or LimitNOFILE in a \
         systemd unit), or set sse.max_streams lower"
    )
}

/// A lifetime in seconds, less a random part; `None`: without end.
fn shortened(lifetime: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(lifetime - random::up_to(lifetime / LIFETIME_SPREAD))
}

/// Takes a stream out of those that a peer holds; false if it isn't one of them.
fn taken(held: &mut Vec<u64>, stream: u64) -> bool {
    let place = held.iter().position(|id| *id == stream);
    place.map(|place| held.swap_remove(place)).is_some()
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
