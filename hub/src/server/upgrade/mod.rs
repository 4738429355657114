//! The ordering thread's part of an upgrade: the old hub stops, sends everything and resumes if that fails; the new hub
//! restores it. See [`crate::upgrade`].

pub(crate) mod adopt;
pub(crate) mod foreground;
pub(crate) mod receive;
pub(crate) mod state;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::pipe::PipeFlags;
use thiserror::Error;
use tracing::{info, warn};

use crate::connection::Connection;
use crate::connection::token::Of;
use crate::error::HubError;
use crate::quota::QuotaKey;
use crate::server::Server;
use crate::server::upgrade::foreground::{ForegroundProxy, UpgradeLink};
use crate::server::upgrade::state::{HubState, StateRequest};
use crate::shard::handle::ShardHandle;
use crate::store::slice::Slice;
use crate::sys::clock;
use crate::udp;
use crate::udp::notify::Notify;
use crate::upgrade::channel::Channel;
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::part::PartKind;
use crate::upgrade::{SENDER_TIMEOUT, TAKEN, VOID, YOURS};
use sse_protocol::wire::{self, PROTOCOL, VERSION};

/// How long connections of another protocol version may take to get their answers.
const DISMISSAL: Duration = Duration::from_secs(1);

/// How long the old hub waits for Redis to take published events.
const DRAINING: Duration = Duration::from_secs(1);

/// Connections per part: each may have five descriptors.
const CONNECTIONS: usize = ITEMS / 5;

/// Result of an upgrade, in the old hub.
pub(crate) enum UpgradeOutcome {
    /// The upgrade failed; this hub continues.
    No,
    /// The new hub has everything. A proxy remains if this process is the foreground one.
    Yes(Option<ForegroundProxy>),
}

