//! What is measured: each scenario starts the servers it is about, puts load on them and pushes figures.

mod baseline;
mod capacity;
mod fanout;
mod idle;
mod latency;
mod memory;
mod opening;
mod publish;
mod renders;
mod topics;

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::results::{Figure, Parameter, Results};
use crate::server::{self, Server};

/// How a scenario is run: once a round. An error means that nothing of it could be measured; what concerns one server only
/// goes to [`Context::each`].
type Run = fn(&mut Context) -> Result<()>;

/// All scenarios, in the order in which they run, each with how many rounds it takes at most: what takes long and hardly
/// varies need not be repeated as often as the rest.
const SCENARIOS: &[(&str, Run, usize)] = &[
    ("fanout", fanout::run, usize::MAX),
    ("latency", latency::run, usize::MAX),
    ("opening", opening::run, usize::MAX),
    ("renders", renders::run, usize::MAX),
    ("memory", memory::run, 2),
    ("idle", idle::run, 2),
    ("publish", publish::run, usize::MAX),
    ("topics", topics::run, 2),
    ("capacity", capacity::run, 1),
    ("baseline", baseline::run, 1),
];

/// The names of all scenarios.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|(name, _, _)| *name)
}

/// Whether the scenario of this name is run in this round, the first being 1.
pub fn is_due(name: &str, round: usize) -> bool {
    SCENARIOS.iter().all(|(known, _, rounds)| *known != name || round <= *rounds)
}

/// Runs the scenario of this name.
///
/// # Errors
/// There is none of this name, or it fails.
pub fn run(name: &str, context: &mut Context) -> Result<()> {
    match SCENARIOS.iter().find(|(known, _, _)| *known == name) {
        Some((_, run, _)) => run(context),
        None => bail!("no scenario '{name}'; there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// What a scenario works with.
pub struct Context {
    /// A short pass: fewer streams, shorter times.
    pub quick: bool,
    /// Only these servers, if there are any.
    pub only: Vec<String>,
    /// Where figures go.
    pub results: Results,
}

impl Context {
    /// Starts these servers in turn and has `measure` look at each. What fails for one is told and kept as a failure; the
    /// others are measured all the same.
    pub fn each(
        &mut self,
        scenario: &str,
        servers: &[&str],
        mut measure: impl FnMut(&mut Self, &mut dyn Server) -> Result<()>,
    ) {
        for name in servers {
            self.attempt(scenario, name, |context| {
                let mut server = server::start(name)?;
                context.note_versions(server.versions()?);
                measure(context, server.as_mut())
            });
        }
    }

    /// Measures what is not one of the servers, or more of one than streams. What fails is told and kept as a failure.
    pub fn attempt(&mut self, scenario: &str, what: &str, measure: impl FnOnce(&mut Self) -> Result<()>) {
        if !self.only.is_empty() && !self.only.iter().any(|only| only == what) {
            return;
        }
        eprintln!("  {scenario}: {}", server::title(what));
        if let Err(error) = measure(self) {
            self.failed(format!("{scenario}, {what}: {error:#}"));
        }
    }

    fn failed(&mut self, failure: String) {
        eprintln!("  FAILED {failure}");
        self.results.failures.push(failure);
    }

    /// Keeps the versions of the programs that were measured.
    pub fn note_versions(&mut self, versions: Vec<(String, String)>) {
        self.results.versions.extend(versions);
    }

    /// Adds this round's value of a figure.
    pub fn push(&mut self, point: &Point, quantity: &str, unit: &str, value: f64) {
        self.push_by_role(point, quantity, unit, value, BTreeMap::new());
    }

    /// Adds this round's value of a figure, and the parts that roles have in it.
    pub fn push_by_role(
        &mut self,
        point: &Point,
        quantity: &str,
        unit: &str,
        value: f64,
        roles: BTreeMap<String, f64>,
    ) {
        if !value.is_finite() || roles.values().any(|part| !part.is_finite()) {
            // JSON has no such numbers, and nothing can be said of them.
            self.failed(format!("{}, {}: {quantity} is no number", point.scenario, point.server));
            return;
        }
        self.results.push(Figure {
            scenario: point.scenario.to_owned(),
            server: point.server.clone(),
            parameters: point.parameters.clone(),
            quantity: quantity.to_owned(),
            unit: unit.to_owned(),
            values: vec![value],
            by_role: roles.into_iter().map(|(role, part)| (role, vec![part])).collect(),
        });
    }
}

/// Where figures belong: the scenario, the server and the setting.
pub struct Point {
    scenario: &'static str,
    server: String,
    parameters: BTreeMap<String, Parameter>,
}

impl Point {
    /// One without parameters.
    pub fn new(scenario: &'static str, server: &str) -> Self {
        Self { scenario, server: server.to_owned(), parameters: BTreeMap::new() }
    }

    /// The same with a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Parameter>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }
}
