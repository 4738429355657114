//! `sse-bench`: measures php-sse beside what would be picked instead, on the same machine in the same run.
//!
//! `make bench` and `make bench-quick` run it; docs/performance.md says what came out.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod calls;
mod closed_loop;
mod command;
mod delivery;
mod load;
mod measure;
mod process;
mod publisher;
mod report;
mod results;
mod run;
mod scenario;
mod server;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sse-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
