//! The command line: one binary, because the load client and the publishers are processes of their own.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{load, publisher, report, run, server};

#[derive(Parser)]
#[command(name = "sse-bench", about = "Measures php-sse beside what would be picked instead")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios in turn, several rounds, and write what they found.
    Run(run::Options),
    /// Start one of the servers, print its address, and keep it until standard input ends.
    Serve {
        /// One of `sse-bench list`.
        server: String,
    },
    /// Name the scenarios and the servers.
    List,
    /// The bare epoll server that is the floor: one send() a reader, nothing else.
    Floor(server::floor::Options),
    /// Publish events at a steady pace, each with its number and the time in its data.
    Publish(publisher::Options),
    /// Hold streams and read them; `run` starts several of these, and speaks to them by lines of JSON.
    #[command(hide = true)]
    Load {
        /// The plan as JSON.
        plan: String,
    },
    /// Make tables and plots of a run.
    Report(report::Options),
    /// Print how a run differs from the kept one.
    Compare {
        /// What `run` wrote.
        file: PathBuf,
    },
    /// Make a run the kept one (bench/results), and show it in docs/.
    Keep {
        /// What `run` wrote.
        file: PathBuf,
    },
    /// Write the tables and plots in docs/ anew from the kept run, after a page was edited.
    Pages,
    /// Print a kept result's figures.
    Show {
        /// What `run` wrote.
        file: PathBuf,
    },
}

/// Does what the command line says.
///
/// # Errors
/// What was asked for could not be done; the text says what to do about it.
pub fn run() -> Result<()> {
    raise_limit();
    match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Serve { server } => server::serve(&server),
        Command::List => {
            run::list();
            Ok(())
        }
        Command::Floor(options) => server::floor::run(&options),
        Command::Publish(options) => publisher::run(&options),
        Command::Load { plan } => load::child(&plan),
        Command::Report(options) => report::report(&options),
        Command::Compare { file } => report::compare(&file),
        Command::Keep { file } => report::keep(&file),
        Command::Pages => report::refresh(),
        Command::Show { file } => run::show(&file),
    }
}

/// Takes as many descriptors as are allowed; the processes that this one starts inherit that.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised, streams fail and say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
