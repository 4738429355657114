//! The plain baseline: what a PHP site has without an event server. Streams are loops in PHP-FPM's workers, 20 of them; 100
//! clients come. How many get a stream, what an ordinary request gets then, and when a change is seen. Beside it the same
//! with php-sse and two workers, and with as many streams as other scenarios have.

use anyhow::Result;

use super::{Context, Point};
use crate::delivery::Delivery;
use crate::load::{Load, Plan};
use crate::server::{Server, loops, nginx_fpm};

const SCENARIO: &str = "baseline";
/// Clients that come at once.
const CLIENTS: u64 = 100;
/// Many more.
const MANY: u64 = 5_000;
/// Streams that changes are told to: nearly as many as the loops have workers.
const READERS: u64 = 19;
/// Changes a second, so that they come at any time between two looks of a loop.
const RATE: u64 = 3;
/// Ordinary requests, one after another where they are answered at all.
const ORDINARY: u64 = 10;
/// Seconds that a client waits: longer than nginx waits for PHP.
const PATIENCE: u64 = loops::PATIENCE.as_secs() + 5;

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    // Each with a server of its own: a loop notices only when it next looks that its reader has left.
    for poll in if context.quick { [2].as_slice() } else { &[2, 1] } {
        context.each(SCENARIO, &["loops"], |context, server| {
            let point = Point::new(SCENARIO, server.name()).with("poll", *poll);
            changes(context, server, &point, &loops::Loops::polling("bench", *poll))
        });
    }
    context.each(SCENARIO, &["nginx-fpm"], |context, server| {
        changes(context, server, &Point::new(SCENARIO, server.name()), &server.request("bench"))
    });
    context.each(SCENARIO, &["loops"], |context, server| crowd(context, server, loops::WORKERS, CLIENTS));
    context.each(SCENARIO, &["nginx-fpm"], |context, server| crowd(context, server, nginx_fpm::WORKERS, CLIENTS));
    context.each(SCENARIO, &["nginx-fpm"], |context, server| crowd(context, server, nginx_fpm::WORKERS, MANY));
    Ok(())
}

/// From a change to its readers.
fn changes(context: &mut Context, server: &dyn Server, point: &Point, request: &str) -> Result<()> {
    let events = if context.quick { 12 } else { 45 };
    let mut load = Load::new(Plan { request: request.to_owned(), ..Plan::of(server, "bench") });
    load.open(READERS)?.proved()?;
    let taken = Delivery::new("bench").run(server, &mut load, events, RATE, 100)?;
    taken.received.proved(events)?;
    taken.push_latency(context, point);
    Ok(())
}

/// Many clients at once, and ordinary requests while those are there that have got a stream.
fn crowd(context: &mut Context, server: &dyn Server, workers: usize, clients: u64) -> Result<()> {
    let mut load = Load::new(Plan { concurrency: CLIENTS, patience: PATIENCE, ..Plan::of(server, "bench") });
    let opened = load.open(clients)?;
    let point = Point::new(SCENARIO, server.name()).with("clients", clients);
    context.push(&point, "opened", "streams", opened.opened as f64);
    context.push(&point, "streams_per_worker", "streams", opened.opened as f64 / workers as f64);

    let Some(path) = server.hello() else { return Ok(()) };
    // At once where they hang, so that it takes their time once only.
    let concurrency = if opened.failed.is_empty() { 1 } else { ORDINARY };
    let plan = Plan { concurrency, patience: PATIENCE, ..Plan::pages(server.address(), &path) };
    let ordinary = Load::new(plan).open(ORDINARY)?;
    context.push(&point, "ordinary_answered", "%", ordinary.opened as f64 / ORDINARY as f64 * 100.0);
    // To the first byte of whatever comes: a page, or nginx's 504.
    context.push(&point, "ordinary_p50", "ms", ordinary.first_byte.milliseconds(0.5));
    Ok(())
}
