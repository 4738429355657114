//! Idle CPU: 10,000 streams to which nothing is published, with heartbeats every 15 seconds, over two of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Context, Point};
use crate::load::{Load, Plan};
use crate::measure::Usage;
use crate::server::Server;

/// Who holds them. The two whose heartbeats are the same by their settings.
const SERVERS: &[&str] = &["php-s", "nginx-fpm"];
/// A short pass measures one, over one heartbeat.
const QUICK: &[&str] = &["php-s"];
/// Between two heartbeats of a stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    context.each("idle", if context.quick { QUICK } else { SERVERS }, measure);
    Ok(())
}

fn measure(context: &mut Context, server: &mut dyn Server) -> Result<()> {
    let (streams, heartbeats) = if context.quick { (1_000, 1) } else { (10_000, 2) };
    let mut load = Load::new(Plan::of(server, "bench"));
    load.open_all(streams, server)?;
    load.forget()?;
    let before = Usage::of(&server.processes()?)?;
    let begin = Instant::now();
    // No event comes, so this waits.
    let received = load.receive(1, HEARTBEAT * heartbeats)?;
    let took = begin.elapsed();
    let spent = Usage::of(&server.processes()?)?.since(&before)?;
    received.proved(0)?;
    // The last may come a moment later, so of that one nothing is said.
    if received.comments < streams * u64::from(heartbeats - 1) {
        bail!("{} heartbeats came to {streams} streams within {} s", received.comments, took.as_secs());
    }
    let percent = |nanoseconds: f64| nanoseconds / took.as_nanos() as f64 * 100.0;
    let by_role: BTreeMap<String, f64> = spent.cpu.into_iter().map(|(role, time)| (role, percent(time))).collect();
    let point = Point::new("idle", server.name()).with("streams", streams);
    context.push_by_role(&point, "cpu", "%", by_role.values().sum(), by_role);
    context.push(&point, "heartbeats_per_stream", "", received.comments as f64 / streams as f64);
    Ok(())
}
