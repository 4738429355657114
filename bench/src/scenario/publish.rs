//! Publishing in a closed loop from one PHP process: how many events a second, and what one costs.
//!
//! What waits for an answer (sse_publish, phpredis, curl) stands beside what does not (the mode async, SseTrigger::push, a
//! bare datagram). With readers the events are a burst that their buffers can hold, as no machine delivers to a thousand
//! readers what one process can publish; all of it has to arrive.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Context, Point};
use crate::closed_loop::{ClosedLoop, Published};
use crate::load::{Load, Plan};
use crate::server::nchan::Nchan;
use crate::server::php_s::PhpS;
use crate::server::pushpin::Pushpin;
use crate::server::redis::Redis;
use crate::server::{Process, Server};

/// Bytes of each event's data.
const BYTES: u64 = 100;
/// Streams that read, where some do.
const READERS: u64 = 1_000;
/// Events that they are sent at most. Less than `sse.stream_buffer` holds for one of them.
const BURST: u64 = 2_000;
/// How long the burst may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one waits for what a server may have dropped.
const DROPPING: Duration = Duration::from_secs(8);
/// The topic of all events.
const TOPIC: &str = "bench";

/// Ways to publish through this extension: what tables call them, and the script.
const OURS: &[(&str, &str)] = &[("sse_publish", "ack"), ("sse_publish async", "async"), ("SseTrigger::push", "push")];
/// Bare datagrams. The first is the faster one of an open socket.
const DATAGRAMS: &[(&str, &str)] =
    &[("UDP send", "udp-stream"), ("UDP socket_sendto", "udp-socket"), ("UDP send, new socket", "udp-new")];
const REDIS: &[(&str, &str)] = &[("phpredis PUBLISH", "redis-publish"), ("phpredis XADD", "redis-xadd")];

/// One round.
///
/// # Errors
/// None: what fails is kept for each server.
pub fn run(context: &mut Context) -> Result<()> {
    context.attempt("publish", "php-s", ours);
    context.attempt("publish", "UDP", datagrams);
    context.attempt("publish", "redis", redis);
    context.attempt("publish", "nchan", |context| {
        let nchan = Nchan::start()?;
        let url = format!("http://{}{}", nchan.address(), Nchan::publish(TOPIC));
        posted(context, &nchan, "curl to nchan", "nchan", &url)
    });
    context.attempt("publish", "pushpin", |context| {
        let pushpin = Pushpin::start()?;
        let url = format!("http://{}{}", pushpin.control(), Pushpin::PUBLISH);
        posted(context, &pushpin, "curl to Pushpin", "pushpin", &url)
    });
    Ok(())
}

/// How long each loop goes on, in seconds.
fn seconds(context: &Context) -> f64 {
    if context.quick { 1.0 } else { 3.0 }
}

/// Through this extension.
fn ours(context: &mut Context) -> Result<()> {
    let server = PhpS::start()?;
    let hub = server.hub().context("php -S has no hub")?;
    context.note_versions(server.versions()?);
    let seconds = seconds(context);
    for (name, way) in OURS {
        let publisher = ClosedLoop { seconds, bytes: BYTES, ..ClosedLoop::new(way, "-") };
        let published = publisher.run(hub.php(&[])?, || hub.processes())?;
        push(context, name, 0, &published);
    }
    let mut load = readers(&server)?;
    for (name, way) in &OURS[..2] {
        let publisher = ClosedLoop { seconds, bytes: BYTES, calls: Some(BURST), ..ClosedLoop::new(way, "-") };
        let published = burst(&mut load, &publisher, || hub.php(&[]).map_err(Into::into), || hub.processes())?;
        load.receive(published.events(), PATIENCE)?.proved(published.events())?;
        push(context, name, READERS, &published);
    }
    Ok(())
}

