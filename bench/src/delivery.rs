//! Publishing to streams that are open, and what that takes: the middle of most scenarios.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::calls::Calls;
use crate::load::{Load, Received};
use crate::measure::{self, Spent, Usage};
use crate::process::Running;
use crate::publisher::Paced;
use crate::scenario::{Context, Point};
use crate::server::Server;

/// How much longer than planned a delivery may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long the events of a warm-up may take, and how often it is tried.
const WARM: Duration = Duration::from_secs(10);
/// See [`WARM`].
const WARM_UPS: usize = 4;

/// Events of one topic, published one after another to the streams of a load.
pub struct Delivery {
    /// Their topic.
    topic: String,
    /// How many were published: the next one's number.
    published: u64,
}

/// What publishing and delivering took.
pub struct Taken {
    /// What came.
    pub received: Received,
    /// What the server's processes used, by role; and in the roles `client` and `publisher` the bench's own, in which a
    /// publisher's start is included.
    pub spent: Spent,
    /// Events that were published.
    pub events: u64,
}

impl Delivery {
    /// Of this topic, to which nothing was published yet.
    pub fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), published: 0 }
    }

    /// Publishes so many events of so many bytes, so many a second (0: as fast as they are taken), and waits until all
    /// streams have them.
    ///
    /// # Errors
    /// The publisher fails, or a process of the server ends; not: events that don't come.
    pub fn run(&mut self, server: &dyn Server, load: &mut Load, events: u64, rate: u64, bytes: usize) -> Result<Taken> {
        let before = Usage::of(&[server.processes()?, load.processes()].concat())?;
        let children = measure::children();

        let planned = Duration::from_secs(events.checked_div(rate).unwrap_or(0));
        let received = self.publish(server, load, events, rate, bytes, planned + PATIENCE)?;

        let mut spent = Usage::of(&[server.processes()?, load.processes()].concat())?.since(&before)?;
        spent.cpu.insert("publisher".to_owned(), measure::children().saturating_sub(children) as f64);
        Ok(Taken { received, spent, events })
    }

    /// Counts the system calls of the server's processes while so many events are delivered, by role, one event to one
    /// stream; none where they can't be counted.
    ///
    /// # Errors
    /// As [`Delivery::run`], or not everything comes.
    pub fn calls(
        &mut self,
        server: &dyn Server,
        load: &mut Load,
        events: u64,
    ) -> Result<Option<BTreeMap<String, f64>>> {
        let Some(calls) = Calls::begin(&server.processes()?)? else { return Ok(None) };
        let received = self.publish(server, load, events, 10, 100, PATIENCE)?;
        received.proved(events)?;
        let of_one = |(role, count): (String, f64)| (role, count / received.events as f64);
        Ok(Some(calls.end()?.into_iter().map(of_one).collect()))
    }

    fn publish(
        &mut self,
        server: &dyn Server,
        load: &mut Load,
        events: u64,
        rate: u64,
        bytes: usize,
        patience: Duration,
    ) -> Result<Received> {
        let paced = Paced { topic: self.topic.clone(), first: self.published, events, rate, bytes };
        load.forget()?;
        let mut command = server.publisher(&paced)?;
        let mut publisher = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
        self.published += events;
        // First, as there is nothing to wait for where it fails; the load client reads all the while.
        let status = publisher.wait(patience)?;
        if !status.success() {
            bail!("the publisher ended with {status}");
        }
        load.receive(events, patience)
    }

    /// Has events delivered that are not measured, until every stream has got one: some servers begin the response
    /// before the stream follows its topic.
    ///
    /// # Errors
    /// As [`Delivery::run`], or some stream gets none of several.
    pub fn warm_up(&mut self, server: &dyn Server, load: &mut Load) -> Result<()> {
        for _ in 0..WARM_UPS {
            let received = self.publish(server, load, 2, 20, 100, WARM)?;
            if received.least >= 2 {
                return Ok(());
            }
        }
        bail!("some streams get no events, though their responses have begun");
    }
}

impl Taken {
    /// Pushes what a delivery cost: CPU time, context switches and bytes, one event to one stream.
    pub fn push_cost(&self, context: &mut Context, point: &Point) {
        let deliveries = self.received.events as f64;
        let cpu: BTreeMap<String, f64> =
            self.spent.cpu.iter().map(|(role, time)| (role.clone(), time / deliveries / 1e3)).collect();
        context.push_by_role(point, "cpu_per_delivery", "us", of_server(&cpu), cpu);
        let switches: BTreeMap<String, f64> =
            self.spent.switches.iter().map(|(role, count)| (role.clone(), count / self.events as f64)).collect();
        context.push_by_role(point, "switches_per_event", "", of_server(&switches), switches);
        context.push(point, "bytes_per_delivery", "bytes", self.received.bytes as f64 / deliveries);
    }

    /// Pushes how long deliveries took, from publishing to the client.
    pub fn push_latency(&self, context: &mut Context, point: &Point) {
        for (quantity, part) in
            [("latency_p50", 0.5), ("latency_p90", 0.9), ("latency_p99", 0.99), ("latency_p999", 0.999)]
        {
            context.push(point, quantity, "ms", self.received.latency.milliseconds(part));
        }
    }
}

/// The sum of the server's roles: all but the bench's own.
fn of_server(by_role: &BTreeMap<String, f64>) -> f64 {
    by_role.iter().filter(|(role, _)| !matches!(role.as_str(), "client" | "publisher")).map(|(_, part)| part).sum()
}
