//! The servers that are measured: what a scenario needs to know of one, and how to start it.
//!
//! Each has a file of its own under `server/`. Starting one takes free ports and a temporary folder, and returns once
//! it answers; dropping it ends its processes and removes the folder.

pub mod child;
pub mod floor;
mod folder;
mod fpm;
pub mod http;
pub mod loops;
pub mod mod_php;
pub mod nchan;
mod nginx;
pub mod nginx_fpm;
pub mod php;
pub mod php_s;
pub mod php_sse;
mod port;
pub mod programs;
pub mod pushpin;
pub mod redis;
mod user;

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, bail};

use crate::publisher::Paced;

/// A process of a server, and what it does there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// "hub", "nginx", "fpm", …: the same word for the same work everywhere, as figures are given by it.
    pub role: String,
    /// Its process id.
    pub pid: u32,
}

impl Process {
    /// One with this role.
    pub fn new(role: &str, pid: u32) -> Self {
        Self { role: role.to_owned(), pid }
    }

    /// A process and those that it has started, all with this role.
    ///
    /// # Errors
    /// It can't be found.
    pub fn tree(role: &str, pid: u32) -> Result<Vec<Self>> {
        Ok(std::iter::once(pid).chain(children(pid)?).map(|pid| Self::new(role, pid)).collect())
    }
}

/// The processes that this one has started, and those that they have.
///
/// # Errors
/// /proc can't be read.
fn children(pid: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(one) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that has ended meanwhile is nobody's child.
        let Ok(stat) = fs::read_to_string(format!("/proc/{one}/stat")) else { continue };
        // The name, in parentheses, may contain anything: the state and the parent are behind it.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (one, parent)));
    }
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(one, _)| *one));
        next += 1;
    }
    Ok(found.split_off(1))
}

/// A server that runs, and that streams can be opened at.
pub trait Server {
    /// The name it was started by, one of [`names`].
    fn name(&self) -> &'static str;

    /// Where clients connect.
    fn address(&self) -> SocketAddr;

    /// The path (and query) to GET for a stream of `topic`. `topic` may contain `{n}`, which the load client replaces by
    /// the number of the stream; so leave braces as they are.
    fn request(&self, topic: &str) -> String;

    /// The path to GET for an ordinary request to the same pool that answers "hello world"; none where there is no pool.
    fn hello(&self) -> Option<String> {
        None
    }

    /// Whether it is known to close some streams while many are opened, so that a client has to come back, and to drop events
    /// that come too fast.
    fn loses_streams(&self) -> bool {
        false
    }

    /// Its hub; none where there is none.
    fn hub(&self) -> Option<&php_sse::Hub> {
        None
    }

    /// A process that publishes as `paced` says (see [`crate::publisher`] for what events look like), ready to be started.
    /// It ends once all events are taken, with status 0.
    ///
    /// # Errors
    /// The server can't publish so.
    fn publisher(&self, paced: &Paced) -> Result<Command>;

    /// The processes that work for it now, publishers not among them. They are looked up again at each call, as a pool's
    /// come and go.
    ///
    /// # Errors
    /// They can't be found any more.
    fn processes(&self) -> Result<Vec<Process>>;

    /// What was measured: "nginx 1.22.1", by the name of the program.
    ///
    /// # Errors
    /// A program could not be asked.
    fn versions(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
}

/// How a server is started.
type Start = fn() -> Result<Box<dyn Server>>;

/// All servers: the name for command lines and results, the title for tables, and the start.
const SERVERS: &[(&str, &str, Start)] = &[
    ("floor", "bare epoll server (the floor)", floor::start),
    ("php-s", "php-sse, php -S", || Ok(Box::new(php_s::PhpS::start()?))),
    ("nginx-fpm", "php-sse, nginx + FPM", || Ok(Box::new(nginx_fpm::NginxFpm::start()?))),
    ("mod-php", "php-sse, Apache mod_php", || Ok(Box::new(mod_php::ModPhp::start()?))),
    ("nchan", "nchan", || Ok(Box::new(nchan::Nchan::start()?))),
    ("pushpin", "Pushpin", || Ok(Box::new(pushpin::Pushpin::start()?))),
    ("loops", "loops in 20 FPM workers", || Ok(Box::new(loops::Loops::start()?))),
];

/// The names of all servers.
pub fn names() -> impl Iterator<Item = &'static str> {
    SERVERS.iter().map(|(name, _, _)| *name)
}

/// What tables call the server of this name; the name itself if there is none.
pub fn title(name: &str) -> &str {
    SERVERS.iter().find(|(known, _, _)| *known == name).map_or(name, |(_, title, _)| title)
}

/// Starts the server of this name, and returns once it answers.
///
/// # Errors
/// There is none of this name, or it does not start.
pub fn start(name: &str) -> Result<Box<dyn Server>> {
    match SERVERS.iter().find(|(known, _, _)| *known == name) {
        Some((_, _, start)) => start(),
        None => bail!("no server '{name}'; there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// `sse-bench serve`: for trying a server by hand. Prints where a stream is to be had, where an ordinary page (if there is
/// one), and the processes; then publishes an event for each line of standard input, until that ends.
///
/// # Errors
/// It does not start, or takes no event.
pub fn serve(name: &str) -> Result<()> {
    let server = start(name)?;
    println!("stream http://{}{}", server.address(), server.request("bench"));
    if let Some(hello) = server.hello() {
        println!("hello http://{}{hello}", server.address());
    }
    for process in server.processes()? {
        println!("process {} {}", process.pid, process.role);
    }
    println!("Enter publishes an event; Ctrl-D ends it.");
    let mut paced = Paced { topic: "bench".to_owned(), first: 0, events: 1, rate: 0, bytes: 100 };
    for line in std::io::stdin().lines() {
        line?;
        let output = server.publisher(&paced)?.output()?;
        if !output.status.success() {
            bail!("the event was not taken: {}", String::from_utf8_lossy(&output.stderr));
        }
        println!("published event {}", paced.first);
        paced.first += 1;
    }
    Ok(())
}
