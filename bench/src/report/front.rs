//! The table of README.md: the few figures that a visitor compares, from the same kept run as everything else.

use std::fmt::Write as _;

use super::bars::server;
use super::number::{number, with_unit};
use crate::results::{Figure, Results};

/// Rows: what the front page calls a server, and what a run does.
const SERVERS: &[(&str, &str)] = &[
    ("php-sse behind nginx, with PHP-FPM", server::FPM),
    ("php-sse on `php -S`", server::PHP_S),
    ("nchan (a module of nginx)", server::NCHAN),
    ("Pushpin", server::PUSHPIN),
];

/// PHP scripts that poll, on PHP-FPM.
const LOOPS: &str = "loops";

/// The table; empty where the run has none of its figures.
pub fn markdown(results: &Results) -> String {
    let rows: String = SERVERS.iter().filter_map(|(name, server)| row(results, name, server)).collect();
    if rows.is_empty() {
        return rows;
    }
    let head =
        "| | CPU for one delivery | published to read, p50 | p99 | memory of a stream |\n|---|--:|--:|--:|--:|\n";
    let mut text = format!("{head}{rows}");
    if let Some(loops) = loops(results) {
        let _ = write!(text, "\n{loops}");
    }
    text
}

fn row(results: &Results, name: &str, server: &str) -> Option<String> {
    let fanout = |quantity| {
        results.find("fanout", server, quantity, &[("streams", 5000.into()), ("bytes", 100.into())]).map(Figure::median)
    };
    let memory = results.find("memory", server, "memory_per_stream", &[("streams", 5000.into())]).map(Figure::median);
    Some(format!(
        "| {name} | {} | {} | {} | {} |\n",
        with_unit("us", fanout("cpu_per_delivery")?),
        with_unit("ms", fanout("latency_p50")?),
        with_unit("ms", fanout("latency_p99")?),
        with_unit("bytes", memory?),
    ))
}

/// Scripts that poll have no place in the table: they open as many streams as there are workers.
fn loops(results: &Results) -> Option<String> {
    let baseline = |server, quantity, parameter, is: u64| {
        results.find("baseline", server, quantity, &[(parameter, is.into())]).map(|figure| number(figure.median()))
    };
    Some(format!(
        "A PHP loop that polls holds a worker for each stream: of 100 clients of a pool, {} got one, {} % of the site's other \
         requests were answered, and where it asks once a second an event takes {} ms (p50). With php-sse each worker of the \
         pool had {} streams, and {} % of the other requests were answered.\n",
        baseline(LOOPS, "opened", "clients", 100)?,
        baseline(LOOPS, "ordinary_answered", "clients", 100)?,
        baseline(LOOPS, "latency_p50", "poll", 1)?,
        baseline(server::FPM, "streams_per_worker", "clients", 5000)?,
        baseline(server::FPM, "ordinary_answered", "clients", 5000)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_row_for_each_server_that_was_measured() {
        assert_eq!(markdown(&Results::default()), "");
        let figure = |scenario: &str, quantity: &str, unit: &str, value| Figure {
            scenario: scenario.into(),
            server: server::NCHAN.into(),
            parameters: [("streams".to_owned(), 5000.into()), ("bytes".to_owned(), 100.into())].into(),
            quantity: quantity.into(),
            unit: unit.into(),
            values: vec![value],
            ..Figure::default()
        };
        let results = Results {
            figures: vec![
                figure("fanout", "cpu_per_delivery", "us", 6.73),
                figure("fanout", "latency_p50", "ms", 21.8),
                figure("fanout", "latency_p99", "ms", 45.8),
                figure("memory", "memory_per_stream", "bytes", 10_240.0),
            ],
            ..Results::default()
        };
        let text = markdown(&results);
        assert!(text.ends_with("| nchan (a module of nginx) | 6.73 µs | 21.8 ms | 45.8 ms | 10 KiB |\n"), "{text}");
        assert!(!text.contains("Pushpin"), "{text}");
    }
}
