//! Markdown tables of figures: servers down, the parameter that was varied across, median and spread in each cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::number::Scale;
use super::palette::rank;
use super::words::{capital, parameter, percentile, quantity, value};
use crate::results::{Figure, Parameter, Results, median};
use crate::server;

/// Figures that belong into one table.
struct Table<'a> {
    /// What they are figures of, in words.
    name: String,
    across: Across<'a>,
    /// Parameters that all of them have.
    given: Parameters<'a>,
    figures: Vec<&'a Figure>,
}

/// What the columns are.
#[derive(Clone, Copy)]
enum Across<'a> {
    /// There is one column only.
    Nothing,
    /// The values of a parameter.
    Parameter(&'a str),
    /// The percentiles of one distribution.
    Percentiles,
}

type Parameters<'a> = BTreeMap<&'a str, &'a Parameter>;

/// With more settings than this, percentiles have a table each, and the settings are across.
const FEW_SETTINGS: usize = 3;

/// All tables of a scenario, or of one quantity in it, each under a line that says what it shows.
pub fn of_scenario(results: &Results, scenario: &str, quantity: Option<&str>) -> String {
    let wanted = |figure: &&Figure| {
        figure.scenario == scenario
            && quantity.is_none_or(|quantity| quantity == figure.quantity)
            && !figure.values.is_empty()
    };
    let figures: Vec<&Figure> = results.figures.iter().filter(wanted).collect();
    let mut text = String::new();
    for table in tables(&figures) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&table.markdown());
    }
    text
}

/// The scenarios of a run, in the order in which they ran.
pub fn scenarios(results: &Results) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for figure in &results.figures {
        if !names.contains(&figure.scenario.as_str()) {
            names.push(&figure.scenario);
        }
    }
    names
}

fn tables<'a>(figures: &[&'a Figure]) -> Vec<Table<'a>> {
    let mut tables = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for figure in figures {
        if done.contains(&figure.quantity.as_str()) {
            continue;
        }
        let family = distribution(figure, figures);
        done.extend(family.iter().map(|figure| figure.quantity.as_str()));
        if family.is_empty() {
            done.push(&figure.quantity);
            let alike: Vec<&Figure> =
                figures.iter().copied().filter(|other| other.quantity == figure.quantity).collect();
            tables.extend(by_parameter(&alike));
        } else {
            tables.extend(by_percentile(&family));
        }
    }
    tables
}

/// All percentiles of what this is one of, if there are several in few settings.
fn distribution<'a>(figure: &Figure, figures: &[&'a Figure]) -> Vec<&'a Figure> {
    let Some((base, _)) = percentile(&figure.quantity) else { return Vec::new() };
    let of_base = |other: &&&Figure| percentile(&other.quantity).is_some_and(|(other, _)| other == base);
    let family: Vec<&Figure> = figures.iter().filter(of_base).copied().collect();
    let quantities: BTreeSet<&str> = family.iter().map(|figure| figure.quantity.as_str()).collect();
    let settings: BTreeSet<&BTreeMap<String, Parameter>> = family.iter().map(|figure| &figure.parameters).collect();
    if quantities.len() > 1 && settings.len() <= FEW_SETTINGS { family } else { Vec::new() }
}

/// Percentiles across: a table for each setting where the same servers are in each, else one with the settings in its rows.
fn by_percentile<'a>(family: &[&'a Figure]) -> Vec<Table<'a>> {
    let name = percentile(&family[0].quantity).map_or_else(String::new, |(base, _)| quantity(base));
    let mut servers: BTreeMap<Parameters, BTreeSet<&str>> = BTreeMap::new();
    for figure in family {
        servers.entry(parameters(figure)).or_default().insert(&figure.server);
    }
    let alike = servers.values().collect::<BTreeSet<_>>().len() == 1;
    let table = |given: Parameters<'a>, figures: Vec<&'a Figure>| Table {
        name: name.clone(),
        across: Across::Percentiles,
        given,
        figures,
    };
    if !alike {
        let common = parameters(family[0]).into_iter().filter(|(name, value)| {
            family.iter().all(|figure| figure.parameters.get(*name).is_some_and(|other| other == *value))
        });
        return vec![table(common.collect(), family.to_vec())];
    }
    let mut settings: Vec<Parameters> = Vec::new();
    for figure in family {
        if !settings.contains(&parameters(figure)) {
            settings.push(parameters(figure));
        }
    }
    let of_setting = |given: Parameters<'a>| {
        let figures = family.iter().copied().filter(|figure| parameters(figure) == given).collect();
        table(given, figures)
    };
    settings.into_iter().map(of_setting).collect()
}