/// By POST with curl.
fn posted(context: &mut Context, server: &dyn Server, name: &str, way: &'static str, url: &str) -> Result<()> {
    context.note_versions(server.versions()?);
    let publisher = ClosedLoop { seconds: seconds(context), bytes: BYTES, ..ClosedLoop::new(way, url) };
    let published = publisher.run(ClosedLoop::plain_php()?, || server.processes())?;
    push(context, name, 0, &published);
    let mut load = readers(server)?;
    let publisher = ClosedLoop { calls: Some(BURST), ..publisher };
    let published = burst(&mut load, &publisher, ClosedLoop::plain_php, || server.processes())?;
    let events = published.events();
    if server.loses_streams() {
        // Pushpin drops events too, where they come faster than it passes them on: how many come is a figure of its own.
        let received = load.receive(events, DROPPING)?;
        let arrived = received.events as f64 / (received.streams * events) as f64;
        context.push(&at(name, READERS), "arrived", "%", arrived * 100.0);
    } else {
        load.receive(events, PATIENCE)?.proved(events)?;
    }
    push(context, name, READERS, &published);
    Ok(())
}

/// By phpredis, over Redis's Unix socket, as the hub's is one.
fn redis(context: &mut Context) -> Result<()> {
    let redis = Redis::start()?;
    context.note_versions(redis.versions());
    let target = redis.socket().display().to_string();
    for (name, way) in REDIS {
        let publisher = ClosedLoop { seconds: seconds(context), bytes: BYTES, ..ClosedLoop::new(way, &target) };
        let published = publisher.run(ClosedLoop::plain_php()?, || Ok(redis.processes()))?;
        push(context, name, 0, &published);
    }
    Ok(())
}

/// Bare datagrams, to a socket that is read.
fn datagrams(context: &mut Context) -> Result<()> {
    let drain = Drain::start()?;
    let target = drain.address.to_string();
    for (name, way) in DATAGRAMS {
        let publisher = ClosedLoop { seconds: seconds(context), bytes: BYTES, ..ClosedLoop::new(way, &target) };
        let published = publisher.run(ClosedLoop::plain_php()?, || Ok(Vec::new()))?;
        push(context, name, 0, &published);
    }
    Ok(())
}

fn readers(server: &dyn Server) -> Result<Load> {
    let mut load = Load::new(Plan { checked: false, ..Plan::of(server, TOPIC) });
    load.open(READERS)?.proved()?;
    Ok(load)
}

/// Publishes to readers; what they got until then is forgotten.
fn burst(
    load: &mut Load,
    publisher: &ClosedLoop,
    php: impl Fn() -> Result<std::process::Command>,
    processes: impl Fn() -> Result<Vec<Process>>,
) -> Result<Published> {
    load.forget()?;
    publisher.run(php()?, processes)
}

/// Where the figures of a way to publish belong.
fn at(name: &str, readers: u64) -> Point {
    Point::new("publish", name).with("streams", readers).with("bytes", BYTES)
}

/// Pushes the rate and the cost of one publication.
fn push(context: &mut Context, name: &str, readers: u64, published: &Published) {
    let point = at(name, readers);
    context.push(&point, "rate", "1/s", published.rate());
    let cpu = published.cpu_by_role();
    let servers =
        cpu.iter().filter(|(role, _)| *role != "publisher").map(|(_, part)| part).fold(0.0, |sum, part| sum + part);
    // What the readers' deliveries cost is no part of it, and can't be told from it.
    if readers == 0 {
        context.push_by_role(&point, "cpu_per_publish", "us", servers, cpu);
    }
    context.push(&point, "refused", "%", published.refused());
}

/// Reads datagrams and throws them away.
struct Drain {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    fn start() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (address, over) = (socket.local_addr()?, Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut datagram = [0; 2048];
            while !ends.load(Ordering::Relaxed) {
                let _ = socket.recv(&mut datagram);
            }
        });
        Ok(Self { address, over, thread: Some(thread) })
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
