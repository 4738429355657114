//! The load client: opens streams, reads them, and checks that on each all events come, in order and once.
//!
//! A [`Load`] is several processes (`sse-bench load`), as one may have so many descriptors only, each with one epoll loop.
//! They are told what to do, and say what they found, by lines of JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What to open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// The path to GET, [`crate::server::Server::request`]; `{n}` is replaced by the number of the stream, from 0.
    pub request: String,
    /// How many streams.
    pub streams: u64,
    /// How many may be on their way at once, in all processes together.
    pub concurrency: u64,
    /// Whether events are numbered (see [`crate::publisher`]) and are to be checked; otherwise they are only counted.
    pub checked: bool,
    /// After how many seconds what is not open counts as failed.
    pub patience: u64,
}

/// How opening went.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Streams that began (status 200, the right type).
    pub opened: u64,
    /// Streams that did not, by why.
    pub failed: BTreeMap<String, u64>,
    /// From the first attempt to the last stream that began.
    pub took: Duration,
    /// From connecting to the first byte of the response, in nanoseconds.
    pub first_byte: Histogram<u64>,
}

/// What streams have received since [`Load::begin`].
#[derive(Debug, Clone)]
pub struct Received {
    /// Events, all streams together.
    pub events: u64,
    /// Bytes, all streams together, framing and comments too.
    pub bytes: u64,
    /// The fewest and the most events that one stream has got.
    pub least: u64,
    /// See `least`.
    pub most: u64,
    /// Events that were missing, came twice or came too late; 0 where nothing is wrong.
    pub lost: u64,
    /// See `lost`.
    pub doubled: u64,
    /// See `lost`.
    pub disordered: u64,
    /// Streams that ended since, by why.
    pub ended: BTreeMap<String, u64>,
    /// From publishing to reading, in nanoseconds.
    pub latency: Histogram<u64>,
    /// From the first event to the last.
    pub took: Duration,
}

/// Streams that are open.
pub struct Load {
    opened: Opened,
}

impl Load {
    /// Opens them, and returns once each has begun or failed.
    ///
    /// # Errors
    /// The processes of the load client fail; not: streams that fail.
    pub fn open(plan: &Plan) -> Result<Self> {
        bail!("not yet built: {plan:?}")
    }

    /// How opening went.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Forgets what was received until now.
    ///
    /// # Errors
    /// A process of the load client has ended.
    pub fn begin(&mut self) -> Result<()> {
        bail!("not yet built")
    }

    /// Waits until each stream has received so many events since [`Load::begin`], but no longer than `patience`; says what came.
    ///
    /// # Errors
    /// A process of the load client has ended; not: events that don't come.
    pub fn receive(&mut self, events: u64, patience: Duration) -> Result<Received> {
        bail!("not yet built: {events} {patience:?}")
    }
}

impl Received {
    /// # Errors
    /// Events were lost, doubled or out of order, or streams ended, or some got fewer than `events`.
    pub fn proved(&self, events: u64) -> Result<&Self> {
        let whole = self.least == events && self.most == events && self.ended.is_empty();
        if !whole || self.lost + self.doubled + self.disordered > 0 {
            bail!(
                "streams got {} to {} of {events} events; lost {}, doubled {}, out of order {}; ended: {:?}",
                self.least,
                self.most,
                self.lost,
                self.doubled,
                self.disordered,
                self.ended
            );
        }
        Ok(self)
    }
}

/// `sse-bench load`: one process of the load client.
///
/// # Errors
/// The plan is none.
pub fn child(plan: &str) -> Result<()> {
    bail!("not yet built: {}", serde_json::from_str::<Plan>(plan)?.streams)
}
