//! What a run found: one flat list of figures, which everything else (tables, plots, bars, comparison) is made from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What it ran on.
    pub machine: Machine,
    /// Of the programs that were measured, by name.
    pub versions: BTreeMap<String, String>,
    /// When it began, RFC 3339 in UTC.
    pub when: String,
    /// A short pass (`make bench-quick`), with fewer streams and less time than a full one.
    pub quick: bool,
    /// How many times each figure was taken.
    pub rounds: usize,
    /// All that was measured, in the order in which it first was.
    pub figures: Vec<Figure>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

/// The machine of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model.
    pub processor: String,
    /// Processors that the run could use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Descriptors that one process may have.
    pub descriptors: u64,
}

/// One quantity of one server in one setting: a value for each round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The scenario's name: "fanout".
    pub scenario: String,
    /// The server's name as in `server::names()`, or what else was measured ("phpredis XADD").
    pub server: String,
    /// The setting: streams 1000, bytes 100, load "idle".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
    /// What was measured: "cpu_per_delivery", "latency_p99".
    pub quantity: String,
    /// Its unit: "us", "ms", "bytes", "1/s", "%", "" for a plain number.
    pub unit: String,
    /// One for each round.
    pub values: Vec<f64>,
    /// The parts of the values by role of process ("hub", "nginx"), where it has any; one for each round too. The roles
    /// `client` and `publisher` are the benchmark's own, and no part of the values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_role: BTreeMap<String, Vec<f64>>,
}

/// A part of the setting of a figure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A number of something: streams, bytes.
    Number(u64),
    /// A word: "idle".
    Word(String),
}

impl Figure {
    /// The middle value; NaN if there is none.
    pub fn median(&self) -> f64 {
        median(&self.values)
    }

    /// The middle of the values of one role.
    pub fn median_of(&self, role: &str) -> Option<f64> {
        self.by_role.get(role).map(|values| median(values))
    }

    /// The least and the greatest value.
    pub fn spread(&self) -> (f64, f64) {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (least, greatest)
    }

    /// The number of the parameter of this name.
    pub fn number(&self, parameter: &str) -> Option<u64> {
        match self.parameters.get(parameter) {
            Some(Parameter::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// Whether both measure the same thing, in whatever run.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.scenario == other.scenario
            && self.server == other.server
            && self.quantity == other.quantity
            && self.parameters == other.parameters
    }
}

/// The middle of the values (of two middle ones their mean); NaN if there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

impl Results {
    /// Adds a round's value to the figure that measures the same as `figure`, or begins with it.
    pub fn push(&mut self, figure: Figure) {
        let Some(known) = self.figures.iter_mut().find(|known| known.is_same_as(&figure)) else {
            self.figures.push(figure);
            return;
        };
        known.values.extend(figure.values);
        for (role, values) in figure.by_role {
            known.by_role.entry(role).or_default().extend(values);
        }
    }

    /// The figure of this scenario, server, quantity and (at least) these parameters.
    pub fn find(
        &self,
        scenario: &str,
        server: &str,
        quantity: &str,
        parameters: &[(&str, Parameter)],
    ) -> Option<&Figure> {
        self.figures.iter().find(|figure| {
            figure.scenario == scenario
                && figure.server == server
                && figure.quantity == quantity
                && parameters.iter().all(|(name, value)| figure.parameters.get(*name) == Some(value))
        })
    }
}

impl From<u64> for Parameter {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Parameter {
    fn from(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Word(word) => word.fmt(formatter),
        }
    }
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or(0);
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory: memory * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            descriptors: rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(server: &str, value: f64) -> Figure {
        Figure {
            scenario: "fanout".to_owned(),
            server: server.to_owned(),
            parameters: BTreeMap::from([("streams".to_owned(), 1000.into())]),
            quantity: "cpu_per_delivery".to_owned(),
            unit: "us".to_owned(),
            values: vec![value],
            by_role: BTreeMap::from([("hub".to_owned(), vec![value / 2.0])]),
        }
    }

    #[test]
    fn rounds_of_one_figure_come_together() {
        let mut results = Results::default();
        for value in [3.0, 1.0, 2.0] {
            results.push(figure("floor", value));
            results.push(figure("nchan", value * 10.0));
        }
        assert_eq!(results.figures.len(), 2);
        let found = results.find("fanout", "nchan", "cpu_per_delivery", &[("streams", 1000.into())]).unwrap();
        assert_eq!((found.median(), found.spread(), found.median_of("hub")), (20.0, (10.0, 30.0), Some(10.0)));
        assert!(results.find("fanout", "nchan", "cpu_per_delivery", &[("streams", 1.into())]).is_none());
    }

    #[test]
    fn an_even_number_of_values_has_its_median_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn results_are_the_same_after_json() {
        let mut results = Results { machine: Machine::this(), ..Results::default() };
        results.push(figure("floor", 1.5));
        let json = serde_json::to_string(&results).unwrap();
        assert!(json.contains(r#""parameters":{"streams":1000}"#), "{json}");
        assert_eq!(serde_json::from_str::<Results>(&json).unwrap(), results);
    }
}
