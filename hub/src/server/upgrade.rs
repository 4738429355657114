//! The ordering thread's part of an upgrade: the old hub stops, sends everything and resumes if that fails; the new hub
//! restores it. See [`crate::upgrade`].

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::pipe::PipeFlags;
use tracing::{info, warn};

use crate::event::Event;
use crate::quota::{QuotaKey, QuotaKeys};
use crate::render::snapshot::Arrived;
use crate::run::HubError;
use crate::server::connection::Connection;
use crate::server::{Of, Server};
use crate::shard::handle::ShardHandle;
use crate::store::history::resume::Slice;
use crate::stream::Stream;
use crate::sys::clock;
use crate::udp;
use crate::udp::notify::{Notify, NotifyStats};
use crate::upgrade::channel::Channel;
use crate::upgrade::foreground::{ForegroundProxy, Link};
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::state::{
    ConnectionState, HubState, JobState, Part, QuotaKeyState, RunState, ServerState, StreamState, UdpState, Wanted,
};
use crate::upgrade::{SENDERS_PATIENCE, TAKEN, VOID, YOURS};
use sse_protocol::id::Id;
use sse_protocol::wire::{self, PROTOCOL, VERSION};

/// How long connections of another protocol version may take to get their answers.
const DISMISSAL: Duration = Duration::from_secs(1);

/// How long the old hub waits for Redis to take published events.
const DRAINING: Duration = Duration::from_secs(1);

/// Connections per part: each may have five descriptors.
const PEERS: usize = ITEMS / 5;

/// What the new hub needs of the old one when its server is made.
pub(crate) struct Inherited<'a> {
    /// When the first hub in this row of upgrades started.
    pub(crate) started: Instant,
    udp: Option<(&'a UdpState<'a>, OwnedFd)>,
    notify: Option<(NotifyStats, OwnedFd)>,
    pub(crate) link: Option<Link>,
}

impl<'a> Inherited<'a> {
    /// Combines the state with the descriptors that came with it.
    pub(crate) fn new(
        hub: &'a HubState<'a>,
        udp: Option<OwnedFd>,
        notify: Option<OwnedFd>,
        link: Option<OwnedFd>,
    ) -> Self {
        let now = Instant::now();
        Self {
            started: now.checked_sub(hub.uptime).unwrap_or(now),
            udp: hub.udp.as_ref().zip(udp),
            notify: hub.notify.zip(notify),
            link: link.map(Link::new),
        }
    }

    /// The UDP socket, if the settings still name its address.
    pub(crate) fn udp(&mut self, config: &crate::config::Config) -> Option<io::Result<udp::Receiver>> {
        let (state, socket) = self.udp.take()?;
        let wanted = config.udp?;
        let same = state.address.ip() == wanted.ip() && [0, state.address.port()].contains(&wanted.port());
        same.then(|| udp::Receiver::inherit(state, socket, udp::Access::of(config)))
    }
}

impl Inherited<'_> {
    /// The Unix datagram socket for notifications.
    pub(crate) fn notify(&mut self, config: &crate::config::Config) -> Option<Notify> {
        let (stats, socket) = self.notify.take()?;
        Some(Notify::inherit(&config.socket, socket, stats))
    }
}

/// Result of an upgrade, in the old hub.
pub(crate) enum UpgradeOutcome {
    /// The upgrade failed; this hub continues.
    No,
    /// The new hub has everything. A proxy remains if this process is the foreground one.
    Yes(Option<ForegroundProxy>),
}

