//! The floor: a bare epoll server, one thread, one `send()` a reader and event, nothing else. Whatever delivers events can't
//! be cheaper than this without fewer system calls.

use std::net::SocketAddr;

use anyhow::{Result, bail};

use super::Server;

/// What `sse-bench floor` is told.
#[derive(clap::Args)]
pub struct Options {
    /// Where clients connect (TCP) and where events come in, each a datagram (UDP).
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
}

/// Starts one in a process of its own.
pub fn start() -> Result<Box<dyn Server>> {
    bail!("not yet built")
}

/// `sse-bench floor`: serves until it is killed.
///
/// # Errors
/// It can't listen.
pub fn run(options: &Options) -> Result<()> {
    bail!("not yet built: {}", options.address)
}
