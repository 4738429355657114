//! The load client: opens streams, reads them, and checks that on each all events come, in order and once.
//!
//! A [`Load`] is several processes (`sse-bench load`), as one may have so many descriptors only, each with one epoll loop.
//! They are told what to do, and say what they found, by lines of JSON.

mod child;
mod chunks;
mod events;
mod order;
mod spans;
mod stream;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

pub use child::run as child;
pub use spans::Spans;

use crate::process::Running;
use crate::server::{Process, Server};

/// Streams of one process at most: it may need few descriptors beside them.
const OF_ONE_PROCESS: u64 = 15_000;
/// Descriptors that a process has beside its streams'.
const OTHER_DESCRIPTORS: u64 = 50;
/// What a process of the load client gets beyond the time that it was given.
const GRACE: Duration = Duration::from_secs(30);

/// How long one looks whether streams that have begun are lost, and how often lost ones are opened again.
const SETTLING: Duration = Duration::from_secs(1);
/// See [`SETTLING`].
const TRIES: usize = 10;

/// What to open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// The path to GET, [`crate::server::Server::request`]; `{n}` is replaced by the number of the stream, from 0.
    pub request: String,
    /// How many may be on their way at once.
    pub concurrency: u64,
    /// Whether events must be numbered (see [`crate::publisher`]) and are to be checked; otherwise they are only counted.
    pub checked: bool,
    /// Whether these are no streams but ordinary pages, each with a connection of its own, as a stream has; one counts as
    /// open when it has come to its end.
    #[serde(default)]
    pub pages: bool,
    /// Seconds that opening may take; what is not open then has failed.
    pub patience: u64,
}

impl Plan {
    /// Streams of this topic of this server, whose events are checked.
    pub fn of(server: &dyn Server, topic: &str) -> Self {
        Self {
            address: server.address(),
            request: server.request(topic),
            concurrency: 100,
            checked: true,
            pages: false,
            patience: 60,
        }
    }

    /// Ordinary pages.
    pub fn pages(address: SocketAddr, path: &str) -> Self {
        let request = path.to_owned();
        Self { address, request, concurrency: 100, checked: false, pages: true, patience: 60 }
    }
}

/// How opening went.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Opened {
    /// Streams that began (status 200, the right type).
    pub opened: u64,
    /// Streams that did not, by why.
    pub failed: BTreeMap<String, u64>,
    /// When the first was begun, CLOCK_MONOTONIC in nanoseconds.
    pub begun: u64,
    /// When the last one's response began.
    pub last: u64,
    /// From connecting to the first byte of the response.
    pub first_byte: Spans,
}

/// What streams have received since [`Load::forget`].
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Streams that are open.
    pub streams: u64,
    /// Events, all streams together.
    pub events: u64,
    /// Bytes, all streams together, framing and comments too.
    pub bytes: u64,
    /// Comments, all streams together: heartbeats.
    pub comments: u64,
    /// The fewest events that one stream has got.
    pub least: u64,
    /// The most events that one stream has got.
    pub most: u64,
    /// Events that have not come though later ones have.
    pub lost: u64,
    /// Events that had come before.
    pub doubled: u64,
    /// Events that came after later ones.
    pub disordered: u64,
    /// Streams that ended since, by why.
    pub ended: BTreeMap<String, u64>,
    /// From publishing to reading.
    pub latency: Spans,
    /// From the first event to the last.
    pub took: Duration,
}

/// Streams that are open, and the processes that hold them.
pub struct Load {
    plan: Plan,
    workers: Vec<Worker>,
    /// Streams that were asked for.
    asked: u64,
}

/// A process of the load client.
struct Worker {
    process: Running,
    requests: ChildStdin,
    answers: Receiver<String>,
    /// Streams that it was asked for.
    streams: u64,
}

/// What a process of the load client is told, one line each.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Request {
    /// Open so many streams; the first one's number is `first`.
    Open { first: u64, streams: u64 },
    /// Forget what was received.
    Forget,
    /// Wait until each stream has so many events, at most so many nanoseconds.
    Receive { events: u64, patience: u64 },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Opened(Opened),
    Forgotten,
    Received(Share),
}

/// What one process has received.
#[derive(Debug, Serialize, Deserialize)]
struct Share {
    streams: u64,
    events: u64,
    bytes: u64,
    comments: u64,
    least: u64,
    most: u64,
    lost: u64,
    doubled: u64,
    disordered: u64,
    ended: BTreeMap<String, u64>,
    latency: Spans,
    first: Option<u64>,
    last: u64,
}

impl Load {
    /// A client that has no streams yet.
    pub fn new(plan: Plan) -> Self {
        Self { plan, workers: Vec::new(), asked: 0 }
    }

    /// Opens so many more streams, and returns once each has begun or failed.
    ///
    /// # Errors
    /// A process of the load client fails; not: streams that fail.
    pub fn open(&mut self, streams: u64) -> Result<Opened> {
        let capacity = capacity();
        let mut left = streams;
        let mut asked = Vec::new();
        while left > 0 {
            if self.workers.last().is_none_or(|worker| worker.streams >= capacity) {
                self.workers.push(Worker::start(&self.plan)?);
            }
            let index = self.workers.len() - 1;
            let worker = &mut self.workers[index];
            let share = left.min(capacity - worker.streams);
            worker.ask(&Request::Open { first: self.asked, streams: share })?;
            worker.streams += share;
            self.asked += share;
            left -= share;
            asked.push(index);
        }
        let mut all = Opened { begun: u64::MAX, ..Opened::default() };
        for index in asked {
            let patience = Duration::from_secs(self.plan.patience) + GRACE;
            let Answer::Opened(opened) = self.workers[index].answer(patience)? else { bail!("a wrong answer") };
            all.opened += opened.opened;
            add(&mut all.failed, opened.failed);
            all.begun = all.begun.min(opened.begun);
            all.last = all.last.max(opened.last);
            all.first_byte.add(&opened.first_byte);
        }
        Ok(all)
    }

