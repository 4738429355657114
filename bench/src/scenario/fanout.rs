//! Fan-out: one channel, 10 events a second, more and more streams. What a delivery costs, and how long it takes.

use anyhow::Result;

use super::{Context, Point};
use crate::delivery::Delivery;
use crate::load::{Load, Plan};
use crate::server::Server;

/// Who delivers.
const SERVERS: &[&str] = &["floor", "php-s", "nginx-fpm", "nchan", "pushpin"];

/// Events during which system calls are counted.
const CALLS: u64 = 10;

/// So many streams, and what they get.
struct Step {
    streams: u64,
    bytes: usize,
    /// A second.
    rate: u64,
    events: u64,
}

const fn step(streams: u64, bytes: usize, rate: u64, events: u64) -> Step {
    Step { streams, bytes, rate, events }
}

const STEPS: &[Step] = &[
    step(1, 100, 10, 30),
    step(1, 10_240, 10, 10),
    step(100, 100, 10, 30),
    step(100, 10_240, 10, 10),
    step(1_000, 100, 10, 30),
    step(1_000, 10_240, 10, 10),
    step(5_000, 100, 10, 30),
    step(10_000, 100, 10, 30),
    // At 10 a second these would be a gigabyte each second, which nothing here can move.
    step(10_000, 10_240, 1, 3),
];
const QUICK: &[Step] =
    &[step(1, 100, 10, 10), step(1_000, 100, 10, 15), step(1_000, 10_240, 10, 10), step(5_000, 100, 10, 15)];

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    context.each("fanout", SERVERS, measure);
    Ok(())
}

fn measure(context: &mut Context, server: &mut dyn Server) -> Result<()> {
    let mut load = Load::new(Plan::of(server, "bench"));
    let mut delivery = Delivery::new("bench");
    let mut open = 0;
    for step in if context.quick { QUICK } else { STEPS } {
        if step.streams > open {
            load.open_all(step.streams - open, server)?;
            open = step.streams;
            delivery.warm_up(server, &mut load)?;
        }
        let taken = delivery.run(server, &mut load, step.events, step.rate, step.bytes)?;
        taken.received.proved(step.events)?;
        let point = Point::new("fanout", server.name()).with("streams", step.streams).with("bytes", step.bytes as u64);
        let point = point.with("rate", step.rate);
        taken.push_cost(context, &point);
        taken.push_latency(context, &point);
        if (step.streams, step.bytes) == (1_000, 100)
            && let Some(calls) = delivery.calls(server, &mut load, CALLS)?
        {
            context.push_by_role(&point, "system_calls_per_delivery", "", calls.values().sum(), calls);
        }
        if (step.streams, step.bytes) == (5_000, 100) {
            let point = Point::new("latency", server.name()).with("streams", step.streams).with("load", "fan-out");
            taken.push_latency(context, &point);
        }
    }
    Ok(())
}
