//! Opening: how many streams a second can be opened, beside how many ordinary requests a second the same pool answers, which
//! do nothing. For both the client has the same number on their way at once, and each has a connection of its own.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Context, Point};
use crate::load::{Load, Opened, Plan};
use crate::measure::Usage;
use crate::server::Server;

const SCENARIO: &str = "opening";
/// Who opens streams.
const SERVERS: &[&str] = &["floor", "php-s", "nginx-fpm", "mod-php", "nchan", "pushpin"];
/// On their way at once.
const CONCURRENCY: u64 = 32;
/// Requests before anything is measured.
const WARM: u64 = 300;

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    context.each(SCENARIO, SERVERS, measure);
    Ok(())
}

fn measure(context: &mut Context, server: &mut dyn Server) -> Result<()> {
    let count = if context.quick { 2_000 } else { 5_000 };
    let point = |what: &str| Point::new(SCENARIO, server.name()).with("request", what);
    hello(context, server, &point("hello"), count)?;

    let mut load = Load::new(Plan { concurrency: CONCURRENCY, ..Plan::of(server, "bench") });
    load.open(WARM)?;
    let opened = timed(context, server, &mut load, &point("stream"), count)?;
    // Some lose streams; what they do open is measured all the same.
    context.push(&point("stream"), "failed", "streams", opened.failed.values().sum::<u64>() as f64);

    // The same pool, while it has all these streams.
    hello(context, server, &point("hello beside streams"), count)
}

/// Measures as many ordinary requests, where the server answers any.
///
/// # Errors
/// Some fail, or a process of the server or the load client ends.
pub fn hello(context: &mut Context, server: &dyn Server, point: &Point, count: u64) -> Result<()> {
    let Some(path) = server.hello() else { return Ok(()) };
    let mut load = Load::new(Plan { concurrency: CONCURRENCY, ..Plan::pages(server.address(), &path) });
    load.open(WARM)?.proved()?;
    timed(context, server, &mut load, point, count)?.proved()?;
    Ok(())
}

fn timed(context: &mut Context, server: &dyn Server, load: &mut Load, point: &Point, count: u64) -> Result<Opened> {
    let before = Usage::of(&[server.processes()?, load.processes()].concat())?;
    let opened = load.open(count)?;
    let spent = Usage::of(&[server.processes()?, load.processes()].concat())?.since(&before)?;
    context.push(point, "rate", "/s", opened.opened as f64 / opened.took().as_secs_f64());
    let by_role: BTreeMap<String, f64> =
        spent.cpu.into_iter().map(|(role, time)| (role, time / opened.opened as f64 / 1e3)).collect();
    let of_server = by_role.iter().filter(|(role, _)| *role != "client").map(|(_, time)| time).sum();
    context.push_by_role(point, "cpu_per_request", "us", of_server, by_role);
    context.push(point, "first_byte_p50", "ms", opened.first_byte.milliseconds(0.5));
    context.push(point, "first_byte_p99", "ms", opened.first_byte.milliseconds(0.99));
    Ok(opened)
}