    /// Opens so many more streams, all of them: where the server is known to lose some, those are opened again as a browser
    /// would do. Forgets what was received until then.
    ///
    /// # Errors
    /// Some streams fail at a server that is not known for it, or again and again at one that is.
    pub fn open_all(&mut self, streams: u64, server: &dyn Server) -> Result<()> {
        if !server.loses_streams() {
            self.open(streams)?.proved()?;
            return self.forget();
        }
        let wanted = self.settled()? + streams;
        let mut missing = streams;
        for _ in 0..TRIES {
            self.open(missing)?;
            missing = wanted.saturating_sub(self.settled()?);
            if missing == 0 {
                return self.forget();
            }
            eprintln!("    {missing} streams were lost while they were opened, and are opened again");
        }
        bail!("{missing} streams were lost each time that they were opened");
    }

    /// How many streams are open, once there was time to lose some.
    fn settled(&mut self) -> Result<u64> {
        self.forget()?;
        // No event comes, so this waits.
        Ok(self.receive(1, if self.workers.is_empty() { Duration::ZERO } else { SETTLING })?.streams)
    }

    /// Forgets what was received until now.
    ///
    /// # Errors
    /// A process of the load client has ended.
    pub fn forget(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.ask(&Request::Forget)?;
        }
        for worker in &mut self.workers {
            let Answer::Forgotten = worker.answer(GRACE)? else { bail!("a wrong answer") };
        }
        Ok(())
    }

    /// Waits until each stream has received so many events since [`Load::forget`], but no longer than `patience`; says what
    /// came.
    ///
    /// # Errors
    /// A process of the load client has ended; not: events that don't come.
    pub fn receive(&mut self, events: u64, patience: Duration) -> Result<Received> {
        let nanoseconds = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        for worker in &mut self.workers {
            worker.ask(&Request::Receive { events, patience: nanoseconds })?;
        }
        let mut all = Received { least: u64::MAX, ..Received::default() };
        let (mut first, mut last) = (u64::MAX, 0);
        for worker in &mut self.workers {
            let Answer::Received(share) = worker.answer(patience + GRACE)? else { bail!("a wrong answer") };
            all.streams += share.streams;
            all.events += share.events;
            all.bytes += share.bytes;
            all.comments += share.comments;
            all.least = all.least.min(share.least);
            all.most = all.most.max(share.most);
            all.lost += share.lost;
            all.doubled += share.doubled;
            all.disordered += share.disordered;
            add(&mut all.ended, share.ended);
            all.latency.add(&share.latency);
            first = first.min(share.first.unwrap_or(u64::MAX));
            last = last.max(share.last);
        }
        all.took = Duration::from_nanos(last.saturating_sub(first));
        Ok(all)
    }

    /// The processes that hold the streams.
    pub fn processes(&self) -> Vec<Process> {
        let process = |worker: &Worker| Process { role: "client".to_owned(), pid: worker.process.pid() };
        self.workers.iter().map(process).collect()
    }
}

impl Worker {
    fn start(plan: &Plan) -> Result<Self> {
        let mut command = Command::new(crate::process::this_program()?);
        command.arg("load").arg(serde_json::to_string(plan)?).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running::start(&mut command)?;
        let requests = process.child().stdin.take().context("no pipe to the load client")?;
        let output = process.child().stdout.take().context("no pipe from the load client")?;
        let (sender, answers) = mpsc::channel();
        // A thread, so that waiting for an answer can have an end.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, requests, answers, streams: 0 })
    }

    fn ask(&mut self, request: &Request) -> Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.requests.write_all(&line).context("a process of the load client has ended")
    }

    fn answer(&self, patience: Duration) -> Result<Answer> {
        let line = self.answers.recv_timeout(patience).context("a process of the load client has ended, or hangs")?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Opened {
    /// From the first attempt to the last stream that began.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.last.saturating_sub(self.begun))
    }

    /// # Errors
    /// Some streams failed.
    pub fn proved(&self) -> Result<&Self> {
        if !self.failed.is_empty() {
            bail!("{} streams opened, others failed: {:?}", self.opened, self.failed);
        }
        Ok(self)
    }
}

impl Received {
    /// # Errors
    /// Events were lost, doubled or out of order, or streams ended, or some did not get exactly so many.
    pub fn proved(&self, events: u64) -> Result<&Self> {
        let whole = self.least == events && self.most == events && self.ended.is_empty();
        if !whole || self.lost + self.doubled + self.disordered > 0 {
            bail!(
                "{} streams got {} to {} of {events} events; lost {}, doubled {}, out of order {}; ended: {:?}",
                self.streams,
                self.least,
                self.most,
                self.lost,
                self.doubled,
                self.disordered,
                self.ended
            );
        }
        Ok(self)
    }
}

/// Streams that one process can hold.
fn capacity() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    limit.saturating_sub(OTHER_DESCRIPTORS).clamp(1, OF_ONE_PROCESS)
}

fn add(all: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (why, count) in more {
        *all.entry(why).or_default() += count;
    }
}
