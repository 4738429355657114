//! A bar: a figure that has to be so many times another one of the same run, and whether it is.

use super::number::{number, with_unit};
use crate::results::{Figure, Parameter, Results, median};

/// Which figure is meant.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    pub scenario: &'static str,
    pub server: &'static str,
    pub quantity: &'static str,
    /// Only this role's share; the sum of all otherwise.
    pub role: Option<&'static str>,
    /// Parameters that it must have; it may have more.
    pub with: &'static [(&'static str, Given)],
}

/// A parameter's value.
#[derive(Clone, Copy, Debug)]
pub enum Given {
    Number(u64),
    Word(&'static str),
}

impl Given {
    /// Whether the parameter has this value.
    pub fn is(self, parameter: &Parameter) -> bool {
        match (self, parameter) {
            (Self::Number(number), Parameter::Number(is)) => number == *is,
            (Self::Word(word), Parameter::Word(is)) => word == is,
            _ => false,
        }
    }
}

/// What the figure is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Against {
    /// Another figure of the same run: the bar is a ratio.
    Figure(Pick),
    /// The greatest of these figures of the same run.
    Best(&'static [Pick]),
    /// Nothing: the bar is in the figure's own unit, which is this.
    Itself(&'static str),
}

/// On which side of its limit a bar is met.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// Between the two.
    Within(f64, f64),
}

/// A line of the table of bars.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// What is to be met, in words.
    pub what: &'static str,
    /// Beside what, in words; empty where it is a figure by itself.
    pub beside: &'static str,
    pub figure: Pick,
    pub against: Against,
    pub limit: Limit,
}

/// What a run says of a bar.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Met(Measured),
    NotMet(Measured),
    /// A figure that it needs is not in the run.
    NotMeasured,
}

/// The values behind a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What the limit is held against: the median of the rounds' ratios, or of the figure itself.
    pub value: f64,
    /// The figure, with its unit.
    pub figure: String,
    /// The other figure, with its unit.
    pub other: Option<String>,
}

impl Pick {
    /// The first figure that fits.
    pub fn find<'a>(&self, results: &'a Results) -> Option<&'a Figure> {
        results.figures.iter().find(|figure| {
            figure.scenario == self.scenario
                && figure.server == self.server
                && figure.quantity == self.quantity
                && self.with.iter().all(|(name, value)| figure.parameters.get(*name).is_some_and(|is| value.is(is)))
        })
    }

    /// Its values, one a round, and their unit; none where it was not measured.
    fn values<'a>(&self, results: &'a Results) -> Option<(&'a [f64], &'a str)> {
        let figure = self.find(results)?;
        let values = match self.role {
            Some(role) => figure.by_role.get(role)?,
            None => &figure.values,
        };
        (!values.is_empty()).then_some((values, figure.unit.as_str()))
    }
}

impl Limit {
    fn allows(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
            Self::Within(low, high) => (low..=high).contains(&value),
        }
    }

    fn show(self, unit: Option<&str>) -> String {
        let value = |value: f64| unit.map_or_else(|| format!("{} ×", number(value)), |unit| with_unit(unit, value));
        match self {
            Self::AtMost(limit) => format!("≤ {}", value(limit)),
            Self::AtLeast(limit) => format!("≥ {}", value(limit)),
            Self::Within(low, high) => format!("{} to {}", value(low).trim_end_matches(" ×"), value(high)),
        }
    }
}

impl Bar {
    /// Holds the bar against a run.
    pub fn judge(&self, results: &Results) -> Verdict {
        let Some((values, unit)) = self.figure.values(results) else { return Verdict::NotMeasured };
        let own = median(values);
        let (value, other) = match self.against {
            Against::Itself(_) => (own, None),
            Against::Figure(_) | Against::Best(_) => {
                let others = self.others().iter().filter_map(|pick| pick.values(results));
                let best = others.max_by(|(one, _), (other, _)| median(one).total_cmp(&median(other)));
                let Some((others, other_unit)) = best else { return Verdict::NotMeasured };
                (ratio(values, others), Some(with_unit(other_unit, median(others))))
            }
        };
        let measured = Measured { value, figure: with_unit(unit, own), other };
        if self.limit.allows(value) { Verdict::Met(measured) } else { Verdict::NotMet(measured) }
    }

    fn others(&self) -> &[Pick] {
        match &self.against {
            Against::Itself(_) => &[],
            Against::Figure(pick) => std::slice::from_ref(pick),
            Against::Best(picks) => picks,
        }
    }

    /// A line of the Markdown table: what, bar, measured, figures, verdict.
    pub fn row(&self, results: &Results) -> String {
        let (measured, figures, verdict) = match self.judge(results) {
            Verdict::Met(measured) => (self.shown(&measured), figures(&measured), "met"),
            Verdict::NotMet(measured) => (self.shown(&measured), figures(&measured), "**not met**"),
            Verdict::NotMeasured => ("–".to_owned(), String::new(), "not measured"),
        };
        format!("| {} | {} | {measured} | {figures} | {verdict} |\n", self.what, self.demand())
    }

    /// The same for a terminal.
    pub fn line(&self, results: &Results) -> String {
        let (verdict, measured) = match self.judge(results) {
            Verdict::Met(measured) => ("met", self.shown(&measured)),
            Verdict::NotMet(measured) => ("NOT MET", self.shown(&measured)),
            Verdict::NotMeasured => ("–", "not measured".to_owned()),
        };
        format!("  {verdict:<8} {}: {measured} ({})\n", self.what, self.demand())
    }

