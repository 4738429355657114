//! Which plots a run gives: each is drawn if the run has figures for it.

use super::bar::Given::{self, Number};
use super::palette::{look, rank};
use super::plot::{Columns, Lines, Plot, Point, Row, Series};
use super::table::is_bench;
use super::words::percentile;
use crate::results::{Figure, Parameter, Results, median};
use crate::server;

/// A plot of one quantity of one scenario.
struct Sketch {
    /// Of its file, without `.svg`.
    name: &'static str,
    title: &'static str,
    scenario: &'static str,
    quantity: &'static str,
    /// Parameters that its figures have.
    with: &'static [(&'static str, Given)],
    shape: Shape,
}

/// How it is drawn.
enum Shape {
    /// Over this parameter, of which it needs two values at least.
    Over(&'static str),
    /// One bar a server, or a server and a value of this parameter.
    Each(Option<&'static str>),
    /// Over the quantities p50, p90, … whose names begin so: how latency is spread.
    Percentiles,
}

const HUNDRED: (&str, Given) = ("bytes", Number(100));

const SKETCHES: &[Sketch] = &[
    Sketch {
        name: "cpu",
        title: "CPU of all server processes for one delivery",
        scenario: "fanout",
        quantity: "cpu_per_delivery",
        with: &[HUNDRED],
        shape: Shape::Over("streams"),
    },
    Sketch {
        name: "cpu-10k",
        title: "CPU of all server processes for one delivery of 10 KiB",
        scenario: "fanout",
        quantity: "cpu_per_delivery",
        with: &[("bytes", Number(10_240))],
        shape: Shape::Over("streams"),
    },
    Sketch {
        name: "p99",
        title: "From publishing to the client: 99 of 100 deliveries within",
        scenario: "fanout",
        quantity: "latency_p99",
        with: &[HUNDRED],
        shape: Shape::Over("streams"),
    },
    Sketch {
        name: "latency",
        title: "From publishing to the client, 5,000 streams",
        scenario: "fanout",
        quantity: "latency",
        with: &[("streams", Number(5000)), HUNDRED],
        shape: Shape::Percentiles,
    },
    Sketch {
        name: "memory",
        title: "User memory of all server processes for one idle stream",
        scenario: "memory",
        quantity: "memory_per_stream",
        with: &[],
        shape: Shape::Over("streams"),
    },
    Sketch {
        name: "opening",
        title: "Streams opened in a second, and ordinary requests (hello) of the same pool",
        scenario: "opening",
        quantity: "rate",
        with: &[],
        shape: Shape::Each(Some("request")),
    },
    Sketch {
        name: "publish",
        title: "Events published in a second by one PHP process, no reader",
        scenario: "publish",
        quantity: "rate",
        with: &[("streams", Number(0))],
        shape: Shape::Each(None),
    },
    Sketch {
        name: "publish-read",
        title: "Events published in a second by one PHP process, 1,000 readers",
        scenario: "publish",
        quantity: "rate",
        with: &[("streams", Number(1000))],
        shape: Shape::Each(None),
    },
    Sketch {
        name: "idle",
        title: "CPU with 10,000 idle streams, percent of one core",
        scenario: "idle",
        quantity: "cpu",
        with: &[("streams", Number(10_000))],
        shape: Shape::Each(None),
    },
];

/// All plots for which the run has figures.
pub fn plots(results: &Results) -> Vec<Plot> {
    SKETCHES.iter().filter_map(|sketch| sketch.plot(results)).collect()
}

impl Sketch {
    fn plot(&self, results: &Results) -> Option<Plot> {
        let figures: Vec<&Figure> = results.figures.iter().filter(|figure| self.fits(figure)).collect();
        match self.shape {
            Shape::Over(parameter) => {
                self.lines(&figures, parameter, |figure| figure.number(parameter).map(|number| number as f64))
            }
            Shape::Percentiles => {
                let mut lines =
                    self.lines(&figures, "share of deliveries", |figure| percentile_place(&figure.quantity))?;
                if let Plot::Lines(lines) = &mut lines {
                    lines.x_names = PERCENTILES.iter().map(|(_, place, name)| (*place, (*name).to_owned())).collect();
                }
                Some(lines)
            }
            Shape::Each(parameter) => self.columns(&figures, parameter),
        }
    }

    fn fits(&self, figure: &Figure) -> bool {
        let quantity = match self.shape {
            Shape::Percentiles => percentile_place(&figure.quantity).is_some(),
            _ => figure.quantity == self.quantity,
        };
        quantity
            && figure.scenario == self.scenario
            && !figure.values.is_empty()
            && self.with.iter().all(|(name, value)| figure.parameters.get(*name).is_some_and(|is| value.is(is)))
    }

    fn file(&self) -> String {
        format!("{}.svg", self.name)
    }

    fn lines(&self, figures: &[&Figure], x: &str, place: impl Fn(&Figure) -> Option<f64>) -> Option<Plot> {
        let mut series: Vec<(&str, Series)> = Vec::new();
        for figure in figures {
            // Both axes are logarithmic.
            let Some(x) = place(figure).filter(|x| *x > 0.0 && figure.median() > 0.0) else { continue };
            let point = Point { x, y: figure.median(), spread: figure.spread() };
            match series.iter_mut().find(|(server, _)| *server == figure.server) {
                Some((_, known)) => known.points.push(point),
                None => {
                    let name = server::title(&figure.server).to_owned();
                    series.push((&figure.server, Series { name, look: look(&figure.server), points: vec![point] }));
                }
            }
        }
        series.sort_by_key(|(server, _)| rank(server));
        let mut series: Vec<Series> = series.into_iter().map(|(_, series)| series).collect();
        for curve in &mut series {
            curve.points.sort_by(|one, other| one.x.total_cmp(&other.x));
        }
        series.iter().any(|curve| curve.points.len() > 1).then(|| {
            Plot::Lines(Lines {
                file: self.file(),
                title: self.title.to_owned(),
                x: x.to_owned(),
                x_names: Vec::new(),
                unit: figures[0].unit.clone(),
                series,
            })
        })
    }

    fn columns(&self, figures: &[&Figure], parameter: Option<&str>) -> Option<Plot> {
        let mut figures = figures.to_vec();
        figures.sort_by_key(|figure| rank(&figure.server));
        let rows = figures.iter().map(|figure| Row {
            name: row_name(figure, parameter),
            look: look(&figure.server),
            value: figure.median(),
            spread: figure.spread(),
            note: roles(figure),
        });
        let unit = figures.first()?.unit.clone();
        Some(Plot::Columns(Columns { file: self.file(), title: self.title.to_owned(), unit, rows: rows.collect() }))
    }
}

fn row_name(figure: &Figure, parameter: Option<&str>) -> String {
    let title = server::title(&figure.server);
    match parameter.and_then(|parameter| figure.parameters.get(parameter)) {
        Some(Parameter::Word(word)) => format!("{title}: {word}"),
        Some(Parameter::Number(number)) => format!("{title}, {number}"),
        None => title.to_owned(),
    }
}

/// Who did what, where several did: their shares in percent.
fn roles(figure: &Figure) -> String {
    let mut shares: Vec<(&str, f64)> = figure
        .by_role
        .iter()
        .filter(|(role, _)| !is_bench(role))
        .map(|(role, values)| (role.as_str(), median(values) / figure.median() * 100.0))
        .filter(|(_, share)| *share >= 0.5)
        .collect();
    if shares.len() < 2 {
        return String::new();
    }
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    shares.iter().map(|(role, share)| format!("{role} {share:.0}%")).collect::<Vec<_>>().join(", ")
}

/// Percentiles, and where they stand on an axis on which each step is ten times rarer.
const PERCENTILES: [(&str, f64, &str); 5] = [
    ("p50", 2.0, "50%"),
    ("p90", 10.0, "90%"),
    ("p99", 100.0, "99%"),
    ("p99.9", 1000.0, "99.9%"),
    ("p99.99", 10_000.0, "99.99%"),
];

fn percentile_place(quantity: &str) -> Option<f64> {
    let (_, percentile) = percentile(quantity)?;
    PERCENTILES.iter().find(|(name, _, _)| *name == percentile).map(|(_, place, _)| *place)
}
