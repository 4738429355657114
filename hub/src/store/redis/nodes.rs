//! Which server has the stream now: with Sentinel the master, in a cluster the node of its slot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::info;

use crate::config::bus_address::BusAddress;
use crate::config::bus_address::servers::{BusServers, Endpoint};
use crate::store::redis::connection::{BusError, CONNECTING, RedisConnection, Stop};
use crate::store::redis::{cluster, sentinel};

/// What the threads know of the servers.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(super) address: Arc<BusAddress>,
    pub(super) stop: Arc<Stop>,
    /// The server that has the stream; `None`: none was found yet.
    current: Mutex<Option<Endpoint>>,
    /// Which Sentinels have not answered the last time.
    pub(super) mute: sentinel::MuteSentinels,
}

impl Nodes {
    pub(crate) fn new(address: Arc<BusAddress>, stop: Arc<Stop>) -> Self {
        Self { address, stop, current: Mutex::default(), mute: sentinel::MuteSentinels::default() }
    }

    /// Connects to the server that has the stream.
    pub(crate) fn open(&self) -> Result<RedisConnection, BusError> {
        let connection = match &self.address.servers {
            BusServers::One(endpoint) => self.connect(endpoint)?,
            BusServers::Sentinel(group) => sentinel::open(self, group)?,
            BusServers::Cluster(known) => cluster::open(self, known)?,
        };
        self.found(connection.endpoint());
        Ok(connection)
    }

    /// Connects to this server.
    pub(super) fn connect(&self, endpoint: &Endpoint) -> Result<RedisConnection, BusError> {
        let until = Instant::now() + CONNECTING;
        RedisConnection::open(endpoint, &self.address.login, self.address.database, &self.stop, until)
    }

    /// The server that has the stream, as far as known.
    pub(crate) fn current(&self) -> Option<Endpoint> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Learns which server has the stream.
    pub(super) fn found(&self, endpoint: &Endpoint) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref() == Some(endpoint) {
            return;
        }
        if let Some(before) = &*current {
            info!(bus = %self.address, %before, now = %endpoint, "another server has the stream of the bus now");
        }
        *current = Some(endpoint.clone());
    }

    /// An error with its remedy, where there is one.
    pub(crate) fn explained(&self, error: &BusError) -> String {
        match (error, &self.address.servers) {
            (BusError::Said(reason), BusServers::One(_)) if reason.starts_with("MOVED ") => {
                format!("{error}; this server is a node of a cluster: begin sse.bus with redis+cluster://")
            }
            _ => error.to_string(),
        }
    }

    /// Fails where another thread has learned that the stream is at another server than this connection's.
    pub(crate) fn check(&self, connection: &RedisConnection) -> Result<(), BusError> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(node) if node != connection.endpoint() => Err(BusError::Moved(node.to_string())),
            _ => Ok(()),
        }
    }
}