    /// The bar itself: `≤ 1.1 × the floor`.
    fn demand(&self) -> String {
        let unit = match self.against {
            Against::Itself(unit) => Some(unit),
            Against::Figure(_) | Against::Best(_) => None,
        };
        format!("{} {}", self.limit.show(unit), self.beside).trim().to_owned()
    }

    fn shown(&self, measured: &Measured) -> String {
        match self.against {
            Against::Itself(_) => measured.figure.clone(),
            Against::Figure(_) | Against::Best(_) => format!("{} ×", number(measured.value)),
        }
    }
}

fn figures(measured: &Measured) -> String {
    measured.other.as_ref().map_or_else(String::new, |other| format!("{} : {other}", measured.figure))
}

/// The median of the rounds' ratios, as both were measured in the same minute; of medians where rounds are missing.
fn ratio(values: &[f64], others: &[f64]) -> f64 {
    if values.len() == others.len() {
        return median(&values.iter().zip(others).map(|(value, other)| value / other).collect::<Vec<_>>());
    }
    median(values) / median(others)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn results(figures: &[(&str, u64, &[f64], &[f64])]) -> Results {
        let mut results = Results::default();
        for (server, streams, values, hub) in figures {
            results.push(Figure {
                scenario: "fanout".into(),
                server: (*server).into(),
                parameters: BTreeMap::from([("streams".into(), (*streams).into()), ("bytes".into(), 100.into())]),
                quantity: "cpu_per_delivery".into(),
                unit: "us".into(),
                values: values.to_vec(),
                by_role: BTreeMap::from([("hub".into(), hub.to_vec())]),
            });
        }
        results
    }

    const OURS: Pick = Pick {
        scenario: "fanout",
        server: "php-s",
        quantity: "cpu_per_delivery",
        role: None,
        with: &[("streams", Given::Number(1000))],
    };
    const FLOOR: Pick = Pick { server: "floor", ..OURS };

    fn bar(figure: Pick, against: Against, limit: Limit) -> Bar {
        Bar { what: "CPU a delivery", beside: "the floor", figure, against, limit }
    }

    #[test]
    fn is_met_or_not_by_the_median_of_the_rounds_ratios() {
        let run = results(&[("php-s", 1000, &[11.0, 22.0, 9.0], &[]), ("floor", 1000, &[10.0, 20.0, 10.0], &[])]);
        let at_most = |limit| bar(OURS, Against::Figure(FLOOR), Limit::AtMost(limit)).judge(&run);
        let measured = Measured { value: 1.1, figure: "11 µs".into(), other: Some("10 µs".into()) };
        assert_eq!(at_most(1.1), Verdict::Met(measured.clone()));
        assert_eq!(at_most(1.0), Verdict::NotMet(measured));
    }

    #[test]
    fn is_held_against_the_best_of_several() {
        let run =
            results(&[("php-s", 1000, &[11.0], &[]), ("floor", 1000, &[10.0], &[]), ("floor", 5000, &[22.0], &[])]);
        const BOTH: &[Pick] = &[FLOOR, Pick { with: &[("streams", Given::Number(5000))], ..FLOOR }];
        let measured = Measured { value: 0.5, figure: "11 µs".into(), other: Some("22 µs".into()) };
        assert_eq!(bar(OURS, Against::Best(BOTH), Limit::AtLeast(0.8)).judge(&run), Verdict::NotMet(measured));
    }

    #[test]
    fn is_not_measured_where_a_figure_is_missing() {
        let run = results(&[("php-s", 1000, &[11.0], &[]), ("floor", 5000, &[10.0], &[])]);
        let missing = bar(OURS, Against::Figure(FLOOR), Limit::AtMost(1.1));
        assert_eq!(missing.judge(&run), Verdict::NotMeasured);
        assert_eq!(missing.row(&run), "| CPU a delivery | ≤ 1.1 × the floor | – |  | not measured |\n");
        assert_eq!(missing.line(&run), "  –        CPU a delivery: not measured (≤ 1.1 × the floor)\n");
        let role = bar(Pick { role: Some("nginx"), ..OURS }, Against::Itself("us"), Limit::AtMost(1.0));
        assert_eq!(role.judge(&run), Verdict::NotMeasured);
    }

    #[test]
    fn says_ratio_and_figures_in_its_row() {
        let run = results(&[("php-s", 1000, &[11.0], &[4.5]), ("floor", 1000, &[8.0], &[])]);
        let row = |bar: Bar| bar.row(&run);
        assert_eq!(
            row(bar(OURS, Against::Figure(FLOOR), Limit::AtMost(1.1))),
            "| CPU a delivery | ≤ 1.1 × the floor | 1.38 × | 11 µs : 8 µs | **not met** |\n",
        );
        assert_eq!(
            bar(OURS, Against::Figure(FLOOR), Limit::AtMost(1.1)).line(&run),
            "  NOT MET  CPU a delivery: 1.38 × (≤ 1.1 × the floor)\n",
        );
        assert_eq!(
            row(bar(OURS, Against::Figure(FLOOR), Limit::Within(0.8, 1.4))),
            "| CPU a delivery | 0.8 to 1.4 × the floor | 1.38 × | 11 µs : 8 µs | met |\n",
        );
        let hub =
            Bar { beside: "", ..bar(Pick { role: Some("hub"), ..OURS }, Against::Itself("us"), Limit::AtMost(5.0)) };
        assert_eq!(row(hub), "| CPU a delivery | ≤ 5 µs | 4.5 µs |  | met |\n");
    }
}
