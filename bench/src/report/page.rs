//! Pages that people write and whose tables and plots come from the kept results: what stands between
//! `<!-- bench: NAME -->` and `<!-- /bench -->` is written anew by `sse-bench keep`, the rest is never touched.

use std::fmt::Write as _;

use super::{bars, front, number, plan, plots, table};
use crate::results::Results;

/// A page that can't be brought up to date. The text says where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("<!-- bench: {0} --> has no <!-- /bench --> after it; add that line")]
    Open(String),
    #[error(
        "<!-- bench: {0} --> is not known; there are front, machine, bars, failures, plan, measured, tables SCENARIO [QUANTITY], plot NAME"
    )]
    Unknown(String),
    #[error(transparent)]
    Plan(#[from] serde_json::Error),
}

const BEGIN: &str = "<!-- bench: ";
const BEGIN_ENDS: &str = " -->";
const END: &str = "<!-- /bench -->";

/// The page with all its marked sections as the results have them. `plots` is the path to the plots from the page's folder.
///
/// # Errors
/// A marker is unknown, or a section has no end.
pub fn updated(page: &str, results: &Results, plots: &str) -> Result<String, PageError> {
    let mut text = String::new();
    let mut rest = page;
    while let Some(begin) = rest.find(BEGIN) {
        let after = &rest[begin + BEGIN.len()..];
        let name = after.split(BEGIN_ENDS).next().unwrap_or_default();
        let open = || PageError::Open(name.lines().next().unwrap_or_default().to_owned());
        let inner = after.get(name.len() + BEGIN_ENDS.len()..).ok_or_else(open)?;
        let end = inner.find(END).filter(|end| !inner[..*end].contains(BEGIN)).ok_or_else(open)?;
        text.push_str(&rest[..begin]);
        let _ = write!(text, "{BEGIN}{name}{BEGIN_ENDS}\n{}{END}", section(name, results, plots)?);
        rest = &inner[end + END.len()..];
    }
    text.push_str(rest);
    Ok(text)
}

/// What belongs into the section of this name, with a line feed at its end.
fn section(name: &str, results: &Results, plots: &str) -> Result<String, PageError> {
    let mut words = name.split(' ');
    let text = match (words.next(), words.next(), words.next()) {
        (Some("front"), None, _) => front::markdown(results),
        (Some("machine"), None, _) => machine(results),
        (Some("bars"), None, _) => bars::markdown(results),
        (Some("failures"), None, _) => failures(results),
        (Some("plan"), None, _) => plan::markdown(results),
        (Some("measured"), None, _) => plan::script(results)?,
        (Some("tables"), Some(scenario), quantity) => table::of_scenario(results, scenario, quantity),
        (Some("plot"), Some(name), None) => plot(name, results, plots),
        _ => return Err(PageError::Unknown(name.to_owned())),
    };
    Ok(if text.is_empty() { "*Not measured in the kept run.*\n".to_owned() } else { text })
}

/// What the run was on, of what, and when.
pub fn machine(results: &Results) -> String {
    if results.figures.is_empty() {
        return String::new();
    }
    let machine = &results.machine;
    let rounds = if results.rounds == 1 { "one round".to_owned() } else { format!("{} rounds", results.rounds) };
    let mut text = format!(
        "Run of {}, {rounds}: {}, {} cores, {}, Linux {}, {} descriptors a process.\n",
        results.when.split('T').next().unwrap_or_default(),
        machine.processor,
        machine.cores,
        number::with_unit("bytes", machine.memory as f64),
        machine.kernel,
        number::count(machine.descriptors),
    );
    if !results.versions.is_empty() {
        let versions: Vec<String> =
            results.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
        let _ = writeln!(text, "{}.", versions.join(", "));
    }
    text
}

fn failures(results: &Results) -> String {
    if results.failures.is_empty() {
        return "Everything could be measured.\n".to_owned();
    }
    results.failures.iter().fold(String::new(), |mut text, failure| {
        let _ = writeln!(text, "- {failure}");
        text
    })
}

fn plot(name: &str, results: &Results, folder: &str) -> String {
    let file = format!("{name}.svg");
    plots::plots(results)
        .iter()
        .find(|plot| plot.file() == file)
        .map_or_else(String::new, |plot| format!("![{}]({folder}/{file})\n", plot.title()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_marked_sections_anew_and_nothing_else() {
        let results = Results { failures: vec!["fanout, nchan: no such module".into()], ..Results::default() };
        let page = "# Title\n<!-- bench: failures -->\nold\n<!-- /bench -->\ntext\n<!-- bench: plot cpu --><!-- /bench -->\nend\n";
        let now = updated(page, &results, "plots").unwrap();
        assert_eq!(
            now,
            "# Title\n<!-- bench: failures -->\n- fanout, nchan: no such module\n<!-- /bench -->\ntext\n\
             <!-- bench: plot cpu -->\n*Not measured in the kept run.*\n<!-- /bench -->\nend\n",
        );
        assert_eq!(updated(&now, &results, "plots").unwrap(), now);
    }

    #[test]
    fn names_a_marker_that_it_does_not_know_or_that_has_no_end() {
        let error = |page| updated(page, &Results::default(), "").unwrap_err().to_string();
        assert!(error("<!-- bench: bar --><!-- /bench -->").starts_with("<!-- bench: bar --> is not known"));
        assert!(error("<!-- bench: bars -->\n").starts_with("<!-- bench: bars --> has no"));
        let swallowed = "<!-- bench: bars -->\n<!-- bench: machine -->\n<!-- /bench -->";
        assert!(error(swallowed).starts_with("<!-- bench: bars --> has no"));
    }
}