/// Why this hub can't be upgraded now.
#[derive(Debug, Error)]
enum NoUpgrade {
    /// The new hub has another store.
    #[error(
        "sse.history and sse.bus: events are to be kept in {wanted}, and the hub that runs keeps them in {kept}; that can't be \
         changed while it runs: end it, and the next one does"
    )]
    OtherStore { wanted: String, kept: String },
    /// Requests wait for Redis.
    #[error("sse.bus: Redis is away or slow, and publishers wait for it; try again once it is there")]
    Undrained,
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
        let channel = Channel::new(connection.into_socket(), SENDER_TIMEOUT);
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
        self.broker.resume_store().map_err(HubError::system("starting the history"))?;
        self.start_shards()?;
        self.start_http()
    }

    /// Starts new or paused shards.
    pub(crate) fn start_shards(&mut self) -> Result<(), HubError> {
        self.broker.shards.iter_mut().try_for_each(ShardHandle::start).map_err(HubError::system("starting a shard"))
    }

    /// Starts the thread that answers by HTTP, if there is a listener.
    pub(crate) fn start_http(&mut self) -> Result<(), HubError> {
        self.broker.http.start().map_err(HubError::system("starting the thread for HTTP"))
    }

    /// Stops, sends everything, and waits until the new hub confirms it.
    fn pass_on(&mut self, channel: &Channel) -> io::Result<Option<ForegroundProxy>> {
        let mut bytes = Vec::new();
        channel.receive(&mut bytes)?;
        let wanted: StateRequest<'_> = wire::decode(&bytes).map_err(io::Error::other)?;
        if let Err(refusal) = self.prepare(&wanted) {
            channel.send(&(PartKind::No, refusal.to_string()), &[])?;
            return Err(io::Error::other(refusal));
        }
        if wanted.protocol != PROTOCOL {
            self.dismiss_connections();
        }
        let stopped = clock::monotonic();
        self.stop().map_err(io::Error::other)?;
        let (lifeline, last_words) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let foreground = if self.broker.config.foreground { Some(ForegroundProxy::new()?) } else { None };
        let link = foreground.as_ref().map(|(_, link)| link.as_fd()).or(self.link.as_ref().map(UpgradeLink::socket));
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

    /// Checks that the new hub can continue with this one's store, and that no request is lost with this one.
    fn prepare(&mut self, wanted: &StateRequest<'_>) -> Result<(), NoUpgrade> {
        let kept = self.broker.config.kept_in();
        if kept != wanted.kept {
            return Err(NoUpgrade::OtherStore { wanted: wanted.kept.into(), kept });
        }
        self.drain()
    }

    /// Waits until no request waits for the shards or for Redis.
    fn drain(&mut self) -> Result<(), NoUpgrade> {
        let deadline = Instant::now() + DRAINING;
        loop {
            let mut answered = self.learn_reports(Duration::MAX);
            self.broker.hear_shards(Duration::MAX);
            answered.extend(self.answer_inquiries());
            answered.extend(self.resume(&mut Slice::steps(usize::MAX)));
            self.broker.tell_subscriptions();
            self.broker.pass_notifications();
            self.broker.wake_shards();
            self.answer(&answered);
            if !self.broker.waits_for_others() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(NoUpgrade::Undrained);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Completes the work in progress, then stops: nothing is read, written or delivered until `go_on`.
    fn stop(&mut self) -> Result<(), HubError> {
        // Of a ticket that is used already the new hub gets the open stream.
        self.broker.http.pause();
        self.broker.learn_redeemed(Duration::MAX);
        self.broker.close_store(false);
        self.broker.inquiries.abandon_hubs();
        let answered = self.learn_reports(Duration::MAX);
        self.broker.pass_notifications();
        self.broker.pause_shards()?;
        self.answer(&answered);
        self.broker.hear_shards(Duration::MAX);
        // Of events that the store has just written.
        self.broker.inquiries.give_up_receipts();
        let answered = self.answer_inquiries();
        self.answer(&answered);
        for pid in std::mem::take(&mut self.broker.new_owners) {
            self.owners.add(pid, Of::Owner(pid).into(), self.poll.registry());
        }
        Ok(())
    }

    /// Answers the requests sent so far and closes all connections.
    fn dismiss_connections(&mut self) {
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for &key in &keys {
            self.connections[key].dismiss();
            self.queue(key);
        }
        let deadline = Instant::now() + DISMISSAL;
        while keys.iter().any(|key| self.connections.contains(*key)) && Instant::now() < deadline {
            let mut answered = self.learn_reports(Duration::MAX);
            self.broker.hear_shards(Duration::MAX);
            answered.extend(self.answer_inquiries());
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
        let (had_owners, owners) = self.owners.state();
        let hub = HubState {
            version: VERSION,
            pid: std::process::id(),
            stopped,
            uptime: broker.started.elapsed(),
            foreground: link.is_some(),
            udp: broker.udp.as_ref().map(udp::Receiver::state),
            notify: broker.notify.as_ref().map(|notify| notify.stats),
            broker: broker.state(),
            had_owners,
        };
        let errors = io::stderr();
        let mut descriptors = vec![lifeline, self.acceptor.listener().ok_or_else(|| io::Error::other("the hub ends"))?];
        descriptors.extend(broker.udp.as_ref().map(udp::Receiver::socket));
        descriptors.extend(broker.notify.as_ref().map(Notify::socket));
        if let Some(link) = link {
            descriptors.extend([link, errors.as_fd()]);
        }
        outgoing.part(PartKind::Hub, &hub, &descriptors)?;
        let owners: Vec<_> = owners.collect();
        for group in owners.chunks(ITEMS) {
            let (states, pidfds): (Vec<_>, Vec<_>) = group.iter().cloned().unzip();
            outgoing.part(PartKind::Owners, &states, &pidfds)?;
        }
        broker.history.pass_on(&mut outgoing)?;
        broker.finished.pass_on(&mut outgoing)?;
        broker.retained.pass_on(&mut outgoing)?;
        // Before the streams, which are told of it by patterns of the hub's own.
        let presence: Vec<_> = broker.presence.state(Instant::now()).collect();
        for group in presence.chunks(ITEMS) {
            outgoing.part(PartKind::Presence, &group, &[])?;
        }
        for shard in &broker.shards {
            shard.pass_on(&mut outgoing)?;
        }
        let quota: Vec<_> = broker.quota.state().collect();
        for group in quota.chunks(ITEMS) {
            let group =
                group.iter().map(|(stream, keys)| (*stream, keys.iter().map(QuotaKey::state).collect::<Vec<_>>()));
            outgoing.part(PartKind::Quota, &group.collect::<Vec<_>>(), &[])?;
        }
        let charges: Vec<_> = broker.topics.state().collect();
        for group in charges.chunks(10 * ITEMS) {
            outgoing.part(PartKind::Charges, &group, &[])?;
        }
        let connections: Vec<&Connection> = self.connections.iter().map(|(_, connection)| connection).collect();
        for group in connections.chunks(CONNECTIONS) {
            let mut descriptors = Vec::new();
            let states =
                group.iter().map(|connection| connection.state(&mut descriptors)).collect::<io::Result<Vec<_>>>()?;
            outgoing.part(PartKind::Connections, &states, &descriptors)?;
        }
        broker.renders.pass_on(&mut outgoing)?;
        broker.http.pass_on(&mut outgoing)?;
        outgoing.part(PartKind::End, &(), &[])?;
        outgoing.answered()
    }
}
