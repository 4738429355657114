//! A process of the load client: one epoll loop that opens streams, reads them, and does what standard input says.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::stream::{Progress, Stream, Tally};
use super::{Answer, Plan, Request, Share};
use crate::publisher;

/// Ports that are used of one local address, and the first of them. Chosen here, as the system would give out only the
/// 28,000 of its own range, and searches long once many of them are taken.
const PORTS: usize = 60_000;
const FIRST_PORT: usize = 4_000;
const STDIN: Token = Token(usize::MAX);
const BUFFER: usize = 128 << 10;

/// What the process works with.
struct Child {
    plan: Plan,
    poll: Poll,
    streams: Vec<Stream>,
    tally: Tally,
    /// Begun to be opened, and neither open nor failed.
    opening: Vec<bool>,
    task: Task,
    /// Why streams ended after they had begun.
    ended: BTreeMap<String, u64>,
    /// What standard input has said of the next request.
    line: Vec<u8>,
}

/// What is being done.
enum Task {
    /// Nothing but reading.
    Idle,
    Opening(Opening),
    Receiving(Receiving),
}

struct Opening {
    /// The number of the next stream in the load as a whole.
    next: u64,
    /// How many are still to be begun.
    left: u64,
    /// How many are on their way.
    under_way: u64,
    opened: u64,
    failed: BTreeMap<String, u64>,
    begun: u64,
    last: u64,
    deadline: Instant,
}

struct Receiving {
    events: u64,
    /// Streams that have not got that many.
    waiting: u64,
    deadline: Instant,
}

/// Runs until standard input ends.
///
/// # Errors
/// The plan is none, or standard input or output fail.
pub fn run(plan: &str) -> Result<()> {
    let plan: Plan = serde_json::from_str(plan).context("the plan of the load client")?;
    let poll = Poll::new()?;
    rustix::io::ioctl_fionbio(std::io::stdin(), true)?;
    poll.registry().register(&mut SourceFd(&0), STDIN, Interest::READABLE)?;
    let tally = Tally { checked: plan.checked, pages: plan.pages, ..Tally::default() };
    let mut child = Child {
        plan,
        poll,
        streams: Vec::new(),
        tally,
        opening: Vec::new(),
        task: Task::Idle,
        ended: BTreeMap::new(),
        line: Vec::new(),
    };
    child.serve()
}

