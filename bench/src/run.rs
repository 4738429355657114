//! Runs scenarios in turn for several rounds, and writes what they found.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::results::{Machine, Results};
use crate::scenario::{self, Context};
use crate::server;

/// What `sse-bench run` is told.
#[derive(clap::Args)]
pub struct Options {
    /// Only this scenario (may be given several times).
    #[arg(long = "scenario")]
    scenarios: Vec<String>,
    /// Only this server (may be given several times).
    #[arg(long = "server")]
    servers: Vec<String>,
    /// How many times each figure is taken; servers take turns within a round. 3 if not given, in a short pass 1.
    #[arg(long)]
    rounds: Option<usize>,
    /// A short pass: fewer streams, shorter times.
    #[arg(long)]
    quick: bool,
    /// The file that the figures are written to, as JSON; printed if none is given.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Runs what was asked for.
///
/// # Errors
/// Something could not be measured (what could be is written all the same), or the results can't be written.
pub fn run(options: &Options) -> Result<()> {
    process::favour(std::process::id());
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 3 });
    let mut context = Context {
        quick: options.quick,
        only: options.servers.clone(),
        results: Results {
            machine: Machine::this(),
            when: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            quick: options.quick,
            rounds,
            ..Results::default()
        },
    };
    let chosen: Vec<String> = match options.scenarios.as_slice() {
        [] => scenario::names().map(str::to_owned).collect(),
        some => some.to_vec(),
    };
    for round in 1..=rounds {
        for name in chosen.iter().filter(|name| scenario::is_due(name, round)) {
            let begin = Instant::now();
            eprintln!("round {round} of {rounds}: {name}");
            if let Err(error) = scenario::run(name, &mut context) {
                eprintln!("  FAILED {name}: {error:#}");
                context.results.failures.push(format!("{name}: {error:#}"));
            }
            eprintln!("  {:.1} s", begin.elapsed().as_secs_f64());
        }
    }
    match &options.output {
        Some(file) => write(&context.results, file)?,
        None => print(&context.results),
    }
    match context.results.failures.len() {
        0 => Ok(()),
        count => bail!("{count} of the measurements failed:\n{}", context.results.failures.join("\n")),
    }
}

fn write(results: &Results, file: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(results)?;
    fs::write(file, json + "\n").with_context(|| format!("can't write {}", file.display()))
}

fn print(results: &Results) {
    for figure in &results.figures {
        let parameters: Vec<_> = figure.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let roles: Vec<_> = figure
            .by_role
            .keys()
            .map(|role| format!("{role} {:.3}", figure.median_of(role).unwrap_or(f64::NAN)))
            .collect();
        let (least, greatest) = figure.spread();
        println!(
            "{:<9} {:<10} {:<28} {:<22} {:>12.3} {:<5} ({least:.3} .. {greatest:.3}) {}",
            figure.scenario,
            figure.server,
            parameters.join(" "),
            figure.quantity,
            figure.median(),
            figure.unit,
            roles.join(", "),
        );
    }
}

/// `sse-bench show`: the figures of a file.
///
/// # Errors
/// It can't be read.
pub fn show(file: &Path) -> Result<()> {
    let json = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    print(&serde_json::from_str(&json).with_context(|| format!("{} holds no results", file.display()))?);
    Ok(())
}

/// `sse-bench list`: what there is.
pub fn list() {
    println!("scenarios: {}", scenario::names().collect::<Vec<_>>().join(", "));
    println!("servers: {}", server::names().collect::<Vec<_>>().join(", "));
}