/// The parameter that was varied across, a table for each setting of the others.
fn by_parameter<'a>(figures: &[&'a Figure]) -> Vec<Table<'a>> {
    let across = varied(figures);
    let mut tables: Vec<Table> = Vec::new();
    for figure in figures {
        let mut given = parameters(figure);
        given.retain(|name, _| Some(*name) != across);
        match tables.iter_mut().find(|table| table.given == given) {
            Some(table) => table.figures.push(figure),
            None => tables.push(Table {
                name: quantity(&figure.quantity),
                across: across.map_or(Across::Nothing, Across::Parameter),
                given,
                figures: vec![figure],
            }),
        }
    }
    tables
}

fn parameters(figure: &Figure) -> Parameters<'_> {
    figure.parameters.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

/// The parameter with the most values, `streams` before others.
fn varied<'a>(figures: &[&'a Figure]) -> Option<&'a str> {
    let mut values: BTreeMap<&str, BTreeSet<&Parameter>> = BTreeMap::new();
    for (name, value) in figures.iter().flat_map(|figure| &figure.parameters) {
        values.entry(name).or_default().insert(value);
    }
    let (name, _) = values
        .into_iter()
        .filter(|(_, values)| values.len() > 1)
        .max_by_key(|(name, values)| (*name == "streams", values.len()))?;
    Some(name)
}

impl Table<'_> {
    fn markdown(&self) -> String {
        let scale = Scale::of(&self.figures[0].unit, self.figures.iter().map(|figure| figure.median()));
        let mut caption = format!("**{}**", capital(&self.name));
        let said = scale.unit == "bytes" && self.name.starts_with("bytes");
        if !scale.unit.is_empty() && !said {
            let unit = if scale.unit == "/s" { "per second" } else { &scale.unit };
            let _ = write!(caption, ", {unit}");
        }
        for (name, given) in &self.given {
            let _ = write!(caption, ", {}", parameter(name, given));
        }
        let corner =
            if let Across::Parameter(name) = self.across { format!("{} →", quantity(name)) } else { String::new() };
        let columns = self.columns();
        let mut text = format!("{caption}\n\n| {corner} |");
        for (_, name) in &columns {
            let _ = write!(text, " {name} |");
        }
        text.push_str("\n|---|");
        text.push_str(&"--:|".repeat(columns.len()));
        text.push('\n');
        for row in self.rows() {
            let _ = write!(text, "| {row} |");
            for column in &columns {
                let figure =
                    self.figures.iter().find(|figure| self.row_of(figure) == row && self.column_of(figure) == *column);
                let _ = write!(text, " {} |", figure.map_or_else(|| "–".to_owned(), |figure| cell(figure, &scale)));
            }
            text.push('\n');
        }
        text
    }

    /// The column that a figure is in: what columns are put in order by, and its name.
    fn column_of<'a>(&self, figure: &'a Figure) -> (Option<&'a Parameter>, String) {
        match self.across {
            Across::Nothing => (None, String::new()),
            Across::Percentiles => (None, percentile(&figure.quantity).map_or_else(String::new, |(_, name)| name)),
            Across::Parameter(name) => {
                let given = figure.parameters.get(name);
                (given, given.map_or_else(String::new, value))
            }
        }
    }

    fn columns(&self) -> BTreeSet<(Option<&Parameter>, String)> {
        self.figures.iter().map(|figure| self.column_of(figure)).collect()
    }

    /// The row that a figure is in: its server, and the parameters that are neither across nor given.
    fn row_of(&self, figure: &Figure) -> String {
        let mut row = server::title(&figure.server).to_owned();
        for (name, value) in &figure.parameters {
            let across = matches!(self.across, Across::Parameter(across) if across == name);
            if !across && !self.given.contains_key(name.as_str()) {
                let _ = write!(row, ", {}", parameter(name, value));
            }
        }
        row
    }

    fn rows(&self) -> Vec<String> {
        let mut figures = self.figures.clone();
        figures.sort_by_key(|figure| rank(&figure.server));
        let mut rows: Vec<String> = Vec::new();
        for row in figures.iter().map(|figure| self.row_of(figure)) {
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        rows
    }
}