impl Child {
    fn serve(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            let mut asked = false;
            for event in &events {
                if event.token() == STDIN {
                    asked = true;
                    continue;
                }
                let ended = event.is_read_closed() || event.is_error();
                self.progress(event.token().0, event.is_writable(), ended, &mut buffer);
            }
            if asked && !self.listen()? {
                return Ok(());
            }
            self.go_on()?;
        }
    }

    fn patience(&self) -> Option<Duration> {
        let deadline = match &self.task {
            Task::Idle => return None,
            Task::Opening(opening) => opening.deadline,
            Task::Receiving(receiving) => receiving.deadline,
        };
        Some(deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    /// One stream can be written to or read from.
    fn progress(&mut self, index: usize, writable: bool, ended: bool, buffer: &mut [u8]) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        let before = stream.events;
        let mut outcome = Ok(Progress::Same);
        if writable {
            outcome = stream.send(&self.plan.request, self.plan.address, self.plan.pages).map(|()| Progress::Same);
        }
        if outcome.is_ok() {
            outcome = stream.read(ended, buffer, &mut self.tally);
        }
        let after = stream.events;
        if let Task::Receiving(receiving) = &mut self.task
            && before < receiving.events
            && after >= receiving.events
        {
            receiving.waiting -= 1;
        }
        match outcome {
            Ok(Progress::Same) => {}
            Ok(Progress::Begun) => self.begun(index),
            Err(error) => self.over(index, format!("{error:#}")),
        }
    }

    fn begun(&mut self, index: usize) {
        self.opening[index] = false;
        if let Task::Opening(opening) = &mut self.task {
            opening.under_way -= 1;
            opening.opened += 1;
            opening.last = publisher::now();
        }
    }

    fn over(&mut self, index: usize, why: String) {
        let stream = &mut self.streams[index];
        if stream.socket.take().is_none() {
            return;
        }
        if std::mem::take(&mut self.opening[index]) {
            if let Task::Opening(opening) = &mut self.task {
                opening.under_way -= 1;
                *opening.failed.entry(why).or_default() += 1;
            }
            return;
        }
        if let Task::Receiving(receiving) = &mut self.task
            && stream.events < receiving.events
        {
            receiving.waiting -= 1;
        }
        *self.ended.entry(why).or_default() += 1;
    }

    /// Reads what standard input says; false at its end.
    fn listen(&mut self) -> Result<bool> {
        let mut piece = [0; 4096];
        loop {
            match std::io::stdin().read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(count) => self.line.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("standard input"),
            }
        }
        // One at a time: each is answered before the next is sent.
        if self.line.ends_with(b"\n") {
            let request = serde_json::from_slice(&self.line).context("a request to the load client")?;
            self.line.clear();
            self.begin(request)?;
        }
        Ok(true)
    }

    fn begin(&mut self, request: Request) -> Result<()> {
        match request {
            Request::Open { first, streams } => {
                self.task = Task::Opening(Opening {
                    next: first,
                    left: streams,
                    under_way: 0,
                    opened: 0,
                    failed: BTreeMap::new(),
                    begun: publisher::now(),
                    last: publisher::now(),
                    deadline: Instant::now() + Duration::from_secs(self.plan.patience),
                });
            }
            Request::Forget => {
                self.streams.iter_mut().for_each(Stream::forget);
                self.ended.clear();
                self.tally = Tally { checked: self.plan.checked, pages: self.plan.pages, ..Tally::default() };
                answer(&Answer::Forgotten)?;
            }
            Request::Receive { events, patience } => {
                let waiting = self.open_streams().filter(|stream| stream.events < events).count() as u64;
                let deadline = Instant::now() + Duration::from_nanos(patience);
                self.task = Task::Receiving(Receiving { events, waiting, deadline });
            }
        }
        Ok(())
    }

    fn open_streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.iter().filter(|stream| stream.is_open())
    }

    /// Begins streams as there is room, and answers when what was asked for is done or its time is over.
    fn go_on(&mut self) -> Result<()> {
        match &self.task {
            Task::Idle => Ok(()),
            Task::Opening(_) => self.open(),
            Task::Receiving(receiving) => {
                if receiving.waiting > 0 && Instant::now() < receiving.deadline {
                    return Ok(());
                }
                self.task = Task::Idle;
                answer(&Answer::Received(self.share()))
            }
        }
    }

    fn open(&mut self) -> Result<()> {
        let Task::Opening(opening) = &mut self.task else { return Ok(()) };
        while opening.left > 0 && opening.under_way < self.plan.concurrency {
            opening.left -= 1;
            let index = self.streams.len();
            let connected = Stream::connect(opening.next, self.plan.address, local(index)).and_then(|mut stream| {
                if let Some(socket) = &mut stream.socket {
                    self.poll.registry().register(socket, Token(index), Interest::READABLE | Interest::WRITABLE)?;
                }
                Ok(stream)
            });
            opening.next += 1;
            match connected {
                Ok(stream) => {
                    opening.under_way += 1;
                    self.streams.push(stream);
                    self.opening.push(true);
                }
                Err(error) => *opening.failed.entry(format!("{error:#}")).or_default() += 1,
            }
        }
        let late = Instant::now() >= opening.deadline;
        if opening.left + opening.under_way > 0 && !late {
            return Ok(());
        }
        if opening.left > 0 {
            *opening.failed.entry("not begun in time".to_owned()).or_default() += opening.left;
        }
        if late {
            let late: Vec<usize> = (0..self.streams.len()).filter(|index| self.opening[*index]).collect();
            for index in late {
                self.over(index, "no answer in time".to_owned());
            }
        }
        let Task::Opening(opening) = std::mem::replace(&mut self.task, Task::Idle) else { return Ok(()) };
        answer(&Answer::Opened(super::Opened {
            opened: opening.opened,
            failed: opening.failed,
            begun: opening.begun,
            last: opening.last,
            first_byte: std::mem::take(&mut self.tally.first_byte),
        }))
    }

    fn share(&self) -> Share {
        let mut share = Share {
            streams: 0,
            events: 0,
            bytes: self.tally.bytes,
            comments: 0,
            least: u64::MAX,
            most: 0,
            lost: 0,
            doubled: 0,
            disordered: 0,
            ended: self.ended.clone(),
            latency: self.tally.latency.clone(),
            first: self.tally.first,
            last: self.tally.last,
        };
        for stream in self.open_streams() {
            let (lost, doubled, disordered) = stream.wrong();
            share.streams += 1;
            share.events += stream.events;
            share.comments += stream.comments();
            share.least = share.least.min(stream.events);
            share.most = share.most.max(stream.events);
            share.lost += lost;
            share.doubled += doubled;
            share.disordered += disordered;
        }
        share
    }
}

/// Where the stream connects from: an address for each process, whose ports no earlier run can have left in TIME_WAIT.
fn local(index: usize) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 100 + (index / PORTS % 100) as u8, high, low);
    SocketAddr::from((address, (FIRST_PORT + index % PORTS) as u16))
}

fn answer(answer: &Answer) -> Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    std::io::stdout().write_all(&line).context("standard output")
}
