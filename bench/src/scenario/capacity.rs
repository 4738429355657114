//! Capacity: more streams than one process may have descriptors, each of which gets events. php-sse spreads them over
//! processes of its own (`sse.processes`); nginx over workers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::{Context, Point};
use crate::delivery::Delivery;
use crate::load::{Load, Plan};
use crate::measure::{Usage, memory_by_role};
use crate::server::Server;
use crate::server::nginx_fpm::{NginxFpm, WORKERS};
use crate::server::php_s::PhpS;

/// Streams, on each server. Through nginx a stream is three descriptors and two buffers, so these are fewer.
const STREAMS: &[(&str, u64)] = &[("php-s", 100_000), ("nginx-fpm", 40_000)];
const QUICK: &[(&str, u64)] = &[("php-s", 25_000)];
/// Of 100 bytes, one after the other has reached all streams.
const EVENTS: u64 = 5;
/// Events a second.
const RATE: u64 = 1;
/// Seconds that opening all streams may take.
const PATIENCE: u64 = 240;
/// For how long nothing is published.
const IDLE: Duration = Duration::from_secs(16);

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    for (name, streams) in if context.quick { QUICK } else { STREAMS } {
        context.attempt("capacity", name, |context| {
            let mut server = start(name, *streams)?;
            context.note_versions(server.versions()?);
            measure(context, server.as_mut(), *streams)
        });
    }
    Ok(())
}

fn start(name: &str, streams: u64) -> Result<Box<dyn Server>> {
    // A bit more than are opened: who leaves and comes back is two for a moment.
    let limit = streams + streams / 10;
    Ok(match name {
        "nginx-fpm" => {
            Box::new(NginxFpm::for_streams(streams, WORKERS, |settings| settings.with("sse.max_streams", limit))?)
        }
        _ => Box::new(PhpS::with(|settings| settings.with("sse.max_streams", limit))?),
    })
}

fn measure(context: &mut Context, server: &mut dyn Server, streams: u64) -> Result<()> {
    let point = Point::new("capacity", server.name()).with("streams", streams);
    let mut load = Load::new(Plan { patience: PATIENCE, ..Plan::of(server, "bench") });
    load.open(1)?.proved()?;
    let first = memory_by_role(&server.processes()?)?;
    let opened = load.open(streams - 1)?;
    opened.proved()?;
    context.push(&point, "opened_per_second", "1/s", opened.opened as f64 / opened.took().as_secs_f64());

    let grown = |(role, bytes): (String, f64)| {
        let grown = bytes - first.get(&role).unwrap_or(&0.0);
        (role, grown / streams as f64)
    };
    let processes = server.processes()?;
    let grown: BTreeMap<String, f64> = memory_by_role(&processes)?.into_iter().map(grown).collect();
    context.push_by_role(&point, "memory_per_stream", "bytes", grown.values().sum(), grown);
    let hubs = processes.iter().filter(|process| process.role == "hub").count();
    context.push(&point, "hub_processes", "", hubs as f64);

    let before = Usage::of(&processes)?;
    load.forget()?;
    load.receive(1, IDLE)?.proved(0)?;
    let spent = Usage::of(&server.processes()?)?.since(&before)?;
    let percent = |(role, time): (String, f64)| (role, time / IDLE.as_nanos() as f64 * 100.0);
    let idle: BTreeMap<String, f64> = spent.cpu.into_iter().map(percent).collect();
    context.push_by_role(&point, "cpu", "%", idle.values().sum(), idle);

    let mut delivery = Delivery::new("bench");
    delivery.warm_up(server, &mut load)?;
    let taken = delivery.run(server, &mut load, EVENTS, RATE, 100)?;
    taken.received.proved(EVENTS)?;
    taken.push_cost(context, &point);
    taken.push_latency(context, &point);
    Ok(())
}