/// The median, the spread where there is one, and who did what where several did.
fn cell(figure: &Figure, scale: &Scale) -> String {
    let mut text = scale.show(figure.median());
    let (low, high) = figure.spread();
    let (low, high) = (scale.show(low), scale.show(high));
    if low != high {
        let _ = write!(text, " ({low}–{high})");
    }
    let (bench, server): (Vec<_>, Vec<_>) = shares(figure).into_iter().partition(|(role, _)| is_bench(role));
    let list = |shares: &[(&str, f64)]| {
        let shares: Vec<String> = shares.iter().map(|(role, share)| format!("{role} {}", scale.show(*share))).collect();
        shares.join(", ")
    };
    let parts = [if server.len() > 1 { list(&server) } else { String::new() }, list(&bench)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if !parts.is_empty() {
        let _ = write!(text, "<br><sub>{}</sub>", parts.join("; "));
    }
    text
}

/// What each role did, the one that did most first.
fn shares(figure: &Figure) -> Vec<(&str, f64)> {
    let mut shares: Vec<(&str, f64)> = figure
        .by_role
        .iter()
        .map(|(role, values)| (role.as_str(), median(values)))
        .filter(|(_, share)| *share > 0.0)
        .collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    shares
}

/// Whether a role is the bench's own, and not in a server's sum.
pub fn is_bench(role: &str) -> bool {
    matches!(role, "client" | "publisher")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(json: &str) -> Results {
        let figures: Vec<Figure> = serde_json::from_str(json).unwrap();
        Results { figures, ..Results::default() }
    }

    #[test]
    fn has_servers_down_and_streams_across() {
        let results = results(
            r#"[
            {"scenario": "fanout", "server": "nchan", "parameters": {"streams": 1000, "bytes": 100},
             "quantity": "cpu_per_delivery", "unit": "us", "values": [13.6, 13.2, 14.1]},
            {"scenario": "fanout", "server": "nginx-fpm", "parameters": {"streams": 1000, "bytes": 100},
             "quantity": "cpu_per_delivery", "unit": "us", "values": [24, 23.5, 25],
             "by_role": {"hub": [4.02, 4, 4.1], "nginx": [19.9, 19.5, 20.9], "fpm": [0, 0, 0], "client": [9, 8.5, 12]}},
            {"scenario": "fanout", "server": "nginx-fpm", "parameters": {"streams": 5000, "bytes": 100},
             "quantity": "cpu_per_delivery", "unit": "us", "values": [24.5]},
            {"scenario": "fanout", "server": "nginx-fpm", "parameters": {"streams": 1000, "bytes": 10240},
             "quantity": "cpu_per_delivery", "unit": "us", "values": [40]},
            {"scenario": "opening", "server": "nginx-fpm", "quantity": "rate", "unit": "1/s", "values": [4012.2]}
            ]"#,
        );
        let title = server::title("nginx-fpm");
        let expected = "\
**CPU per delivery**, µs, events of 100 bytes

| streams → | 1,000 | 5,000 |
|---|--:|--:|
| TITLE | 24 (23.5–25)<br><sub>nginx 19.9, hub 4.02; client 9</sub> | 24.5 |
| nchan | 13.6 (13.2–14.1) | – |

**CPU per delivery**, µs, events of 10,240 bytes

| streams → | 1,000 |
|---|--:|
| TITLE | 40 |
"
        .replace("TITLE", title);
        assert_eq!(of_scenario(&results, "fanout", None), expected);
        assert_eq!(
            of_scenario(&results, "opening", Some("rate")),
            format!("**Rate**, per second\n\n|  |  |\n|---|--:|\n| {title} | 4,012 |\n"),
        );
        assert_eq!(of_scenario(&results, "opening", Some("time")), "");
        assert_eq!(scenarios(&results), ["fanout", "opening"]);
    }

    #[test]
    fn has_percentiles_across_where_there_are_few_settings() {
        let results = results(
            r#"[
            {"scenario": "latency", "server": "loops", "parameters": {"poll": 2, "streams": 19},
             "quantity": "latency_p50", "unit": "ms", "values": [1100]},
            {"scenario": "latency", "server": "loops", "parameters": {"poll": 2, "streams": 19},
             "quantity": "latency_p999", "unit": "ms", "values": [2200]},
            {"scenario": "latency", "server": "other", "parameters": {"streams": 19},
             "quantity": "latency_p50", "unit": "ms", "values": [1]}
            ]"#,
        );
        let expected = "\
**Latency**, ms, 19 streams

|  | p50 | p99.9 |
|---|--:|--:|
| TITLE, polled every 2 s | 1,100 | 2,200 |
| other | 1 | – |
"
        .replace("TITLE", server::title("loops"));
        assert_eq!(of_scenario(&results, "latency", None), expected);
    }
}
