//! Renders: how many callbacks of streams run a second, beside how many ordinary requests a second the same pool answers.
//! Each stream is always due; there are so many that none comes to the hundred a second that one stream gets at most.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Context, Point, opening};
use crate::load::{Load, Plan};
use crate::measure::Usage;
use crate::process::Running;
use crate::server::php_sse::Hub;
use crate::server::{Server, http};

const SCENARIO: &str = "renders";
/// Who runs callbacks.
const SERVERS: &[&str] = &["nginx-fpm", "php-s"];
const STREAMS: u64 = 500;
/// The path of a stream with a callback.
const PATH: &str = "/render.php?topic=bench";
/// Wakes all streams, more often than their turns come: 500 streams at 10,000 renders a second have one every 50 ms. Not much
/// more often either, since marking all of them is no part of a render.
const WAKER: &str = "while (true) { SseTrigger::push('bench'); usleep(20000); }";

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    context.each(SCENARIO, SERVERS, measure);
    Ok(())
}

fn measure(context: &mut Context, server: &mut dyn Server) -> Result<()> {
    let hub = server.hub().context("this server has no hub")?;
    let seconds = if context.quick { 2 } else { 4 };
    let point = |what: &str| Point::new(SCENARIO, server.name()).with("request", what);
    opening::hello(context, server, &point("hello"), if context.quick { 2_000 } else { 5_000 })?;

    let mut load = Load::new(Plan { request: PATH.to_owned(), checked: false, ..Plan::of(server, "bench") });
    load.open(STREAMS)?.proved()?;
    let mut waker = Running::start(hub.php(&[])?.args(["-r", WAKER]).stdin(Stdio::null()).stdout(Stdio::null()))?;
    // Until each has been rendered after a wake: from then on all are due again and again.
    load.forget()?;
    let warm = load.receive(2, Duration::from_secs(20))?;
    if warm.least < 2 {
        bail!("some streams were not rendered within 20 s");
    }

    let before = Usage::of(&server.processes()?)?;
    let (done, failed, begin) = (count(hub, "done")?, count(hub, "failed")?, Instant::now());
    load.forget()?;
    // More than come: so it reads for as long.
    let received = load.receive(u64::MAX, Duration::from_secs(seconds))?;
    let (done, took) = (count(hub, "done")? - done, begin.elapsed());
    let spent = Usage::of(&server.processes()?)?.since(&before)?;
    if !waker.is_alive() {
        bail!("what wakes the streams has ended");
    }
    let failed = count(hub, "failed")? - failed;
    if failed > 0.0 || !received.ended.is_empty() {
        bail!("{failed} renders failed, streams ended: {:?}", received.ended);
    }
    let point = point("render");
    context.push(&point, "rate", "/s", done / took.as_secs_f64());
    let by_role: BTreeMap<String, f64> = spent.cpu.into_iter().map(|(role, time)| (role, time / done / 1e3)).collect();
    context.push_by_role(&point, "cpu_per_request", "us", by_role.values().sum(), by_role);
    // What an ordinary request waits for meanwhile.
    let begin = Instant::now();
    http::ok(server.address(), &server.hello().context("this server answers no ordinary request")?)?;
    context.push(&point, "ordinary_request", "ms", begin.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// One of the hub's figures of renders.
fn count(hub: &Hub, name: &str) -> Result<f64> {
    hub.stats()?["renders"][name].as_f64().with_context(|| format!("the hub does not tell renders.{name}"))
}
