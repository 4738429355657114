//! Latency: from publishing to the client, while little else happens, and while the pool that PHP runs in is busy. With
//! 5,000 streams it is measured by `fanout`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{Context, Point};
use crate::delivery::Delivery;
use crate::load::{Load, Plan};
use crate::process::until;
use crate::server::{Server, http};

/// Who delivers.
const SERVERS: &[&str] = &["floor", "php-s", "nginx-fpm", "nchan", "pushpin"];
const STREAMS: u64 = 100;
const RATE: u64 = 50;
/// Requests to the pool at the same time: more than its workers.
const BUSY: usize = 4;

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    context.each("latency", SERVERS, measure);
    Ok(())
}

fn measure(context: &mut Context, server: &mut dyn Server) -> Result<()> {
    let events = if context.quick { 50 } else { 200 };
    let mut load = Load::new(Plan::of(server, "bench"));
    load.open_all(STREAMS, server)?;
    let mut delivery = Delivery::new("bench");
    delivery.warm_up(server, &mut load)?;
    let point = |kind: &str| Point::new("latency", server.name()).with("streams", STREAMS).with("load", kind);

    let taken = delivery.run(server, &mut load, events, RATE, 100)?;
    taken.received.proved(events)?;
    taken.push_latency(context, &point("idle"));

    if let Some(path) = server.hello() {
        let busy = Busy::start(server.address(), &path)?;
        let taken = delivery.run(server, &mut load, events, RATE, 100)?;
        taken.received.proved(events)?;
        busy.stop()?;
        taken.push_latency(context, &point("busy pool"));
    }
    Ok(())
}

/// Requests that keep all of a pool's workers busy.
struct Busy {
    threads: Vec<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
}

impl Busy {
    /// Begins, and returns once requests are answered.
    fn start(address: SocketAddr, path: &str) -> Result<Self> {
        let (over, failed, done) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let request = || {
            let (path, over, failed, done) = (path.to_owned(), over.clone(), failed.clone(), done.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let counter = if http::ok(address, &path).is_ok() { &done } else { &failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let threads = std::iter::repeat_with(request).take(BUSY).collect();
        until("the pool answers", Duration::from_secs(10), || Ok(done.load(Ordering::Relaxed) >= 10))?;
        Ok(Self { threads, over, failed })
    }

    fn stop(mut self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        for thread in std::mem::take(&mut self.threads) {
            let _ = thread.join();
        }
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            count => bail!("{count} ordinary requests failed"),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
