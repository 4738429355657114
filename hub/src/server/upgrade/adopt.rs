//! The new hub's end of an upgrade: restores the parts as they arrive.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::connection::Connection;
use crate::connection::snapshot::ConnectionState;
use crate::connection::token::Of;
use crate::event::Event;
use crate::presence::snapshot::PresenceState;
use crate::quota::{QuotaKeyState, QuotaKeys};
use crate::render::snapshot::Arrived;
use crate::server::Server;
use crate::server::owners::OwnerState;
use crate::server::upgrade::foreground::UpgradeLink;
use crate::server::upgrade::state::HubState;
use crate::store::finished::LastEvent;
use crate::store::retained::LastValue;
use crate::stream::Stream;
use crate::stream::snapshot::StreamState;
use crate::udp;
use crate::udp::notify::{Notify, NotifyStats};
use crate::udp::snapshot::UdpState;
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::part::{PartKind, UpgradePart};
use sse_protocol::id::Id;

/// What the new hub needs of the old one when its server is made.
pub(crate) struct Inherited<'a> {
    /// When the first hub in this row of upgrades started.
    pub(crate) started: Instant,
    udp: Option<(&'a UdpState<'a>, OwnedFd)>,
    notify: Option<(NotifyStats, OwnedFd)>,
    pub(crate) link: Option<UpgradeLink>,
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
            link: link.map(UpgradeLink::new),
        }
    }

    /// The UDP socket, if the settings still name its address.
    pub(crate) fn udp(&mut self, config: &Config) -> Option<io::Result<udp::Receiver>> {
        let (state, socket) = self.udp.take()?;
        let wanted = config.udp?;
        let same = state.address.ip() == wanted.ip() && [0, state.address.port()].contains(&wanted.port());
        same.then(|| udp::Receiver::inherit(state, socket, udp::Access::of(config)))
    }
}

impl Inherited<'_> {
    /// The Unix datagram socket for notifications.
    pub(crate) fn notify(&mut self, config: &Config) -> Option<Notify> {
        let (stats, socket) = self.notify.take()?;
        Some(Notify::inherit(&config.socket, socket, stats))
    }
}

/// What later parts, and the end, need of earlier ones.
#[derive(Debug, Default)]
pub(crate) struct AdoptedParts {
    tables: Tables,
    /// Events of the history.
    history: Vec<(Id, Arc<Event>)>,
    renders: Arrived,
}

impl Server {
    /// Restores one part.
    pub(crate) fn adopt(
        &mut self,
        part: UpgradePart<'_>,
        descriptors: Vec<OwnedFd>,
        received: &mut AdoptedParts,
    ) -> io::Result<()> {
        let AdoptedParts { tables, history, renders } = received;
        match part.kind {
            PartKind::Events => tables.add_events(&part.read::<Vec<_>>()?),
            PartKind::Blobs => {
                tables.add_blobs(&part.read::<Vec<_>>()?);
                Ok(())
            }
            PartKind::Stored => part.read::<Vec<(Id, u32)>>()?.into_iter().try_for_each(|(stamp, number)| {
                history.push((stamp, tables.event(number)?));
                Ok(())
            }),
            PartKind::Finished => {
                part.read::<Vec<(&str, Id, u32)>>()?.into_iter().try_for_each(|(topic, stamp, number)| {
                    self.broker.inherit_finished(topic, LastEvent { stamp, event: tables.event(number)? });
                    Ok(())
                })
            }
            PartKind::Retained => {
                for (stamp, number, topics) in part.read::<Vec<(Id, u32, Vec<&str>)>>()? {
                    let topics = topics.into_iter().map(Into::into).collect();
                    self.broker.retained.restore(LastValue { stamp, event: tables.event(number)?, topics });
                }
                Ok(())
            }
            PartKind::Owners => self.adopt_owners(part.read()?, descriptors),
            PartKind::Streams => self.adopt_streams(&part.read::<Vec<_>>()?, descriptors, tables),
            PartKind::Quota => {
                for (stream, keys) in part.read::<Vec<(u64, Vec<QuotaKeyState<'_>>)>>()? {
                    self.broker.quota.enter(stream, QuotaKeys::restore(&keys));
                }
                Ok(())
            }
            PartKind::Charges => {
                for (stream, client, bytes) in part.read::<Vec<(u64, Option<IpAddr>, u64)>>()? {
                    self.broker.topics.restore(stream, client, bytes);
                }
                Ok(())
            }
            PartKind::Presence => {
                let (broker, now) = (&mut self.broker, Instant::now());
                for state in part.read::<Vec<PresenceState<'_>>>()? {
                    broker.presence.restore(&state, &broker.topics, now);
                }
                Ok(())
            }
            PartKind::Connections => self.adopt_connections(&part.read::<Vec<_>>()?, descriptors),
            PartKind::Servers => {
                self.broker.renders.adopt_upstreams(&part.read::<Vec<_>>()?);
                Ok(())
            }
            PartKind::Jobs => self.broker.renders.adopt_jobs(&part.read::<Vec<_>>()?, tables, renders),
            PartKind::Runs => {
                let token = |place| Of::Attempt(place).into();
                self.broker.renders.adopt_runs(&part.read::<Vec<_>>()?, descriptors, tables, renders, token)
            }
            PartKind::Http => self.broker.http.restore(&part.read()?, descriptors),
            PartKind::Requests => self.broker.http.restore_requests(&part.read::<Vec<_>>()?, descriptors),
            PartKind::Tickets => {
                part.read::<Vec<_>>()?.iter().for_each(|ticket| self.broker.http.restore_ticket(ticket));
                Ok(())
            }
            PartKind::Hub | PartKind::No | PartKind::End => Err(wrong("the order of the parts")),
        }
    }

    fn adopt_owners(&mut self, states: Vec<OwnerState>, pidfds: Vec<OwnedFd>) -> io::Result<()> {
        if self.broker.config.follow_owners {
            for (state, pidfd) in states.into_iter().zip(pidfds) {
                let token = Of::Owner(state.0).into();
                self.owners.adopt(state, pidfd, token, self.poll.registry())?;
            }
        }
        Ok(())
    }

    fn adopt_streams(&mut self, streams: &[StreamState<'_>], sockets: Vec<OwnedFd>, tables: &Tables) -> io::Result<()> {
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

    fn adopt_connections(&mut self, connections: &[ConnectionState<'_>], descriptors: Vec<OwnedFd>) -> io::Result<()> {
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

    /// Restores the hub's own state, after all other parts.
    pub(crate) fn inherit(&mut self, hub: &HubState<'_>, received: AdoptedParts) -> io::Result<()> {
        let AdoptedParts { tables: _, history, mut renders } = received;
        self.broker.settle_shards()?;
        self.broker.renders.settle(&mut renders);
        self.broker.inherit(&hub.broker, history);
        if self.broker.config.follow_owners {
            self.owners.inherit(hub.had_owners);
        }
        self.broker.http.open_if_named();
        self.broker.resume_store()
    }
}