impl Server {
    /// Upgrades to the new hub at this connection.
    ///
    /// # Errors
    /// The upgrade failed, and this hub can't continue either.
    pub(crate) fn hand_over(&mut self, key: usize) -> Result<UpgradeOutcome, HubError> {
        let Some(mut connection) = self.connections.try_remove(key) else { return Ok(UpgradeOutcome::No) };
        connection.deregister(self.poll.registry());
        self.broker.connections -= 1;
        // Nothing was sent to the new hub yet but the answer to its greeting.
        connection.flush();
        let channel = Channel::new(connection.into_socket(), SENDERS_PATIENCE);
        let begin = Instant::now();
        let streams = self.broker.streams();
        match self.pass_on(&channel) {
            Ok(stand_in) => {
                info!(streams, ms = begin.elapsed().as_millis() as u64, "another hub has taken over");
                Ok(UpgradeOutcome::Yes(stand_in))
            }
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "the other hub has gone".into(),
                    _ => error.to_string(),
                };
                warn!(reason, "another hub could not take over; this one goes on");
                self.go_on()?;
                Ok(UpgradeOutcome::No)
            }
        }
    }

    /// Resumes work after [`stop`](Self::stop).
    fn go_on(&mut self) -> Result<(), HubError> {
        self.broker.resume_keeper().map_err(HubError::system("starting the history"))?;
        self.start_shards()
    }

    /// Starts new or paused shards.
    pub(crate) fn start_shards(&mut self) -> Result<(), HubError> {
        self.broker.shards.iter_mut().try_for_each(ShardHandle::start).map_err(HubError::system("starting a shard"))
    }

    /// Stops, sends everything, and waits until the new hub confirms it.
    fn pass_on(&mut self, channel: &Channel) -> io::Result<Option<ForegroundProxy>> {
        let mut bytes = Vec::new();
        channel.receive(&mut bytes)?;
        let wanted: Wanted<'_> = wire::decode(&bytes).map_err(io::Error::other)?;
        let kept = self.broker.config.kept_in();
        if kept != wanted.kept {
            let reason = format!(
                "sse.history and sse.bus: events are to be kept in {}, and the hub that runs keeps them in {kept}; that can't be \
                 changed while it runs: end it, and the next one does",
                wanted.kept
            );
            channel.send(&Part::No(&reason), &[])?;
            return Err(io::Error::other(reason));
        }
        if let Err(reason) = self.drain() {
            channel.send(&Part::No(&reason), &[])?;
            return Err(io::Error::other(reason));
        }
        if wanted.protocol != PROTOCOL {
            self.dismiss_peers();
        }
        let stopped = clock::monotonic();
        self.stop().map_err(io::Error::other)?;
        let (lifeline, last_words) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let foreground = if self.broker.config.foreground { Some(ForegroundProxy::new()?) } else { None };
        let link = foreground.as_ref().map(|(_, link)| link.as_fd()).or(self.link.as_ref().map(Link::socket));
        let sent = self.send_all(channel, stopped, lifeline.as_fd(), link).and_then(|()| {
            channel.expect(TAKEN)?;
            self.signalled |= self.signals.any();
            if self.signalled { Err(io::Error::other("a signal asks this hub to end")) } else { Ok(()) }
        });
        drop(lifeline);
        // A new pipe has room for one byte. If the new hub is gone or has given up, this one continues.
        let told = rustix::io::write(&last_words, &[if sent.is_ok() { YOURS } else { VOID }]);
        sent?;
        told?;
        Ok(foreground.map(|(stand_in, _)| stand_in))
    }

    /// Waits until no request waits for Redis.
    fn drain(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + DRAINING;
        loop {
            let mut answered = self.learn_news(Duration::MAX);
            answered.extend(self.resume(&mut Slice::steps(usize::MAX)));
            self.broker.pass_nudges();
            self.broker.wake_shards();
            self.answer(&answered);
            if !self.broker.waits_for_others() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(
                    "sse.bus: Redis is away or slow, and publishers wait for it; try again once it is there".into()
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Completes the work in progress, then stops: nothing is read, written or delivered until `go_on`.
    fn stop(&mut self) -> Result<(), HubError> {
        self.broker.close_store();
        let answered = self.learn_news(Duration::MAX);
        self.broker.pass_nudges();
        self.broker.pause_shards()?;
        self.answer(&answered);
        self.broker.learn_ends(Duration::MAX);
        for pid in std::mem::take(&mut self.broker.new_owners) {
            self.owners.add(pid, Of::Owner(pid).into(), self.poll.registry());
        }
        Ok(())
    }

    /// Answers the requests sent so far and closes all connections.
    fn dismiss_peers(&mut self) {
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for &key in &keys {
            self.connections[key].dismiss();
            self.queue(key);
        }
        let deadline = Instant::now() + DISMISSAL;
        while keys.iter().any(|key| self.connections.contains(*key)) && Instant::now() < deadline {
            let answered = self.learn_news(Duration::MAX);
            let served = self.serve();
            self.broker.go_on_rendering(&[], self.ready.is_empty());
            self.broker.wake_shards();
            self.answer(&answered);
            self.answer(&served);
            std::thread::yield_now();
        }
        keys.into_iter().for_each(|key| self.close(key));
    }

    fn send_all(
        &self,
        channel: &Channel,
        stopped: Duration,
        lifeline: BorrowedFd<'_>,
        link: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let broker = &self.broker;
        let mut outgoing = Outgoing::new(channel);
        let (clock, unread) = broker.place();
        let (had_owners, owners) = self.owners.state();
        let hub = HubState {
            version: VERSION,
            pid: std::process::id(),
            stopped,
            uptime: broker.started.elapsed(),
            upgrades: broker.upgrades,
            foreground: link.is_some(),
            udp: broker.udp.as_ref().map(udp::Receiver::state),
            notify: broker.notify.as_ref().map(|notify| notify.stats),
            counts: broker.counts,
            shards: broker.shard_counts(),
            clock,
            unread,
            history: broker.history.state(),
            written: broker.written(),
            bus: broker.bus_state(),
            renders: broker.renders.state(),
            had_owners,
        };
        let errors = io::stderr();
        let mut descriptors = vec![lifeline, self.acceptor.listener().ok_or_else(|| io::Error::other("the hub ends"))?];
        descriptors.extend(broker.udp.as_ref().map(udp::Receiver::socket));
        descriptors.extend(broker.notify.as_ref().map(Notify::socket));
        if let Some(link) = link {
            descriptors.extend([link, errors.as_fd()]);
        }
        outgoing.part(&Part::Hub(Box::new(hub)), &descriptors)?;
        let owners: Vec<_> = owners.collect();
        for group in owners.chunks(ITEMS) {
            let (pids, pidfds): (Vec<_>, Vec<_>) = group.iter().copied().unzip();
            outgoing.part(&Part::Owners(pids), &pidfds)?;
        }
        broker.history.pass_on(&mut outgoing)?;
        for shard in &broker.shards {
            shard.pass_on(&mut outgoing)?;
        }
        let quota: Vec<_> = broker.quota.state().collect();
        for group in quota.chunks(ITEMS) {
            let group = group.iter().map(|(stream, party)| (*stream, party.iter().map(QuotaKey::state).collect()));
            outgoing.part(&Part::Quota(group.collect()), &[])?;
        }
        let charges: Vec<_> = broker.topics.state().collect();
        for group in charges.chunks(10 * ITEMS) {
            outgoing.part(&Part::Charges(group.to_vec()), &[])?;
        }
        let connections: Vec<&Connection> = self.connections.iter().map(|(_, connection)| connection).collect();
        for group in connections.chunks(PEERS) {
            let mut descriptors = Vec::new();
            let states =
                group.iter().map(|connection| connection.state(&mut descriptors)).collect::<io::Result<_>>()?;
            outgoing.part(&Part::Connections(states), &descriptors)?;
        }
        broker.renders.pass_on(&mut outgoing)?;
        outgoing.part(&Part::End, &[])?;
        outgoing.answered()
    }

    pub(crate) fn adopt_owners(&mut self, pids: &[u32], pidfds: Vec<OwnedFd>) -> io::Result<()> {
        if self.broker.config.follow_owners {
            for (&pid, pidfd) in pids.iter().zip(pidfds) {
                self.owners.adopt(pid, pidfd, Of::Owner(pid).into(), self.poll.registry())?;
            }
        }
        Ok(())
    }

    pub(crate) fn adopt_streams(
        &mut self,
        streams: &[StreamState<'_>],
        sockets: Vec<OwnedFd>,
        tables: &Tables,
    ) -> io::Result<()> {
        if streams.len() != sockets.len() {
            return Err(wrong("the number of descriptors"));
        }
        let now = u32::try_from(self.broker.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        for (state, socket) in streams.iter().zip(sockets) {
            let stream = Stream::restore(state, socket, now, tables)?;
            let patterns: Vec<Box<str>> = state.patterns.iter().map(|&pattern| pattern.into()).collect();
            self.broker.adopt(stream, &patterns, state.ends)?;
        }
        Ok(())
    }

    pub(crate) fn adopt_visitors(&mut self, quota: &[(u64, Vec<QuotaKeyState<'_>>)]) -> io::Result<()> {
        for (stream, party) in quota {
            self.broker.quota.enter(*stream, QuotaKeys::restore(party));
        }
        Ok(())
    }

    pub(crate) fn adopt_charges(&mut self, charges: &[(u64, Option<IpAddr>, u64)]) -> io::Result<()> {
        for &(stream, client, bytes) in charges {
            self.broker.topics.restore(stream, client, bytes);
        }
        Ok(())
    }

    pub(crate) fn adopt_peers(
        &mut self,
        connections: &[ConnectionState<'_>],
        descriptors: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let mut descriptors = descriptors.into_iter();
        for state in connections {
            let entry = self.connections.vacant_entry();
            let key = entry.key();
            self.serial = self.serial.max(state.serial);
            let mut connection = Connection::restore(state, key, &mut descriptors)?;
            connection.register(Of::Connection(key).into(), self.poll.registry())?;
            self.members += usize::from(connection.session.member().is_some());
            entry.insert(connection);
            self.broker.connections += 1;
            self.queue(key);
        }
        Ok(())
    }

    pub(crate) fn adopt_servers(&mut self, servers: &[ServerState<'_>]) -> io::Result<()> {
        self.broker.renders.adopt_servers(servers);
        Ok(())
    }

    pub(crate) fn adopt_units(
        &mut self,
        jobs: &[JobState<'_>],
        tables: &Tables,
        arrived: &mut Arrived,
    ) -> io::Result<()> {
        self.broker.renders.adopt_units(jobs, tables, arrived)
    }

    pub(crate) fn adopt_runs(
        &mut self,
        runs: &[RunState<'_>],
        sockets: Vec<OwnedFd>,
        tables: &Tables,
        arrived: &mut Arrived,
    ) -> io::Result<()> {
        if runs.len() != sockets.len() {
            return Err(wrong("the number of descriptors"));
        }
        self.broker.renders.adopt_runs(runs, sockets, tables, arrived, |place| Of::Attempt(place).into())
    }

    /// Restores the hub's own state, after all other parts.
    pub(crate) fn inherit(
        &mut self,
        hub: &HubState<'_>,
        events: Vec<(Id, Arc<Event>)>,
        arrived: &mut Arrived,
    ) -> io::Result<()> {
        self.broker.settle_shards()?;
        self.broker.renders.settle(arrived);
        self.broker.inherit(hub, events);
        if self.broker.config.follow_owners {
            self.owners.inherit(hub.had_owners);
        }
        self.broker.resume_keeper()
    }
}
