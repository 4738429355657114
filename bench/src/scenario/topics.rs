//! Many topics: what a publication costs that nobody watches, where few or many are known; and what one costs where each of
//! many streams watches a topic, or a pattern, of its own.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Context, Point};
use crate::closed_loop::{ClosedLoop, Published};
use crate::load::{Load, Plan};
use crate::server::Server;
use crate::server::php_s::PhpS;
use crate::server::php_sse::Hub;

/// Bytes of each event's data.
const BYTES: u64 = 100;
/// Topics that the hub knows, each with an event at least that it keeps.
const KNOWN: &[u64] = &[10, 1_000_000];
/// Publications to each topic that is watched.
const CYCLES: u64 = 3;
/// How long all may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// One round.
///
/// # Errors
/// None: what fails is kept.
pub fn run(context: &mut Context) -> Result<()> {
    for &topics in KNOWN {
        context.attempt("topics", "php-s", |context| {
            let server = knowing(topics)?;
            let hub = hub(&server)?;
            let seconds = if context.quick { 1.0 } else { 3.0 };
            let publisher = ClosedLoop { seconds, ..to("t.%d", topics) };
            let published = publisher.run(hub.php(&[])?, || hub.processes())?;
            let point = Point::new("topics", "sse_publish").with("topics", topics).with("streams", 0);
            push(context, &point, "cpu_per_publish", &published);
            if topics == KNOWN[KNOWN.len() - 1] {
                watched(context, &server, topics)?;
            }
            Ok(())
        });
    }
    Ok(())
}

fn hub(server: &PhpS) -> Result<&Hub> {
    server.hub().context("php -S has no hub")
}

/// A hub that keeps an event of each of so many topics.
fn knowing(topics: u64) -> Result<PhpS> {
    let server = PhpS::with(|settings| settings.with("sse.history_bytes", "8G").with("sse.timeout", 60_000))?;
    let hub = hub(&server)?;
    let fill = ClosedLoop { way: "async", seconds: 120.0, calls: Some(topics), ..to("t.%d", topics) };
    fill.run(hub.php(&[])?, || hub.processes())?;
    Ok(server)
}

/// Streams with a topic each, and then as many more with a pattern each.
fn watched(context: &mut Context, server: &PhpS, known: u64) -> Result<()> {
    let hub = hub(server)?;
    let streams = if context.quick { 1_000 } else { 10_000 };
    for (kind, watch, publish) in [("topic", "t.{n}", "t.%d"), ("pattern", "p.{n}.*", "p.%d.x")] {
        let mut load = Load::new(Plan { checked: false, ..Plan::of(server, watch) });
        load.open(streams)?.proved()?;
        // Each stream gets one, which is not measured.
        let warm = ClosedLoop { calls: Some(streams), seconds: 60.0, ..to(publish, streams) };
        // The script publishes to its first topic once more, before its clock starts.
        warm.run(hub.php(&[])?, || hub.processes())?;
        load.receive(1, PATIENCE)?;
        load.forget()?;
        let publisher = ClosedLoop { calls: Some(CYCLES * streams), seconds: 60.0, ..to(publish, streams) };
        let published = publisher.run(hub.php(&[])?, || hub.processes())?;
        let received = load.receive(CYCLES, PATIENCE)?;
        anyhow::ensure!(
            received.least == CYCLES && received.most <= CYCLES + 1 && received.ended.is_empty(),
            "streams with a {kind} each got {} to {} events of {CYCLES}; ended: {:?}",
            received.least,
            received.most,
            received.ended
        );
        let point = Point::new("topics", "sse_publish").with("topics", known).with("streams", streams);
        push(context, &point.with("watching", kind), "cpu_per_delivery", &published);
    }
    Ok(())
}

fn to(topic: &str, count: u64) -> ClosedLoop {
    ClosedLoop { bytes: BYTES, topics: (topic.to_owned(), count), ..ClosedLoop::new("ack", "-") }
}

/// Pushes the rate, and what one publication cost the hub (and PHP, as a role).
fn push(context: &mut Context, point: &Point, cost: &str, published: &Published) {
    context.push(point, "rate", "1/s", published.rate());
    let cpu = published.cpu_by_role();
    context.push_by_role(point, cost, "us", cpu.get("hub").copied().unwrap_or(f64::NAN), cpu);
}
