//! Markdown tables of figures: servers down, the parameter that was varied across, median and spread in each cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::number::{Scale, count};
use super::palette::rank;
use crate::results::{Figure, Parameter, Results, median};
use crate::server;

/// Figures that belong into one table: of one scenario and quantity, and alike in all parameters but the one across.
struct Table<'a> {
    quantity: &'a str,
    /// The parameter across, where one was varied.
    across: Option<&'a str>,
    /// The other parameters.
    given: BTreeMap<&'a str, &'a Parameter>,
    figures: Vec<&'a Figure>,
}

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

/// A quantity's or a parameter's name in words: `cpu_per_delivery` is `CPU per delivery`.
pub fn words(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let spaced = if let Some(rest) = spaced.strip_prefix("cpu ") { format!("CPU {rest}") } else { spaced };
    if spaced == "cpu" { "CPU".to_owned() } else { spaced }
}

/// A parameter's value as people read it.
pub fn value(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Number(number) => count(*number),
        Parameter::Word(word) => word.clone(),
    }
}

fn tables<'a>(figures: &[&'a Figure]) -> Vec<Table<'a>> {
    let mut tables: Vec<Table> = Vec::new();
    let mut quantities: Vec<&str> = Vec::new();
    for figure in figures {
        if !quantities.contains(&figure.quantity.as_str()) {
            quantities.push(&figure.quantity);
        }
    }
    for quantity in quantities {
        let of_quantity: Vec<&Figure> = figures.iter().copied().filter(|figure| figure.quantity == quantity).collect();
        let across = varied(&of_quantity);
        for figure in of_quantity {
            let given: BTreeMap<&str, &Parameter> = figure
                .parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .filter(|(name, _)| Some(*name) != across)
                .collect();
            match tables.iter_mut().find(|table| table.quantity == quantity && table.given == given) {
                Some(table) => table.figures.push(figure),
                None => tables.push(Table { quantity, across, given, figures: vec![figure] }),
            }
        }
    }
    tables
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
        let mut caption = format!("**{}**", capital(&words(self.quantity)));
        if !scale.unit.is_empty() {
            let unit = if scale.unit == "/s" { "per second" } else { &scale.unit };
            let _ = write!(caption, ", {unit}");
        }
        for (name, given) in &self.given {
            let _ = write!(caption, ", {} {}", words(name), value(given));
        }
        let columns = self.columns();
        let mut text =
            format!("{caption}\n\n| {} |", self.across.map_or_else(String::new, |name| format!("{} →", words(name))));
        for column in &columns {
            let _ = write!(text, " {} |", column.map_or_else(String::new, value));
        }
        text.push_str("\n|---|");
        text.push_str(&"--:|".repeat(columns.len()));
        text.push('\n');
        for server in self.servers() {
            let _ = write!(text, "| {} |", server::title(server));
            for column in &columns {
                let figure =
                    self.figures.iter().find(|figure| figure.server == server && self.column_of(figure) == *column);
                let _ = write!(text, " {} |", figure.map_or_else(|| "–".to_owned(), |figure| cell(figure, &scale)));
            }
            text.push('\n');
        }
        text
    }

    fn column_of<'a>(&self, figure: &'a Figure) -> Option<&'a Parameter> {
        figure.parameters.get(self.across?)
    }

    /// The values across, in their order.
    fn columns(&self) -> Vec<Option<&Parameter>> {
        let columns: BTreeSet<Option<&Parameter>> = self.figures.iter().map(|figure| self.column_of(figure)).collect();
        columns.into_iter().collect()
    }

    fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !servers.contains(&figure.server.as_str()) {
                servers.push(&figure.server);
            }
        }
        servers.sort_by_key(|server| rank(server));
        servers
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

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
**CPU per delivery**, µs, bytes 100

| streams → | 1,000 | 5,000 |
|---|--:|--:|
| TITLE | 24 (23.5–25)<br><sub>nginx 19.9, hub 4.02; client 9</sub> | 24.5 |
| nchan | 13.6 (13.2–14.1) | – |

**CPU per delivery**, µs, bytes 10,240

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
    fn says_names_as_people_do() {
        assert_eq!(["cpu", "cpu_per_delivery", "latency_p99"].map(words), ["CPU", "CPU per delivery", "latency p99"]);
    }
}
