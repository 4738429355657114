//! Memory: what a stream takes while nothing is published, with more and more of them, and what an event takes that is kept
//! for readers that come back.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{Context, Point};
use crate::load::{Load, Plan};
use crate::measure::memory_by_role;
use crate::process::Running;
use crate::publisher::Paced;
use crate::server::{self, Server};

/// Who holds streams.
const SERVERS: &[&str] = &["floor", "php-s", "nginx-fpm", "nchan", "pushpin"];
/// How many, one after another.
const STEPS: &[u64] = &[1_000, 5_000, 10_000];
const QUICK: &[u64] = &[1_000];
/// Topics, each with as many events as are kept by default.
const TOPICS: u64 = 20;
const EVENTS: u64 = 1_000;

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    context.each("memory", SERVERS, streams);
    context.each("memory", &["php-s"], events);
    Ok(())
}

fn streams(context: &mut Context, server: &mut dyn Server) -> Result<()> {
    let mut load = Load::new(Plan::of(server, "bench"));
    // The first stream brings what there is once.
    load.open_all(1, server)?;
    let first = memory_by_role(&server.processes()?)?;
    let mut open = 0;
    for streams in if context.quick { QUICK } else { STEPS } {
        load.open_all(streams - open, server)?;
        open = *streams;
        let grown = per_one(&memory_by_role(&server.processes()?)?, &first, open);
        let point = Point::new("memory", server.name()).with("streams", open);
        context.push_by_role(&point, "memory_per_stream", "bytes", grown.values().sum(), grown);
    }
    load.forget()?;
    load.receive(0, Duration::ZERO)?.proved(0)?;
    Ok(())
}

fn events(context: &mut Context, server: &mut dyn Server) -> Result<()> {
    for bytes in [100, 1_024] {
        let point = Point::new("memory", server.name()).with("bytes", bytes as u64);
        // Each with a server of its own: what one size has left would be used by the other.
        let server = server::start(server.name())?;
        publish(server.as_ref(), "warm", bytes)?;
        let before = memory_by_role(&server.processes()?)?;
        for topic in 0..TOPICS {
            publish(server.as_ref(), &format!("kept.{topic}"), bytes)?;
        }
        let grown = per_one(&memory_by_role(&server.processes()?)?, &before, TOPICS * EVENTS);
        context.push_by_role(&point, "memory_per_kept_event", "bytes", grown.values().sum(), grown);
    }
    Ok(())
}

fn publish(server: &dyn Server, topic: &str, bytes: usize) -> Result<()> {
    let paced = Paced { topic: topic.to_owned(), first: 0, events: EVENTS, rate: 0, bytes };
    let mut publisher = Running::start(server.publisher(&paced)?.stdin(Stdio::null()).stdout(Stdio::null()))?;
    let status = publisher.wait(Duration::from_secs(30))?;
    if !status.success() {
        bail!("the publisher ended with {status}");
    }
    Ok(())
}

fn per_one(after: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>, count: u64) -> BTreeMap<String, f64> {
    let grown = |(role, bytes): (&String, &f64)| {
        let grown = bytes - before.get(role).unwrap_or(&0.0);
        (role.clone(), grown / count as f64)
    };
    after.iter().map(grown).collect()
}
