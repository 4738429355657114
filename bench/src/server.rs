//! The servers that are measured: what a scenario needs to know of one, and how to start it.
//!
//! Each has a file of its own under `server/`. Starting one takes free ports and a temporary folder, and returns once
//! it answers; dropping it ends its processes and removes the folder.

pub mod floor;

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

/// A server that runs, and that streams can be opened at.
pub trait Server {
    /// The name it was started by, one of [`NAMES`].
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
const SERVERS: &[(&str, &str, Start)] = &[("floor", "bare epoll server (the floor)", floor::start)];

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

/// `sse-bench serve`: for trying a server by hand.
///
/// # Errors
/// It does not start.
pub fn serve(name: &str) -> Result<()> {
    let server = start(name)?;
    println!("http://{}{}", server.address(), server.request("bench"));
    for process in server.processes()? {
        println!("{} {}", process.role, process.pid);
    }
    println!("Ctrl-D ends it.");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
