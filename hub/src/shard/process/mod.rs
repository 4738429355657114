//! Shard processes: they hold streams where one process may not have enough file descriptors for all of them.
//!
//! ```text
//!  ordering thread ──── forks ────────▶ fork server ── forks ──▶ shard process 1 ── shard ──▶ its streams
//!     │  commands, with clients' sockets                           ▲  │
//!     └────────────────────────────────────────────────────────────┘  │
//!     ◀────────────────────────────────────────────────────────── reports
//! ```
//!
//! The ordering thread owns all that exists once: the listening socket, ids, order, history, callbacks. A shard process
//! ([`child`]) has one ordinary shard. It gets the shard's commands as [`message::ProcessMessage`]s over a socket pair, the pipe,
//! and keeps its counters in shared memory.
//!
//! A process with threads can't fork safely, and killed shard processes must be replaced. So the ordering thread forks the
//! [`fork_server`] before any thread starts, and the fork server forks the shard processes.
//!
//! A shard process ends when its socket pair is closed, so all of them end with the ordering thread, however it ends.

pub(crate) mod child;
pub(crate) mod fork_server;
pub(crate) mod interned;
pub(crate) mod message;
pub(crate) mod parts;
pub(crate) mod receiver;
pub(crate) mod remote;
pub(crate) mod sender;

use std::time::Instant;

use crate::config::{Config, ConfigError, MAX_PROCESSES};
use crate::shard::thread::ShardLimits;

/// Descriptors that the hub's main process reserves for all else: PHP processes, shards, files. Connections
/// by HTTP come in addition.
const KEPT_BY_MAIN: usize = 128;

/// Descriptors that a shard process reserves for all else.
const KEPT_BY_SHARD: usize = 32;

/// Settings that shard processes inherit by the fork.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common {
    /// Limits of the queues.
    pub(crate) limits: ShardLimits,
    /// Start of the hub.
    pub(crate) started: Instant,
}

/// Maximum number of streams in the hub's main process, given its limit of descriptors.
pub(crate) fn room_here(config: &Config, descriptors: usize) -> usize {
    descriptors.saturating_sub(KEPT_BY_MAIN + config.http.kept(descriptors))
}

/// Maximum number of streams in one shard process, given its limit of descriptors.
pub(crate) fn room_elsewhere(descriptors: usize) -> usize {
    descriptors.saturating_sub(KEPT_BY_SHARD)
}

/// Number of processes that hold streams, given the limit of descriptors of each; 1: the hub's main process only.
///
/// # Errors
/// `sse.processes` needs several processes, but this one can't fork.
pub(crate) fn count(config: &Config, descriptors: usize) -> Result<usize, ConfigError> {
    let needed = config.max_streams.div_ceil(room_elsewhere(descriptors).max(1));
    let count = match config.processes {
        Some(count) => count,
        None if config.max_streams <= room_here(config, descriptors) => 1,
        // Several processes are needed anyway, so use all cores.
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

/// Number of cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HttpAddress, HttpConfig};
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

    #[test]
    fn only_connections_of_others_take_room_of_streams() {
        let room = |address, group, connections, descriptors| {
            let http = HttpConfig { address, group, connections, ..HttpConfig::default() };
            room_here(&Config { http, ..testing::config("/x".into()) }, descriptors)
        };
        let tcp = || HttpAddress::Tcp(([127, 0, 0, 1], 80).into());
        assert_eq!(room(HttpAddress::Auto, None, 256, 2000), 1872);
        assert_eq!(room(HttpAddress::Auto, Some(33), 256, 2000), 1616);
        assert_eq!(room(HttpAddress::Off, Some(33), 256, 2000), 1872);
        assert_eq!(room(tcp(), None, 256, 2000), 1616);
        assert_eq!(room(tcp(), None, 10_000, 2000), 1372, "a quarter");
        assert_eq!(room(tcp(), None, 256, 100), 0);
    }
}
