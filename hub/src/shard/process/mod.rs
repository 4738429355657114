//! Processes that hold streams for the hub, where one process may not have as many descriptors as there are to be streams.
//!
//! ```text
//!  router ──────────── forks ────────────▶ starter ── forks ──▶ holder 1 ── a shard ──▶ its streams
//!    │  orders, with the clients' sockets                          ▲  │
//!    └─────────────────────────────────────────────────────────────┘  │
//!    ◀──────────────────────────────────────────────────────────── words
//! ```
//!
//! The router keeps all that there is one of: the socket, ids, order, history, callbacks. A holder ([`process`]) has one
//! ordinary shard; what a shard in the router's own process gets as commands comes to it as [`order::Order`]s over a pair of
//! sockets, and its counters are in memory of both. An event comes to each holder once. All of them are one binary, forked
//! from one process, so that what they say to each other has no version.
//!
//! A process with threads can't fork another one safely, and a holder that was killed is to be replaced: so the router forks
//! the [`starter`] before it has any thread, and that one forks the holders.
//!
//! A holder ends when its pair is closed: the router's end, in whatever way it comes, is the end of all of them.

pub(crate) mod child;
pub(crate) mod fork_server;
pub(crate) mod interned;
pub(crate) mod order;
pub(crate) mod receiver;
pub(crate) mod remote;
pub(crate) mod sender;

use std::time::Instant;

use crate::config::{Config, ConfigError, MAX_PROCESSES};
use crate::shard::thread::Limits;

/// Descriptors that streams leave for everything else in the router's process: PHP processes, shards, files.
const KEPT_BY_ROUTER: usize = 128;

/// The same in a holder, which has little else.
const KEPT_BY_HOLDER: usize = 32;

/// What the holders know of the hub. They get it by being forked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common {
    /// What bounds the queues.
    pub(crate) limits: Limits,
    /// When the hub started.
    pub(crate) started: Instant,
}

/// Streams that the router's own process may hold if it may have so many descriptors.
pub(crate) fn room_here(descriptors: usize) -> usize {
    descriptors.saturating_sub(KEPT_BY_ROUTER)
}

/// Streams that one holder may hold.
pub(crate) fn room_elsewhere(descriptors: usize) -> usize {
    descriptors.saturating_sub(KEPT_BY_HOLDER)
}

/// How many processes are to hold streams, where one may have so many descriptors; 1: the router's own.
///
/// # Errors
/// `sse.processes` asks for several where there can't be.
pub(crate) fn count(config: &Config, descriptors: usize) -> Result<usize, ConfigError> {
    let needed = config.max_streams.div_ceil(room_elsewhere(descriptors).max(1));
    let count = match config.processes {
        Some(count) => count,
        None if config.max_streams <= room_here(descriptors) => 1,
        // Those that are there anyway should not leave cores idle.
        None => needed.max(cores()).min(MAX_PROCESSES as usize),
    };
    if count > 1 && !config.may_fork {
        let value = config.processes.map_or("auto".into(), |count| count.to_string());
        return Err(ConfigError::new(
            "sse.processes",
            &value,
            format!(
                "means {count} processes here, and this one has several threads and can't be forked safely; set it to 1, or \
                 start the hub by a PHP that has one thread"
            ),
        ));
    }
    Ok(count)
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn there_are_as_many_processes_as_the_streams_need() {
        let count = |processes, max_streams, may_fork| {
            let config = Config { processes, max_streams, may_fork, ..testing::config("/x".into()) };
            crate::shard::process::count(&config, 20_000)
        };
        assert_eq!(count(None, 0, true), Ok(1));
        assert_eq!(count(None, 19_872, false), Ok(1));
        assert_eq!(count(None, 19_873, true), Ok(2.max(cores())));
        assert_eq!(count(None, 100_000, true), Ok(6.max(cores())));
        assert_eq!(count(Some(3), 10, true), Ok(3));
        assert_eq!(count(Some(1), 100_000, true), Ok(1));
        let text = count(None, 100_000, false).expect_err("threads").to_string();
        assert!(text.starts_with("sse.processes: 'auto' means "), "{text}");
    }
}
