//! What a run says, for people: tables, plots, the bars it was to meet, and how it differs from the last one.
//!
//! A run writes where it is told to, outside the tree. What is kept, and shown by the pages in `docs/`, is in
//! `bench/results/`: `latest.json`, `quick.json` and what is made from the former. Only `sse-bench keep` writes there.

pub mod bar;
pub mod bars;
pub mod comparison;
pub mod front;
pub mod number;
pub mod page;
pub mod palette;
pub mod plan;
pub mod plot;
pub mod plots;
pub mod table;
pub mod words;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::results::Results;

/// The pages with sections from the kept results, from the project's root.
const PAGES: &[&str] = &["README.md", "docs/performance.md", "docs/planning.md", "docs/plan.html"];

/// Where the plots are, seen from a page in docs/, the only ones that show any.
const PLOTS: &str = "../bench/results/plots";

/// What `sse-bench report` is told.
#[derive(clap::Args)]
pub struct Options {
    /// What `run` wrote.
    file: PathBuf,
    /// The folder for `README.md` and `plots/`; without it the tables are printed.
    #[arg(long)]
    into: Option<PathBuf>,
}

/// `sse-bench report`: tables and plots of a run.
///
/// # Errors
/// It can't be read, or the report not be written.
pub fn report(options: &Options) -> Result<()> {
    let results = read(&options.file)?;
    match &options.into {
        Some(folder) => write(&results, folder)?,
        None => print!("{}", markdown(&results)),
    }
    Ok(())
}

/// `sse-bench compare`: the bars, and a run beside the kept one of its kind. Never fails for what it finds.
///
/// # Errors
/// The run or the kept one can't be read.
pub fn compare(file: &Path) -> Result<()> {
    let new = read(file)?;
    println!("{}", bars::text(&new));
    // A short pass takes some of the figures of a full one, if in less time.
    let kept = [kept_name(&new), "latest.json"].map(|name| folder().join(name)).into_iter().find(|file| file.exists());
    let Some(kept) = kept else {
        println!(
            "No result is kept yet that this one could be compared with: bench/results/{} is not there.",
            kept_name(&new)
        );
        return Ok(());
    };
    print!("{}", comparison::text(&read(&kept)?, &new));
    Ok(())
}

/// `sse-bench keep`: makes a run the kept one, and brings the pages in `docs/` up to date where it is a full one.
///
/// # Errors
/// The run can't be read or has no figures, or a file can't be written.
pub fn keep(file: &Path) -> Result<()> {
    let results = read(file)?;
    if results.figures.is_empty() {
        bail!("{} has no figures, so it is not kept", file.display());
    }
    let folder = folder();
    fs::create_dir_all(&folder)?;
    save(&folder.join(kept_name(&results)), &(serde_json::to_string_pretty(&results)? + "\n"))?;
    if results.quick { Ok(()) } else { write(&results, &folder).and_then(|()| pages(&results)) }
}

/// `sse-bench pages`: brings the pages up to date with what is kept, after they were edited.
///
/// # Errors
/// A file can't be read or written, or a page has a marker that is not known.
pub fn refresh() -> Result<()> {
    let results = kept()?;
    if !results.figures.is_empty() {
        write(&results, &folder())?;
    }
    pages(&results)
}

fn pages(results: &Results) -> Result<()> {
    for page in PAGES {
        let path = root().join(page);
        let text = fs::read_to_string(&path).with_context(|| format!("can't read {page}"))?;
        save(&path, &page::updated(&text, results, PLOTS).with_context(|| format!("in {page}"))?)?;
    }
    Ok(())
}

/// Everything that a run says, as one page.
pub fn markdown(results: &Results) -> String {
    let mut text = format!("# Results\n\n{}\n## Bars\n\n{}", page::machine(results), bars::markdown(results));
    if !results.failures.is_empty() {
        text.push_str("\n## Not measured\n\n");
        for failure in &results.failures {
            let _ = writeln!(text, "- {failure}");
        }
    }
    for scenario in table::scenarios(results) {
        let _ = write!(text, "\n## {scenario}\n\n{}", table::of_scenario(results, scenario, None));
    }
    text
}

/// Writes the page and its plots into a folder; plots that the run has no figures for are removed from it.
fn write(results: &Results, folder: &Path) -> Result<()> {
    let plots_folder = folder.join("plots");
    fs::create_dir_all(&plots_folder).with_context(|| format!("can't make {}", plots_folder.display()))?;
    for entry in fs::read_dir(&plots_folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "svg") {
            fs::remove_file(path)?;
        }
    }
    let mut text = markdown(results);
    let plots = plots::plots(results);
    if !plots.is_empty() {
        text.push_str("\n## Plots\n");
    }
    for plot in plots {
        save(&plots_folder.join(plot.file()), &plot.svg()?)?;
        let _ = write!(text, "\n![{}](plots/{})\n", plot.title(), plot.file());
    }
    save(&folder.join("README.md"), &text)
}

/// The kept full run; an empty one where none is kept yet.
fn kept() -> Result<Results> {
    let file = folder().join("latest.json");
    if file.exists() { read(&file) } else { Ok(Results::default()) }
}

fn kept_name(results: &Results) -> &'static str {
    if results.quick { "quick.json" } else { "latest.json" }
}

fn read(file: &Path) -> Result<Results> {
    let json = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    serde_json::from_str(&json).with_context(|| format!("{} holds no results", file.display()))
}

fn save(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("can't write {}", file.display()))
}

/// The project's root: the command is run from its sources.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder() -> PathBuf {
    root().join("bench/results")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_show_what_is_kept() {
        let kept = kept().unwrap();
        for page in PAGES {
            let text = fs::read_to_string(root().join(page)).unwrap();
            let now = page::updated(&text, &kept, PLOTS).unwrap();
            assert!(
                text == now,
                "{page} doesn't show what bench/results/latest.json says; `cargo run -p sse-bench -- pages` writes it anew"
            );
        }
        for plot in plots::plots(&kept) {
            let file = folder().join("plots").join(plot.file());
            assert_eq!(fs::read_to_string(&file).unwrap_or_default(), plot.svg().unwrap(), "{}", file.display());
        }
    }
}
