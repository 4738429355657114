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
/// How long is measured: two heartbeats of 15 seconds.
const TIME: Duration = Duration::from_secs(30);
/// Heartbeats that each stream gets at least meanwhile; the second may come a moment later.
const HEARTBEATS: u64 = 1;

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    context.each("idle", SERVERS, measure);
    Ok(())
}

fn measure(context: &mut Context, server: &mut dyn Server) -> Result<()> {
    let streams = if context.quick { 1_000 } else { 10_000 };
    let mut load = Load::new(Plan::of(server, "bench"));
    load.open(streams)?.proved()?;
    load.forget()?;
    let before = Usage::of(&server.processes()?)?;
    let begin = Instant::now();
    // No event comes, so this waits.
    let received = load.receive(1, TIME)?;
    let took = begin.elapsed();
    let spent = Usage::of(&server.processes()?)?.since(&before)?;
    received.proved(0)?;
    if received.comments < streams * HEARTBEATS {
        bail!("{} heartbeats came to {streams} streams within {} s", received.comments, TIME.as_secs());
    }
    let percent = |nanoseconds: f64| nanoseconds / took.as_nanos() as f64 * 100.0;
    let by_role: BTreeMap<String, f64> = spent.cpu.into_iter().map(|(role, time)| (role, percent(time))).collect();
    let point = Point::new("idle", server.name()).with("streams", streams);
    context.push_by_role(&point, "cpu", "%", by_role.values().sum(), by_role);
    context.push(&point, "heartbeats_per_stream", "", received.comments as f64 / streams as f64);
    Ok(())
}
